//! Running a command: it is confined while its `started` record goes to the disk, and begins when the record is there.

use jail::{Captured, RunError};
use wire::{End, ErrorCode, Failure, Output, Usage};

use crate::authorise::Execution;
use crate::entry::Entry;
use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::service::Service;

pub(super) async fn run(
    execution: Execution,
    service: &Service,
    entry: &mut Entry<'_>,
) -> Result<Outcome, Refusal> {
    let Execution { program, plan } = execution;
    let job = service.next_job();
    service.log.append(|line| {
        line.text("event", "started");
        entry.write(line);
        line.text("job", &job);
        line.text("program", &program.to_string_lossy());
        line.texts("arguments", &plan.arguments);
    });
    entry.job = Some(job);
    // Both at once: neither can begin the command without the other.
    let (written, ready) = tokio::join!(service.log.commit_durably(), service.launcher.prepare(&plan));
    written.map_err(|_| Refusal::internal("the log cannot be written"))?;
    let ready = ready.map_err(|error| not_run(&error))?;
    let outcome = ready.run(service.end_of_work()).await.map_err(|error| not_run(&error))?;
    let output = output(outcome.stdout, outcome.stderr, outcome.usage);
    let ended_early = |code, message: String| {
        Err(Failure { output: Some(output.clone()), ..Failure::new(code, message) }.into())
    };
    match outcome.end {
        jail::End::Exit(code) => Ok(Outcome::Ended { output, end: End::Exit(code) }),
        jail::End::Signal(signal) => Ok(Outcome::Ended { output, end: End::Signal(signal) }),
        jail::End::TimedOut => ended_early(
            ErrorCode::TimedOut,
            format!("the command was ended after {} s", plan.time_limit.as_secs_f64()),
        ),
        jail::End::Cancelled => ended_early(
            ErrorCode::Cancelled,
            "the command was ended because the server is stopping".to_owned(),
        ),
        jail::End::OutOfMemory => ended_early(
            ErrorCode::OutOfMemory,
            "the command used up the memory that it may take and was ended".to_owned(),
        ),
        jail::End::CpuLimit => ended_early(
            ErrorCode::CpuLimit,
            "the command used up the processor's time that it may take and was ended".to_owned(),
        ),
        jail::End::OutputLimit => ended_early(
            ErrorCode::OutputLimit,
            format!("the command wrote more than {} bytes and was ended", plan.output_bytes),
        ),
    }
}

fn output(stdout: Captured, stderr: Captured, usage: jail::Usage) -> Output<'static> {
    Output {
        truncated: stdout.truncated || stderr.truncated,
        stdout: stdout.bytes.into(),
        stderr: stderr.bytes.into(),
        usage: Some(Usage {
            cpu_time: usage.cpu_time,
            peak_memory_bytes: usage.peak_memory_bytes,
            output_bytes: usage.output_bytes,
        }),
    }
}

/// A program that is not there looks to the client like one that was never allowed.
fn not_run(error: &RunError) -> Refusal {
    match error {
        RunError::Missing(_) => Refusal::refused(error.to_string()),
        RunError::NotConfined { .. } | RunError::System(_) => {
            Refusal::closed(ErrorCode::FailedToStart, "the command could not be started", error.to_string())
        }
        RunError::Refused(_) | RunError::NoLauncher | RunError::LauncherDied => {
            Refusal::internal(error.to_string())
        }
    }
}
