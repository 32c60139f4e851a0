//! What one part of bidden writes every other part reads: any value that an expression can have, in the reply, in a
//! client, on the command line, in the log, its verification and its history, and after a kill.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use server::{Evidence, HistoryFilter, history, verify};
use transport::{Connection, Security};
use wire::json::{StrictJson, printed, untagged};
use wire::{Action, Numbers, Reply, Request, Variable, Verdict};

use crate::daemon::{BIDDEN, Daemon, records};
use crate::printed::{self, text};

/// A log that ends in a kill after `1e308*10`, of a server that wrote numbers into it as they went out.
const OLD_LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/logs/bare_infinity.jsonl");

/// A configuration under which anyone on this machine may compute.
const CONFIGURATION: &str = "[commands.uname]\nprogram = '/usr/bin/uname'\n";

fn bidden(daemon: &Daemon, arguments: &[&str]) -> Command {
    let mut command = Command::new(BIDDEN);
    command.args(arguments).env("BIDDEN_TO", &daemon.endpoint).stdin(Stdio::null());
    command.current_dir(daemon.log().parent().expect("a directory"));
    command
}

fn output(daemon: &Daemon, arguments: &[&str]) -> Output {
    bidden(daemon, arguments).output().expect("bidden starts")
}

fn send(daemon: &Daemon, frame: &[u8]) -> Output {
    let mut child = bidden(daemon, &["send", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bidden starts");
    child.stdin.take().expect("stdin").write_all(frame).expect("written");
    child.wait_with_output().expect("ended")
}

/// The value as it stands in a reply.
fn result_of(reply: &str) -> &str {
    let (_, rest) = reply.split_once("\"result\":").expect("a result");
    rest.split_once(",\"type\":").expect("a type").0
}

fn strict(json: &str) -> String {
    String::from_utf8(StrictJson::respelled(json.as_bytes()).as_bytes().to_vec()).expect("UTF-8")
}

/// Every line of a log as a parser of strict JSON reads it: with the value of its reply, where it has one.
fn results(log: &Path) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Record {
        event: String,
        request: Option<Value>,
        reply: Option<LoggedReply>,
    }
    #[derive(serde::Deserialize)]
    struct LoggedReply {
        result: Option<Box<RawValue>>,
    }
    records(log);
    let content = std::fs::read_to_string(log).expect("a log");
    let records = content.lines().map(|line| serde_json::from_str::<Record>(line).expect("a record"));
    records
        .filter(|record| record.event == "answered")
        .filter(|record| record.request.as_ref().is_some_and(|request| request["command_type"] == "compute"))
        .filter_map(|record| Some(record.reply?.result?.get().to_owned()))
        .collect()
}

/// The same by the history of a local log, and by a server's.
fn rows(daemon: &Daemon) -> [Vec<String>; 2] {
    #[derive(serde::Deserialize)]
    struct Row {
        time: String,
        user: String,
        command_type: Option<String>,
        result: Option<Box<RawValue>>,
    }
    [["history", "--json", "--max", "9999"].as_slice(), &["history", "--json", "--to", &daemon.endpoint]].map(
        |arguments| {
            let output = output(daemon, arguments);
            assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
            let rows =
                text(&output.stdout).lines().map(|line| serde_json::from_str::<Row>(line).expect(line));
            rows.inspect(|row| assert!(row.time.len() == 27 && row.user == "local"))
                .filter(|row| row.command_type.as_deref() == Some("compute"))
                .filter_map(|row| Some(row.result?.get().to_owned()))
                .collect()
        },
    )
}

#[track_caller]
fn assert_unbroken(log: &Path) {
    let output = Command::new(BIDDEN).args(["log", "verify"]).arg(log).output().expect("bidden starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_number_that_json_lacks_is_printed_logged_and_shown() {
    let daemon = Daemon::start();
    let large = (0..4300).map(|_| '9').collect::<String>();
    let mut wanted = Vec::new();
    for (expression, spelled, value) in [
        ("inf", "Infinity", "inf"),
        ("-inf", "-Infinity", "-inf"),
        ("nan", "NaN", "nan"),
        ("1e400", "Infinity", "inf"),
        ("1e308*10", "Infinity", "inf"),
        ("-0.0", "-0.0", "-0.0"),
        ("5e-324", "5e-324", "5e-324"),
        ("2**64+1", "18446744073709551617", "18446744073709551617"),
        (&large, &large, &large),
        ("modf(-inf)", "[-0.0, -Infinity]", "[-0.0, -Infinity]"),
        ("complex(inf, nan)", r#"{"$complex":[Infinity,NaN]}"#, r#"{"$complex":[Infinity,NaN]}"#),
    ] {
        let compute = |more: &[&str]| output(&daemon, &[&["compute"], more, &["--", expression]].concat());
        printed::check(&compute(&[]), 0, &format!("{value}\n"), "");
        let raw = compute(&["--json"]);
        printed::check(&raw, 0, &format!("{{\"status\":\"success\",\"result\":{spelled},\"type\":"), "");
        let request = json!({"command_type": "compute", "expression": expression}).to_string();
        let sent = send(&daemon, request.as_bytes());
        printed::check(&sent, 0, &format!("{{\"status\":\"success\",\"result\":{spelled},\"type\":"), "");
        for _ in 0..3 {
            wanted.push(strict(spelled));
        }
        // What has come out goes back in.
        let again = format!("x={}", text(&compute(&[]).stdout).trim());
        wanted.push(strict(spelled));
        if !value.starts_with('[') {
            printed::check(
                &output(&daemon, &["compute", "--var", &again, "x"]),
                0,
                &format!("{value}\n"),
                "",
            );
            wanted.push(strict(spelled));
        }
    }
    assert_eq!(results(&daemon.log()), wanted);
    assert_eq!(rows(&daemon), [wanted.clone(), wanted]);
    let table = output(&daemon, &["history"]);
    for shown in ["  inf ", "  -inf ", "  nan ", "  18446744073709551617 ", "  [-0.0, -Infinity] "] {
        printed::check(&table, 0, shown, "");
    }
    assert_unbroken(&daemon.log());
    daemon.stop();
}

#[test]
fn a_column_is_printed_as_its_elements_are_alone() {
    let daemon = Daemon::start();
    let file = daemon.log().with_file_name("x");
    let values = [1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0, 5e-324, 1e16, 1e-5];
    std::fs::write(&file, values.map(f64::to_le_bytes).concat()).expect("written");
    let column = output(&daemon, &["compute", "--column", "x=x", "x"]);
    printed::check(&column, 0, "1.0\ninf\n-inf\nnan\n-0.0\n5e-324\n1e+16\n1e-05\n", "");
    daemon.stop();
}

#[tokio::test]
async fn a_request_may_hold_what_python_writes_and_what_strict_replies_hold() {
    let daemon = Daemon::start();
    let connection = connect(&daemon).await;
    for (variables, expression, result) in [
        (r#"{"x":Infinity}"#, "x", "Infinity"),
        (r#"{"x": -Infinity, "y": NaN}"#, "x", "-Infinity"),
        (r#"{"x":1e400}"#, "x", "Infinity"),
        (r#"{"x":[1e400, 1]}"#, "x + 0", "[Infinity, 1.0]"),
        (r#"{"x":[NaN, -Infinity]}"#, "x + 0", "[NaN, -Infinity]"),
        (r#"{"x":[{"$float":"inf"}, {"$int":"2"}]}"#, "x + 0", "[Infinity, 2.0]"),
        (r#"{"x":{"$int":"18446744073709551617"}}"#, "x", "18446744073709551617"),
        (r#"{"x":{"$float":"nan"}}"#, "x", "NaN"),
        (r#"{"x":{"$complex":[1.0,-0.0]}}"#, "x", r#"{"$complex":[1.0,-0.0]}"#),
        (r#"{"x":{"$complex":[Infinity,{"$float":"nan"}]}}"#, "x", r#"{"$complex":[Infinity,NaN]}"#),
    ] {
        let request = format!(
            r#"{{"command_type": "compute", "expression": "{expression}", "variables": {variables}}}"#
        );
        let reply = exchange(&connection, request.as_bytes()).await;
        assert!(reply.contains(r#""status":"success""#), "{request}: {reply}");
        assert_eq!(result_of(&reply), result, "{request}");
        let logged = std::fs::read_to_string(daemon.log()).expect("a log");
        assert!(logged.lines().last().expect("a record").contains(&strict(&request)), "{logged}");
    }
    for (variables, message) in [
        (r#"{"fine":1,"speed":"fast"}"#, "`speed` in `variables` must be a number"),
        (r#"{"fine":1,"speed":[1,null]}"#, "`speed` in `variables` must be a number"),
        (r#"{"fine":NaN,"speed":{"$float":"fast"}}"#, "`speed` in `variables` must be a number"),
        (r#"{"fine":1,"speed\u001b":1}"#, r"`speed\\u{1b}` in `variables`: Invalid variable name"),
        (&format!(r#"{{"speed":{}}}"#, "9".repeat(4301)), "`speed` in `variables`: "),
        (r#"{"speed":-NaN}"#, "the request is not JSON"),
        (r#"{"speed":nan}"#, "the request is not JSON"),
    ] {
        let request = format!(r#"{{"command_type":"compute","expression":"1","variables":{variables}}}"#);
        let reply = exchange(&connection, request.as_bytes()).await;
        assert!(reply.contains(r#""status":"error""#) && reply.contains(message), "{request}: {reply}");
    }
    drop(connection);
    let [local, remote] = rows(&daemon);
    assert_eq!((local.len(), local), (10, remote));
    daemon.stop();
}

#[test]
fn a_server_killed_behind_any_number_starts_again_and_its_log_is_whole() {
    for expression in ["inf", "-inf", "nan", "modf(inf)", "complex(nan, -inf)", "2**14000", "x/y"] {
        for daemon in [Daemon::start(), Daemon::configured(CONFIGURATION)] {
            let request = format!(
                r#"{{"command_type":"compute","expression":"{expression}","variables":{{"x":[1,NaN,-1],"y":[0,1,0]}}}}"#
            );
            let request = if expression == "x/y" {
                request
            } else {
                json!({"command_type": "compute", "expression": expression}).to_string()
            };
            let sent = send(&daemon, request.as_bytes());
            printed::check(&sent, 0, r#""status":"success""#, "");
            let wanted = strict(result_of(text(&sent.stdout)));
            let directory = daemon.kill();
            let log = directory.path().join("server.log");
            assert_unbroken(&log);
            let daemon = Daemon::again(directory);
            assert_unbroken(&log);
            assert_eq!(results(&log), std::slice::from_ref(&wanted));
            assert_eq!(rows(&daemon), [vec![wanted.clone()], vec![wanted]]);
            printed::check(&output(&daemon, &["compute", "6*7"]), 0, "42\n", "");
            assert_unbroken(&log);
            daemon.stop();
        }
    }
}

#[test]
fn a_log_with_bare_numbers_is_verified_shown_and_gone_on_with() {
    for configuration in [None, Some(CONFIGURATION)] {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("server.log");
        std::fs::copy(OLD_LOG, &log).expect("copied");
        assert!(serde_json::from_slice::<Value>(last_line(&log).as_bytes()).is_err(), "it is no strict JSON");
        assert_unbroken(&log);
        let before = history(&log, HistoryFilter::default(), usize::MAX).expect("read");
        assert_eq!((before.rows.len(), before.unreadable), (15, 0));
        assert!(before.rows.iter().all(|row| row.user.as_deref() == Some("local") && row.time.len() == 27));
        let none = HistoryFilter { user: Some("another".to_owned()), ..HistoryFilter::default() };
        assert!(history(&log, none, usize::MAX).expect("read").rows.is_empty());
        let text_of_configuration = format!(
            "[[listeners]]\nendpoint = 'tcp://127.0.0.1:*'\nplain = true\n{}",
            configuration.unwrap_or("")
        );
        let daemon = if configuration.is_some() {
            Daemon::in_directory(directory, &text_of_configuration)
        } else {
            Daemon::again(directory)
        };
        let [local, remote] = rows(&daemon);
        assert_eq!(local, remote);
        let infinity = r#"{"$float":"inf"}"#;
        assert_eq!((local.len(), &*local[1], &*local[2]), (12, "18446744073709551617", infinity));
        assert_eq!(local.last().map(String::as_str), Some(infinity));
        printed::check(&output(&daemon, &["history"]), 0, "  inf ", "");
        // The same where the log has been moved on.
        printed::check(&output(&daemon, &["compute", "nan"]), 0, "nan\n", "");
        let directory = daemon.kill();
        assert_unbroken(&log);
        std::fs::rename(&log, directory.path().join("server.log.1")).expect("moved");
        let daemon = Daemon::again(directory);
        assert_eq!(rows(&daemon)[0].len(), 13);
        let verified = verify(&log, &Evidence::default()).expect("unbroken");
        assert_eq!((verified.first, verified.files), (1, 2));
    }
}

fn last_line(log: &Path) -> String {
    std::fs::read_to_string(log).expect("a log").lines().last().expect("a record").to_owned()
}

async fn connect(daemon: &Daemon) -> Connection {
    let within = std::time::Duration::from_secs(5);
    Connection::open(&daemon.endpoint, &Security::Plain, within).await.expect("the server answers")
}

async fn exchange(connection: &Connection, frame: &[u8]) -> String {
    connection.send(frame.to_vec(), vec![]).await.expect("sent");
    let received = tokio::time::timeout(std::time::Duration::from_secs(30), connection.receive()).await;
    text(&received.expect("in time").expect("connected").body).to_owned()
}

/// An expression and what its variables hold, in the spelling of strict replies.
#[derive(Clone, Debug)]
struct Asked {
    expression: &'static str,
    variables: Vec<(&'static str, String)>,
}

impl Asked {
    fn frame(&self, numbers: Numbers) -> Vec<u8> {
        let variable = |(name, json): &(&'static str, String)| Variable {
            name: (*name).into(),
            json: json.clone().into(),
        };
        let action = Action::Compute {
            expression: self.expression.into(),
            variables: self.variables.iter().map(variable).collect(),
            columns: Vec::new(),
            numbers,
        };
        Request { id: None, timeout: None, action }.encode()
    }
}

/// Any float, those that are special oftener than by chance.
fn float() -> impl Strategy<Value = f64> {
    let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 5e-324, -5e-324];
    let limits = [f64::MAX, f64::MIN, f64::MIN_POSITIVE, 1e16, 1e-5, 9_007_199_254_740_993.0];
    prop_oneof![
        prop::sample::select(special.to_vec()),
        prop::sample::select(limits.to_vec()),
        any::<u64>().prop_map(f64::from_bits),
    ]
}

fn strict_float(value: f64) -> String {
    let mut json = String::new();
    calc::Value::Float(value).write_strict(&mut json).expect("a float");
    json
}

/// Any expression of one of these forms, which have values of every type.
fn asked() -> impl Strategy<Value = Asked> {
    let integer = || {
        prop_oneof![
            "-?[1-9][0-9]{0,30}",
            "-?[1-9][0-9]{300,320}",
            "-?[1-9][0-9]{4200,4299}",
            Just("0".to_owned())
        ]
    };
    let tagged = integer().prop_map(|digits| format!(r#"{{"$int":"{digits}"}}"#));
    let scalar = || float().prop_map(strict_float);
    let complex =
        (scalar(), scalar()).prop_map(|(real, imaginary)| format!(r#"{{"$complex":[{real},{imaginary}]}}"#));
    let list = || prop::collection::vec(scalar(), 1..5);
    let one = |expression| move |x: String| Asked { expression, variables: vec![("x", x)] };
    prop_oneof![
        prop_oneof![integer(), tagged, scalar(), complex, Just("true".to_owned())].prop_map(one("x")),
        scalar().prop_map(one("modf(x)")),
        scalar().prop_map(one("frexp(x)")),
        scalar().prop_map(one("x > 0")),
        scalar().prop_map(one("complex(x, -x)")),
        (scalar(), scalar())
            .prop_map(|(x, y)| Asked { expression: "x * y", variables: vec![("x", x), ("y", y)] }),
        (integer(), "[1-9][0-9]{0,40}")
            .prop_map(|(x, y)| Asked { expression: "divmod(x, y)", variables: vec![("x", x), ("y", y)] }),
        list().prop_map(|x| Asked {
            expression: "x / 0.5",
            variables: vec![("x", format!("[{}]", x.join(",")))]
        }),
        (list(), scalar()).prop_map(|(x, y)| Asked {
            expression: "x * y",
            variables: vec![("x", format!("[{}]", x.join(", "))), ("y", y)],
        }),
    ]
}

/// Asks for everything, and for each value once more with the value as a variable; gives the values as they came.
async fn ask_and_put_back(daemon: &Daemon, asked: &[Asked]) -> Vec<String> {
    let connection = connect(daemon).await;
    let mut results = Vec::new();
    for asked in asked {
        let plain = exchange(&connection, &asked.frame(Numbers::Python)).await;
        let Ok(Reply { verdict: Verdict::Value { json, type_name }, .. }) = Reply::decode(plain.as_bytes())
        else {
            // Such as the product of a float and an integer that is no float.
            let reply = Reply::decode(plain.as_bytes()).expect("a reply");
            assert!(matches!(reply.verdict, Verdict::Failed(_)), "{plain}");
            continue;
        };
        assert_eq!(result_of(&plain), json);
        let tagged = exchange(&connection, &asked.frame(Numbers::Strict)).await;
        serde_json::from_str::<Value>(&tagged).expect("strict JSON");
        assert_eq!(untagged(result_of(&tagged)), json, "both spellings are of one value");
        // What a person sees is nothing but the number or the same JSON.
        match &*type_name {
            "int" | "float" => assert!(
                printed(&json) == json || ["inf", "-inf", "nan"].contains(&&*printed(&json)),
                "{json}"
            ),
            _ => assert_eq!(printed(&json), json),
        }
        results.extend([json.to_string(), result_of(&tagged).to_owned()]);
        if type_name == "tuple" {
            continue;
        }
        let expression = if type_name == "list" { "+x" } else { "x" };
        for given in [&*json, result_of(&tagged), &*strict(&json)] {
            let frame = Asked { expression, variables: vec![("x", given.to_owned())] }.frame(Numbers::Python);
            let again = exchange(&connection, &frame).await;
            assert_eq!(result_of(&again), json, "{given} goes back in");
            results.push(json.to_string());
        }
    }
    results
}

#[test]
fn any_value_is_the_same_wherever_it_is_written_and_read() {
    let mut runner = TestRunner::new(Config {
        cases: 10,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..Config::default()
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let cases = (prop::collection::vec(asked(), 1..12), any::<bool>());
    runner
        .run(&cases, |(asked, is_configured)| {
            let daemon = if is_configured { Daemon::configured(CONFIGURATION) } else { Daemon::start() };
            let wanted: Vec<_> =
                runtime.block_on(ask_and_put_back(&daemon, &asked)).iter().map(|json| strict(json)).collect();
            assert_eq!(results(&daemon.log()), wanted);
            assert_unbroken(&daemon.log());
            let daemon = Daemon::again(daemon.kill());
            assert_unbroken(&daemon.log());
            assert_eq!(results(&daemon.log()), wanted);
            assert_eq!(rows(&daemon), [wanted.clone(), wanted]);
            daemon.stop();
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
