//! Who sent a message, as far as the transport can vouch for it.

use std::net::SocketAddr;

use omq::{Identity, PeerPublicKey, SocketType};
use wire::PublicKey;

use crate::access::Access;

/// The other end of the connection that a frame came by.
#[derive(Clone, Debug)]
pub struct Peer {
    identity: Identity,
    sender: Sender,
}

/// What is known of who is at the other end, and how surely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Somebody on this machine: the connection is plain text over loopback.
    Local,
    /// Whoever has the secret half of this key: the handshake of the connection has proved it.
    Key(PublicKey),
}

impl Peer {
    /// The peer of a connection, unless it lacks the proof that its listener asks of everyone.
    pub(crate) fn new(identity: Identity, access: &Access) -> Option<Self> {
        let proven = match identity.peer_info().authentication.public_key {
            Some(PeerPublicKey::Curve(key)) => Some(PublicKey(key)),
            _ => None,
        };
        let sender = match access {
            Access::Plain => Sender::Local,
            Access::Curve(_) => Sender::Key(proven?),
        };
        Some(Self { identity, sender })
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Who it is.
    pub fn sender(&self) -> Sender {
        self.sender
    }

    /// The endpoint of the listener that it came by.
    pub fn listener(&self) -> &str {
        &self.identity.peer_info().diagnostics.endpoint
    }

    /// The address that it connected from; for the log, never for a decision.
    pub fn address(&self) -> Option<SocketAddr> {
        self.identity.peer_info().peer_address
    }

    /// Whether it can take more than one message for a request. A REQ cannot. Of a client behind a device this says
    /// nothing: the peer is the device.
    pub fn may_stream(&self) -> bool {
        self.identity.peer_info().peer_properties.socket_type != Some(SocketType::Req)
    }

    /// The number of its connection, unique while its listener lives.
    pub(crate) fn connection(&self) -> u64 {
        self.identity.peer_info().connection_id
    }
}
