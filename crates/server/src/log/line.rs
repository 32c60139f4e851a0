//! One line of the log: what every record carries, around what this one has to say.

use std::fmt::Display;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use wire::PublicKey;
use wire::json::StrictJson;

use super::escape::{push_json, push_text};

/// What is spelled without quotes, backslashes and control characters.
pub(crate) trait Word: Display {}

impl Word for SocketAddr {}
impl Word for IpAddr {}
/// The alphabet of Z85 (RFC 32) has none of them.
impl Word for PublicKey {}

/// A record while it is written.
pub(crate) struct Line<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Line<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>, sequence: u64, clock: &mut Clock) -> Self {
        let start = out.len();
        out.extend_from_slice(b"{\"seq\":");
        out.extend_from_slice(itoa::Buffer::new().format(sequence).as_bytes());
        out.extend_from_slice(b",\"time\":\"");
        clock.push_now(out);
        out.push(b'"');
        Self { out, start }
    }

    /// A key with a text, which may hold anything.
    pub(crate) fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        push_text(self.out, text);
    }

    /// A key with a number.
    pub(crate) fn number(&mut self, key: &str, number: u64) {
        self.key(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// A key with a network address or a public key: a word that needs no escape.
    pub(crate) fn word(&mut self, key: &str, word: &impl Word) {
        self.key(key);
        // Writing into memory cannot fail.
        let _ = write!(self.out, "\"{word}\"");
    }

    /// A key with a JSON value, which may hold any character that JSON permits.
    pub(crate) fn json(&mut self, key: &str, json: &StrictJson<'_>) {
        self.key(key);
        push_json(self.out, json.as_bytes());
    }

    /// A key with bytes in hexadecimal.
    pub(crate) fn hex(&mut self, key: &str, bytes: &[u8]) {
        self.key(key);
        self.out.push(b'"');
        push_hex(self.out, bytes);
        self.out.push(b'"');
    }

    /// A key with a list of texts.
    pub(crate) fn texts(&mut self, key: &str, texts: &[String]) {
        self.key(key);
        self.out.push(b'[');
        for (index, text) in texts.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            push_text(self.out, text);
        }
        self.out.push(b']');
    }

    /// The record as far as it is written.
    pub(super) fn so_far(&self) -> &[u8] {
        self.out.get(self.start..).unwrap_or_default()
    }

    fn key(&mut self, key: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// Closes the record with the hash of the line before it, and returns its own.
    pub(super) fn end(mut self, previous: &[u8; 32]) -> [u8; 32] {
        self.hex("prev", previous);
        self.out.push(b'}');
        let hash = Sha256::digest(self.so_far());
        self.out.push(b'\n');
        hash.into()
    }
}

/// Appends bytes in lower-case hexadecimal.
pub(crate) fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let digit =
        |nibble: u8| if nibble < 10 { b'0' | nibble } else { b'a'.wrapping_add(nibble).wrapping_sub(10) };
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]));
}

/// The time of a record as RFC 3339 in UTC with microseconds. The part down to the second is kept from one record to
/// the next, because most fall into the same second.
#[derive(Default)]
pub(super) struct Clock {
    second: Option<i64>,
    text: String,
}

impl Clock {
    fn push_now(&mut self, out: &mut Vec<u8>) {
        let now = Timestamp::now();
        if self.second != Some(now.as_second()) {
            self.second = Some(now.as_second());
            self.text = now.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        }
        out.extend_from_slice(self.text.as_bytes());
        let mut microseconds = *b".000000Z";
        let mut rest = now.subsec_microsecond().unsigned_abs();
        for digit in microseconds.iter_mut().skip(1).take(6).rev() {
            *digit = b'0' | (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(&microseconds);
    }
}
