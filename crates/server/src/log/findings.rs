//! What a reader says of a log that is not whole: which records are missing, and where, and which files are not read.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::archive::{Listing, LogFile, Unread};

/// Something that is wrong with the files of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// There are no such records.
    Missing {
        /// The number of the first.
        first: u64,
        /// The number of the last.
        last: u64,
        /// The file with the records before them, if there is one.
        after: Option<PathBuf>,
        /// The file with the records behind them.
        before: PathBuf,
        /// What the log says became of them.
        told: Option<String>,
    },
    /// A file cannot be read to its end.
    Damaged {
        /// The file.
        path: PathBuf,
        /// The last record that can be read.
        last: u64,
        /// What is wrong.
        reason: String,
    },
    /// A file is not read, and could hold what is missing.
    Unread(Unread),
    /// The file at the log's path is none of the log's, or not the last.
    OutOfPlace {
        /// The log.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { first, last, after, before, told } => {
                if first == last {
                    write!(formatter, "record {first} is missing")?;
                } else {
                    write!(formatter, "records {first} to {last} are missing")?;
                }
                match after {
                    Some(after) if after == before => write!(formatter, " in {}", before.display())?,
                    Some(after) => {
                        write!(formatter, ", between {} and {}", after.display(), before.display())?;
                    }
                    None => write!(formatter, ", before {}", before.display())?,
                }
                told.as_ref().map_or(Ok(()), |told| write!(formatter, "; {told}"))
            }
            Self::Damaged { path, last, reason } => {
                write!(formatter, "{} cannot be read after record {last}: {reason}", path.display())
            }
            Self::Unread(unread) => unread.fmt(formatter),
            Self::OutOfPlace { path, what } => write!(formatter, "{} {what}", path.display()),
        }
    }
}

impl Finding {
    pub(super) fn gap(last_read: u64, after: Option<&Path>, next: &LogFile) -> Self {
        Self::Missing {
            first: last_read.saturating_add(1),
            last: next.first.saturating_sub(1),
            after: after.map(Path::to_owned),
            before: next.path.clone(),
            told: None,
        }
    }

    /// What a file that ends in the middle of a line is.
    pub(super) fn cut_off(path: &Path, last: u64) -> Self {
        Self::Damaged { path: path.to_owned(), last, reason: "its last line is cut off".to_owned() }
    }

    /// Adds what a record says of a file that was lost, if it is about what is missing.
    pub(super) fn explain(&mut self, line: &[u8]) {
        #[derive(Deserialize)]
        struct Continued {
            seq: u64,
            reason: String,
            first: u64,
            last: u64,
        }
        let Self::Missing { first, last, told, .. } = self else { return };
        if let Ok(lost) = serde_json::from_slice::<Continued>(line)
            && lost.first <= *last
            && lost.last >= *first
        {
            *told = Some(format!(
                "record {} says that the file with the records {} to {} was {} while the server wrote it",
                lost.seq, lost.first, lost.last, lost.reason
            ));
        }
    }

    /// The numbers of the records that are missing.
    pub fn missing(&self) -> Option<(u64, u64)> {
        match self {
            Self::Missing { first, last, .. } => Some((*first, *last)),
            _ => None,
        }
    }
}

impl Listing {
    /// Adds what the files themselves show: those that are not read where records are missing, and a log that is not in its
    /// place. `first` is the first record that was read.
    pub(super) fn explain(&self, path: &Path, first: u64, findings: &mut Vec<Finding>) {
        let Some((oldest, newest)) = self.files.first().zip(self.files.last()) else { return };
        let others: Vec<_> = self.could_hold_records().filter(|unread| unread.path != path).collect();
        if first > 1 && !others.is_empty() {
            findings.insert(0, Finding::gap(0, None, oldest));
        }
        if findings.iter().any(|finding| finding.missing().is_some()) {
            findings.extend(others.into_iter().cloned().map(Finding::Unread));
        }
        if let Some(unread) = self.unread.iter().find(|unread| unread.path == path) {
            findings.push(Finding::Unread(unread.clone()));
        } else if self.is_begun && !newest.is_written {
            let what = format!(
                "does not have the last records: they are in {}; so it is an older copy, or that is of another log",
                newest.path.display()
            );
            findings.push(Finding::OutOfPlace { path: path.to_owned(), what });
        }
    }
}
