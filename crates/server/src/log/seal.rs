//! Sealing: records that bear a MAC under a key which is erased afterwards, so that not even somebody who takes the
//! machine over can alter what was sealed before. Each key makes the next, and none leads back (as in journald's
//! Forward Secure Sealing; Bellare and Yee, "Forward integrity for secure audit logs", 1997).

mod last;
mod state;

use std::fmt;
use std::io;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::line::{Line, push_hex};

pub(super) use last::last_seal;
pub use state::{SealError, Sealer, SealingState, create_sealing_state, read_sealing_state};

/// What keeps one use of a key from being taken for another.
const NEXT_KEY: &[u8] = b"bidden log: the next key";
const SEAL: &[u8] = b"bidden log: a seal";
const NAME: &[u8] = b"bidden log: the name of a key";

const KEY_BYTES: usize = 32;
const HMAC_BLOCK_BYTES: usize = 64;
const NAME_BYTES: usize = 8;

/// The first key, from which all others follow: what is kept away from the server to verify its log.
#[derive(Clone)]
pub struct VerificationKey(Key);

/// The key of one epoch.
#[derive(Clone)]
struct Key(Zeroizing<[u8; KEY_BYTES]>);

/// What a chain of keys is called, in hexadecimal. It tells nothing of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName(String);

/// A seal as the log has it.
pub(super) struct Seal<'l> {
    pub(super) key: KeyName,
    pub(super) epoch: u64,
    pub(super) time: &'l str,
    mac: &'l str,
    /// The hash of the line before.
    previous: &'l str,
    /// What stands before the MAC.
    sealed: &'l [u8],
}

impl VerificationKey {
    /// Reads what [`Self::reveal`] spells.
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }

    /// The key in hexadecimal, to be shown once.
    pub fn reveal(&self) -> Zeroizing<String> {
        self.0.to_hex()
    }

    /// What this key and those that follow from it are called.
    pub fn name(&self) -> KeyName {
        let mut hex = Vec::new();
        push_hex(&mut hex, self.0.mac(&[NAME]).get(..NAME_BYTES).unwrap_or_default());
        KeyName(String::from_utf8_lossy(&hex).into_owned())
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "VerificationKey({}, ...)", self.name())
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl KeyName {
    fn parse(text: &str) -> Option<Self> {
        let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 2 * NAME_BYTES && text.bytes().all(is_hex)).then(|| Self(text.to_owned()))
    }
}

impl Key {
    fn random() -> io::Result<Self> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        let filled = rustix::rand::getrandom(key.as_mut_slice(), rustix::rand::GetRandomFlags::empty())?;
        if filled == KEY_BYTES { Ok(Self(key)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// The key of the next epoch.
    fn next(&self) -> Self {
        Self(self.mac(&[NEXT_KEY]))
    }

    fn mac(&self, parts: &[&[u8]]) -> Zeroizing<[u8; KEY_BYTES]> {
        // HMAC fills a key up with zeros to a block of its hash.
        let mut block = Zeroizing::new([0; HMAC_BLOCK_BYTES]);
        block.iter_mut().zip(self.0.iter()).for_each(|(to, from)| *to = *from);
        let mut hmac = Hmac::<Sha256>::new((&*block).into());
        for part in parts {
            hmac.update(part);
        }
        Zeroizing::new(hmac.finalize().into_bytes().into())
    }

    fn to_hex(&self) -> Zeroizing<String> {
        // With room for all of it, so that no copy stays where it grew out of.
        let mut hex = Zeroizing::new(Vec::with_capacity(2 * KEY_BYTES));
        push_hex(&mut hex, self.0.as_slice());
        let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES));
        text.extend(hex.iter().copied().map(char::from));
        text
    }
}

/// Writes what a seal says into a record; `previous` is the hash of the line before it.
pub(super) fn write(line: &mut Line<'_>, sealer: &Sealer, previous: &[u8; 32]) {
    line.text("event", "sealed");
    line.text("sealing_key", &sealer.name().0);
    line.number("epoch", sealer.epoch());
    let mac = sealer.key().mac(&[SEAL, previous, line.so_far()]);
    line.hex("mac", mac.as_slice());
}

impl<'l> Seal<'l> {
    /// Reads a record that is a seal, spelled exactly as a server spells it.
    pub(super) fn read(line: &'l [u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Spelled<'l> {
            #[serde(rename = "seq")]
            _sequence: u64,
            time: &'l str,
            event: &'l str,
            sealing_key: &'l str,
            epoch: u64,
            mac: &'l str,
            prev: &'l str,
        }
        let spelled: Spelled<'l> = serde_json::from_slice(line).ok()?;
        let end = format!(",\"mac\":\"{}\",\"prev\":\"{}\"}}", spelled.mac, spelled.prev);
        let sealed = line.strip_suffix(end.as_bytes())?;
        let (key, epoch, time) = (KeyName::parse(spelled.sealing_key)?, spelled.epoch, spelled.time);
        (spelled.event == "sealed").then_some(Self {
            key,
            epoch,
            time,
            mac: spelled.mac,
            previous: spelled.prev,
            sealed,
        })
    }

    /// Whether it was made with this key.
    fn is_made_with(&self, key: &Key) -> bool {
        let (Some(previous), Some(mac)) = (from_hex(self.previous), from_hex(self.mac)) else { return false };
        *key.mac(&[SEAL, previous.0.as_slice(), self.sealed]) == *mac.0
    }
}

/// The keys of one chain, in the order of their epochs.
pub(super) struct Keys {
    name: KeyName,
    epoch: u64,
    key: Key,
}

impl Keys {
    pub(super) fn from_first(first: &VerificationKey) -> Self {
        Self { name: first.name(), epoch: 0, key: first.0.clone() }
    }

    pub(super) fn name(&self) -> &KeyName {
        &self.name
    }

    /// Whether a seal was made with the key of its epoch, which does not come before that of any seal asked for earlier.
    pub(super) fn made(&mut self, seal: &Seal<'_>) -> bool {
        self.go_to(seal.epoch) && seal.is_made_with(&self.key)
    }

    /// Whether a state holds the key of its epoch, which is not earlier than the last seal that was asked for.
    pub(super) fn made_state(&mut self, state: &SealingState) -> bool {
        state.name == self.name && self.go_to(state.epoch) && *self.key.0 == *state.key.0
    }

    fn go_to(&mut self, epoch: u64) -> bool {
        while self.epoch < epoch {
            self.key = self.key.next();
            self.epoch = self.epoch.saturating_add(1);
        }
        self.epoch == epoch
    }
}

fn from_hex(text: &str) -> Option<Key> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit & 0xf),
        b'a'..=b'f' => Some((digit & 0xf).wrapping_add(9)),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if pairs.len() != key.len() {
        return None;
    }
    for (byte, [high, low]) in key.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(Key(key))
}

#[cfg(test)]
mod tests;
