//! A log that is sealed, from the key to the proof, by what a person types.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::daemon::{BIDDEN, Daemon, log_in};
use crate::printed::{self, text};

const SEALED: &str =
    "[[listeners]]\nendpoint = 'tcp://127.0.0.1:*'\nplain = true\n[server]\nseal = 'server.seal'\n";

fn bidden(arguments: &[&str]) -> Command {
    let mut command = Command::new(BIDDEN);
    command.args(arguments).stdin(Stdio::null()).env_remove("BIDDEN_CONFIG");
    command
}

#[track_caller]
fn check(command: &mut Command, code: i32, stdout: &str, stderr: &str) {
    printed::check(&command.output().expect("bidden starts"), code, stdout, stderr);
}

/// Makes the state, and returns the key that it is verified with.
fn keygen(directory: &Path) -> String {
    let state = directory.join("server.seal");
    let output = bidden(&["log", "keygen"]).arg(&state).output().expect("bidden starts");
    assert!(output.status.success() && text(&output.stderr).contains("put it away from this machine"));
    assert_eq!(state.metadata().expect("a state").permissions().mode() & 0o777, 0o600);
    text(&output.stdout).trim().to_owned()
}

fn compute(daemon: &Daemon) {
    check(bidden(&["compute", "6*7"]).env("BIDDEN_TO", &daemon.endpoint), 0, "42\n", "");
}

#[test]
fn a_sealed_log_is_proved_with_the_key_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let kept = tempfile::tempdir().expect("a directory");
    let key = keygen(directory.path());
    let (log, state) = (log_in(directory.path()), directory.path().join("server.seal"));
    let key_file = kept.path().join("seal.key");
    std::fs::write(&key_file, format!("{key}\n")).expect("written");
    let daemon = Daemon::in_directory(directory, SEALED);
    compute(&daemon);
    // While the server runs: within a second everything is sealed.
    let sealed = || {
        let content = std::fs::read_to_string(&log).expect("a log");
        content.lines().last().is_some_and(|line| line.contains("\"event\":\"sealed\""))
    };
    while !sealed() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let verify = |arguments: &[&str]| {
        let mut command = bidden(&["log", "verify"]);
        command.args(arguments).arg(&log);
        command
    };
    let state_path = state.to_str().expect("UTF-8");
    let with_state = ["--key", &key, "--state", state_path];
    check(
        &mut verify(&with_state),
        0,
        "are as they were written, unless somebody had broken in before seal ",
        "",
    );
    check(&mut verify(&[]), 0, "--key with that key checks the seals", "");
    check(
        &mut verify(&["--key-file", key_file.to_str().expect("UTF-8")]),
        0,
        "--state with the server's",
        "",
    );
    check(&mut verify(&[&with_state[..], &["--json"]].concat()), 0, "\"checked\":true,\"complete\":true", "");
    check(&mut verify(&["--key", &"0".repeat(64)]), 1, "", "which is none of those given");
    check(&mut verify(&["--key", "12"]), 125, "", "it has 64 digits");
    check(&mut verify(&["--key-file", state_path]), 125, "", "holds something else than keys");
    check(
        &mut verify(&["--state", "/nonexistent/seal"]),
        125,
        "",
        "there is no sealing state /nonexistent/seal",
    );
    // At its end the server seals the rest, and keeps nothing of the keys before.
    let copy = kept.path().join("server.log");
    std::fs::copy(&log, &copy).expect("copied");
    drop_in_order(daemon, |daemon| {
        check(&mut verify(&with_state), 0, "as they were written", "");
        assert!(sealed());
        let earlier = std::fs::read_to_string(&copy).expect("text");
        std::fs::write(&log, earlier).expect("written");
        check(&mut verify(&with_state), 1, "", "the end is missing: by the sealing state ");
        daemon
    });
}

/// Stops a server in order, keeps its directory for what is still to be seen, and then lets it go.
fn drop_in_order(mut daemon: Daemon, then: impl FnOnce(Daemon) -> Daemon) {
    daemon.signal(rustix::process::Signal::TERM);
    assert!(daemon.wait().success());
    drop(then(daemon));
}

#[test]
fn a_server_that_cannot_seal_does_not_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let configuration = directory.path().join("bidden.toml");
    std::fs::write(&configuration, SEALED).expect("written");
    let serve = |directory: &TempDir| {
        let mut command = bidden(&["serve", "--config"]);
        command.arg(&configuration).arg("--log").arg(log_in(directory.path()));
        command
    };
    let other = tempfile::tempdir().expect("a directory");
    check(&mut serve(&directory), 125, "", "server.seal; `bidden log keygen ");
    let key = keygen(directory.path());
    assert_eq!(key.len(), 64);
    let state = directory.path().join("server.seal");
    check(bidden(&["log", "keygen"]).arg(&state), 125, "", "is never overwritten");
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o644)).expect("set");
    check(&mut serve(&directory), 125, "", "others can read it (mode 0644)");
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o600)).expect("set");
    let log_of = |directory: &TempDir| log_in(directory.path()).to_str().expect("UTF-8").to_owned();
    let log = log_of(&directory);
    let state_path = state.to_str().expect("UTF-8").to_owned();
    let daemon = Daemon::in_directory(directory, SEALED);
    compute(&daemon);
    let second = ["serve", "--listen", "tcp://127.0.0.1:0", "--seal", &state_path, "--log", &log_of(&other)];
    check(&mut bidden(&second), 125, "", "is in use by another bidden server");
    drop_in_order(daemon, |daemon| {
        // The same state for another log, or for what is left of this one.
        check(&mut bidden(&second), 125, "", "does not go on from what");
        std::fs::remove_file(&log).expect("removed");
        let again = ["serve", "--listen", "tcp://127.0.0.1:0", "--seal", &state_path, "--log", &log];
        check(&mut bidden(&again), 125, "", "and the log has none");
        daemon
    });
}
