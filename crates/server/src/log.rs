//! server.log: one JSON object a line, each chained to the line before it by that line's SHA-256.
//!
//! Records are appended to memory and written together, one write(2) for all that wait; what must survive a crash of
//! the machine before something else happens waits for one fdatasync(2) with all others that do. While the log
//! cannot be written, nothing is lost from memory and nothing new is taken. A
//! file that is full, or that was moved away, is followed by the next, and the chain goes on in it.

mod archive;
mod escape;
mod file;
mod findings;
#[cfg(test)]
mod hands;
mod history;
mod line;
mod link;
mod place;
mod recovery;
mod seal;
mod sealing;
mod tidy;
mod verify;

use std::cell::{Cell, RefCell};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;

use place::Files;
use sealing::Sealing;

pub use findings::Finding;
pub use history::{History, HistoryFilter, HistoryReader, HistoryRow, RowState, history};
pub(crate) use line::Line;
pub(crate) use recovery::{JOBS_KNOWN, job_records};
pub use seal::{
    KeyName, SealError, Sealer, SealingState, VerificationKey, create_sealing_state, read_sealing_state,
};
use tidy::tidy;
pub use verify::{Evidence, SealedUpTo, Verified, VerifyError, verify};

/// Only its owner reads a log: it holds what people asked for and what they got.
const MODE: u32 = 0o600;

/// The open log. Lives on one thread.
pub(crate) struct Log {
    files: RefCell<Files>,
    state: RefCell<State>,
    broken: Cell<bool>,
    problem: RefCell<Option<String>>,
    synced: Cell<u64>,
    syncing: Cell<bool>,
    sync_ended: Notify,
    /// A file has begun that says nothing yet of what stands in those before it.
    continued: Cell<bool>,
    /// A file is not written any more, and may have to be compressed or others removed.
    rotated: Cell<bool>,
    /// The disk refused a sync. What it lost then it may not tell again, so this lasts until the next start.
    sync_failed: Cell<bool>,
    sealing: Option<Sealing>,
    /// How many files were removed, replaced or emptied by others while they were written.
    files_lost: Cell<u64>,
    /// Something that is no log has been found at the log's path, and told.
    displaced: Cell<bool>,
}

/// When a file is followed by the next, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// Bytes of a file from which on it is full.
    pub(crate) bytes: u64,
    /// Rotated files that are kept; `None` keeps all.
    pub(crate) keep: Option<usize>,
}

/// Who may read the files of a log, beside its owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogAccess {
    /// The permissions of new files, and of the present one; where none are said, 0600 for new files alone.
    pub mode: Option<u32>,
    /// The group that files get; where none is said, that of the server or the directory.
    pub group: Option<u32>,
}

impl LogAccess {
    fn mode(self) -> u32 {
        self.mode.unwrap_or(MODE)
    }
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
    /// What is named is no file.
    #[error(
        "{path} cannot be the log: {what}. Name a file with --log or `log` in [server]; `bidden history --follow --json`, \
         tail(1) or a log shipper passes it on"
    )]
    NotAFile {
        /// The log's path as it was given.
        path: String,
        /// What it is.
        what: String,
    },
    /// The permissions that are configured cannot be given.
    #[error(
        "cannot give {path} the mode or the group of `log_mode` and `log_group`: only root, or a member of the group, can"
    )]
    Access {
        /// The log's path as it was given.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Nobody knows which record is next.
    #[error(
        "{path} has no record, and the log may go on after a file beside it that is not read: {what}; or move it away"
    )]
    UnreadEnd {
        /// The log's path as it was given.
        path: String,
        /// The other file, and why.
        what: String,
    },
    /// There are later records already.
    #[error(
        "{path} ends with record {last}, and {other} beside it has later ones: {path} is an older copy, or {other} is of \
         another log. Move the wrong one away"
    )]
    OlderCopy {
        /// The log's path as it was given.
        path: String,
        /// Its last record.
        last: u64,
        /// The file that has later ones.
        other: String,
    },
    /// It cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// The log's word that everything appended so far has been written.
