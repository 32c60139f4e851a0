//! Who sent a message, as far as the transport can vouch for it.

use std::net::SocketAddr;

use omq::Identity;

/// The other end of the connection that a frame came by.
#[derive(Clone, Debug)]
pub struct Peer(Identity);

impl Peer {
    pub(crate) fn new(identity: Identity) -> Self {
        Self(identity)
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0
    }

    /// The address that it connected from; for the log, never for a decision.
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.peer_info().peer_address
    }

    /// The number of its connection, unique while the listener lives.
    pub fn connection(&self) -> u64 {
        self.0.peer_info().connection_id
    }
}
