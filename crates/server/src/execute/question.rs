//! Answers about the server itself: what one may do, and how it stands with jobs.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use transport::Listeners;
use wire::Delivery;

use super::deliver::{Client, deliver};
use crate::authorise::Question;
use crate::entry::Entry;
use crate::jobs::{Job, State};
use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::service::Service;

pub(super) async fn answer(
    question: Question,
    service: &Service,
    listeners: &Listeners,
    entry: &mut Entry,
) -> Result<Outcome, Refusal> {
    let find = |job: &str, view| service.jobs.find(job, view, service.now());
    match question {
        Question::Describe(json) => Ok(Outcome::Value { json, type_name: "description" }),
        Question::Jobs(view) => {
            let jobs = service.jobs.list(&view, service.now());
            let list: Value = jobs.iter().map(|job| job.describe()).collect();
            Ok(Outcome::Value { json: list.to_string(), type_name: "jobs" })
        }
        Question::Status { job, view } => Ok(status(&*find(&job, &view)?)),
        Question::Result { job, view, stream, timeout } => {
            let job = find(&job, &view)?;
            entry.job = Some(job.name.clone());
            match job.state() {
                State::Waiting | State::Starting | State::Running if !stream => {
                    Ok(Outcome::Running { output: Some(job.output_so_far()) })
                }
                _ => {
                    let delivery = if stream { Delivery::Stream } else { Delivery::Whole };
                    deliver(Client::new(listeners, entry, timeout), &job, delivery, None).await
                }
            }
        }
        Question::Metrics => Ok(Outcome::Value { json: metrics(service).to_string(), type_name: "metrics" }),
        Question::Cancel { job, view, by } => {
            let job = find(&job, &view)?;
            job.cancel(&by);
            job.ended().await;
            Ok(status(&job))
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
        "ids_remembered": service.jobs.ids_remembered(),
        "log": { "records": service.log.records(), "problem": service.log.problem() },
        "launcher": service.launcher.is_there(),
    })
}

fn status(job: &Job) -> Outcome {
    Outcome::Value { json: job.describe().to_string(), type_name: "job" }
}
