//! What the log will say of a request, gathered while it goes its way, so that a refusal at any stage leaves as much
//! in the log as was known by then.

use std::sync::Arc;
use std::time::Instant;

use transport::{Frame, Peer, Sender};
use wire::RequestId;

use crate::limits::MAX_LOGGED_EXCERPT_BYTES;
use crate::log::Line;
use crate::policy::User;

/// The notes on one request.
pub(crate) struct Entry<'f> {
    pub(crate) arrived: Instant,
    pub(crate) peer: &'f Peer,
    pub(crate) user: Option<Arc<User>>,
    pub(crate) id: Option<RequestId>,
    pub(crate) asked: Asked<'f>,
    pub(crate) job: Option<String>,
}

/// The request itself, as far as it was understood.
pub(crate) enum Asked<'f> {
    /// Not one frame.
    Shapeless,
    /// Bytes that are not JSON.
    Bytes(&'f [u8]),
    /// A JSON object, known to be well formed.
    Json(&'f [u8]),
}

impl<'f> Entry<'f> {
    pub(crate) fn new(frame: &'f Frame) -> Self {
        let asked = frame.body.as_deref().map_or(Asked::Shapeless, Asked::Bytes);
        Self { arrived: frame.arrived, peer: &frame.peer, user: None, id: None, asked, job: None }
    }

    /// Writes who asked for what.
    pub(crate) fn write(&self, line: &mut Line<'_>) {
        if let Some(user) = &self.user {
            line.text("user", &user.name);
        }
        if let Sender::Key(key) = self.peer.sender() {
            line.word("key", &key);
            line.text("listener", self.peer.listener());
        }
        if let Some(address) = self.peer.address() {
            line.word("peer", &address);
        }
        match self.asked {
            Asked::Shapeless => {}
            Asked::Json(json) => line.json("request", json),
            Asked::Bytes(bytes) => {
                let excerpt = bytes.get(..MAX_LOGGED_EXCERPT_BYTES).unwrap_or(bytes);
                line.text("request_text", &String::from_utf8_lossy(excerpt));
                line.number("request_bytes", bytes.len() as u64);
            }
        }
    }
}
