//! A client: its server, and the connection while it has one.

use std::time::Duration;

use bytes::Bytes;
use transport::{ConnectError, Connection, Lost, Received, Security};
use wire::{Event, InvalidReply, Reply, Request};

use crate::limits::CONNECT_TIMEOUT;
use crate::ongoing::{Ongoing, Progress};

/// A client of one server, for one request at a time.
pub struct Client {
    endpoint: String,
    security: Security,
    /// How long one attempt to connect may take.
    within: Duration,
    /// Gone after a loss, and while an answer may still come to a request that nobody waits for.
    connection: Option<Connection>,
}

/// A reply as it came.
#[derive(Clone, Debug)]
pub struct Answer(pub(crate) Received);

/// Why a request has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The connection is gone. Whether the request was executed is unknown.
    #[error("the connection to the server was lost; whether the request was executed is unknown")]
    Lost,
    /// The connection is gone, and there was no other in time. Whether the request was executed is unknown.
    #[error(
        "the connection to the server was lost and could not be made again: {reason}; whether the request was executed is unknown"
    )]
    NotFoundAgain {
        /// Why the last attempt failed.
        reason: String,
    },
    /// The reply did not come in time. Whether the request was executed is unknown.
    #[error("no reply came within {} s; whether the request was executed is unknown", .0.as_secs_f32())]
    Late(Duration),
    /// It was cancelled before it was sent.
    #[error("the request was cancelled before it was sent; nothing was executed")]
    NotSent,
}

impl Client {
    /// Connects in plain text to a server on this machine, `tcp://127.0.0.1:PORT`, within [`CONNECT_TIMEOUT`].
    ///
    /// # Errors
    /// A malformed endpoint, another machine, or no server there.
    pub async fn connect(endpoint: &str) -> Result<Self, ConnectError> {
        Self::connect_with(endpoint, &Security::Plain, CONNECT_TIMEOUT).await
    }

    /// Connects to `tcp://HOST:PORT`, with keys, and within a time of the caller's choice.
    ///
    /// # Errors
    /// A malformed endpoint, plain text to another machine, no server there in time, or one that refuses the key.
    pub async fn connect_with(
        endpoint: &str,
        security: &Security,
        within: Duration,
    ) -> Result<Self, ConnectError> {
        let connection = Some(Connection::open(endpoint, security, within).await?);
        Ok(Self { endpoint: endpoint.to_owned(), security: security.clone(), within, connection })
    }

    /// Sends a request, and the columns that it names, and waits for its answer: as long as the request's own time limit and a margin, or
    /// [`crate::LONGEST_WAIT`]. Where the connection is lost the request is sent again on another, until its time is
    /// over or, without a time limit, [`crate::limits::LONGEST_ABSENCE`].
    ///
    /// # Errors
    /// The answer did not come in time, or the connection was lost and could not be made again.
    pub async fn request(&mut self, request: &Request<'_>, columns: Vec<Bytes>) -> Result<Answer, NoAnswer> {
        let mut ongoing = self.start(request.clone(), columns);
        loop {
            if let Progress::Answered(answer) = ongoing.next().await? {
                return Ok(answer);
            }
        }
    }

    /// The same, with word of everything that happens until the answer comes.
    pub fn start<'a>(&'a mut self, request: Request<'a>, columns: Vec<Bytes>) -> Ongoing<'a> {
        Ongoing::new(self, request, columns)
    }

    /// Sends a frame of any content, and the frames of columns that it names, and waits for one answer. Sends nothing
    /// twice. Both frames of each event that comes before the answer go to `event`.
    ///
    /// # Errors
    /// The connection was lost or the answer did not come in time.
    pub async fn exchange(
        &mut self,
        frame: Vec<u8>,
        columns: Vec<Bytes>,
        patience: Duration,
        mut event: impl FnMut(&[u8], &[u8]),
    ) -> Result<Answer, NoAnswer> {
        // Kept only where no answer can be left on it.
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                self.open().await.map_err(|error| NoAnswer::NotFoundAgain { reason: error.to_string() })?
            }
        };
        let exchange = async {
            connection.submit(frame, columns)?;
            loop {
                let received = connection.receive().await?;
                match &received.attachment {
                    Some(bytes) if Event::decode(&received.body).is_some() => event(&received.body, bytes),
                    _ => return Ok(received),
                }
            }
        };
        match tokio::time::timeout(patience, exchange).await {
            Ok(Ok(received)) => {
                self.connection = Some(connection);
                Ok(Answer(received))
            }
            Ok(Err(Lost)) => Err(NoAnswer::Lost),
            Err(_) => Err(NoAnswer::Late(patience)),
        }
    }

    pub(crate) fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    pub(crate) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Connects anew.
    pub(crate) async fn reconnect(&mut self) -> Result<(), ConnectError> {
        self.connection = Some(self.open().await?);
        Ok(())
    }

    async fn open(&self) -> Result<Connection, ConnectError> {
        Connection::open(&self.endpoint, &self.security, self.within).await
    }
}

impl Answer {
    /// The reply that the frame holds.
    ///
    /// # Errors
    /// The server does not speak this protocol.
    pub fn reply(&self) -> Result<Reply<'_>, InvalidReply> {
        Reply::decode(&self.0.body)
    }

    /// The frame itself: JSON text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.body
    }

    /// The values of a column, little-endian doubles, where the reply is [`wire::Verdict::Column`].
    pub fn column(&self) -> Option<&[u8]> {
        self.0.attachment.as_deref()
    }
}