pub(crate) struct Committed(());

/// The log cannot be written; the reason went to stderr when it began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unwritable;

impl Log {
    /// Opens or creates a log and finds the end of its chain. A last line that was cut short by a crash is removed,
    /// and its length returned.
    pub(crate) fn open_for(
        path: &Path,
        rotation: Rotation,
        access: LogAccess,
    ) -> Result<(Self, u64), OpenError> {
        let path = &archive::resolved(path);
        let opened = file::open(path, access)?;
        let state = State {
            next_sequence: opened.next_sequence,
            previous: opened.previous,
            clock: line::Clock::default(),
            unwritten: Vec::new(),
        };
        let files = Files {
            path: path.to_owned(),
            current: Arc::new(opened.file),
            bytes: opened.bytes,
            size: opened.bytes,
            first_sequence: opened.first_sequence,
            rotation,
            access,
            // The name of a new file has to be on the disk as well.
            unsynced: if opened.bytes == 0 { archive::open_directory_of(path) } else { Vec::new() },
        };
        let log = Self {
            files: RefCell::new(files),
            state: RefCell::new(state),
            broken: Cell::new(false),
            problem: RefCell::new(None),
            synced: Cell::new(0),
            syncing: Cell::new(false),
            sync_ended: Notify::new(),
            continued: Cell::new(opened.bytes == 0 && opened.next_sequence > 1),
            // What an earlier server did not come to.
            rotated: Cell::new(true),
            sync_failed: Cell::new(false),
            sealing: None,
            files_lost: Cell::new(0),
            displaced: Cell::new(false),
        };
        Ok((log, opened.torn_bytes))
    }

    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn open(path: &Path, rotation: Rotation) -> Result<(Self, u64), OpenError> {
        Self::open_for(path, rotation, LogAccess::default())
    }

