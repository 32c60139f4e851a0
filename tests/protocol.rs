//! Every request gets exactly one reply, whatever it is, and the server lives on.

use std::time::Duration;

use serde_json::json;
use transport::{Connection, Security};

use crate::daemon::Daemon;
use crate::served::{ask, receive, with_server};

async fn connect(daemon: &Daemon) -> Connection {
    let within = Duration::from_secs(5);
    Connection::open(&daemon.endpoint, &Security::Plain, within).await.expect("the server answers")
}

/// Frames that are no request, the code of their reply, and a part of its message.
fn hostile() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let compute = |expression: &str| json!({"command_type": "compute", "expression": expression}).to_string();
    let mut frames: Vec<(Vec<u8>, &str, &str)> = [
        ("", "invalid_request", "not a JSON object"),
        ("\0", "invalid_request", "not a JSON object"),
        ("null", "invalid_request", "not a JSON object"),
        ("[1]", "invalid_request", "not a JSON object"),
        ("{", "invalid_request", "not JSON"),
        ("{}", "invalid_request", "`command_type` is missing"),
        (r#"{"command_type":"spam"}"#, "invalid_request", "Invalid command type"),
        (r#"{"command_type":7}"#, "invalid_request", "`command_type` must be"),
        (r#"{"command_type":"os"}"#, "invalid_request", "`command_name` is missing"),
        (
            r#"{"command_type":"os","command_name":"id","shell":true}"#,
            "invalid_request",
            "unknown key `shell`",
        ),
        (r#"{"command_type":"os","command_type":"os"}"#, "invalid_request", "stands twice"),
        (r#"{"command_type":"os","command_name":"id","parameters":{}}"#, "invalid_request", "must be a list"),
        (r#"{"command_type":"os","command_name":"\ud800"}"#, "invalid_request", "`command_name` must be"),
        (r#"{"command_type":"os","command_name":"../bin/sh"}"#, "refused", "not available"),
        (r#"{"command_type":"os","command_name":"sh","parameters":["-c","id"]}"#, "refused", "not available"),
        (r#"{"command_type":"os","command_name":"PING"}"#, "refused", "not available"),
        (r#"{"command_type":"os","command_name":""}"#, "refused", "not available"),
        (r#"{"command_type":"compute","expression":""}"#, "invalid_expression", "Invalid expression syntax"),
        (
            r#"{"command_type":"compute","expression":"x","variables":{"x":[1,[2]]}}"#,
            "invalid_request",
            "variables",
        ),
    ]
    .into_iter()
    .map(|(frame, code, message)| (frame.as_bytes().to_vec(), code, message))
    .collect();
    for expression in
        ["__import__('os').system('id')", "().__class__", "open('/etc/passwd')", "x = 1", "lambda: 1"]
    {
        frames.push((compute(expression).into_bytes(), "invalid_expression", "Invalid"));
    }
    for expression in ["9**9**9**9", "1<<10**9", "2**(10**9)"] {
        frames.push((compute(expression).into_bytes(), "limit_exceeded", ""));
    }
    frames.push((compute(&"(".repeat(60_000)).into_bytes(), "invalid_expression", "Invalid"));
    frames.push((compute("1/0").into_bytes(), "computation_failed", "division by zero"));
    frames.push((vec![b' '; 64 * 1024 + 1], "limit_exceeded", "longer than 65536 bytes"));
    frames.push((vec![b'['; 60_000], "invalid_request", "not a JSON object"));
    frames.push((b"{\"command_type\":\"\xff\"}".to_vec(), "invalid_request", "not UTF-8"));
    for parameter in [
        "127.0.0.1;id",
        "$(id)",
        "`id`",
        "a b",
        "-f",
        "--",
        "",
        "a\0b",
        "a\nb",
        "\u{2010}f",
        "@x",
        "\u{202e}",
    ] {
        let frame = json!({"command_type": "os", "command_name": "ping", "parameters": [parameter]});
        frames.push((frame.to_string().into_bytes(), "invalid_parameters", ""));
    }
    frames
}

#[tokio::test]
async fn every_frame_gets_exactly_one_reply_and_one_record() {
    let daemon = Daemon::start();
    let connection = connect(&daemon).await;
    let frames = hostile();
    for (frame, code, message) in &frames {
        connection.send(frame.clone(), vec![]).await.expect("sent");
        let reply = receive(&connection).await;
        let shown = String::from_utf8_lossy(frame);
        let shown = shown.get(..shown.len().min(200)).unwrap_or_default();
        assert_eq!((&reply["status"], &reply["code"]), (&json!("error"), &json!(code)), "{shown}: {reply}");
        assert!(reply["message"].as_str().is_some_and(|text| text.contains(message)), "{shown}: {reply}");
    }
    // Were any of them answered twice, this reply would not be the next one.
    assert_eq!(ask(&connection, r#"{"command_type":"compute","expression":"6*7"}"#).await["result"], 42);
    let records = daemon.stop();
    let answered = records.iter().filter(|record| record["event"] == "answered");
    assert_eq!(answered.count(), frames.len() + 1);
    assert!(
        !records.iter().any(|record| record["event"] == "started"),
        "nothing of this may start a command"
    );
}

#[tokio::test]
async fn a_message_past_the_transport_limit_ends_its_connection_and_no_other() {
    let daemon = Daemon::start();
    let innocent = connect(&daemon).await;
    let guilty = connect(&daemon).await;
    let _ = guilty.send(vec![b'x'; 2 * transport::limits::MAX_MESSAGE_BYTES], vec![]).await;
    assert!(guilty.receive().await.is_err());
    assert_eq!(ask(&innocent, r#"{"command_type":"compute","expression":"1"}"#).await["result"], 1);
    daemon.stop();
}

#[tokio::test]
async fn replies_carry_the_id_of_their_request() {
    let daemon = Daemon::start();
    let connection = connect(&daemon).await;
    for request in [
        r#"{"command_type":"compute","expression":"1","id":"a-1"}"#,
        r#"{"id":"a-1","command_type":"compute","expression":"1/0"}"#,
        r#"{"id":"a-1","unknown":1}"#,
    ] {
        assert_eq!(ask(&connection, request).await["id"], "a-1");
    }
    daemon.stop();
}

#[test]
fn what_a_terminal_would_obey_is_escaped_in_the_log() {
    with_server(|served| async move {
        let connection = served.connect().await;
        let raw = "\u{1b}[2J\r\n\u{202e}\u{feff}";
        ask(&connection, raw).await;
        ask(&connection, &json!({"command_type": "os", "command_name": raw}).to_string()).await;
        ask(&connection, &json!({"command_type": "compute", "expression": raw}).to_string()).await;
        let records = served.stop().await;
        assert_eq!(records[1]["request_text"], raw);
        assert_eq!(records[2]["request"]["command_name"], raw);
        assert_eq!(records[3]["request"]["expression"], raw);
    });
}
