//! The sealing state: the file with the key of the present epoch, and with no earlier one.
//!
//! The file has two places. The next key is written into the one that is free, and reaches the disk, before the one
//! before it is overwritten: whatever ends the machine in between, one whole key is there. Nothing grows, so that a full
//! disk does not matter.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use owner::ForeignOwner;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{Key, KeyName, Seal, VerificationKey, from_hex, push_hex};
use crate::log::MODE;
use crate::log::archive::directory_of;

/// Far enough apart that no disk writes both at once.
const PLACE_BYTES: usize = 4096;
const PLACES: [u64; 2] = [0, PLACE_BYTES as u64];

const FORMAT: &str = "bidden-seal-1";
const CHECK_BYTES: usize = 8;

/// What a secret must not permit.
const GROUP_AND_OTHERS: u32 = 0o077;

/// Why a sealing state cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The system refuses.
    #[error("the sealing state {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// There is none.
    #[error("there is no sealing state {0}; `bidden log keygen {0}` makes one")]
    Missing(String),
    /// It is never overwritten.
    #[error("{0} exists already, and a sealing state is never overwritten: the log that it sealed needs it")]
    Exists(String),
    /// Others may have read the key.
    #[error(
        "{path} holds a secret, and others can read it (mode {mode:04o}); run `chmod 600` on it, and make a new one with \
         `bidden log keygen` if anyone has"
    )]
    ReadableByOthers {
        /// The file.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// Somebody else could have put the key there.
    #[error("{path} {reason}: whoever owns it may know the key")]
    Foreign {
        /// The file.
        path: String,
        /// Whose it is.
        reason: ForeignOwner,
    },
    /// Another server holds it.
    #[error("the sealing state {0} is in use by another bidden server")]
    InUse(String),
    /// It holds something else.
    #[error("{0} is no sealing state, as `bidden log keygen` makes it")]
    Malformed(String),
    /// The log is another one than it sealed.
    #[error(
        "{log} does not go on from what {state} has sealed: {what}. If the log was moved away on purpose, make a new \
         sealing state with `bidden log keygen`; if not, somebody has removed records"
    )]
    OtherLog {
        /// The log.
        log: String,
        /// The state's file.
        state: String,
        /// What does not fit.
        what: String,
    },
}

/// A sealing state as it stands in its file.
pub struct SealingState {
    pub(super) name: KeyName,
    pub(super) epoch: u64,
    pub(super) key: Key,
}

/// The right to seal a log: an open sealing state that no other server uses.
pub struct Sealer {
    file: File,
    path: String,
    state: SealingState,
    place: u64,
    /// The key has made a seal, so that the next thing to do is to go on from it.
    used: bool,
}

/// Makes a sealing state, and returns the key that verifies what it will seal.
///
/// # Errors
/// The file exists or cannot be made.
pub fn create_sealing_state(path: &Path) -> Result<VerificationKey, SealError> {
    let shown = || path.display().to_string();
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => SealError::Exists(shown()),
        _ => SealError::Io { path: shown(), source },
    };
    let key = VerificationKey(Key::random().map_err(failed)?);
    let state = SealingState { name: key.name(), epoch: 0, key: key.0.clone() };
    let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path).map_err(failed)?;
    let [first, second] = PLACES;
    let written = file
        .write_all_at(&state.spelled(), first)
        .and_then(|()| file.write_all_at(&blank(), second))
        .and_then(|()| file.sync_all())
        .and_then(|()| File::open(directory_of(path))?.sync_all());
    written.map_err(|source| {
        // Half a state is of no use; if it cannot be removed, the next attempt says that it exists.
        let _ = std::fs::remove_file(path);
        failed(source)
    })?;
    Ok(key)
}

/// Reads a sealing state that a server may be using.
///
/// # Errors
/// It is missing or none, or others can read it.
pub fn read_sealing_state(path: &Path) -> Result<SealingState, SealError> {
    let file = open(path, OpenOptions::new().read(true))?;
    read(&file, path).map(|(state, _)| state)
}

impl SealingState {
    /// What its keys are called.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// How many seals have been made with its keys.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn spelled(&self) -> Zeroizing<Vec<u8>> {
        let mut text = Zeroizing::new(Vec::with_capacity(PLACE_BYTES));
        // Writing into memory cannot fail.
        let _ = write!(text, "{FORMAT} {} {} {} ", self.name, self.epoch, *self.key.to_hex());
        let check = check(&text);
        push_hex(&mut text, &check);
        text.push(b'\n');
        text.resize(PLACE_BYTES, b'\n');
        text
    }

    pub(super) fn parse(place: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(place.split(|byte| *byte == b'\n').next()?).ok()?;
        let (text, checked) = line.rsplit_once(' ')?;
        let mut expected = Vec::new();
        push_hex(&mut expected, &check(line.get(..text.len().saturating_add(1))?.as_bytes()));
        if checked.as_bytes() != expected {
            return None;
        }
        let mut words = text.split(' ');
        let (format, name, epoch, key) = (words.next()?, words.next()?, words.next()?, words.next()?);
        if format != FORMAT || words.next().is_some() {
            return None;
        }
        Some(Self { name: KeyName::parse(name)?, epoch: epoch.parse().ok()?, key: from_hex(key)? })
    }
}

impl std::fmt::Debug for SealingState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SealingState({}, epoch {}, ...)", self.name, self.epoch)
    }
}

