//! Files of a log that come, go and get other names while a real server writes it: by logrotate(8), by hand, and by who may
//! not read them. What is done to files without a server is in `crates/server/src/log/hands.rs`.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{BIDDEN, Daemon};
use crate::jailed::permit;
use crate::printed::{self, text};

const PATIENCE: Duration = Duration::from_secs(10);

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

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn said(daemon: &Daemon, what: &str) -> bool {
    daemon.stderr().iter().any(|line| line.contains(what))
}

/// The expressions that the history shows.
fn computed(daemon: &Daemon) -> Vec<String> {
    let output = bidden(daemon, &["history", "--json"]).output().expect("bidden starts");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let rows = text(&output.stdout).lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    rows.filter_map(|row| Some(row["expression"].as_str()?.to_owned())).collect()
}

fn names(daemon: &Daemon) -> Vec<String> {
    let entries = std::fs::read_dir(daemon.log().parent().expect("a directory")).expect("read");
    let names = entries.map(|entry| entry.expect("read").file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("server.log")).collect();
    names.sort();
    names
}

fn is_compressed(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "gz")
}

fn logrotate() -> Option<PathBuf> {
    let places = ["/usr/sbin/logrotate", "/usr/bin/logrotate", "/sbin/logrotate"].map(PathBuf::from);
    places.into_iter().find(|place| place.exists())
}

/// Rotates the log twice with these directives, a computation before and after each time, and checks that nothing is missing.
fn rotated_with(program: &Path, directives: &str, is_made: impl Fn(&str) -> bool) {
    let daemon = Daemon::configured("");
    let away = tempfile::tempdir().expect("a directory");
    let (configuration, state) = (away.path().join("logrotate.conf"), away.path().join("state"));
    // It asks for a directory that others do not write, and a log's owner may be another than root.
    permit(daemon.log().parent().expect("a directory"), 0o755);
    let directives = directives.replace("HANGUP", &format!("kill -HUP {}", daemon.pid()));
    std::fs::write(&configuration, format!("{} {{\nrotate 9\n{directives}\n}}\n", daemon.log().display()))
        .expect("written");
    let mut expected = Vec::new();
    for round in 0..2 {
        let compute = |number: u32| {
            let expression = format!("{round}+{number}");
            let value = format!("{}\n", round + number);
            check(&mut bidden(&daemon, &["compute", &expression]), 0, &value, "");
            expression
        };
        expected.push(compute(0));
        let is_reopened = daemon.log().metadata().expect("a log").ino();
        let mut command = Command::new(program);
        command.arg("--force").arg("--state").arg(&state).arg(&configuration).stdin(Stdio::null());
        let output = command.output().expect("logrotate");
        assert!(output.status.success(), "{directives}: {}", text(&output.stderr));
        if directives.contains("kill") {
            wait_until("the server goes on in the new file", || {
                daemon.log().metadata().is_ok_and(|file| file.ino() != is_reopened && file.len() > 0)
            });
        }
        expected.push(compute(1));
        // Dates as names: the second one must differ from the first.
        for name in names(&daemon).into_iter().filter(|name| name.starts_with("server.log-")) {
            let from = daemon.log().with_file_name(&name);
            let to = daemon.log().with_file_name(name.replacen("log-20", &format!("log-1{round}"), 1));
            std::fs::rename(from, to).expect("moved");
        }
    }
    let names = names(&daemon);
    assert!(names.len() == 3 && names.iter().skip(1).all(|name| is_made(name)), "{directives}: {names:?}");
    let mut verify = bidden(&daemon, &["log", "verify", "server.log"]);
    check(&mut verify, 0, "in 3 files are unbroken", "");
    assert_eq!(computed(&daemon), expected, "{directives}");
    // The next server finds the end of the chain.
    let daemon = daemon.killed_and_started_again();
    check(&mut bidden(&daemon, &["log", "verify", "server.log"]), 0, "in 3 files are unbroken", "");
    assert_eq!(computed(&daemon), expected, "{directives}");
}

