//! Fifth stage: do it. One match over the closed set of work.

mod columns;
mod command;
mod computation;

use bytes::Bytes;
use wire::{End, Output};

use crate::admit::Admitted;
use crate::authorise::Work;
use crate::entry::Entry;
use crate::refusal::Refusal;
use crate::service::Service;

/// A result.
pub(crate) enum Outcome {
    /// The value of an expression, as JSON.
    Value { json: String, type_name: &'static str },
    /// The values of an expression over columns, as little-endian doubles, and their SHA-256 for the log.
    Column { rows: u64, bytes: Bytes, sha256: [u8; 32] },
    /// The end of a command.
    Ended { output: Output<'static>, end: End },
}

/// Does the work, in place where it is short.
pub(crate) async fn execute(
    admitted: Admitted<'_>,
    service: &Service,
    entry: &mut Entry<'_>,
) -> Result<Outcome, Refusal> {
    let (work, permit) = admitted.into_parts();
    let result = match work {
        // Boxed, so that a computation does not carry the room that a command's future takes.
        Work::Os(plan) => Box::pin(command::run(plan, service, entry)).await,
        Work::Compute(computation) => computation::evaluate(computation, service).await,
    };
    drop(permit);
    result
}
