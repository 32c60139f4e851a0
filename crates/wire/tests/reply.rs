//! Replies: the exact bytes that old clients expect, and the way back.
#![allow(clippy::expect_used, reason = "a test may panic")]

use std::time::Duration;

use proptest::prelude::*;
use wire::{End, ErrorCode, Failure, Output, Reply, Streamed, Usage, Verdict};

#[track_caller]
fn check(verdict: Verdict<'_>, json: &str) {
    let reply = Reply { id: None, job: None, duration: None, verdict };
    let frame = reply.encode();
    assert_eq!(std::str::from_utf8(&frame).expect("UTF-8"), json);
    assert_eq!(Reply::decode(&frame).expect("a reply"), reply);
}

#[test]
fn a_value() {
    check(
        Verdict::Value { json: "80".into(), type_name: "int".into() },
        r#"{"status":"success","result":80,"type":"int"}"#,
    );
}

#[test]
fn a_value_that_json_lacks_is_decoded_as_python_spells_it() {
    for json in ["Infinity", "-Infinity", "NaN", "[-0.0, -Infinity]", r#"{"$complex":[Infinity,NaN]}"#] {
        check(
            Verdict::Value { json: json.into(), type_name: "float".into() },
            &format!(r#"{{"status":"success","result":{json},"type":"float"}}"#),
        );
    }
    let digits = "9".repeat(4300);
    for json in ["18446744073709551617", &digits, &format!("[{digits}, NaN]"), r#"{"$float":"inf"}"#] {
        check(
            Verdict::Value { json: json.into(), type_name: "int".into() },
            &format!(r#"{{"status":"success","result":{json},"type":"int"}}"#),
        );
    }
    for result in ["-NaN", "nan", "inf", "+Infinity", "Infinity1", "[NaN"] {
        let frame = format!(r#"{{"status":"success","result":{result},"type":"float"}}"#);
        assert!(Reply::decode(frame.as_bytes()).is_err(), "{frame}");
    }
}

#[test]
fn a_column() {
    check(Verdict::Column { rows: 3 }, r#"{"status":"success","result":null,"type":"column","rows":3}"#);
}

#[test]
fn a_description() {
    check(
        Verdict::Value { json: r#"{"commands":[]}"#.into(), type_name: "description".into() },
        r#"{"status":"success","result":{"commands":[]},"type":"description"}"#,
    );
}

#[test]
fn the_end_of_a_command() {
    let output = Output { stdout: b"a\n".into(), ..Output::default() };
    check(
        Verdict::Finished { output: output.clone(), end: End::Exit(2) },
        r#"{"status":"success","result":"a\n","stderr":"","exit_code":2}"#,
    );
    check(
        Verdict::Finished { output: Output { truncated: true, ..output }, end: End::Signal(9) },
        r#"{"status":"success","result":"a\n","stderr":"","truncated":true,"signal":9}"#,
    );
}

#[test]
fn a_command_that_runs() {
    check(Verdict::Running { output: None }, r#"{"status":"success","result":null,"state":"running"}"#);
    let output = Output { stdout: b"a\n".into(), ..Output::default() };
    check(
        Verdict::Running { output: Some(output) },
        r#"{"status":"success","result":"a\n","stderr":"","state":"running"}"#,
    );
}

#[test]
fn what_was_sent_before() {
    let output = Output { streamed: Some(Streamed { stdout: 2, stderr: 0 }), ..Output::default() };
    check(
        Verdict::Finished { output, end: End::Exit(0) },
        r#"{"status":"success","result":"","stderr":"","streamed":{"stdout":2,"stderr":0},"exit_code":0}"#,
    );
}

#[test]
fn what_a_command_used_up() {
    let usage = Usage { cpu_time: Duration::from_micros(1_020), peak_memory_bytes: 4096, output_bytes: 2 };
    let output = Output { stdout: b"a\n".into(), usage: Some(usage), ..Output::default() };
    check(
        Verdict::Finished { output: output.clone(), end: End::Exit(0) },
        r#"{"status":"success","result":"a\n","stderr":"","usage":{"cpu_ms":1.020,"peak_memory_bytes":4096,"output_bytes":2},"exit_code":0}"#,
    );
    check(
        Verdict::Failed(Failure { output: Some(output), ..Failure::new(ErrorCode::CpuLimit, "no") }),
        r#"{"status":"error","message":"no","code":"cpu_limit","result":"a\n","stderr":"","usage":{"cpu_ms":1.020,"peak_memory_bytes":4096,"output_bytes":2}}"#,
    );
}

#[test]
fn bytes_that_are_not_text() {
    let output = Output { stdout: b"\xff".into(), stderr: b"\xfe".into(), ..Output::default() };
    check(
        Verdict::Finished { output, end: End::Exit(0) },
        r#"{"status":"success","result":"/w==","encoding":"base64","stderr":"/g==","stderr_encoding":"base64","exit_code":0}"#,
    );
}

#[test]
fn failures() {
    check(
        Verdict::Failed(Failure::new(ErrorCode::Refused, "no")),
        r#"{"status":"error","message":"no","code":"refused"}"#,
    );
    check(
        Verdict::Failed(Failure {
            class: Some("ZeroDivisionError".into()),
            column: Some(2),
            retry_after: Some(Duration::from_millis(7)),
            ..Failure::new(ErrorCode::ComputationFailed, "division by zero")
        }),
        r#"{"status":"error","message":"division by zero","code":"computation_failed","error":"ZeroDivisionError","column":2,"retry_after_ms":7}"#,
    );
}

#[test]
fn what_stands_behind() {
    let reply = Reply {
        id: Some("a".into()),
        job: Some("b".into()),
        duration: Some(Duration::from_micros(1_002_003)),
        verdict: Verdict::Failed(Failure::new(ErrorCode::Busy, "")),
    };
    let frame = reply.encode();
    let tail = r#""code":"busy","id":"a","job":"b","duration_ms":1002.003}"#;
    assert!(std::str::from_utf8(&frame).expect("UTF-8").ends_with(tail));
    assert_eq!(Reply::decode(&frame).expect("a reply"), reply);
}

#[test]
fn refuses_what_is_no_reply() {
    for frame in ["", "{}", "[]", r#"{"status":"maybe"}"#, r#"{"status":"success"}"#, r#"{"status":"error"}"#]
    {
        assert!(Reply::decode(frame.as_bytes()).is_err(), "{frame}");
    }
}

proptest! {
    #[test]
    fn output_of_any_bytes_survives(stdout in any::<Vec<u8>>(), stderr in any::<Vec<u8>>(), truncated in any::<bool>()) {
        let output =
            Output { stdout: stdout.into(), stderr: stderr.into(), truncated, ..Output::default() };
        let reply = Reply { id: None, job: None, duration: None, verdict: Verdict::Finished { output, end: End::Exit(0) } };
        let frame = reply.encode();
        prop_assert_eq!(Reply::decode(&frame), Ok(reply));
    }

    #[test]
    fn no_bytes_make_it_panic(frame in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Reply::decode(&frame);
    }
}
