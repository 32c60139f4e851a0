//! `[server]`, `[[listeners]]` and `[limits]`: what belongs to this machine rather than to its users.

use std::path::{Path, PathBuf};
use std::time::Duration;

use transport::limits::MAX_LISTENERS;
use transport::{Access, CertificateError, ListenError, check_listening, listening_address, read_key_pair};

use super::account;
use super::problem::{Fault, shown};
use super::section::Item;
use crate::limits::{
    COMMANDS_AT_ONCE, COMMANDS_BY_USER, COMMANDS_WAITING, COMPUTATIONS_WAITING, LOG_BYTES,
    MAX_COMMANDS_AT_ONCE, MAX_COMMANDS_BY_USER, MAX_COMMANDS_WAITING, MAX_COMPUTATIONS_WAITING,
    MAX_LOG_BYTES, MAX_LOG_FILES, MAX_REQUESTS_PER_SECOND, MAX_SHUTDOWN_GRACE, MIN_LOG_BYTES, SHUTDOWN_GRACE,
};
use crate::log::LogAccess;

/// What `log_mode` can be.
const LOG_MODES: [u32; 3] = [0o600, 0o640, 0o644];

/// A socket that the configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where, as a ZeroMQ endpoint.
    pub endpoint: String,
    /// How.
    pub protection: Protection,
}

/// How a listener is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Not at all, which the transport allows on loopback alone.
    Plain,
    /// By CURVE, under the server's key in this certificate.
    Key(PathBuf),
}

impl Listener {
    /// Reads the key, where there is one, and asks for the address of a name: all for which files are opened that a
    /// server which has confined itself cannot open.
    ///
    /// # Errors
    /// The certificate or the endpoint cannot be used.
    pub fn open(&self) -> Result<(String, Access), ListenerError> {
        let access = match &self.protection {
            Protection::Plain => Access::Plain,
            Protection::Key(path) => Access::Curve(read_key_pair(path)?),
        };
        let address = listening_address(&self.endpoint, matches!(access, Access::Plain))?;
        Ok((format!("tcp://{address}"), access))
    }
}

/// Why a listener cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// Its key.
    #[error(transparent)]
    Key(#[from] CertificateError),
    /// Its endpoint.
    #[error(transparent)]
    Endpoint(#[from] ListenError),
}

/// The limits that an installation may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Commands that run at once, from 1 to [`MAX_COMMANDS_AT_ONCE`].
    pub commands_at_once: usize,
    /// Requests that a user may send in a second, for whom no other number is said; `None` sets no limit.
    pub requests_per_second: Option<u32>,
    /// Commands that wait for their turn, from 1 to [`MAX_COMMANDS_WAITING`].
    pub commands_waiting: usize,
    /// Commands of one user that run or wait, from 1 to [`MAX_COMMANDS_BY_USER`].
    pub commands_by_user: usize,
    /// Long computations that wait, from 1 to [`MAX_COMPUTATIONS_WAITING`].
    pub computations_waiting: usize,
    /// Bytes of the log from which on it is rotated, from [`MIN_LOG_BYTES`] to [`MAX_LOG_BYTES`].
    pub log_bytes: u64,
    /// Rotated files of the log that are kept; `None` keeps all.
    pub log_files: Option<usize>,
    /// How long running commands have when the server stops, at most [`MAX_SHUTDOWN_GRACE`].
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            commands_at_once: COMMANDS_AT_ONCE,
            requests_per_second: None,
            commands_waiting: COMMANDS_WAITING,
            commands_by_user: COMMANDS_BY_USER,
            computations_waiting: COMPUTATIONS_WAITING,
            log_bytes: LOG_BYTES,
            log_files: None,
            shutdown_grace: SHUTDOWN_GRACE,
        }
    }
}

pub(super) fn limits(item: &Item<'_>) -> Result<Limits, Fault> {
    let section = item.section(&[
        "requests_per_second",
        "commands_at_once",
        "commands_waiting",
        "commands_by_user",
        "computations_waiting",
        "log_bytes",
        "log_files",
        "shutdown_grace",
    ])?;
    let defaults = Limits::default();
    let count = |key: &str, max: usize, default: usize| {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let value = section.optional(key, |item| item.integer(1, max))?;
        Ok::<_, Fault>(value.and_then(|value| usize::try_from(value).ok()).unwrap_or(default))
    };
    Ok(Limits {
        requests_per_second: section.optional("requests_per_second", rate)?,
        commands_at_once: count("commands_at_once", MAX_COMMANDS_AT_ONCE, defaults.commands_at_once)?,
        commands_waiting: count("commands_waiting", MAX_COMMANDS_WAITING, defaults.commands_waiting)?,
        commands_by_user: count("commands_by_user", MAX_COMMANDS_BY_USER, defaults.commands_by_user)?,
        computations_waiting: count(
            "computations_waiting",
            MAX_COMPUTATIONS_WAITING,
            defaults.computations_waiting,
        )?,
        log_bytes: section
            .optional("log_bytes", |item| item.integer(MIN_LOG_BYTES, MAX_LOG_BYTES))?
            .map_or(defaults.log_bytes, i64::unsigned_abs),
        log_files: section
            .optional("log_files", |item| item.integer(1, MAX_LOG_FILES))?
            .and_then(|count| usize::try_from(count).ok()),
        shutdown_grace: section
            .optional("shutdown_grace", |item| item.duration(MAX_SHUTDOWN_GRACE))?
            .unwrap_or(defaults.shutdown_grace),
    })
}

