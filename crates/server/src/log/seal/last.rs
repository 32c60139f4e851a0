//! The last seal of a log, looked for from its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use memchr::memmem;
use serde::Deserialize;

use crate::limits::MAX_LOG_LINE_BYTES;
use crate::log::archive::{is_damage, log_files, naming, open_lines, open_regular};

/// Stands in every seal, and seldom in another record.
const MARK: &[u8] = b"\",\"event\":\"sealed\",";

const BLOCK_BYTES: usize = 1024 * 1024;

/// The last record that says it is a seal, its number, and the file that holds it.
pub(in crate::log) struct LastSeal {
    pub(in crate::log) line: Vec<u8>,
    pub(in crate::log) sequence: u64,
    pub(in crate::log) file: PathBuf,
}

/// Finds the last seal of the log at `path`, in all its files.
///
/// # Errors
/// A file cannot be read.
pub(in crate::log) fn last_seal(path: &Path) -> io::Result<Option<LastSeal>> {
    for file in log_files(path)?.into_iter().rev() {
        let found = if file.is_compressed {
            last_of_compressed(&file.path)
        } else {
            open_regular(&file.path).and_then(|file| last_from_end(&file))
        };
        let found = found.map_err(|error| naming(&file.path, &error))?;
        if let Some((line, sequence)) = found {
            return Ok(Some(LastSeal { line, sequence, file: file.path }));
        }
    }
    Ok(None)
}

fn last_of_compressed(path: &Path) -> io::Result<Option<(Vec<u8>, u64)>> {
    let (mut lines, mut line, mut last) = (open_lines(path)?, Vec::new(), None);
    let mark = memmem::Finder::new(MARK);
    loop {
        match lines.read(&mut line) {
            // What follows nobody can read.
            Err(error) if is_damage(&error) => return Ok(last),
            read => read?,
        }
        match line.strip_suffix(b"\n") {
            Some(whole) if mark.find(whole).is_some() => last = sequence(whole).or(last),
            Some(_) => {}
            None => return Ok(last),
        }
    }
}

/// Reads blocks from the end on. What stands before the first line of a block belongs to the block before it.
fn last_from_end(file: &File) -> io::Result<Option<(Vec<u8>, u64)>> {
    let mark = memmem::FinderRev::new(MARK);
    let mut start = file.metadata()?.len();
    let mut rest: Vec<u8> = Vec::new();
    while start > 0 {
        let bytes = usize::try_from(start).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
        start = start.saturating_sub(bytes as u64);
        let mut block = vec![0; bytes];
        file.read_exact_at(&mut block, start)?;
        block.append(&mut rest);
        let whole_from = if start == 0 {
            0
        } else {
            memchr::memchr(b'\n', &block).map_or(block.len(), |newline| newline.saturating_add(1))
        };
        rest = block.get(..whole_from).unwrap_or_default().to_vec();
        if rest.len() as u64 > MAX_LOG_LINE_BYTES.saturating_add(BLOCK_BYTES as u64) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is longer than any record"));
        }
        let mut lines = block.get(whole_from..).unwrap_or_default();
        while let Some(at) = mark.rfind(lines) {
            let before = lines.get(..at).unwrap_or_default();
            let from = memchr::memrchr(b'\n', before).map_or(0, |newline| newline.saturating_add(1));
            let line = lines.get(from..).unwrap_or_default().split(|byte| *byte == b'\n').next();
            if let Some(found) = line.and_then(sequence) {
                return Ok(Some(found));
            }
            lines = lines.get(..from).unwrap_or_default();
        }
    }
    Ok(None)
}

/// The line with its number, if it is a seal.
fn sequence(line: &[u8]) -> Option<(Vec<u8>, u64)> {
    #[derive(Deserialize)]
    struct Record<'l> {
        seq: u64,
        event: &'l str,
    }
    let record: Record<'_> = serde_json::from_slice(line).ok()?;
    (record.event == "sealed").then(|| (line.to_vec(), record.seq))
}
