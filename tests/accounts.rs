//! Accounts of this machine from outside: the kernel says who connects to a Unix socket, and what becomes of its file.

use std::fs::{self, Permissions};
use std::io::BufRead as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::daemon::{BIDDEN, Daemon, records};

const PATIENCE: Duration = Duration::from_secs(30);

/// Accounts that no machine has by chance.
const ANN: u32 = 421_001;
const BOB: u32 = 421_002;
const STRANGER: u32 = 421_003;
const OPS: u32 = 421_050;

/// A copy of the program that every account can reach.
static PROGRAM: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let directory = open_directory();
    let program = directory.path().join("bidden");
    fs::copy(BIDDEN, &program).expect("copied");
    (directory, program)
});

fn open_directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("set");
    directory
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("SKIPPED: only root can become other accounts");
    }
    is_root
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A configuration with one Unix socket, in a directory of its own, and these users.
struct Place {
    directory: TempDir,
    socket: PathBuf,
}

impl Place {
    fn new() -> Self {
        let directory = open_directory();
        let socket = directory.path().join("run/bidden.sock");
        Self { directory, socket }
    }

    fn text(&self, listener: &str, users: &str) -> String {
        format!(
            "[[listeners]]\nendpoint = 'ipc://{}'\n{listener}\n[roles.all]\nrights = ['compute', 'history']\n{users}",
            self.socket.display()
        )
    }

    fn serve(self, listener: &str, users: &str) -> (Daemon, String, PathBuf) {
        let text = self.text(listener, users);
        let daemon = Daemon::in_directory(self.directory, &text);
        let endpoint = daemon.endpoint.clone();
        (daemon, endpoint, self.socket)
    }
}

fn user(name: &str, known_by: &str) -> String {
    format!("[users.{name}]\n{known_by}\nroles = ['all']\n")
}

fn client(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).env("HOME", "/nonexistent");
    for variable in ["XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "BIDDEN_CONFIG", "BIDDEN_TO"] {
        command.env_remove(variable);
    }
    command
}

fn ask(arguments: &[&str]) -> Output {
    client(Path::new(BIDDEN), arguments).output().expect("bidden starts")
}

