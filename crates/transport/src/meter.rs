//! What a connection holds of messages that the server has not taken, counted where its bytes come in. A connection
//! that holds as much as it may is not read, so that its client waits in its own socket.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use omq::Message;
use omq::engine::driver::{DriverStream, DriverWrite};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio_util::sync::CancellationToken;

use crate::frame_counter::{FrameCounter, Progress};
use crate::limits::{
    FREE_BYTES, HEARTBEAT_WINDOW, HEARTBEATS_A_WINDOW, HELD_FRAME_OVERHEAD, LARGE_PAYLOAD_BYTES,
    MAX_HANDSHAKE_BYTES, MAX_HELD_BYTES, MAX_READ_AMONG_HEARTBEATS, MAX_READ_BYTES, PART_READ_OVERHEAD,
};
use crate::loans::{Loan, Loans};
use crate::peer::Share;

/// The longest frame that may be a command for heartbeats (RFC 37: PING has at most 23 bytes), sealed or not.
const HEARTBEAT_BYTES: usize = 64;

/// The count of one connection.
#[derive(Debug)]
pub(crate) struct Meter {
    state: Mutex<State>,
    /// What CURVE adds to each frame.
    seal_bytes: usize,
}

#[derive(Debug)]
struct State {
    read: FrameCounter,
    written: FrameCounter,
    handshake_bytes: usize,
    /// Nobody until the handshake is over.
    borrower: Option<Borrower>,
    /// Of frames that are no whole message yet, or one that has not been handed over.
    unfinished: usize,
    /// Of the frame that is coming.
    partial: usize,
    /// What the codec needs to remember pieces of frames.
    pieces: usize,
    /// Of messages that wait for the server.
    queued: usize,
    /// Frames among the unfinished that may be heartbeats.
    maybe_heartbeats: u64,
    /// Frames that were given to the driver to write.
    ordered: u64,
    /// Frames that it wrote by itself, each for a heartbeat, and that have been set off.
    settled: u64,
    /// Heartbeats since then, for a second at most.
    second: Instant,
    heartbeats: u64,
    loan: Option<Loan>,
    is_closed: bool,
    /// Whether it has been seen to hold too much for one message.
    is_doubted: bool,
    reader: Option<Waker>,
}

/// Who borrows for a connection.
#[derive(Debug)]
pub(crate) struct Borrower {
    pub(crate) loans: Arc<Loans>,
    pub(crate) user: Share,
    pub(crate) cut: CancellationToken,
}

/// What the reader may do next.
enum Allowance {
    /// Read so much.
    Bytes(usize),
    /// Wait until something is taken.
    Wait,
    /// Wait so long: it has sent as many heartbeats as it may.
    Pause(Duration),
    /// Hold more only with a loan.
    Borrow,
    /// Nothing: this is no message that anybody may send.
    TooMuch,
}

/// A message's part of the count, given back when the server takes the message.
#[derive(Debug)]
pub(crate) struct Queued {
    meter: Arc<Meter>,
    bytes: usize,
}

impl Meter {
    /// Of a connection whose handshake has so many frames from either side.
    pub(crate) fn new(handshake_frames: u64, seal_bytes: usize) -> Arc<Self> {
        let counter = || FrameCounter::new(handshake_frames);
        let state = State {
            read: counter(),
            written: counter(),
            handshake_bytes: 0,
            borrower: None,
            unfinished: 0,
            partial: 0,
            pieces: 0,
            queued: 0,
            maybe_heartbeats: 0,
            ordered: 0,
            settled: 0,
            second: Instant::now(),
            heartbeats: 0,
            loan: None,
            is_closed: false,
            is_doubted: false,
            reader: None,
        };
        Arc::new(Self { state: Mutex::new(state), seal_bytes })
    }

    /// The handshake is over, and this is who it was with.
    pub(crate) fn ready(&self, borrower: Borrower) {
        let mut state = self.state();
        state.borrower = Some(borrower);
        state.wake();
    }

    /// So many frames are given to the driver.
    pub(crate) fn ordered(&self, frames: usize) {
        let mut state = self.state();
        state.ordered = state.ordered.saturating_add(frames as u64);
    }

