//! bidden.toml: read once, validated as a whole, and refused with the place and the nearest right word.
//!
//! What the file does not say means nothing or the documented default; a key that is not known stops the start.

mod account;
mod argument;
mod command;
mod confinement;
mod expectation;
mod files;
mod installation;
mod launchers;
mod problem;
mod program;
mod secret;
mod section;
mod user;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use confinement::Demand;
pub use expectation::{Answer, Expectation};
pub use installation::{Limits, Listener, Protection};
pub use problem::Problem;

use crate::limits::MAX_CONFIGURATION_BYTES;
use crate::log::LogAccess;
use crate::policy::Policy;
use files::{Document, Files};
use installation::LogPaths;
use problem::{Fault, Source};
use section::Section;

const KEYS: [&str; 7] = ["server", "listeners", "limits", "commands", "roles", "users", "tests"];

/// A configuration that holds.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Where to listen. Empty where the file does not say: then it is up to whoever starts the server.
    pub listeners: Vec<Listener>,
    /// The log's file, if the file names one.
    pub log: Option<PathBuf>,
    /// Who may read the log.
    pub log_access: LogAccess,
    /// The state that seals the log, if the file names one.
    pub seal: Option<PathBuf>,
    /// What is demanded of the jail, if the file says so.
    pub jail: Option<Demand>,
    /// The limits of this installation.
    pub limits: Limits,
    /// Commands and users.
    pub policy: Policy,
    /// The tests that the file holds of itself.
    pub tests: Vec<Expectation>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file as it was named.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Someone else could have written it.
    #[error("{path} can be written by everyone (mode {mode:04o}): who may write it may allow anything")]
    WritableByOthers {
        /// The file as it was named.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// The file is no text.
    #[error("{0} is not UTF-8")]
    NotText(String),
    /// The file is longer than any configuration.
    #[error("{0} is longer than {MAX_CONFIGURATION_BYTES} bytes")]
    TooLong(String),
    /// What it says is wrong.
    #[error("{0}")]
    Wrong(Problems),
}

/// All that is wrong, in the order of the file: never empty.
#[derive(Debug)]
pub struct Problems(Vec<Problem>);

/// One problem a line.
impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl Configuration {
    /// What a server does without a configuration.
    pub fn builtin() -> Self {
        Self {
            listeners: vec![],
            log: None,
            log_access: LogAccess::default(),
            seal: None,
            jail: None,
            limits: Limits::default(),
            policy: Policy::builtin(),
            tests: vec![],
        }
    }

    /// Reads and validates a file.
    ///
    /// # Errors
    /// It cannot be read, or what it says is wrong.
    pub fn read(path: &Path) -> Result<Self, ConfigurationError> {
        let (shown, text) = text_of(path)?;
        Self::parse(&shown, &text)
    }

    /// Reads and validates a file, and returns with it a document of all that was read for it, for
    /// [`Self::of_document`].
    ///
    /// # Errors
    /// It cannot be read, or what it says is wrong.
    pub fn read_with_document(path: &Path) -> Result<(Self, Vec<u8>), ConfigurationError> {
        let (shown, text) = text_of(path)?;
        let files = Files::of_disk();
        let configuration = Self::parse_with(&shown, &text, &files)?;
        let document = serde_json::to_vec(&Document::new(shown.clone(), text, files));
        let document =
            document.map_err(|error| ConfigurationError::Io { path: shown, source: error.into() })?;
        Ok((configuration, document))
    }

    /// The other files that a file names and that decide who a user is.
    ///
    /// # Errors
    /// It cannot be read, or what it says is wrong.
    pub fn certificates_named_in(path: &Path) -> Result<Vec<PathBuf>, ConfigurationError> {
        let (shown, text) = text_of(path)?;
        let files = Files::of_disk();
        Self::parse_with(&shown, &text, &files)?;
        Ok(files.certificates())
    }

    /// Validates what another process has read, without opening any of its files.
    ///
    /// # Errors
    /// It is no such document, or what it says is wrong.
    pub fn of_document(document: &[u8]) -> Result<Self, ConfigurationError> {
        let document: Document = serde_json::from_slice(document).map_err(|error| {
            ConfigurationError::Io { path: "the launcher's configuration".to_owned(), source: error.into() }
        })?;
        let (file, text, files) = document.into_parts();
        Self::parse_with(&file, &text, &files)
    }

    /// Validates a text that stands in `file`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigurationError> {
        Self::parse_with(file, text, &Files::of_disk())
    }

    fn parse_with(file: &str, text: &str, files: &Files) -> Result<Self, ConfigurationError> {
        let source = Source { file, text };
        let mut faults = Vec::new();
        let read = Self::validate(source, files, &mut faults);
        match read {
            Ok(configuration) if faults.is_empty() => return Ok(configuration),
            Ok(_) => {}
            Err(fault) => faults.push(fault),
        }
        faults.sort_by_key(|fault| fault.at);
        let problems = faults.into_iter().map(|fault| source.problem(fault)).collect();
        Err(ConfigurationError::Wrong(Problems(problems)))
    }

    /// Independent faults are gathered; one that leaves nothing to go on with is returned.
    fn validate(source: Source<'_>, files: &Files, faults: &mut Vec<Fault>) -> Result<Self, Fault> {
        let document = DeTable::parse(source.text).map_err(|error| {
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            Fault::new(error.span().map_or(0, |span| span.start), message)
        })?;
        let file = Section::open("", 0, document.get_ref(), files, &KEYS)?;
        let directory = Path::new(source.file).parent().unwrap_or(Path::new(""));
        let paths = file.optional("server", |item| installation::server(item, directory))?;
        let LogPaths { log, access: log_access, seal } = paths.unwrap_or_default();
        let jail = file.optional("server", confinement::demand)?.flatten();
        let listeners = file.optional("listeners", |item| installation::listeners(item, directory))?;
        let limits = file.optional("limits", installation::limits)?.unwrap_or_default();
        let commands =
            file.optional("commands", |item| command::commands(source, item, faults))?.unwrap_or_default();
        if let Some(fault) = faults.pop() {
            // Without all commands every role that names a missing one would seem wrong.
            return Err(fault);
        }
        let roles = file.optional("roles", |item| user::roles(source, item, &commands, faults))?;
        let roles = roles.unwrap_or_else(BTreeMap::new);
        if let Some(fault) = faults.pop() {
            return Err(fault);
        }
        let users = file.optional("users", |item| user::users(source, item, directory, &roles, faults))?;
        let policy = Policy::with_users(commands, users.unwrap_or_default());
        if let Some(fault) = faults.pop() {
            return Err(fault);
        }
        let tests =
            file.optional("tests", |item| expectation::expectations(source, item, &policy, faults))?;
        Ok(Self {
            listeners: listeners.unwrap_or_default(),
            log,
            log_access,
            seal,
            jail,
            limits,
            policy,
            tests: tests.unwrap_or_default(),
        })
    }
}

/// The name and the text of a configuration's file.
fn text_of(path: &Path) -> Result<(String, String), ConfigurationError> {
    let shown = path.display().to_string();
    let failed = |source| ConfigurationError::Io { path: path.display().to_string(), source };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & 0o002 != 0 {
        return Err(ConfigurationError::WritableByOthers { path: shown, mode });
    }
    let mut bytes = Vec::new();
    file.take(MAX_CONFIGURATION_BYTES.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_CONFIGURATION_BYTES {
        return Err(ConfigurationError::TooLong(shown));
    }
    let text = String::from_utf8(bytes).map_err(|_| ConfigurationError::NotText(shown.clone()))?;
    Ok((shown, text))
}

#[cfg(test)]
mod tests;
