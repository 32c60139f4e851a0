//! Many commands, one batch after the other, and what the server and its launcher hold and leave behind meanwhile.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::load::{Question, in_flight_of};
use crate::servers::{self, Start};

const BATCHES: u64 = 10;

/// Commands before anything is measured, so that every buffer has its size.
const WARMING_UP: u64 = 2_000;

/// What a process may grow by in a whole run: a little for the allocator's moods, nothing for each command.
const MOST_GROWTH_KIB: u64 = 1024;

/// What the launcher may hold, from which all jails are forked.
const LAUNCHER_KIB: u64 = 4096;

/// How long what the last commands leave is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs so many commands, prints what was measured, and fails if something grows.
pub(crate) fn soak(commands: u64) -> Result<()> {
    let log = std::env::current_exe()?.with_file_name(format!("soak-{}.log", std::process::id()));
    let started = servers::spawn_bidden_with_true(&log)?;
    let Start::Running(server) = started else { bail!("there is no bidden beside this program") };
    let question = Question::command("true");
    in_flight_of(server.address, &question, 64, WARMING_UP)?;
    println!("| commands | server, KiB | keeper, KiB | launcher, KiB | descriptors of each | processes |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut first: Option<Held> = None;
    for batch in 0..=BATCHES {
        if batch > 0 {
            in_flight_of(server.address, &question, 64, commands / BATCHES)?;
        }
        let mut held = Held::settled(server.process())?;
        let began = Instant::now();
        // The connection of the batch before may still be closing.
        while first.as_ref().is_some_and(|first| held.descriptors != first.descriptors)
            && began.elapsed() < PATIENCE
        {
            std::thread::sleep(Duration::from_millis(10));
            held = Held::settled(server.process())?;
        }
        println!(
            "| {} | {} | {} | {} | {:?} | {} |",
            commands / BATCHES * batch,
            held.kib[0],
            held.kib[1],
            held.kib[2],
            held.descriptors,
            held.processes
        );
        let first = first.get_or_insert_with(|| held.clone());
        for (now, before) in held.kib.iter().zip(first.kib) {
            ensure!(*now <= before + MOST_GROWTH_KIB, "a process grew from {before} to {now} KiB");
        }
        ensure!(held.descriptors == first.descriptors, "descriptors stay open");
        ensure!(held.processes <= first.processes, "processes stay");
        ensure!(held.kib[2] <= LAUNCHER_KIB, "the launcher holds more than 4 MiB");
    }
    drop(server);
    for file in [&log, &log.with_extension("toml")] {
        fs::remove_file(file).context("cannot remove what this made")?;
    }
    println!("nothing grew");
    Ok(())
}

/// What the server, its keeper and its launcher hold, in this order.
#[derive(Clone, Debug)]
struct Held {
    kib: [u64; 3],
    descriptors: [usize; 3],
    processes: usize,
}

impl Held {
    /// As soon as only the jails that are ready are left.
    fn settled(server: u32) -> Result<Self> {
        let keeper = only_child(server)?;
        let launcher = only_child(keeper)?;
        let began = Instant::now();
        while children(launcher)?.len() > jail::limits::JAILS_READY {
            ensure!(began.elapsed() < PATIENCE, "jails stay");
            std::thread::sleep(Duration::from_millis(10));
        }
        let processes = [server, keeper, launcher];
        let mut held = Self { kib: [0; 3], descriptors: [0; 3], processes: 3 + children(launcher)?.len() };
        for ((process, kib), descriptors) in processes.iter().zip(&mut held.kib).zip(&mut held.descriptors) {
            *kib = resident_kib(*process)?;
            *descriptors = fs::read_dir(format!("/proc/{process}/fd"))?.count();
        }
        Ok(held)
    }
}

fn only_child(process: u32) -> Result<u32> {
    let children = children(process)?;
    ensure!(children.len() == 1, "process {process} has {} children", children.len());
    children.first().copied().context("no child")
}

fn children(process: u32) -> Result<Vec<u32>> {
    let text = fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
    text.split_whitespace().map(|number| Ok(number.parse()?)).collect()
}

pub(crate) fn resident_kib(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim_end_matches("kB").trim().parse()?)
}
