//! Events of a request that is still being worked on, sent as fast as their client reads them. A sender waits for its
//! own client and for nobody else, and nobody waits for it.

use std::sync::Arc;

use bytes::Bytes;
use omq::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::backlog::Backlogs;
use crate::envelope::Envelope;
use crate::limits::{MAX_UNSENT_STREAM_BYTES, WAITING_EVENT_OVERHEAD};
use crate::outlet::Outlet;
use crate::peer::Peer;

/// The events that go to one client before its reply.
pub struct EventStream {
    /// Nowhere for the return path of another server.
    way: Option<Way>,
    room: Arc<Semaphore>,
}

/// The connection is gone, and with it what was on its way.
#[derive(Debug, thiserror::Error)]
#[error("the client's connection is gone")]
pub struct Gone;

/// The way to a client.
pub(crate) struct Way {
    pub(crate) outlet: Outlet,
    pub(crate) backlogs: Backlogs,
    pub(crate) peer: Peer,
    pub(crate) envelope: Envelope,
}

/// A part of an event, which takes room until the socket lets go of it.
struct Held {
    bytes: Bytes,
    _room: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl EventStream {
    pub(crate) fn new(way: Option<Way>) -> Self {
        Self { way, room: Arc::new(Semaphore::new(MAX_UNSENT_STREAM_BYTES as usize)) }
    }

    /// Hands an event over, as a message of two frames behind the request's envelope. Waits while [`MAX_UNSENT_STREAM_BYTES`] of this stream have not
    /// left the server, and while replies wait on the connection: they go first. Dropping the future sends nothing.
    ///
    /// What was handed over arrives before everything that is sent on the same return path after it. One event alone may
    /// be as long as it likes; the bound is meant for those of [`crate::limits::MAX_EVENT_BYTES`].
    ///
    /// # Errors
    /// The connection is gone, also while this waits. A client that declares its routing id takes the streams that it
    /// began with it to its next connection, as it does with replies.
    pub async fn send(&self, header: Vec<u8>, bytes: Bytes) -> Result<(), Gone> {
        let way = self.way.as_ref().ok_or(Gone)?;
        let room = Arc::clone(&self.room).acquire_many_owned(cost(&way.envelope, &header, &bytes)).await;
        let room = Arc::new(room.map_err(|_| Gone)?);
        let held = |bytes| Bytes::from_owner(Held { bytes, _room: Arc::clone(&room) });
        let body = Message::multipart([held(header.into()), held(bytes)]);
        let message = way.envelope.enclose(body);
        way.backlogs.drained(&way.peer).await;
        way.outlet.send(&way.peer, message).await
    }
}

/// What an event takes of its stream's room.
fn cost(envelope: &Envelope, header: &[u8], bytes: &Bytes) -> u32 {
    let frames = envelope.cost().saturating_add(header.len()).saturating_add(bytes.len());
    let cost = frames.saturating_add(WAITING_EVENT_OVERHEAD);
    u32::try_from(cost).unwrap_or(u32::MAX).min(MAX_UNSENT_STREAM_BYTES)
}
