//! Expressions over columns: frames in and a frame out, JSON lists in and a list out, and files on the command line.

use std::process::Command;

use bytes::Bytes;
use serde_json::json;
use server::limits::COLUMN_BYTES_AT_ONCE;
use transport::Connection;
use wire::limits::MAX_COLUMN_BYTES;

use crate::daemon::{BIDDEN, Daemon};
use crate::served::{Served, ask, with_server};

fn frame(values: &[f64]) -> Bytes {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn values(frame: &[u8]) -> Vec<f64> {
    frame.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

/// Sends a computation with frames; gives the JSON of its reply and the column, if there is one.
async fn compute(
    connection: &Connection,
    request: serde_json::Value,
    frames: Vec<Bytes>,
) -> (serde_json::Value, Option<Vec<f64>>) {
    connection.send(request.to_string().into_bytes(), frames).await.expect("sent");
    let received = connection.receive().await.expect("a reply");
    let reply = serde_json::from_slice(&received.body).expect("JSON");
    (reply, received.attachment.as_deref().map(values))
}

#[test]
fn frames_give_a_frame_and_lists_give_a_list() {
    with_server(|served| async move {
        let connection = served.connect().await;
        let request = json!({"command_type": "compute", "expression": "a * x + y / z",
                             "columns": ["x", "y"], "variables": {"a": 2, "z": 0.0}});
        let (reply, column) =
            compute(&connection, request, vec![frame(&[1.0, 2.5]), frame(&[0.0, -1.0])]).await;
        assert_eq!(
            (&reply["status"], &reply["type"], &reply["rows"]),
            (&json!("success"), &json!("column"), &json!(2))
        );
        let column = column.expect("a column");
        assert!(column[0].is_nan() && column[1] == f64::NEG_INFINITY, "{column:?}");
        let request =
            json!({"command_type": "compute", "expression": "x ** 2", "variables": {"x": [1, 2.5, -3]}});
        let (reply, column) = compute(&connection, request, vec![]).await;
        assert_eq!(
            (&reply["result"], &reply["type"], column),
            (&json!([1.0, 6.25, 9.0]), &json!("list"), None)
        );
        let records = served.stop().await;
        assert_eq!(records[1]["column_sha256"].as_str().map(str::len), Some(64));
    });
}

#[test]
fn a_list_keeps_every_bit_of_its_numbers() {
    with_server(|served| async move {
        let connection = served.connect().await;
        // Each of these is another double when it is read in haste.
        let numbers = [0.933_816_882_445_695_9, 1.0 / 3.0, 5e-324, 1.797_693_134_862_315_7e308, 0.1 + 0.2];
        let request = json!({"command_type": "compute", "expression": "x + 0", "variables": {"x": numbers}});
        let (reply, _) = compute(&connection, request, vec![]).await;
        let returned: Vec<f64> = serde_json::from_value(reply["result"].clone()).expect("numbers");
        assert_eq!(bits(&returned), bits(&numbers));
        served.stop().await;
    });
}

fn bits(numbers: &[f64]) -> Vec<u64> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

#[test]
fn a_million_rows_pass_both_ways() {
    with_server(|served| async move {
        let connection = served.connect().await;
        let x: Vec<f64> = (0..1_000_000).map(f64::from).collect();
        let request = json!({"command_type": "compute", "expression": "x + 1", "columns": ["x"]});
        let (_, column) = compute(&connection, request, vec![frame(&x)]).await;
        assert_eq!(column.expect("a column"), (1..=1_000_000).map(f64::from).collect::<Vec<_>>());
        served.stop().await;
    });
}

#[test]
fn what_does_not_fit_is_refused_and_the_server_lives_on() {
    with_server(|served: Served| async move {
        let connection = served.connect().await;
        let two = || frame(&[1.0, 2.0]);
        let cases = [
            (
                json!({"columns": ["x"]}),
                vec![],
                "invalid_request",
                "frames behind the request: 0; columns that it names: 1",
            ),
            (
                json!({}),
                vec![two()],
                "invalid_request",
                "frames behind the request: 1; columns that it names: 0",
            ),
            (
                json!({"columns": ["x"]}),
                vec![Bytes::from_static(b"1234567")],
                "invalid_request",
                "8 bytes each",
            ),
            (
                json!({"columns": ["x", "y"]}),
                vec![two(), frame(&[1.0])],
                "computation_failed",
                "2 and 1 rows",
            ),
            (json!({"columns": ["x"], "variables": {"x": 1}}), vec![two()], "invalid_expression", ""),
            (json!({"columns": ["math"]}), vec![two()], "invalid_expression", ""),
            (json!({"columns": ["_x"]}), vec![two()], "invalid_expression", ""),
            (json!({"variables": {"x": [[1]]}}), vec![], "invalid_request", "a list of numbers"),
            (json!({"variables": {"x": ["1"]}}), vec![], "invalid_request", "a list of numbers"),
        ];
        for (extra, frames, code, message) in cases {
            let mut request = json!({"command_type": "compute", "expression": "x + y"});
            for (key, value) in extra.as_object().expect("an object") {
                request[key] = value.clone();
            }
            let (reply, column) = compute(&connection, request, frames).await;
            assert_eq!((&reply["code"], column), (&json!(code), None), "{extra}: {reply}");
            assert!(reply["message"].as_str().is_some_and(|text| text.contains(message)), "{extra}: {reply}");
        }
        let too_much = Bytes::from(vec![0; MAX_COLUMN_BYTES + 8]);
        let request = json!({"command_type": "compute", "expression": "x", "columns": ["x"]});
        let (reply, _) = compute(&connection, request, vec![too_much]).await;
        assert_eq!(reply["code"], "limit_exceeded");
        assert_eq!(ask(&connection, r#"{"command_type":"compute","expression":"1"}"#).await["result"], 1);
        served.stop().await;
    });
}

#[test]
fn more_columns_than_there_is_room_for_are_told_to_come_again() {
    with_server(|served| async move {
        let connection = served.connect().await;
        let request = json!({"command_type": "compute", "expression": "sin(x) ** 3", "columns": ["x"]});
        let column = Bytes::from(vec![0; MAX_COLUMN_BYTES]);
        let requests = 4 * COLUMN_BYTES_AT_ONCE / MAX_COLUMN_BYTES;
        let sending = async {
            for _ in 0..requests {
                connection.send(request.to_string().into_bytes(), vec![column.clone()]).await.expect("sent");
            }
        };
        let receiving = async {
            let mut answered = 0;
            for _ in 0..requests {
                let reply = connection.receive().await.expect("a reply");
                let reply: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
                assert!(reply["status"] == "success" || reply["code"] == "busy", "{reply}");
                answered += usize::from(reply["status"] == "success");
            }
            assert!(answered > 0);
        };
        tokio::join!(sending, receiving);
        served.stop().await;
    });
}

#[test]
fn the_command_line_takes_columns_from_files() {
    let daemon = Daemon::start();
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("items.csv"), "name,price\na,1.5\nb, 2\nc,-0.25\n")
        .expect("written");
    std::fs::write(directory.path().join("plain.csv"), "1\n2\n3\n").expect("written");
    std::fs::write(directory.path().join("raw.f64"), frame(&[10.0, 20.0, 30.0])).expect("written");
    std::fs::write(directory.path().join("odd"), b"123").expect("written");
    let run = |arguments: &[&str]| {
        let output = Command::new(BIDDEN)
            .env("BIDDEN_TO", &daemon.endpoint)
            .arg("compute")
            .args(arguments)
            .current_dir(directory.path())
            .output()
            .expect("bidden starts");
        (output.status.code(), output.stdout, String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let printed = |arguments: &[&str], expected: &str| {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!(
            (code, String::from_utf8(stdout).expect("UTF-8").as_str()),
            (Some(0), expected),
            "{stderr}"
        );
    };
    printed(&["price * 2", "--column", "price=items.csv:price"], "3.0\n4.0\n-0.5\n");
    printed(&["p + r", "--column", "p=items.csv:2", "--column", "r=raw.f64"], "11.5\n22.0\n29.75\n");
    printed(&["x + k", "--column", "x=plain.csv", "--var", "k=1"], "2.0\n3.0\n4.0\n");
    assert_eq!(run(&["x / 10", "--column", "x=raw.f64", "--raw"]).1, frame(&[1.0, 2.0, 3.0]));
    let refused = |source: &str, words: &str| {
        let (code, _, stderr) = run(&["x", "--column", source]);
        assert!(code == Some(125) && stderr.contains(words), "{stderr}");
    };
    refused("x=items.csv:colour", "no column has the heading `colour`");
    refused("x=items.csv:name", "`a` in line 2 is no number");
    refused("x=items.csv:9", "line 1 has no column 9");
    std::fs::write(directory.path().join("bad.csv"), "1;5,2\n3,4\n").expect("written");
    refused("x=bad.csv", "`1;5` in line 1 is no number");
    refused("x=missing.f64", "cannot read missing.f64: No such file");
    refused("x=odd", "no file of raw doubles of 8 bytes each");
    refused("x", "NAME=FILE");
}
