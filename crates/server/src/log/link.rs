//! What chains a record to the one before it, read by its place in the line, whatever stands between.

use sha2::{Digest as _, Sha256};

use super::line::push_hex;

/// The links of one record.
pub(super) struct Link<'l> {
    pub(super) sequence: u64,
    pub(super) event: &'l str,
    /// The hash of the line before, as it is spelled.
    pub(super) previous: &'l str,
}

/// Where a file of the log ends: what the first record of the next one must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) sequence: u64,
    pub(super) hash: [u8; 32],
}

impl<'l> Link<'l> {
    /// None where the line, without its newline, is no record.
    pub(super) fn read(line: &'l [u8]) -> Option<Self> {
        const PREVIOUS: &[u8] = b",\"prev\":\"";
        let rest = line.strip_prefix(b"{\"seq\":")?;
        let (digits, rest) = rest.split_at_checked(rest.iter().position(|byte| !byte.is_ascii_digit())?)?;
        let sequence = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let (_, rest) = until_quote(rest.strip_prefix(b",\"time\":\"")?)?;
        let (event, rest) = until_quote(rest.strip_prefix(b",\"event\":\"")?)?;
        let rest = rest.strip_suffix(b"\"}")?;
        let at = memchr::memrchr(b'"', rest)?.checked_add(1)?;
        let (before, previous) = rest.split_at_checked(at)?;
        let is_hash = before.ends_with(PREVIOUS) && previous.iter().all(u8::is_ascii_hexdigit);
        let text = |bytes: &'l [u8]| std::str::from_utf8(bytes).ok();
        is_hash.then_some(Self { sequence, event: text(event)?, previous: text(previous)? })
    }
}

impl End {
    /// The end of a file whose last line this is, without its newline.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        Link::read(line).map(|link| Self { sequence: link.sequence, hash: hash(line) })
    }

    /// Whether a record of this number, which names this hash, was written right after it.
    pub(super) fn precedes(&self, sequence: u64, previous: &str) -> bool {
        sequence == self.sequence.saturating_add(1) && previous == hex(&self.hash)
    }
}

/// The SHA-256 of a line, as the next record names it.
pub(super) fn hash(line: &[u8]) -> [u8; 32] {
    Sha256::digest(line).into()
}

pub(super) fn hex(hash: &[u8; 32]) -> String {
    let mut hex = Vec::new();
    push_hex(&mut hex, hash);
    String::from_utf8_lossy(&hex).into_owned()
}

fn until_quote(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (before, behind) = text.split_at_checked(memchr::memchr(b'"', text)?)?;
    Some((before, behind.get(1..)?))
}
