//! What users share has a part for each: a hostile user takes all that she can get of one thing after the other, and a
//! polite one beside her is served.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use server::limits::{KEPT_JOBS, MAX_LOGGED_REFUSAL_BYTES, REFUSALS_RECORDED};
use transport::{Connection, KeyPair};
use wire::limits::MAX_REQUEST_BYTES;

use crate::keyed::Keyed;
use crate::served::{ask, receive};

/// As long as a polite user may wait for what takes no time, where a hostile one would make her wait for minutes.
const SOON: Duration = Duration::from_secs(15);

const LIMITS: &str = "[limits]\ncommands_at_once = 4\ncommands_waiting = 8\ncomputations_waiting = 8\n\
                      commands_by_user = 4096\nshutdown_grace = '1s'\n";

type Step = Pin<Box<dyn Future<Output = ()>>>;

/// What the hostile user does, and what the polite one asks for meanwhile.
struct Row {
    what: &'static str,
    hostile: fn(Connection) -> Step,
    polite: &'static str,
}

const ROWS: [Row; 8] = [
    Row {
        what: "places of commands",
        hostile: |eve| {
            flood(eve, 64, json!({"command_type": "os", "command_name": "sleep", "parameters": ["20"]}))
        },
        polite: r#"{"command_type": "os", "command_name": "echo"}"#,
    },
    Row {
        what: "the line before commands, by the same one again and again",
        hostile: |eve| {
            flood(
                eve,
                200,
                json!({"command_type": "os", "command_name": "sleep", "parameters": ["20"], "detach": true}),
            )
        },
        polite: r#"{"command_type": "os", "command_name": "echo"}"#,
    },
    Row {
        what: "ids",
        hostile: |eve| {
            Box::pin(async move {
                for number in 0..2000 {
                    let request = json!({"command_type": "os", "command_name": "echo", "timeout": 1e-6,
                                         "id": format!("eve-{number}")});
                    send(&eve, &request).await;
                    receive(&eve).await;
                }
            })
        },
        polite: r#"{"command_type": "os", "command_name": "echo", "id": "ann-1"}"#,
    },
    Row {
        what: "workers and the line before them",
        hostile: |eve| flood(eve, 64, json!({"command_type": "compute", "expression": long_computation()})),
        polite: r#"{"command_type": "compute", "expression": "factorial(3000) % 7"}"#,
    },
    Row {
        what: "the history",
        hostile: |eve| flood(eve, 64, json!({"command_type": "history"})),
        polite: r#"{"command_type": "history"}"#,
    },
    Row {
        what: "waits for jobs",
        hostile: |eve| {
            Box::pin(async move {
                let request =
                    json!({"command_type": "os", "command_name": "sleep", "parameters": ["20"], "id": "one"});
                for _ in 0..200 {
                    send(&eve, &request).await;
                }
                std::future::pending().await
            })
        },
        polite: r#"{"command_type": "os", "command_name": "echo", "id": "ann-2"}"#,
    },
    Row {
        what: "memory for columns",
        hostile: |eve| {
            Box::pin(async move {
                let column = Bytes::from(vec![0; 8 * 1024 * 1024]);
                let request = json!({"command_type": "compute", "expression": "x + 1", "columns": ["x"]});
                loop {
                    let sent = eve.send(request.to_string().into_bytes(), vec![column.clone()]).await;
                    sent.expect("sent");
                }
            })
        },
        polite: r#"{"command_type": "compute", "expression": "x + 1", "variables": {"x": [1, 2]}}"#,
    },
    Row {
        what: "requests that are refused",
        hostile: |eve| flood(eve, 64, json!({"command_type": "os", "command_name": "x".repeat(50_000)})),
        polite: r#"{"command_type": "compute", "expression": "1"}"#,
    },
];

/// Longer than the server's loop does itself.
fn long_computation() -> String {
    "pow(3, 2**1500 - 1, 2**160 + 1) + ".repeat(20) + "1"
}

async fn send(connection: &Connection, request: &Value) {
    connection.send(request.to_string().into_bytes(), vec![]).await.expect("sent");
}

