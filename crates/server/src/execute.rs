//! Sixth stage: do it. One match over the closed set of work.

mod columns;
mod command;
mod computation;
mod deliver;
mod question;
mod spelling;
mod worker;

use std::rc::Rc;

use transport::Listeners;
use wire::Delivery;

use crate::admit::{Admitted, Task};
use crate::entry::Entry;
use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::service::Service;
use deliver::Client;

/// Does the work, in place where it is short.
pub(crate) async fn execute(
    admitted: Admitted<'_>,
    service: &Rc<Service>,
    listeners: &Listeners,
    entry: &mut Entry,
) -> Result<Outcome, Refusal> {
    let (user, task, _waits) = admitted.into_parts();
    match task {
        Task::Start { job, execution, place } => {
            entry.job = Some(Rc::clone(&job.name));
            let delivery = execution.delivery;
            let live = (delivery == Delivery::Stream).then(|| job.attach());
            let running = command::run(Rc::clone(service), Rc::clone(&job), *execution, place, entry.clone());
            tokio::task::spawn_local(running);
            let client = Client::new(service, listeners, entry, None);
            // Boxed, so that a computation does not carry the room that this future takes.
            Box::pin(deliver::deliver(client, &job, delivery, live)).await
        }
        Task::Await { job, execution } => {
            entry.job = Some(Rc::clone(&job.name));
            let client = Client::new(service, listeners, entry, execution.timeout);
            Box::pin(deliver::deliver(client, &job, execution.delivery, None)).await
        }
        Task::Compute(computation) => computation::evaluate(computation, service, &user.name).await,
        Task::Tell(question) => {
            Box::pin(question::answer(question, &user.name, service, listeners, entry)).await
        }
    }
}
