//! A client of a bidden server. It can ask for work; it links nothing that could do any.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use client::{Action, Client, Numbers, Request};
//!
//! let mut client = Client::connect("tcp://127.0.0.1:5555").await?;
//! let action = Action::Compute { expression: "(6 + 4) * 8".into(), variables: vec![], numbers: Numbers::Python };
//! let answer = client.request(&Request { id: None, timeout: None, action }).await?;
//! println!("{:?}", answer.reply()?.verdict);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

use std::time::Duration;

use bytes::Bytes;
use transport::{Connection, Lost};

pub use transport::ConnectError;
pub use wire::limits::MAX_REQUEST_BYTES;
pub use wire::{
    Action, End, ErrorCode, Failure, InvalidReply, Numbers, Output, Reply, Request, RequestId, Variable,
    Verdict,
};

/// How long [`Client::connect`] looks for a server.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest wait for a reply: the longest time limit that a request can ask for, and some time for its way.
pub const LONGEST_WAIT: Duration = wire::limits::MAX_TIMEOUT.saturating_add(REPLY_MARGIN);

/// How long after a request's own time limit its reply may still come.
const REPLY_MARGIN: Duration = Duration::from_secs(10);

/// A connection to one server, for one request at a time.
pub struct Client {
    connection: Connection,
}

/// A reply as it came.
#[derive(Clone, Debug)]
pub struct Answer(Bytes);

/// Why a request has no answer. The client is of no further use: a late reply would answer the next request.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The connection is gone. Whether the request was executed is unknown.
    #[error("the connection to the server was lost; whether the request was executed is unknown")]
    Lost,
    /// The reply did not come in time. Whether the request was executed is unknown.
    #[error("no reply came within {} s; whether the request was executed is unknown", .0.as_secs_f32())]
    Late(Duration),
}

impl Client {
    /// Connects to `tcp://HOST:PORT` within [`CONNECT_TIMEOUT`].
    ///
    /// # Errors
    /// A malformed endpoint, or no server there.
    pub async fn connect(endpoint: &str) -> Result<Self, ConnectError> {
        Self::connect_within(endpoint, CONNECT_TIMEOUT).await
    }

    /// Connects within a time of the caller's choice.
    ///
    /// # Errors
    /// A malformed endpoint, or no server there.
    pub async fn connect_within(endpoint: &str, within: Duration) -> Result<Self, ConnectError> {
        Ok(Self { connection: Connection::open(endpoint, within).await? })
    }

    /// Sends a request and waits for its answer: as long as the request's own time limit and a margin, or
    /// [`LONGEST_WAIT`].
    ///
    /// # Errors
    /// The connection was lost or the answer did not come in time.
    pub async fn request(&mut self, request: &Request<'_>) -> Result<Answer, NoAnswer> {
        let patience = request.timeout.map_or(LONGEST_WAIT, |timeout| timeout.saturating_add(REPLY_MARGIN));
        self.exchange(request.encode(), patience).await
    }

    /// Sends a frame of any content and waits for the frame that answers it.
    ///
    /// # Errors
    /// The connection was lost or the answer did not come in time.
    pub async fn exchange(&mut self, frame: Vec<u8>, patience: Duration) -> Result<Answer, NoAnswer> {
        let exchange = async {
            self.connection.send(frame).await?;
            self.connection.receive().await
        };
        match tokio::time::timeout(patience, exchange).await {
            Ok(Ok(frame)) => Ok(Answer(frame)),
            Ok(Err(Lost)) => Err(NoAnswer::Lost),
            Err(_) => Err(NoAnswer::Late(patience)),
        }
    }
}

impl Answer {
    /// The reply that the frame holds.
    ///
    /// # Errors
    /// The server does not speak this protocol.
    pub fn reply(&self) -> Result<Reply<'_>, InvalidReply> {
        Reply::decode(&self.0)
    }

    /// The frame itself: JSON text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