    /// A whole message has come out of the connection, and waits for the server.
    pub(crate) fn finished(self: &Arc<Self>, message: &Message) -> Queued {
        let mut bytes = 0_usize;
        let mut maybe_heartbeats = 0_u64;
        for part in (0..message.len()).filter_map(|index| message.part_slice(index)) {
            let frame = part.len().saturating_add(self.seal_bytes);
            bytes = bytes.saturating_add(cost(frame));
            maybe_heartbeats = maybe_heartbeats.saturating_add(u64::from(frame <= HEARTBEAT_BYTES));
        }
        let mut state = self.state();
        state.unfinished = state.unfinished.saturating_sub(bytes);
        state.maybe_heartbeats = state.maybe_heartbeats.saturating_sub(maybe_heartbeats);
        state.pieces = 0;
        state.is_doubted = false;
        state.queued = state.queued.saturating_add(bytes);
        Queued { meter: Arc::clone(self), bytes }
    }

    /// The connection is gone; what is queued still counts.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        (state.unfinished, state.partial, state.pieces) = (0, 0, 0);
        state.is_closed = true;
        state.give_back();
    }

    fn borrow(&self) -> Borrowing {
        match &self.state().borrower {
            Some(Borrower { loans, user, cut }) => Box::pin(Arc::clone(loans).borrow(*user, cut.clone())),
            None => Box::pin(std::future::pending()),
        }
    }

    /// What may be read next. Where that is nothing, the reader is woken when it may be more.
    fn allowance(&self, waker: &Waker) -> Allowance {
        let mut state = self.state();
        let allowance = match state.allowance() {
            // A message that is whole may be on its way to where it is counted as such.
            Allowance::TooMuch if !state.is_doubted => {
                state.is_doubted = true;
                waker.wake_by_ref();
                Allowance::Wait
            }
            allowance => allowance,
        };
        if matches!(allowance, Allowance::Wait) {
            state.reader = Some(waker.clone());
        }
        allowance
    }

    /// What it holds, in bytes.
    #[cfg(test)]
    fn held(&self) -> usize {
        self.state().held()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panic could leave half done here is a count.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        let mut state = self.meter.state();
        state.queued = state.queued.saturating_sub(self.bytes);
        state.give_back();
        state.wake();
    }
}

impl State {
    fn held(&self) -> usize {
        let unfinished = self.unfinished.saturating_add(self.partial).saturating_add(self.pieces);
        unfinished.saturating_add(self.queued)
    }

    /// A frame that the driver wrote and nobody gave it is a PONG or a PING. For each of them one short frame from the
    /// client was a heartbeat, and no part of a message.
    fn set_off_heartbeats(&mut self) {
        let own = self.written.frames().saturating_sub(self.ordered).saturating_sub(self.settled);
        let heartbeats = own.min(self.maybe_heartbeats);
        let bytes = usize::try_from(heartbeats).unwrap_or(usize::MAX).saturating_mul(cost(HEARTBEAT_BYTES));
        self.settled = self.settled.saturating_add(heartbeats);
        self.heartbeats = self.heartbeats.saturating_add(heartbeats);
        self.maybe_heartbeats = self.maybe_heartbeats.saturating_sub(heartbeats);
        self.unfinished = self.unfinished.saturating_sub(bytes);
    }

