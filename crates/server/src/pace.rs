//! Second stage: may this user ask again so soon? It is asked before anything of a request is read, so that a request which is
//! refused later costs its sender as much as any other.

mod rate;
mod refusals;

use std::sync::Arc;

use transport::Frame;
use wire::{Action, decode_request};

use crate::authenticate::Authenticated;
use crate::config::Limits;
use crate::entry::Entry;
use crate::policy::User;
use crate::refusal::Refusal;
use rate::Rates;
pub(crate) use refusals::{Refusals, Told};

/// A frame whose sender may ask now.
pub(crate) struct Paced<'f> {
    user: Arc<User>,
    frame: &'f Frame,
}

impl<'f> Paced<'f> {
    pub(crate) fn into_parts(self) -> (Arc<User>, &'f Frame) {
        (self.user, self.frame)
    }
}

/// How much each user has asked lately.
pub(crate) struct Paces {
    requests: Rates,
    bytes: Rates,
    cancels: Rates,
    limits: Limits,
}

impl Paces {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { requests: Rates::default(), bytes: Rates::default(), cancels: Rates::default(), limits }
    }
}

/// Takes what the request costs of what its user may ask.
pub(crate) fn pace<'f>(
    authenticated: Authenticated<'f>,
    paces: &Paces,
    entry: &mut Entry,
) -> Result<Paced<'f>, Refusal> {
    let (user, frame) = authenticated.into_parts();
    let now = frame.arrived;
    let rate = user.requests_per_second.or(paces.limits.requests_per_second);
    let body = frame.body.as_deref().unwrap_or_default();
    let asked = match rate {
        Some(rate) => paces.requests.take(&user.name, 1, rate.into(), now),
        None => Ok(()),
    };
    let bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
    let sent = paces.bytes.take(&user.name, bytes, paces.limits.request_bytes_per_second, now);
    if let (Err(wait), _) | (_, Err(wait)) = (asked, sent) {
        let request = decode_request(body);
        entry.id = request.as_ref().map_or_else(|error| error.id.clone(), |request| request.id.clone());
        // Whoever asks too often can still end what he has begun, as often as he may ask.
        let is_cancel = request.is_ok_and(|request| matches!(request.action, Action::Cancel(_)));
        let rate = rate.unwrap_or(u32::MAX).into();
        if !is_cancel || paces.cancels.take(&user.name, 1, rate, now).is_err() {
            return Err(Refusal::busy_for("you ask too often", wait));
        }
    }
    Ok(Paced { user, frame })
}
