//! Jobs from outside: live output, later results, cancelling, queueing, and one execution for one id.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use server::limits::{COMMANDS_BY_USER, WAITS_BY_USER};
use transport::{Connection, KeyPair, Security};
use wire::{Event, EventKind, Stream};

use crate::daemon::{Daemon, records};
use crate::jailed::{Workshop, processes_marked, shell, wait_until_gone};
use crate::keyed::Keyed;
use crate::raw_peer::RawPeer;
use crate::served::{ask, receive, with_configuration, with_policy, with_server};

const PATIENCE: Duration = Duration::from_secs(30);

fn sleep(seconds: &str, more: &Value) -> String {
    let mut request = json!({"command_type": "os", "command_name": "sleep", "parameters": [seconds]});
    let keys = more.as_object().expect("an object");
    request.as_object_mut().expect("an object").extend(keys.clone());
    request.to_string()
}

async fn send(connection: &Connection, request: &str) {
    connection.send(request.as_bytes().to_vec(), vec![]).await.expect("sent");
}

/// The events of one request, and its reply.
async fn stream(connection: &Connection, request: &str) -> (Vec<(EventKind, Vec<u8>)>, Value) {
    send(connection, request).await;
    let mut events = Vec::new();
    loop {
        let received = tokio::time::timeout(PATIENCE, connection.receive()).await;
        let received = received.expect("in time").expect("connected");
        match Event::decode(&received.body) {
            Some(event) => {
                assert_eq!(event.sequence, events.len() as u64);
                events.push((event.kind, received.attachment.expect("two frames").to_vec()));
            }
            None => return (events, serde_json::from_slice(&received.body).expect("JSON")),
        }
    }
}

fn printed(events: &[(EventKind, Vec<u8>)], wanted: Stream) -> Vec<u8> {
    let mut out = Vec::new();
    for (kind, bytes) in events {
        if let EventKind::Printed { stream, offset } = kind
            && *stream == wanted
        {
            assert_eq!(*offset, out.len() as u64, "nothing is missing before it");
            out.extend_from_slice(bytes);
        }
    }
    out
}

fn count(records: &[Value], event: &str) -> usize {
    records.iter().filter(|record| record["event"] == event).count()
}

async fn connect(endpoint: &str) -> Connection {
    Connection::open(endpoint, &Security::Plain, Duration::from_secs(10)).await.expect("connected")
}

