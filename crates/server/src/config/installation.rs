//! `[server]`, `[[listeners]]` and `[limits]`: what belongs to this machine rather than to its users.

use std::path::{Path, PathBuf};
use std::time::Duration;

use transport::limits::MAX_LISTENERS;
use transport::{
    Access, AccountSocket, CertificateError, ListenError, SocketFileError, SocketMode, check_listening,
    listening_address, read_key_pair, socket_path,
};

use super::confinement::group;
use super::problem::{Fault, shown};
use super::section::{Item, Section};
use crate::limits::{
    COMMANDS_AT_ONCE, COMMANDS_BY_USER, COMMANDS_WAITING, COMPUTATIONS_WAITING, LOG_BYTES,
    MAX_COMMANDS_AT_ONCE, MAX_COMMANDS_BY_USER, MAX_COMMANDS_WAITING, MAX_COMPUTATIONS_WAITING,
    MAX_LOG_BYTES, MAX_LOG_FILES, MAX_REQUEST_BYTES_PER_SECOND, MAX_REQUESTS_PER_SECOND, MAX_SHUTDOWN_GRACE,
    MIN_LOG_BYTES, MIN_REQUEST_BYTES_PER_SECOND, REQUEST_BYTES_PER_SECOND, SHUTDOWN_GRACE,
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
    /// By the kernel, which names the account of whoever connects to a Unix socket with these permissions.
    Accounts(SocketMode),
}

/// The permissions of a Unix socket that says nothing of them: its owner alone, or a group that is named.
const SOCKET_MODE: u32 = 0o600;
const SOCKET_MODE_WITH_GROUP: u32 = 0o660;

impl Listener {
    /// How an endpoint is protected that stands on the command line and in no configuration.
    pub fn unconfigured(endpoint: String) -> Self {
        let protection = if is_unix(&endpoint) {
            Protection::Accounts(SocketMode { mode: SOCKET_MODE, group: None })
        } else {
            Protection::Plain
        };
        Self { endpoint, protection }
    }

    /// Says whether it can be served here, without taking its place.
    ///
    /// # Errors
    /// The certificate or the endpoint cannot be used.
    pub fn check(&self) -> Result<(), ListenerError> {
        match &self.protection {
            // Whether its directory is right is known to the server alone, which may run as another user.
            Protection::Accounts(_) => Ok(()),
            Protection::Plain | Protection::Key(_) => self.open().map(drop),
        }
    }

    /// Reads the key, where there is one, asks for the address of a name, and binds a Unix socket: all for which files are
    /// opened that a server which has confined itself cannot open. After the launcher has started, so that it holds
    /// neither.
    ///
    /// # Errors
    /// The certificate or the endpoint cannot be used.
    pub fn open(&self) -> Result<(String, Access), ListenerError> {
        let access = match &self.protection {
            Protection::Plain => Access::Plain,
            Protection::Key(path) => Access::Curve(read_key_pair(path)?),
            Protection::Accounts(mode) => {
                let access = Access::Accounts(AccountSocket::bind(&self.endpoint, *mode)?);
                return Ok((self.endpoint.clone(), access));
            }
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
    /// Its file.
    #[error(transparent)]
    File(#[from] SocketFileError),
}

/// The limits that an installation may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Commands that run at once, from 1 to [`MAX_COMMANDS_AT_ONCE`].
    pub commands_at_once: usize,
    /// Requests that a user may send in a second, for whom no other number is said; `None` sets no limit.
    pub requests_per_second: Option<u32>,
    /// Bytes of requests that a user may send in a second, from [`MIN_REQUEST_BYTES_PER_SECOND`] to
    /// [`MAX_REQUEST_BYTES_PER_SECOND`].
    pub request_bytes_per_second: u64,
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
            request_bytes_per_second: REQUEST_BYTES_PER_SECOND,
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
        "request_bytes_per_second",
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
        request_bytes_per_second: section
            .optional("request_bytes_per_second", |item| {
                item.integer(MIN_REQUEST_BYTES_PER_SECOND, MAX_REQUEST_BYTES_PER_SECOND)
            })?
            .map_or(defaults.request_bytes_per_second, i64::unsigned_abs),
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
    let section = item.section(&["log", "log_mode", "log_group", "seal", "jail", "jail_users"])?;
    let path = |key| section.optional(key, |item| Ok(directory.join(file(item)?)));
    let access = LogAccess {
        mode: section.optional("log_mode", log_mode)?,
        group: section.optional("log_group", group)?,
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

/// The listeners. Each one says how it is protected, so that nothing becomes plain text by an omission.
pub(super) fn listeners(item: &Item<'_>, directory: &Path) -> Result<Vec<Listener>, Fault> {
    let items = item.list()?;
    if let Some(excess) = items.get(MAX_LISTENERS) {
        return Err(excess.fault(format!("is one too many; a server has at most {MAX_LISTENERS} listeners")));
    }
    items.iter().map(|item| listener(item, directory)).collect()
}

fn listener(item: &Item<'_>, directory: &Path) -> Result<Listener, Fault> {
    let section = item.section(&["endpoint", "key", "plain", "mode", "group"])?;
    let endpoint = section.required("endpoint")?;
    if is_unix(endpoint.string()?) {
        return unix_listener(&section, &endpoint);
    }
    if let Some(item) = section.get("mode").or_else(|| section.get("group")) {
        return Err(item.fault("has no meaning here: only a Unix socket, `ipc:///PATH`, has a file"));
    }
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

/// Says so of whatever claims to be one, so that a wrong one is told as one.
fn is_unix(endpoint: &str) -> bool {
    endpoint.starts_with("ipc:")
}

fn unix_listener(section: &Section<'_>, endpoint: &Item<'_>) -> Result<Listener, Fault> {
    if let Some(item) = section.get("key").or_else(|| section.get("plain")) {
        return Err(item.fault("has no meaning here: on a Unix socket the kernel says who connects"));
    }
    let text = endpoint.string()?;
    if socket_path(text).is_none() {
        return Err(endpoint
            .fault("must be `ipc:///PATH` with an absolute path, such as ipc:///run/bidden/bidden.sock"));
    }
    let group = section.optional("group", group)?;
    let default = if group.is_some() { SOCKET_MODE_WITH_GROUP } else { SOCKET_MODE };
    let mode = section.optional("mode", mode)?.unwrap_or(default);
    Ok(Listener { endpoint: text.to_owned(), protection: Protection::Accounts(SocketMode { mode, group }) })
}

/// Permissions of a socket: nobody executes one.
fn mode(item: &Item<'_>) -> Result<u32, Fault> {
    let text = item.string()?;
    let is_octal = text.len() == 4 && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && mode & !0o666 == 0);
    mode.ok_or_else(|| {
        item.fault(format!("must be permissions to read and write, such as \"0660\", not {}", shown(text)))
    })
}

/// A file's name.
fn file<'d>(item: &Item<'d>) -> Result<&'d str, Fault> {
    match item.string()? {
        "" => Err(item.fault("must name a file")),
        path => Ok(path),
    }
}
