//! What the log will say of a request, gathered while it goes its way, so that a refusal at any stage leaves as much
//! in the log as was known by then.

use std::rc::Rc;
use std::sync::Arc;

use transport::{Frame, Sender};
use wire::RequestId;

use crate::limits::MAX_LOGGED_EXCERPT_BYTES;
use crate::log::Line;
use crate::policy::User;

/// The notes on one request.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) frame: Rc<Frame>,
    pub(crate) user: Option<Arc<User>>,
    pub(crate) id: Option<RequestId>,
    pub(crate) asked: Asked,
    pub(crate) job: Option<Rc<str>>,
}

/// The request itself, as far as it was understood.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// Bytes that are not JSON, or not one frame.
    Bytes,
    /// A JSON object, known to be well formed.
    Json,
}

impl Entry {
    pub(crate) fn new(frame: Rc<Frame>) -> Self {
        Self { frame, user: None, id: None, asked: Asked::Bytes, job: None }
    }

    /// Writes who asked for what.
    pub(crate) fn write(&self, line: &mut Line<'_>) {
        if let Some(user) = &self.user {
            line.text("user", &user.name);
        }
        let peer = &self.frame.peer;
        if let Sender::Key(key) = peer.sender() {
            line.word("key", &key);
            line.text("listener", peer.listener());
        }
        if let Some(address) = peer.address() {
            line.word("peer", &address);
        }
        let Some(body) = self.frame.body.as_deref() else { return };
        match self.asked {
            Asked::Json => line.json("request", body),
            Asked::Bytes => {
                let excerpt = body.get(..MAX_LOGGED_EXCERPT_BYTES).unwrap_or(body);
                line.text("request_text", &String::from_utf8_lossy(excerpt));
                line.number("request_bytes", body.len() as u64);
            }
        }
    }
}
