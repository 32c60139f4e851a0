//! The files of a log: the one that is written, and those that it was rotated into, by this server, by logrotate(8) or by
//! hand. They are told apart and put in order by what they hold, not by what they are called; copies and files of other
//! logs are left out.

mod content;
mod names;

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::link::End;
use content::Content;
pub(super) use content::{
    FIRST_BYTES, Lines, is_damage, open_lines, open_regular, refuse_other_than_file, tail,
};
pub(super) use names::{compressed_names, directory_of, found_name, is_own_name, rotated_name};

use names::may_be_rotated;

/// How often a file is looked for that may have another name than a moment ago, before it counts as missing.
pub(super) const ATTEMPTS: u32 = 5;

/// A file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// The number of its first record.
    pub(super) first: u64,
    /// The hash of this record.
    head: [u8; 32],
    /// The hash that this record names as the one of the line before.
    pub(super) previous: String,
    pub(super) is_compressed: bool,
    /// It is the one at the log's path, and can grow.
    pub(super) is_written: bool,
    device_and_inode: (u64, u64),
}

/// A file beside the log whose records, if it has any, are not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Where it is.
    pub path: PathBuf,
    why: Why,
    modified: Option<SystemTime>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    CompressedBy(&'static str),
    Refused(String),
    Damaged(String),
    NoRecords,
}

/// What lies at the path of a log and beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// In the order of their records, no two of which begin with the same one.
    pub(super) files: Vec<LogFile>,
    pub(super) unread: Vec<Unread>,
    /// The file at the log's path holds records, whether or not it is one of these.
    pub(super) is_begun: bool,
}

/// Why there is nothing to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nothing {
    /// The log has no record yet.
    NoRecord,
    /// The file holds something else.
    NoLog,
}

/// How files are told apart that could both be the log's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// A compressed file is read to its end only where another one begins with the same record.
    Quick,
    /// The end of every file is held against the beginning of the next.
    Thorough,
}

/// What comes after a record.
pub(super) enum Next<'f> {
    /// This file begins with the next one.
    Follows(&'f LogFile),
    /// There is none, and this file begins with a later one.
    AfterGap(&'f LogFile),
}

impl Listing {
    /// The file that has what comes after this record, or the first one; none where there is no such record.
    pub(super) fn next_after(&self, last: Option<u64>) -> Option<Next<'_>> {
        let Some(last) = last else { return self.files.first().map(Next::Follows) };
        let next = self.files.iter().find(|file| file.first > last)?;
        let follows = next.first == last.saturating_add(1);
        Some(if follows { Next::Follows(next) } else { Next::AfterGap(next) })
    }

    /// The file that is written, if it has a record.
    pub(super) fn written(&self) -> Option<&LogFile> {
        self.files.iter().find(|file| file.is_written)
    }

    /// Those that could hold records of the log.
    pub(super) fn could_hold_records(&self) -> impl Iterator<Item = &Unread> {
        self.unread.iter().filter(|unread| unread.why != Why::NoRecords)
    }

    /// One that is not read and younger than the last file that is: the log may go on in it.
    pub(super) fn unread_end(&self) -> Option<&Unread> {
        let newest = self.files.last().and_then(|last| last.path.metadata().ok()?.modified().ok());
        self.could_hold_records().find(|unread| newest.is_none() || unread.modified > newest)
    }
}

impl LogFile {
    /// Its last record, as far as it can be read.
    pub(super) fn end(&self) -> io::Result<Option<End>> {
        match content::end(&self.path) {
            Err(error) if is_damage(&error) || error.kind() == io::ErrorKind::NotFound => Ok(None),
            end => end.map_err(|error| naming(&self.path, &error)),
        }
    }
}

pub(super) fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Why the file is not read, and what to do.
impl fmt::Display for Unread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, why, .. } = self;
        let name = path.display();
        match why {
            Why::CompressedBy(program) => write!(
                formatter,
                "{name} is not read: it is compressed by {program}, and bidden reads gzip alone; decompress it where it lies"
            ),
            Why::Refused(reason) => write!(formatter, "{name} is not read: {reason}"),
            Why::Damaged(reason) => write!(formatter, "{name} is not read: it is damaged: {reason}"),
            Why::NoRecords => write!(formatter, "{name} holds no records of bidden"),
        }
    }
}

