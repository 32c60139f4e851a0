//! Who sent a message, as far as the transport can vouch for it.

use std::net::SocketAddr;
use std::sync::Arc;

use wire::PublicKey;

use crate::link::{Account, Link};

/// The other end of the connection that a frame came by.
#[derive(Clone, Debug)]
pub struct Peer {
    link: Arc<Link>,
    sender: Sender,
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

/// One of those who share the server, for counting what each of them holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Share {
    Local,
    Key([u8; 32]),
    Account(u32),
}

impl Sender {
    pub(crate) fn share(&self) -> Share {
        match self {
            Self::Local => Share::Local,
            Self::Key(key) => Share::Key(key.0),
            Self::Account(account) => Share::Account(account.uid),
        }
    }
}

impl Peer {
    pub(crate) fn new(link: Arc<Link>, sender: Sender) -> Self {
        Self { link, sender }
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
        &self.link.endpoint
    }

    /// The address that it connected from; for the log, never for a decision. A Unix socket has none.
    pub fn address(&self) -> Option<SocketAddr> {
        self.link.address
    }

    /// Whether it can take more than one message for a request. A REQ cannot. Of a client behind a device this says
    /// nothing: the peer is the device.
    pub fn may_stream(&self) -> bool {
        !self.link.is_req
    }

    /// The number of its connection, unique while its listener lives.
    pub(crate) fn connection(&self) -> u64 {
        self.link.number
    }
}
