//! One job: its order, its state, and what it has printed.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jail::Stream;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use wire::{End, ErrorCode, Failure, Output, RequestId, Streamed, Verdict};

use super::ids::Digest;
use crate::limits::{MAX_OUTPUT_BYTES, PIECES_WAITING};

/// Who wants what done.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) user: Rc<str>,
    pub(crate) command: String,
    /// As the client wrote them; where they hold secrets, without those.
    pub(crate) parameters: Vec<String>,
    pub(crate) id: Option<RequestId>,
    pub(crate) digest: Digest,
}

/// Whose jobs somebody may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// His own.
    Own(Rc<str>),
    /// Everybody's.
    All,
}

impl View {
    pub(crate) fn shows(&self, user: &str) -> bool {
        match self {
            Self::Own(own) => **own == *user,
            Self::All => true,
        }
    }
}

/// Where a job stands. It goes forward only, and every job comes to its end.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// It waits for its turn.
    Waiting,
    /// Its start is being recorded, and its jail made.
    Starting,
    /// The command runs.
    Running,
    /// It is over.
    Ended(Arc<Ended>),
}

/// What a job has come to.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) verdict: Verdict<'static>,
    /// What only the log says.
    pub(crate) reason: Option<String>,
    /// From the order to the end; unknown where the server died in between.
    pub(crate) duration: Option<Duration>,
}

impl Ended {
    /// The end of a job whose server died while it ran.
    pub(super) fn unknown() -> Self {
        let message = "the server died while the command ran; whether it came to its end is unknown";
        let verdict = Verdict::Failed(Failure::new(ErrorCode::UnknownOutcome, message));
        Self { verdict, reason: None, duration: None }
    }
}

/// One execution of a command.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: Rc<str>,
    pub(crate) order: Order,
    asked: Timestamp,
    state: watch::Sender<State>,
    /// Who wanted it to end.
    cancelled_by: watch::Sender<Option<Rc<str>>>,
    printed: RefCell<Printed>,
    /// How much has been printed, for those who wait for more.
    progress: watch::Sender<u64>,
    live: RefCell<Option<Live>>,
}

/// The client that sees what is printed as it comes.
#[derive(Clone, Debug)]
struct Live {
    pieces: mpsc::UnboundedSender<Piece>,
    /// Room for pieces that it has not taken; closed when the command is over, whose rest is no more than its pipes held.
    room: Arc<Semaphore>,
}

/// Something that was printed, on its way to the client that asked for it.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) stream: Stream,
    /// Its place in the stream.
    pub(crate) offset: u64,
    pub(crate) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// What is kept of the output: the beginning of each stream.
#[derive(Debug, Default)]
struct Printed {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    total: Streamed,
}

impl Printed {
    fn of(&mut self, stream: Stream) -> (&mut Vec<u8>, &mut u64) {
        match stream {
            Stream::Stdout => (&mut self.stdout, &mut self.total.stdout),
            Stream::Stderr => (&mut self.stderr, &mut self.total.stderr),
        }
    }

    fn is_cut(&self) -> bool {
        let kept = |kept: &[u8], total| (kept.len() as u64) < total;
        kept(&self.stdout, self.total.stdout) || kept(&self.stderr, self.total.stderr)
    }
}

impl Job {
    pub(super) fn new(name: Rc<str>, order: Order, asked: Timestamp) -> Self {
        Self {
            name,
            order,
            asked,
            state: watch::Sender::new(State::Waiting),
            cancelled_by: watch::Sender::new(None),
            printed: RefCell::default(),
            progress: watch::Sender::new(0),
            live: RefCell::new(None),
        }
    }

    /// When it was asked for.
    pub(crate) fn asked(&self) -> Timestamp {
        self.asked
    }

    /// Takes it from waiting to starting; false where it has gone further, so that nothing is started twice.
    #[must_use]
    pub(crate) fn start(&self) -> bool {
        self.advance(|state| matches!(state, State::Waiting), State::Starting)
    }

