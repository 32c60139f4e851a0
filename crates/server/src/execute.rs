//! Fifth stage: do it. One match over the closed set of work.

mod columns;
mod command;
mod computation;
mod spelling;
mod worker;

use crate::admit::Admitted;
use crate::authorise::Work;
use crate::entry::Entry;
use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::service::Service;

/// Does the work, in place where it is short.
pub(crate) async fn execute(
    admitted: Admitted<'_>,
    service: &Service,
    entry: &mut Entry<'_>,
) -> Result<Outcome, Refusal> {
    let (work, permit) = admitted.into_parts();
    let result = match work {
        // Boxed, so that a computation does not carry the room that a command's future takes.
        Work::Os(execution) => Box::pin(command::run(execution, service, entry)).await,
        Work::Compute(computation) => computation::evaluate(computation, service).await,
        Work::Describe(json) => Ok(Outcome::Value { json, type_name: "description" }),
    };
    drop(permit);
    result
}
