//! The log's file: opened for one server alone, its last record read back, appended to and never rewritten.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Gid, OFlags};

use super::archive::{Care, FIRST_BYTES, LogFile, Unread, list, open_regular, refuse_other_than_file, tail};
use super::link::End;
use super::{LogAccess, OpenError};
use crate::limits::MAX_LOG_LINE_BYTES;

/// What no log can be, and what people mean by it.
const STDOUT: &str = "-";

/// How often a log that is locked is tried when a server starts, and how long between.
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

pub(super) struct Opened {
    pub(super) file: File,
    pub(super) bytes: u64,
    /// The number of the file's first record, or of the one that will be.
    pub(super) first_sequence: u64,
    pub(super) next_sequence: u64,
    pub(super) previous: [u8; 32],
    pub(super) torn_bytes: u64,
}

pub(super) fn open(path: &Path, access: LogAccess) -> Result<Opened, OpenError> {
    if path.as_os_str() == STDOUT {
        return Err(OpenError::NotAFile {
            path: STDOUT.to_owned(),
            what: "it would be the standard output, and a log is a file".to_owned(),
        });
    }
    let foreign = || OpenError::Foreign(path.display().to_string());
    let failed = |source| OpenError::Io { path: path.display().to_string(), source };
    let file = open_locked(path, access, LOCK_ATTEMPTS)?;
    let found = tail(&file).map_err(failed)?;
    let mut bytes = file.metadata().map_err(failed)?.len();
    let last = match found.last_line {
        None if found.torn_bytes == 0 || is_one_torn_line(&file, bytes).map_err(failed)? => None,
        None => return Err(foreign()),
        Some(line) => Some(End::of(&line).ok_or_else(foreign)?),
    };
    let listing = list(path, Care::Quick).map_err(failed)?;
    let last = match last {
        None => end_of(path, &listing.files, listing.unread_end())?,
        Some(last) => {
            refuse_an_older_copy(path, &last, &listing.files)?;
            Some(last)
        }
    };
    let (next_sequence, previous) =
        last.map_or((1, [0; 32]), |end| (end.sequence.saturating_add(1), end.hash));
    if found.torn_bytes > 0 {
        bytes = bytes.saturating_sub(found.torn_bytes);
        file.set_len(bytes).map_err(failed)?;
    }
    let first_sequence = listing.written().filter(|_| bytes > 0).map_or(next_sequence, |file| file.first);
    Ok(Opened { file, bytes, first_sequence, next_sequence, previous, torn_bytes: found.torn_bytes })
}

/// Opens the file that takes the place of one that was rotated. Nothing may stand in it yet.
pub(super) fn open_next(path: &Path, access: LogAccess) -> Result<File, OpenError> {
    let file = open_locked(path, access, 1)?;
    match file.metadata() {
        Ok(metadata) if metadata.len() == 0 => Ok(file),
        Ok(_) => Err(OpenError::Foreign(path.display().to_string())),
        Err(source) => Err(OpenError::Io { path: path.display().to_string(), source }),
    }
}

fn open_locked(path: &Path, access: LogAccess, attempts: u32) -> Result<File, OpenError> {
    let shown = || path.display().to_string();
    let failed = |source| OpenError::Io { path: shown(), source };
    let check = |metadata: std::fs::Metadata| {
        refuse_other_than_file(metadata.file_type())
            .map_err(|error| OpenError::NotAFile { path: shown(), what: error.to_string() })
    };
    // Not opened first: that alone could wait, or do something.
    path.metadata().map_or(Ok(()), check)?;
    let options = || {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .append(true)
            .mode(access.mode())
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        options
    };
    let (file, is_new) = match options().create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            (options().create(true).open(path).map_err(failed)?, false)
        }
        created => (created.map_err(failed)?, true),
    };
    check(file.metadata().map_err(failed)?)?;
    match patiently(attempts, || file.try_lock()) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(shown())),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    permit(&file, access, is_new).map_err(|source| OpenError::Access { path: shown(), source })?;
    Ok(file)
}

/// A lock is held a moment longer than its process, by children of it that are about to execute something else.
fn patiently(attempts: u32, mut lock: impl FnMut() -> Result<(), TryLockError>) -> Result<(), TryLockError> {
    for _ in 1..attempts {
        match lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            locked => return locked,
        }
    }
    lock()
}