    /// Takes it from starting to running; false from anywhere else.
    pub(crate) fn run(&self) -> bool {
        self.advance(|state| matches!(state, State::Starting), State::Running)
    }

    /// Takes it to its end; false where it has one.
    pub(super) fn end(&self, ended: Ended) -> bool {
        self.live.take();
        *self.printed.borrow_mut() = Printed::default();
        self.advance(|state| !matches!(state, State::Ended(_)), State::Ended(Arc::new(ended)))
    }

    fn advance(&self, from: impl Fn(&State) -> bool, to: State) -> bool {
        self.state.send_if_modified(|state| {
            let legal = from(state);
            if legal {
                *state = to;
            }
            legal
        })
    }

    /// Where it stands now.
    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Whether it is over.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(*self.state.borrow(), State::Ended(_))
    }

    /// Whether somebody waits for it.
    pub(crate) fn is_awaited(&self) -> bool {
        self.state.receiver_count() > 0
    }

    /// Waits until the command runs, or has ended without that.
    pub(crate) async fn begun(&self) {
        let mut state = self.state.subscribe();
        // The job outlives whoever waits for it.
        let _ = state.wait_for(|state| matches!(state, State::Running | State::Ended(_))).await;
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) -> Arc<Ended> {
        let mut state = self.state.subscribe();
        loop {
            if let State::Ended(ended) = &*state.borrow_and_update() {
                return Arc::clone(ended);
            }
            if state.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Asks it to end, in the name of a user. The first who asks is remembered.
    pub(crate) fn cancel(&self, by: &Rc<str>) {
        self.cancelled_by.send_if_modified(|cancelled_by| {
            let first = cancelled_by.is_none();
            if first {
                *cancelled_by = Some(Rc::clone(by));
            }
            first
        });
    }

    /// Who asked it to end.
    pub(crate) fn cancelled_by(&self) -> Option<Rc<str>> {
        self.cancelled_by.borrow().clone()
    }

    /// Completes when somebody has asked it to end.
    pub(crate) async fn cancelled(&self) {
        let mut cancelled_by = self.cancelled_by.subscribe();
        if cancelled_by.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// From now on what the command prints goes to a client too, who can make it wait.
    pub(crate) fn attach(&self) -> mpsc::UnboundedReceiver<Piece> {
        let (pieces, client) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(PIECES_WAITING));
        *self.live.borrow_mut() = Some(Live { pieces, room });
        client
    }

    /// The command is over: what is left of its output waits for no client.
    pub(crate) fn stop_waiting(&self) {
        if let Some(live) = &*self.live.borrow() {
            live.room.close();
        }
    }

    /// Takes what the command has printed: keeps the beginning, and waits for the client that is attached.
    pub(crate) async fn print(&self, stream: Stream, bytes: &[u8]) {
        let offset = {
            let mut printed = self.printed.borrow_mut();
            let (kept, total) = printed.of(stream);
            let offset = *total;
            *total = total.saturating_add(bytes.len() as u64);
            // What follows a gap would seem to stand where the gap is.
            if kept.len() as u64 == offset {
                let room = MAX_OUTPUT_BYTES.saturating_sub(kept.len());
                kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            }
            offset
        };
        self.progress.send_modify(|progress| *progress = progress.saturating_add(bytes.len() as u64));
        let live = self.live.borrow().clone();
        let Some(Live { pieces, room }) = live else { return };
        let room = room.acquire_owned().await.ok();
        let piece = Piece { stream, offset, bytes: Bytes::copy_from_slice(bytes), _room: room };
        if pieces.send(piece).is_err() {
            // That client is gone; the command goes on without it.
            self.live.take();
        }
    }

    /// What it has printed so far.
    pub(crate) fn output_so_far(&self) -> Output<'static> {
        if let State::Ended(ended) = self.state() {
            return ended.verdict.output().cloned().unwrap_or_default();
        }
        let printed = self.printed.borrow();
        Output {
            stdout: printed.stdout.clone().into(),
            stderr: printed.stderr.clone().into(),
            truncated: printed.is_cut(),
            ..Output::default()
        }
    }

    /// Takes what it has printed, for its end.
    pub(crate) fn take_output(&self) -> Output<'static> {
        let printed = self.printed.take();
        let truncated = printed.is_cut();
        Output {
            stdout: printed.stdout.into(),
            stderr: printed.stderr.into(),
            truncated,
            ..Output::default()
        }
    }

    /// The next piece of a stream behind what somebody has already, as far as it is kept.
    pub(crate) fn kept_behind(&self, stream: Stream, have: u64, most: usize) -> Bytes {
        let from = usize::try_from(have).unwrap_or(usize::MAX);
        let piece = |kept: &[u8]| {
            let rest = kept.get(from..).unwrap_or_default();
            Bytes::copy_from_slice(rest.get(..most).unwrap_or(rest))
        };
        match self.state() {
            State::Ended(ended) => match (ended.verdict.output(), stream) {
                (None, _) => Bytes::new(),
                (Some(output), Stream::Stdout) => piece(&output.stdout),
                (Some(output), Stream::Stderr) => piece(&output.stderr),
            },
            _ => match stream {
                Stream::Stdout => piece(&self.printed.borrow().stdout),
                Stream::Stderr => piece(&self.printed.borrow().stderr),
            },
        }
    }

    /// Tells of everything that is printed from now on, and of the end.
    pub(crate) fn watch(&self) -> Watching {
        Watching { state: self.state.subscribe(), progress: self.progress.subscribe() }
    }

    /// What is kept of an ended job's output, in bytes.
    pub(super) fn output_bytes(&self) -> usize {
        match &*self.state.borrow() {
            State::Ended(ended) => ended
                .verdict
                .output()
                .map_or(0, |output| output.stdout.len().saturating_add(output.stderr.len())),
            State::Waiting | State::Starting | State::Running => 0,
        }
    }

    /// What `jobs` and `status` say of it; docs/protocol.md gives the keys.
    pub(crate) fn describe(&self) -> Value {
        let mut described = json!({
            "job": &*self.name,
            "user": &*self.order.user,
            "command_name": self.order.command,
            "parameters": self.order.parameters,
            "asked": self.asked.to_string(),
        });
        let mut add = |key: &str, value: Value| {
            if let Some(object) = described.as_object_mut() {
                object.insert(key.to_owned(), value);
            }
        };
        if let Some(id) = &self.order.id {
            add("id", id.as_str().into());
        }
        match self.state() {
            State::Waiting => add("state", "waiting".into()),
            State::Starting | State::Running => add("state", "running".into()),
            State::Ended(ended) => {
                add("state", "ended".into());
                match &ended.verdict {
                    Verdict::Finished { end: End::Exit(code), .. } => add("exit_code", (*code).into()),
                    Verdict::Finished { end: End::Signal(signal), .. } => add("signal", (*signal).into()),
                    Verdict::Failed(failure) => add("code", failure.code.as_str().into()),
                    Verdict::Value { .. } | Verdict::Column { .. } | Verdict::Running { .. } => {}
                }
                if let Some(duration) = ended.duration {
                    add("duration_ms", (duration.as_secs_f64() * 1000.0).into());
                }
            }
        }
        described
    }
}

/// Somebody who waits for more output, or the end.
pub(crate) struct Watching {
    state: watch::Receiver<State>,
    progress: watch::Receiver<u64>,
}

impl Watching {
    /// Whether the job had ended when this was asked; what was printed by then is there.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.progress.borrow_and_update();
        matches!(*self.state.borrow_and_update(), State::Ended(_))
    }

    /// Waits for something that has not been seen.
    pub(crate) async fn changed(&mut self) {
        tokio::select! {
            _ = self.state.changed() => {}
            _ = self.progress.changed() => {}
        }
    }
}
