//! The server's side: a ROUTER socket that yields frames with who sent them.
//!
//! Refuses to listen in plain text where another machine could connect.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use omq::{
    Authenticator, CurveServerOptions, Endpoint, IdentitySocket, MechanismSetup, Message, Options,
    PeerPublicKey, Socket, SocketType, TrySendError,
};
use wire::PublicKey;

use crate::backlog::{Backlogs, Part};
use crate::door::Door;
use crate::key::KeyPair;
use crate::limits::{
    HANDSHAKE_TIMEOUT, HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, LINGER, MAX_BATCH, MAX_FRAMES,
    MAX_MESSAGE_BYTES, RECEIVE_HIGH_WATER_MARK, SEND_HIGH_WATER_MARK,
};
use crate::listeners::{Frame, ListenError, ReturnPath};
use crate::peer::Peer;

/// Who may connect, and whether what passes can be read on the way.
#[derive(Clone, Debug)]
pub enum Access {
    /// Everyone on this machine, in plain text: loopback addresses alone.
    Plain,
    /// Those whose keys are admitted, encrypted with CURVE (RFC 26) under this key of the server.
    Curve(KeyPair),
}

/// As the log and people read it.
impl fmt::Display for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => formatter.write_str("plain"),
            Self::Curve(key) => write!(formatter, "curve {}", key.public()),
        }
    }
}

/// A bound socket. Lives on one thread, inside a `tokio::task::LocalSet`.
pub(crate) struct Listener {
    socket: IdentitySocket,
    access: Access,
    backlogs: Backlogs,
    endpoint: String,
}

impl Listener {
    /// Binds a socket. Port `0` or `*` takes a free one.
    pub(crate) async fn bind(endpoint: &str, access: Access, door: &Arc<Door>) -> Result<Self, ListenError> {
        let address = listening_address(endpoint, matches!(access, Access::Plain))?;
        let failed = |error: omq::Error| ListenError::Bind {
            endpoint: endpoint.to_owned(),
            reason: match error {
                omq::Error::Io(error) => error.to_string(),
                error => error.to_string(),
            },
        };
        let mut options = Options::new()
            .router_mandatory(true)
            .recv_hwm(RECEIVE_HIGH_WATER_MARK)
            .send_hwm(SEND_HIGH_WATER_MARK)
            .max_message_size(MAX_MESSAGE_BYTES)
            .max_pending_handshakes(door.room().pending)
            .handshake_timeout(HANDSHAKE_TIMEOUT)
            .heartbeat_interval(HEARTBEAT_INTERVAL)
            .heartbeat_timeout(HEARTBEAT_TIMEOUT)
            .linger(LINGER);
        options.mechanism = match &access {
            Access::Plain => plain(Arc::clone(door)),
            Access::Curve(key) => curve(key.clone(), Arc::clone(door)),
        };
        let socket = Socket::try_new(SocketType::Router, options)
            .and_then(|socket| socket.identity_routing())
            .map_err(failed)?;
        tokio::task::spawn_local(Arc::clone(door).watch_failures(Socket::clone(&socket)));
        let bound = socket.bind(format!("tcp://{address}").as_str()).await.map_err(failed)?;
        tokio::task::spawn_local(Arc::clone(door).count_connections(Socket::clone(&socket)));
        Ok(Self { socket, access, backlogs: Backlogs::default(), endpoint: bound.to_string() })
    }

    /// Where it listens, with the real port.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// Waits for a message. `None` is a socket that is closed. Dropping the future loses nothing.
    pub(crate) async fn next(&self, listener: usize) -> Option<Frame> {
        loop {
            let (identity, message) = self.socket.recv_from().await.ok()?;
            if let Some(peer) = Peer::new(identity, &self.access) {
                return Some(frame(listener, peer, message, Instant::now()));
            }
        }
    }

