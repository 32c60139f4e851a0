//! The rounds: every round starts every server afresh, puts each load on one server after the other, and ends them.
//! So whatever the machine does meanwhile falls on all of them, and no log outlives its round.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::load::{self, Question};
use crate::machine::Python;
use crate::processes;
use crate::servers::{self, Server, Start};
use crate::table::{Metric, Results, Subject};

const FEW: usize = 64;
const MANY: usize = 1000;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// Of one load on one server.
    pub(crate) time: Duration,
}

/// Measures everything, until it is done or `interrupted`.
pub(crate) fn run(plan: Plan, python: Option<&Python>, interrupted: &AtomicBool) -> Result<Results> {
    let mut results = Results::default();
    for round in 1..=plan.rounds {
        eprintln!("round {round} of {}", plan.rounds);
        let logs = Logs::create()?;
        let mut round = Round { results: &mut results, time: plan.time, interrupted };
        round.computations(python, &logs)?;
        round.commands(python, &logs)?;
    }
    Ok(results)
}

struct Round<'a> {
    results: &'a mut Results,
    time: Duration,
    interrupted: &'a AtomicBool,
}

impl Round<'_> {
    fn computations(&mut self, python: Option<&Python>, logs: &Logs) -> Result<()> {
        let servers = self.running([
            (Subject::OldDesign, servers::spawn_old_design(python, &logs.of("old_design"))?),
            (Subject::Echo, servers::spawn_echo()?),
            (Subject::Bidden, servers::spawn_bidden(&logs.of("bidden"))?),
        ]);
        let question = Question::computation()?;
        for (subject, server) in &servers {
            let times =
                self.measured(*subject, || load::round_trips(server.address, &question, self.time))?;
            self.results.add(Metric::RoundTripP50, *subject, times.percentile_us(50));
            self.results.add(Metric::RoundTripP99, *subject, times.percentile_us(99));
        }
        for (metric, in_flight) in [(Metric::InFlight64, FEW), (Metric::InFlight1000, MANY)] {
            for (subject, server) in &servers {
                let load = || load::in_flight(server.address, &question, in_flight, self.time);
                let rate = self.measured(*subject, load)?;
                self.results.add(metric, *subject, rate);
            }
        }
        for (subject, server) in &servers {
            let load = || load::many_clients(server.address, &question, FEW, self.time);
            let rate = self.measured(*subject, load)?;
            self.results.add(Metric::Clients64, *subject, rate);
        }
        Ok(())
    }

    fn commands(&mut self, python: Option<&Python>, logs: &Logs) -> Result<()> {
        let servers = self.running([
            (Subject::OldDesign, servers::spawn_old_design(python, &logs.of("old_design_commands"))?),
            (Subject::BiddenWithTrue, servers::spawn_bidden_with_true(&logs.of("bidden_commands"))?),
        ]);
        for (subject, server) in &servers {
            let question = true_question(*subject)?;
            let times =
                self.measured(*subject, || load::round_trips(server.address, &question, self.time))?;
            self.results.add(Metric::OsRoundTripP50, *subject, times.percentile_us(50));
        }
        let times = self.measured(Subject::PosixSpawn, || processes::spawn_times(self.time))?;
        self.results.add(Metric::OsRoundTripP50, Subject::PosixSpawn, times.percentile_us(50));
        if let Some(python) = python {
            let median = self.measured(Subject::Popen, || processes::popen_median_us(python, self.time))?;
            self.results.add(Metric::OsRoundTripP50, Subject::Popen, median);
        } else {
            self.results.skip(Subject::Popen, "no Python");
        }
        for (subject, server) in &servers {
            let question = true_question(*subject)?;
            let load = || load::in_flight(server.address, &question, FEW, self.time);
            let rate = self.measured(*subject, load)?;
            self.results.add(Metric::OsInFlight64, *subject, rate);
        }
        let rate = self.measured(Subject::PosixSpawn, || processes::spawn_rate(self.time))?;
        self.results.add(Metric::OsInFlight64, Subject::PosixSpawn, rate);
        Ok(())
    }

    fn running<const N: usize>(&mut self, starts: [(Subject, Start); N]) -> Vec<(Subject, Server)> {
        let mut servers = Vec::with_capacity(N);
        for (subject, start) in starts {
            match start {
                Start::Running(server) => servers.push((subject, server)),
                Start::Skipped(reason) => self.results.skip(subject, reason),
            }
        }
        servers
    }

    fn measured<T>(&self, subject: Subject, measure: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.interrupted.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        measure().with_context(|| format!("measuring {}", subject.name()))
    }
}

/// The old design runs what a shell finds by this text; bidden runs what its policy names so.
fn true_question(subject: Subject) -> Result<Question> {
    Question::command(if subject == Subject::OldDesign { "/bin/true" } else { "true" })
}

/// A directory for the servers' logs, beside this program and so on a real disk, removed at the end.
struct Logs(PathBuf);

impl Logs {
    fn create() -> Result<Self> {
        let directory = std::env::current_exe()?.with_file_name(format!("bench-logs-{}", std::process::id()));
        fs::create_dir_all(&directory).context("cannot make a directory for the logs")?;
        Ok(Self(directory))
    }

    fn of(&self, server: &str) -> PathBuf {
        Path::new(&self.0).join(server).with_extension("log")
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
