//! What the log says was done: one row for each job and one for each request that was no job, read from all files of a
//! log, also while it is written. Bytes are searched before anything is parsed, so that a long log takes seconds.

mod jobs;
mod row;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::archive::{ATTEMPTS, Lines, LogFile, is_compressed, log_files, open_lines, sequence_of};
use jobs::{Found, Head, Jobs, NoRecord};
pub use row::{HistoryRow, RowState};

/// Which rows are wanted. Everything that is said must hold.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    /// Of this user.
    pub user: Option<String>,
    /// Of this command.
    pub command: Option<String>,
    /// That began or ended at this moment or later, or have not ended.
    pub since: Option<Timestamp>,
    /// That came to anything else than success; a command, to another exit code than 0.
    pub failed: bool,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In the order in which they began, newest last; behind them what has not ended.
    pub rows: Vec<HistoryRow>,
    /// How many earlier rows there are that had no room.
    pub earlier: u64,
    /// Lines that are no records.
    pub unreadable: u64,
}

/// A log that is read, and read on as it grows.
pub struct HistoryReader {
    path: PathBuf,
    jobs: Jobs,
    /// The file that was read last, if it can still grow.
    open: Option<Open>,
    /// The first record of the file that was read last, if it cannot.
    closed: Option<u64>,
    /// The number of the last record that was read.
    done: u64,
    /// How often a file was missed that may have been about to get another name.
    missed: u32,
    unreadable: u64,
}

/// A file that can still grow.
struct Open {
    lines: Lines,
    device_and_inode: (u64, u64),
    /// A line whose end is not there yet.
    rest: Vec<u8>,
}

/// The newest rows, most of them not parsed yet.
struct Newest {
    found: VecDeque<Found>,
    max: usize,
    earlier: u64,
}

/// The newest rows of the log at `path`: at most this many.
///
/// # Errors
/// There is no log, or it cannot be read.
pub fn history(path: &Path, filter: HistoryFilter, max_rows: usize) -> io::Result<History> {
    let mut reader = HistoryReader::open(path, filter)?;
    let mut history = reader.read(max_rows)?;
    reader.add_unended(&mut history);
    let excess = history.rows.len().saturating_sub(max_rows);
    history.rows.drain(..excess);
    history.earlier = history.earlier.saturating_add(excess as u64);
    Ok(history)
}

impl HistoryReader {
    /// A reader that has read nothing yet.
    ///
    /// # Errors
    /// There is no log, or its directory cannot be read.
    pub fn open(path: &Path, filter: HistoryFilter) -> io::Result<Self> {
        if log_files(path)?.is_empty() {
            // An empty file is a log of which nothing has been written.
            path.metadata()?;
        }
        let jobs = Jobs::wanted(filter);
        Ok(Self { path: path.to_owned(), jobs, open: None, closed: None, done: 0, missed: 0, unreadable: 0 })
    }

    /// Reads all that was written since the last time, and returns the newest rows that have ended, at most this many.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(&mut self, max_rows: usize) -> io::Result<History> {
        let mut newest = Newest { found: VecDeque::new(), max: max_rows, earlier: 0 };
        self.unreadable = 0;
        self.read_open(&mut newest)?;
        while !self.is_at_end()? {
            // What was written to the file before it was moved away.
            self.read_open(&mut newest)?;
            let files = self.files_to_read()?;
            if files.is_empty() {
                break;
            }
            for file in files {
                if !self.read_file(&file, &mut newest)? {
                    // It has another name by now.
                    break;
                }
            }
        }
        let mut history = History { rows: Vec::new(), earlier: newest.earlier, unreadable: self.unreadable };
        newest.found.iter().map(HistoryRow::from_found).for_each(|row| history.add(row));
        history.rows.sort_by_key(|row| row.record);
        Ok(history)
    }

    /// Adds what was started and has not ended, as far as the log is read.
    fn add_unended(&self, history: &mut History) {
        let mut unended = History::default();
        self.jobs.unended().into_iter().for_each(|row| unended.add(row));
        unended.rows.sort_by_key(|row| (row.state == RowState::Running, row.record));
        history.rows.append(&mut unended.rows);
        history.unreadable = history.unreadable.saturating_add(unended.unreadable);
    }

    /// Whether the file that was read last is the one that is written.
    fn is_at_end(&self) -> io::Result<bool> {
        let Some(open) = &self.open else { return Ok(false) };
        match self.path.metadata() {
            Ok(there) => Ok((there.dev(), there.ino()) == open.device_and_inode || there.len() == 0),
            // It was moved away, and the next one is not there yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The files with records that have not been read.
    fn files_to_read(&self) -> io::Result<Vec<LogFile>> {
        let mut files = log_files(&self.path)?;
        let unread = |next: &LogFile| next.first > self.done.saturating_add(1);
        let last = files.len().saturating_sub(1);
        let first = files.iter().skip(1).position(unread).unwrap_or(last);
        let files = files.split_off(first);
        let is_read = matches!(files.as_slice(), [only] if self.closed == Some(only.first));
        Ok(if is_read { Vec::new() } else { files })
    }

    /// Reads a file, if it is still the one that was found under this name.
    fn read_file(&mut self, file: &LogFile, newest: &mut Newest) -> io::Result<bool> {
        if self.done > 0 && file.first > self.done.saturating_add(1) && self.missed < ATTEMPTS {
            self.missed = self.missed.saturating_add(1);
            return Ok(false);
        }
        self.missed = 0;
        let opened = file.path.metadata().and_then(|metadata| Ok((metadata, open_lines(&file.path)?)));
        let (metadata, mut lines) = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let mut rest = Vec::new();
        lines.read_on(&mut rest)?;
        if sequence_of(&rest) != Some(file.first) {
            return Ok(false);
        }
        let device_and_inode = (metadata.dev(), metadata.ino());
        self.open = Some(Open { lines, device_and_inode, rest });
        self.closed = None;
        self.read_open(newest)?;
        if is_compressed(&file.path) {
            (self.open, self.closed) = (None, Some(file.first));
        }
        Ok(true)
    }

    fn read_open(&mut self, newest: &mut Newest) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        loop {
            if open.rest.last() != Some(&b'\n') {
                open.lines.read_on(&mut open.rest)?;
            }
            let Some(line) = open.rest.strip_suffix(b"\n") else { return Ok(()) };
            match Head::read(line) {
                Some(head) if head.sequence > self.done => {
                    self.done = head.sequence;
                    match self.jobs.take(&head, line) {
                        Ok(found) => found.into_iter().for_each(|found| newest.push(found)),
                        Err(NoRecord) => self.unreadable = self.unreadable.saturating_add(1),
                    }
                }
                Some(_) => {}
                None => self.unreadable = self.unreadable.saturating_add(1),
            }
            open.rest.clear();
        }
    }
}

impl History {
    fn add(&mut self, row: Result<HistoryRow, NoRecord>) {
        match row {
            Ok(row) => self.rows.push(row),
            Err(NoRecord) => self.unreadable = self.unreadable.saturating_add(1),
        }
    }
}

impl Newest {
    fn push(&mut self, found: Found) {
        if self.found.len() >= self.max {
            self.found.pop_front();
            self.earlier = self.earlier.saturating_add(1);
        }
        if self.max > 0 {
            self.found.push_back(found);
        }
    }
}
