//! `bidden history` beside a real server: what a person and a program see of what was done.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::daemon::{BIDDEN, Daemon};
use crate::printed;

fn bidden(daemon: &Daemon, arguments: &[&str]) -> Command {
    let mut command = Command::new(BIDDEN);
    command.args(arguments).env("BIDDEN_TO", &daemon.endpoint).stdin(Stdio::null());
    command.current_dir(daemon.log().parent().expect("a directory"));
    command
}

#[track_caller]
fn check(command: &mut Command, code: i32, stdout: &str, stderr: &str) {
    printed::check(&command.output().expect("bidden starts"), code, stdout, stderr);
}

#[test]
fn who_did_what_when_and_with_what_result() {
    let daemon = Daemon::start();
    check(&mut bidden(&daemon, &["run", "uname", "-s"]), 0, "Linux\n", "");
    check(&mut bidden(&daemon, &["compute", "6*7"]), 0, "42\n", "");
    check(&mut bidden(&daemon, &["run", "rm", "-rf", "/"]), 126, "", "not available");
    check(&mut bidden(&daemon, &["run", "ping", "-c", "1", "host.invalid"]), 2, "", "host.invalid");
    let history = |arguments: &[&str]| bidden(&daemon, &[&["history"], arguments].concat());
    let output = history(&[]).output().expect("bidden starts");
    let table = printed::text(&output.stdout);
    let rows: Vec<_> = table.lines().collect();
    assert_eq!(rows.len(), 5, "{table}");
    for (row, parts) in rows.iter().zip([
        ["WHEN (UTC)", "WHO", "WHAT"],
        ["local", "  ok ", "  uname -s"],
        ["local", "  42 ", "  6*7"],
        ["local", "  refused ", "  rm -rf /"],
        ["local", "  exit 2 ", "  ping -c 1 host.invalid"],
    ]) {
        assert!(parts.iter().all(|part| row.contains(part)), "{row} has not {parts:?}");
    }
    assert!(!table.contains('\u{1b}'), "no colour goes into a pipe");
    check(&mut history(&["--failed", "--command", "ping"]), 0, "ping -c 1 host.invalid\n", "");
    check(&mut history(&["--max", "1"]), 0, "ping", "3 earlier rows are not shown; --max shows more");
    check(&mut history(&["--user", "nobody"]), 0, "", "");
    let of_server = ["--to", &daemon.endpoint, "--failed", "--command", "ping"];
    check(&mut history(&of_server), 0, "ping -c 1 host.invalid\n", "");
    check(&mut history(&["--to", "x", "--follow"]), 125, "", "cannot be used with");
    check(&mut history(&["--since", "tomorrow"]), 125, "", "write it as 90s, 30m, 2h, 7d, 2026-11-24");
    check(&mut history(&["--since", "1h", "--json", "--command", "uname"]), 0, r#""exit_code":0"#, "");
    check(
        &mut history(&["--log", "/nonexistent/log"]),
        125,
        "",
        "cannot read the log /nonexistent/log: No such file",
    );
    let json = history(&["--json"]).output().expect("bidden starts");
    let rows: Vec<Value> =
        printed::text(&json.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((rows.len(), &rows[1]["result"]), (5, &Value::from(42)));
    assert_eq!(rows[0]["parameters"], serde_json::json!(["-s"]));
}

#[test]
fn it_follows_the_log_until_ctrl_c() {
    let daemon = Daemon::start();
    check(&mut bidden(&daemon, &["compute", "1+1"]), 0, "2\n", "");
    let mut child = bidden(&daemon, &["history", "--follow", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bidden starts");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let mut next =
        || -> Value { serde_json::from_str(&lines.next().expect("a row").expect("text")).expect("JSON") };
    assert_eq!(next()["expression"], "1+1");
    for _ in 0..2 {
        check(&mut bidden(&daemon, &["run", "uname", "-s"]), 0, "Linux\n", "");
        assert_eq!(next()["command"], "uname");
    }
    // As logrotate(8) does it, but that this server, which has no configuration, does not go on in another file.
    std::fs::rename(daemon.log(), daemon.log().with_file_name("server.log.1")).expect("moved");
    check(&mut bidden(&daemon, &["compute", "2+2"]), 0, "4\n", "");
    assert_eq!(next()["expression"], "2+2");
    rustix::process::kill_process(Pid::from_child(&child), Signal::INT).expect("it is there");
    let output = child.wait_with_output().expect("ended");
    assert_eq!((output.status.code(), printed::text(&output.stderr)), (Some(0), ""));
}
