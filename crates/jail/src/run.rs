//! The life of one command, as the server sees it: a jail, an order, the word to begin, what it prints, and how it ended.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::pin;
use std::rc::Rc;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use crate::capture::{Capture, Progress, Stream};
use crate::child::Step;
use crate::handle::{Launcher, Running, receive, watched};
use crate::limits::DRAIN_TIME;
use crate::message::{FromJail, Order, ToJail};
use crate::outcome::{End, Outcome, Usage};
use crate::plan::Plan;
use crate::socket;

/// Why a command did not run, or why nobody knows how it ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The program is not there, or not the one that the policy meant.
    #[error("the program cannot be executed: {0}")]
    Missing(String),
    /// The launcher holds the plan against its own policy, and refuses it.
    #[error("the launcher refused the plan: {0}")]
    Refused(String),
    /// One of the steps that confine a command failed, so the program was not executed.
    #[error("the command could not be confined: {}: {error}", step.as_str())]
    NotConfined {
        /// The step.
        step: Step,
        /// The system's reason.
        error: io::Error,
    },
    /// The system could not provide what starting takes: processes, descriptors, memory.
    #[error("the command could not be started: {0}")]
    System(String),
    /// There is no launcher now.
    #[error("there is no launcher")]
    NoLauncher,
    /// The launcher died while the command ran; the command died with it.
    #[error("the launcher died while the command ran")]
    LauncherDied,
    /// The command's jail was killed from outside; the command died with it.
    #[error("the command's jail was killed")]
    JailDied,
    /// The jail could not watch the command any more and ended it.
    #[error("the command was ended because its jail could not watch it: {0}")]
    Lost(String),
}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        Self::System(error.to_string())
    }
}

/// A command that is confined and waits for the word to begin. Dropping it ends it.
#[must_use]
pub struct Ready<'l> {
    launcher: &'l Launcher,
    /// The launcher of this jail, which another may have replaced by the command's end.
    running: Rc<Running>,
    jail: AsyncFd<OwnedFd>,
    stdout: Capture,
    stderr: Capture,
    output_bytes: u64,
}

impl Launcher {
    /// Brings a command as far as to its program's first instruction.
    ///
    /// # Errors
    /// It cannot be started now.
    pub async fn prepare(&self, plan: &Plan) -> Result<Ready<'_>, RunError> {
        let order = Order {
            command: plan.command.clone(),
            arguments: plan.arguments.clone(),
            secrets: plan.secrets.clone(),
            time_limit: plan.time_limit,
        };
        let order =
            order.encode().ok_or_else(|| RunError::System("the arguments are too long".to_owned()))?;
        let (stdout, their_stdout) = pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from)?;
        let (stderr, their_stderr) = pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from)?;
        let stdin = plan.stdin.as_ref().map(|bytes| input(bytes)).transpose()?;
        let (jail, running) = self.jail().await?;
        let mut descriptors = vec![their_stdout.as_fd(), their_stderr.as_fd()];
        descriptors.extend(stdin.as_ref().map(OwnedFd::as_fd));
        socket::send(&jail, &order, &descriptors).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => running.jail_died(),
            _ => RunError::System(format!("its jail cannot be told: {error}")),
        })?;
        Ok(Ready {
            launcher: self,
            running,
            jail: watched(jail)?,
            stdout: Capture::new(stdout, Stream::Stdout)?,
            stderr: Capture::new(stderr, Stream::Stderr)?,
            output_bytes: plan.output_bytes,
        })
    }
}

impl Ready<'_> {
    /// Runs the command to its end, and has `take` take what it prints, piece by piece: a command whose output is taken
    /// slowly writes slowly. `ended` is called when its processes are gone, and what they left in the pipes is still to be
    /// taken. It ends by itself, at its time limit, when it has written too much, or soon after
    /// `wanted_end` completes. Dropping the future ends the command with all that it started.
    ///
    /// # Errors
    /// The command never ran, or nobody knows how it ended.
    pub async fn run(
        self,
        wanted_end: impl Future<Output = ()>,
        take: impl AsyncFn(Stream, &[u8]),
        ended: impl FnOnce(),
    ) -> Result<Outcome, RunError> {
        let Self { launcher, running, jail, mut stdout, mut stderr, output_bytes } = self;
        // A jail that has already ended has said why.
        let _ = tell(&jail, ToJail::Go);
        let progress = Progress::default();
        let message = {
            let mut reading = pin!(async {
                tokio::join!(stdout.read_to_end(&progress, &take), stderr.read_to_end(&progress, &take))
            });
            let mut wanted_end = pin!(wanted_end);
            let mut answer = pin!(receive(&jail));
            let (mut read, mut told) = (false, false);
            let message = std::future::poll_fn(|context| {
                if !read {
                    read = reading.as_mut().poll(context).is_ready();
                }
                if !told && progress.read.get() > output_bytes {
                    told = true;
                    let _ = tell(&jail, ToJail::OutputLimit);
                }
                if !told && wanted_end.as_mut().poll(context).is_ready() {
                    told = true;
                    let _ = tell(&jail, ToJail::Cancel);
                }
                answer.as_mut().poll(context)
            })
            .await;
            ended();
            // What was read is taken, however long that takes; only for more the wait is short.
            while !read {
                read = timeout(DRAIN_TIME, &mut reading).await.is_ok()
                    || progress.untaken.get() == 0
                    || progress.read.get() > output_bytes;
            }
            message
        };
        launcher.refill();
        let bytes = match message {
            Ok(message) => message.bytes,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => vec![],
            Err(error) => return Err(RunError::Lost(format!("its jail cannot be heard: {error}"))),
        };
        // A jail that ended without a word was killed.
        if bytes.is_empty() {
            return Err(running.jail_died());
        }
        drop(running);
        let message = FromJail::decode(&bytes).map_err(|error| RunError::Lost(error.to_string()))?;
        let (end, usage) = match message {
            FromJail::Ended(end, usage) => (end, usage),
            FromJail::Missing(reason) => return Err(RunError::Missing(reason)),
            FromJail::Refused(reason) => return Err(RunError::Refused(reason)),
            FromJail::Lost(reason) => return Err(RunError::Lost(reason)),
            FromJail::Failed(step, number) => {
                return Err(RunError::NotConfined { step, error: io::Error::from_raw_os_error(number) });
            }
        };
        let usage = Usage { output_bytes: progress.read.get(), ..usage };
        // It may have ended by itself before the word reached its jail.
        let end = if usage.output_bytes > output_bytes { End::OutputLimit } else { end };
        Ok(Outcome { end, usage })
    }
}

fn tell(jail: &AsyncFd<OwnedFd>, word: ToJail) -> io::Result<()> {
    socket::send(jail, word.encode(), &[])
}

/// A file in memory that holds what the command is to read.
fn input(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = std::fs::File::from(memfd_create("stdin", MemfdFlags::CLOEXEC)?);
    io::Write::write_all(&mut file, bytes)?;
    io::Seek::rewind(&mut file)?;
    Ok(file.into())
}