impl Sealer {
    /// Opens a sealing state for one server alone.
    ///
    /// # Errors
    /// It is missing, in use or none, or others can read it.
    pub fn open(path: &Path) -> Result<Self, SealError> {
        let file = open(path, OpenOptions::new().read(true).write(true))?;
        let shown = path.display().to_string();
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SealError::InUse(shown)),
            Err(TryLockError::Error(source)) => return Err(SealError::Io { path: shown, source }),
        }
        let (state, place) = read(&file, path)?;
        let sealer = Self { file, path: shown, state, place, used: false };
        // The server before may not have come to it.
        sealer.erase(sealer.free_place()).map_err(|source| sealer.failed(source))?;
        Ok(sealer)
    }

    pub(super) fn name(&self) -> &KeyName {
        &self.state.name
    }

    pub(super) fn epoch(&self) -> u64 {
        self.state.epoch
    }

    pub(super) fn key(&self) -> &Key {
        &self.state.key
    }

    pub(in crate::log) fn is_used(&self) -> bool {
        self.used
    }

    pub(in crate::log) fn set_used(&mut self) {
        self.used = true;
    }

    /// Holds the last seal of a log against this state. Where a server ended between a seal and the key after it, that
    /// key is still to come, which is said by `true`.
    pub(in crate::log) fn has_made(&self, log: &Path, last: Option<&Seal<'_>>) -> Result<bool, SealError> {
        let other = |what: String| {
            Err(SealError::OtherLog { log: log.display().to_string(), state: self.path.clone(), what })
        };
        let epoch = self.epoch();
        let last = last.filter(|seal| epoch > 0 || seal.key == *self.name());
        match last {
            None if epoch == 0 => Ok(false),
            None => other(format!("it has made {epoch} seals, and the log has none")),
            Some(seal) if seal.key != *self.name() => {
                other(format!("the last seal is of another key, {}", seal.key))
            }
            Some(seal) if seal.epoch == epoch && seal.is_made_with(self.key()) => Ok(true),
            Some(seal) if seal.epoch == epoch => other("the last seal was not made with its key".to_owned()),
            Some(seal) if seal.epoch.checked_add(1) == Some(epoch) => Ok(false),
            Some(seal) => other(format!(
                "its last seal would be number {}, and that of the log is number {}",
                epoch.saturating_sub(1),
                seal.epoch
            )),
        }
    }

    /// Goes on to the next key, and erases the present one from the disk and from memory.
    ///
    /// # Errors
    /// The disk refuses. Then this state must not seal any more before it has been opened again.
    pub(in crate::log) fn advance(&mut self) -> Result<(), SealError> {
        let next = SealingState {
            name: self.state.name.clone(),
            epoch: self.state.epoch.saturating_add(1),
            key: self.state.key.next(),
        };
        let free = self.free_place();
        let written = self
            .file
            .write_all_at(&next.spelled(), free)
            .and_then(|()| self.file.sync_data())
            .and_then(|()| self.erase(self.place));
        written.map_err(|source| self.failed(source))?;
        (self.state, self.place, self.used) = (next, free, false);
        Ok(())
    }

    fn erase(&self, place: u64) -> io::Result<()> {
        self.file.write_all_at(&blank(), place)?;
        self.file.sync_data()
    }

    fn free_place(&self) -> u64 {
        let [first, second] = PLACES;
        if self.place == first { second } else { first }
    }

    fn failed(&self, source: io::Error) -> SealError {
        SealError::Io { path: self.path.clone(), source }
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Sealer({}, {:?})", self.path, self.state)
    }
}

fn open(path: &Path, options: &OpenOptions) -> Result<File, SealError> {
    let shown = path.display().to_string();
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => SealError::Missing(path.display().to_string()),
        _ => SealError::Io { path: path.display().to_string(), source },
    };
    let file = options.open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(SealError::Malformed(shown));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & GROUP_AND_OTHERS != 0 {
        return Err(SealError::ReadableByOthers { path: shown, mode });
    }
    match owner::check(&metadata) {
        Ok(()) => Ok(file),
        Err(reason) => Err(SealError::Foreign { path: shown, reason }),
    }
}

/// The state and its place. Where two are there, because the erasing was cut short, the later one counts.
fn read(file: &File, path: &Path) -> Result<(SealingState, u64), SealError> {
    let shown = || path.display().to_string();
    let mut found: Option<(SealingState, u64)> = None;
    for place in PLACES {
        let mut bytes = Zeroizing::new([0; PLACE_BYTES]);
        match file.read_exact_at(bytes.as_mut_slice(), place) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(SealError::Malformed(shown()));
            }
            Err(source) => return Err(SealError::Io { path: shown(), source }),
            Ok(()) => {}
        }
        let state = SealingState::parse(bytes.as_slice());
        let later = |state: &SealingState| found.as_ref().is_none_or(|(best, _)| best.epoch < state.epoch);
        if let Some(state) = state.filter(later) {
            found = Some((state, place));
        }
    }
    found.ok_or_else(|| SealError::Malformed(shown()))
}

fn blank() -> Vec<u8> {
    vec![b'\n'; PLACE_BYTES]
}

/// Tells a place that was written as a whole from one that was not.
fn check(text: &[u8]) -> [u8; CHECK_BYTES] {
    let hash: [u8; 32] = Sha256::digest(text).into();
    let mut check = [0; CHECK_BYTES];
    check.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    check
}