#[test]
fn logrotate_itself_loses_nothing() {
    let Some(program) = logrotate() else {
        eprintln!("SKIPPED: logrotate_itself_loses_nothing: there is no logrotate(8) here");
        return;
    };
    let signalled = "postrotate\nHANGUP\nsleep 1\nendscript";
    let numbered = |name: &str| name.ends_with(".1") || name.ends_with(".2");
    rotated_with(&program, &format!("create\n{signalled}"), numbered);
    rotated_with(&program, &format!("nocreate\n{signalled}"), numbered);
    // Nobody tells the server: it sees that another file is there.
    rotated_with(&program, "create\npostrotate\nsleep 2\nendscript", numbered);
    rotated_with(&program, "copytruncate", numbered);
    rotated_with(&program, &format!("create\ndateext\ncompress\n{signalled}"), |name| {
        name.starts_with("server.log-") && is_compressed(name)
    });
    rotated_with(&program, &format!("create\ncompress\ndelaycompress\n{signalled}"), |name| {
        name == "server.log.1" || name == "server.log.2.gz"
    });
    rotated_with(&program, "copytruncate\ndateext\ndateformat -%Y%m%d-%s\ncompress", is_compressed);
}

#[test]
fn a_log_that_is_removed_is_noticed_without_a_request_and_without_a_signal() {
    let daemon = Daemon::configured("");
    check(&mut bidden(&daemon, &["compute", "1+1"]), 0, "2\n", "");
    std::fs::rename(daemon.log(), daemon.log().with_file_name("server.log.1")).expect("moved");
    daemon.signal(Signal::HUP);
    wait_until("the next file", || daemon.log().metadata().is_ok_and(|file| file.len() > 0));
    check(&mut bidden(&daemon, &["compute", "2+2"]), 0, "4\n", "");
    std::fs::remove_file(daemon.log()).expect("removed");
    wait_until("another file", || daemon.log().exists());
    wait_until("a word of it", || said(&daemon, "server.log was removed by someone else, with the records "));
    check(&mut bidden(&daemon, &["compute", "3+3"]), 0, "6\n", "");
    check(&mut bidden(&daemon, &["metrics"]), 0, "bidden_log_files_lost_total 1\n", "");
    check(&mut bidden(&daemon, &["metrics"]), 0, "bidden_log_writable 1\n", "");
    let missing = " are missing, between ";
    let told = "was removed while the server wrote it";
    check(&mut bidden(&daemon, &["log", "verify"]), 1, "records 1 to ", missing);
    check(&mut bidden(&daemon, &["log", "verify"]), 1, "records 1 to ", told);
    check(&mut bidden(&daemon, &["log", "verify", "--json"]), 1, "\"missing\":[{\"first\":", "");
    let began = Instant::now();
    check(&mut bidden(&daemon, &["history"]), 0, "3+3", missing);
    check(
        &mut bidden(&daemon, &["history", "--to", &daemon.endpoint]),
        0,
        "1+1",
        "of the server's log are missing",
    );
    assert!(began.elapsed() < PATIENCE);
    // Without a server nobody can say what was in it.
    let mut daemon = daemon;
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().success());
    std::fs::remove_file(daemon.log()).expect("removed");
    let there = "server.log itself is not there: the latest records may be missing";
    check(&mut bidden(&daemon, &["log", "verify"]), 0, "in 1 file are unbroken", there);
    check(&mut bidden(&daemon, &["history"]), 0, "1+1", there);
}

#[test]
fn what_is_no_log_is_said_to_be_none_once_and_without_waiting() {
    let daemon = Daemon::start();
    let directory = daemon.log().parent().expect("a directory").to_owned();
    std::fs::write(directory.join("garbage"), "hello\n").expect("written");
    std::fs::write(directory.join("empty"), "").expect("written");
    std::fs::create_dir(directory.join("here")).expect("made");
    let made = Command::new("mkfifo").arg(directory.join("fifo")).status().expect("mkfifo");
    assert!(made.success());
    let began = Instant::now();
    for (name, verify, history) in [
        (
            "nope.log",
            "there is no log nope.log",
            "cannot read the log nope.log: No such file or directory (os error 2)\n",
        ),
        (
            "no/pe.log",
            "there is no log no/pe.log",
            "cannot read the log no/pe.log: No such file or directory (os error 2)\n",
        ),
        (
            "garbage",
            "garbage is not a log of bidden\n",
            "cannot read the log garbage: it is not a log of bidden\n",
        ),
        ("fifo", "cannot read fifo: it is a FIFO or a pipe, and a log is a file\n", "it is a FIFO or a pipe"),
        ("here", "cannot read here: it is a directory, and a log is a file\n", "it is a directory"),
    ] {
        check(&mut bidden(&daemon, &["log", "verify", name]), 125, "", verify);
        check(&mut bidden(&daemon, &["history", "--log", name]), 125, "", history);
        check(&mut bidden(&daemon, &["history", "--follow", "--log", name]), 125, "", history);
    }
    check(&mut bidden(&daemon, &["log", "verify", "empty"]), 125, "", "empty has no record\n");
    check(&mut bidden(&daemon, &["history", "--log", "empty"]), 0, "", "");
    let serve = |log: &str| bidden(&daemon, &["serve", "--listen", "tcp://127.0.0.1:0", "--log", log]);
    for (log, what) in [
        ("-", "- cannot be the log: it would be the standard output"),
        ("fifo", "it is a FIFO or a pipe"),
        ("here", "it is a directory"),
        ("/dev/null", "it is a device"),
        ("/dev/stdout", "it is a FIFO or a pipe"),
        ("garbage", "garbage is not a log of bidden"),
    ] {
        check(&mut serve(log), 125, "", what);
    }
    assert!(!directory.join("-").exists());
    assert!(began.elapsed() < PATIENCE * 3, "{:?}", began.elapsed());
}

