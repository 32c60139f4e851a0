//! How long `bidden history` takes for a long log, beside programs that only read it.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::servers::bidden;

const MIB: u64 = 1024 * 1024;

/// Rounds, in each of which every program takes its turn.
const ROUNDS: usize = 3;

/// Records of which one is a command's start; its end and its answer follow.
const A_COMMAND_EVERY: u64 = 10;

/// Writes a log of this size, lets every program read it in turn, and prints a table.
pub(crate) fn history(mib: u32) -> Result<()> {
    let Some(bidden) = bidden() else {
        println!("SKIPPED: there is no bidden beside this program");
        return Ok(());
    };
    let log = Scratch(std::env::current_exe()?.with_file_name(format!("history-{}.log", std::process::id())));
    let records = write_log(&log.0, u64::from(mib) * MIB).context("cannot write the log")?;
    let history = |arguments: &[&str]| {
        let mut command = Command::new(&bidden);
        command.args(["history", "--log"]).arg(&log.0).args(arguments);
        command
    };
    let of = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).arg(&log.0);
        command
    };
    let mut rows = [
        ("cat", of("cat", &[])),
        ("grep for a user", of("grep", &["--count", "--fixed-strings", "\"user\":\"bob\""])),
        ("the newest 1,000 rows", history(&[])),
        ("of one user of three", history(&["--user", "bob"])),
        ("of one command, failed", history(&["--command", "ping", "--failed"])),
        ("of the last minute of the log", history(&["--since", "2026-11-24T23:58:59Z"])),
        ("every row as JSON", history(&["--json", "--max", "1000000000"])),
    ]
    .map(|(what, command)| (what, command, Vec::new()));
    for _ in 0..ROUNDS {
        for (what, command, times) in &mut rows {
            times.push(time(command).with_context(|| format!("measuring {what}"))?);
        }
    }
    let cat = median(&rows[0].2);
    println!("{mib} MiB, {records} records, medians of {ROUNDS} rounds\n");
    println!("| program | s | MiB/s | times cat |\n| --- | --- | --- | --- |");
    for (what, _, times) in &rows {
        let seconds = median(times);
        println!("| {what} | {seconds:.2} | {:.0} | {:.1} |", f64::from(mib) / seconds, seconds / cat);
    }
    Ok(())
}

fn time(command: &mut Command) -> Result<f64> {
    let began = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let took: Duration = began.elapsed();
    ensure!(status.success(), "it ended with {status}");
    Ok(took.as_secs_f64())
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Writes records as a server does, without hashes that hold: who reads the history does not check them.
fn write_log(path: &Path, bytes: u64) -> Result<u64> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let (mut written, mut sequence) = (0, 0);
    while written < bytes {
        let number = sequence;
        let user = match number % 3 {
            0 => "ann",
            1 => "bob",
            _ => "carol",
        };
        let share = written * 86_399 / bytes;
        let time = format!("2026-11-24T{:02}:{:02}:{:02}.000000Z", share / 3600, share / 60 % 60, share % 60);
        let request = r#""peer":"127.0.0.1:41234","request":{"command_type":"#;
        let records = if number % A_COMMAND_EVERY == 0 {
            let (job, exit) = (format!("19a2b3c4d5e-{number}"), u64::from(number % 100 == 0));
            let asked = format!(
                "{request}\"os\",\"command_name\":\"ping\",\"parameters\":[\"-c\",\"1\",\"127.0.0.1\"]}}"
            );
            vec![
                format!(
                    "\"event\":\"started\",\"user\":\"{user}\",{asked},\"job\":\"{job}\",\"command\":\"ping\",\"parameters\":[\"-c\",\"1\",\"127.0.0.1\"],\"program\":\"/usr/bin/ping\",\"arguments\":[\"-c\",\"1\",\"--\",\"127.0.0.1\"]"
                ),
                format!(
                    "\"event\":\"ended\",\"user\":\"{user}\",\"command\":\"ping\",\"job\":\"{job}\",\"reply\":{{\"status\":\"success\",\"result\":\"{}\",\"stderr\":\"\",\"usage\":{{\"cpu_ms\":1.000,\"peak_memory_bytes\":1000000,\"output_bytes\":300}},\"exit_code\":{exit},\"duration_ms\":12.345}}",
                    r"64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=0.030 ms\n".repeat(5)
                ),
                format!(
                    "\"event\":\"answered\",\"user\":\"{user}\",{asked},\"reply\":{{\"status\":\"success\",\"exit_code\":{exit},\"job\":\"{job}\",\"duration_ms\":12.678}}"
                ),
            ]
        } else {
            vec![format!(
                "\"event\":\"answered\",\"user\":\"{user}\",{request}\"compute\",\"expression\":\"({number} + 4) * 8\"}},\"reply\":{{\"status\":\"success\",\"result\":80,\"type\":\"int\",\"duration_ms\":0.012}}"
            )]
        };
        for record in records {
            sequence += 1;
            let line =
                format!("{{\"seq\":{sequence},\"time\":\"{time}\",{record},\"prev\":\"{sequence:064x}\"}}\n");
            file.write_all(line.as_bytes())?;
            written += line.len() as u64;
        }
    }
    file.flush()?;
    Ok(sequence)
}

/// A file that goes when its reader does.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