/// Lets those read the file who are to read it. What an existing file permits stays where nothing else is configured.
fn permit(file: &File, access: LogAccess, is_new: bool) -> io::Result<()> {
    let metadata = file.metadata()?;
    if let Some(group) = access.group.filter(|group| *group != metadata.gid()) {
        rustix::fs::fchown(file, None, Some(Gid::from_raw(group)))?;
    }
    // Neither the umask nor an access control list of the directory decides.
    let wanted = access.mode.or(is_new.then(|| access.mode()));
    match wanted.filter(|mode| *mode != metadata.mode() & 0o7777) {
        Some(mode) => file.set_permissions(Permissions::from_mode(mode)),
        None => Ok(()),
    }
}

/// Where the chain goes on in a file that holds nothing: after the last record of the files before it, or at its start.
fn end_of(path: &Path, files: &[LogFile], unread: Option<&Unread>) -> Result<Option<End>, OpenError> {
    if let Some(unread) = unread {
        return Err(OpenError::UnreadEnd { path: path.display().to_string(), what: unread.to_string() });
    }
    let Some(before) = files.last() else { return Ok(None) };
    if !is_free(before) {
        // The log's own file, which was moved away; it cannot be known to be another's.
        return Err(OpenError::InUse(before.path.display().to_string()));
    }
    let failed = |source| OpenError::Io { path: before.path.display().to_string(), source };
    let nothing = || failed(io::Error::new(io::ErrorKind::InvalidData, "its end cannot be read"));
    before.end().map_err(failed)?.ok_or_else(nothing).map(Some)
}

/// Whether no server writes it.
fn is_free(file: &LogFile) -> bool {
    open_regular(&file.path).is_ok_and(|file| {
        !matches!(patiently(LOCK_ATTEMPTS, || file.try_lock_shared()), Err(TryLockError::WouldBlock))
    })
}

/// A log must not go on with records that there are already.
fn refuse_an_older_copy(path: &Path, last: &End, files: &[LogFile]) -> Result<(), OpenError> {
    match files.last() {
        Some(other) if !other.is_written && is_free(other) && is_after(other, last)? => {
            Err(OpenError::OlderCopy {
                path: path.display().to_string(),
                last: last.sequence,
                other: other.path.display().to_string(),
            })
        }
        _ => Ok(()),
    }
}

fn is_after(file: &LogFile, last: &End) -> Result<bool, OpenError> {
    let end = file.end().map_err(|source| OpenError::Io { path: file.path.display().to_string(), source })?;
    Ok(end.is_some_and(|end| end.sequence > last.sequence))
}

/// Whether all of a file is a line of a log that was cut short.
fn is_one_torn_line(file: &File, bytes: u64) -> io::Result<bool> {
    let mut first = vec![0; FIRST_BYTES.len()];
    if bytes > MAX_LOG_LINE_BYTES || file.read_at(&mut first, 0)? < FIRST_BYTES.len() {
        return Ok(false);
    }
    Ok(first == FIRST_BYTES)
}

/// Makes a file for the readers of another. Its permissions are given when it is made, and its group where it has another: a
/// server that has confined itself can change neither later. Where the group cannot be had it gets none of the rights.
pub(super) fn create_as(path: &Path, other: &File) -> io::Result<File> {
    let theirs = other.metadata()?;
    let mode = theirs.mode() & 0o777;
    let create = |mode| File::options().write(true).create_new(true).mode(mode).open(path);
    let file = create(mode)?;
    let ours = file.metadata()?;
    if ours.gid() != theirs.gid()
        && rustix::fs::fchown(&file, None, Some(Gid::from_raw(theirs.gid()))).is_err()
    {
        drop(file);
        std::fs::remove_file(path)?;
        return create(mode & !0o070);
    }
    // An access control list of the directory, or the umask of one that is not confined.
    if ours.mode() & 0o777 != mode {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(file)
}

/// Writes all of `bytes` and removes from their front what was written, even when only a part was. A line of which a full
/// disk took a part is taken back: the file may be moved away before there is room for the rest.
pub(super) fn write_from_front(mut file: &File, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut written = 0;
    let result = loop {
        match file.write(bytes.get(written..).unwrap_or_default()) {
            Ok(0) => {
                break if written == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) };
            }
            Ok(count) => written = written.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
        if written == bytes.len() {
            break Ok(());
        }
    };
    if result.is_err() {
        let whole = bytes.get(..written).unwrap_or_default();
        let whole = whole.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1));
        let part = written.saturating_sub(whole) as u64;
        // If that fails too the rest of the line follows where it is.
        if part > 0 && file.metadata().and_then(|now| file.set_len(now.len().saturating_sub(part))).is_ok() {
            written = whole;
        }
    }
    bytes.drain(..written);
    result
}
