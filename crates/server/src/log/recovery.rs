//! What a server has to know of jobs before it: it reads the last file of the log, and those before it only where their ids
//! are not known elsewhere.

use std::io;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::archive::{LogFile, log_files, open_lines};
use crate::limits::ID_MEMORY;

/// The event after which a file of the log needs none of those before it.
pub(crate) const JOBS_KNOWN: &str = "jobs_known";

/// The first record of a log, which has none before it.
const FIRST: u64 = 1;

/// Hands records that are about jobs to `take`, in their order: those that say what ran at the end, and those behind
/// `stored_through` whose ids are remembered.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn job_records(path: &Path, stored_through: u64, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let files = log_files(path)?;
    let memory = SignedDuration::try_from(ID_MEMORY).unwrap_or(SignedDuration::MAX);
    let began = files.last().map(Beginning::read).transpose()?.and_then(|last| last.time);
    let forgotten = began.and_then(|began| began.saturating_sub(memory).ok()).unwrap_or(Timestamp::MIN);
    let mut from = files.len();
    while let Some(file) = from.checked_sub(1).and_then(|index| files.get(index)) {
        from = from.saturating_sub(1);
        let beginning = Beginning::read(file)?;
        let is_old = beginning.time.is_some_and(|time| time < forgotten);
        let ids_are_known = file.first <= stored_through.saturating_add(1) || is_old;
        if file.first == FIRST || (ids_are_known && beginning.says_what_was_known) {
            break;
        }
    }
    for file in files.iter().skip(from) {
        let mut lines = open_lines(&file.path)?;
        let mut line = Vec::new();
        loop {
            lines.read(&mut line)?;
            match line.strip_suffix(b"\n") {
                Some(whole) if is_about_a_job(whole) => take(whole),
                Some(_) => {}
                None => break,
            }
        }
    }
    Ok(())
}

/// What stands at the beginning of a file, before all records that are not about the file itself.
struct Beginning {
    time: Option<Timestamp>,
    says_what_was_known: bool,
}

impl Beginning {
    fn read(file: &LogFile) -> io::Result<Self> {
        #[derive(Deserialize)]
        struct Record<'r> {
            time: &'r str,
        }
        let mut lines = open_lines(&file.path)?;
        let mut line = Vec::new();
        let mut time = None;
        loop {
            lines.read(&mut line)?;
            let record = || serde_json::from_slice::<Record<'_>>(&line).ok()?.time.parse().ok();
            time = time.or_else(record);
            let says_what_was_known = match event(&line) {
                Some(event) if event == JOBS_KNOWN.as_bytes() => true,
                Some(b"log_continued" | b"server_started" | b"job_known" | b"ended" | b"sealed") => continue,
                _ => false,
            };
            return Ok(Self { time, says_what_was_known });
        }
    }
}

fn is_about_a_job(line: &[u8]) -> bool {
    matches!(event(line), Some(b"started" | b"ended" | b"job_known"))
}

/// The event of a record, found by its place and without reading the rest.
fn event(line: &[u8]) -> Option<&[u8]> {
    const BEFORE: &[u8] = b"\",\"event\":\"";
    const FARTHEST: usize = 96;
    let start = line.get(..FARTHEST.min(line.len()))?;
    let at = start.windows(BEFORE.len()).position(|window| window == BEFORE)?;
    line.get(at.saturating_add(BEFORE.len())..)?.split(|&byte| byte == b'"').next()
}
