//! Answers about the server itself: what one may do, and how it stands with jobs.

use serde_json::Value;
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
        Question::Cancel { job, view, by } => {
            let job = find(&job, &view)?;
            job.cancel(&by);
            job.ended().await;
            Ok(status(&job))
        }
    }
}

fn status(job: &Job) -> Outcome {
    Outcome::Value { json: job.describe().to_string(), type_name: "job" }
}