/// An error that names its file.
pub(super) fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The path of a log with symbolic links resolved: its files lie where the file itself lies.
pub(super) fn resolved(path: &Path) -> PathBuf {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => path.canonicalize().unwrap_or_else(|_| path.to_owned()),
        _ => path.to_owned(),
    }
}

/// The files of the log at `path`.
///
/// # Errors
/// The directory cannot be read, or the file at `path`.
pub(super) fn list(path: &Path, care: Care) -> io::Result<Listing> {
    let path = &resolved(path);
    let mut found = look(path)?;
    // A file that gets another name meanwhile can be missed under both.
    for _ in 1..ATTEMPTS {
        let again = look(path)?;
        if again == found {
            break;
        }
        found = again;
    }
    let (files, unread) = found;
    let is_begun = files.iter().any(|file| file.is_written);
    Ok(Listing { files: in_order(path, files, care)?, unread, is_begun })
}

impl Listing {
    /// Why nothing is listed.
    ///
    /// # Errors
    /// There is no log, or it cannot be read.
    pub(super) fn nothing(&self, path: &Path) -> io::Result<Nothing> {
        let path = &resolved(path);
        open_regular(path)?;
        let is_other = self.unread.iter().any(|unread| unread.path == *path);
        Ok(if is_other { Nothing::NoLog } else { Nothing::NoRecord })
    }
}

/// The files of a log, for those who take what there is.
///
/// # Errors
/// As [`list`].
pub(super) fn log_files(path: &Path) -> io::Result<Vec<LogFile>> {
    list(path, Care::Quick).map(|listing| listing.files)
}

/// All files with records and all that are not read, as they lie there at a moment.
fn look(path: &Path) -> io::Result<(Vec<LogFile>, Vec<Unread>)> {
    let (mut files, mut unread) = (Vec::new(), Vec::new());
    match look_into(path, true) {
        Ok(Some(Looked::Has(file))) => files.push(file),
        Ok(Some(Looked::Unread(file))) => unread.push(file),
        Ok(None) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let entries = match fs::read_dir(directory_of(path)) {
        // Who may not list the directory may still read the log.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !files.is_empty() => None,
        entries => Some(entries?),
    };
    for entry in entries.into_iter().flatten() {
        let other = directory_of(path).join(entry?.file_name());
        if !may_be_rotated(path, &other) {
            continue;
        }
        match look_into(&other, false) {
            Ok(Some(Looked::Has(file))) => files.push(file),
            Ok(Some(Looked::Unread(file))) => unread.push(file),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let modified = other.symlink_metadata().and_then(|metadata| metadata.modified()).ok();
                unread.push(Unread { path: other, why: Why::Refused(error.to_string()), modified });
            }
        }
    }
    files.sort_by(|one, other| preference(path, one).cmp(&preference(path, other)));
    unread.sort_by(|one, other| one.path.cmp(&other.path));
    // One file under several names.
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.device_and_inode));
    Ok((files, unread))
}

enum Looked {
    Has(LogFile),
    Unread(Unread),
}

/// What has no records and could not have any, such as a directory, is none.
fn look_into(path: &Path, is_written: bool) -> io::Result<Option<Looked>> {
    if !is_written && path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Ok(None);
    }
    let file = open_regular(path)?;
    let metadata = file.metadata()?;
    let why = match content::content(file)? {
        Content::Records { first, head, previous, is_compressed } => {
            return Ok(Some(Looked::Has(LogFile {
                path: path.to_owned(),
                first,
                head,
                previous,
                is_compressed,
                is_written,
                device_and_inode: identity(&metadata),
            })));
        }
        Content::Empty | Content::Begun => return Ok(None),
        Content::CompressedBy(program) => Why::CompressedBy(program),
        Content::Damaged(reason) => Why::Damaged(reason),
        Content::Other => Why::NoRecords,
    };
    Ok(Some(Looked::Unread(Unread { path: path.to_owned(), why, modified: metadata.modified().ok() })))
}

/// Of two files that begin with the same record, and are otherwise as good, the first in this order counts.
fn preference<'f>(path: &Path, file: &'f LogFile) -> (u64, bool, bool, bool, &'f Path) {
    (file.first, !file.is_written, file.is_compressed, !is_own_name(path, &file.path), &file.path)
}

/// The ends of files, each read at most once.
struct Ends(HashMap<(u64, u64), Option<End>>);

impl Ends {
    fn of(&mut self, file: &LogFile) -> io::Result<Option<End>> {
        if let Some(end) = self.0.get(&file.device_and_inode) {
            return Ok(end.clone());
        }
        let end = file.end()?;
        self.0.insert(file.device_and_inode, end.clone());
        Ok(end)
    }
}

