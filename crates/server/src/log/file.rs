//! The log's file: opened for one server alone, its last record read back, appended to and never rewritten.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use wire::json::{Respelled, read};

use super::archive::{log_files, open_lines, rotated_files};
use super::{MODE, OpenError};
use crate::limits::MAX_LOG_LINE_BYTES;

/// What every file of a log starts with.
const FIRST_BYTES: &[u8] = b"{\"seq\":";

pub(super) struct Opened {
    pub(super) file: File,
    pub(super) bytes: u64,
    /// The number of the file's first record, or of the one that will be.
    pub(super) first_sequence: u64,
    pub(super) next_sequence: u64,
    pub(super) previous: [u8; 32],
    pub(super) torn_bytes: u64,
}

pub(super) fn open(path: &Path) -> Result<Opened, OpenError> {
    let shown = path.display().to_string();
    let failed = |source| OpenError::Io { path: path.display().to_string(), source };
    let mut file = open_locked(path)?;
    let Tail { last_line, torn_bytes, is_ours } = read_tail(&mut file).map_err(failed)?;
    let (next_sequence, previous) = match last_line {
        None if torn_bytes == 0 || is_ours => before_an_empty_file(path).map_err(failed)?,
        None => return Err(OpenError::Foreign(shown)),
        Some(line) => next_after(&line).ok_or(OpenError::Foreign(shown))?,
    };
    let mut bytes = file.metadata().map_err(failed)?.len();
    if torn_bytes > 0 {
        bytes = bytes.saturating_sub(torn_bytes);
        file.set_len(bytes).map_err(failed)?;
    }
    let first_sequence = match log_files(path).map_err(failed)?.pop() {
        Some(last) if bytes > 0 => last.first,
        _ => next_sequence,
    };
    Ok(Opened { file, bytes, first_sequence, next_sequence, previous, torn_bytes })
}

/// Opens the file that takes the place of one that was rotated. Nothing may stand in it yet.
pub(super) fn open_next(path: &Path) -> Result<File, OpenError> {
    let file = open_locked(path)?;
    match file.metadata() {
        Ok(metadata) if metadata.len() == 0 => Ok(file),
        Ok(_) => Err(OpenError::Foreign(path.display().to_string())),
        Err(source) => Err(OpenError::Io { path: path.display().to_string(), source }),
    }
}

fn open_locked(path: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Io { path: path.display().to_string(), source };
    let file =
        OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Where the chain goes on in a file that holds nothing: after the last record of the files before it, or at its start.
fn before_an_empty_file(path: &Path) -> io::Result<(u64, [u8; 32])> {
    let Some(before) = rotated_files(path)?.pop() else { return Ok((1, [0; 32])) };
    let (mut lines, mut line, mut last) = (open_lines(&before.path)?, Vec::new(), Vec::new());
    loop {
        lines.read(&mut line)?;
        match line.strip_suffix(b"\n") {
            Some(whole) => last = whole.to_vec(),
            None => break,
        }
    }
    let foreign =
        || io::Error::new(io::ErrorKind::InvalidData, format!("{} is no log", before.path.display()));
    next_after(&last).ok_or_else(foreign)
}

/// The number and the hash that the record after this line has.
fn next_after(line: &[u8]) -> Option<(u64, [u8; 32])> {
    let last: LastRecord = read(line, &mut Respelled::default()).ok()?;
    Some((last.seq.saturating_add(1), Sha256::digest(line).into()))
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

/// What a record of this log must have for the chain to go on from it.
#[derive(Deserialize)]
struct LastRecord {
    seq: u64,
    #[serde(rename = "prev")]
    _previous: String,
}

struct Tail {
    /// The last whole line, without its newline.
    last_line: Option<Vec<u8>>,
    /// What stands after it: a line that was cut short.
    torn_bytes: u64,
    /// Whether a file of one torn line starts as every log does.
    is_ours: bool,
}

fn read_tail(file: &mut File) -> io::Result<Tail> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(MAX_LOG_LINE_BYTES.saturating_mul(2));
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(length.saturating_sub(start)).read_to_end(&mut tail)?;
    let newline = |bytes: &[u8]| bytes.iter().rposition(|&byte| byte == b'\n');
    let Some(end) = newline(&tail) else {
        return Ok(Tail { last_line: None, torn_bytes: length, is_ours: tail.starts_with(FIRST_BYTES) });
    };
    let torn_bytes = tail.len().saturating_sub(end).saturating_sub(1) as u64;
    tail.truncate(end);
    let first = newline(&tail).map_or(0, |previous_end| previous_end.saturating_add(1));
    tail.drain(..first);
    Ok(Tail { last_line: Some(tail), torn_bytes, is_ours: true })
}
