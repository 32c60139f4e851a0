//! A request that somebody waits for: what the command prints is passed on as it comes, and Ctrl-C reaches the command.
//!
//! Printing happens on another thread, so that a reader who pauses holds up the command and not Ctrl-C.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;
use bytes::Bytes;
use client::{Answer, NoAnswer, Ongoing, Progress, Stream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::ask::tell;
use crate::exit::Exit;
use crate::terminal::{HarmlessPieces, inform, is_watched};

/// What a first Ctrl-C or SIGTERM does. A second one leaves at once in any case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtSignal {
    /// Has the command ended, and waits for its end.
    Cancel,
    /// Leaves, and lets the command go on.
    Leave,
}

/// What becomes of what the command prints.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Printed {
    Shown,
    Ignored,
}

/// How the waiting ended.
pub(crate) enum Followed {
    /// With the answer, and perhaps after a signal.
    Answered(Answer, Option<Exit>),
    /// Without it, because somebody had no more patience.
    Left(Exit),
}

/// Waits for the answer.
pub(crate) async fn follow(
    ongoing: &mut Ongoing<'_>,
    at_signal: AtSignal,
    printed: Printed,
) -> anyhow::Result<Followed> {
    let mut signals = Signals::watch()?;
    let mut printing = Printing::default();
    let mut stopped = None;
    let mut unprintable = None;
    loop {
        let step = tokio::select! {
            biased;
            exit = signals.next() => Step::Signal(exit),
            step = next(&mut printing, ongoing) => step,
        };
        match step {
            Step::Signal(exit) if stopped.is_some() || at_signal == AtSignal::Leave => {
                return Ok(Followed::Left(stopped.unwrap_or(exit)));
            }
            Step::Signal(exit) => {
                stopped = Some(exit);
                ongoing.cancel();
                if is_watched() {
                    inform("bidden: ending the command; again to leave at once");
                }
            }
            Step::Unprintable(error) => {
                // Nobody reads it: the command ends as one would that had been started here.
                unprintable = Some(error);
                match at_signal {
                    AtSignal::Cancel => ongoing.cancel(),
                    AtSignal::Leave => break,
                }
            }
            Step::Progress(Ok(Progress::Printed { stream, bytes })) => {
                if printed == Printed::Shown && unprintable.is_none() {
                    printing.begin(stream, bytes);
                }
            }
            Step::Progress(Ok(Progress::Answered(answer))) => {
                if unprintable.is_none() {
                    unprintable = printing.end().err();
                }
                if unprintable.is_none() {
                    return Ok(Followed::Answered(answer, stopped));
                }
                break;
            }
            Step::Progress(Err(NoAnswer::NotSent)) if let Some(exit) = stopped => {
                return Ok(Followed::Left(exit));
            }
            Step::Progress(progress) => tell(&progress?)?,
        }
    }
    let error = unprintable.unwrap_or_else(|| io::ErrorKind::Other.into());
    Err(error).context("cannot print what the command printed")
}

enum Step {
    Signal(Exit),
    Unprintable(io::Error),
    Progress(Result<Progress, NoAnswer>),
}

/// What happens next, when all that came before has been printed. Dropping the future loses nothing.
async fn next(printing: &mut Printing, ongoing: &mut Ongoing<'_>) -> Step {
    match printing.finished().await {
        Ok(()) => Step::Progress(ongoing.next().await),
        Err(error) => Step::Unprintable(error),
    }
}

/// Ctrl-C and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn watch() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?,
        })
    }

    /// The exit code that the next signal asks for.
    async fn next(&mut self) -> Exit {
        let signal = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        };
        u8::try_from(signal.as_raw_value()).map_or(Exit::Own, Exit::Stopped)
    }
}

/// Both streams, printed one piece after the other.
#[derive(Default)]
struct Printing {
    stdout: HarmlessPieces,
    stderr: HarmlessPieces,
    under_way: Option<JoinHandle<io::Result<()>>>,
}

impl Printing {
    /// Begins to print a piece; the one before is finished.
    fn begin(&mut self, stream: Stream, bytes: Bytes) {
        let (pieces, is_terminal) = match stream {
            Stream::Stdout => (&mut self.stdout, io::stdout().is_terminal()),
            Stream::Stderr => (&mut self.stderr, io::stderr().is_terminal()),
        };
        let bytes = if is_terminal { pieces.next(&bytes).into() } else { bytes };
        self.under_way = Some(spawn_blocking(move || write(stream, &bytes)));
    }

    /// Waits until the last piece is printed. Dropping the future loses nothing.
    async fn finished(&mut self) -> io::Result<()> {
        let Some(under_way) = &mut self.under_way else { return Ok(()) };
        let written = under_way.await;
        self.under_way = None;
        written.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Prints what waits for the rest of a character that does not come.
    fn end(&mut self) -> io::Result<()> {
        write(Stream::Stdout, self.stdout.rest().as_bytes())?;
        write(Stream::Stderr, self.stderr.rest().as_bytes())
    }
}

fn write(stream: Stream, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    match stream {
        Stream::Stdout => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        }
        Stream::Stderr => io::stderr().lock().write_all(bytes),
    }
}