    fn give_back(&mut self) {
        if self.loan.is_some() && self.held() < FREE_BYTES {
            self.loan = None;
        }
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn allowance(&mut self) -> Allowance {
        self.set_off_heartbeats();
        self.give_back();
        if self.borrower.is_none() {
            return match MAX_HANDSHAKE_BYTES.saturating_sub(self.handshake_bytes) {
                0 => Allowance::Wait,
                bytes => Allowance::Bytes(bytes),
            };
        }
        let passed = self.second.elapsed();
        if passed >= HEARTBEAT_WINDOW {
            (self.second, self.heartbeats) = (Instant::now(), 0);
        } else if self.heartbeats >= HEARTBEATS_A_WINDOW {
            return Allowance::Pause(HEARTBEAT_WINDOW.saturating_sub(passed));
        }
        let most = if self.loan.is_some() { MAX_HELD_BYTES } else { FREE_BYTES };
        let bytes = most.saturating_sub(self.held());
        // The first bytes of a frame say how long it is.
        let long = self.read.remaining() >= LARGE_PAYLOAD_BYTES;
        match bytes {
            0 if self.queued > 0 => Allowance::Wait,
            0 if self.loan.is_none() => Allowance::Borrow,
            0 => Allowance::TooMuch,
            bytes if long => Allowance::Bytes(bytes),
            // There may be more of them, and each costs an answer.
            bytes if self.heartbeats > 0 && self.read.remaining() < MAX_READ_AMONG_HEARTBEATS => {
                Allowance::Bytes(bytes.min(MAX_READ_AMONG_HEARTBEATS))
            }
            bytes => Allowance::Bytes(bytes.min(MAX_READ_BYTES)),
        }
    }

    fn note_read(&mut self, bytes: &[u8]) {
        if self.borrower.is_none() {
            self.handshake_bytes = self.handshake_bytes.saturating_add(bytes.len());
        }
        let (mut unfinished, mut maybe_heartbeats) = (0_usize, 0_u64);
        self.read.count(bytes, |frame| {
            unfinished = unfinished.saturating_add(cost(frame));
            maybe_heartbeats = maybe_heartbeats.saturating_add(u64::from(frame <= HEARTBEAT_BYTES));
        });
        self.unfinished = self.unfinished.saturating_add(unfinished);
        self.maybe_heartbeats = self.maybe_heartbeats.saturating_add(maybe_heartbeats);
        self.partial = match self.read.progress() {
            Progress::Between => 0,
            Progress::Within(bytes) => {
                self.pieces = self.pieces.saturating_add(PART_READ_OVERHEAD);
                bytes
            }
        };
    }
}

/// What a frame takes in memory.
fn cost(frame: usize) -> usize {
    frame.max(HEARTBEAT_BYTES).saturating_add(HELD_FRAME_OVERHEAD)
}

/// A loan that is waited for.
type Borrowing = Pin<Box<dyn Future<Output = Loan> + Send>>;

/// A stream that is counted, as the library's driver takes it.
pub(crate) struct Metered<R, W> {
    pub(crate) reader: R,
    pub(crate) writer: W,
    pub(crate) meter: Arc<Meter>,
}

pub(crate) struct MeteredReader<R> {
    reader: Take<R>,
    meter: Arc<Meter>,
    borrowing: Option<Borrowing>,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

pub(crate) struct MeteredWriter<W> {
    writer: W,
    meter: Arc<Meter>,
}

impl<R, W> DriverStream for Metered<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Reader = MeteredReader<R>;
    type Writer = MeteredWriter<W>;

    fn split(self, _fast_write: bool) -> (Self::Reader, Self::Writer) {
        let writer = MeteredWriter { writer: self.writer, meter: Arc::clone(&self.meter) };
        let reader =
            MeteredReader { reader: self.reader.take(0), meter: self.meter, borrowing: None, pause: None };
        (reader, writer)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for MeteredReader<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match this.meter.allowance(context.waker()) {
                Allowance::Bytes(most) => {
                    this.borrowing = None;
                    let before = buffer.filled().len();
                    this.reader.set_limit(most as u64);
                    ready!(Pin::new(&mut this.reader).poll_read(context, buffer))?;
                    let read = buffer.filled().get(before..).unwrap_or_default();
                    this.meter.state().note_read(read);
                    return Poll::Ready(Ok(()));
                }
                Allowance::Wait => return Poll::Pending,
                Allowance::Pause(time) => {
                    let pause = this.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
                    ready!(pause.as_mut().poll(context));
                    this.pause = None;
                }
                Allowance::TooMuch => {
                    return Poll::Ready(Err(io::Error::other("the message is too long")));
                }
                Allowance::Borrow => {
                    let borrowing = this.borrowing.get_or_insert_with(|| this.meter.borrow());
                    let loan = ready!(borrowing.as_mut().poll(context));
                    this.borrowing = None;
                    let mut state = this.meter.state();
                    state.loan = (!state.is_closed).then_some(loan);
                }
            }
        }
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for MeteredWriter<W> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.writer).poll_write_vectored(context, slices))?;
        let mut state = this.meter.state();
        let mut rest = written;
        for slice in slices {
            let part = slice.get(..rest).unwrap_or(slice);
            state.written.count(part, |_| ());
            rest = rest.saturating_sub(part.len());
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.writer.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().writer).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().writer).poll_shutdown(context)
    }
}

impl<W: AsyncWrite + Send + Unpin + 'static> DriverWrite for MeteredWriter<W> {}

