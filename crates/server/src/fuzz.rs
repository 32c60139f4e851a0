//! What the log is written with, and everything that reads it back, for the fuzz target `record` and the tests: whatever a
//! record holds, each reader finds it unchanged; and whatever a file holds, none panics.

use std::path::Path;
use std::rc::Rc;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::value::RawValue;
use wire::json::{Respelled, StrictJson, read};
use wire::{Action, End, Output, Reply, RequestId, Verdict, decode_request};

use crate::jobs::{Bounds, Digest, ExecutedIds, Jobs, Order, State, View, restore_from};
use crate::log::{Evidence, History, HistoryFilter, Line, Log, Rotation, history, job_records, verify};
use crate::moment::Moment;

const NEVER_FULL: Rotation = Rotation { bytes: u64::MAX, keep: None };
const JOB: &str = "19a0c3f2b1e-1";
const ID: &str = "an.id-1";

/// What stands between the parts of an input: it is in no UTF-8 text.
const SEPARATOR: u8 = 0xff;

/// No value of an expression is as deep, and no reader ends here.
const DEEPEST: usize = 64;

/// What an input says that the records hold.
struct Said {
    user: String,
    order: Order,
    stdout: Vec<u8>,
    reason: String,
    /// The frame of a request, which may be none.
    request: Vec<u8>,
    /// A value as Python's `json` spells it.
    json: String,
}

impl Said {
    fn by(bytes: &[u8]) -> Self {
        let mut parts = bytes.split(|byte| *byte == SEPARATOR);
        let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let (user, command, stdout, reason, request, json) = (text(), text(), text(), text(), text(), text());
        let parameters = parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect();
        let id = RequestId::parse(ID);
        let order =
            Order { user: user.as_str().into(), command, parameters, id, digest: Digest::logged([7; 32]) };
        let json = if is_value(&json) { json } else { "NaN".to_owned() };
        Self { user, order, stdout: stdout.into_bytes(), reason, request: request.into_bytes(), json }
    }

    /// As a computation is answered, and a job is started and ends.
    fn write(&self, log: &Log) {
        log.append(|line| {
            line.text("event", "answered");
            line.text("user", &self.user);
            match decode_request(&self.request) {
                Ok(_) => line.json("request", &StrictJson::respelled(&self.request)),
                Err(_) => line.text("request_text", &String::from_utf8_lossy(&self.request)),
            }
            let verdict = Verdict::Value { json: self.json.as_str().into(), type_name: "float".into() };
            reply(line, verdict);
            line.text("reason", &self.reason);
        });
        log.append(|line| {
            line.text("event", "started");
            line.text("user", &self.user);
            line.text("job", JOB);
            self.order.write(line);
        });
        log.append(|line| {
            line.text("event", "ended");
            line.text("user", &self.user);
            line.text("command", &self.order.command);
            line.text("job", JOB);
            let output = Output { stdout: self.stdout.as_slice().into(), ..Output::default() };
            reply(line, Verdict::Finished { output, end: End::Exit(0) });
            line.text("reason", &self.reason);
        });
    }

    fn check_history(&self, path: &Path) {
        let of = |user: Option<&str>| {
            let filter = HistoryFilter { user: user.map(str::to_owned), ..HistoryFilter::default() };
            history(path, filter, 9).expect("a log")
        };
        let another = format!("{}x", self.user);
        for (found, rows) in [(of(None), 2), (of(Some(&self.user)), 2), (of(Some(&another)), 0)] {
            assert_eq!((found.rows.len(), found.unreadable), (rows, 0));
        }
        let History { rows, .. } = of(None);
        let [computed, job] = rows.as_slice() else { panic!("{rows:?}") };
        for row in [computed, job] {
            assert_eq!((row.user.as_ref(), row.reason.as_ref()), (Some(&self.user), Some(&self.reason)));
        }
        match decode_request(&self.request).map(|request| request.action) {
            Ok(Action::Compute { expression, .. }) => {
                assert_eq!(computed.expression.as_deref(), Some(&*expression));
                let strict = StrictJson::respelled(self.json.as_bytes());
                assert_eq!(
                    value(computed.result.as_ref().expect("a result").get().as_bytes()),
                    value(strict.as_bytes())
                );
            }
            Ok(Action::Os { command_name, parameters, .. }) => {
                assert_eq!(computed.command.as_deref(), Some(&*command_name));
                assert_eq!(computed.parameters, parameters);
            }
            Ok(_) => assert!(computed.command_type.is_some()),
            Err(_) => assert!(computed.request_text.is_some()),
        }
        assert_eq!(job.command.as_ref(), Some(&self.order.command));
        assert_eq!((&job.parameters, job.exit_code), (&self.order.parameters, Some(0)));
        for row in rows {
            serde_json::from_slice::<Value>(&row.to_json()).expect("strict JSON");
        }
    }

    fn check_restored(&self, path: &Path) {
        let now = Moment::default();
        let jobs = restored(path);
        let list = jobs.list(&View::All, now);
        let [job] = list.as_slice() else { panic!("{} jobs", list.len()) };
        assert_eq!((&*job.name, &*job.order.user), (JOB, &*self.user));
        assert_eq!(
            (&job.order.command, &job.order.parameters),
            (&self.order.command, &self.order.parameters)
        );
        let State::Ended(ended) = job.state() else { panic!("it has not ended") };
        assert_eq!(ended.reason.as_ref(), Some(&self.reason));
        assert_eq!(ended.verdict.output().map(|output| &*output.stdout), Some(&*self.stdout));
        let by_id = jobs.find_request(&Rc::from(&*self.user), &RequestId::parse(ID).expect("an id"), now);
        assert_eq!(by_id.expect("a job").name, job.name);
    }
}

