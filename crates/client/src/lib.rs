//! A client of a bidden server. It can ask for work; it links nothing that could do any.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use client::{Action, Client, Request};
//!
//! let mut client = Client::connect("tcp://127.0.0.1:5555").await?;
//! let request = Request { id: None, timeout: None, action: Action::compute("(6 + 4) * 8") };
//! let answer = client.request(&request, vec![]).await?;
//! println!("{:?}", answer.reply()?.verdict);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

use std::time::Duration;

use bytes::Bytes;
use transport::{Connection, Lost, Received};

pub use transport::{
    CertificateError, CertificatePaths, ConnectError, KeyPair, Security, read_key_pair, read_public_key,
    write_certificates,
};
pub use wire::PublicKey;
pub use wire::limits::{MAX_COLUMN_BYTES, MAX_REQUEST_BYTES, MAX_TIMEOUT};
pub use wire::{
    Action, Delivery, End, ErrorCode, Event, EventKind, Failure, History, InvalidReply, Numbers, Output,
    Reply, Request, RequestId, Stream, Streamed, Variable, Verdict,
};

/// The Rust of the README, compiled by the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// How long [`Client::connect`] looks for a server.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest wait for a reply: the longest time limit that a request can ask for, and some time for its way.
pub const LONGEST_WAIT: Duration = MAX_TIMEOUT.saturating_add(REPLY_MARGIN);

/// How long after a request's own time limit its reply may still come.
const REPLY_MARGIN: Duration = Duration::from_secs(10);

/// A connection to one server, for one request at a time.
pub struct Client {
    connection: Connection,
}

/// A reply as it came.
#[derive(Clone, Debug)]
pub struct Answer(Received);

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
        Ok(Self { connection: Connection::open(endpoint, security, within).await? })
    }

    /// Sends a request, and the columns that it names, and waits for its answer: as long as the request's own time limit and a margin, or
    /// [`LONGEST_WAIT`].
    ///
    /// # Errors
    /// The connection was lost or the answer did not come in time.
    pub async fn request(&mut self, request: &Request<'_>, columns: Vec<Bytes>) -> Result<Answer, NoAnswer> {
        let patience = request.timeout.map_or(LONGEST_WAIT, |timeout| timeout.saturating_add(REPLY_MARGIN));
        self.exchange(request.encode(), columns, patience).await
    }

    /// Sends a frame of any content, and the frames of columns that it names, and waits for the answer.
    ///
    /// # Errors
    /// The connection was lost or the answer did not come in time.
    pub async fn exchange(
        &mut self,
        frame: Vec<u8>,
        columns: Vec<Bytes>,
        patience: Duration,
    ) -> Result<Answer, NoAnswer> {
        let exchange = async {
            self.connection.send(frame, columns).await?;
            self.connection.receive().await
        };
        match tokio::time::timeout(patience, exchange).await {
            Ok(Ok(received)) => Ok(Answer(received)),
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
        Reply::decode(&self.0.body)
    }

    /// The frame itself: JSON text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.body
    }

    /// The values of a column, little-endian doubles, where the reply is [`Verdict::Column`].
    pub fn column(&self) -> Option<&[u8]> {
        self.0.attachment.as_deref()
    }
}
