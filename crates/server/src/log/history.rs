//! What the log says was done: one row for each job and one for each request that was no job, read from all files of a
//! log, also while it is written. Bytes are searched before anything is parsed, so that a long log takes seconds.

mod jobs;
mod row;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::archive::{
    ATTEMPTS, Care, Lines, Listing, LogFile, Next, Nothing, identity, is_damage, list, naming, open_lines,
    resolved,
};
use super::findings::Finding;
use crate::limits::{MAX_FINDINGS, MAX_LISTINGS};
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
    /// What is missing, and which files are not read.
    pub findings: Vec<Finding>,
}

/// A log that is read, and read on as it grows.
pub struct HistoryReader {
    path: PathBuf,
    filter: HistoryFilter,
    jobs: Jobs,
    care: Care,
    /// The file that was read last, if it can still grow.
    open: Option<Open>,
    /// The file that was read last.
    last_file: Option<PathBuf>,
    /// The number of the first record that was read.
    first: Option<u64>,
    /// The number of the last one.
    done: u64,
    unreadable: u64,
    findings: Vec<Finding>,
    /// What was told before.
    told: Vec<Finding>,
}

/// A file that can still grow.
struct Open {
    lines: Lines,
    device_and_inode: (u64, u64),
    /// Bytes that have been read of it, where it is not compressed.
    bytes: u64,
    /// A line whose end is not there yet.
    rest: Vec<u8>,
}

