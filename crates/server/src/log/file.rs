//! The log's file: opened for one server alone, its last record read back, appended to and never rewritten.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::OpenError;
use crate::limits::MAX_LOG_LINE_BYTES;

/// Only its owner reads it: it holds what people asked for and what they got.
const MODE: u32 = 0o600;

/// What every log starts with.
const FIRST_BYTES: &[u8] = b"{\"seq\":1,\"time\":\"";

pub(super) struct Opened {
    pub(super) file: File,
    pub(super) next_sequence: u64,
    pub(super) previous: [u8; 32],
    pub(super) torn_bytes: u64,
}

pub(super) fn open(path: &Path) -> Result<Opened, OpenError> {
    let shown = path.display().to_string();
    let failed = |source| OpenError::Io { path: path.display().to_string(), source };
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(shown)),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let Tail { last_line, torn_bytes, is_ours } = read_tail(&mut file).map_err(failed)?;
    let (next_sequence, previous) = match last_line {
        None if torn_bytes == 0 || is_ours => (1, [0; 32]),
        None => return Err(OpenError::Foreign(shown)),
        Some(line) => {
            let last: LastRecord = serde_json::from_slice(&line).map_err(|_| OpenError::Foreign(shown))?;
            (last.seq.saturating_add(1), Sha256::digest(&line).into())
        }
    };
    if torn_bytes > 0 {
        let length = file.metadata().map_err(failed)?.len();
        file.set_len(length.saturating_sub(torn_bytes)).map_err(failed)?;
    }
    Ok(Opened { file, next_sequence, previous, torn_bytes })
}

/// Writes all of `bytes` and removes from their front what was written, even when only a part was.
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