/// Has so many requests under way for ever.
fn flood(eve: Connection, at_once: usize, request: Value) -> Step {
    Box::pin(async move {
        for _ in 0..at_once {
            send(&eve, &request).await;
        }
        loop {
            receive(&eve).await;
            send(&eve, &request).await;
        }
    })
}

fn scene() -> (Keyed, KeyPair) {
    let eve = KeyPair::generate();
    let users = format!("[users.eve]\npublic_key = '{}'\nroles = ['all']\n{LIMITS}", eve.public());
    (Keyed::with_users(&users), eve)
}

#[tokio::test]
async fn a_hostile_user_makes_no_other_wait() {
    for Row { what, hostile, polite } in ROWS {
        let (keyed, eve) = scene();
        let ann = keyed.connect().await;
        let alone = ask(&ann, polite).await;
        let is_served = |reply: &Value| reply["code"] != "busy" && reply["code"] != "timed_out";
        assert!(is_served(&alone), "{what}: {alone}");
        let eve = keyed.try_connect(&eve).await.expect("a user");
        let politely = async {
            // By now she has what she can get.
            tokio::time::sleep(Duration::from_millis(700)).await;
            for _ in 0..5 {
                let polite = polite.replace("ann-", &format!("ann-{:x}-", rand()));
                let reply = tokio::time::timeout(SOON, ask(&ann, &polite)).await;
                let reply = reply.unwrap_or_else(|_| panic!("{what}: no answer"));
                assert!(is_served(&reply), "{what}: {reply}");
            }
        };
        tokio::select! {
            () = politely => {}
            () = async { hostile(eve).await; std::future::pending().await } => {}
        }
    }
}

/// Different each time.
fn rand() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after it").as_nanos()
}

#[tokio::test]
async fn results_of_a_polite_user_are_kept_whatever_another_runs() {
    let (keyed, eve) = scene();
    let (ann, eve) = (keyed.connect().await, keyed.try_connect(&eve).await.expect("a user"));
    let job = ask(&ann, r#"{"command_type": "os", "command_name": "echo"}"#).await["job"].clone();
    for _ in 0..KEPT_JOBS + 10 {
        ask(&eve, r#"{"command_type": "os", "command_name": "echo"}"#).await;
    }
    let kept = ask(&ann, &json!({"command_type": "result", "job": job}).to_string()).await;
    assert_eq!(kept["exit_code"], 0, "{kept}");
}

#[tokio::test]
async fn what_is_refused_fills_no_disk_and_is_counted() {
    let (keyed, eve) = scene();
    let eve = keyed.try_connect(&eve).await.expect("a user");
    let long = "x".repeat(MAX_REQUEST_BYTES - 200);
    let kinds = [
        json!({"command_type": "os", "command_name": long}).to_string(),
        json!({"command_type": "os", "command_name": "echo", "parameters": [long]}).to_string(),
        json!({"command_type": "nothing", "x": long}).to_string(),
        format!("{{{long}"),
        long.clone(),
    ];
    let log = keyed.daemon.log();
    let before = log.metadata().expect("a log").len();
    let began = std::time::Instant::now();
    let mut sent = 0_u64;
    while began.elapsed() < Duration::from_secs(2) {
        for request in &kinds {
            let reply = ask(&eve, request).await;
            assert_eq!(reply["status"], "error", "{reply}");
            sent += 1;
        }
    }
    let seconds = began.elapsed().as_secs_f64() + 1.0;
    let grown = log.metadata().expect("a log").len() - before;
    // An excerpt with all escapes, the reply and what every record has.
    let record = (6 * MAX_LOGGED_REFUSAL_BYTES + 2048) as f64;
    assert!((grown as f64) < REFUSALS_RECORDED as f64 * seconds * record, "{grown} bytes of {sent} requests");
    let records = keyed.daemon.stop();
    let refused = |record: &&Value| record["user"] == "eve" && record["reply"]["status"] == "error";
    let recorded = records.iter().filter(refused).count() as u64;
    let counted: u64 = records.iter().filter_map(|record| record["unrecorded"].as_u64()).sum();
    assert_eq!(recorded + counted, sent, "every refusal has a record or is counted");
    assert!(records.iter().filter(refused).any(|record| record["body_sha256"].is_string()));
}
