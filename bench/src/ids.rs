//! An hour of commands with ids, a thousand a second: what the memory of ids costs the server's loop, its memory and the
//! disk.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::soak::resident_kib;

/// Commands in a second of the hour.
const A_SECOND: u32 = 1_000;

/// What the process may hold at the end.
const MOST_KIB: u64 = 64 * 1024;

/// Uses the ids of so many seconds, prints what that took, and fails if it took more memory than it may.
pub(crate) fn ids(seconds: u64) -> Result<()> {
    // Beside this program, where the disk is that a server would have.
    let beside = std::env::current_exe()?;
    let directory = tempfile::tempdir_in(beside.parent().context("a directory")?)?;
    let before = resident_kib(std::process::id())?;
    println!(
        "| seconds | ids remembered | an id, us | a second's ids to the disk, ms | longest, ms | file, MiB | memory, MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for part in [60.min(seconds), seconds] {
        let directory = tempfile::tempdir_in(directory.path())?;
        let used = server::use_ids(directory.path(), A_SECOND, Duration::from_secs(part))?;
        let held = resident_kib(std::process::id())?.saturating_sub(before);
        let held_kib = u32::try_from(held)?;
        println!(
            "| {part} | {} | {:.1} | {:.1} | {:.1} | {} | {:.1} |",
            used.remembered,
            used.by_id.as_secs_f64() * 1e6,
            used.by_second.as_secs_f64() * 1e3,
            used.longest.as_secs_f64() * 1e3,
            used.file_bytes >> 20,
            f64::from(held_kib) / 1024.0,
        );
        ensure!(held <= MOST_KIB, "the ids of {part} s take more than {} MiB", MOST_KIB >> 10);
    }
    Ok(())
}
