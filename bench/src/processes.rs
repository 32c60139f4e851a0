//! What starting `/bin/true` costs without any server: by `posix_spawn` and wait, and by Python's `os.popen`.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::load::RoundTrips;
use crate::machine::Python;

const TRUE: &str = "/bin/true";

/// Times of starting and waiting, one after the other.
pub(crate) fn spawn_times(time: Duration) -> Result<RoundTrips> {
    let end = Instant::now() + time;
    let mut times = Vec::new();
    while Instant::now() < end {
        let start = Instant::now();
        spawn_and_wait()?;
        times.push(start.elapsed());
    }
    RoundTrips::new(times)
}

/// Processes in a second, started by as many threads as there are cores.
pub(crate) fn spawn_rate(time: Duration) -> Result<f64> {
    let start = Instant::now();
    let threads: Vec<_> = (0..thread::available_parallelism()?.get())
        .map(|_| {
            thread::spawn(move || -> Result<u32> {
                let mut processes = 0;
                while start.elapsed() < time {
                    spawn_and_wait()?;
                    processes += 1;
                }
                Ok(processes)
            })
        })
        .collect();
    let mut processes = 0;
    for thread in threads {
        processes += thread.join().ok().context("a thread that starts processes panicked")??;
    }
    Ok(f64::from(processes) / start.elapsed().as_secs_f64())
}

/// The median time of `os.popen("/bin/true").read()` in microseconds.
pub(crate) fn popen_median_us(python: &Python, time: Duration) -> Result<f64> {
    let mut command = Command::new(&python.program);
    command.arg(crate::package_file("popen_loop.py")).arg(time.as_secs_f64().to_string());
    let output = command.output()?;
    ensure!(output.status.success(), "popen_loop.py failed: {}", String::from_utf8_lossy(&output.stderr));
    let nanoseconds: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
    Ok(nanoseconds / 1e3)
}

fn spawn_and_wait() -> Result<()> {
    // The standard library uses posix_spawn for this.
    let status = Command::new(TRUE).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ensure!(status.context("cannot start /bin/true")?.success(), "/bin/true failed");
    Ok(())
}
