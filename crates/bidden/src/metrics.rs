//! `bidden metrics`: how a server does, in the text format of Prometheus, for a collector that reads files.

use std::fmt::Write as _;

use client::Action;
use serde_json::Value;

use crate::arguments::Metrics;
use crate::ask::show;
use crate::exit::Exit;

pub(crate) async fn metrics(arguments: Metrics) -> anyhow::Result<Exit> {
    show(&arguments.server, arguments.json, Action::Metrics, text).await
}

/// What each gauge is called, says, and where it stands in the reply.
const GAUGES: [(&str, &str, &str); 7] = [
    ("bidden_uptime_seconds", "Time since the start.", "/uptime_seconds"),
    ("bidden_commands_running", "Commands that run.", "/commands/running"),
    ("bidden_commands_waiting", "Commands that wait for their turn.", "/commands/waiting"),
    ("bidden_jobs", "Jobs that are known, those that ended lately too.", "/commands/jobs"),
    ("bidden_computations_waiting", "Long computations under way.", "/computations_waiting"),
    ("bidden_ids_remembered", "Ids that are remembered.", "/ids_remembered"),
    ("bidden_log_records", "Records of the log.", "/log/records"),
];

/// The exposition format. What a server does not tell is left out.
fn text(metrics: &Value) -> String {
    let mut out = String::new();
    let at = |pointer| metrics.pointer(pointer);
    let version = at("/version").and_then(Value::as_str).unwrap_or_default();
    sample(
        &mut out,
        "bidden_info",
        "gauge",
        "The server.",
        &[(format!("{{version={version:?}}}"), Some(1.0))],
    );
    let replies = at("/replies").and_then(Value::as_object).into_iter().flatten();
    let replies: Vec<_> =
        replies.map(|(code, count)| (format!("{{code={code:?}}}"), count.as_f64())).collect();
    sample(
        &mut out,
        "bidden_replies_total",
        "counter",
        "Replies since the start, by what they said.",
        &replies,
    );
    let lost = at("/log/files_lost").and_then(Value::as_f64);
    sample(
        &mut out,
        "bidden_log_files_lost_total",
        "counter",
        "Files of the log that others removed, replaced or emptied while the server wrote them.",
        &[(String::new(), lost)],
    );
    let mut gauge = |name, help, value| sample(&mut out, name, "gauge", help, &[(String::new(), value)]);
    for (name, help, pointer) in GAUGES {
        gauge(name, help, at(pointer).and_then(Value::as_f64));
    }
    let truth = |truth: bool| f64::from(u8::from(truth));
    let writable = at("/log/problem").map(|problem| truth(problem.is_null()));
    gauge("bidden_log_writable", "1 if the log can be written, and so anything be executed.", writable);
    let launcher = at("/launcher").and_then(Value::as_bool).map(truth);
    gauge("bidden_launcher", "1 if commands can be started.", launcher);
    out
}

fn sample(out: &mut String, name: &str, kind: &str, help: &str, values: &[(String, Option<f64>)]) {
    if values.iter().all(|(_, value)| value.is_none()) {
        return;
    }
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (label, value) in values {
        if let Some(value) = value {
            let _ = writeln!(out, "{name}{label} {value}");
        }
    }
}
