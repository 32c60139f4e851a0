//! `make bench`: measures bidden beside the design that it replaces and beside a bare echo on the same library, in
//! one run, and prints one table. It judges nothing: a slow machine is no failure, a wrong or missing reply is.
#![forbid(unsafe_code)]
#![allow(clippy::arithmetic_side_effects, reason = "a measuring program that handles no hostile input")]

mod curve;
mod echo;
mod history;
mod ids;
mod load;
mod machine;
mod overload;
mod parts;
mod processes;
mod rounds;
mod servers;
mod soak;
mod streams;
mod table;
mod zmtp;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::signal::unix::{SignalKind, signal};

use crate::machine::Python;
use crate::rounds::Plan;

const USAGE: &str = "\
usage: bench [all] [--rounds N] [--seconds S]   measure everything (5 rounds, 1 second a load and server)
       bench echo [SERVER CLIENT]               only serve the bare echo, until killed; with CURVE between certificates
       bench history [MIB]                      read back a log of that size (1,024), beside cat and grep
       bench ids [SECONDS]                      use a thousand ids a second for so long (3,600), faster than that
       bench overload [SECONDS]                 ask for ten times too much (for 60 s) and see that others are served
       bench parts                              what the parts of a jailed command cost, in half a minute
       bench soak [COMMANDS]                    run commands (100,000) and see that nothing grows";
/// How long `overload` asks for too much where nobody says.
const OVERLOAD_SECONDS: u64 = 60;
/// Seconds of commands whose ids `ids` uses where nobody says.
const AN_HOUR: u64 = 3_600;
/// Commands that `soak` runs where nobody says.
const SOAK_COMMANDS: u64 = 100_000;
/// For each part in each round.
const PART_TIME: Duration = Duration::from_millis(600);
/// MiB of the log that `history` reads where nobody says.
const HISTORY_MIB: u32 = 1024;
const NOISE: &str = "NOISY: the rounds differ by more than 25 %. Measure again on a quiet machine.\n\n";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["echo"] => echo::serve(None),
        ["echo", server, client] => echo::serve(Some((Path::new(server), Path::new(client)))),
        ["overload"] => overload::overload(Duration::from_secs(OVERLOAD_SECONDS)),
        ["overload", seconds] => overload::overload(Duration::from_secs(
            seconds.parse().context("overload wants a number of seconds")?,
        )),
        ["parts"] => parts::parts(PART_TIME),
        ["history"] => history::history(HISTORY_MIB),
        ["history", mib] => history::history(mib.parse().context("history wants a number of MiB")?),
        ["ids"] => ids::ids(AN_HOUR),
        ["ids", seconds] => ids::ids(seconds.parse().context("ids wants a number of seconds")?),
        ["soak"] => soak::soak(SOAK_COMMANDS),
        ["soak", commands] => soak::soak(commands.parse().context("soak wants a number of commands")?),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        ["all", options @ ..] | options => all(plan(options)?),
    }
}

fn plan(options: &[&str]) -> Result<Plan> {
    let mut plan = Plan { rounds: 5, time: Duration::from_secs(1) };
    for option in options.chunks(2) {
        match option {
            ["--rounds", number] => plan.rounds = number.parse().context("--rounds wants a number")?,
            ["--seconds", number] => {
                let seconds = number.parse().context("--seconds wants a number")?;
                plan.time = Duration::try_from_secs_f64(seconds).context("--seconds is out of range")?;
            }
            _ => bail!("{USAGE}"),
        }
    }
    ensure!(plan.rounds > 0 && !plan.time.is_zero(), "there is nothing to measure in no time");
    Ok(plan)
}

fn all(plan: Plan) -> Result<()> {
    let interrupted = watch_signals()?;
    let python = Python::find();
    let results = rounds::run(plan, python.as_ref(), &interrupted)?;
    let table = results.table();
    println!("{table}");
    let remark = if results.is_noisy() { NOISE } else { "" };
    eprint!("{remark}");
    let report = format!(
        "# Results\n\nMedians of {} rounds, {} s a load and server; ± is the farthest round from the median. \
         How to read it: README.md, here.\n\n{remark}{table}\n{}",
        plan.rounds,
        plan.time.as_secs_f64(),
        machine::describe(python.as_ref()),
    );
    std::fs::write(package_file("results.md"), report).context("cannot write results.md")
}

/// Sets a flag at SIGINT and SIGTERM, so that the run ends as after an error: with every server ended.
fn watch_signals() -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut int, mut term) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = int.recv() => {}
                _ = term.recv() => {}
            }
        });
        flag.store(true, Ordering::Relaxed);
    });
    Ok(interrupted)
}

/// A file of this package, where it was built.
fn package_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