#[test]
fn who_may_not_read_a_file_is_told_which() {
    let daemon = Daemon::configured("");
    for number in 1..=3 {
        check(&mut bidden(&daemon, &["compute", "1+1"]), 0, "2\n", "");
        std::fs::rename(daemon.log(), daemon.log().with_file_name(format!("server.log.{number}")))
            .expect("moved");
        daemon.signal(Signal::HUP);
        wait_until("the next file", || daemon.log().metadata().is_ok_and(|file| file.len() > 0));
    }
    let directory = daemon.log().parent().expect("a directory").to_owned();
    permit(&directory, 0o755);
    permit(directory.parent().expect("a directory"), 0o755);
    for name in names(&daemon) {
        permit(&directory.join(name), 0o644);
    }
    // As another user, who may read the program.
    let program = directory.join("bidden");
    std::fs::copy(BIDDEN, &program).expect("copied");
    permit(&program, 0o755);
    let other = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments).current_dir(&directory).stdin(Stdio::null());
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        command
    };
    check(&mut other(&["log", "verify"]), 0, "in 4 files are unbroken", "");
    // One that is not needed.
    std::fs::write(directory.join("server.log.secret"), "x").expect("written");
    permit(&directory.join("server.log.secret"), 0o000);
    check(&mut other(&["log", "verify"]), 0, "in 4 files are unbroken", "");
    check(&mut other(&["history"]), 0, "1+1", "");
    for (number, what) in [(2, " are missing, between "), (1, " are missing, before ")] {
        let name = format!("server.log.{number}");
        permit(&directory.join(&name), 0o000);
        let denied = format!("{name} is not read: Permission denied");
        check(&mut other(&["log", "verify"]), 1, "records ", what);
        check(&mut other(&["log", "verify"]), 1, "records ", &denied);
        check(&mut other(&["history"]), 0, "1+1", &denied);
        permit(&directory.join(&name), 0o644);
    }
    permit(&daemon.log(), 0o000);
    check(
        &mut other(&["log", "verify"]),
        125,
        "",
        "cannot read server.log: Permission denied (os error 13)\n",
    );
    check(
        &mut other(&["history"]),
        125,
        "",
        "cannot read the log server.log: Permission denied (os error 13)\n",
    );
}

#[test]
fn a_shipper_may_read_what_the_configuration_says_whatever_the_umask() {
    let group = rustix::process::getegid().as_raw();
    let text = format!("[server]\nlog_mode = '0640'\nlog_group = '{group}'\n[limits]\nlog_bytes = 65536\n");
    let daemon = Daemon::with_umask("077", &text);
    let mode = |name: &str| {
        let file = daemon.log().with_file_name(name).metadata().expect("a file");
        (file.permissions().mode() & 0o7777, file.gid())
    };
    assert_eq!(mode("server.log"), (0o640, group));
    let expression = format!("1{}", "+0".repeat(1000));
    wait_until("a rotated file", || {
        check(&mut bidden(&daemon, &["compute", &expression]), 0, "1\n", "");
        names(&daemon).len() > 1
    });
    wait_until("all rotated files are compressed", || {
        names(&daemon).iter().skip(1).all(|name| is_compressed(name))
    });
    for name in names(&daemon) {
        assert_eq!(mode(&name), (0o640, group), "{name}");
    }
    for (line, what) in [
        ("log_mode = '0660'", "`server.log_mode` must be \"0600\", \"0640\""),
        ("log_mode = 640", "must be a string"),
        (
            "log_group = 'no-such-group'",
            "`server.log_group` names `no-such-group`, and there is no such group",
        ),
    ] {
        let path = daemon.log().with_file_name("wrong.toml");
        std::fs::write(&path, format!("[server]\n{line}\n")).expect("written");
        check(&mut bidden(&daemon, &["policy", "check", "wrong.toml"]), 1, "", what);
    }
}
