//! The way to one client, and who it is where the kernel knows. Messages go straight to the task that writes to it.

use std::net::SocketAddr;
use std::sync::Arc;

use omq::Message;
use omq::engine::PeerDriverData;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use crate::meter::Meter;
use crate::stream::Gone;

/// Who connected to a Unix socket. The kernel noted it at that moment (`SO_PEERCRED`, unix(7)); nothing that the
/// client sends can change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The effective user of the process that connected.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Its number; for the log, never for a decision, because another process may have it by now.
    pub pid: Option<u32>,
}

/// A connection after its handshake.
#[derive(Debug)]
pub(crate) struct Link {
    /// Unique while its listener lives.
    pub(crate) number: u64,
    pub(crate) endpoint: Arc<str>,
    /// A Unix socket has none.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) is_req: bool,
    pub(crate) messages: mpsc::Sender<PeerDriverData>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) cut: CancellationToken,
}

impl Link {
    /// Returns the message if there is no room for it now. One for a connection that is gone is gone with it.
    pub(crate) fn try_send(&self, message: Message) -> Result<(), Message> {
        match self.messages.try_reserve() {
            Ok(room) => {
                self.meter.ordered(message.len());
                room.send(PeerDriverData::SendMessage(message));
                Ok(())
            }
            Err(TrySendError::Full(())) => Err(message),
            Err(TrySendError::Closed(())) => Ok(()),
        }
    }

    /// Waits for room.
    pub(crate) async fn send(&self, message: Message) -> Result<(), Gone> {
        let room = self.messages.reserve().await.map_err(|_| Gone)?;
        self.meter.ordered(message.len());
        room.send(PeerDriverData::SendMessage(message));
        Ok(())
    }

    /// Ends the connection.
    pub(crate) fn disconnect(&self) {
        self.cut.cancel();
    }
}
