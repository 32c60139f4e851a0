//! The command line as a person uses it: what is printed where, which exit code, and what is said when it fails.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::daemon::{self, BIDDEN, Daemon};
use crate::printed::{self, text};

fn bidden(endpoint: &str) -> Command {
    let mut command = Command::new(BIDDEN);
    command.env("BIDDEN_TO", endpoint).stdin(Stdio::null());
    command
}

#[track_caller]
fn check(command: &mut Command, code: i32, stdout: &str, stderr: &str) {
    printed::check(&command.output().expect("bidden starts"), code, stdout, stderr);
}

#[test]
fn run_prints_where_it_belongs_and_ends_as_the_command_did() {
    let daemon = Daemon::start();
    let run = |arguments: &[&str]| {
        let mut command = bidden(&daemon.endpoint);
        command.arg("run").args(arguments);
        command
    };
    check(&mut run(&["ping", "127.0.0.1", "-c", "1"]), 0, "1 packets transmitted, 1 received", "");
    check(&mut run(&["ping", "-c", "1", "host.invalid"]), 2, "", "host.invalid");
    check(&mut run(&["uname", "-s"]), 0, "Linux\n", "");
    // What stands behind the command is the command's, even where bidden has an option of that name.
    check(&mut run(&["df", "-h"]), 0, "Filesystem", "");
    check(&mut run(&["uname", "--json"]), 126, "", "`--json` is not allowed here");
    check(&mut run(&["--json", "uname", "-s"]), 0, r#"{"status":"success","result":"Linux\n""#, "");
    check(&mut run(&["rm", "-rf", "/"]), 126, "", "bidden: this command is not available to you\n");
    check(
        &mut run(&["ping", "-f", "127.0.0.1"]),
        126,
        "",
        "`-f` is not allowed here; allowed: -c -4 -6 -n HOST",
    );
    check(
        &mut run(&["--timeout", "0.5", "ping", "-c", "20", "127.0.0.1"]),
        124,
        "64 bytes from 127.0.0.1",
        "bidden: the command was ended after 0.5 s",
    );
}

#[test]
fn compute_prints_the_value_and_points_at_what_is_wrong() {
    let daemon = Daemon::start();
    let compute = |arguments: &[&str]| {
        let mut command = bidden(&daemon.endpoint);
        command.arg("compute").args(arguments);
        command
    };
    check(&mut compute(&["(6 + 4) * 8"]), 0, "80\n", "");
    check(&mut compute(&["-7 // 2"]), 0, "-4\n", "");
    check(&mut compute(&["x ** 2 + y", "--var", "x=10", "--var", "y=0.5"]), 0, "100.5\n", "");
    check(&mut compute(&["--strict", "2 ** 60"]), 0, "{\"$int\":\"1152921504606846976\"}\n", "");
    check(&mut compute(&["--json", "1 < 2"]), 0, r#""result":true,"type":"bool""#, "");
    check(&mut compute(&["1/0"]), 1, "", "bidden: ZeroDivisionError: division by zero\n  1/0\n   ^\n");
    check(&mut compute(&["1 +"]), 1, "", "Invalid expression syntax");
    check(&mut compute(&["spam"]), 1, "", "Invalid variable name in expression");
    check(&mut compute(&["9**9**9**9"]), 125, "", "bidden:");
    check(&mut compute(&["x", "--var", "x"]), 125, "", "NAME=NUMBER");
    check(&mut compute(&["x", "--var", "x=1,\"y\":2"]), 125, "", "a number as JSON spells it");
    check(&mut compute(&["--functions"]), 0, "math.sqrt(x", "");
}

#[test]
fn send_passes_both_ways_unchanged() {
    let daemon = Daemon::start();
    let send = |input: &[u8]| {
        let mut child = bidden(&daemon.endpoint)
            .args(["send", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bidden starts");
        // A request that is too long is not read to its end.
        let _ = child.stdin.take().expect("stdin").write_all(input);
        child.wait_with_output().expect("ended")
    };
    let replied = |output: Output, code: i32, start: &str| {
        assert_eq!(output.status.code(), Some(code));
        assert!(text(&output.stdout).starts_with(start), "{}", text(&output.stdout));
        assert!(text(&output.stdout).ends_with("}\n"));
    };
    replied(
        send(br#"{"command_type": "compute", "expression": "6*7", "id": "x"}"#),
        0,
        r#"{"status":"success","result":42,"type":"int","id":"x","duration_ms":"#,
    );
    replied(send(b"no JSON"), 125, r#"{"status":"error","message":"the request is not a JSON object""#);
    replied(
        send(&vec![b'['; 200_000]),
        125,
        r#"{"status":"error","message":"the request is longer than 65536 bytes""#,
    );
    let mut late = bidden(&daemon.endpoint);
    let ping = daemon.log().with_file_name("ping.json");
    let request = br#"{"command_type":"os","command_name":"ping","parameters":["127.0.0.1"]}"#;
    std::fs::write(&ping, request).expect("written");
    check(late.args(["send", "--timeout", "0.2"]).arg(ping), 124, "", "no reply came within 0.2 s");
    let mut missing = bidden(&daemon.endpoint);
    check(
        missing.args(["send", "/nonexistent/file"]),
        125,
        "",
        "cannot read /nonexistent/file: No such file",
    );
}

#[test]
fn without_a_server_it_says_so_in_time() {
    let began = Instant::now();
    let mut command = bidden("tcp://127.0.0.1:1");
    command.args(["compute", "--connect-timeout", "0.3", "1"]);
    check(
        &mut command,
        125,
        "",
        "no server answered at tcp://127.0.0.1:1 within 0.3 s; start one there with `bidden serve`",
    );
    assert!(began.elapsed() < Duration::from_secs(5));
    for endpoint in ["http://localhost:5555", "tcp://127.0.0.1:0", "tcp://127.0.0.1:99999", "tcp://"] {
        let mut command = bidden("");
        command.args(["compute", "1", "--to", endpoint]);
        check(&mut command, 125, "", "is not an endpoint; write it as tcp://HOST:PORT");
    }
}

#[test]
fn a_server_that_goes_away_is_noticed() {
    let mut daemon = Daemon::start();
    let client = bidden(&daemon.endpoint)
        .args(["run", "--timeout", "3", "ping", "-c", "20", "127.0.0.1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bidden starts");
    daemon.wait_for_start_of_command();
    daemon.signal(Signal::KILL);
    daemon.wait();
    let output = client.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(125));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("the connection to the server was lost and could not be made again: no server"),
        "{stderr}"
    );
    assert!(stderr.contains("whether the request was executed is unknown"), "{stderr}");
}

#[test]
fn serve_says_what_keeps_it_from_starting() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("server.log");
    let serve = |arguments: &[&str]| {
        let mut command = Command::new(BIDDEN);
        command.arg("serve").args(arguments).current_dir(directory.path()).stdin(Stdio::null());
        command
    };
    let daemon = Daemon::start();
    check(&mut serve(&["--listen", &daemon.endpoint]), 125, "", "cannot listen on tcp://127.0.0.1:");
    check(&mut serve(&["--listen", "tcp://*:5555"]), 125, "", "can be reached by other machines");
    check(&mut serve(&["--listen", "tcp://0.0.0.0:0"]), 125, "", "can be reached by other machines");
    check(&mut serve(&["--listen", "5555"]), 125, "", "is not an endpoint; write it as tcp://ADDRESS:PORT");
    check(&mut serve(&["--listen", "tcp://127.0.0.1:x"]), 125, "", "is not an endpoint");
    let any_port = ["--listen", "tcp://127.0.0.1:0", "--log"];
    let with_log = |log: &str| serve(&[&any_port[..], &[log]].concat());
    check(
        &mut with_log("/nonexistent/server.log"),
        125,
        "",
        "cannot write the log /nonexistent/server.log: No such file or directory (os error 2)\n",
    );
    check(&mut with_log("/"), 125, "", "/ cannot be the log: it is a directory");
    check(&mut with_log("/dev/full"), 125, "", "/dev/full cannot be the log: it is a device");
    std::fs::write(&log, "INFO:root:Received\n").expect("written");
    check(&mut with_log("server.log"), 125, "", "server.log is not a log of bidden: move it away");
    check(
        &mut with_log(daemon.log().to_str().expect("UTF-8")),
        125,
        "",
        "is in use by another bidden server",
    );
}

#[test]
fn signals_stop_it_in_order() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut daemon = Daemon::start();
        let client = bidden(&daemon.endpoint)
            .args(["run", "ping", "-c", "2", "127.0.0.1"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("bidden starts");
        daemon.wait_for_start_of_command();
        daemon.signal(signal);
        let output = client.wait_with_output().expect("ended");
        assert!(output.status.success() && text(&output.stdout).contains("2 packets transmitted"));
        assert_eq!(daemon.wait().code(), Some(0));
        let records = daemon::records(&daemon.log());
        let events: Vec<_> = records.iter().filter_map(|record| record["event"].as_str()).collect();
        assert_eq!(events, ["server_started", "started", "ended", "answered", "server_stopped"]);
    }
}

#[test]
fn a_second_signal_ends_what_runs() {
    let mut daemon = Daemon::start();
    let client = bidden(&daemon.endpoint)
        .args(["run", "ping", "-c", "20", "127.0.0.1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bidden starts");
    daemon.wait_for_start_of_command();
    daemon.signal(Signal::INT);
    let mut new_work = bidden(&daemon.endpoint);
    check(new_work.args(["compute", "1"]), 125, "", "the server is stopping; try again in");
    daemon.signal(Signal::INT);
    let output = client.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("ended because the server is stopping"));
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn the_demo_shows_both_examples() {
    let output = Command::new(BIDDEN).arg("demo").output().expect("bidden starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    for part in ["4 packets transmitted, 4 received", "(6 + 4) * 8", "result   80", "server.log"] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[test]
fn help_and_usage_errors_are_told_apart() {
    let bidden = |arguments: &[&str]| {
        let mut command = Command::new(BIDDEN);
        command.args(arguments);
        command
    };
    check(&mut bidden(&["--help"]), 0, "bidden compute '(6 + 4) * 8'", "");
    check(&mut bidden(&["--version"]), 0, "bidden 0.", "");
    for mode in ["serve", "run", "compute", "commands", "policy", "send", "demo"] {
        check(&mut bidden(&[mode, "--help"]), 0, "Usage:", "");
    }
    check(&mut bidden(&[]), 125, "", "Start here:");
    check(&mut bidden(&["compute"]), 125, "", "<EXPRESSION>");
    check(&mut bidden(&["compute", "1", "--timeout", "0"]), 125, "", "must be above 0");
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let mut child = Command::new(BIDDEN)
        .arg("demo")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("cannot print"), "{}", text(&output.stderr));
}

#[test]
fn a_log_is_checked_through_rotation_and_a_broken_one_is_told() {
    let limits = "[limits]\nlog_bytes = 65536\n[users.local]\nroles = ['computes']\n[roles.computes]\nrights = ['compute']\n";
    let daemon = Daemon::configured(limits);
    let sum = format!("{}1", "1 + ".repeat(10_000));
    for _ in 0..3 {
        let mut compute = bidden(&daemon.endpoint);
        check(compute.args(["compute", &sum]), 0, "10001\n", "");
    }
    daemon.signal(Signal::HUP);
    let log = daemon.log();
    let verify = |json: bool| {
        let mut command = bidden("");
        command.args(["log", "verify"]).arg(&log).args(json.then_some("--json"));
        command
    };
    check(&mut verify(false), 0, ": records 1 to ", "");
    check(&mut verify(true), 0, "\"unbroken\":true", "");
    let rotated = || std::fs::read_dir(log.parent().expect("a directory")).expect("read");
    while !rotated().any(|entry| entry.expect("an entry").path().extension().is_some_and(|gz| gz == "gz")) {
        std::thread::sleep(Duration::from_millis(5));
    }
    check(&mut verify(false), 0, " files are unbroken\nlast hash: ", "");
    drop(daemon);
    let daemon = Daemon::start();
    check(bidden(&daemon.endpoint).args(["compute", "6*7"]), 0, "42\n", "");
    let other = tempfile::tempdir().expect("a directory");
    let altered = other.path().join("server.log");
    std::fs::write(&altered, std::fs::read_to_string(daemon.log()).expect("text").replace("6*7", "6*8"))
        .expect("written");
    // The last record is followed by nothing that could tell; the next one is.
    check(bidden("").args(["log", "verify"]).arg(&altered), 0, "records 1 to 2", "");
    check(bidden(&daemon.endpoint).args(["compute", "1"]), 0, "1\n", "");
    let log = std::fs::read_to_string(daemon.log()).expect("text");
    let last = log.lines().last().expect("records");
    let text = std::fs::read_to_string(&altered).expect("text");
    std::fs::write(&altered, format!("{text}{last}\n")).expect("written");
    check(
        bidden("").args(["log", "verify"]).arg(&altered),
        1,
        "",
        "server.log:3: record 3 was not written after the line before it",
    );
    check(
        bidden("").args(["log", "verify", "/nonexistent/log"]),
        125,
        "",
        "there is no log /nonexistent/log",
    );
}
