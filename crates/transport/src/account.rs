//! An account of this machine at the other end of a Unix socket, as the kernel names it (`SO_PEERCRED`, unix(7)).

use std::sync::Arc;

use omq::Message;
use omq::engine::PeerDriverData;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use crate::stream::Gone;

/// Who connected to a Unix socket. The kernel noted it at that moment; nothing that the client sends can change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The effective user of the process that connected.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Its number; for the log, never for a decision, because another process may have it by now.
    pub pid: Option<u32>,
}

/// A connection of an account after its handshake. Messages to it go straight to the task that writes to it.
#[derive(Debug)]
pub(crate) struct AccountLink {
    /// Unique while its listener lives.
    pub(crate) number: u64,
    pub(crate) endpoint: Arc<str>,
    pub(crate) is_req: bool,
    pub(crate) messages: mpsc::Sender<PeerDriverData>,
    pub(crate) cut: CancellationToken,
}

impl AccountLink {
    /// Returns the message if there is no room for it now. One for a connection that is gone is gone with it.
    pub(crate) fn try_send(&self, message: Message) -> Result<(), Message> {
        match self.messages.try_send(PeerDriverData::SendMessage(message)) {
            Err(TrySendError::Full(PeerDriverData::SendMessage(message))) => Err(message),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    pub(crate) async fn send(&self, message: Message) -> Result<(), Gone> {
        self.messages.send(PeerDriverData::SendMessage(message)).await.map_err(|_| Gone)
    }
}