/// Puts files in the order of their records, from the newest back: before each stands the one whose end it names; where
/// there is none, the one that ends last before it. What is left is a copy, or of another log.
fn in_order(path: &Path, mut files: Vec<LogFile>, care: Care) -> io::Result<Vec<LogFile>> {
    let mut ends = Ends(HashMap::new());
    let mut chosen: Vec<LogFile> = Vec::new();
    let written = files.iter().position(|file| file.is_written).map(|at| files.remove(at));
    if let Some(written) = written {
        let last = ends.of(&written)?.map_or(written.first, |end| end.sequence);
        // Where others go on after it, it is an older copy, or they are another log's: whoever reads finds the gap.
        let beyond: Vec<_> = files.iter().filter(|file| file.first > last).cloned().collect();
        chosen = from_newest(path, beyond, None, care, &mut ends)?;
        if is_older_copy(&written, last, &files, &mut ends)? {
            files.retain(|file| file.first <= last);
            files.push(written);
        } else {
            chosen.push(written);
        }
    }
    let newest = chosen.last().cloned();
    chosen.extend(from_newest(path, files, newest, care, &mut ends)?);
    chosen.reverse();
    Ok(chosen)
}

/// Whether one of these begins with the same record as this file, and goes on after its last one.
fn is_older_copy(written: &LogFile, last: u64, files: &[LogFile], ends: &mut Ends) -> io::Result<bool> {
    for file in files.iter().filter(|file| file.head == written.head) {
        if ends.of(file)?.is_some_and(|end| end.sequence > last) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The files that come before `after`, or all, the newest first.
fn from_newest(
    path: &Path,
    mut files: Vec<LogFile>,
    after: Option<LogFile>,
    care: Care,
    ends: &mut Ends,
) -> io::Result<Vec<LogFile>> {
    files.sort_by(|one, other| preference(path, one).cmp(&preference(path, other)));
    let mut chosen = Vec::new();
    let mut after = after;
    loop {
        if let Some(after) = &after {
            files.retain(|file| file.first < after.first);
        }
        let Some(before) = before(&files, after.as_ref(), care, ends)? else { return Ok(chosen) };
        chosen.push(before.clone());
        after = Some(before);
    }
}

/// The file that comes before `after`, or the newest.
fn before(
    files: &[LogFile],
    after: Option<&LogFile>,
    care: Care,
    ends: &mut Ends,
) -> io::Result<Option<LogFile>> {
    let mut best: Option<(bool, u64, LogFile)> = None;
    for group in files.chunk_by(|one, other| one.first == other.first).rev() {
        if let ([only], Care::Quick) = (group, care)
            && only.is_compressed
        {
            match best {
                None => return Ok(Some(only.clone())),
                Some(_) => continue,
            }
        }
        let mut best_of_group: Option<(bool, u64, &LogFile)> = None;
        // What is not compressed stands first, and shows its end at once.
        for file in group {
            let end = ends.of(file)?;
            let last = end.as_ref().map_or(file.first, |end| end.sequence);
            let is_named =
                after.is_some_and(|after| end.is_some_and(|end| end.precedes(after.first, &after.previous)));
            if after.is_none_or(|after| last < after.first)
                && best_of_group.is_none_or(|(named, most, _)| (is_named, last) > (named, most))
            {
                best_of_group = Some((is_named, last, file));
            }
            if is_named {
                break;
            }
        }
        // Of two that end alike the one that begins earlier has more.
        if let Some((is_named, last, file)) = best_of_group
            && best.as_ref().is_none_or(|(named, most, _)| (is_named, last) >= (*named, *most))
        {
            best = Some((is_named, last, file.clone()));
        }
    }
    Ok(best.map(|(_, _, file)| file))
}

/// The directory where a file lies, to be synced; none where it cannot be read.
pub(super) fn open_directory_of(path: &Path) -> Vec<Arc<File>> {
    File::open(directory_of(path)).map(Arc::new).into_iter().collect()
}

/// The files that bidden has rotated itself, by their first records.
///
/// # Errors
/// The directory cannot be read.
pub(super) fn own_rotated_files(path: &Path) -> io::Result<Vec<LogFile>> {
    let (mut files, _) = look(path)?;
    files.retain(|file| !file.is_written && is_own_name(path, &file.path));
    Ok(files)
}