    /// Takes what else is there, up to [`MAX_BATCH`].
    pub(crate) fn take_waiting(&self, listener: usize, arrived: Instant, batch: &mut Vec<Frame>) {
        for _ in 0..MAX_BATCH {
            let Ok((identity, message)) = self.socket.try_recv_from() else { break };
            let peer = Peer::new(identity, &self.access);
            batch.extend(peer.map(|peer| frame(listener, peer, message, arrived)));
        }
    }

    /// Sends a reply. Never waits: a client that does not read its replies delays nobody, and one that is gone
    /// gets nothing.
    pub(crate) fn reply(&self, to: &ReturnPath, body: Vec<u8>, attachment: Option<Bytes>) {
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

    /// Closes the connections of keys that are not admitted any more.
    pub(crate) async fn dismiss(&self, admits: impl Fn(&PublicKey) -> bool) {
        let Ok(connections) = self.socket.connections().await else { return };
        let strangers = connections.into_iter().filter(|connection| {
            let peer = connection.peer_info.as_ref();
            match peer.and_then(|peer| peer.authentication.public_key.as_ref()) {
                Some(PeerPublicKey::Curve(key)) => !admits(&PublicKey(*key)),
                _ => false,
            }
        });
        for connection in strangers {
            // One that is gone by itself is what is wanted.
            let _ = self.socket.disconnect_peer(connection.connection_id).await;
        }
    }

    /// Takes no more connections and gives the replies that are under way the time of [`LINGER`].
    pub(crate) async fn close(self) {
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

/// A message is a body and its attachments, with an empty delimiter before them as REQ sends it, or without.
fn frame(listener: usize, peer: Peer, message: Message, arrived: Instant) -> Frame {
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
    let return_path = ReturnPath { listener, peer: peer.clone(), delimiter };
    Frame { peer, body, attachments, return_path, arrived }
}

fn plain(door: Arc<Door>) -> MechanismSetup {
    MechanismSetup::NullServer {
        authenticator: Authenticator::new_with_result(move |peer| door.let_in(peer)),
    }
}

/// Never without an authenticator: a CURVE server that has none lets every key in.
fn curve(our_keypair: KeyPair, door: Arc<Door>) -> MechanismSetup {
    let mut options = CurveServerOptions::new().cookie_lifetime(HANDSHAKE_TIMEOUT);
    options.authenticator = Some(Authenticator::new_with_result(move |peer| door.let_in_with_key(peer)));
    MechanismSetup::CurveServer { our_keypair: our_keypair.into_inner(), options }
}

/// Where an endpoint is to listen, if it may, without keys or with them.
///
/// # Errors
/// It is malformed, or plain text for other machines.
pub fn listening_address(endpoint: &str, plain: bool) -> Result<SocketAddr, ListenError> {
    let address = address(endpoint)?;
    if plain && !address.ip().is_loopback() {
        return Err(ListenError::NotLoopback(endpoint.to_owned()));
    }
    Ok(address)
}

fn address(endpoint: &str) -> Result<SocketAddr, ListenError> {
    let malformed = || ListenError::Endpoint(endpoint.to_owned());
    let authority = endpoint.strip_prefix("tcp://").ok_or_else(malformed)?;
    let (host, port) = authority.rsplit_once(':').ok_or_else(malformed)?;
    let port: u16 = if port == "*" { 0 } else { port.parse().map_err(|_| malformed())? };
    let host = if host == "*" { "0.0.0.0" } else { host };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let addresses = (bare, port).to_socket_addrs().ok();
    addresses.and_then(|mut addresses| addresses.next()).ok_or_else(malformed)
}

/// An endpoint that a client could connect to, checked without connecting.
pub(crate) fn parse_endpoint(endpoint: &str) -> Option<Endpoint> {
    Endpoint::try_from(endpoint)
        .ok()
        .filter(|parsed| matches!(parsed, Endpoint::Tcp { port, .. } if *port > 0))
}