    /// Appends a record. It is on its way, not yet in the file: [`Log::commit`] writes it.
    pub(crate) fn append(&self, fill: impl FnOnce(&mut Line<'_>)) {
        let mut state = self.state.borrow_mut();
        let State { next_sequence, previous, clock, unwritten } = &mut *state;
        let mut line = Line::begin(unwritten, *next_sequence, clock);
        fill(&mut line);
        *previous = line.end(previous);
        *next_sequence = next_sequence.saturating_add(1);
        if let Some(sealing) = &self.sealing {
            sealing.want();
        }
    }

    /// Writes every appended record to the file. A process that is killed after this loses none of them.
    pub(crate) fn commit(&self) -> Result<Committed, Unwritable> {
        if self.sync_failed.get() {
            return Err(Unwritable);
        }
        self.write()?;
        if self.files.borrow().is_full() {
            self.rotate();
            self.write()?;
        }
        Ok(Committed(()))
    }

    fn write(&self) -> Result<(), Unwritable> {
        if self.state.borrow().unwritten.is_empty() {
            return Ok(());
        }
        self.keep_file()?;
        let mut state = self.state.borrow_mut();
        let mut files = self.files.borrow_mut();
        let unwritten = state.unwritten.len();
        let result = file::write_from_front(&files.current, &mut state.unwritten);
        let written = unwritten.saturating_sub(state.unwritten.len()) as u64;
        files.bytes = files.bytes.saturating_add(written);
        files.size = files.size.saturating_add(written);
        match result {
            Ok(()) => {
                if self.broken.replace(false) {
                    complain("the log can be written again");
                }
                Ok(())
            }
            Err(error) => Err(self.break_down(&error.to_string())),
        }
    }

    /// Notes that the log cannot be written for now.
    fn break_down(&self, why: &str) -> Unwritable {
        if !self.broken.replace(true) {
            *self.problem.borrow_mut() = Some(why.to_owned());
            complain(&format!("cannot write the log: {why}; nothing is executed until it can be"));
        }
        Unwritable
    }

    /// The file that is written; those that it was rotated into lie beside it.
    pub(crate) fn path(&self) -> PathBuf {
        self.files.borrow().path.clone()
    }

    /// How many records there are, in all files.
    pub(crate) fn records(&self) -> u64 {
        self.state.borrow().next_sequence.saturating_sub(1)
    }

    /// How many files were removed, replaced or emptied by others while they were written.
    pub(crate) fn files_lost(&self) -> u64 {
        self.files_lost.get()
    }

    /// Why the log cannot be written, where it cannot.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.borrow().clone().filter(|_| self.broken.get())
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
        let (unsynced, current) = {
            let mut files = self.files.borrow_mut();
            (std::mem::take(&mut files.unsynced), Arc::clone(&files.current))
        };
        let synced = tokio::task::spawn_blocking(move || {
            unsynced.iter().try_for_each(|file| file.sync_all())?;
            current.sync_data()
        })
        .await;
        match synced.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => {
                self.synced.set(covered);
                Ok(())
            }
            Err(error) => Err(self.fail(&format!("the disk does not take the log: {error}"))),
        }
    }

    /// What the disk refused to keep once it may have lost without a word: nothing is right until the next start.
    fn fail(&self, what: &str) -> Unwritable {
        self.sync_failed.set(true);
        self.broken.set(true);
        *self.problem.borrow_mut() = Some(what.to_owned());
        complain(&format!("{what}; nothing is executed until a new start"));
        Unwritable
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
    use super::archive::log_files;
    use super::line::push_hex;
    use super::{Evidence, Log, OpenError, Rotation, Verified, VerifyError, tidy};
    use sha2::{Digest as _, Sha256};
    use std::path::Path;
    use std::sync::Arc;

    /// With files that are never full.
    fn open(path: &Path) -> Result<(Log, u64), OpenError> {
        Log::open(path, Rotation { bytes: u64::MAX, keep: None })
    }

    fn verify(path: &Path) -> Result<Verified, VerifyError> {
        super::verify(path, &Evidence::default())
    }

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
            let (log, torn) = open(&path).expect("opened");
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
        append(&open(&path).expect("opened").0, "whole");
        let whole = std::fs::read_to_string(&path).expect("text");
        for torn in [&whole[..1], &whole[..whole.len() - 1]] {
            std::fs::write(&path, format!("{whole}{torn}")).expect("written");
            let (_, bytes) = open(&path).expect("opened");
            assert_eq!(bytes, torn.len() as u64);
            assert_eq!(std::fs::read_to_string(&path).expect("text"), whole);
        }
    }

    #[test]
    fn a_torn_first_line_is_removed_too() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("server.log");
        std::fs::write(&path, "{\"seq\":1,\"time\":\"2026").expect("written");
        let (log, bytes) = open(&path).expect("opened");
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
            assert!(matches!(open(&path), Err(OpenError::Foreign(_))), "{content}");
            assert_eq!(std::fs::read_to_string(&path).expect("text"), content);
        }
    }

    #[test]
    fn two_servers_do_not_share_a_log() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("server.log");
        let _first = open(&path).expect("opened");
        assert!(matches!(open(&path), Err(OpenError::InUse(_))));
    }

    #[test]
    fn a_full_disk_loses_nothing_and_is_left_when_there_is_room() {
        // Every write to /dev/full fails with ENOSPC.
        let directory = tempfile::tempdir().expect("a directory");
        let (log, _) = open(&directory.path().join("server.log")).expect("opened");
        let exchange =
            |file: Arc<std::fs::File>| std::mem::replace(&mut log.files.borrow_mut().current, file);
        let real = exchange(std::fs::File::create("/dev/full").expect("opened").into());
        log.append(|line| line.text("event", "one"));
        assert!(log.commit().is_err() && log.is_broken());
        log.append(|line| line.text("event", "two"));
        assert!(log.commit().is_err());
        exchange(real);
        assert!(log.commit().is_ok() && !log.is_broken());
        assert_chained(&std::fs::read_to_string(directory.path().join("server.log")).expect("text"), 2);
    }

    #[tokio::test]
    async fn many_share_one_sync_and_all_are_served() {
        let directory = tempfile::tempdir().expect("a directory");
        let (log, _) = open(&directory.path().join("server.log")).expect("opened");
        let waits = (0..50).map(|_| async {
            log.append(|line| line.text("event", "started"));
            log.commit_durably().await
        });
        let results = futures_util::future::join_all(waits).await;
        assert!(results.iter().all(Result::is_ok));
        assert_chained(&std::fs::read_to_string(directory.path().join("server.log")).expect("text"), 50);
    }

    #[tokio::test]
    async fn the_chain_goes_on_through_files_that_are_full_moved_away_or_compressed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("server.log");
        let rotation = Rotation { bytes: 2000, keep: None };
        let count = |suffix: &str| {
            let files = log_files(&path).expect("read");
            files.iter().filter(|file| file.path.to_string_lossy().ends_with(suffix)).count()
        };
        for start in 0..3 {
            let (log, _) = Log::open(&path, rotation).expect("opened");
            for number in 0..30 {
                append(&log, &format!("{start} {number}"));
                log.commit_durably().await.expect("on the disk");
            }
            // As logrotate(8) does it.
            std::fs::rename(&path, directory.path().join(format!("server.log.{start}"))).expect("moved");
            log.reopen();
            log.reopen();
            append(&log, "after");
            drop(log);
            tidy(&path, rotation, u64::MAX);
        }
        assert!(count(".gz") >= 6, "{:?}", log_files(&path));
        let verified = verify(&path).expect("unbroken");
        assert_eq!((verified.first, count("")), (1, verified.files));
        assert!(verified.last >= 3 * 31);
        // An empty file, as logrotate(8) can create it, is gone on in.
        std::fs::rename(&path, directory.path().join("server.log.x")).expect("moved");
        std::fs::write(&path, "").expect("created");
        append(&open(&path).expect("opened").0, "next");
        assert_eq!(verify(&path).expect("unbroken").last, verified.last + 1);
        // Own files are removed from the oldest on, up to one that is not bidden's to remove: so no gap comes of it.
        tidy(&path, Rotation { bytes: 2000, keep: Some(2) }, u64::MAX);
        let kept = verify(&path).expect("unbroken");
        assert_eq!(kept.last, verified.last + 1);
        assert_eq!(log_files(&path).expect("read")[0].path, path.with_file_name("server.log.0"));
        std::fs::remove_file(path.with_file_name("server.log.0")).expect("removed");
        tidy(&path, Rotation { bytes: 2000, keep: Some(2) }, u64::MAX);
        let kept = verify(&path).expect("unbroken");
        assert!(kept.first > 1);
    }

    #[test]
    fn what_is_altered_removed_or_moved_is_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("server.log");
        let (log, _) = open(&path).expect("opened");
        for number in 0..5 {
            append(&log, &number.to_string());
        }
        drop(log);
        let whole = std::fs::read_to_string(&path).expect("text");
        let lines: Vec<&str> = whole.split_inclusive('\n').collect();
        let check = |content: String, line: u64, said: &str| {
            std::fs::write(&path, content).expect("written");
            match verify(&path) {
                Err(VerifyError::Broken { line: found, what, .. }) => {
                    assert_eq!(found, line, "{what}");
                    assert!(what.contains(said), "{what}");
                }
                other => panic!("{other:?}"),
            }
        };
        check(whole.replace("\"2\"", "\"9\""), 4, "was not written after the line before it");
        check([&lines[..1], &lines[2..]].concat().concat(), 2, "record 3 stands where 2 is expected");
        check([lines[0], lines[2], lines[1]].concat(), 2, "record 3 stands where 2 is expected");
        check(lines.concat().trim_end().to_owned(), 5, "is cut off");
        check(format!("{whole}nonsense\n"), 6, "this is no record");
        check(whole.replacen(&"0".repeat(64), &"1".repeat(64), 1), 1, "the first record names one before it");
        std::fs::write(&path, lines[1..].concat()).expect("written");
        assert_eq!(verify(&path).expect("unbroken from there").first, 2);
        std::fs::write(&path, "").expect("written");
        assert!(matches!(verify(&path), Err(VerifyError::Empty(_))));
    }
}
