//! `[commands.NAME]`: a program with its rules.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use wire::limits::MAX_TIMEOUT;

use super::argument::{Reader, fixed, operands, options};
use super::confinement;
use super::problem::{Fault, Source, shown};
use super::program::{Launchers, check};
use super::secret::Variables;
use super::section::{Item, Name};
use crate::limits::{DEFAULT_TIME_LIMIT, MAX_CONCURRENCY};
use crate::policy::{Command, StandardInput, is_name};

const KEYS: [&str; 9] = [
    "program",
    "arguments",
    "options",
    "operands",
    "separator",
    "timeout",
    "launcher",
    "stdin",
    "concurrency",
];

/// Reads every command; one that is wrong does not keep the others from being looked at.
pub(super) fn commands(
    source: Source<'_>,
    item: &Item<'_>,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> Result<BTreeMap<String, Command>, Fault> {
    let mut commands = BTreeMap::new();
    for (key, item) in item.entries()? {
        let read = named(&key, "a command").and_then(|()| command(source.line(key.at), &item, warnings));
        match read {
            Ok(command) => {
                commands.insert(key.text.to_owned(), command);
            }
            Err(fault) => faults.push(fault),
        }
    }
    Ok(commands)
}

/// Names that an operator gives are words, so that they can stand in a log, a message and a command line as they are.
pub(super) fn named(key: &Name<'_>, what: &str) -> Result<(), Fault> {
    if is_name(key.text) {
        return Ok(());
    }
    let words = "must be 1 to 64 letters, digits, `.`, `_` and `-`, the first neither `.` nor `-`";
    Err(Fault::new(key.at, format!("{} cannot name {what}: a name {words}", shown(key.text))))
}

fn command(line: u32, item: &Item<'_>, warnings: &mut Vec<Fault>) -> Result<Command, Fault> {
    let section = item.section(&[&KEYS[..], &confinement::KEYS].concat())?;
    let launchers = match section.optional("launcher", Item::boolean)? {
        Some(true) => Launchers::Allowed,
        Some(false) | None => Launchers::Refused,
    };
    let program = section.required("program")?;
    let time_limit =
        section.optional("timeout", |item| item.duration(MAX_TIMEOUT))?.unwrap_or(DEFAULT_TIME_LIMIT);
    let confinement = confinement::confinement(&section, time_limit)?;
    let file_name = Path::new(program.string()?).file_name().and_then(OsStr::to_str);
    let mut reader = Reader {
        program: file_name.unwrap_or_default().to_owned(),
        variables: Variables::fixed(&confinement.environment),
        warnings,
    };
    let options = section.optional("options", |item| options(item, &mut reader))?.unwrap_or_default();
    let separator = section.optional("separator", Item::boolean)?;
    let operands = section
        .optional("operands", |item| operands(item, separator.unwrap_or(true), &mut reader))?
        .unwrap_or_default();
    Ok(Command {
        program: check(program.string()?, launchers).map_err(|reason| program.fault(reason))?,
        fixed_arguments: section.optional("arguments", fixed)?.unwrap_or_default(),
        options,
        separator: separator.unwrap_or(!operands.is_empty()),
        operands,
        time_limit,
        input: section.optional("stdin", standard_input)?.unwrap_or_default(),
        concurrency: section
            .optional("concurrency", |item| item.integer(1, MAX_CONCURRENCY))?
            .and_then(|count| usize::try_from(count).ok()),
        confinement,
        line: Some(line),
    })
}

/// `true`, `false` or `"secret"`.
fn standard_input(item: &Item<'_>) -> Result<StandardInput, Fault> {
    match (item.string(), item.boolean()) {
        (Ok("secret"), _) => Ok(StandardInput::Secret),
        (_, Ok(true)) => Ok(StandardInput::Client),
        (_, Ok(false)) => Ok(StandardInput::None),
        _ => Err(item.fault("must be true, false or \"secret\"")),
    }
}
