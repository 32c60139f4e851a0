//! What work ends in, when it ends well.

use bytes::Bytes;
use wire::{End, Output};

/// A result.
pub(crate) enum Outcome {
    /// The value of an expression, or what the server says of itself, as JSON.
    Value { json: String, type_name: &'static str },
    /// The values of an expression over columns, as little-endian doubles, and their SHA-256 for the log.
    Column { rows: u64, bytes: Bytes, sha256: [u8; 32] },
    /// The end of a command.
    Ended { output: Output<'static>, end: End },
}
