//! Answers about the server itself: what one may do, and how it stands with jobs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use transport::Listeners;
use wire::{Delivery, History};

use super::deliver::{Client, deliver};
use super::worker::on_worker;
use crate::authorise::{Named, Question};
use crate::entry::Entry;
use crate::jobs::{Job, State, View};
use crate::limits::{HISTORY_BYTES, HISTORY_ROWS};
use crate::log::{Finding, HistoryFilter};
use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::service::Service;

pub(super) async fn answer(
    question: Question,
    user: &str,
    service: &Service,
    listeners: &Listeners,
    entry: &mut Entry,
) -> Result<Outcome, Refusal> {
    let find = |job: &str, view| service.jobs.find(job, view, service.moment());
    let needs_record = !question.needs_no_record();
    let told = |json: String, type_name| Outcome::Told { json, type_name, needs_record };
    match question {
        Question::Describe(json) => Ok(told(json, "description")),
        Question::Jobs(view) => {
            let jobs = service.jobs.list(&view, service.moment());
            let list: Value = jobs.iter().map(|job| job.describe()).collect();
            Ok(told(list.to_string(), "jobs"))
        }
        Question::Status { job, view } => Ok(told(status(&*find(&job, &view)?), "job")),
        Question::Result { job, view, stream, timeout } => {
            let job = find(&job, &view)?;
            entry.job = Some(job.name.clone());
            match job.state() {
                State::Waiting | State::Starting | State::Running if !stream => {
                    Ok(Outcome::Running { output: Some(job.output_so_far()) })
                }
                _ => {
                    let delivery = if stream { Delivery::Stream } else { Delivery::Whole };
                    deliver(Client::new(service, listeners, entry, timeout), &job, delivery, None).await
                }
            }
        }
        Question::Metrics => Ok(told(metrics(service).to_string(), "metrics")),
        Question::History { asked, view, timeout } => history(asked, &view, timeout, service, user).await,
        Question::Cancel { job, view, by, timeout } => {
            let job = match job {
                Named::Job(name) => find(&name, &view)?,
                Named::Request(id) => service.jobs.find_request(&by, &id, service.moment())?,
            };
            job.cancel(&by);
            let client = Client::new(service, listeners, entry, timeout);
            tokio::select! {
                _ = job.ended() => {}
                () = client.patience() => {}
            }
            Ok(told(status(&job), "job"))
        }
    }
}

/// docs/operating.md gives the keys.
fn metrics(service: &Service) -> Value {
    let replies: BTreeMap<_, _> = service.replies.by_code().collect();
    let gate = &service.gate;
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": service.started.elapsed().as_secs_f64(),
        "replies": replies,
        "commands": { "running": gate.running(), "waiting": gate.waiting(), "jobs": service.jobs.count() },
        "computations_waiting": gate.computing(),
        "ids_remembered": service.jobs.executed().count(service.moment()),
        "log": {
            "records": service.log.records(),
            "files_lost": service.log.files_lost(),
            "problem": service.log.problem(),
        },
        "launcher": service.launcher.is_there(),
    })
}

/// The newest rows of the log that may be seen and that one reply has room for.
async fn history(
    asked: History<'static>,
    view: &View,
    timeout: Option<Duration>,
    service: &Service,
    asker: &str,
) -> Result<Outcome, Refusal> {
    let user = match view {
        View::Own(own) => Some((**own).to_owned()),
        View::All => asked.user.map(Cow::into_owned),
    };
    let since = asked.since.map(|since| {
        let since = SignedDuration::try_from(since).unwrap_or(SignedDuration::MAX);
        service.now().saturating_sub(since).unwrap_or(Timestamp::MIN)
    });
    let command = asked.command_name.map(Cow::into_owned);
    let filter = HistoryFilter { user, command, since, failed: asked.failed };
    let log = service.log.path();
    let sees_all = *view == View::All;
    // The turn lasts as long as the log is read, also when nobody waits for it any more.
    let read = move |_turn| {
        let mut found = crate::log::history(&log, filter, HISTORY_ROWS)
            .map_err(|error| Refusal::internal(format!("the log cannot be read: {error}")))?;
        if !sees_all {
            // What the client was not told then it is not told now.
            found.rows.iter_mut().for_each(|row| row.reason = None);
            found.unreadable = 0;
        }
        let json = newest(&found).map_err(|error| Refusal::internal(error.to_string()))?;
        Ok(Outcome::Told { json, type_name: "history", needs_record: true })
    };
    on_worker(service, asker, timeout, service.gate.history(asker), read).await
}

/// As many of the newest rows as a reply may hold, and how many there are before them. A row stays the text that it is:
/// a number in it may have more digits than any type here.
fn newest(found: &crate::log::History) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Missing {
        first: u64,
        last: u64,
    }
    #[derive(Serialize)]
    struct Told {
        earlier: u64,
        missing: Vec<Missing>,
        #[serde(skip_serializing_if = "is_zero")]
        unreadable: u64,
        rows: Vec<Box<RawValue>>,
    }
    let mut rows = Vec::new();
    let mut bytes = 0_usize;
    for row in found.rows.iter().rev() {
        let row = serde_json::value::to_raw_value(row)?;
        bytes = bytes.saturating_add(row.get().len());
        if bytes > HISTORY_BYTES {
            break;
        }
        rows.push(row);
    }
    let left_out = found.rows.len().saturating_sub(rows.len()) as u64;
    rows.reverse();
    let missing = found.findings.iter().filter_map(Finding::missing);
    let missing: Vec<_> = missing.map(|(first, last)| Missing { first, last }).collect();
    let earlier = found.earlier.saturating_add(left_out);
    let told = Told { earlier, missing, unreadable: found.unreadable, rows };
    serde_json::to_string(&told)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn status(job: &Job) -> String {
    job.describe().to_string()
}
