//! First stage: who is this?
//!
//! The answer comes from the connection that the frame arrived by, never from the frame's content.

use transport::Frame;

use crate::entry::Entry;
use crate::user::User;

/// A frame whose sender is known.
pub(crate) struct Authenticated<'f> {
    user: User,
    frame: &'f Frame,
}

impl<'f> Authenticated<'f> {
    pub(crate) fn into_parts(self) -> (User, &'f Frame) {
        (self.user, self.frame)
    }
}

/// Names the sender. A plain-text listener accepts connections from this machine alone, so that everyone who sends a
/// frame is the user `local`.
pub(crate) fn authenticate<'f>(frame: &'f Frame, entry: &mut Entry<'f>) -> Authenticated<'f> {
    let user = User::Local;
    entry.user = Some(user);
    Authenticated { user, frame }
}
