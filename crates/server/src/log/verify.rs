//! Whether a log is as it was written: every record follows the one before it, through all files, and every seal bears
//! out what stands before it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use wire::json::{Respelled, read};

use super::archive::{ATTEMPTS, LogFile, log_files, open_lines};
use super::line::push_hex;
use super::seal::{KeyName, Keys, Seal, SealingState, VerificationKey};
use crate::limits::MAX_EPOCHS;

/// What a log is held against.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The first keys of the states that sealed it. Without any, seals are counted and not checked.
    pub keys: Vec<VerificationKey>,
    /// The sealing state, which tells whether the end of the log is there. It must have been read before the log is.
    pub state: Option<SealingState>,
}

/// A log that is unbroken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The number of the first record that is there.
    pub first: u64,
    /// The number of the last.
    pub last: u64,
    /// How many files hold them.
    pub files: usize,
    /// The SHA-256 of the last line, in hexadecimal: what the next record will name.
    pub hash: String,
    /// The last seal, if there is one.
    pub sealed: Option<SealedUpTo>,
}

/// The last seal of a log, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedUpTo {
    /// The number of the record that is the seal.
    pub record: u64,
    /// When it was made.
    pub time: String,
    /// The number of the seal, from 0.
    pub epoch: u64,
    /// The key that it is made with.
    pub key: KeyName,
    /// Whether keys were there to check the seals with: all of them are right then.
    pub checked: bool,
    /// Whether a state was there to show that no later seal was cut off.
    pub complete: bool,
}

/// Why a log cannot be trusted, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The system refuses.
    #[error("{path}: {source}")]
    Io {
        /// The file or the directory.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no record.
    #[error("{0} has no record")]
    Empty(String),
    /// The chain is broken.
    #[error("{path}:{line}: {what}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        what: String,
    },
    /// The chain holds, and seals are missing.
    #[error("{path}: {what}")]
    Unsealed {
        /// The log.
        path: String,
        /// What is missing.
        what: String,
    },
}

/// How long a line may take to be written.
const MOMENT: Duration = Duration::from_millis(10);

#[derive(Deserialize)]
struct Link<'l> {
    seq: u64,
    prev: &'l str,
    #[serde(default)]
    event: &'l str,
}

/// Checks the chain of the log at `path` and of the files that it was rotated into, and its seals. The log may be written,
/// rotated and compressed meanwhile.
///
/// # Errors
/// It is broken, empty or cannot be read.
pub fn verify(path: &Path, evidence: &Evidence) -> Result<Verified, VerifyError> {
    let mut chain = Chain { verified: None, seals: Seals::held_against(evidence) };
    let mut attempts = 0;
    loop {
        let files =
            log_files(path).map_err(|source| VerifyError::Io { path: path.display().to_string(), source })?;
        let mut moved = false;
        for file in chain.unread(&files) {
            moved = !chain.read(file, attempts >= ATTEMPTS)?;
            if moved {
                attempts = attempts.saturating_add(1);
                break;
            }
            attempts = 0;
        }
        if !moved {
            break;
        }
    }
    let Chain { verified, seals } = chain;
    let verified = verified.ok_or_else(|| VerifyError::Empty(path.display().to_string()))?;
    let sealed =
        seals.end().map_err(|what| VerifyError::Unsealed { path: path.display().to_string(), what })?;
    Ok(Verified { sealed, ..verified })
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> VerifyError + use<> {
    let path = path.display().to_string();
    move |source| VerifyError::Io { path, source }
}

/// The chain as far as it has been read.
struct Chain<'e> {
    verified: Option<Verified>,
    seals: Seals<'e>,
}

impl Chain<'_> {
    /// The files with records that have not been read.
    fn unread<'f>(&self, files: &'f [LogFile]) -> &'f [LogFile] {
        let Some(verified) = &self.verified else { return files };
        let is_read = |index: usize| match files.get(index.saturating_add(1)) {
            Some(next) => next.first <= verified.last.saturating_add(1),
            None => files.get(index).is_none_or(|last| last.first <= verified.last),
        };
        let read = (0..files.len()).take_while(|index| is_read(*index)).count();
        files.get(read..).unwrap_or_default()
    }

    /// Reads a file, if it goes on where the chain has been read to and still has the name that it was found under, or if
    /// it is what there is.
    fn read(&mut self, file: &LogFile, as_it_is: bool) -> Result<bool, VerifyError> {
        let expected = self.verified.as_ref().map_or(file.first, |verified| verified.last.saturating_add(1));
        let mut lines = match open_lines(&file.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !as_it_is => return Ok(false),
            lines => lines.map_err(failed(&file.path))?,
        };
        let mut text = Vec::new();
        for number in 1.. {
            lines.read(&mut text).map_err(failed(&file.path))?;
            if text.is_empty() {
                break;
            }
            for _ in 1..ATTEMPTS {
                if text.ends_with(b"\n") {
                    break;
                }
                // It may just be written.
                std::thread::sleep(MOMENT);
                lines.read_on(&mut text).map_err(failed(&file.path))?;
            }
            let broken = |what: String| VerifyError::Broken { path: file.path.clone(), line: number, what };
            let Some(line) = text.strip_suffix(b"\n") else {
                return Err(broken(
                    "the last line is cut off; the next start of the server removes it".to_owned(),
                ));
            };
            if number == 1 && !as_it_is {
                let first = read(line, &mut Respelled::default()).ok().map(|record: Link<'_>| record.seq);
                if [Some(file.first), Some(expected)] != [first, first] {
                    return Ok(false);
                }
            }
            self.take(line).map_err(broken)?;
        }
        if let Some(verified) = &mut self.verified {
            verified.files = verified.files.saturating_add(1);
        }
        Ok(true)
    }

    fn take(&mut self, line: &[u8]) -> Result<(), String> {
        let mut respelled = Respelled::default();
        let record: Link<'_> =
            read(line, &mut respelled).map_err(|error| format!("this is no record: {error}"))?;
        match &mut self.verified {
            None => {
                if record.seq == 1 && record.prev.bytes().any(|byte| byte != b'0') {
                    return Err("the first record names one before it".to_owned());
                }
                let (first, last, hash) = (record.seq, record.seq, hash(line));
                self.verified = Some(Verified { first, last, files: 0, hash, sealed: None });
                self.seals.first_record = record.seq;
            }
            Some(before) => {
                let expected = before.last.saturating_add(1);
                if record.seq != expected {
                    return Err(format!("record {} stands where {expected} is expected", record.seq));
                }
                if record.prev != before.hash {
                    return Err(format!("record {} was not written after the line before it", record.seq));
                }
                before.last = record.seq;
                before.hash = hash(line);
            }
        }
        if record.event == "sealed" {
            self.seals.check(record.seq, line)?;
        }
        Ok(())
    }
}

