//! Commands through the server: many at once, in time, cut, killed, missing; and what the log says of each.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use server::Phase;
use server::limits::{COMMANDS_BY_USER, MAX_LOGGED_OUTPUT_BYTES, MAX_OUTPUT_BYTES};

use crate::daemon;
use crate::raw_peer::RawPeer;
use crate::served::{ask, receive, with_server};

fn command(name: &str, parameters: &[&str]) -> String {
    json!({"command_type": "os", "command_name": name, "parameters": parameters}).to_string()
}

fn without(mut reply: Value, keys: &[&str]) -> Value {
    let object = reply.as_object_mut().expect("an object");
    for key in keys {
        object.remove(*key);
    }
    reply
}

#[test]
fn sixty_four_sleeps_take_as_long_as_one_and_delay_no_computation() {
    with_server(|served| async move {
        let connection = served.connect().await;
        let other = served.connect().await;
        let began = Instant::now();
        for _ in 0..64 {
            connection.send(command("sleep", &["2"]).into_bytes(), vec![]).await.expect("sent");
        }
        let value = ask(&other, r#"{"command_type":"compute","expression":"(6 + 4) * 8"}"#).await;
        assert_eq!(value["result"], 80);
        assert!(began.elapsed() < Duration::from_secs(1), "the computation waited for the commands");
        for _ in 0..64 {
            assert_eq!(receive(&connection).await["exit_code"], 0);
        }
        let elapsed = began.elapsed();
        assert!(elapsed >= Duration::from_secs(2) && elapsed < Duration::from_secs(20), "{elapsed:?}");
        served.stop().await;
    });
}

#[test]
fn one_command_too_many_is_told_to_come_again() {
    with_server(|served| async move {
        let connection = served.connect().await;
        for _ in 0..=COMMANDS_BY_USER {
            connection.send(command("sleep", &["3"]).into_bytes(), vec![]).await.expect("sent");
        }
        let busy = receive(&connection).await;
        assert_eq!((&busy["code"], busy["retry_after_ms"].is_u64()), (&json!("busy"), true));
        for _ in 0..COMMANDS_BY_USER {
            assert_eq!(receive(&connection).await["exit_code"], 0);
        }
        served.stop().await;
    });
}

#[test]
fn unknown_and_missing_commands_are_refused_alike_to_the_byte() {
    with_server(|served| async move {
        let connection = served.connect().await;
        let unknown = ask(&connection, &command("unknown", &["-x", "$(id)"])).await;
        let missing = ask(&connection, &command("missing", &[])).await;
        let untimed = |reply| without(reply, &["duration_ms", "job"]);
        assert_eq!(
            untimed(unknown),
            json!({"status": "error", "message": "this command is not available to you", "code": "refused"})
        );
        assert_eq!(untimed(missing)["message"], "this command is not available to you");
        let records = served.stop().await;
        let reasons: Vec<_> = records.iter().filter_map(|record| record["reason"].as_str()).collect();
        assert_eq!(reasons[0], "no such command in the policy");
        assert!(reasons[1].contains("No such file"), "{reasons:?}");
    });
}

#[test]
fn the_end_of_each_command_is_told_truthfully() {
    with_server(|served| async move {
        let connection = served.connect().await;
        let killed = ask(&connection, &command("killed", &[])).await;
        assert_eq!((&killed["status"], &killed["signal"]), (&json!("success"), &json!(9)));
        let bytes = ask(&connection, &command("bytes", &[])).await;
        assert_eq!((&bytes["result"], &bytes["encoding"]), (&json!("/wA="), &json!("base64")));
        assert_eq!((&bytes["stderr"], &bytes["stderr_encoding"]), (&json!("/g=="), &json!("base64")));
        let request = r#"{"command_type":"os","command_name":"endless","timeout":0.3}"#;
        let endless = ask(&connection, request).await;
        assert_eq!((&endless["code"], &endless["truncated"]), (&json!("timed_out"), &json!(true)));
        assert_eq!(endless["result"].as_str().map(str::len), Some(MAX_OUTPUT_BYTES));
        served.stop().await;
    });
}

#[test]
fn long_output_is_cut_in_the_reply_and_shorter_still_in_the_log() {
    with_server(|served| async move {
        let connection = served.connect().await;
        let reply = ask(&connection, &command("long", &[])).await;
        assert_eq!((&reply["exit_code"], &reply["truncated"]), (&json!(0), &json!(true)));
        assert_eq!(reply["result"].as_str().map(str::len), Some(MAX_OUTPUT_BYTES));
        let records = served.stop().await;
        let ended = records.iter().find(|record| record["event"] == "ended").expect("a record");
        assert_eq!(ended["reply"]["result"].as_str().map(str::len), Some(MAX_LOGGED_OUTPUT_BYTES));
        assert_eq!(ended["output_bytes"], MAX_OUTPUT_BYTES);
    });
}

#[test]
fn a_command_has_its_started_record_before_it_runs() {
    with_server(|served| async move {
        let connection = served.connect().await;
        connection.send(command("sleep", &["1000"]).into_bytes(), vec![]).await.expect("sent");
        served.wait_for_record(|record| record["event"] == "started").await;
        served.wanted.send_replace(Phase::End);
        let reply = receive(&connection).await;
        assert_eq!(reply["code"], "cancelled");
        let records = served.stop().await;
        let started = &records[1];
        assert_eq!(
            (&started["event"], &started["program"], &started["arguments"], &started["user"]),
            (&json!("started"), &json!("/bin/sleep"), &json!(["1000"]), &json!("local"))
        );
        assert_eq!((&records[2]["event"], &records[2]["job"]), (&json!("ended"), &started["job"]));
        assert_eq!(records[2]["reply"]["code"], "cancelled");
        assert_eq!(
            (&records[3]["event"], &records[3]["reply"]["job"]),
            (&json!("answered"), &started["job"])
        );
    });
}

#[test]
fn what_is_running_is_finished_and_what_comes_late_is_told_so() {
    with_server(|served| async move {
        let connection = served.connect().await;
        connection.send(command("sleep", &["1"]).into_bytes(), vec![]).await.expect("sent");
        served.wait_for_record(|record| record["event"] == "started").await;
        served.wanted.send_replace(Phase::Drain);
        for late in [command("sleep", &["1"]), r#"{"command_type":"compute","expression":"1"}"#.into()] {
            let reply = ask(&connection, &late).await;
            assert_eq!(
                (&reply["code"], &reply["message"]),
                (&json!("busy"), &json!("the server is stopping"))
            );
        }
        assert_eq!(receive(&connection).await["exit_code"], 0);
        served.stop().await;
    });
}

#[test]
fn a_client_that_goes_away_leaves_a_record_and_no_trouble() {
    with_server(|served| async move {
        let connection = served.connect().await;
        connection.send(command("sleep", &["1"]).into_bytes(), vec![]).await.expect("sent");
        served.wait_for_record(|record| record["event"] == "started").await;
        drop(connection);
        served.wait_for_record(|record| record["reply"]["exit_code"] == 0).await;
        served.stop().await;
    });
}

#[test]
fn a_client_that_never_reads_delays_nobody_and_is_let_go() {
    with_server(|served| async move {
        let endpoint = served.endpoint.clone();
        let glutton = tokio::task::spawn_blocking(move || RawPeer::dealer(&endpoint)).await;
        let mut glutton = glutton.expect("shaken hands");
        let innocent = served.connect().await;
        // Replies of 1 MiB each: more than every queue on the way and the backlog together.
        for _ in 0..60 {
            glutton.send(command("long", &[]).as_bytes());
        }
        let answered =
            |records: &[Value]| records.iter().filter(|record| record["reply"]["job"].is_string()).count();
        while answered(&daemon::records(&served.log())) < 60 {
            let began = Instant::now();
            assert_eq!(ask(&innocent, r#"{"command_type":"compute","expression":"1"}"#).await["result"], 1);
            assert!(began.elapsed() < Duration::from_secs(2));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let received = tokio::task::spawn_blocking(move || glutton.read_to_end()).await.expect("hung up");
        assert!(
            received < 60 * MAX_OUTPUT_BYTES,
            "the server kept everything for a client that does not read"
        );
        served.stop().await;
    });
}

#[test]
fn what_has_arrived_before_the_end_is_answered() {
    with_server(|served| async move {
        let connection = served.connect().await;
        served.wanted.send_replace(Phase::Drain);
        for _ in 0..1000 {
            let request = r#"{"command_type":"compute","expression":"1"}"#;
            connection.send(request.into(), vec![]).await.expect("sent");
        }
        for _ in 0..1000 {
            let reply = receive(&connection).await;
            assert!(reply["code"] == "busy" || reply["result"] == 1, "{reply}");
        }
        served.stop().await;
    });
}

#[test]
fn the_end_gives_up_computations_that_wait() {
    with_server(|served| async move {
        let connection = served.connect().await;
        for _ in 0..100 {
            let request = r#"{"command_type":"compute","expression":"factorial(3000) % 7"}"#;
            connection.send(request.into(), vec![]).await.expect("sent");
        }
        // One comes back, so all were taken.
        receive(&connection).await;
        let began = Instant::now();
        served.wanted.send_replace(Phase::End);
        for _ in 1..100 {
            let reply = receive(&connection).await;
            // Those that came too late are turned away.
            let given_up = ["cancelled", "busy"].contains(&reply["code"].as_str().unwrap_or_default());
            assert!(reply["status"] == "success" || given_up, "{reply}");
        }
        assert!(began.elapsed() < Duration::from_secs(10));
        served.stop().await;
    });
}
