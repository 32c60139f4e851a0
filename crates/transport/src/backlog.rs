//! Replies that a client has not read yet: kept within bounds, each client's apart, so that none of them delays
//! another. A client that leaves too much unread is disconnected, and its replies are gone with it.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use omq::Message;
use tokio::sync::Notify;

use crate::limits::{LONG_REPLY_BYTES, MAX_BACKLOG_BYTES, MAX_UNREAD_COLUMN_BYTES, WAITING_REPLY_OVERHEAD};
use crate::outlet::Outlet;
use crate::peer::Peer;

/// What every connection has not read.
#[derive(Clone, Default)]
pub(crate) struct Backlogs(Rc<RefCell<HashMap<u64, Backlog>>>);

#[derive(Default)]
struct Backlog {
    /// Replies that wait because the connection's own queue is full.
    waiting: VecDeque<Message>,
    waiting_bytes: usize,
    /// Whether a task sends what waits.
    sending: bool,
    /// Told when that task has ended.
    drained: Rc<Notify>,
    /// Bytes of long replies, wherever they are between here and the kernel.
    long: Arc<AtomicUsize>,
    /// Bytes of columns, the same.
    columns: Arc<AtomicUsize>,
    given_up: bool,
}

/// A part of a reply.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// Its JSON.
    Body,
    /// The frame of doubles behind it.
    Column,
}

/// A part that is counted until the socket lets go of it.
struct Counted {
    bytes: Bytes,
    counter: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

impl Backlogs {
    /// Counts the bytes of a reply for its connection. `None` when the connection has too much unread already: then it
    /// is being disconnected. One reply alone may be as long as it likes.
    pub(crate) fn count(&self, outlet: &Outlet, peer: &Peer, bytes: Bytes, part: Part) -> Option<Bytes> {
        if bytes.len() < LONG_REPLY_BYTES {
            return Some(bytes);
        }
        let mut backlogs = self.0.borrow_mut();
        backlogs.retain(|_, backlog| !backlog.is_idle());
        let backlog = backlogs.entry(peer.connection()).or_default();
        let (counter, limit) = match part {
            Part::Body => (Arc::clone(&backlog.long), MAX_BACKLOG_BYTES),
            Part::Column => (Arc::clone(&backlog.columns), MAX_UNREAD_COLUMN_BYTES),
        };
        let unread = counter.load(Ordering::Relaxed);
        if unread > 0 && unread.saturating_add(bytes.len()) > limit {
            backlog.give_up(outlet, peer);
            return None;
        }
        counter.fetch_add(bytes.len(), Ordering::Relaxed);
        Some(Bytes::from_owner(Counted { bytes, counter }))
    }

    /// Whether replies to this peer have to queue behind earlier ones.
    pub(crate) fn holds(&self, peer: &Peer) -> bool {
        let backlogs = self.0.borrow();
        !backlogs.is_empty() && backlogs.get(&peer.connection()).is_some_and(|backlog| backlog.sending)
    }

    /// Waits until no replies to this peer wait.
    pub(crate) async fn drained(&self, peer: &Peer) {
        while let Some(drained) = self.draining(peer) {
            drained.notified().await;
        }
    }

    fn draining(&self, peer: &Peer) -> Option<Rc<Notify>> {
        let backlogs = self.0.borrow();
        let backlog = backlogs.get(&peer.connection()).filter(|backlog| backlog.sending)?;
        Some(Rc::clone(&backlog.drained))
    }

    /// Queues a reply that the connection's own queue did not take.
    pub(crate) fn push(&self, outlet: &Outlet, peer: &Peer, message: Message) {
        let mut backlogs = self.0.borrow_mut();
        let backlog = backlogs.entry(peer.connection()).or_default();
        if backlog.given_up {
            return;
        }
        backlog.waiting_bytes = backlog.waiting_bytes.saturating_add(cost(&message));
        backlog.waiting.push_back(message);
        if backlog.waiting_bytes > MAX_BACKLOG_BYTES {
            backlog.give_up(outlet, peer);
        } else if !backlog.sending {
            backlog.sending = true;
            tokio::task::spawn_local(self.clone().send_all(outlet.clone(), peer.clone()));
        }
    }

    /// Whether nothing waits any more.
    pub(crate) fn are_empty(&self) -> bool {
        self.0.borrow().values().all(Backlog::is_idle)
    }

    /// Sends what waits as the peer reads.
    async fn send_all(self, outlet: Outlet, peer: Peer) {
        let connection = peer.connection();
        while let Some(message) = self.pop(connection) {
            if outlet.send(&peer, message).await.is_err() {
                break;
            }
        }
        let mut backlogs = self.0.borrow_mut();
        if let Some(backlog) = backlogs.get_mut(&connection) {
            backlog.waiting.clear();
            backlog.waiting_bytes = 0;
            backlog.sending = false;
            backlog.drained.notify_waiters();
        }
        backlogs.retain(|_, backlog| !backlog.is_idle());
    }

    fn pop(&self, connection: u64) -> Option<Message> {
        let mut backlogs = self.0.borrow_mut();
        let backlog = backlogs.get_mut(&connection)?;
        let message = backlog.waiting.pop_front()?;
        backlog.waiting_bytes = backlog.waiting_bytes.saturating_sub(cost(&message));
        Some(message)
    }
}

impl Backlog {
    fn is_idle(&self) -> bool {
        !self.sending && self.long.load(Ordering::Relaxed) == 0 && self.columns.load(Ordering::Relaxed) == 0
    }

    fn give_up(&mut self, outlet: &Outlet, peer: &Peer) {
        self.waiting.clear();
        if !self.given_up {
            self.given_up = true;
            outlet.disconnect(peer);
        }
    }
}

/// What a waiting reply takes in memory.
fn cost(message: &Message) -> usize {
    message.max_message_size_len().saturating_add(WAITING_REPLY_OVERHEAD)
}
