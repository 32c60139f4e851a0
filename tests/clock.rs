//! Steps of the wall clock, in both directions, while a server lives and between two of them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use transport::{Connection, Security};

use crate::daemon::{BIDDEN, Daemon, log_in, records};
use crate::served::ask;

/// Debian's libfaketime, which gives a program another wall clock.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

const HOURS: [&str; 5] = ["+0", "+2h", "-2h", "+400000d", "+0"];

/// A server whose wall clock is ahead by what stands in a file beside its log, where it may read.
fn serve(directory: tempfile::TempDir) -> Daemon {
    let mut command = Command::new(BIDDEN);
    command
        .env("LD_PRELOAD", LIBRARY)
        .env("FAKETIME_TIMESTAMP_FILE", log_in(directory.path()).with_file_name("clock"))
        .env("FAKETIME_NO_CACHE", "1")
        // Its other clocks are not the wall clock.
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    Daemon::served_by(command, directory)
}

fn set(clock: &Path, ahead: &str) {
    let new = clock.with_extension("new");
    std::fs::write(&new, ahead).expect("written");
    std::fs::rename(new, clock).expect("moved");
}

fn configuration(more: &str) -> String {
    format!(
        "[[listeners]]\nendpoint = 'tcp://127.0.0.1:*'\nplain = true\n\
         [commands.sleep]\nprogram = '/bin/sleep'\nseparator = false\ntimeout = '20s'\n\
         operands = [{{ name = 'seconds', type = 'integer', min = 0, max = 1000 }}]\n{more}"
    )
}

fn begin(more: &str) -> Option<tempfile::TempDir> {
    if !Path::new(LIBRARY).exists() {
        eprintln!("SKIPPED: tests of the wall clock: there is no {LIBRARY} (Debian's package faketime)");
        return None;
    }
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("bidden.toml"), configuration(more)).expect("written");
    set(&log_in(directory.path()).with_file_name("clock"), "+0");
    Some(directory)
}

async fn connect(daemon: &Daemon) -> Connection {
    Connection::open(&daemon.endpoint, &Security::Plain, Duration::from_secs(10)).await.expect("connected")
}

fn sleep(seconds: u32, more: &Value) -> String {
    let mut request =
        json!({"command_type": "os", "command_name": "sleep", "parameters": [seconds.to_string()]});
    request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    request.to_string()
}

#[tokio::test]
async fn no_step_of_the_wall_clock_makes_a_command_run_twice() {
    let Some(directory) = begin("") else { return };
    let clock = log_in(directory.path()).with_file_name("clock");
    let mut daemon = serve(directory);
    let connection = connect(&daemon).await;
    let request = sleep(0, &json!({"id": "once"}));
    let first = ask(&connection, &request).await;
    assert_eq!(first["exit_code"], 0, "{first}");
    for ahead in HOURS {
        set(&clock, ahead);
        let again = ask(&connection, &request).await;
        assert_eq!((&again["exit_code"], &again["job"]), (&json!(0), &first["job"]), "{ahead}");
    }
    let times: Vec<_> = records(&daemon.log()).iter().map(|record| record["time"].to_string()).collect();
    assert!(!times.is_sorted(), "the wall clock was put forward and back: {times:?}");
    let mut clock = clock;
    for ahead in HOURS {
        let directory = daemon.kill();
        clock = log_in(directory.path()).with_file_name("clock");
        set(&clock, ahead);
        daemon = serve(directory);
        let again = ask(&connect(&daemon).await, &request).await;
        let is_known = again["code"] == "gone" || again["job"] == first["job"];
        assert!(is_known, "{ahead}: {again}");
    }
    set(&clock, "+0");
}

#[tokio::test]
async fn no_step_of_the_wall_clock_ends_a_command_or_fills_a_rate() {
    let Some(directory) = begin("[limits]\nrequests_per_second = 3\n") else { return };
    let clock = log_in(directory.path()).with_file_name("clock");
    let daemon = serve(directory);
    let connection = connect(&daemon).await;
    let running = sleep(2, &json!({"id": "long", "timeout": 15}));
    connection.send(running.into_bytes(), vec![]).await.expect("sent");
    while !records(&daemon.log()).iter().any(|record| record["event"] == "started") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for ahead in ["+2h", "-2h", "+2h"] {
        set(&clock, ahead);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let ended = crate::served::receive(&connection).await;
    assert_eq!(ended["exit_code"], 0, "{ended}");
    // A second's worth is saved up; after that a step gives none.
    let mut answered = 0;
    let began = std::time::Instant::now();
    for ahead in HOURS.iter().cycle().take(20) {
        set(&clock, ahead);
        let reply = ask(&connection, r#"{"command_type": "compute", "expression": "1"}"#).await;
        answered += u32::from(reply["status"] == "success");
    }
    let most = 3.0 + 3.0 * began.elapsed().as_secs_f64() + 1.0;
    assert!(f64::from(answered) <= most, "{answered} answered where {most} may be");
}

#[tokio::test]
async fn a_wall_clock_that_is_put_back_lets_nobody_in_again() {
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60);
    let Some(directory) = begin(&format!(
        "[users.local]\nroles = ['all']\nnot_after = {soon}\n[roles.all]\nrights = ['compute']\n"
    )) else {
        return;
    };
    let clock = log_in(directory.path()).with_file_name("clock");
    // The server starts a quarter of a second before that moment.
    let left = soon.duration_since(jiff::Timestamp::now()).as_secs_f64() - 0.25;
    set(&clock, &format!("+{left:.3}"));
    let daemon = serve(directory);
    let connection = connect(&daemon).await;
    let ask = async || ask(&connection, r#"{"command_type": "compute", "expression": "1"}"#).await;
    while ask().await["status"] == "success" {}
    for ahead in ["-2h", "+0", "-400d", "+2h"] {
        set(&clock, ahead);
        assert_eq!(ask().await["code"], "refused", "{ahead}");
    }
}
