//! The request decoder: what it takes, what it refuses and in which words.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::borrow::Cow;
use std::time::Duration;

use proptest::prelude::*;
use wire::limits::{MAX_PARAMETERS, MAX_REQUEST_BYTES, MAX_TIMEOUT, MAX_VARIABLE_DEPTH, MAX_VARIABLES};
use wire::{
    Action, Delivery, ErrorCode, Given, History, Numbers, Request, RequestId, Target, Variable,
    decode_request,
};

#[track_caller]
fn refused(frame: impl AsRef<[u8]>, words: &str) {
    let error = decode_request(frame.as_ref()).expect_err("must be refused");
    assert_eq!(error.code, ErrorCode::InvalidRequest);
    assert!(error.message.contains(words), "`{}` does not say `{words}`", error.message);
}

#[track_caller]
fn action(frame: &str) -> Action<'_> {
    decode_request(frame.as_bytes()).expect("must be taken").action
}

#[test]
fn takes_what_old_clients_send() {
    let os = r#"{"command_type": "os", "command_name": "ping", "parameters": ["127.0.0.1"]}"#;
    assert_eq!(
        action(os),
        Action::Os {
            command_name: "ping".into(),
            parameters: vec!["127.0.0.1".into()],
            stdin: None,
            delivery: Delivery::Whole
        }
    );
    let compute = r#"{"command_type": "compute", "expression": "(6 + 4) * 8"}"#;
    assert_eq!(
        action(compute),
        Action::Compute {
            expression: "(6 + 4) * 8".into(),
            variables: vec![],
            columns: vec![],
            numbers: Numbers::Python
        }
    );
    assert_eq!(action(r#"{"command_type":"describe"}"#), Action::Describe);
}

#[test]
fn takes_what_is_asked_of_jobs() {
    let job = || "1-2".into();
    assert_eq!(action(r#"{"command_type":"jobs"}"#), Action::Jobs);
    assert_eq!(action(r#"{"command_type":"metrics"}"#), Action::Metrics);
    assert_eq!(action(r#"{"command_type":"status","job":"1-2"}"#), Action::Status { job: job() });
    assert_eq!(action(r#"{"command_type":"cancel","job":"1-2"}"#), Action::Cancel(Target::Job(job())));
    let by_id = Target::Request(RequestId::parse("a").expect("an id"));
    assert_eq!(action(r#"{"command_type":"cancel","request_id":"a"}"#), Action::Cancel(by_id));
    refused(r#"{"command_type":"cancel"}"#, "`job` or `request_id` is missing");
    let result = r#"{"command_type":"result","job":"1-2","stream":true}"#;
    assert_eq!(action(result), Action::Result { job: job(), stream: true });
    refused(r#"{"command_type":"result"}"#, "`job` is missing");
    refused(r#"{"command_type":"jobs","job":"1-2"}"#, "`job` does not belong to a request of type `jobs`");
    refused(r#"{"command_type":"os","command_name":"x","stream":true,"detach":true}"#, "exclude each other");
    refused(r#"{"command_type":"os","command_name":"x","stream":1}"#, "`stream` must be true or false");
    refused(r#"{"command_type":"compute","expression":"1","detach":true}"#, "`detach` does not belong");
}

#[test]
fn borrows_what_holds_no_escape() {
    let Action::Compute { expression, .. } = action(r#"{"command_type":"compute","expression":"1"}"#) else {
        panic!("another action");
    };
    assert!(matches!(expression, Cow::Borrowed("1")));
}

fn given(json: &str) -> Result<Given<'static>, String> {
    let frame =
        format!(r#"{{"command_type":"compute","expression":"speed","variables":{{"speed":{json}}}}}"#);
    let request = decode_request(frame.as_bytes()).expect(json);
    let Action::Compute { variables, .. } = request.action else { panic!("another action") };
    assert_eq!(variables[0].name, "speed");
    match variables[0].given() {
        Ok(Given::Number(number)) => Ok(Given::Number(number.into_owned().into())),
        Ok(Given::Bool(value)) => Ok(Given::Bool(value)),
        Ok(Given::Complex(real, imaginary)) => Ok(Given::Complex(real, imaginary)),
        Ok(Given::List(numbers)) => Ok(Given::List(numbers)),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn variables_are_taken_as_python_and_strict_replies_spell_them() {
    let number = |text: &str| Ok(Given::Number(text.to_owned().into()));
    for (json, expected) in [
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("NaN", "NaN"),
        (r#"{"$float":"inf"}"#, "Infinity"),
        (r#"{ "$float" : "-inf" }"#, "-Infinity"),
        (r#"{"\u0024float":"nan"}"#, "NaN"),
        (r#"{"$int":"18446744073709551617"}"#, "18446744073709551617"),
        (r#"{"$int":"-5"}"#, "-5"),
        ("1.5", "1.5"),
    ] {
        assert_eq!(given(json), number(expected), "{json}");
    }
    assert_eq!(given("1e400"), number("1e400"));
    assert_eq!(given("true"), Ok(Given::Bool(true)));
    assert_eq!(given(r#"{"$complex":[1,-0.0]}"#), Ok(Given::Complex(1.0, -0.0)));
    let complex = Ok(Given::Complex(f64::INFINITY, f64::NEG_INFINITY));
    assert_eq!(given(r#"{"$complex":[Infinity,{"$float":"-inf"}]}"#), complex);
    let list = Ok(Given::List(vec![1.0, f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, 2.0]));
    assert_eq!(given(r#"[1,1e400,Infinity,{"$float":"-inf"},{"$int":"2"}]"#), list);
    assert!(matches!(given("[NaN, 1]"), Ok(Given::List(list)) if list[0].is_nan() && list.len() == 2));
}

#[test]
fn a_variable_that_is_no_number_is_told_by_its_name() {
    for json in [
        "null",
        "\"1\"",
        "{}",
        "[[1]]",
        "[true]",
        "[null]",
        r#"{"$float":"1.5"}"#,
        r#"{"$float":"Infinity"}"#,
        r#"{"$float":1}"#,
        r#"{"$int":"1.5"}"#,
        r#"{"$int":"007"}"#,
        r#"{"$int":" 7"}"#,
        r#"{"$int":"NaN"}"#,
        r#"{"$int":7}"#,
        r#"{"$int":"1","$float":"inf"}"#,
        r#"{"$int":"1","$int":"1"}"#,
        r#"{"$complex":[1]}"#,
        r#"{"$complex":[1,2,3]}"#,
        r#"{"$complex":[1,{"$complex":[1,2]}]}"#,
        r#"[{"$complex":[1,2]}]"#,
        r#"{"$other":"1"}"#,
        &format!("[1{}]", "0".repeat(400)),
    ] {
        let error = given(json).expect_err(json);
        assert!(error.contains("`speed` in `variables` must be a number"), "{error}");
    }
}

#[test]
fn refuses_what_is_not_a_json_object() {
    refused("", "not a JSON object");
    refused("[]", "not a JSON object");
    refused("null", "not a JSON object");
    refused("\u{feff}{}", "not a JSON object");
    refused("{", "not JSON");
    refused("{}{}", "not JSON");
    refused("{'command_type': 'os'}", "not JSON");
    refused(b"{\"command_type\":\"o\0s\"}", "not JSON");
    refused(b"{\"command_type\":\"os\xff\"}", "not UTF-8 at byte 19");
    refused(r#"{"command_type":"compute","expression":1e}"#, "not JSON");
}

#[test]
fn refuses_wrong_keys_by_name() {
    refused("{}", "`command_type` is missing");
    refused(r#"{"command_type":"os"}"#, "`command_name` is missing");
    refused(r#"{"command_type":"compute"}"#, "`expression` is missing");
    refused(r#"{"command_type":"compute","expression":"1","sudo":true}"#, "unknown key `sudo`");
    refused(r#"{"command_type":"compute","expression":"1","\u001b[2J":1}"#, r"`\u{1b}[2J`");
    refused(r#"{"command_type":"os","command_type":"compute"}"#, "`command_type` stands twice");
    refused(r#"{"command_type":"compute","expression":1}"#, "`expression` must be a string");
    refused(r#"{"command_type":"compute","expression":null}"#, "`expression` must be a string");
    refused(r#"{"command_type":"os","command_name":["ping"]}"#, "`command_name` must be a string");
    refused(r#"{"command_type":"os","command_name":"ping","parameters":"x"}"#, "`parameters` must be a list");
    refused(r#"{"command_type":"os","command_name":"ping","parameters":[4]}"#, "`parameters` must be a list");
    refused(r#"{"command_type":"os","command_name":"ping","expression":"1"}"#, "does not belong");
    refused(r#"{"command_type":"compute","expression":"1","parameters":[]}"#, "does not belong");
    refused(r#"{"command_type":"describe","command_name":"ping"}"#, "does not belong");
    refused(r#"{"command_type":"describe","variables":{}}"#, "does not belong");
    refused(r#"{"command_type":"compute","expression":"1","numbers":"exact"}"#, "`numbers` must be");
    refused(r#"{"command_type":"compute","expression":"1","variables":[1]}"#, "`variables` must be");
    refused(r#"{"command_type":"compute","expression":"1","columns":["x","x"]}"#, "`columns` must be");
    refused(r#"{"command_type":"os","command_name":"id","columns":[]}"#, "does not belong");
    refused(r#"{"command_type":"compute","expression":"x","variables":{"x":1,"x":2}}"#, "different names");
}

#[test]
fn says_invalid_command_type_as_the_old_program_did() {
    for command_type in ["", "OS", "math", "__init__", "describe "] {
        let frame = format!(r#"{{"command_type":"{command_type}"}}"#);
        assert_eq!(decode_request(frame.as_bytes()).expect_err("refused").message, "Invalid command type");
    }
}

#[test]
fn refuses_lone_surrogates_and_deep_nesting() {
    refused(r#"{"command_type":"compute","expression":"\ud800"}"#, "`expression` must be");
    let nested = format!(r#"{{"command_type":{}1{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    refused(nested, "`command_type` must be");
    refused("[".repeat(60_000), "not a JSON object");
    refused(format!("{{\"a\":{}", "{\"a\":".repeat(12_000)), "not JSON");
}

#[test]
fn refuses_variables_too_deep_for_other_readers_of_the_log() {
    let deep = |depth: usize| {
        let value = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"command_type":"compute","expression":"1","variables":{{"x":{value},"y":"[[[[[[["}}}}"#)
    };
    assert!(decode_request(deep(MAX_VARIABLE_DEPTH).as_bytes()).is_ok());
    for depth in [MAX_VARIABLE_DEPTH + 1, 200, 20_000] {
        refused(deep(depth), &format!("nested at most {MAX_VARIABLE_DEPTH} deep"));
    }
}

#[test]
fn refuses_one_byte_too_many_with_a_code_of_its_own() {
    let head = r#"{"command_type":"compute","expression":""#;
    let fill = |length: usize| format!("{head}{}\"}}", " ".repeat(length - head.len() - 2));
    assert!(decode_request(fill(MAX_REQUEST_BYTES).as_bytes()).is_ok());
    let error = decode_request(fill(MAX_REQUEST_BYTES + 1).as_bytes()).expect_err("too long");
    assert_eq!(error.code, ErrorCode::LimitExceeded);
}

#[test]
fn recovers_the_id_of_a_refused_request() {
    for frame in
        [r#"{"id":"a.B-9_","command_type":"none"}"#, r#"{"sudo":1,"command_type":"os","id":"a.B-9_"}"#]
    {
        let error = decode_request(frame.as_bytes()).expect_err("refused");
        assert_eq!(error.id, RequestId::parse("a.B-9_"));
    }
    refused(r#"{"command_type":"compute","expression":"1","id":""}"#, "`id` must be 1 to 64");
    refused(r#"{"command_type":"compute","expression":"1","id":"a b"}"#, "`id` must be 1 to 64");
    refused(r#"{"command_type":"compute","expression":"1","id":7}"#, "`id` must be 1 to 64");
    assert_eq!(RequestId::parse(&"x".repeat(65)), None);
}

#[test]
fn refuses_timeouts_that_are_no_wait() {
    for timeout in ["0", "-1", "1e999", "86401", "\"5\"", "1e-12"] {
        let frame = format!(r#"{{"command_type":"compute","expression":"1","timeout":{timeout}}}"#);
        refused(frame, if timeout == "1e999" { "" } else { "`timeout` must be" });
    }
}

#[test]
fn the_words_name_the_limits_that_hold() {
    let parameters = vec!["\"\""; MAX_PARAMETERS + 1].join(",");
    refused(
        format!(r#"{{"command_type":"os","command_name":"x","parameters":[{parameters}]}}"#),
        &MAX_PARAMETERS.to_string(),
    );
    let variables: Vec<_> = (0..=MAX_VARIABLES).map(|index| format!("\"x{index}\":1")).collect();
    refused(
        format!(r#"{{"command_type":"compute","expression":"1","variables":{{{}}}}}"#, variables.join(",")),
        &MAX_VARIABLES.to_string(),
    );
    refused(r#"{"command_type":"compute","expression":"1","timeout":0}"#, &MAX_TIMEOUT.as_secs().to_string());
}

fn request() -> impl Strategy<Value = Request<'static>> {
    let delivery = prop_oneof![Just(Delivery::Whole), Just(Delivery::Stream), Just(Delivery::Detached)];
    let os =
        (any::<String>(), prop::collection::vec(any::<String>(), 0..5), any::<Option<String>>(), delivery)
            .prop_map(|(name, parameters, stdin, delivery)| Action::Os {
                command_name: name.into(),
                parameters: parameters.into_iter().map(Into::into).collect(),
                stdin: stdin.map(Into::into),
                delivery,
            });
    let job = || any::<String>().prop_map(Into::into);
    let result = (job(), any::<bool>()).prop_map(|(job, stream)| Action::Result { job, stream });
    let history = (any::<Option<String>>(), any::<Option<String>>(), any::<Option<u32>>(), any::<bool>())
        .prop_map(|(user, command_name, since, failed)| {
            Action::History(History {
                user: user.map(Into::into),
                command_name: command_name.map(Into::into),
                since: since.map(|ms| Duration::from_millis(ms.into())),
                failed,
            })
        });
    let jobs = prop_oneof![
        Just(Action::Describe),
        Just(Action::Jobs),
        Just(Action::Metrics),
        job().prop_map(|job| Action::Status { job }),
        job().prop_map(|job| Action::Cancel(Target::Job(job))),
        result,
        history
    ];
    let names = prop::collection::btree_set("[a-z]{1,4}", 0..4);
    let compute = (
        any::<String>(),
        prop::collection::btree_map("[a-z]{1,4}", any::<i64>(), 0..4),
        names,
        any::<bool>(),
    )
        .prop_map(|(expression, variables, names, strict)| Action::Compute {
            expression: expression.into(),
            variables: variables
                .into_iter()
                .map(|(name, value)| Variable { name: name.into(), json: value.to_string().into() })
                .collect(),
            columns: names.into_iter().map(Into::into).collect(),
            numbers: if strict { Numbers::Strict } else { Numbers::Python },
        });
    let id = prop::option::of("[A-Za-z0-9._-]{1,64}");
    (id, prop::option::of(1_u64..86_400_000), prop_oneof![os, compute, jobs]).prop_map(
        |(id, timeout, action)| Request {
            id: id.and_then(|id| RequestId::parse(&id)),
            timeout: timeout.map(Duration::from_millis),
            action,
        },
    )
}

proptest! {
    #[test]
    fn encoding_and_decoding_are_inverse(request in request()) {
        let frame = request.encode();
        prop_assert_eq!(decode_request(&frame), Ok(request));
    }

    #[test]
    fn no_bytes_make_it_panic(frame in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_request(&frame);
    }
}