/// The same as another account, with these groups behind its own.
fn ask_as(uid: u32, gid: u32, groups: &[u32], arguments: &[&str]) -> Output {
    let mut command = client(Path::new("setpriv"), &[]);
    let groups: Vec<_> = groups.iter().map(u32::to_string).collect();
    let groups = if groups.is_empty() {
        "--clear-groups".to_owned()
    } else {
        format!("--groups={}", groups.join(","))
    };
    command.args([format!("--reuid={uid}"), format!("--regid={gid}"), groups]);
    command.arg(&PROGRAM.1).args(arguments).output().expect("setpriv starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn assert_computes(output: &Output) {
    assert_eq!(output.stdout, b"42\n", "{}", said(output));
}

fn wait_until(is_it: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_it() {
        assert!(Instant::now() < end, "it does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_kernel_names_the_user() {
    if !is_root() {
        return;
    }
    let users = [user("ann", &format!("uid = {ANN}")), user("ops", &format!("group = '{OPS}'"))].concat();
    let (daemon, endpoint, _) = Place::new().serve("mode = '0666'", &users);
    let compute = ["compute", "--to", &endpoint, "6*7"];
    for (uid, gid, groups, expected) in [
        (ANN, ANN, &[][..], Some("ann")),
        (ANN, OPS, &[], Some("ann")),
        (BOB, OPS, &[], Some("ops")),
        (STRANGER, STRANGER, &[], None),
        // Its effective group counts, and what /etc/group says.
        (STRANGER, STRANGER, &[OPS], None),
        (0, 0, &[], None),
        (OPS, ANN, &[], None),
    ] {
        let output = ask_as(uid, gid, groups, &compute);
        let Some(user) = expected else {
            assert_eq!(output.status.code(), Some(126), "{uid} {gid}: {}", said(&output));
            assert!(said(&output).contains(&format!("uid {uid}")), "{}", said(&output));
            continue;
        };
        assert_computes(&output);
        let record = records(&daemon.log()).pop().expect("a record");
        assert_eq!((&record["user"], &record["uid"]), (&json!(user), &json!(uid)));
        assert!(record["pid"].is_u64() && record.get("peer").is_none() && record.get("key").is_none());
        assert_eq!(record["listener"], endpoint.as_str());
    }
    let history = ask_as(ANN, ANN, &[], &["history", "--json", "--to", &endpoint]);
    let row: Value =
        serde_json::from_slice(history.stdout.split(|byte| *byte == b'\n').next().expect("a row"))
            .expect("JSON");
    assert_eq!((&row["user"], &row["uid"]), (&json!("ann"), &json!(ANN)));
    let failed = |record: &Value| record["event"] == "handshake_failed" && record["uid"] == STRANGER;
    let records = daemon.stop();
    assert!(records.iter().any(failed), "{records:?}");
}

#[test]
fn a_reload_changes_who_an_account_is() {
    let own = format!("uid = {}", own_uid());
    let (daemon, endpoint, _) = Place::new().serve("", &user("ann", &own));
    let compute = ["compute", "--to", &endpoint, "6*7"];
    assert_computes(&ask(&compute));
    let text = fs::read_to_string(daemon.configuration()).expect("there");
    fs::write(daemon.configuration(), text.replace(&own, &format!("uid = {STRANGER}"))).expect("written");
    daemon.signal(Signal::HUP);
    wait_until(|| ask(&compute).status.code() == Some(126));
    // A group is looked up again, too.
    let group = rustix::process::getegid().as_raw();
    fs::write(daemon.configuration(), text.replace(&own, &format!("group = '{group}'"))).expect("written");
    daemon.signal(Signal::HUP);
    wait_until(|| ask(&compute).status.success());
    assert_eq!(records(&daemon.log()).pop().expect("a record")["user"], "ann");
}

#[test]
fn the_file_of_the_socket_is_made_guarded_and_removed() {
    let (daemon, endpoint, socket) =
        Place::new().serve("mode = '0640'", &user("ann", &format!("uid = {}", own_uid())));
    assert_eq!(fs::metadata(&socket).expect("there").mode() & 0o7777, 0o640);
    assert_computes(&ask(&["compute", "--to", &endpoint, "6*7"]));
    // Another server does not take the place of one that lives.
    let other = ask(&["serve", "--listen", &endpoint, "--log", "/dev/null"]);
    assert_eq!(other.status.code(), Some(125));
    assert!(said(&other).contains("another server listens there"), "{}", said(&other));
    assert_computes(&ask(&["compute", "--to", &endpoint, "6*7"]));
    // It takes that of one that was killed.
    let directory = daemon.kill();
    assert!(socket.exists());
    let daemon = Daemon::again(directory);
    assert_computes(&ask(&["compute", "--to", &endpoint, "6*7"]));
    let pid = daemon.pid();
    // Also where the server is confined it removes its file: its directory is kept from going here.
    daemon.signal(Signal::TERM);
    wait_until(|| !socket.exists());
    wait_until(|| !Path::new(&format!("/proc/{pid}/exe")).exists());
}

#[test]
fn a_group_of_the_file_keeps_others_from_asking() {
    if !is_root() {
        return;
    }
    let users = [ANN, BOB].map(|uid| user(&format!("u{uid}"), &format!("uid = {uid}"))).concat();
    let (_daemon, endpoint, socket) = Place::new().serve(&format!("group = '{OPS}'"), &users);
    let metadata = fs::metadata(&socket).expect("there");
    assert_eq!((metadata.gid(), metadata.mode() & 0o7777), (OPS, 0o660));
    let compute = ["compute", "--to", &endpoint, "6*7"];
    assert_computes(&ask_as(ANN, ANN, &[OPS], &compute));
    let refused = ask_as(BOB, BOB, &[], &compute);
    assert!(said(&refused).contains("permission denied"), "{}", said(&refused));
}

#[test]
fn a_directory_of_others_is_refused() {
    let directory = open_directory();
    let open = directory.path().join("open");
    fs::create_dir(&open).expect("made");
    fs::set_permissions(&open, Permissions::from_mode(0o777)).expect("set");
    let endpoint = format!("ipc://{}/bidden.sock", open.display());
    let log = crate::daemon::log_in(directory.path());
    let refused = ask(&["serve", "--listen", &endpoint, "--log", log.to_str().expect("UTF-8")]);
    assert!(said(&refused).contains("can be changed by others (mode 0777"), "{}", said(&refused));
    assert!(!open.join("bidden.sock").exists());
}

#[test]
fn the_command_line_finds_the_server_by_itself() {
    let home = open_directory();
    let runtime = home.path().join("run");
    fs::create_dir(&runtime).expect("made");
    let bidden = |arguments: &[&str]| {
        let mut command = client(Path::new(BIDDEN), arguments);
        command.env("XDG_RUNTIME_DIR", &runtime).env("HOME", home.path()).output().expect("bidden starts")
    };
    let compute = ["compute", "--connect-timeout", "0.3", "6*7"];
    let directory = home.path().join("etc");
    let socket = runtime.join("bidden.sock");
    let endpoint = format!("ipc://{}", socket.display());
    let directory_text = directory.to_str().expect("UTF-8");
    let made = bidden(&["init", "--local", directory_text, "--user", "ann", "--listen", &endpoint]);
    assert!(made.status.success(), "{}", said(&made));
    let text = fs::read_to_string(directory.join("bidden.toml")).expect("there");
    assert!(text.contains(&format!("uid = {}", own_uid())), "{text}");
    assert!(!directory.join("server.key_secret").exists() && !home.path().join(".config").exists());
    let daemon = Daemon::in_directory(open_directory(), &text);
    assert_eq!(daemon.endpoint, endpoint);
    assert_computes(&bidden(&compute));
    assert_eq!(records(&daemon.log()).pop().expect("a record")["user"], "ann");
    assert!(!records(&daemon.log()).iter().any(|record| record["event"] == "handshake_failed"));
    // By name it is found, too, and needs no keys.
    let hosts = home.path().join(".config/bidden/hosts.toml");
    fs::create_dir_all(hosts.parent().expect("a directory")).expect("made");
    fs::write(&hosts, format!("[hosts.here]\nendpoint = '{endpoint}'\n")).expect("written");
    assert_computes(&bidden(&["compute", "--to", "here", "6*7"]));
    let directory = daemon.kill();
    let nobody = said(&bidden(&compute));
    assert!(nobody.contains("tcp://127.0.0.1:5555"), "a socket on which nobody listens is none: {nobody}");
    let _daemon = Daemon::again(directory);
    if is_root() {
        chown(&socket, Some(STRANGER), None).expect("given away");
        let foreign = said(&bidden(&compute));
        assert!(foreign.contains("tcp://127.0.0.1:5555"), "{foreign}");
    }
}

#[test]
fn without_users_of_the_machine_a_socket_is_for_the_servers_own_account() {
    let directory = open_directory();
    let socket = directory.path().join("bidden.sock");
    let endpoint = format!("ipc://{}", socket.display());
    let daemon = Daemon::listening(directory, &endpoint);
    let compute = ["compute", "--to", &endpoint, "6*7"];
    assert_computes(&ask(&compute));
    assert_eq!(records(&daemon.log()).pop().expect("a record")["user"], "local");
    if is_root() {
        fs::set_permissions(&socket, Permissions::from_mode(0o666)).expect("set");
        assert_eq!(ask_as(STRANGER, STRANGER, &[], &compute).status.code(), Some(126));
    }
}

#[test]
fn sudo_is_seen_through() {
    if !is_root() {
        return;
    }
    let home = open_directory();
    let directory = home.path().join("etc");
    let mut command = client(Path::new(BIDDEN), &["init", "--local", directory.to_str().expect("UTF-8")]);
    command.env("SUDO_UID", ANN.to_string()).env("SUDO_USER", "ann").env("HOME", home.path());
    let made = command.output().expect("bidden starts");
    assert!(made.status.success(), "{}", said(&made));
    let text = fs::read_to_string(directory.join("bidden.toml")).expect("there");
    for part in ["[users.ann]", &format!("uid = {ANN}"), "ipc:///run/bidden/bidden.sock", "mode = \"0666\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_start_says_who_each_listener_is_for() {
    let directory = open_directory();
    let socket = format!("ipc://{}/bidden.sock", directory.path().display());
    for (endpoint, said) in [
        ("tcp://127.0.0.1:*", "(plain text, for this machine only: every account of it is the user `local`)"),
        (&socket, "(for your own account alone, as the user `local`: no user has a `uid` or `group`)"),
    ] {
        let log = crate::daemon::log_in(directory.path());
        let mut command = client(Path::new(BIDDEN), &["serve", "--listen", endpoint, "--log"]);
        let mut server = command.arg(log).stderr(Stdio::piped()).spawn().expect("bidden starts");
        let mut line = String::new();
        let stderr = server.stderr.take().expect("stderr");
        std::io::BufReader::new(stderr).read_line(&mut line).expect("text");
        server.kill().expect("it runs");
        server.wait().expect("it was started");
        assert!(line.trim_end().ends_with(said), "{line}");
    }
}
