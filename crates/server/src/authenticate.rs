//! First stage: who is this?
//!
//! The answer comes from the connection that the frame arrived by, never from the frame's content, and it is asked for
//! every frame: a user who is removed or whose time is over is nobody from the next message on.

use std::sync::Arc;

use jiff::Timestamp;
use transport::{Frame, Sender};
use wire::ErrorCode;

use crate::entry::Entry;
use crate::policy::{Policy, User};
use crate::refusal::Refusal;

/// A frame whose sender is known.
pub(crate) struct Authenticated<'f> {
    user: Arc<User>,
    frame: &'f Frame,
}

impl<'f> Authenticated<'f> {
    pub(crate) fn into_parts(self) -> (Arc<User>, &'f Frame) {
        (self.user, self.frame)
    }
}

/// Names the sender, or refuses one who is nobody before anything of the frame is read.
pub(crate) fn authenticate<'f>(
    frame: &'f Frame,
    policy: &Policy,
    now: Timestamp,
    entry: &mut Entry,
) -> Result<Authenticated<'f>, Refusal> {
    let user = match frame.peer.sender() {
        Sender::Account(account) => policy
            .user_of_account(&account)
            .ok_or_else(|| nobody("no user has this account's uid or group any more"))?,
        Sender::Local => policy.local(),
        Sender::Key(key) => {
            policy.user_of_key(&key).ok_or_else(|| nobody("no user has this key any more"))?
        }
    };
    entry.user = Some(Arc::clone(user));
    if user.has_expired(now) {
        return Err(nobody("the user's time is over (`not_after`)"));
    }
    Ok(Authenticated { user: Arc::clone(user), frame })
}

fn nobody(reason: &'static str) -> Refusal {
    Refusal::closed(ErrorCode::Refused, "nothing is available to you", reason)
}