/// The seals of a log while it is read.
struct Seals<'e> {
    evidence: &'e Evidence,
    first_record: u64,
    /// Those of the state that the last seal comes from.
    keys: Option<Keys>,
    last: Option<SealedUpTo>,
}

impl<'e> Seals<'e> {
    fn held_against(evidence: &'e Evidence) -> Self {
        Self { evidence, first_record: 0, keys: None, last: None }
    }

    fn check(&mut self, record: u64, line: &[u8]) -> Result<(), String> {
        let seal = Seal::read(line).ok_or_else(|| format!("record {record} is no seal of bidden's"))?;
        let before = self.last.as_ref().filter(|last| last.key == seal.key);
        let expected = match before {
            Some(last) => last.epoch.saturating_add(1),
            // Where the oldest files are gone, the seals in them are too.
            None if self.last.is_none() && self.first_record > 1 => seal.epoch,
            None => 0,
        };
        if seal.epoch != expected {
            return Err(format!("seal {} stands where seal {expected} is expected", seal.epoch));
        }
        if !self.evidence.keys.is_empty() {
            self.check_mac(record, &seal)?;
        }
        self.last = Some(SealedUpTo {
            record,
            time: seal.time.to_owned(),
            epoch: seal.epoch,
            checked: !self.evidence.keys.is_empty(),
            complete: false,
            key: seal.key,
        });
        Ok(())
    }

    fn check_mac(&mut self, record: u64, seal: &Seal<'_>) -> Result<(), String> {
        if self.keys.as_ref().is_none_or(|keys| *keys.name() != seal.key) {
            let given = self.evidence.keys.iter().map(Keys::from_first).find(|keys| *keys.name() == seal.key);
            self.keys = Some(given.ok_or_else(|| {
                format!("record {record} is sealed with the key {}, which is none of those given", seal.key)
            })?);
        }
        if seal.epoch > MAX_EPOCHS {
            return Err(format!("seal {} is later than any server comes to", seal.epoch));
        }
        if self.keys.as_mut().is_some_and(|keys| keys.made(seal)) {
            return Ok(());
        }
        let from = self.last.as_ref().map_or(self.first_record, |last| last.record);
        Err(format!(
            "record {record} is no seal of the server's: it was altered, or one of the records from {from} on was"
        ))
    }

    /// Whether all seals are there that the state says have been made.
    fn end(mut self) -> Result<Option<SealedUpTo>, String> {
        let Some(state) = &self.evidence.state else {
            return match self.last {
                None if !self.evidence.keys.is_empty() => Err(
                    "a key is given, and the log has no seal: it was never sealed, or all seals were removed"
                        .to_owned(),
                ),
                last => Ok(last),
            };
        };
        let of_state = self.last.as_ref().filter(|last| last.key == *state.name());
        let found = of_state.map_or(0, |last| last.epoch.saturating_add(1));
        if found < state.epoch() {
            return Err(format!(
                "the end is missing: by the sealing state {} seals have been made with the key {}, and the log ends with \
                 {found}",
                state.epoch(),
                state.name()
            ));
        }
        if !self.evidence.keys.is_empty() {
            let name = state.name();
            // The keys of the seals have gone past that of a state that was read before the last of them was made.
            let keys = self.keys.take().filter(|keys| keys.name() == name && found <= state.epoch());
            let given = || self.evidence.keys.iter().map(Keys::from_first).find(|keys| keys.name() == name);
            let mut keys = keys.or_else(given).ok_or_else(|| {
                format!("the sealing state is of the key {name}, which is none of those given")
            })?;
            if state.epoch() > MAX_EPOCHS || !keys.made_state(state) {
                return Err("the sealing state does not come from the key: it was replaced".to_owned());
            }
        }
        Ok(self.last.map(|last| SealedUpTo { complete: true, ..last }))
    }
}

fn hash(line: &[u8]) -> String {
    let mut hex = Vec::new();
    push_hex(&mut hex, &Sha256::digest(line));
    String::from_utf8_lossy(&hex).into_owned()
}