fn reply(line: &mut Line<'_>, verdict: Verdict<'_>) {
    let reply = Reply { id: None, job: None, duration: None, verdict };
    line.json("reply", &StrictJson::respelled(&reply.encode()));
}

fn is_value(json: &str) -> bool {
    let depth = json.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    depth < DEEPEST && read::<&RawValue>(json.as_bytes(), &mut Respelled::default()).is_ok()
}

/// The value, or the text of one that this type cannot hold, such as a lone surrogate.
fn value(json: &[u8]) -> Result<Value, Vec<u8>> {
    serde_json::from_slice(json).map_err(|_| json.trim_ascii().to_vec())
}

fn restored(path: &Path) -> Jobs {
    let (executed, _) = ExecutedIds::open(path, Bounds::default()).expect("ids");
    let jobs = Jobs::new(Timestamp::now(), Bounds::default(), executed);
    restore_from(|take| job_records(path, 0, take), &jobs, Moment::default(), |_, _| {}).expect("a log");
    jobs
}

/// Writes records that hold what the bytes say into a new log at `path`, and reads them in every way there is.
///
/// # Panics
/// A reader finds something else than was written, or nothing.
#[cfg_attr(not(feature = "fuzz"), expect(unreachable_pub, reason = "it is shown to the fuzz target alone"))]
pub fn check_every_reader(path: &Path, bytes: &[u8]) {
    let said = Said::by(bytes);
    let open = || Log::open(path, NEVER_FULL).expect("a log");
    let (log, _) = open();
    said.write(&log);
    log.commit().expect("written");
    drop(log);
    for line in std::fs::read(path).expect("a log").split_inclusive(|byte| *byte == b'\n') {
        assert!(line.is_ascii() || std::str::from_utf8(line).is_ok());
        read_strictly(line);
    }
    said.check_history(path);
    said.check_restored(path);
    // The next server goes on behind the last of them.
    for last in [3, 4] {
        let verified = verify(path, &Evidence::default()).expect("unbroken");
        assert_eq!((verified.first, verified.last), (1, last));
        let (log, torn) = open();
        assert_eq!(torn, 0);
        log.append(|line| line.text("event", "server_started"));
        log.commit().expect("written");
    }
}

/// What any parser of JSON takes that holds numbers in doubles.
fn read_strictly(line: &[u8]) {
    if let Err(error) = serde_json::from_slice::<Value>(line) {
        // Half a surrogate pair is JSON by its grammar, and no text here.
        assert!(
            error.to_string().contains("surrogate") || error.to_string().contains("hex escape"),
            "{error}"
        );
    }
}

/// Reads any bytes as a log at `path`, in every way there is.
///
/// # Panics
/// A reader panics, or shows a row without a time.
#[cfg_attr(not(feature = "fuzz"), expect(unreachable_pub, reason = "it is shown to the fuzz target alone"))]
pub fn check_any_log(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("written");
    // It would wait for the rest of a torn line.
    if bytes.last() == Some(&b'\n') {
        let _ = verify(path, &Evidence::default());
    }
    for user in [None, Some("ann".to_owned())] {
        let found = history(path, HistoryFilter { user: user.clone(), ..HistoryFilter::default() }, 99);
        // What begins as no log does is told to be none.
        for row in found.map(|found| found.rows).unwrap_or_default() {
            assert!(!row.time.is_empty() && (user.is_none() || row.user == user));
        }
    }
    let _ = restored(path);
    let _ = Log::open(path, NEVER_FULL);
}

#[cfg(test)]
mod tests {
    use super::{check_any_log, check_every_reader};
    use proptest::prelude::*;

    fn in_a_directory(check: fn(&std::path::Path, &[u8]), bytes: &[u8]) {
        let directory = tempfile::tempdir().expect("a directory");
        check(&directory.path().join("server.log"), bytes);
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "(NaN|Infinity|[\"\\\\:,{}$\\n ]|1e400|\"job\":|\\\\u|\"prev\":\"){0,6}",
            Just(r#"{"command_type":"compute","expression":"NaN","variables":{"x":[NaN,1e400]}}"#.to_owned()),
            Just(
                r#"{"command_type":"os","command_name":"\u0070ing","parameters":["-c","Infinity"]}"#
                    .to_owned()
            ),
            Just(r#"[{"$complex":[Infinity,NaN]}, 1e400, "\ud83d\ude00"]"#.to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn every_reader_finds_what_was_written(parts in prop::collection::vec(text(), 0..9)) {
            let bytes = parts.iter().map(String::as_bytes).collect::<Vec<_>>().join(&0xff_u8);
            in_a_directory(check_every_reader, &bytes);
        }

        #[test]
        fn no_file_makes_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), texts in prop::collection::vec(text(), 0..4)) {
            in_a_directory(check_any_log, &bytes);
            let head = r#"{"seq":1,"time":"2026-11-24T12:00:00.000000Z","event":"answered","user":"ann","#;
            let lines: Vec<_> = texts.iter().map(|text| format!("{head}{text}\n")).collect();
            in_a_directory(check_any_log, lines.concat().as_bytes());
        }
    }
}
