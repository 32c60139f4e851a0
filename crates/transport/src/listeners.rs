//! All sockets of a server as one source of frames.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::select_all;
use tokio::sync::{Mutex, mpsc};

use crate::access::Access;
use crate::door::{Admission, Door, FailedHandshake};
use crate::frame::{Frame, ReturnPath};
use crate::limits::{MAX_LISTENERS, MAX_REPORTS};
use crate::listener::{ListenError, Listener};
use crate::peer::Sender;
use crate::stream::EventStream;

/// The bound sockets of a server. They live on one thread, inside a `tokio::task::LocalSet`.
pub struct Listeners {
    listeners: Vec<Listener>,
    failures: Mutex<mpsc::Receiver<FailedHandshake>>,
}

/// The sockets are closed and will yield nothing more.
#[derive(Debug, thiserror::Error)]
#[error("the socket is closed")]
pub struct Closed;

impl Listeners {
    /// Binds a socket for each endpoint. Where keys are used or accounts are known, those connect that `admits` lets in.
    ///
    /// # Errors
    /// A malformed endpoint, plain text on an address that is not loopback, or an address that the system does not
    /// give.
    pub async fn bind(endpoints: Vec<(String, Access)>, admits: Admission) -> Result<Self, ListenError> {
        if !(1..=MAX_LISTENERS).contains(&endpoints.len()) {
            return Err(ListenError::Count(endpoints.len()));
        }
        let (reports, failures) = mpsc::channel(MAX_REPORTS);
        let door = Arc::new(Door::new(admits, reports, endpoints.len()));
        let mut listeners = Vec::new();
        for (endpoint, access) in endpoints {
            listeners.push(Listener::bind(&endpoint, access, &door)?);
        }
        Ok(Self { listeners, failures: Mutex::new(failures) })
    }

    /// Where they listen, with the real ports, and who may connect there.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, &Access)> {
        self.listeners.iter().map(|listener| (listener.endpoint(), listener.access()))
    }

    /// Waits for a message and takes what else is there, from each socket up to [`crate::limits::MAX_BATCH`].
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// A socket is closed.
    pub async fn receive(&self, batch: &mut Vec<Frame>) -> Result<(), Closed> {
        let first = match self.listeners.as_slice() {
            [only] => only.next(0).await,
            several => {
                let next = (0..).zip(several).map(|(index, listener)| Box::pin(listener.next(index)));
                select_all(next).await.0
            }
        };
        let first = first.ok_or(Closed)?;
        let arrived = first.arrived;
        batch.push(first);
        for (index, listener) in (0..).zip(&self.listeners) {
            listener.take_waiting(index, arrived, batch);
        }
        Ok(())
    }

    /// Sends a reply. Never waits.
    pub fn reply(&self, to: &ReturnPath, body: Vec<u8>, attachment: Option<Bytes>) {
        if let Some(listener) = self.listeners.get(to.listener) {
            listener.reply(to, body, attachment);
        }
    }

    /// The means to send events before the reply. Only to a peer that [may stream](crate::Peer::may_stream): another
    /// would take the first for its reply.
    pub fn stream(&self, to: &ReturnPath) -> EventStream {
        EventStream::new(self.listeners.get(to.listener).map(|listener| listener.way(to)))
    }

    /// Waits for a failed handshake that is to be told. Dropping the future loses nothing.
    pub async fn failed_handshake(&self) -> FailedHandshake {
        match self.failures.lock().await.recv().await {
            Some(failure) => failure,
            // Nobody is left who could report one.
            None => std::future::pending().await,
        }
    }

    /// Closes the connections of keys and accounts that may not connect any more.
    pub fn dismiss(&self, admits: impl Fn(&Sender) -> bool) {
        for listener in &self.listeners {
            listener.dismiss(&admits);
        }
    }

    /// Takes no more connections and gives the replies that are under way some time.
    pub async fn close(self) {
        for listener in self.listeners {
            listener.close().await;
        }
    }
}
