//! What a server has to know of jobs before it: it reads the last file of the log, and those before it only where their ids
//! are not known elsewhere.

use std::io;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::archive::{LogFile, is_damage, log_files, naming, open_lines};
use super::complain;
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
        each_line(file, |line| {
            if is_about_a_job(line) {
                take(line);
            }
            true
        })?;
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
        let mut beginning = Self { time: None, says_what_was_known: false };
        each_line(file, |line| {
            let time = || serde_json::from_slice::<Record<'_>>(line).ok()?.time.parse().ok();
            beginning.time = beginning.time.or_else(time);
            match event(line) {
                Some(event) if event == JOBS_KNOWN.as_bytes() => {
                    beginning.says_what_was_known = true;
                    false
                }
                Some(b"log_continued" | b"server_started" | b"job_known" | b"ended" | b"sealed") => true,
                _ => false,
            }
        })?;
        Ok(beginning)
    }
}

/// Hands over the whole lines of a file, without their newlines, until no more are wanted. A file that is damaged ends
/// there: the server that starts says so, and serves.
fn each_line(file: &LogFile, mut take: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let failed = |error| naming(&file.path, &error);
    let (mut lines, mut line) = (open_lines(&file.path).map_err(failed)?, Vec::new());
    loop {
        match lines.read(&mut line) {
            Err(error) if is_damage(&error) => {
                complain(&format!(
                    "{} is damaged ({error}): what it says of jobs is not known",
                    file.path.display()
                ));
                return Ok(());
            }
            read => read.map_err(failed)?,
        }
        match line.strip_suffix(b"\n") {
            Some(whole) if take(whole) => {}
            _ => return Ok(()),
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
