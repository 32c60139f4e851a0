//! The file that is written, and its place: rotated when it is full, left when others have moved it away, and begun anew
//! when they have removed, replaced or emptied it. Records that wait are written to the file that is there.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags};

use super::archive::{found_name, identity, open_directory_of, rotated_name};
use super::{Log, LogAccess, OpenError, Rotation, State, Unwritable, complain, file, tidy};

/// The file that is written, and what is to become of it.
pub(super) struct Files {
    pub(super) path: PathBuf,
    pub(super) current: Arc<File>,
    /// Bytes that count for its rotation.
    pub(super) bytes: u64,
    /// Bytes that must be there.
    pub(super) size: u64,
    pub(super) first_sequence: u64,
    pub(super) rotation: Rotation,
    pub(super) access: LogAccess,
    /// Files that are not written any more and perhaps not on the disk yet.
    pub(super) unsynced: Vec<Arc<File>>,
}

/// What others have done to the file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Removed,
    /// As `copytruncate` of logrotate(8) does it.
    Emptied,
    Shortened,
}

impl Fate {
    fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Emptied => "emptied",
            Self::Shortened => "shortened",
        }
    }
}

impl Log {
    /// Moves the full file aside and goes on in a new one. Where that fails the old one is written on, until it is full
    /// once more.
    pub(super) fn rotate(&self) {
        if !self.files.borrow().is_in_its_place() {
            // It has been moved aside already.
            self.reopen();
            self.files.borrow_mut().bytes = 0;
            return;
        }
        let moved = self.files.borrow().move_aside();
        match moved {
            Ok((next, rotated)) => {
                self.go_on_in(next, &rotated);
                self.rotated.set(true);
            }
            Err(error) => {
                complain(&format!("the log cannot be rotated and grows on: {}", with_reason(&error)));
                self.files.borrow_mut().bytes = 0;
            }
        }
    }

    /// After a rotation: compresses and removes files in the background. What records up to this one say of ids is known
    /// elsewhere, so that their files may go.
    pub(crate) fn tidy(&self, ids_known_through: u64) {
        if !self.rotated.replace(false) {
            return;
        }
        let files = self.files.borrow();
        let (path, rotation) = (files.path.clone(), files.rotation);
        let needed_from = self.last_seal().unwrap_or(u64::MAX).min(ids_known_through.saturating_add(1));
        tokio::task::spawn_blocking(move || tidy(&path, rotation, needed_from));
    }

    /// Goes on in a new file where the one before was moved away, as logrotate(8) does before it sends SIGHUP. Nothing
    /// happens where it was not.
    pub(crate) fn reopen(&self) {
        if self.keep_file().is_err() {
            return;
        }
        // What was said before belongs to the file before. A log that cannot be written keeps it until it can.
        let _ = self.write();
        let next = {
            let files = self.files.borrow();
            if files.is_in_its_place() {
                self.displaced.set(false);
                return;
            }
            file::open_next(&files.path, files.access)
        };
        match next {
            Ok(next) => {
                self.displaced.set(false);
                self.go_on_in(next, Path::new("the file that was moved away"));
            }
            Err(error) if !self.displaced.replace(true) => {
                complain(&format!(
                    "the log goes on in the file that was moved away: {}",
                    with_reason(&error)
                ));
            }
            Err(_) => {}
        }
    }

    /// Looks whether the file is still what it was, also while nothing is written; and goes on in the one that another
    /// program has put in its place. A file that was only moved away is written on until SIGHUP: logrotate(8) creates the
    /// next one itself.
    pub(crate) fn look_after_file(&self) {
        if self.sync_failed.get() || self.keep_file().is_err() {
            return;
        }
        let is_replaced = {
            let files = self.files.borrow();
            !files.is_in_its_place() && files.path.symlink_metadata().is_ok()
        };
        if is_replaced {
            self.reopen();
        }
    }

    /// Begins a new file where others have removed, emptied or shortened the one that is written. Nothing that waits to be
    /// written is lost, and the log says what the file held.
    pub(super) fn keep_file(&self) -> Result<(), Unwritable> {
        let Some(fate) = self.files.borrow().fate() else { return Ok(()) };
        let next_sequence = self.state.borrow().first_unwritten();
        if fate != Fate::Emptied {
            let begun = self.files.borrow().begin_anew(next_sequence);
            match begun {
                Ok(next) => self.files.borrow_mut().current = Arc::new(next),
                Err(error) => {
                    let path = self.files.borrow().path.display().to_string();
                    let why = format!(
                        "{path} was {}, and no other can be begun: {}",
                        fate.as_str(),
                        with_reason(&error)
                    );
                    return Err(self.break_down(&why));
                }
            }
        }
        let (first, name) = {
            let mut files = self.files.borrow_mut();
            (files.bytes, files.size) = (0, 0);
            let directory = open_directory_of(&files.path);
            files.unsynced.extend(directory);
            let first = std::mem::replace(&mut files.first_sequence, next_sequence);
            (first, files.path.file_name().unwrap_or_default().to_string_lossy().into_owned())
        };
        let last = next_sequence.saturating_sub(1);
        self.files_lost.set(self.files_lost.get().saturating_add(1));
        self.continued.set(true);
        complain(&format!(
            "{name} was {} by someone else, with the records {first} to {last}; the log goes on at its place",
            fate.as_str()
        ));
        self.append(|line| {
            line.text("event", "log_continued");
            line.text("after", &name);
            line.text("reason", fate.as_str());
            line.number("first", first);
            line.number("last", last);
        });
        Ok(())
    }

