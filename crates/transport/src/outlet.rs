//! The way out of a listener: through the library's ROUTER, or straight to the connection of an account.

use omq::{IdentitySocket, Message, TrySendError};

use crate::peer::{Link, Peer};
use crate::stream::Gone;

/// Sends to the peers of one listener.
#[derive(Clone)]
pub(crate) enum Outlet {
    /// By routing id.
    Router(IdentitySocket),
    /// Each peer has its own way.
    Accounts,
}

impl Outlet {
    /// Returns the message if there is no room for it now. One for a peer that is gone is gone with it.
    pub(crate) fn try_send(&self, peer: &Peer, message: Message) -> Result<(), Message> {
        match (self, peer.link()) {
            (Self::Router(socket), Link::Routed(identity)) => match socket.try_send_to(identity, message) {
                Err(TrySendError::Full(message)) => Err(message),
                Ok(()) | Err(_) => Ok(()),
            },
            (Self::Accounts, Link::Account(link)) => link.try_send(message),
            // The peer of another listener.
            _ => Ok(()),
        }
    }

    /// Waits for room.
    pub(crate) async fn send(&self, peer: &Peer, message: Message) -> Result<(), Gone> {
        match (self, peer.link()) {
            (Self::Router(socket), Link::Routed(identity)) => {
                socket.send_to(identity, message).await.map_err(|_| Gone)
            }
            (Self::Accounts, Link::Account(link)) => link.send(message).await,
            _ => Err(Gone),
        }
    }

    /// Ends the connection of a peer.
    pub(crate) fn disconnect(&self, peer: &Peer) {
        match (self, peer.link()) {
            (Self::Router(socket), Link::Routed(_)) => {
                let (socket, connection) = (socket.clone(), peer.connection());
                tokio::task::spawn_local(async move { socket.disconnect_peer(connection).await });
            }
            (Self::Accounts, Link::Account(link)) => link.cut.cancel(),
            _ => {}
        }
    }
}
