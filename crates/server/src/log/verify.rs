//! Whether a log is as it was written: every record follows the one before it, through all files, and every seal bears
//! out what stands before it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::archive::{ATTEMPTS, Care, Lines, LogFile, Next, Nothing, is_damage, list, open_lines, resolved};
use super::findings::Finding;
use super::link::{End, Link, hash, hex};
use super::seal::{KeyName, Keys, Seal, SealingState, VerificationKey};
use crate::limits::{MAX_EPOCHS, MAX_LISTINGS};

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
    #[error("cannot read {path}")]
    Io {
        /// The file or the directory.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no file.
    #[error("there is no log {0}, and no rotated file of it")]
    Missing(String),
    /// There is no record.
    #[error("{0} has no record")]
    Empty(String),
    /// There is something else.
    #[error("{0} is not a log of bidden")]
    NoLog(String),
    /// The chain is broken.
    #[error("{path}:{line}: {what}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        what: String,
        /// What was found before.
        before: Vec<Finding>,
    },
    /// What is there is unbroken, and it is not all.
    #[error("{}", findings.first().map(ToString::to_string).unwrap_or_default())]
    Incomplete {
        /// What is wrong, one thing at least.
        findings: Vec<Finding>,
        /// What is there, without the records that are missing.
        verified: Box<Verified>,
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

/// How long a line may take to be written, or a file to get its next name.
const MOMENT: Duration = Duration::from_millis(10);

/// Checks the chain of the log at `path` and of the files that it was rotated into, and its seals. The log may be written,
/// rotated and compressed meanwhile.
///
/// # Errors
/// It is broken, incomplete, empty or cannot be read.
pub fn verify(path: &Path, evidence: &Evidence) -> Result<Verified, VerifyError> {
    match verify_with(Care::Quick, path, evidence) {
        // Perhaps a copy or a file of another log was taken for one of this log.
        Err(VerifyError::Broken { .. } | VerifyError::Incomplete { .. } | VerifyError::Unsealed { .. }) => {
            verify_with(Care::Thorough, path, evidence)
        }
        verified => verified,
    }
}

fn verify_with(care: Care, path: &Path, evidence: &Evidence) -> Result<Verified, VerifyError> {
    let look = || match list(path, care) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(VerifyError::Missing(shown(path))),
        listing => listing.map_err(failed(path)),
    };
    let mut chain = Chain::held_against(evidence);
    let mut listing = look()?;
    let (mut attempts, mut listings) = (0, 0);
    while let Some(next) = listing.next_after(chain.end.as_ref().map(|end| end.sequence)) {
        let is_last_attempt = attempts >= ATTEMPTS || listings >= MAX_LISTINGS;
        let is_read = match next {
            Next::AfterGap(_) if !is_last_attempt => false,
            Next::AfterGap(file) => {
                chain.skip_to(file);
                chain.read(file, is_last_attempt)?
            }
            Next::Follows(file) => chain.read(file, is_last_attempt)?,
        };
        if is_read {
            attempts = 0;
        } else {
            // It is about to get another name, or has one by now. Every attempt is counted, so that this ends.
            attempts = attempts.saturating_add(1);
            listings = listings.saturating_add(1);
            std::thread::sleep(MOMENT);
            listing = look()?;
        }
    }
    let Chain { first, end, files, seals, mut findings, .. } = chain;
    let Some(End { sequence: last, hash }) = end else {
        return Err(match listing.nothing(path) {
            Ok(Nothing::NoRecord) => VerifyError::Empty(shown(path)),
            Ok(Nothing::NoLog) => VerifyError::NoLog(shown(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => VerifyError::Missing(shown(path)),
            Err(source) => VerifyError::Io { path: shown(path), source },
        });
    };
    listing.explain(&resolved(path), first, &mut findings);
    let verified = Verified { first, last, files, hash: hex(&hash), sealed: None };
    match seals.end() {
        Ok(sealed) if findings.is_empty() => Ok(Verified { sealed, ..verified }),
        Ok(sealed) => {
            Err(VerifyError::Incomplete { findings, verified: Box::new(Verified { sealed, ..verified }) })
        }
        Err(what) if findings.is_empty() => Err(VerifyError::Unsealed { path: shown(path), what }),
        Err(what) => {
            findings.push(Finding::OutOfPlace {
                path: path.to_owned(),
                what: format!("is not sealed as it should be: {what}"),
            });
            Err(VerifyError::Incomplete { findings, verified: Box::new(verified) })
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> VerifyError + use<> {
    let path = shown(path);
    move |source| VerifyError::Io { path, source }
}

/// The chain as far as it has been read.
struct Chain<'e> {
    first: u64,
    end: Option<End>,
    files: usize,
    /// The file that was read last.
    last_file: Option<PathBuf>,
    /// Records are missing before the next one, which names a line that nobody has.
    is_after_gap: bool,
    seals: Seals<'e>,
    findings: Vec<Finding>,
}

impl<'e> Chain<'e> {
    fn held_against(evidence: &'e Evidence) -> Self {
        Self {
            first: 0,
            end: None,
            files: 0,
            last_file: None,
            is_after_gap: false,
            seals: Seals::held_against(evidence),
            findings: vec![],
        }
    }

    fn expected(&self, file: &LogFile) -> u64 {
        self.end.as_ref().map_or(file.first, |end| end.sequence.saturating_add(1))
    }

    /// Goes on at a file that does not follow.
    fn skip_to(&mut self, file: &LogFile) {
        let Some(end) = &mut self.end else { return };
        self.findings.push(Finding::gap(end.sequence, self.last_file.as_deref(), file));
        end.sequence = file.first.saturating_sub(1);
        self.is_after_gap = true;
        self.seals.is_after_gap = true;
    }

    /// Reads a file, if it goes on where the chain has been read to and still has the name that it was found under, or if
    /// it is what there is.
    fn read(&mut self, file: &LogFile, as_it_is: bool) -> Result<bool, VerifyError> {
        let expected = self.expected(file);
        let mut lines = match open_lines(&file.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !as_it_is => return Ok(false),
            lines => lines.map_err(failed(&file.path))?,
        };
        let mut text = Vec::new();
        for number in 1.. {
            let damage = match lines.read(&mut text).and_then(|()| wait_for_its_end(&mut lines, &mut text)) {
                Ok(()) if text.is_empty() => break,
                Ok(()) => None,
                Err(error) if is_damage(&error) => Some(error.to_string()),
                Err(error) => return Err(failed(&file.path)(error)),
            };
            let last = self.end.as_ref().map_or(0, |end| end.sequence);
            if let Some(reason) = damage {
                self.findings.push(Finding::Damaged { path: file.path.clone(), last, reason });
                break;
            }
            let Some(line) = text.strip_suffix(b"\n") else {
                if file.is_written {
                    let what = "the last line is cut off; the next start of the server removes it";
                    return Err(self.broken(file, number, what.to_owned()));
                }
                self.findings.push(Finding::cut_off(&file.path, last));
                break;
            };
            if number == 1 && !as_it_is {
                let first = Link::read(line).map(|link| link.sequence);
                if [Some(file.first), Some(expected)] != [first, first] {
                    return Ok(false);
                }
            }
            self.take(line).map_err(|what| self.broken(file, number, what))?;
        }
        self.files = self.files.saturating_add(1);
        self.last_file = Some(file.path.clone());
        Ok(true)
    }

    fn broken(&self, file: &LogFile, line: u64, what: String) -> VerifyError {
        VerifyError::Broken { path: file.path.clone(), line, what, before: self.findings.clone() }
    }

    fn take(&mut self, line: &[u8]) -> Result<(), String> {
        let Some(record) = Link::read(line) else {
            return Err("this is no record as bidden writes it".to_owned());
        };
        match &self.end {
            None => {
                if record.sequence == 1 && record.previous.bytes().any(|byte| byte != b'0') {
                    return Err("the first record names one before it".to_owned());
                }
                self.first = record.sequence;
                self.seals.first_record = record.sequence;
            }
            Some(before) => {
                let expected = before.sequence.saturating_add(1);
                if record.sequence != expected {
                    return Err(format!("record {} stands where {expected} is expected", record.sequence));
                }
                if !self.is_after_gap && !before.precedes(record.sequence, record.previous) {
                    return Err(format!(
                        "record {} was not written after the line before it",
                        record.sequence
                    ));
                }
            }
        }
        self.is_after_gap = false;
        self.end = Some(End { sequence: record.sequence, hash: hash(line) });
        match record.event {
            "sealed" => self.seals.check(record.sequence, line)?,
            "log_continued" => self.findings.iter_mut().for_each(|finding| finding.explain(line)),
            _ => {}
        }
        Ok(())
    }
}

/// The end of a line may just be written.
fn wait_for_its_end(lines: &mut Lines, line: &mut Vec<u8>) -> io::Result<()> {
    for _ in 1..ATTEMPTS {
        if line.is_empty() || line.ends_with(b"\n") {
            break;
        }
        std::thread::sleep(MOMENT);
        lines.read_on(line)?;
    }
    Ok(())
}

/// The seals of a log while it is read.
struct Seals<'e> {
    evidence: &'e Evidence,
    first_record: u64,
    /// Those of the state that the last seal comes from.
    keys: Option<Keys>,
    last: Option<SealedUpTo>,
    /// Seals may be missing with other records.
    is_after_gap: bool,
}

impl<'e> Seals<'e> {
    fn held_against(evidence: &'e Evidence) -> Self {
        Self { evidence, first_record: 0, keys: None, last: None, is_after_gap: false }
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
        let may_be_later = std::mem::take(&mut self.is_after_gap);
        if seal.epoch < expected || seal.epoch > expected && !may_be_later {
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
