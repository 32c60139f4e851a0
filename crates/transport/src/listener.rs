//! The server's side: a ROUTER socket that yields frames with who sent them.
//!
//! Refuses to listen in plain text where another machine could connect.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use omq::{
    AuthenticationResult, AuthenticationStatus, Authenticator, Endpoint, IdentitySocket, MechanismSetup,
    Message, Options, Socket, SocketType, TrySendError,
};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::backlog::{Backlogs, Part};
use crate::limits::{
    HANDSHAKE_TIMEOUT, HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, LINGER, MAX_BATCH, MAX_CONNECTIONS, MAX_FRAMES,
    MAX_MESSAGE_BYTES, MAX_PENDING_HANDSHAKES, RECEIVE_HIGH_WATER_MARK, RESERVED_DESCRIPTORS,
    SEND_HIGH_WATER_MARK,
};
use crate::peer::Peer;

/// A bound socket. Lives on one thread, inside a `tokio::task::LocalSet`.
pub struct Listener {
    socket: IdentitySocket,
    backlogs: Backlogs,
    endpoint: String,
}

/// One message of a client.
#[derive(Debug)]
pub struct Frame {
    /// Who sent it.
    pub peer: Peer,
    /// Its first frame, where it is a message that the protocol knows.
    pub body: Option<Bytes>,
    /// The frames after the first.
    pub attachments: Vec<Bytes>,
    /// The way back to the one who sent it.
    pub return_path: ReturnPath,
    /// When it was taken from the socket.
    pub arrived: Instant,
}

/// Where a reply to a frame goes: to the routing id that the frame came from, in the shape that it came in. An id that
/// the client did not declare belongs to its connection alone.
#[derive(Clone, Debug)]
pub struct ReturnPath {
    peer: Peer,
    delimiter: bool,
}

/// Why a listener could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The endpoint is not `tcp://ADDRESS:PORT`.
    #[error("`{0}` is not an endpoint; write it as tcp://ADDRESS:PORT, such as tcp://127.0.0.1:5555")]
    Endpoint(String),
    /// Plain text on an address that other machines can reach.
    #[error(
        "`{0}` can be reached by other machines, and without keys bidden serves this machine alone; listen on tcp://127.0.0.1:PORT"
    )]
    NotLoopback(String),
    /// The operating system refused the address.
    #[error("cannot listen on {endpoint}: {reason}")]
    Bind {
        /// The endpoint that was asked for.
        endpoint: String,
        /// The system's words.
        reason: String,
    },
}

/// The socket is closed and will yield nothing more.
#[derive(Debug, thiserror::Error)]
#[error("the socket is closed")]
pub struct Closed;

impl Listener {
    /// Binds a plain-text socket to a loopback address. Port `0` or `*` takes a free one.
    ///
    /// # Errors
    /// A malformed endpoint, an address that is not loopback, or one that the system does not give.
    pub async fn bind_loopback(endpoint: &str) -> Result<Self, ListenError> {
        let address = loopback_address(endpoint)?;
        let failed = |error: omq::Error| ListenError::Bind {
            endpoint: endpoint.to_owned(),
            reason: match error {
                omq::Error::Io(error) => error.to_string(),
                error => error.to_string(),
            },
        };
        let connections = Arc::new(AtomicUsize::new(0));
        let mut options = Options::new()
            .router_mandatory(true)
            .recv_hwm(RECEIVE_HIGH_WATER_MARK)
            .send_hwm(SEND_HIGH_WATER_MARK)
            .max_message_size(MAX_MESSAGE_BYTES)
            .max_pending_handshakes(MAX_PENDING_HANDSHAKES)
            .handshake_timeout(HANDSHAKE_TIMEOUT)
            .heartbeat_interval(HEARTBEAT_INTERVAL)
            .heartbeat_timeout(HEARTBEAT_TIMEOUT)
            .linger(LINGER);
        options.mechanism = MechanismSetup::NullServer {
            authenticator: turn_away_when_full(Arc::clone(&connections), most_connections()),
        };
        let socket = Socket::try_new(SocketType::Router, options)
            .and_then(|socket| socket.identity_routing())
            .map_err(failed)?;
        let bound = socket.bind(format!("tcp://{address}").as_str()).await.map_err(failed)?;
        tokio::task::spawn_local(count_connections(Socket::clone(&socket), connections));
        Ok(Self { socket, backlogs: Backlogs::default(), endpoint: bound.to_string() })
    }