/// Waits until a job is in a state.
async fn wait_for_state(connection: &Connection, job: &Value, state: &str) {
    let request = json!({"command_type": "status", "job": job}).to_string();
    while ask(connection, &request).await["result"]["state"] != state {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const STREAM_IT: &str = r#"{"command_type":"os","command_name":"it","id":"a","stream":true}"#;

#[test]
fn output_comes_while_the_command_runs_each_stream_apart_and_any_bytes() {
    let workshop = Workshop::open();
    let script = "printf 'one\\n'; printf '\\377\\000' >&2; sleep 0.3; printf 'two\\n'; exit 3";
    with_policy(workshop.directory, &shell(script, ""), async |served| {
        let connection = served.connect().await;
        let (events, reply) = stream(&connection, STREAM_IT).await;
        assert_eq!(events[0].0, EventKind::Started);
        assert_eq!(printed(&events, Stream::Stdout), b"one\ntwo\n");
        assert_eq!(printed(&events, Stream::Stderr), b"\xff\0");
        assert!(events.len() >= 4, "what was printed at different times came apart: {events:?}");
        assert_eq!(
            (&reply["exit_code"], &reply["result"], &reply["id"]),
            (&json!(3), &json!(""), &json!("a"))
        );
        assert_eq!(reply["streamed"], json!({"stdout": 8, "stderr": 2}));
        let records = served.stop().await;
        let ended = records.iter().find(|record| record["event"] == "ended").expect("a record");
        assert_eq!(ended["reply"]["result"], "one\ntwo\n", "the log has what was streamed");
    });
}

#[test]
fn a_slow_reader_slows_its_own_command_and_nobody_else() {
    with_server(|served| async move {
        let slow = served.connect().await;
        let other = served.connect().await;
        let request = r#"{"command_type":"os","command_name":"endless","timeout":2,"stream":true}"#;
        send(&slow, request).await;
        let received =
            tokio::time::timeout(PATIENCE, slow.receive()).await.expect("in time").expect("connected");
        assert!(Event::decode(&received.body).is_some_and(|event| event.kind == EventKind::Started));
        let (events, quick) = stream(&other, request).await;
        assert!(["timed_out", "output_limit"].contains(&quick["code"].as_str().expect("a code")), "{quick}");
        let written = quick["streamed"]["stdout"].as_u64().expect("a number");
        assert_eq!(printed(&events, Stream::Stdout).len() as u64, written);
        assert_eq!(quick["usage"]["output_bytes"], written, "all that was read of the command was sent");
        // What the slow one has not read until now was not written either.
        let mut unread = 0;
        let reply = loop {
            let received =
                tokio::time::timeout(PATIENCE, slow.receive()).await.expect("in time").expect("connected");
            match Event::decode(&received.body) {
                Some(_) => unread += received.attachment.expect("two frames").len() as u64,
                None => break serde_json::from_slice::<Value>(&received.body).expect("JSON"),
            }
        };
        assert_eq!((&reply["code"], &reply["streamed"]["stdout"]), (&json!("timed_out"), &json!(unread)));
        assert!(unread < written, "{unread} of one that waited, {written} of one that did not");
        served.stop().await;
    });
}

#[test]
fn a_detached_job_is_fetched_later_and_followed_while_it_runs() {
    let workshop = Workshop::open();
    let script = "echo first; sleep 0.5; echo second";
    with_policy(workshop.directory, &shell(script, ""), async |served| {
        let connection = served.connect().await;
        let detached = ask(&connection, r#"{"command_type":"os","command_name":"it","detach":true}"#).await;
        assert_eq!((&detached["status"], &detached["state"]), (&json!("success"), &json!("running")));
        let job = &detached["job"];
        let result = |stream| json!({"command_type": "result", "job": job, "stream": stream}).to_string();
        let so_far = loop {
            let so_far = ask(&connection, &result(false)).await;
            if so_far["result"] == "first\n" {
                break so_far;
            }
            assert_eq!((&so_far["state"], &so_far["result"]), (&json!("running"), &json!("")), "{so_far}");
        };
        assert_eq!(so_far["state"], "running");
        let jobs = ask(&connection, r#"{"command_type":"jobs"}"#).await;
        assert_eq!((&jobs["result"][0]["job"], &jobs["result"][0]["state"]), (job, &json!("running")));
        let (events, reply) = stream(&connection, &result(true)).await;
        assert_eq!(printed(&events, Stream::Stdout), b"first\nsecond\n");
        assert_eq!((&reply["exit_code"], &reply["job"]), (&json!(0), job));
        for _ in 0..2 {
            let kept = ask(&connection, &result(false)).await;
            assert_eq!((&kept["result"], &kept["exit_code"]), (&json!("first\nsecond\n"), &json!(0)));
        }
        let status = ask(&connection, &json!({"command_type": "status", "job": job}).to_string()).await;
        assert_eq!(
            (&status["result"]["state"], &status["result"]["exit_code"]),
            (&json!("ended"), &json!(0))
        );
        let missing = ask(&connection, r#"{"command_type":"result","job":"1-1"}"#).await;
        assert_eq!(missing["code"], "not_found");
        let records = served.stop().await;
        assert_eq!((count(&records, "started"), count(&records, "ended")), (1, 1));
    });
}

#[test]
fn a_cancelled_job_is_gone_with_all_its_processes() {
    let workshop = Workshop::open();
    let script =
        "trap '' TERM; echo up; sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' bidden-cancel-mark";
    with_policy(workshop.directory, &shell(script, ""), async |served| {
        let (connection, other) = (served.connect().await, served.connect().await);
        send(&connection, r#"{"command_type":"os","command_name":"it"}"#).await;
        while processes_marked("bidden-cancel-mark").is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let jobs = ask(&other, r#"{"command_type":"jobs"}"#).await;
        let job = &jobs["result"][0]["job"];
        let cancelled = ask(&other, &json!({"command_type": "cancel", "job": job}).to_string()).await;
        assert_eq!(cancelled["result"]["code"], "cancelled", "{cancelled}");
        let reply = receive(&connection).await;
        assert_eq!((&reply["code"], &reply["result"]), (&json!("cancelled"), &json!("up\n")));
        wait_until_gone("bidden-cancel-mark");
        let records = served.stop().await;
        let ended = records.iter().find(|record| record["event"] == "ended").expect("a record");
        assert_eq!(ended["reason"], "cancelled by local");
    });
}

#[test]
fn one_id_is_one_execution_whoever_asks_again() {
    with_server(|served| async move {
        let (first, second) = (served.connect().await, served.connect().await);
        let request = sleep("1", &json!({"id": "once"}));
        send(&first, &request).await;
        served.wait_for_record(|record| record["event"] == "started").await;
        send(&second, &request).await;
        let conflict = ask(&served.connect().await, &sleep("2", &json!({"id": "once"}))).await;
        assert_eq!(conflict["code"], "id_conflict");
        let (one, two) = (receive(&first).await, receive(&second).await);
        assert_eq!((&one["exit_code"], &one["job"]), (&json!(0), &two["job"]));
        let kept = ask(&first, &request).await;
        assert_eq!((&kept["exit_code"], &kept["job"]), (&json!(0), &one["job"]));
        let impatient = sleep("1", &json!({"id": "once", "timeout": 0.001}));
        assert_eq!(ask(&first, &impatient).await["exit_code"], 0, "what is over is told at once");
        let records = served.stop().await;
        assert_eq!((count(&records, "started"), count(&records, "ended")), (1, 1));
    });
}

const SLEEP: &str = "[commands.sleep]\nprogram = '/bin/sleep'\nseparator = false\n\
                     operands = [{ name = 'seconds', type = 'integer', min = 0, max = 1000 }]\n";

#[tokio::test]
async fn an_id_is_known_after_a_kill_and_nothing_runs_twice() {
    let daemon = Daemon::configured(SLEEP);
    let connection = connect(&daemon.endpoint).await;
    let (ended, lost) = (sleep("0", &json!({"id": "ended"})), sleep("100", &json!({"id": "lost"})));
    let before = ask(&connection, &ended).await;
    assert_eq!(before["exit_code"], 0);
    send(&connection, &lost).await;
    while count(&records(&daemon.log()), "started") < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut daemon = daemon.killed_and_started_again();
    for _ in 0..2 {
        let connection = connect(&daemon.endpoint).await;
        let after = ask(&connection, &ended).await;
        assert_eq!((&after["exit_code"], &after["job"]), (&json!(0), &before["job"]));
        assert_eq!(ask(&connection, &lost).await["code"], "unknown_outcome");
        assert_eq!(ask(&connection, &sleep("1", &json!({"id": "lost"}))).await["code"], "id_conflict");
        daemon = daemon.killed_and_started_again();
    }
    let records = daemon.stop();
    assert_eq!((count(&records, "started"), count(&records, "ended")), (2, 2));
}

#[tokio::test]
async fn an_id_is_known_in_every_file_of_the_log() {
    let daemon = Daemon::configured(&format!("{SLEEP}[limits]\nlog_bytes = 65536\n"));
    let connection = connect(&daemon.endpoint).await;
    let (ended, running) = (sleep("0", &json!({"id": "ended"})), sleep("100", &json!({"id": "running"})));
    let before = ask(&connection, &ended).await;
    assert_eq!(before["exit_code"], 0);
    send(&connection, &running).await;
    while ask(&connection, r#"{"command_type":"jobs"}"#).await["result"].as_array().map(Vec::len) < Some(2) {}
    // Several files' worth.
    for _ in 0..600 {
        ask(&connection, r#"{"command_type":"compute","expression":"1 + 1"}"#).await;
    }
    let directory = daemon.log();
    let files = std::fs::read_dir(directory.parent().expect("a directory")).expect("read").count();
    assert!(files >= 4, "the log was rotated: {files} files");
    let daemon = daemon.killed_and_started_again();
    let connection = connect(&daemon.endpoint).await;
    // What it came to is read from the log as long as its id is not stored elsewhere.
    let again = ask(&connection, &ended).await;
    assert!(again["code"] == "gone" || again["job"] == before["job"], "{again}");
    assert_eq!(ask(&connection, &running).await["code"], "unknown_outcome");
}

/// More commands than are kept, under ids of their own.
const MANY: usize = 300;

#[tokio::test]
async fn used_ids_outlive_their_results_whatever_becomes_of_the_server_and_its_file() {
    let mut daemon =
        Daemon::configured("[commands.true]\nprogram = '/bin/true'\n[limits]\nlog_bytes = 65536\n");
    let run =
        |id: usize| json!({"command_type": "os", "command_name": "true", "id": id.to_string()}).to_string();
    let connection = connect(&daemon.endpoint).await;
    for id in 0..MANY {
        assert_eq!(ask(&connection, &run(id)).await["exit_code"], 0);
    }
    type Happening = (&'static str, fn(&Path));
    let happenings: [Happening; 7] = [
        ("nothing", |_| {}),
        ("it is lost", |file| std::fs::remove_file(file).expect("removed")),
        ("it is empty", |file| std::fs::write(file, "").expect("written")),
        ("it is something else", |file| std::fs::write(file, "something else").expect("written")),
        ("it is cut off", |file| {
            let file = std::fs::File::options().write(true).open(file).expect("open");
            file.set_len(file.metadata().expect("a length").len() / 2).expect("cut");
        }),
        ("parts of it are others", |file| {
            let mut bytes = std::fs::read(file).expect("read");
            bytes.iter_mut().skip(5000).step_by(97).for_each(|byte| *byte ^= 0x55);
            std::fs::write(file, bytes).expect("written");
        }),
        ("nothing again", |_| {}),
    ];
    for (what, happen) in happenings {
        let directory = daemon.kill();
        happen(&directory.path().join("log/server.ids"));
        daemon = Daemon::again(directory);
        let connection = connect(&daemon.endpoint).await;
        for id in [0, 1, MANY / 2, MANY - 1] {
            let again = ask(&connection, &run(id)).await;
            let is_known = again["code"] == "gone" || again["exit_code"] == 0;
            assert!(is_known, "{what}: {again}");
            let other = json!({"command_type": "os", "command_name": "true", "parameters": [], "stdin": "x",
                               "id": id.to_string()});
            assert_ne!(ask(&connection, &other.to_string()).await["status"], "success");
        }
    }
    let mut started = 0;
    for file in std::fs::read_dir(daemon.log().parent().expect("a directory")).expect("read") {
        let path = file.expect("a file").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("server.log")) {
            let text = Command::new("zcat").arg("--force").arg(path).output().expect("it runs").stdout;
            started += String::from_utf8_lossy(&text).matches(r#""event":"started""#).count();
        }
    }
    assert_eq!(started, MANY, "each ran once");
}

#[test]
fn the_time_of_a_request_includes_its_wait() {
    with_configuration("[limits]\ncommands_at_once = 1\n", |served| async move {
        let (first, second) = (served.connect().await, served.connect().await);
        send(&first, &sleep("1", &json!({}))).await;
        served.wait_for_record(|record| record["event"] == "started").await;
        let late = ask(&second, &sleep("0", &json!({"timeout": 0.2}))).await;
        assert_eq!(late["code"], "timed_out", "{late}");
        let waits = ask(&second, &sleep("5", &json!({"timeout": 1.5}))).await;
        assert_eq!(waits["code"], "timed_out", "{waits}");
        assert!(waits["duration_ms"].as_f64().is_some_and(|ms| ms < 4000.0), "{waits}");
        assert_eq!(receive(&first).await["exit_code"], 0);
        let records = served.stop().await;
        assert_eq!(count(&records, "started"), 2, "what could not be in time was never started");
    });
}

#[test]
fn a_job_that_waits_can_be_cancelled_and_never_starts() {
    with_configuration("[limits]\ncommands_at_once = 1\n", |served| async move {
        let connection = served.connect().await;
        let running = ask(&connection, &sleep("100", &json!({"detach": true}))).await;
        wait_for_state(&connection, &running["job"], "running").await;
        let waiting = ask(&connection, &sleep("0", &json!({"detach": true}))).await;
        wait_for_state(&connection, &waiting["job"], "waiting").await;
        for job in [&waiting["job"], &running["job"]] {
            let cancelled =
                ask(&connection, &json!({"command_type": "cancel", "job": job}).to_string()).await;
            assert_eq!(cancelled["result"]["code"], "cancelled");
        }
        assert_eq!(count(&served.stop().await, "started"), 1);
    });
}

#[test]
fn a_lock_and_a_users_share_are_told_at_once() {
    let more = "[commands.lock]\nprogram = '/bin/sleep'\narguments = ['1']\nconcurrency = 1\n";
    with_configuration(more, |served| async move {
        let connection = served.connect().await;
        let lock = r#"{"command_type":"os","command_name":"lock"}"#;
        send(&connection, lock).await;
        let busy = ask(&connection, lock).await;
        assert_eq!((&busy["code"], busy["retry_after_ms"].is_u64()), (&json!("busy"), true), "{busy}");
        assert_eq!(receive(&connection).await["exit_code"], 0);
        assert_eq!(ask(&connection, lock).await["exit_code"], 0, "and free again");
        for _ in 0..COMMANDS_BY_USER {
            send(&connection, &sleep("100", &json!({"detach": true}))).await;
            assert_eq!(receive(&connection).await["state"], "running");
        }
        assert_eq!(ask(&connection, &sleep("0", &json!({}))).await["code"], "busy");
        let value = ask(&connection, r#"{"command_type":"compute","expression":"1"}"#).await;
        assert_eq!(value["result"], 1, "computations do not wait for commands");
        served.end().await;
    });
}

#[tokio::test]
async fn a_job_is_its_users_own_unless_a_right_says_otherwise() {
    let [bob, watcher, warden, reader] = [(); 4].map(|()| KeyPair::generate());
    let user = |name: &str, key: &KeyPair, roles: &str| {
        format!("[users.{name}]\npublic_key = '{}'\nroles = [{roles}]\n", key.public())
    };
    let users = [
        "[roles.watches]\nrights = ['jobs']\n[roles.ends]\nrights = ['cancel']\n[roles.reads]\nrights = ['history']\n".to_owned(),
        user("bob", &bob, "'all'"),
        user("watcher", &watcher, "'watches'"),
        user("warden", &warden, "'ends'"),
        user("reader", &reader, "'reads'"),
    ];
    let keyed = Keyed::with_users(&users.concat());
    let ann = keyed.connect().await;
    let bob = keyed.try_connect(&bob).await.expect("connected");
    let watcher = keyed.try_connect(&watcher).await.expect("connected");
    let warden = keyed.try_connect(&warden).await.expect("connected");
    let reader = keyed.try_connect(&reader).await.expect("connected");
    let order = sleep("60", &json!({"id": "same", "detach": true}));
    let of_ann = ask(&ann, &order).await["job"].clone();
    let of_bob = ask(&bob, &order).await["job"].clone();
    assert_ne!(of_ann, of_bob, "an id is its user's own");
    let about =
        |command_type: &str, job: &Value| json!({"command_type": command_type, "job": job}).to_string();
    for command_type in ["status", "result", "cancel"] {
        let (missing, of_another) = (
            ask(&bob, &about(command_type, &json!("1-1"))).await,
            ask(&bob, &about(command_type, &of_ann)).await,
        );
        assert_eq!((&missing["code"], &missing["message"]), (&json!("not_found"), &of_another["message"]));
        assert_eq!(of_another["code"], "not_found", "another's job looks like none");
    }
    let seen = |reply: &Value| reply["result"].as_array().map(Vec::len);
    let jobs = r#"{"command_type":"jobs"}"#;
    assert_eq!((seen(&ask(&bob, jobs).await), seen(&ask(&watcher, jobs).await)), (Some(1), Some(2)));
    assert_eq!(seen(&ask(&warden, jobs).await), Some(0), "to end is not to see");
    assert_eq!(ask(&watcher, &about("cancel", &of_ann)).await["code"], "not_found", "to see is not to end");
    assert_eq!(ask(&warden, &about("cancel", &of_ann)).await["result"]["code"], "cancelled");
    let history = ask(&ann, r#"{"command_type":"history","command_name":"sleep"}"#).await;
    let rows = history["result"]["rows"].as_array().expect("rows");
    assert_eq!(
        rows.iter().map(|row| &row["job"]).collect::<Vec<_>>(),
        [&of_ann],
        "what ann did and no other"
    );
    assert_eq!((&rows[0]["user"], &rows[0]["code"]), (&json!("ann"), &json!("cancelled")));
    assert_eq!(ask(&ann, r#"{"command_type":"os","command_name":"none"}"#).await["code"], "refused");
    let failed = r#"{"command_type":"history","command_name":"none","failed":true}"#;
    let (hers, all) = (ask(&ann, failed).await, ask(&reader, failed).await);
    assert_eq!(hers["result"]["rows"][0]["code"], "refused");
    assert_eq!(
        hers["result"]["rows"][0]["reason"],
        Value::Null,
        "what she was not told then she is not told now"
    );
    assert_eq!(all["result"]["rows"][0]["reason"], "no such command in the policy");
    let of_another = ask(&ann, r#"{"command_type":"history","user":"bob"}"#).await;
    assert_eq!(of_another["code"], "refused");
    let of_all = ask(&reader, r#"{"command_type":"history","command_name":"sleep"}"#).await;
    assert_eq!(of_all["result"]["rows"].as_array().map(Vec::len), Some(2), "{of_all}");
    let bobs = ask(&reader, r#"{"command_type":"history","user":"bob","command_name":"sleep"}"#).await;
    assert_eq!(bobs["result"]["rows"][0]["job"], of_bob, "{bobs}");
    assert_eq!(ask(&bob, &about("cancel", &of_bob)).await["result"]["code"], "cancelled");
}

#[test]
fn waiting_for_a_job_has_an_end_and_does_not_keep_one_from_ending_it() {
    with_server(|served| async move {
        let connection = served.connect().await;
        let request = sleep("100", &json!({"id": "once"}));
        for _ in 0..WAITS_BY_USER + 2 {
            send(&connection, &request).await;
        }
        assert_eq!(
            receive(&connection).await["code"],
            "busy",
            "one began it, so many wait, and one too many"
        );
        let other = served.connect().await;
        let cancelled = ask(&other, r#"{"command_type":"cancel","request_id":"once"}"#).await;
        assert_eq!(cancelled["result"]["code"], "cancelled");
        for _ in 0..=WAITS_BY_USER {
            assert_eq!(receive(&connection).await["code"], "cancelled");
        }
        let missing = ask(&other, r#"{"command_type":"cancel","request_id":"never"}"#).await;
        assert_eq!(missing["code"], "not_found");
        assert_eq!(count(&served.stop().await, "started"), 1);
    });
}

#[test]
fn a_reader_that_stops_keeps_neither_a_lock_nor_the_server() {
    let more = "[commands.lock]\nprogram = '/bin/sh'\nlauncher = true\nconcurrency = 1\ntimeout = '1s'\n\
                arguments = ['-c', 'while :; do echo 0123456789abcdef0123456789abcdef; done']\n";
    with_configuration(more, |served| async move {
        let endpoint = served.endpoint.clone();
        let begin = move || {
            let mut slow = RawPeer::dealer(&endpoint);
            slow.send(br#"{"command_type":"os","command_name":"lock","stream":true}"#);
            slow
        };
        let slow = tokio::task::spawn_blocking(begin).await.expect("connected");
        let connection = served.connect().await;
        served.wait_for_record(|record| record["event"] == "ended").await;
        let whole = ask(&connection, r#"{"command_type":"os","command_name":"lock"}"#).await;
        assert_eq!(whole["code"], "timed_out", "the lock was free as soon as the command had ended: {whole}");
        let records = tokio::time::timeout(PATIENCE, served.end()).await.expect("it stops");
        assert_eq!(count(&records, "server_stopped"), 1);
        drop(slow);
    });
}

#[test]
fn what_the_server_says_of_its_log_does_not_make_it_longer() {
    with_server(|served| async move {
        let connection = served.connect().await;
        // Each character takes six in the log.
        let long = format!("{{\"command_type\":\"compute\",\"expression\":\"{}\"}}", "\u{7f}".repeat(60_000));
        for _ in 0..20 {
            assert_eq!(ask(&connection, &long).await["code"], "invalid_expression");
        }
        for _ in 0..3 {
            let history = ask(&connection, r#"{"command_type":"history"}"#).await;
            assert!(history["result"]["rows"].as_array().is_some_and(|rows| rows.len() > 10));
        }
        let longest = std::fs::read_to_string(served.log()).expect("a log").lines().map(str::len).max();
        assert!(longest < Some(1_000_000), "{longest:?}");
        served.stop().await;
    });
}

#[test]
fn who_asks_too_often_is_told_when_to_come_again() {
    with_configuration("[limits]\nrequests_per_second = 5\n", |served| async move {
        let connection = served.connect().await;
        let one = r#"{"command_type":"compute","expression":"1"}"#;
        let mut busy = Value::Null;
        for _ in 0..20 {
            let reply = ask(&connection, one).await;
            if reply["code"] == "busy" {
                busy = reply;
                break;
            }
        }
        let wait = busy["retry_after_ms"].as_u64().expect("a time");
        assert!((1..=200).contains(&wait), "{busy}");
        tokio::time::sleep(Duration::from_millis(wait)).await;
        assert_eq!(ask(&connection, one).await["result"], 1);
        served.stop().await;
    });
}
