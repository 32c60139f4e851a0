//! Replies to clients that do not read them: kept for a while and within bounds, each client's apart, so that none
//! of them delays another.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use omq::{IdentitySocket, Message};

use crate::limits::MAX_BACKLOG_BYTES;
use crate::peer::Peer;

/// The waiting replies of every connection whose own queue is full.
#[derive(Clone, Default)]
pub(crate) struct Backlogs(Rc<RefCell<HashMap<u64, Backlog>>>);

#[derive(Default)]
struct Backlog {
    waiting: VecDeque<Message>,
    bytes: usize,
    given_up: bool,
}

impl Backlogs {
    /// Whether replies to this peer have to queue behind earlier ones.
    pub(crate) fn holds(&self, peer: &Peer) -> bool {
        let backlogs = self.0.borrow();
        !backlogs.is_empty() && backlogs.contains_key(&peer.connection())
    }

    /// Queues a reply. The first one of a peer starts a task that sends them as the peer reads; a peer that leaves
    /// too much unread is disconnected and its replies are gone with it.
    pub(crate) fn push(&self, socket: &IdentitySocket, peer: &Peer, message: Message) {
        let connection = peer.connection();
        let mut backlogs = self.0.borrow_mut();
        let known = backlogs.contains_key(&connection);
        let backlog = backlogs.entry(connection).or_default();
        if backlog.given_up {
            return;
        }
        backlog.bytes = backlog.bytes.saturating_add(message.byte_len());
        backlog.waiting.push_back(message);
        if backlog.bytes > MAX_BACKLOG_BYTES {
            backlog.given_up = true;
            backlog.waiting.clear();
            let socket = socket.clone();
            tokio::task::spawn_local(async move { socket.disconnect_peer(connection).await });
        } else if !known {
            tokio::task::spawn_local(self.clone().send_all(socket.clone(), peer.clone()));
        }
    }

    /// Whether nothing waits any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    async fn send_all(self, socket: IdentitySocket, peer: Peer) {
        let connection = peer.connection();
        while let Some(message) = self.pop(connection) {
            if socket.send_to(peer.identity(), message).await.is_err() {
                break;
            }
        }
        self.0.borrow_mut().remove(&connection);
    }

    fn pop(&self, connection: u64) -> Option<Message> {
        let mut backlogs = self.0.borrow_mut();
        let backlog = backlogs.get_mut(&connection)?;
        let message = backlog.waiting.pop_front()?;
        backlog.bytes = backlog.bytes.saturating_sub(message.byte_len());
        Some(message)
    }
}
