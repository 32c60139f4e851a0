//! The life of one command: start, read what it prints, end it when its time is over, collect how it ended.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

use crate::capture::Capture;
use crate::outcome::{End, Outcome};
use crate::plan::Plan;
use crate::start::{StartError, Started, start};

/// Between SIGTERM and SIGKILL, for a command that has to end.
const TERMINATION_GRACE: Duration = Duration::from_millis(500);

/// Starts at the same time: fork(2) copies under a lock of the whole process, so more of them only wait for each other.
static STARTS: Semaphore = Semaphore::const_new(2);

/// How long a killed command is waited for. One in an uninterruptible sleep dies later, and nobody waits for it.
const REAP_TIME: Duration = Duration::from_secs(1);

/// How long output is still read after a command's end, while its group is gone and a stranger holds the pipe.
const DRAIN_TIME: Duration = Duration::from_millis(200);

/// Runs a command to its end. It ends by itself, at its time limit, or soon after `stop` completes.
///
/// Dropping the future kills the command's process group.
///
/// # Errors
/// The command never ran.
pub async fn run(plan: Plan, stop: impl Future<Output = ()>) -> Result<Outcome, StartError> {
    let began = Instant::now();
    let deadline = began.checked_add(plan.time_limit);
    let output_limit = plan.output_limit;
    let mut started = {
        let _turn = STARTS.acquire().await.map_err(|error| StartError::System(io::Error::other(error)))?;
        tokio::task::spawn_blocking(move || start(&plan))
            .await
            .map_err(|error| StartError::System(io::Error::other(error)))??
    };
    let (pidfd, mut stdout, mut stderr) = watch(&mut started, output_limit).map_err(StartError::System)?;

    let mut read = false;
    let why = {
        let mut reading = pin!(async { tokio::join!(stdout.read_to_end(), stderr.read_to_end()) });
        let mut stop = pin!(stop);
        let mut expiry = pin!(expire(deadline));
        let why = loop {
            tokio::select! {
                _ = &mut reading, if !read => read = true,
                _ = pidfd.readable() => break Why::Ended,
                () = &mut expiry => break Why::TimedOut,
                () = &mut stop => break Why::Cancelled,
            }
        };
        if !matches!(why, Why::Ended) {
            started.signal_group(Signal::TERM);
            let ended = async {
                loop {
                    tokio::select! {
                        _ = &mut reading, if !read => read = true,
                        _ = pidfd.readable() => break,
                    }
                }
            };
            let _ = timeout(TERMINATION_GRACE, ended).await;
        }
        started.signal_group(Signal::KILL);
        if !read {
            let _ = timeout(DRAIN_TIME, &mut reading).await;
        }
        why
    };
    let end = match (why, timeout(REAP_TIME, pidfd.readable()).await) {
        (Why::Ended, _) => end_of(started.reap().map_err(StartError::System)?),
        // Dropping it reaps it, whenever it dies.
        (Why::TimedOut, _) => End::TimedOut,
        (Why::Cancelled, _) => End::Cancelled,
    };
    Ok(Outcome {
        end,
        stdout: stdout.into_captured(),
        stderr: stderr.into_captured(),
        elapsed: began.elapsed(),
    })
}

enum Why {
    Ended,
    TimedOut,
    Cancelled,
}

fn watch(started: &mut Started, limit: usize) -> io::Result<(AsyncFd<OwnedFd>, Capture, Capture)> {
    let missing = || io::Error::other("a pipe is missing");
    let stdout = started.stdout.take().ok_or_else(missing)?;
    let stderr = started.stderr.take().ok_or_else(missing)?;
    let pidfd = started.pidfd.try_clone()?;
    #[expect(unsafe_code, reason = "registering a descriptor asks for a promise about it")]
    // SAFETY: an `OwnedFd` is a valid, open descriptor, always the same one, and it is moved into the `AsyncFd`,
    // which is the only one to close it.
    let pidfd = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }?;
    Ok((pidfd, Capture::new(stdout, limit)?, Capture::new(stderr, limit)?))
}

/// Waits for the deadline; one that lies beyond the clock's range never comes.
async fn expire(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exit(code),
        (None, Some(signal)) => End::Signal(signal),
        // wait(2) returns one or the other for a process that has ended.
        (None, None) => End::Exit(-1),
    }
}
