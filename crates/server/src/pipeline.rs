//! The way of a request, from its frame to its record. Each stage takes what the one before it returns and nothing
//! else, so that a stage which is left out does not compile. A refusal at any stage is recorded like a result.

use transport::Frame;

use crate::admit::admit;
use crate::authenticate::authenticate;
use crate::authorise::authorise;
use crate::decode::decode;
use crate::entry::Entry;
use crate::execute::execute;
use crate::outcome::Outcome;
use crate::record::{Recorded, record};
use crate::refusal::Refusal;
use crate::service::Service;

/// Takes one request all the way.
pub(crate) async fn pipeline(service: &Service, frame: Frame) -> Recorded {
    let mut entry = Entry::new(&frame);
    let result = fulfil(service, &frame, &mut entry).await;
    record(&service.log, &frame, &entry, result)
}

async fn fulfil<'f>(service: &Service, frame: &'f Frame, entry: &mut Entry<'f>) -> Result<Outcome, Refusal> {
    let policy = service.policy();
    let authenticated = authenticate(frame, &policy, service.now(), entry)?;
    let decoded = decode(authenticated, entry)?;
    let authorised = authorise(decoded, &policy)?;
    let admitted = admit(authorised, &service.gate, &service.log)?;
    execute(admitted, service, entry).await
}

#[cfg(test)]
mod tests;
