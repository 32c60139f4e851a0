//! Running a command: its `started` record is on disk before it starts.

use jail::{Captured, Plan, StartError};
use wire::{End, ErrorCode, Failure, Output};

use crate::entry::Entry;
use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::service::Service;

pub(super) async fn run(plan: Plan, service: &Service, entry: &mut Entry<'_>) -> Result<Outcome, Refusal> {
    let job = service.next_job();
    service.log.append(|line| {
        line.text("event", "started");
        entry.write(line);
        line.text("job", &job);
        line.text("program", &plan.program.to_string_lossy());
        line.texts("arguments", &plan.arguments);
    });
    entry.job = Some(job);
    service.log.commit_durably().await.map_err(|_| Refusal::internal("the log cannot be written"))?;
    let time_limit = plan.time_limit;
    let outcome = jail::run(plan, service.end_of_work()).await.map_err(|error| not_started(&error))?;
    let output = output(outcome.stdout, outcome.stderr);
    let ended_early = |code, message: String| {
        Err(Failure { output: Some(output.clone()), ..Failure::new(code, message) }.into())
    };
    match outcome.end {
        jail::End::Exit(code) => Ok(Outcome::Ended { output, end: End::Exit(code) }),
        jail::End::Signal(signal) => Ok(Outcome::Ended { output, end: End::Signal(signal) }),
        jail::End::TimedOut => ended_early(
            ErrorCode::TimedOut,
            format!("the command was ended after {} s", time_limit.as_secs_f64()),
        ),
        jail::End::Cancelled => ended_early(
            ErrorCode::Cancelled,
            "the command was ended because the server is stopping".to_owned(),
        ),
    }
}

fn output(stdout: Captured, stderr: Captured) -> Output<'static> {
    Output {
        truncated: stdout.truncated || stderr.truncated,
        stdout: stdout.bytes.into(),
        stderr: stderr.bytes.into(),
    }
}

/// A program that is not there looks to the client like one that was never allowed.
fn not_started(error: &StartError) -> Refusal {
    match error {
        StartError::Missing(_) => Refusal::refused(error.to_string()),
        StartError::System(_) => {
            Refusal::closed(ErrorCode::FailedToStart, "the command could not be started", error.to_string())
        }
    }
}