/// Requests in a second.
pub(super) fn rate(item: &Item<'_>) -> Result<u32, Fault> {
    let rate = item.integer(1, MAX_REQUESTS_PER_SECOND.into())?;
    Ok(u32::try_from(rate).unwrap_or(MAX_REQUESTS_PER_SECOND))
}

/// The files of the log, for `[server]`.
#[derive(Default)]
pub(super) struct LogPaths {
    /// The log itself.
    pub(super) log: Option<PathBuf>,
    /// Who may read its files.
    pub(super) access: LogAccess,
    /// The state that seals it.
    pub(super) seal: Option<PathBuf>,
}

/// A relative path lies beside the configuration.
pub(super) fn server(item: &Item<'_>, directory: &Path) -> Result<LogPaths, Fault> {
    let section = item.section(&["log", "log_mode", "log_group", "seal", "jail"])?;
    let path = |key| section.optional(key, |item| Ok(directory.join(file(item)?)));
    let access = LogAccess {
        mode: section.optional("log_mode", log_mode)?,
        group: section.optional("log_group", log_group)?,
    };
    Ok(LogPaths { log: path("log")?, access, seal: path("seal")? })
}

/// Permissions as chmod(1) spells them. Others may read the log, and nobody but the server writes it.
fn log_mode(item: &Item<'_>) -> Result<u32, Fault> {
    let text = item.string()?;
    match u32::from_str_radix(text, 8) {
        Ok(mode) if LOG_MODES.contains(&mode) && (3..=4).contains(&text.len()) => Ok(mode),
        _ => Err(item.fault(
            "must be \"0600\", \"0640\" (its group may read the log) or \"0644\" (everyone may); nobody but the server writes it",
        )),
    }
}

/// A group of this machine, by name or number.
fn log_group(item: &Item<'_>) -> Result<u32, Fault> {
    let name = item.string()?;
    match account::group(name) {
        Ok(Some(group)) => Ok(group),
        Ok(None) => Err(item.fault(format!("names {}, and there is no such group", shown(name)))),
        Err(error) => Err(item.fault(format!("cannot be looked up in /etc/group: {error}"))),
    }
}

/// The listeners. Each one says how it is protected, so that nothing becomes plain text by an omission.
pub(super) fn listeners(item: &Item<'_>, directory: &Path) -> Result<Vec<Listener>, Fault> {
    let items = item.list()?;
    if let Some(excess) = items.get(MAX_LISTENERS) {
        return Err(excess.fault(format!("is one too many; a server has at most {MAX_LISTENERS} listeners")));
    }
    items.iter().map(|item| listener(item, directory)).collect()
}

fn listener(item: &Item<'_>, directory: &Path) -> Result<Listener, Fault> {
    let section = item.section(&["endpoint", "key", "plain"])?;
    let endpoint = section.required("endpoint")?;
    let plain = section.optional("plain", Item::boolean)?.unwrap_or(false);
    let protection = match (section.get("key"), plain) {
        (Some(key), false) => Protection::Key(directory.join(file(&key)?)),
        (None, true) => Protection::Plain,
        (Some(_), true) => return Err(section.fault(format!("`{}` has a key and is plain", item.name))),
        (None, false) => {
            return Err(item.fault(
                "must name the server's `key`, a certificate of `bidden keygen`, or say `plain = true`, which serves this machine alone",
            ));
        }
    };
    check_listening(endpoint.string()?, plain)
        .map_err(|error| endpoint.fault(format!("cannot be: {error}")))?;
    Ok(Listener { endpoint: endpoint.string()?.to_owned(), protection })
}

/// A file's name.
fn file<'d>(item: &Item<'d>) -> Result<&'d str, Fault> {
    match item.string()? {
        "" => Err(item.fault("must name a file")),
        path => Ok(path),
    }
}
