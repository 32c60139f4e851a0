//! Reading what a command prints, as fast as whoever takes it: a command that prints faster waits.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use crate::limits::READ_BYTES;

/// An output stream of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The read end of a command's stdout or stderr.
pub(crate) struct Capture {
    pipe: pipe::Receiver,
    stream: Stream,
}

/// What has been read of both streams.
#[derive(Default)]
pub(crate) struct Progress {
    /// Bytes, of both together.
    pub(crate) read: Cell<u64>,
    /// Pieces that were read and have not been taken yet.
    pub(crate) untaken: Cell<u32>,
}

impl Capture {
    pub(crate) fn new(pipe: OwnedFd, stream: Stream) -> io::Result<Self> {
        Ok(Self { pipe: pipe::Receiver::from_owned_fd(pipe)?, stream })
    }

    /// Reads until every writer has closed the pipe. Each piece is taken before the next is read.
    pub(crate) async fn read_to_end(
        &mut self,
        progress: &Progress,
        take: &impl AsyncFn(Stream, &[u8]),
    ) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let count = self.pipe.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            progress.read.set(progress.read.get().saturating_add(count as u64));
            progress.untaken.set(progress.untaken.get().saturating_add(1));
            take(self.stream, buffer.get(..count).unwrap_or_default()).await;
            progress.untaken.set(progress.untaken.get().saturating_sub(1));
        }
    }
}
