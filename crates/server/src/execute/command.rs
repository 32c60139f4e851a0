//! The life of a job: it waits for its turn, is confined while its `started` record goes to the disk, begins when the
//! record is there, and has its end recorded before anybody learns of it.

use std::rc::Rc;
use std::time::Duration;

use jail::RunError;
use tokio::time::Instant;
use wire::{End, ErrorCode, Failure, Usage, Verdict};

use super::deliver::{deadline, passed};
use crate::admit::Place;
use crate::authorise::Execution;
use crate::entry::Entry;
use crate::jobs::{Ended, Job};
use crate::record::record_end;
use crate::refusal::Refusal;
use crate::service::{Phase, Service};

/// Brings a job to its end, whatever that is.
pub(super) async fn run(
    service: Rc<Service>,
    job: Rc<Job>,
    execution: Execution,
    place: Place,
    entry: Entry,
) {
    let ending = Ending { service: &service, job: &job, entry: &entry };
    let (verdict, reason) = match live(&service, &job, execution, place, &entry).await {
        Ok(verdict) => (verdict, None),
        Err(Refusal { failure, reason }) => (Verdict::Failed(*failure), reason),
    };
    ending.come(verdict, reason);
}

/// The end of a job. Dropped without one, as after a panic, it still ends.
struct Ending<'j> {
    service: &'j Service,
    job: &'j Rc<Job>,
    entry: &'j Entry,
}

impl Ending<'_> {
    fn come(&self, verdict: Verdict<'static>, reason: Option<String>) {
        let Self { service, job, entry } = self;
        let duration = Some(entry.frame.arrived.elapsed());
        let ended = Ended { verdict, reason, duration };
        let record = |job: &Job, ended: &Ended| record_end(&service.log, job, ended);
        service.jobs.end(job, ended, service.moment(), record);
        if !job.is_awaited() {
            // Nobody's reply writes it. A log that cannot be written has said so, and keeps the record until it can.
            let _ = service.commit();
        }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if !self.job.has_ended() {
            let Refusal { failure, reason } = Refusal::internal("the job was given up");
            self.come(Verdict::Failed(*failure), reason);
        }
    }
}

async fn live(
    service: &Service,
    job: &Job,
    execution: Execution,
    place: Place,
    entry: &Entry,
) -> Result<Verdict<'static>, Refusal> {
    let Execution { program, mut plan, timeout, .. } = execution;
    let until = timeout.and_then(|timeout| deadline(entry, timeout));
    let _turn = tokio::select! {
        biased;
        () = job.cancelled() => return Err(cancelled(service, job)),
        turn = place.turn() => turn?,
        () = passed(until) => return Err(not_in_time()),
    };
    let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
    if left.is_zero() {
        return Err(not_in_time());
    }
    let rule_limit = plan.time_limit;
    plan.time_limit = rule_limit.min(left);
    if !job.start() {
        return Err(Refusal::internal("the job had been started before"));
    }
    service.log.append(|line| {
        line.text("event", "started");
        entry.write(line);
        line.text("job", &job.name);
        job.order.write(line);
        line.text("program", &program.to_string_lossy());
        line.texts("arguments", &plan.arguments);
    });
    // Both at once: neither can begin the command without the other.
    let (written, ready) = tokio::join!(service.log.commit_durably(), service.launcher.prepare(&plan));
    written.map_err(|_| Refusal::internal("the log cannot be written"))?;
    let ready = ready.map_err(|error| not_run(&error))?;
    plan.secrets = vec![];
    plan.stdin = None;
    if job.cancelled_by().is_some() {
        return Err(cancelled(service, job));
    }
    if !job.run() {
        return Err(Refusal::internal("the job had ended before its command began"));
    }
    let wanted_end = async {
        tokio::select! {
            () = job.cancelled() => {}
            () = service.end_of_work() => {}
        }
    };
    let take = async |stream, bytes: &[u8]| job.print(stream, bytes).await;
    let ran = ready.run(wanted_end, take, || job.stop_waiting()).await;
    let outcome = ran.map_err(|error| not_run(&error))?;
    let mut output = job.take_output();
    output.usage = Some(Usage {
        cpu_time: outcome.usage.cpu_time,
        peak_memory_bytes: outcome.usage.peak_memory_bytes,
        output_bytes: outcome.usage.output_bytes,
    });
    let (code, message) = match outcome.end {
        jail::End::Exit(code) => return Ok(Verdict::Finished { output, end: End::Exit(code) }),
        jail::End::Signal(signal) => return Ok(Verdict::Finished { output, end: End::Signal(signal) }),
        jail::End::TimedOut => {
            let limit = timeout.map_or(rule_limit, |timeout| timeout.min(rule_limit));
            (ErrorCode::TimedOut, format!("the command was ended after {} s", limit.as_secs_f64()))
        }
        jail::End::Cancelled => {
            let Refusal { failure, reason } = cancelled(service, job);
            return Err(Refusal { failure: Box::new(Failure { output: Some(output), ..*failure }), reason });
        }
        jail::End::OutOfMemory => (
            ErrorCode::OutOfMemory,
            "the command used up the memory that it may take and was ended".to_owned(),
        ),
        jail::End::CpuLimit => (
            ErrorCode::CpuLimit,
            "the command used up the processor's time that it may take and was ended".to_owned(),
        ),
        jail::End::OutputLimit => (
            ErrorCode::OutputLimit,
            format!("the command wrote more than {} bytes and was ended", plan.output_bytes),
        ),
    };
    Ok(Verdict::Failed(Failure { output: Some(output), ..Failure::new(code, message) }))
}

fn not_in_time() -> Refusal {
    Refusal::open(ErrorCode::TimedOut, "the command was not started: its time was over before its turn came")
}

/// Somebody wanted it, or the server is stopping; a jail that says so in any other case is wrong.
fn cancelled(service: &Service, job: &Job) -> Refusal {
    match job.cancelled_by() {
        Some(by) => {
            Refusal::closed(ErrorCode::Cancelled, "the command was cancelled", format!("cancelled by {by}"))
        }
        None if service.phase() == Phase::End => {
            Refusal::open(ErrorCode::Cancelled, "the command was ended because the server is stopping")
        }
        None => Refusal::internal("the jail ended the command as cancelled, and nobody had cancelled it"),
    }
}

/// A program that is not there looks to the client like one that was never allowed.
fn not_run(error: &RunError) -> Refusal {
    match error {
        RunError::Missing(_) => Refusal::refused(error.to_string()),
        RunError::NotConfined { .. } | RunError::System(_) => {
            Refusal::closed(ErrorCode::FailedToStart, "the command could not be started", error.to_string())
        }
        RunError::Refused(_)
        | RunError::NoLauncher
        | RunError::LauncherDied
        | RunError::JailDied
        | RunError::Lost(_) => Refusal::internal(error.to_string()),
    }
}
