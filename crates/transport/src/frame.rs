//! What comes out of a socket, and the way back to whoever sent it.

use std::time::Instant;

use bytes::Bytes;
use omq::Message;

use crate::limits::MAX_FRAMES;
use crate::peer::Peer;

/// One message of a client.
#[derive(Debug)]
pub struct Frame {
    /// Who sent it.
    pub peer: Peer,
    /// Its first frame, where it is a message that the protocol knows.
    pub body: Option<Bytes>,
    /// The frames after the first.
    pub attachments: Vec<Bytes>,
    /// The way back to the one who sent it.
    pub return_path: ReturnPath,
    /// When it was taken from the socket.
    pub arrived: Instant,
}

/// Where a reply to a frame goes: to the routing id that the frame came from, in the shape that it came in. An id that
/// the client did not declare belongs to its connection alone.
#[derive(Clone, Debug)]
pub struct ReturnPath {
    pub(crate) listener: usize,
    pub(crate) peer: Peer,
    pub(crate) delimiter: bool,
}

impl Frame {
    /// A message is a body and its attachments, with an empty delimiter before them as REQ sends it, or without.
    pub(crate) fn new(listener: usize, peer: Peer, message: Message, arrived: Instant) -> Self {
        let delimiter = message.len() > 1 && message.part_slice(0).is_some_and(<[u8]>::is_empty);
        let frames = message.len();
        let first = usize::from(delimiter);
        let (body, attachments) = if frames == 1 {
            (message.into_bytes().ok(), Vec::new())
        } else if frames <= MAX_FRAMES {
            let attachments = first.saturating_add(1)..frames;
            (message.part_bytes(first), attachments.filter_map(|index| message.part_bytes(index)).collect())
        } else {
            (None, Vec::new())
        };
        let return_path = ReturnPath { listener, peer: peer.clone(), delimiter };
        Self { peer, body, attachments, return_path, arrived }
    }
}
