//! server.log: one JSON object a line, each chained to the line before it by that line's SHA-256.
//!
//! Records are appended to memory and written together, one write(2) for all that wait; what must survive a crash of
//! the machine before something else happens waits for one fdatasync(2) with all others that do. While the log
//! cannot be written, nothing is lost from memory and nothing new is taken.

mod escape;
mod file;
mod line;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;

pub(crate) use line::Line;

/// The open log. Lives on one thread.
pub(crate) struct Log {
    file: Arc<File>,
    state: RefCell<State>,
    broken: Cell<bool>,
    synced: Cell<u64>,
    syncing: Cell<bool>,
    sync_ended: Notify,
    /// The disk refused a sync. What it lost then it may not tell again, so this lasts until the next start.
    sync_failed: Cell<bool>,
}

/// What the next record builds on.
struct State {
    next_sequence: u64,
    previous: [u8; 32],
    clock: line::Clock,
    unwritten: Vec<u8>,
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refused.
    #[error("cannot write the log {path}")]
    Io {
        /// The log's path as it was given.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Another server holds it.
    #[error("the log {0} is in use by another bidden server")]
    InUse(String),
    /// The file holds something else.
    #[error("{0} is not a log of bidden: move it away, or name another file with --log")]
    Foreign(String),
}

/// The log's word that everything appended so far has been written.
pub(crate) struct Committed(());

/// The log cannot be written; the reason went to stderr when it began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unwritable;

impl Log {
    /// Opens or creates a log and finds the end of its chain. A last line that was cut short by a crash is removed,
    /// and its length returned.
    pub(crate) fn open(path: &Path) -> Result<(Self, u64), OpenError> {
        let opened = file::open(path)?;
        let state = State {
            next_sequence: opened.next_sequence,
            previous: opened.previous,
            clock: line::Clock::default(),
            unwritten: Vec::new(),
        };
        let log = Self {
            file: Arc::new(opened.file),
            state: RefCell::new(state),
            broken: Cell::new(false),
            synced: Cell::new(0),
            syncing: Cell::new(false),
            sync_ended: Notify::new(),
            sync_failed: Cell::new(false),
        };
        Ok((log, opened.torn_bytes))
    }

    /// Appends a record. It is on its way, not yet in the file: [`Log::commit`] writes it.
    pub(crate) fn append(&self, fill: impl FnOnce(&mut Line<'_>)) {
        let mut state = self.state.borrow_mut();
        let State { next_sequence, previous, clock, unwritten } = &mut *state;
        let mut line = Line::begin(unwritten, *next_sequence, clock);
        fill(&mut line);
        *previous = line.end(previous);
        *next_sequence = next_sequence.saturating_add(1);
    }

    /// Writes every appended record to the file. A process that is killed after this loses none of them.
    pub(crate) fn commit(&self) -> Result<Committed, Unwritable> {
        if self.sync_failed.get() {
            return Err(Unwritable);
        }
        let mut state = self.state.borrow_mut();
        if state.unwritten.is_empty() {
            return Ok(Committed(()));
        }
        match file::write_from_front(&self.file, &mut state.unwritten) {
            Ok(()) => {
                if self.broken.replace(false) {
                    complain("the log can be written again");
                }
                Ok(Committed(()))
            }
            Err(error) => {
                if !self.broken.replace(true) {
                    complain(&format!("cannot write the log: {error}; nothing is executed until it can be"));
                }
                Err(Unwritable)
            }
        }
    }

    /// Whether the last attempt to write failed.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Writes every appended record and waits until the disk has them. All that wait at the same time share one
    /// fdatasync(2).
    pub(crate) async fn commit_durably(&self) -> Result<(), Unwritable> {
        let wanted = self.state.borrow().next_sequence;
        while self.synced.get() < wanted {
            if self.syncing.get() {
                self.sync_ended.notified().await;
            } else {
                self.sync().await?;
            }
        }
        Ok(())
    }

    async fn sync(&self) -> Result<(), Unwritable> {
        self.commit()?;
        let covered = self.state.borrow().next_sequence;
        let _turn = SyncTurn::take(self);
        let file = Arc::clone(&self.file);
        let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
        match synced.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => {
                self.synced.set(covered);
                Ok(())
            }
            Err(error) => {
                self.sync_failed.set(true);
                self.broken.set(true);
                complain(&format!(
                    "the disk does not take the log: {error}; nothing is executed until a new start"
                ));
                Err(Unwritable)
            }
        }
    }
}

/// Tells the operator, who reads stderr; where nobody can be told there is nothing else to do.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "bidden: {message}");
}

