//! What work ends in, when it ends well.

use bytes::Bytes;
use wire::{End, Output};

/// A result.
pub(crate) enum Outcome {
    /// The value of an expression, as JSON.
    Value { json: String, type_name: &'static str },
    /// What the user may do, as JSON.
    Description { json: String },
    /// The values of an expression over columns, as little-endian doubles, and their SHA-256 for the log.
    Column { rows: u64, bytes: Bytes, sha256: [u8; 32] },
    /// The end of a command.
    Ended { output: Output<'static>, end: End },
}
