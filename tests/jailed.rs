//! Programs in the jail, with a policy of their own, and the same programs outside of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::served::{ask, with_policy};

/// Directories and programs for one test.
pub(crate) struct Workshop {
    pub(crate) directory: TempDir,
    outside: TempDir,
}

impl Workshop {
    pub(crate) fn open() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        permit(directory.path(), 0o755);
        // A jail has a /tmp of its own, so what it shall see must lie elsewhere.
        let outside = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        permit(outside.path(), 0o755);
        Self { directory, outside }
    }

    /// A directory that a jail would see if its rule said so.
    pub(crate) fn outside(&self) -> &Path {
        self.outside.path()
    }

    /// Compiles an attack program.
    pub(crate) fn attack(&self, name: &str) -> PathBuf {
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../jail/attacks").join(name).with_extension("c");
        let program = self.directory.path().join(name);
        let output = Command::new("cc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&program)
            .arg(source)
            .output();
        let output = output.expect("a C compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        permit(&program, 0o755);
        program
    }

    /// Runs one command of a policy and returns its reply.
    pub(crate) fn run(self, policy: &str, request: &str) -> Value {
        let reply = std::cell::RefCell::new(Value::Null);
        let Self { directory, outside } = self;
        with_policy(directory, policy, async |served| {
            let connection = served.connect().await;
            reply.replace(ask(&connection, request).await);
            served.stop().await;
        });
        drop(outside);
        reply.into_inner()
    }
}

pub(crate) fn permit(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permitted");
}

/// The rule for a program, with these arguments and further keys.
pub(crate) fn rule(program: &Path, arguments: &[&str], keys: &str) -> String {
    let program = program.to_str().expect("UTF-8");
    format!("[commands.it]\nprogram = {program:?}\narguments = {arguments:?}\ntimeout = \"20s\"\n{keys}\n")
}

/// The rule for a shell script.
pub(crate) fn shell(script: &str, keys: &str) -> String {
    rule(Path::new("/bin/sh"), &["-c", script], &format!("launcher = true\nmay_exec = true\n{keys}"))
}

/// For rules whose commands write what belongs to whoever tests.
pub(crate) fn as_server() -> &'static str {
    if rustix::process::geteuid().is_root() { "user = \"root\"\n" } else { "" }
}

pub(crate) const RUN_IT: &str = r#"{"command_type":"os","command_name":"it"}"#;

/// Outside of any jail.
pub(crate) fn bare(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).stdin(Stdio::null()).output().expect("it starts")
}

/// Whether some process has this word in its command line.
pub(crate) fn processes_marked(mark: &str) -> Vec<i32> {
    let marked = |entry: std::io::Result<std::fs::DirEntry>| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        line.split(|&byte| byte == 0).any(|word| word == mark.as_bytes()).then_some(pid)
    };
    std::fs::read_dir("/proc").expect("/proc").filter_map(marked).collect()
}

#[track_caller]
pub(crate) fn wait_until_gone(mark: &str) {
    let began = std::time::Instant::now();
    while !processes_marked(mark).is_empty() {
        assert!(began.elapsed().as_secs() < 5, "{:?} are still there", processes_marked(mark));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
