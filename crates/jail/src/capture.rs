//! Reading an output stream to its end while keeping no more of it than the limit.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use crate::outcome::Captured;

const READ_BYTES: usize = 64 * 1024;

/// The read end of a command's stdout or stderr, and what came out of it so far.
pub(crate) struct Capture {
    pipe: pipe::Receiver,
    kept_bytes: usize,
    captured: Captured,
}

impl Capture {
    pub(crate) fn new(pipe: OwnedFd, kept_bytes: usize) -> io::Result<Self> {
        Ok(Self { pipe: pipe::Receiver::from_owned_fd(pipe)?, kept_bytes, captured: Captured::default() })
    }

    /// Reads until every writer has closed the pipe, and adds to `total` what was read. What is past the limit is thrown
    /// away, so that a command which prints too much does not wait for a reader.
    pub(crate) async fn read_to_end(&mut self, total: &Cell<u64>) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let count = self.pipe.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            total.set(total.get().saturating_add(count as u64));
            let room = self.kept_bytes.saturating_sub(self.captured.bytes.len());
            let (kept, dropped) = buffer.get(..count).unwrap_or_default().split_at(room.min(count));
            self.captured.bytes.extend_from_slice(kept);
            self.captured.truncated |= !dropped.is_empty();
        }
    }

    pub(crate) fn into_captured(self) -> Captured {
        self.captured
    }
}
