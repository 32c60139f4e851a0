//! What the parts of a jailed command cost: `/bin/true` from request to reply, beside the same with less around it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use jail::{End, Launcher, Plan, StartedKeeper};

use crate::load::{self, Question, RoundTrips};
use crate::processes;
use crate::servers::{self, Server, Start};

const ROUNDS: u32 = 5;

/// A file system without a disk.
const MEMORY: &str = "/dev/shm";

/// So long a command waits for the word where it shall be ready before it comes.
const READY: Duration = Duration::from_millis(4);

/// Jails that are taken one after the other, many more than are ready.
const TAKEN: u32 = 40;

/// As long as a `started` record.
const RECORD_BYTES: usize = 400;

/// What is measured, in the order in which it is printed, and what it means.
const PARTS: [&str; 8] = [
    "`posix_spawn` and wait, without any jail",
    "a computation, request to reply",
    "jailed, request to reply",
    "the same with the log in memory: the disk costs nothing",
    "jailed without server and log: order, confinement, exec, end",
    "of that, from the word to the end: exec, the program, the end",
    "a record of 400 bytes and fdatasync(2)",
    "making a jail, where none is ready",
];

/// Measures every part in each of some rounds, and prints the medians.
pub(crate) fn parts(time: Duration) -> Result<()> {
    let directory = std::env::current_exe()?.with_file_name(format!("parts-{}", std::process::id()));
    let in_memory = Path::new(MEMORY).join(format!("bidden-parts-{}", std::process::id()));
    let made = Made(vec![directory.clone(), in_memory.clone()]);
    for path in &made.0 {
        fs::create_dir(path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    let on_disk = running(&directory.join("server.log"))?;
    let without_disk = running(&in_memory.join("server.log"))?;
    let alone = Alone::start(&directory.join("server.toml"))?;
    let mut record = File::create(directory.join("records"))?;
    let (computation, command) = (Question::computation(), Question::command("true"));
    let mut measured = vec![Vec::new(); PARTS.len()];
    for _ in 0..ROUNDS {
        let times = [
            processes::spawn_times(time)?,
            load::round_trips(on_disk.address, None, &computation, time)?,
            load::round_trips(on_disk.address, None, &command, time)?,
            load::round_trips(without_disk.address, None, &command, time)?,
            alone.repeat(time, Word::AtOnce)?,
            alone.repeat(time, Word::WhenReady)?,
            repeat(time, || {
                record.write_all(&[b'x'; RECORD_BYTES])?;
                Ok(record.sync_data()?)
            })?,
            alone.jails()?,
        ];
        for (part, times) in measured.iter_mut().zip(times) {
            part.push(times.percentile_us(50));
        }
    }
    println!("| part | µs | of `posix_spawn` |");
    println!("| --- | --- | --- |");
    let mut base = None;
    for (name, mut medians) in PARTS.iter().zip(measured) {
        medians.sort_unstable_by(f64::total_cmp);
        let median = medians.get(medians.len() / 2).copied().unwrap_or(f64::NAN);
        println!("| {name} | {median:.0} | {:.2} |", median / *base.get_or_insert(median));
    }
    Ok(())
}

/// Removed at the end, however it comes.
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            // What is not there needs no removal.
            let _ = fs::remove_dir_all(path);
        }
    }
}

fn running(log: &Path) -> Result<Server> {
    match servers::spawn_bidden_with_true(log)? {
        Start::Running(server) => Ok(server),
        Start::Skipped(reason) => bail!("bidden does not run: {reason}"),
    }
}

fn repeat(time: Duration, mut once: impl FnMut() -> Result<()>) -> Result<RoundTrips> {
    let end = Instant::now() + time;
    let mut times = Vec::new();
    while Instant::now() < end {
        let start = Instant::now();
        once()?;
        times.push(start.elapsed());
    }
    RoundTrips::new(times)
}

/// When a command is told to begin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    AtOnce,
    WhenReady,
}

/// A launcher without a server.
struct Alone {
    runtime: tokio::runtime::Runtime,
    launcher: Launcher,
    plan: Plan,
}

impl Alone {
    fn start(configuration: &Path) -> Result<Self> {
        let program = match std::env::var_os("BIDDEN_BIN") {
            Some(program) => PathBuf::from(program),
            None => std::env::current_exe()?.with_file_name("bidden"),
        };
        let mut command = Command::new(program);
        command.arg("launch").arg("--config").arg(configuration);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let keeper = StartedKeeper::start(command)?;
        let launcher = runtime.block_on(Launcher::connect(keeper))?;
        let plan = Plan {
            command: "true".to_owned(),
            arguments: vec![],
            time_limit: Duration::from_secs(5),
            output_bytes: 1024,
            stdin: None,
            secrets: vec![],
        };
        Ok(Self { runtime, launcher, plan })
    }

    fn repeat(&self, time: Duration, word: Word) -> Result<RoundTrips> {
        let end = Instant::now() + time;
        let mut times = Vec::new();
        while Instant::now() < end {
            times.push(self.runtime.block_on(async {
                let ordered = Instant::now();
                let ready = self.launcher.prepare(&self.plan).await?;
                let told = match word {
                    Word::AtOnce => ordered,
                    Word::WhenReady => {
                        tokio::time::sleep(READY).await;
                        Instant::now()
                    }
                };
                let outcome = ready.run(std::future::pending(), async |_, _| (), || ()).await?;
                ensure!(outcome.end == End::Exit(0), "/bin/true failed");
                Ok(told.elapsed())
            })?);
        }
        RoundTrips::new(times)
    }

    /// Times for a jail each, when they are wanted faster than they are made. No command is executed in them.
    fn jails(&self) -> Result<RoundTrips> {
        let mut times = Vec::new();
        self.runtime.block_on(async {
            for _ in 0..TAKEN {
                let start = Instant::now();
                drop(self.launcher.prepare(&self.plan).await?);
                times.push(start.elapsed());
            }
            anyhow::Ok(())
        })?;
        RoundTrips::new(times)
    }
}
