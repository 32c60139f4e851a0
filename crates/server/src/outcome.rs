//! What work ends in, when it ends well.

use std::sync::Arc;

use bytes::Bytes;
use wire::{Output, Streamed};

use crate::jobs::Ended;

/// A result.
pub(crate) enum Outcome {
    /// The value of an expression, as JSON.
    Value { json: String, type_name: &'static str },
    /// What the server says of itself, as JSON; the log does not keep it.
    Told { json: String, type_name: &'static str, needs_record: bool },
    /// The values of an expression over columns, as little-endian doubles, and their SHA-256 for the log.
    Column { rows: u64, bytes: Bytes, sha256: [u8; 32] },
    /// A job runs, and its client does not wait for it.
    Running { output: Option<Output<'static>> },
    /// The end of a job, which has a record of its own, and what was sent of its output before.
    Ended { ended: Arc<Ended>, streamed: Option<Streamed> },
}
