//! A client's side: a DEALER socket to one server, which notices when the server is gone.

use std::time::Duration;

use bytes::Bytes;
use omq::{Message, Options, Socket, SocketType};

use crate::limits::HANDSHAKE_TIMEOUT;
use crate::listener::parse_endpoint;

/// An open connection to a server.
pub struct Connection {
    socket: Socket,
    generation: u64,
}

/// One reply.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its JSON frame.
    pub body: Bytes,
    /// The frame after it, where there is one.
    pub attachment: Option<Bytes>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The endpoint is not `tcp://HOST:PORT`.
    #[error("`{0}` is not an endpoint; write it as tcp://HOST:PORT, such as tcp://127.0.0.1:5555")]
    Endpoint(String),
    /// Nobody answered in time.
    #[error("no server answered at {endpoint} within {} s", within.as_secs_f32())]
    Unreachable {
        /// Where.
        endpoint: String,
        /// For how long.
        within: Duration,
    },
}

/// The connection is gone; what was under way will not be answered on it.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the server was lost")]
pub struct Lost;

impl Connection {
    /// Connects and waits until the server has answered the ZMTP handshake. Keeps trying until then, so that a
    /// server which is just starting is found.
    ///
    /// # Errors
    /// A malformed endpoint, or no server there in time.
    pub async fn open(endpoint: &str, within: Duration) -> Result<Self, ConnectError> {
        let malformed = || ConnectError::Endpoint(endpoint.to_owned());
        let unreachable = |_| ConnectError::Unreachable { endpoint: endpoint.to_owned(), within };
        let parsed = parse_endpoint(endpoint).ok_or_else(malformed)?;
        let options = Options::new().handshake_timeout(HANDSHAKE_TIMEOUT);
        let socket = Socket::try_new(SocketType::Dealer, options).map_err(unreachable)?;
        socket.connect(parsed).await.map_err(unreachable)?;
        socket.wait_connected(1, within).await.map_err(unreachable)?;
        let generation = socket.connections_generation();
        Ok(Self { socket, generation })
    }

    /// Sends one request and its attachments, with the empty delimiter frame before it that a REP or ROUTER of the old kind expects.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&self, body: Vec<u8>, attachments: Vec<Bytes>) -> Result<(), Lost> {
        let message = Message::multipart([Bytes::new(), Bytes::from(body)].into_iter().chain(attachments));
        self.socket.send(message).await.map_err(|_| Lost)
    }

    /// Waits for the next reply.
    ///
    /// # Errors
    /// The connection is gone and holds no more replies.
    pub async fn receive(&self) -> Result<Received, Lost> {
        loop {
            let message = tokio::select! {
                biased;
                message = self.socket.recv() => message.map_err(|_| Lost)?,
                _ = self.socket.connections_changed(self.generation) => self.socket.try_recv().map_err(|_| Lost)?,
            };
            // A delimiter may stand before the reply.
            let first = usize::from(message.len() > 1 && message.part_slice(0).is_some_and(<[u8]>::is_empty));
            if let Some(body) = message.part_bytes(first) {
                return Ok(Received { body, attachment: message.part_bytes(first.saturating_add(1)) });
            }
        }
    }
}
