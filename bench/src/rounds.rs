//! The rounds: every round starts every server afresh, puts each load on one server after the other, and ends them.
//! So whatever the machine does meanwhile falls on all of them, and no log outlives its round.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use transport::{KeyPair, write_certificates};

use crate::curve::Keys;
use crate::load::{self, Question};
use crate::machine::Python;
use crate::processes;
use crate::servers::{self, Server, Start};
use crate::streams;
use crate::table::{Metric, Results, Subject};

const FEW: usize = 64;
const MANY: usize = 1000;

/// Users that a policy knows beside the one who asks.
const OTHER_USERS: u32 = 1000;

/// A file system that is memory, on every Linux that is not stripped of it.
const MEMORY: &str = "/dev/shm";

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
        round.encrypted_computations(&logs)?;
        round.commands(python, &logs)?;
        round.streams(python, &logs)?;
        round.logging(&logs)?;
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
            (Subject::Echo, servers::spawn_echo(&[])?),
            (Subject::Bidden, servers::spawn_bidden(&logs.of("bidden"), None)?),
        ]);
        let question = Question::computation();
        for (subject, server) in &servers {
            let times =
                self.measured(*subject, || load::round_trips(server.address, None, &question, self.time))?;
            self.results.add(Metric::RoundTripP50, *subject, times.percentile_us(50));
            self.results.add(Metric::RoundTripP99, *subject, times.percentile_us(99));
        }
        for (metric, in_flight) in [(Metric::InFlight64, FEW), (Metric::InFlight1000, MANY)] {
            for (subject, server) in &servers {
                let load = || load::in_flight(server.address, None, &question, in_flight, self.time);
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

    /// The same with CURVE: every frame both ways in a box, and a policy that knows many users.
    fn encrypted_computations(&mut self, logs: &Logs) -> Result<()> {
        let (server_name, client_name) = (logs.file("server"), logs.file("client"));
        let (server, client) = (KeyPair::generate(), KeyPair::generate());
        let server_paths = write_certificates(&server_name, &server)?;
        let client_paths = write_certificates(&client_name, &client)?;
        let configuration = logs.file("bidden.toml");
        fs::write(&configuration, configuration_of_many(&client_paths.public))?;
        let servers = self.running([
            (Subject::EncryptedEcho, servers::spawn_echo(&[&server_paths.secret, &client_paths.public])?),
            (Subject::EncryptedBidden, servers::spawn_bidden(&logs.of("encrypted"), Some(&configuration))?),
        ]);
        for path in [server_paths.public, server_paths.secret, client_paths.public, client_paths.secret] {
            fs::remove_file(path)?;
        }
        let keys = Keys { client, server: server.public() };
        let question = Question::computation();
        for (subject, server) in &servers {
            let times = self.measured(*subject, || {
                load::round_trips(server.address, Some(&keys), &question, self.time)
            })?;
            self.results.add(Metric::RoundTripP50, *subject, times.percentile_us(50));
        }
        for (subject, server) in &servers {
            let load = || load::in_flight(server.address, Some(&keys), &question, FEW, self.time);
            let rate = self.measured(*subject, load)?;
            self.results.add(Metric::InFlight64, *subject, rate);
        }
        Ok(())
    }

    fn commands(&mut self, python: Option<&Python>, logs: &Logs) -> Result<()> {
        let servers = self.running([
            (Subject::OldDesign, servers::spawn_old_design(python, &logs.of("old_design_commands"))?),
            (Subject::BiddenWithTrue, servers::spawn_bidden_with_true(&logs.of("bidden_commands"))?),
        ]);
        for (subject, server) in &servers {
            let question = true_question(*subject);
            let times =
                self.measured(*subject, || load::round_trips(server.address, None, &question, self.time))?;
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
            let question = true_question(*subject);
            let load = || load::in_flight(server.address, None, &question, FEW, self.time);
            let rate = self.measured(*subject, load)?;
            self.results.add(Metric::OsInFlight64, *subject, rate);
        }
        let rate = self.measured(Subject::PosixSpawn, || processes::spawn_rate(self.time))?;
        self.results.add(Metric::OsInFlight64, Subject::PosixSpawn, rate);
        Ok(())
    }

    /// What the disk and the seals cost.
    fn logging(&mut self, logs: &Logs) -> Result<()> {
        let memory = Path::new(MEMORY).is_dir().then(|| Logs::create_in(Path::new(MEMORY))).transpose()?;
        let in_memory = match &memory {
            Some(memory) => servers::spawn_bidden_with_true(&memory.of("memory"))?,
            None => Start::Skipped("no file system in memory"),
        };
        let servers = self.running([
            (Subject::LoggedInMemory, in_memory),
            (Subject::LoggedOnDisk, servers::spawn_bidden_with_true(&logs.of("disk"))?),
            (Subject::Sealed, servers::spawn_bidden_sealed(&logs.of("sealed"))?),
        ]);
        for (subject, server) in &servers {
            let question = Question::computation();
            let load = || load::in_flight(server.address, None, &question, FEW, self.time);
            let rate = self.measured(*subject, load)?;
            self.results.add(Metric::LoggingInFlight64, *subject, rate);
        }
        for (subject, server) in &servers {
            let question = Question::command("true");
            let load = || load::round_trips(server.address, None, &question, self.time);
            let times = self.measured(*subject, load)?;
            self.results.add(Metric::LoggingOsRoundTripP50, *subject, times.percentile_us(50));
        }
        Ok(())
    }

    /// Output while it comes, and computations beside it.
    fn streams(&mut self, python: Option<&Python>, logs: &Logs) -> Result<()> {
        let log = logs.of("bidden_streams");
        let policy = streams::write_policy(&log, python)?;
        let subject = Subject::BiddenWithStreams;
        let servers = self.running([(subject, servers::spawn_bidden(&log, Some(&policy))?)]);
        let Some((_, server)) = servers.first() else { return Ok(()) };
        let rate = self.measured(subject, || streams::through_server(server.address))?;
        self.results.add(Metric::StreamedBytes, subject, rate);
        let rate = self.measured(Subject::Pipe, streams::through_pipe)?;
        self.results.add(Metric::StreamedBytes, Subject::Pipe, rate);
        if python.is_none() {
            self.results.skip(Subject::BiddenAlone, "no Python");
            return Ok(());
        }
        let question = Question::computation();
        let alone = self.measured(Subject::BiddenAlone, || {
            load::round_trips(server.address, None, &question, self.time)
        })?;
        let beside =
            self.measured(subject, || streams::round_trips_beside_streams(server.address, self.time))?;
        for (subject, times) in [(Subject::BiddenAlone, alone), (subject, beside)] {
            self.results.add(Metric::BesideStreamsP50, subject, times.percentile_us(50));
            self.results.add(Metric::BesideStreamsP99, subject, times.percentile_us(99));
        }
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
fn true_question(subject: Subject) -> Question {
    Question::command(if subject == Subject::OldDesign { "/bin/true" } else { "true" })
}

/// A policy with a listener under the key `server`, the user of this certificate, and a thousand others.
fn configuration_of_many(certificate: &Path) -> String {
    let mut text = format!(
        "[[listeners]]\nendpoint = 'tcp://127.0.0.1:0'\nkey = 'server.key_secret'\n\
         [roles.computes]\nrights = ['compute']\n\
         [users.bench]\ncertificate = '{}'\nroles = ['computes']\n",
        certificate.display()
    );
    for number in 1..=OTHER_USERS {
        let key = KeyPair::generate().public();
        let _ = write!(text, "[users.user-{number}]\npublic_key = '{key}'\nroles = ['computes']\n");
    }
    text
}

/// A directory for the servers' logs, beside this program and so on a real disk, removed at the end.
struct Logs(PathBuf);

impl Logs {
    fn create() -> Result<Self> {
        let program = std::env::current_exe()?;
        Self::create_in(program.parent().context("a program lies in a directory")?)
    }

    fn create_in(place: &Path) -> Result<Self> {
        let directory = place.join(format!("bench-logs-{}", std::process::id()));
        fs::create_dir_all(&directory).context("cannot make a directory for the logs")?;
        Ok(Self(directory))
    }

    fn of(&self, server: &str) -> PathBuf {
        self.file(server).with_extension("log")
    }

    /// What a server needs beside its log.
    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
