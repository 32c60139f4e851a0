//! The way of a request, from its frame to its record. Each stage takes what the one before it returns and nothing
//! else, so that a stage which is left out does not compile. A refusal at any stage is recorded like a result.

use std::rc::Rc;

use transport::{Frame, Listeners};

use crate::admit::admit;
use crate::authenticate::authenticate;
use crate::authorise::authorise;
use crate::decode::decode;
use crate::entry::Entry;
use crate::execute::execute;
use crate::outcome::Outcome;
use crate::pace::pace;
use crate::policy::Policy;
use crate::record::{Recorded, record};
use crate::refusal::Refusal;
use crate::service::Service;

/// Takes one request all the way. Events of its job, where it wants them, go to the listener that it came by.
pub(crate) async fn pipeline(service: &Rc<Service>, listeners: &Listeners, frame: Frame) -> Recorded {
    let frame = Rc::new(frame);
    let policy = service.policy();
    let mut entry = Entry::new(Rc::clone(&frame), &policy);
    let result = fulfil(service, listeners, &policy, &frame, &mut entry).await;
    record(service, entry, result)
}

async fn fulfil(
    service: &Rc<Service>,
    listeners: &Listeners,
    policy: &Policy,
    frame: &Frame,
    entry: &mut Entry,
) -> Result<Outcome, Refusal> {
    let authenticated = authenticate(frame, policy, service.now(), entry)?;
    let paced = pace(authenticated, &service.paces, entry)?;
    let decoded = decode(paced, entry)?;
    let authorised = authorise(decoded, policy, entry)?;
    let Service { gate, jobs, log, .. } = &**service;
    let admitted = admit(authorised, gate, jobs, log, service.now(), service.moment())?;
    entry.admitted = true;
    execute(admitted, service, listeners, entry).await
}

#[cfg(test)]
mod tests;