/// How long a file may take to get its next name.
const MOMENT: Duration = Duration::from_millis(10);

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
        let path = resolved(path);
        let listing = list(&path, Care::Quick)?;
        if listing.files.is_empty() && listing.nothing(&path)? == Nothing::NoLog {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a log of bidden"));
        }
        Ok(Self::at_the_start(path, filter, Care::Quick))
    }

    fn at_the_start(path: PathBuf, filter: HistoryFilter, care: Care) -> Self {
        Self {
            path,
            jobs: Jobs::wanted(filter.clone()),
            filter,
            care,
            open: None,
            last_file: None,
            first: None,
            done: 0,
            unreadable: 0,
            findings: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Reads all that was written since the last time, and returns the newest rows that have ended, at most this many.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(&mut self, max_rows: usize) -> io::Result<History> {
        let is_first = self.first.is_none();
        let mut newest = self.read_what_is_new(max_rows)?;
        if self.care == Care::Quick && !self.findings.is_empty() {
            // Perhaps a copy or a file of another log was taken for one of this log.
            if is_first {
                *self = Self::at_the_start(self.path.clone(), self.filter.clone(), Care::Thorough);
                newest = self.read_what_is_new(max_rows)?;
            } else {
                self.care = Care::Thorough;
            }
        }
        // Each is told once, however often it is seen.
        self.findings.retain(|finding| !self.told.contains(finding));
        self.told.extend(self.findings.iter().cloned());
        self.told.drain(..self.told.len().saturating_sub(MAX_FINDINGS));
        let findings = std::mem::take(&mut self.findings);
        let unreadable = std::mem::take(&mut self.unreadable);
        let mut history = History { rows: Vec::new(), earlier: newest.earlier, unreadable, findings };
        newest.found.iter().map(HistoryRow::from_found).for_each(|row| history.add(row));
        history.rows.sort_by_key(|row| row.record);
        Ok(history)
    }

    fn read_what_is_new(&mut self, max_rows: usize) -> io::Result<Newest> {
        let mut newest = Newest { found: VecDeque::new(), max: max_rows, earlier: 0 };
        self.read_open(&mut newest)?;
        let (mut attempts, mut listings) = (0_u32, 0_u32);
        let mut seen = None;
        while !self.is_at_end()? && listings < MAX_LISTINGS {
            let listing = list(&self.path, self.care)?;
            listings = listings.saturating_add(1);
            // What was written to the file before it was moved away: as of this listing that is all.
            self.read_open(&mut newest)?;
            let done = self.done;
            let is_left = self.read_listed(&listing, attempts >= ATTEMPTS, &mut newest)?;
            seen = Some(listing);
            if !is_left {
                break;
            }
            if self.done > done {
                attempts = 0;
            } else if attempts >= ATTEMPTS {
                // What cannot be had now is looked for at the next time.
                break;
            } else {
                attempts = attempts.saturating_add(1);
                std::thread::sleep(MOMENT);
            }
        }
        if let Some((listing, first)) = seen.zip(self.first) {
            listing.explain(&self.path, first, &mut self.findings);
        }
        Ok(newest)
    }

    /// Reads the files of a listing that come next. Says whether one is left that has another name by now, or that may be
    /// about to get one, unless `as_it_is`.
    fn read_listed(&mut self, listing: &Listing, as_it_is: bool, newest: &mut Newest) -> io::Result<bool> {
        loop {
            let end = self.first.map(|_| self.done);
            let file = match listing.next_after(end) {
                None => return Ok(false),
                Some(Next::AfterGap(_)) if !as_it_is => return Ok(true),
                Some(Next::AfterGap(file)) => {
                    let gap = Finding::gap(self.done, self.last_file.as_deref(), file);
                    if !self.findings.contains(&gap) {
                        self.findings.push(gap);
                    }
                    file
                }
                Some(Next::Follows(file)) => file,
            };
            if !self.read_file(file, newest)? {
                return Ok(true);
            }
        }
    }

    /// Adds what was started and has not ended, as far as the log is read.
    fn add_unended(&self, history: &mut History) {
        let mut unended = History::default();
        self.jobs.unended().into_iter().for_each(|row| unended.add(row));
        unended.rows.sort_by_key(|row| (row.state == RowState::Running, row.record));
        history.rows.append(&mut unended.rows);
        history.unreadable = history.unreadable.saturating_add(unended.unreadable);
    }

    /// Whether the file that was read last is the one that is written, and was not emptied meanwhile.
    fn is_at_end(&self) -> io::Result<bool> {
        let Some(open) = &self.open else { return Ok(false) };
        match self.path.metadata() {
            Ok(there) => Ok(identity(&there) == open.device_and_inode && there.len() >= open.bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads a file, if it is still the one that was found under this name.
    fn read_file(&mut self, file: &LogFile, newest: &mut Newest) -> io::Result<bool> {
        let opened = file.path.metadata().and_then(|metadata| Ok((metadata, open_lines(&file.path)?)));
        let (metadata, lines) = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened.map_err(|error| naming(&file.path, &error))?,
        };
        let mut open = Open { lines, device_and_inode: identity(&metadata), bytes: 0, rest: Vec::new() };
        match open.read_on() {
            Err(error) if is_damage(&error) => return Ok(false),
            read => read.map_err(|error| naming(&file.path, &error))?,
        }
        if Head::read(&open.rest).is_none_or(|head| head.sequence != file.first) {
            return Ok(false);
        }
        if let Some(left) = &self.open
            && !left.rest.is_empty()
            && let Some(path) = &self.last_file
        {
            self.findings.push(Finding::cut_off(path, self.done));
        }
        self.first = self.first.or(Some(file.first));
        self.open = Some(open);
        self.last_file = Some(file.path.clone());
        self.read_open(newest)?;
        if file.is_compressed {
            self.open = None;
        }
        Ok(true)
    }

    fn read_open(&mut self, newest: &mut Newest) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        loop {
            if open.rest.last() != Some(&b'\n')
                && let Err(error) = open.read_on()
            {
                let path = self.last_file.clone().unwrap_or_default();
                if !is_damage(&error) {
                    return Err(naming(&path, &error));
                }
                self.findings.push(Finding::Damaged { path, last: self.done, reason: error.to_string() });
                self.open = None;
                return Ok(());
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

impl Open {
    /// Reads what the line lacks.
    fn read_on(&mut self) -> io::Result<()> {
        let before = self.rest.len();
        self.lines.read_on(&mut self.rest)?;
        self.bytes = self.bytes.saturating_add(self.rest.len().saturating_sub(before) as u64);
        Ok(())
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
