//! When a log is sealed, and in which order: the record of a seal reaches the disk before its key is erased. A server that
//! ends in between leaves a seal whose key is still there, and never a key that is gone and whose seal is missing.

use std::cell::Cell;
use std::fs::File;
use std::sync::Arc;

use tokio::sync::{Mutex, Notify};

use super::seal::{self, Sealer};
use super::{Line, Log, OpenError, State, Unwritable};
use crate::limits::SEAL_INTERVAL;

/// What makes seals, and for what.
pub(super) struct Sealing {
    sealer: Arc<Mutex<Sealer>>,
    /// There are records that no seal covers yet.
    due: Cell<bool>,
    became_due: Notify,
    /// The number of the last record that is a seal.
    last: Cell<u64>,
}

impl Sealing {
    /// Notes a record that needs a seal.
    pub(super) fn want(&self) {
        if !self.due.replace(true) {
            self.became_due.notify_one();
        }
    }
}

impl Log {
    /// Has every record sealed from now on, by a state that has sealed this log before, or none.
    pub(crate) fn sealed_by(mut self, mut sealer: Sealer) -> Result<Self, OpenError> {
        let path = self.files.borrow().path.clone();
        let failed = |source| OpenError::Io { path: path.display().to_string(), source };
        let last = seal::last_seal(&path).map_err(failed)?;
        let read = last.as_ref().and_then(|last| seal::Seal::read(&last.line));
        if sealer.has_made(&path, read.as_ref())? {
            // The seal may stand in memory alone, and must not be lost once its key is.
            if let Some(last) = &last {
                File::open(&last.file).and_then(|file| file.sync_all()).map_err(failed)?;
            }
            sealer.advance()?;
        }
        self.sealing = Some(Sealing {
            sealer: Arc::new(Mutex::new(sealer)),
            due: Cell::new(false),
            became_due: Notify::new(),
            last: Cell::new(last.map_or(0, |last| last.sequence)),
        });
        Ok(self)
    }

    /// Seals records soon after they were written. Does not end.
    pub(crate) async fn keep_sealed<T>(&self) -> T {
        let Some(sealing) = &self.sealing else { return std::future::pending().await };
        loop {
            if !sealing.due.get() {
                sealing.became_due.notified().await;
            }
            tokio::time::sleep(SEAL_INTERVAL).await;
            // What cannot be written has been told, and is tried again.
            let _ = self.seal().await;
        }
    }

    /// Seals all records that there are, and makes sure that the disk has them.
    pub(crate) async fn seal_everything(&self) -> Result<(), Unwritable> {
        while self.sealing.as_ref().is_some_and(|sealing| sealing.due.get()) {
            self.seal().await?;
        }
        self.commit_durably().await
    }

    /// Makes one seal for all records before it. Its key is gone when this completes.
    pub(super) async fn seal(&self) -> Result<(), Unwritable> {
        let Some(sealing) = &self.sealing else { return Ok(()) };
        let mut sealer = Arc::clone(&sealing.sealer).lock_owned().await;
        if !sealer.is_used() {
            sealing.due.set(false);
            sealing.last.set(self.append_seal(&sealer));
            sealer.set_used();
        }
        self.commit_durably().await?;
        match tokio::task::spawn_blocking(move || sealer.advance()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.fail(&format!("the log cannot be sealed: {error}"))),
            Err(error) => Err(self.fail(&format!("the log cannot be sealed: {error}"))),
        }
    }

    fn append_seal(&self, sealer: &Sealer) -> u64 {
        let mut state = self.state.borrow_mut();
        let State { next_sequence, previous, clock, unwritten } = &mut *state;
        let mut line = Line::begin(unwritten, *next_sequence, clock);
        seal::write(&mut line, sealer, previous);
        *previous = line.end(previous);
        std::mem::replace(next_sequence, next_sequence.saturating_add(1))
    }

    /// The number of the last record that is a seal, where the log is sealed. The file that holds it is not removed.
    pub(crate) fn last_seal(&self) -> Option<u64> {
        self.sealing.as_ref().map(|sealing| sealing.last.get())
    }
}
