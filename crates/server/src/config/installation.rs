//! `[server]`, `[[listeners]]` and `[limits]`: what belongs to this machine rather than to its users.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::problem::Fault;
use super::section::Item;
use crate::limits::{
    COMMANDS_AT_ONCE, COMPUTATIONS_WAITING, MAX_COMMANDS_AT_ONCE, MAX_COMPUTATIONS_WAITING,
    MAX_SHUTDOWN_GRACE, SHUTDOWN_GRACE,
};

/// The limits that an installation may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Commands that run at once, from 1 to [`MAX_COMMANDS_AT_ONCE`].
    pub commands_at_once: usize,
    /// Long computations that wait, from 1 to [`MAX_COMPUTATIONS_WAITING`].
    pub computations_waiting: usize,
    /// How long running commands have when the server stops, at most [`MAX_SHUTDOWN_GRACE`].
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            commands_at_once: COMMANDS_AT_ONCE,
            computations_waiting: COMPUTATIONS_WAITING,
            shutdown_grace: SHUTDOWN_GRACE,
        }
    }
}

pub(super) fn limits(item: &Item<'_>) -> Result<Limits, Fault> {
    let section = item.section(&["commands_at_once", "computations_waiting", "shutdown_grace"])?;
    let defaults = Limits::default();
    let count = |key: &str, max: usize, default: usize| {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let value = section.optional(key, |item| item.integer(1, max))?;
        Ok::<_, Fault>(value.and_then(|value| usize::try_from(value).ok()).unwrap_or(default))
    };
    Ok(Limits {
        commands_at_once: count("commands_at_once", MAX_COMMANDS_AT_ONCE, defaults.commands_at_once)?,
        computations_waiting: count(
            "computations_waiting",
            MAX_COMPUTATIONS_WAITING,
            defaults.computations_waiting,
        )?,
        shutdown_grace: section
            .optional("shutdown_grace", |item| item.duration(MAX_SHUTDOWN_GRACE))?
            .unwrap_or(defaults.shutdown_grace),
    })
}

/// The log's path, for `[server]`; a relative one lies beside the configuration.
pub(super) fn server(item: &Item<'_>, directory: &Path) -> Result<Option<PathBuf>, Fault> {
    let section = item.section(&["log", "jail"])?;
    section.optional("log", |item| match item.string()? {
        "" => Err(item.fault("must name a file")),
        path => Ok(directory.join(path)),
    })
}

/// The endpoint of the listener. There is one so far, and it has to say that it is plain: a listener that does not
/// will be encrypted as soon as this program can do that, and must not mean something else until then.
pub(super) fn listeners(item: &Item<'_>) -> Result<Option<String>, Fault> {
    let listeners = item.list()?;
    if let Some(second) = listeners.get(1) {
        return Err(second.fault("is a second listener; this version has one"));
    }
    let Some(listener) = listeners.first() else { return Ok(None) };
    let section = listener.section(&["endpoint", "plain"])?;
    let endpoint = section.required("endpoint")?;
    match section.get("plain") {
        Some(plain) if plain.boolean()? => Ok(Some(endpoint.string()?.to_owned())),
        _ => Err(listener
            .fault("must say `plain = true`: this version has no keys, and serves its own machine alone")),
    }
}
