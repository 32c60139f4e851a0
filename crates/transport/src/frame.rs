//! What comes out of a socket, and the way back to whoever sent it.

use std::time::Instant;

use bytes::Bytes;
use omq::Message;

use crate::envelope::Envelope;
use crate::limits::MAX_REQUEST_FRAMES;
use crate::peer::Peer;

/// One message of a client.
#[derive(Debug)]
pub struct Frame {
    /// Who sent it.
    pub peer: Peer,
    /// The first frame behind its envelope, unless there are more than the protocol knows.
    pub body: Option<Bytes>,
    /// The frames behind the body.
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
    pub(crate) envelope: Envelope,
}

impl Frame {
    /// A message is a body and its attachments behind an envelope, which may have no frames. One that holds nothing but
    /// an envelope asks for nothing: sockets with `ZMQ_PROBE_ROUTER` send such a message when they connect.
    pub(crate) fn new(listener: usize, peer: Peer, message: Message, arrived: Instant) -> Option<Self> {
        let envelope = Envelope::of(&message);
        let frames = message.len();
        let first = envelope.len();
        let (body, attachments) = match frames.checked_sub(first) {
            None | Some(0) => return None,
            Some(1) if first == 0 => (message.into_bytes().ok(), Vec::new()),
            Some(1..=MAX_REQUEST_FRAMES) => {
                let attachments = first.saturating_add(1)..frames;
                let attachments = attachments.filter_map(|index| message.part_bytes(index)).collect();
                (message.part_bytes(first), attachments)
            }
            Some(_) => (None, Vec::new()),
        };
        let return_path = ReturnPath { listener, peer: peer.clone(), envelope };
        Some(Self { peer, body, attachments, return_path, arrived })
    }
}