#[cfg(test)]
mod tests {
    use super::{Allowance, Borrower, Meter, cost};
    use crate::limits::{FREE_BYTES, MAX_HANDSHAKE_BYTES, MAX_HELD_BYTES};
    use crate::loans::Loans;
    use crate::peer::Share;
    use futures_util::FutureExt as _;
    use omq::Message;
    use std::sync::Arc;
    use std::task::Waker;
    use tokio_util::sync::CancellationToken;

    const GREETING: [u8; 64] = [0; 64];

    /// One whose handshake of a frame is over.
    fn ready() -> Arc<Meter> {
        let meter = Meter::new(1, 0);
        for counter in [&GREETING[..], &frame(5)] {
            meter.state().note_read(counter);
            meter.state().written.count(counter, |_| ());
        }
        meter.ready(Borrower { loans: Loans::new(), user: Share::Local, cut: CancellationToken::new() });
        assert_eq!(meter.held(), 0, "a handshake is no message");
        meter
    }

    fn frame(length: u8) -> Vec<u8> {
        [&[0, length][..], &vec![0; length.into()]].concat()
    }

    fn allowance(meter: &Meter) -> Allowance {
        meter.allowance(Waker::noop())
    }

    #[test]
    fn what_comes_before_the_handshake_is_over_is_bounded() {
        let meter = Meter::new(1, 0);
        let mut read = 0;
        while let Allowance::Bytes(bytes) = allowance(&meter) {
            meter.state().note_read(&vec![0; bytes.min(100)]);
            read += bytes.min(100);
        }
        assert_eq!(read, MAX_HANDSHAKE_BYTES);
    }

    #[test]
    fn a_message_counts_until_the_server_takes_it() {
        let meter = ready();
        meter.state().note_read(&[frame(200), frame(3)].concat());
        assert_eq!(meter.held(), cost(200) + cost(3));
        let message = Message::multipart([vec![0; 200], vec![0; 3]]);
        let queued = meter.finished(&message);
        assert_eq!(meter.held(), cost(200) + cost(3));
        drop(queued);
        assert_eq!(meter.held(), 0);
    }

    #[tokio::test]
    async fn a_large_message_wants_a_loan_and_has_an_end() {
        let meter = ready();
        let mut bytes = 0;
        meter.state().note_read(&[2, 0, 0, 0, 0, 0xff, 0, 0, 0]);
        while let Allowance::Bytes(most) = allowance(&meter) {
            meter.state().note_read(&vec![0; most]);
            bytes += most;
            assert!(bytes <= FREE_BYTES);
        }
        assert!(matches!(allowance(&meter), Allowance::Borrow));
        let queued = meter.finished(&Message::single(""));
        assert!(matches!(allowance(&meter), Allowance::Wait), "what the server takes soon wants none");
        drop(queued);
        while let Allowance::Bytes(most) = allowance(&meter) {
            meter.state().note_read(&vec![0; most]);
            bytes += most;
        }
        let loan = meter.borrow().now_or_never();
        meter.state().loan = loan;
        while let Allowance::Bytes(most) = allowance(&meter) {
            meter.state().note_read(&vec![0; most]);
            bytes += most;
            assert!(bytes <= MAX_HELD_BYTES);
        }
        assert!(matches!(allowance(&meter), Allowance::TooMuch));
        meter.close();
        assert!(meter.state().loan.is_none() && meter.held() == 0);
    }

    #[test]
    fn heartbeats_are_no_parts_of_a_message_however_many_there_are() {
        let meter = ready();
        let mut pauses = 0;
        for _ in 0..100_000 {
            meter.state().note_read(&frame(9));
            meter.state().written.count(&frame(7), |_| ());
            if let Allowance::Pause(_) = allowance(&meter) {
                pauses += 1;
                meter.state().heartbeats = 0;
            }
        }
        assert!(pauses > 1000, "more than a few are waited for");
        assert_eq!(meter.held(), 0);
        // An answer of the server's is none to a heartbeat.
        meter.ordered(1);
        meter.state().written.count(&frame(7), |_| ());
        meter.state().note_read(&frame(9));
        assert!(matches!(allowance(&meter), Allowance::Bytes(_)));
        assert_eq!(meter.held(), cost(9));
        // Nor do heartbeats hide a message of many small frames.
        for _ in 0..FREE_BYTES {
            meter.state().note_read(&[frame(9), frame(9)].concat());
            meter.state().written.count(&frame(7), |_| ());
        }
        allowance(&meter);
        meter.state().heartbeats = 0;
        assert!(matches!(allowance(&meter), Allowance::Borrow));
    }
}