/// The right to sync, given back even if the one who has it is dropped in the middle.
struct SyncTurn<'a>(&'a Log);

impl<'a> SyncTurn<'a> {
    fn take(log: &'a Log) -> Self {
        log.syncing.set(true);
        Self(log)
    }
}

impl Drop for SyncTurn<'_> {
    fn drop(&mut self) {
        self.0.syncing.set(false);
        self.0.sync_ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::line::push_hex;
    use super::{Log, OpenError};
    use sha2::{Digest as _, Sha256};

    fn append(log: &Log, text: &str) {
        log.append(|line| line.text("event", text));
        log.commit().expect("written");
    }

    #[track_caller]
    fn assert_chained(content: &str, lines: usize) {
        let mut expected = "0".repeat(64);
        for (sequence, line) in (1_u64..).zip(content.lines()) {
            let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(record["seq"], sequence);
            assert_eq!(record["prev"], expected);
            let mut hash = Vec::new();
            push_hex(&mut hash, Sha256::digest(line).as_slice());
            expected = String::from_utf8(hash).expect("ASCII");
        }
        assert_eq!(content.lines().count(), lines);
    }

    #[test]
    fn the_chain_goes_on_in_the_next_server() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("server.log");
        for _ in 0..3 {
            let (log, torn) = Log::open(&path).expect("opened");
            assert_eq!(torn, 0);
            append(&log, "one\u{1b}[2J\u{202e}");
            append(&log, "two\nlines");
        }
        assert_chained(&std::fs::read_to_string(&path).expect("text"), 6);
    }

    #[test]
    fn a_torn_last_line_is_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("server.log");
        append(&Log::open(&path).expect("opened").0, "whole");
        let whole = std::fs::read_to_string(&path).expect("text");
        for torn in [&whole[..1], &whole[..whole.len() - 1]] {
            std::fs::write(&path, format!("{whole}{torn}")).expect("written");
            let (_, bytes) = Log::open(&path).expect("opened");
            assert_eq!(bytes, torn.len() as u64);
            assert_eq!(std::fs::read_to_string(&path).expect("text"), whole);
        }
    }

    #[test]
    fn a_torn_first_line_is_removed_too() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("server.log");
        std::fs::write(&path, "{\"seq\":1,\"time\":\"2026").expect("written");
        let (log, bytes) = Log::open(&path).expect("opened");
        assert_eq!(bytes, 21);
        append(&log, "whole");
        assert_chained(&std::fs::read_to_string(&path).expect("text"), 1);
    }

    #[test]
    fn a_foreign_file_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("server.log");
        for content in ["INFO:root:Received command\n", "{\"seq\":0}\n", "no newline at all"] {
            std::fs::write(&path, content).expect("written");
            assert!(matches!(Log::open(&path), Err(OpenError::Foreign(_))), "{content}");
            assert_eq!(std::fs::read_to_string(&path).expect("text"), content);
        }
    }

    #[test]
    fn two_servers_do_not_share_a_log() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("server.log");
        let _first = Log::open(&path).expect("opened");
        assert!(matches!(Log::open(&path), Err(OpenError::InUse(_))));
    }

    #[test]
    fn a_full_disk_loses_nothing_and_is_left_when_there_is_room() {
        // Every write to /dev/full fails with ENOSPC.
        let directory = tempfile::tempdir().expect("a directory");
        let (mut log, _) = Log::open(&directory.path().join("server.log")).expect("opened");
        let real =
            std::mem::replace(&mut log.file, std::fs::File::create("/dev/full").expect("opened").into());
        log.append(|line| line.text("event", "one"));
        assert!(log.commit().is_err() && log.is_broken());
        log.append(|line| line.text("event", "two"));
        assert!(log.commit().is_err());
        log.file = real;
        assert!(log.commit().is_ok() && !log.is_broken());
        assert_chained(&std::fs::read_to_string(directory.path().join("server.log")).expect("text"), 2);
    }

    #[tokio::test]
    async fn many_share_one_sync_and_all_are_served() {
        let directory = tempfile::tempdir().expect("a directory");
        let (log, _) = Log::open(&directory.path().join("server.log")).expect("opened");
        let waits = (0..50).map(|_| async {
            log.append(|line| line.text("event", "started"));
            log.commit_durably().await
        });
        let results = futures_util::future::join_all(waits).await;
        assert!(results.iter().all(Result::is_ok));
        assert_chained(&std::fs::read_to_string(directory.path().join("server.log")).expect("text"), 50);
    }
}
