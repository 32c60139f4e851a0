//! A real `bidden serve` on a free port, and its log read back with the chain checked.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const BIDDEN: &str = env!("CARGO_BIN_EXE_bidden");

/// Where the log lies beside a configuration in this directory: in one for logs alone.
pub(crate) fn log_in(directory: &Path) -> PathBuf {
    let logs = directory.join("log");
    std::fs::create_dir_all(&logs).expect("made");
    logs.join("server.log")
}

/// A listener for a test that does not care about it.
const PLAIN_LISTENER: &str = "[[listeners]]\nendpoint = 'tcp://127.0.0.1:*'\nplain = true\n";

pub(crate) struct Daemon {
    child: Child,
    /// Of its only listener, or its first.
    pub(crate) endpoint: String,
    pub(crate) endpoints: Vec<String>,
    directory: TempDir,
    stderr: Arc<Mutex<Vec<String>>>,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        Self::with_arguments(tempfile::tempdir().expect("a directory"), &["--listen", "tcp://127.0.0.1:*"])
    }

    /// Serves what `bidden.toml` in a directory of its own says, in plain text.
    pub(crate) fn configured(text: &str) -> Self {
        Self::in_directory(tempfile::tempdir().expect("a directory"), &format!("{PLAIN_LISTENER}{text}"))
    }

    /// Serves what `bidden.toml` in this directory is to say.
    pub(crate) fn in_directory(directory: TempDir, text: &str) -> Self {
        let path = directory.path().join("bidden.toml");
        std::fs::write(&path, text).expect("written");
        Self::with_arguments(directory, &["--config", path.to_str().expect("UTF-8")])
    }

    /// Serves what `bidden.toml` in this directory says, by a command that is prepared for it.
    pub(crate) fn served_by(command: Command, directory: TempDir) -> Self {
        let path = directory.path().join("bidden.toml");
        Self::spawn(command, directory, &["--config", path.to_str().expect("UTF-8")])
    }

    /// Under a hard limit of descriptors.
    pub(crate) fn with_descriptors(limit: u32) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {limit}; exec {BIDDEN} \"$@\""), "sh"]);
        Self::spawn(command, tempfile::tempdir().expect("a directory"), &["--listen", "tcp://127.0.0.1:*"])
    }

    /// Serves what `bidden.toml` in a directory of its own says, in plain text, with this umask.
    pub(crate) fn with_umask(umask: &str, text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("bidden.toml");
        std::fs::write(&path, format!("{PLAIN_LISTENER}{text}")).expect("written");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("umask {umask}; exec {BIDDEN} \"$@\""), "sh"]);
        Self::spawn(command, directory, &["--config", path.to_str().expect("UTF-8")])
    }

    /// Its processes begin in this control group.
    pub(crate) fn in_group(group: &Path, directory: TempDir, text: &str) -> Self {
        let path = directory.path().join("bidden.toml");
        std::fs::write(&path, format!("{PLAIN_LISTENER}{text}")).expect("written");
        let procs = group.join("cgroup.procs");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("echo $$ > {} && exec {BIDDEN} \"$@\"", procs.display()), "sh"]);
        Self::spawn(command, directory, &["--config", path.to_str().expect("UTF-8")])
    }

    /// Serves what is built in, at this endpoint.
    pub(crate) fn listening(directory: TempDir, endpoint: &str) -> Self {
        Self::with_arguments(directory, &["--listen", endpoint])
    }

    fn with_arguments(directory: TempDir, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(BIDDEN), directory, arguments)
    }

    fn spawn(mut command: Command, directory: TempDir, arguments: &[&str]) -> Self {
        let mut child = command
            .args(["serve", "--log"])
            .arg(log_in(directory.path()))
            .args(arguments)
            .env_remove("BIDDEN_CONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bidden starts");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
        let mut endpoints = Vec::new();
        let mut complaints = Vec::new();
        loop {
            let line = lines.next().expect("it says that it serves").expect("text");
            match line.strip_prefix("bidden ").and_then(|rest| rest.split_once(" listens on ")) {
                Some((_, rest)) => endpoints.extend(rest.split(' ').next().map(str::to_owned)),
                None if line.starts_with("policy: ") => break,
                None if line.starts_with("bidden: ") => complaints.push(line),
                None => panic!("it does not serve: {line}"),
            }
        }
        let stderr = Arc::new(Mutex::new(complaints));
        // What comes later is read so that the server never waits for it.
        std::thread::spawn({
            let stderr = Arc::clone(&stderr);
            move || lines.for_each(|line| stderr.lock().expect("no panic").push(line.expect("text")))
        });
        Self { child, endpoint: endpoints[0].clone(), endpoints, directory, stderr }
    }

    /// Kills the server and starts another on what it leaves behind.
    pub(crate) fn killed_and_started_again(self) -> Self {
        Self::again(self.kill())
    }

    /// Kills the server; what it leaves behind stays.
    pub(crate) fn kill(mut self) -> TempDir {
        self.signal(Signal::KILL);
        self.wait();
        std::mem::replace(&mut self.directory, tempfile::tempdir().expect("a directory"))
    }

    /// Serves what `bidden.toml` in this directory says.
    pub(crate) fn again(directory: TempDir) -> Self {
        let path = directory.path().join("bidden.toml");
        Self::with_arguments(directory, &["--config", path.to_str().expect("UTF-8")])
    }

    /// The same, and where it was, so that its clients find it again.
    pub(crate) fn killed_and_started_again_in_its_place(self) -> Self {
        let endpoint = self.endpoint.clone();
        let directory = self.kill();
        let path = directory.path().join("bidden.toml");
        Self::with_arguments(directory, &["--config", path.to_str().expect("UTF-8"), "--listen", &endpoint])
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// The file of a server that was started with [`Self::configured`].
    pub(crate) fn configuration(&self) -> PathBuf {
        self.directory.path().join("bidden.toml")
    }

    /// What it has said on its standard error since it serves.
    pub(crate) fn stderr(&self) -> Vec<String> {
        self.stderr.lock().expect("no panic").clone()
    }

    pub(crate) fn log(&self) -> PathBuf {
        log_in(self.directory.path())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).expect("the server is there");
    }

    /// Waits until the log says that a command has been started.
    pub(crate) fn wait_for_start_of_command(&self) {
        while !records(&self.log()).iter().any(|record| record["event"] == "started") {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("the server was started")
    }

    /// Stops the server in order and returns its records.
    pub(crate) fn stop(mut self) -> Vec<Value> {
        self.signal(Signal::TERM);
        assert!(self.wait().success());
        records(&self.log())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The records of a log whose chain is unbroken from its first line to its last.
pub(crate) fn records(log: &Path) -> Vec<Value> {
    let content = std::fs::read_to_string(log).expect("a log");
    assert!(content.ends_with('\n'), "the last line is whole");
    let mut previous = "0".repeat(64);
    let mut records = Vec::new();
    for (sequence, line) in (1_u64..).zip(content.lines()) {
        assert!(!line.chars().any(char::is_control), "no control character is in {line:?}");
        let record: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(record["seq"], sequence);
        assert_eq!(record["prev"], previous.as_str(), "record {sequence} follows the one before it");
        previous = sha256_hex(line);
        records.push(record);
    }
    assert!(!records.is_empty());
    records
}

fn sha256_hex(text: &str) -> String {
    use sha2::Digest as _;
    use std::fmt::Write as _;
    let mut hex = String::new();
    for byte in sha2::Sha256::digest(text) {
        write!(hex, "{byte:02x}").expect("memory");
    }
    hex
}
