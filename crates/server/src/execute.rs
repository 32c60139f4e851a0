//! Fifth stage: do it. One match over the closed set of work.

mod command;
mod computation;

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
    /// What the user may do, as JSON.
    Description { json: String },
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
        Work::Describe(json) => Ok(Outcome::Description { json }),
    };
    drop(permit);
    result
}