    /// Where it listens, with the real port.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Waits for a message and takes what else is there, up to [`MAX_BATCH`]. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The socket is closed.
    pub async fn receive(&self, batch: &mut Vec<Frame>) -> Result<(), Closed> {
        let (identity, message) = self.socket.recv_from().await.map_err(|_| Closed)?;
        let arrived = Instant::now();
        batch.push(Frame::new(Peer::new(identity), message, arrived));
        while batch.len() < MAX_BATCH {
            let Ok((identity, message)) = self.socket.try_recv_from() else { break };
            batch.push(Frame::new(Peer::new(identity), message, arrived));
        }
        Ok(())
    }

    /// Sends a reply. Never waits: a client that does not read its replies delays nobody, and one that is gone
    /// gets nothing.
    pub fn reply(&self, to: &ReturnPath, body: Vec<u8>, attachment: Option<Bytes>) {
        let counted = |bytes: Bytes, part: Part| self.backlogs.count(&self.socket, &to.peer, bytes, part);
        let body = match attachment {
            None => counted(body.into(), Part::Body).map(Message::single),
            Some(column) => {
                counted(column, Part::Column).map(|column| Message::multipart([body.into(), column]))
            }
        };
        let Some(body) = body else { return };
        let message = if to.delimiter { Message::with_prefix(Bytes::new(), body) } else { body };
        if self.backlogs.holds(&to.peer) {
            self.backlogs.push(&self.socket, &to.peer, message);
        } else if let Err(TrySendError::Full(message)) = self.socket.try_send_to(to.peer.identity(), message)
        {
            self.backlogs.push(&self.socket, &to.peer, message);
        }
    }

    /// Takes no more connections and gives the replies that are under way the time of [`LINGER`].
    pub async fn close(self) {
        let drained = async {
            while !self.backlogs.are_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = tokio::time::timeout(LINGER, drained).await;
        // A peer that does not read loses what it has not read.
        let _ = self.socket.into_inner().close().await;
    }
}

impl Frame {
    /// A message is a body and its attachments, with an empty delimiter before them as REQ sends it, or without.
    fn new(peer: Peer, message: Message, arrived: Instant) -> Self {
        let delimiter = message.len() > 1 && message.part_slice(0).is_some_and(<[u8]>::is_empty);
        let frames = message.len();
        let first = usize::from(delimiter);
        let (body, attachments) = if frames == 1 {
            (message.into_bytes().ok(), Vec::new())
        } else if frames <= MAX_FRAMES {
            let attachments = first.saturating_add(1)..frames;
            (message.part_bytes(first), attachments.filter_map(|index| message.part_bytes(index)).collect())
        } else {
            (None, Vec::new())
        };
        Self { return_path: ReturnPath { peer: peer.clone(), delimiter }, peer, body, attachments, arrived }
    }
}

fn loopback_address(endpoint: &str) -> Result<SocketAddr, ListenError> {
    let malformed = || ListenError::Endpoint(endpoint.to_owned());
    let authority = endpoint.strip_prefix("tcp://").ok_or_else(malformed)?;
    let (host, port) = authority.rsplit_once(':').ok_or_else(malformed)?;
    let port: u16 = if port == "*" { 0 } else { port.parse().map_err(|_| malformed())? };
    let host = if host == "*" { "0.0.0.0" } else { host };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address = (bare, port)
        .to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(malformed)?;
    if address.ip().is_loopback() { Ok(address) } else { Err(ListenError::NotLoopback(endpoint.to_owned())) }
}

/// As many as there are descriptors for, with some left for commands. The limit of this process is raised as far as it
/// may be; commands get the usual one back.
fn most_connections() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it cannot be raised the old one holds.
    let _ = setrlimit(Resource::Nofile, limit);
    let descriptors = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    let room =
        descriptors.map_or(MAX_CONNECTIONS, |descriptors| descriptors.saturating_sub(RESERVED_DESCRIPTORS));
    room.clamp(1, MAX_CONNECTIONS)
}

fn turn_away_when_full(connections: Arc<AtomicUsize>, most: usize) -> Authenticator {
    Authenticator::new_with_result(move |_| {
        let mut result = AuthenticationResult::allow();
        if connections.load(Ordering::Relaxed) >= most {
            result.status = AuthenticationStatus::TemporaryFailure;
        }
        result
    })
}

/// Keeps the count that [`turn_away_when_full`] reads. It may lag by as many as are in the middle of a handshake.
async fn count_connections(socket: Socket, connections: Arc<AtomicUsize>) {
    let mut seen = socket.connections_generation();
    while let Ok(generation) = socket.connections_changed(seen).await {
        seen = generation;
        connections.store(socket.ready_peer_count(), Ordering::Relaxed);
    }
}

/// An endpoint that a client could connect to, checked without connecting.
pub(crate) fn parse_endpoint(endpoint: &str) -> Option<Endpoint> {
    Endpoint::try_from(endpoint)
        .ok()
        .filter(|parsed| matches!(parsed, Endpoint::Tcp { port, .. } if *port > 0))
}
