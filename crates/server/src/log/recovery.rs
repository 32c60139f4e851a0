//! Reading back, at the start, what the records say of jobs: from the last file of the log, and from those before it
//! only where that one does not say what was known when it began.

use std::io;
use std::path::Path;

use super::archive::{LogFile, is_damage, log_files, naming, open_lines};
use super::complain;

/// The event after which a file of the log needs none of those before it.
pub(crate) const JOBS_KNOWN: &str = "jobs_known";

/// The first record of a log, which has none before it.
const FIRST: u64 = 1;

/// Hands the records that are about jobs to `take`, in their order.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn job_records(path: &Path, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let files = log_files(path)?;
    let mut from = files.len();
    while let Some(file) = from.checked_sub(1).and_then(|index| files.get(index)) {
        from = from.saturating_sub(1);
        if file.first == FIRST || says_what_was_known(file)? {
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

/// Such records stand at the beginning of a file, before all that are not about the file itself.
fn says_what_was_known(file: &LogFile) -> io::Result<bool> {
    let mut says = false;
    each_line(file, |line| match event(line) {
        Some(event) if event == JOBS_KNOWN.as_bytes() => {
            says = true;
            false
        }
        Some(b"log_continued" | b"server_started" | b"job_known" | b"ended" | b"sealed") => true,
        _ => false,
    })?;
    Ok(says)
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
