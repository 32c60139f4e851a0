//! `bidden policy`: what a configuration says, asked of the same functions that a server asks.

use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jail::{Capability, User};
use server::config::{Answer, Configuration, ConfigurationError};
use server::policy::{Command, Denied, Grant, Permitted};

use crate::arguments::{Explain, Policy, Source};
use crate::exit::Exit;
use crate::terminal::{complain, print};

/// Where a machine has its configuration.
const SYSTEM_CONFIGURATION: &str = "/etc/bidden/bidden.toml";

pub(crate) fn policy(arguments: Policy) -> anyhow::Result<Exit> {
    match arguments {
        Policy::Check(arguments) => check(&arguments.file),
        Policy::Explain(arguments) => explain(&arguments),
        Policy::Test(arguments) => test(&arguments.file),
    }
}

/// The configuration of this machine, or the built-in one where there is no file.
pub(crate) fn load(source: &Source) -> anyhow::Result<(Option<PathBuf>, Configuration)> {
    match find(source)? {
        Some(path) => {
            let configuration = Configuration::read(&path)?;
            Ok((Some(path), configuration))
        }
        None => Ok((None, Configuration::builtin())),
    }
}

/// Only a file that is not there is no configuration; one that cannot be reached may narrow what is allowed.
fn find(source: &Source) -> anyhow::Result<Option<PathBuf>> {
    if let Some(path) = &source.config {
        return Ok(Some(path.clone()));
    }
    let path = Path::new(SYSTEM_CONFIGURATION);
    match path.metadata() {
        Ok(_) => Ok(Some(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {SYSTEM_CONFIGURATION}")),
    }
}

fn check(file: &Path) -> anyhow::Result<Exit> {
    let Some(configuration) = read(file) else { return Ok(Exit::WrongPolicy) };
    for warning in &configuration.warnings {
        crate::terminal::inform(&warning.warning());
    }
    let policy = &configuration.policy;
    for listener in &configuration.listeners {
        if let Err(error) = listener.check() {
            complain(&format!("{} is correct, but cannot be served here: {error}", file.display()));
            return Ok(Exit::WrongPolicy);
        }
    }
    let counted = [
        count(policy.commands().len(), "command"),
        count(policy.users().len(), "user"),
        count(configuration.tests.len(), "test"),
    ];
    if rustix::process::geteuid().is_root() {
        for (name, command) in policy.commands() {
            for warning in unusable(name, command) {
                complain(&warning);
            }
        }
    }
    print(&format!("{} is correct: {}\n", file.display(), counted.join(", ")))?;
    Ok(Exit::Success)
}

/// Read, write and execute, for others (stat(2)).
const OTHERS: [(u32, &str); 3] = [(0o4, "read"), (0o2, "write"), (0o1, "execute or search")];

/// What a command with a user of its own may not use for want of permissions, where the server is root.
fn unusable(name: &str, command: &Command) -> Vec<String> {
    let confinement = &command.confinement;
    if !matches!(confinement.user, User::OfJail(_)) {
        return vec![];
    }
    let reads = !confinement.capabilities.contains(&Capability::DacReadSearch);
    let read = confinement.read.iter().filter(|_| reads).map(|path| (path, 0o4));
    let write = confinement.write.iter().map(|path| (path, 0o6));
    let uses = read.chain(write).chain([(&command.program, 0o1)]);
    let missing = uses.filter_map(|(path, wanted)| {
        let metadata = path.metadata().ok()?;
        let wanted = if metadata.is_dir() { wanted | 0o1 } else { wanted };
        let (_, what) = OTHERS.iter().find(|(bit, _)| wanted & bit & !metadata.mode() != 0)?;
        Some(format!(
            "warning: command `{name}` may not {what} {}: it runs as a user of its own where the server is root; name a \
             `user` in its rule, or permit it to others",
            path.display()
        ))
    });
    missing.collect()
}

fn runs_as(user: &User) -> String {
    match user {
        User::OfJail(range) => {
            format!("a user of its own, of {range}, where the server is root; the server's user otherwise")
        }
        User::Server => "the server's user".to_owned(),
        User::Named(identity) => format!("user {}, group {}", identity.user, identity.group),
    }
}

fn test(file: &Path) -> anyhow::Result<Exit> {
    let Some(configuration) = read(file) else { return Ok(Exit::WrongPolicy) };
    let tests = &configuration.tests;
    let failed: Vec<_> = tests.iter().filter_map(|test| test.check(&configuration.policy).err()).collect();
    for problem in &failed {
        complain(&problem.to_string());
    }
    print(&format!(
        "{} of {} passed\n",
        tests.len().saturating_sub(failed.len()),
        count(tests.len(), "test")
    ))?;
    Ok(if failed.is_empty() { Exit::Success } else { Exit::WrongPolicy })
}

/// Says on stderr what is wrong with a file, each problem on a line of its own that an editor can jump to.
fn read(file: &Path) -> Option<Configuration> {
    match Configuration::read(file) {
        Ok(configuration) => Some(configuration),
        Err(error @ ConfigurationError::Wrong(_)) => {
            crate::terminal::inform(&error.to_string());
            None
        }
        Err(error) => {
            complain(&error.to_string());
            None
        }
    }
}

fn explain(arguments: &Explain) -> anyhow::Result<Exit> {
    let (path, configuration) = load(&arguments.source)?;
    let file = path.map_or_else(|| "the built-in policy".to_owned(), |path| path.display().to_string());
    let place = |line: Option<u32>| line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"));
    let policy = &configuration.policy;
    let Some(user) = policy.user_named(&arguments.user) else {
        let users: Vec<_> = policy.users().keys().map(String::as_str).collect();
        anyhow::bail!("there is no user `{}` in {file}; there are {}", arguments.user, users.join(", "));
    };
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        // Writing into memory cannot fail.
        let _ = writeln!(text, "  {name:<8} {value}");
    };
    row("user", &place(user.line));
    let (name, parameters) = arguments.words.split_first().context("a command is missing")?;
    if let Some(command) = policy.commands().get(name) {
        row("command", &place(command.line));
    }
    if user.has_expired(jiff::Timestamp::now()) {
        return answer(false, &format!("refused: the time of `{}` is over (`not_after`)", user.name), &text);
    }
    match policy.decide_command(user, name, parameters) {
        Ok(Permitted { command, invocation, grant }) => {
            match grant {
                Grant::Role { name, line } => row("role", &format!("{name}, {}", place(Some(*line)))),
                Grant::Unnarrowed => row("role", "none is needed: no [users.local] narrows this user"),
            }
            let vector =
                [vec![command.program.to_string_lossy().into_owned()], invocation.arguments].concat();
            row("runs", &format!("{vector:?}"));
            if !invocation.secrets.is_empty() {
                let variables: Vec<_> =
                    invocation.secrets.iter().map(|secret| secret.name.as_str()).collect();
                row("secret", &format!("in the variables {}", variables.join(", ")));
            }
            row("runs as", &runs_as(&command.confinement.user));
            row("at most", &format!("{} s", command.time_limit.as_secs_f64()));
            answer(true, &format!("`{}` may run this", user.name), &text)
        }
        Err(denied) => {
            let why = match &denied {
                Denied::Parameters(error) => error.to_string(),
                _ => denied.to_string(),
            };
            answer(false, &format!("{}: {why}", Answer::from(&denied)), &text)
        }
    }
}

fn answer(yes: bool, why: &str, rows: &str) -> anyhow::Result<Exit> {
    let (word, exit) = if yes { ("yes", Exit::Success) } else { ("no", Exit::Refused) };
    print(&format!("{word}, {why}\n{rows}"))?;
    Ok(exit)
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
