//! Who sent a message, as far as the transport can vouch for it.

use std::net::SocketAddr;
use std::sync::Arc;

use omq::{Identity, PeerPublicKey, SocketType};
use wire::PublicKey;

use crate::access::Access;
use crate::account::{Account, AccountLink};

/// The other end of the connection that a frame came by.
#[derive(Clone, Debug)]
pub struct Peer {
    link: Link,
    sender: Sender,
}

/// The connection itself.
#[derive(Clone, Debug)]
pub(crate) enum Link {
    /// One of the library's sockets.
    Routed(Identity),
    /// One of a Unix socket of ours.
    Account(Arc<AccountLink>),
}

/// What is known of who is at the other end, and how surely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Somebody on this machine: the connection is plain text over loopback.
    Local,
    /// Whoever has the secret half of this key: the handshake of the connection has proved it.
    Key(PublicKey),
    /// An account of this machine, which the kernel has named.
    Account(Account),
}

impl Peer {
    /// The peer of a connection of the library's, unless it lacks the proof that its listener asks of everyone.
    pub(crate) fn routed(identity: Identity, access: &Access) -> Option<Self> {
        let proven = match identity.peer_info().authentication.public_key {
            Some(PeerPublicKey::Curve(key)) => Some(PublicKey(key)),
            _ => None,
        };
        let sender = match access {
            Access::Plain => Sender::Local,
            Access::Curve(_) => Sender::Key(proven?),
            // Such a listener has no socket of the library's.
            Access::Accounts(_) => return None,
        };
        Some(Self { link: Link::Routed(identity), sender })
    }

    /// The peer of a connection of a Unix socket.
    pub(crate) fn account(link: Arc<AccountLink>, account: Account) -> Self {
        Self { link: Link::Account(link), sender: Sender::Account(account) }
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// Who it is.
    pub fn sender(&self) -> Sender {
        self.sender
    }

    /// The endpoint of the listener that it came by.
    pub fn listener(&self) -> &str {
        match &self.link {
            Link::Routed(identity) => &identity.peer_info().diagnostics.endpoint,
            Link::Account(link) => &link.endpoint,
        }
    }

    /// The address that it connected from; for the log, never for a decision. A Unix socket has none.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.link {
            Link::Routed(identity) => identity.peer_info().peer_address,
            Link::Account(_) => None,
        }
    }

    /// Whether it can take more than one message for a request. A REQ cannot. Of a client behind a device this says
    /// nothing: the peer is the device.
    pub fn may_stream(&self) -> bool {
        match &self.link {
            Link::Routed(identity) => {
                identity.peer_info().peer_properties.socket_type != Some(SocketType::Req)
            }
            Link::Account(link) => !link.is_req,
        }
    }

    /// The number of its connection, unique while its listener lives.
    pub(crate) fn connection(&self) -> u64 {
        match &self.link {
            Link::Routed(identity) => identity.peer_info().connection_id,
            Link::Account(link) => link.number,
        }
    }
}