    /// Has `write` append what a file must say that is read without those before it, where one has begun. It does not
    /// count for the file's size: otherwise a file could be full before it has anything else.
    pub(crate) fn carry_over(&self, write: impl FnOnce(&Self)) {
        if self.broken.get() || !self.continued.replace(false) {
            return;
        }
        let bytes = self.files.borrow().bytes;
        write(self);
        // A log that cannot be written keeps it until it can.
        let _ = self.write();
        self.files.borrow_mut().bytes = bytes;
    }

    fn go_on_in(&self, next: File, before: &Path) {
        self.files.borrow_mut().replace(next, self.state.borrow().next_sequence);
        self.continued.set(true);
        self.append(|line| {
            line.text("event", "log_continued");
            line.text("after", &before.file_name().unwrap_or_default().to_string_lossy());
        });
    }
}

impl State {
    /// The number of the first record that waits to be written, or of the next one.
    fn first_unwritten(&self) -> u64 {
        let waiting = memchr::memchr_iter(b'\n', &self.unwritten).count() as u64;
        self.next_sequence.saturating_sub(waiting)
    }
}

impl Files {
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= self.rotation.bytes
    }

    /// Whether the file that is written is the one at the log's path.
    fn is_in_its_place(&self) -> bool {
        match (self.path.metadata(), self.current.metadata()) {
            (Ok(there), Ok(ours)) => identity(&there) == identity(&ours),
            _ => false,
        }
    }

    /// None where nothing has happened to it, or nobody can tell.
    fn fate(&self) -> Option<Fate> {
        let found = self.current.metadata().ok()?;
        match found.len() {
            _ if found.nlink() == 0 => Some(Fate::Removed),
            0 if self.size > 0 => Some(Fate::Emptied),
            length if length < self.size => Some(Fate::Shortened),
            _ => None,
        }
    }

    /// Gives the file the name of a rotated one, and returns the file that follows it and that name.
    fn move_aside(&self) -> Result<(File, PathBuf), OpenError> {
        let rotated = rotated_name(&self.path, self.first_sequence);
        let failed = |source| OpenError::Io { path: rotated.display().to_string(), source };
        rename_to_free(&self.path, &rotated).map_err(failed)?;
        let next = file::open_next(&self.path, self.access).inspect_err(|_| {
            // Under either name it is found when the log is read.
            let _ = rename_to_free(&rotated, &self.path);
        })?;
        Ok((next, rotated))
    }

    /// Opens a file at the log's path. What someone has put there, or left of ours, gets a name of its own: as far as it
    /// holds records of this log it is read as one of its files.
    fn begin_anew(&self, next_sequence: u64) -> Result<File, OpenError> {
        match file::open_next(&self.path, self.access) {
            Err(OpenError::Foreign(_) | OpenError::NotAFile { .. }) => {}
            Err(OpenError::InUse(_)) if self.is_in_its_place() => {}
            opened => return opened,
        }
        let found = found_name(&self.path, next_sequence);
        rename_to_free(&self.path, &found)
            .map_err(|source| OpenError::Io { path: found.display().to_string(), source })?;
        complain(&format!(
            "what was found in the place of {} is {} now",
            self.path.display(),
            found.display()
        ));
        file::open_next(&self.path, self.access)
    }

    fn replace(&mut self, next: File, first_sequence: u64) {
        let old = std::mem::replace(&mut self.current, Arc::new(next));
        self.unsynced.push(old);
        // The new name has to be on the disk as well.
        self.unsynced.extend(open_directory_of(&self.path));
        (self.bytes, self.size) = (0, 0);
        self.first_sequence = first_sequence;
    }
}

/// Renames a file, if nothing has the new name.
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that does not know it.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if !to.exists() => fs::rename(from, to),
        renamed => Ok(renamed?),
    }
}

/// An error with what the system said of it.
fn with_reason(error: &OpenError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
