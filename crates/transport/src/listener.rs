//! The server's side: a ROUTER socket that yields frames with who sent them.
//!
//! Refuses to listen in plain text where another machine could connect.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use omq::{
    Authenticator, CurveServerOptions, Endpoint, IdentitySocket, IpcPath, MechanismSetup, Message, Options,
    PeerPublicKey, Socket, SocketType,
};
use wire::PublicKey;

use crate::access::Access;
use crate::accounts::Accounts;
use crate::backlog::{Backlogs, Part};
use crate::door::Door;
use crate::frame::{Frame, ReturnPath};
use crate::key::KeyPair;
use crate::limits::{
    HANDSHAKE_TIMEOUT, HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, LINGER, MAX_BATCH, MAX_LISTENERS,
    MAX_MESSAGE_BYTES, RECEIVE_HIGH_WATER_MARK, SEND_HIGH_WATER_MARK,
};
use crate::outlet::Outlet;
use crate::peer::{Peer, Sender};
use crate::socket_file::socket_path;
use crate::stream::Way;

/// Why a listener could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The endpoint is not `tcp://ADDRESS:PORT`.
    #[error("`{0}` is not an endpoint; write it as tcp://ADDRESS:PORT, such as tcp://127.0.0.1:5555")]
    Endpoint(String),
    /// Plain text on an address that other machines can reach.
    #[error(
        "`{0}` can be reached by other machines, and without keys bidden serves this machine alone; listen on tcp://127.0.0.1:PORT, or make keys with `bidden init`"
    )]
    NotLoopback(String),
    /// More sockets than a server may have, or none.
    #[error("{0} listeners; a server has 1 to {MAX_LISTENERS}")]
    Count(usize),
    /// The operating system refused the address.
    #[error("cannot listen on {endpoint}: {reason}")]
    Bind {
        /// The endpoint that was asked for.
        endpoint: String,
        /// The system's words.
        reason: String,
    },
}

/// A bound socket. Lives on one thread, inside a `tokio::task::LocalSet`.
pub(crate) struct Listener {
    source: Source,
    outlet: Outlet,
    access: Access,
    backlogs: Backlogs,
    endpoint: String,
}

/// Where its messages come from.
enum Source {
    Router(IdentitySocket),
    Accounts(Accounts),
}

impl Listener {
    /// Binds a socket. Port `0` or `*` takes a free one.
    pub(crate) async fn bind(endpoint: &str, access: Access, door: &Arc<Door>) -> Result<Self, ListenError> {
        if let Access::Accounts(socket) = &access {
            let failed = |error: io::Error| ListenError::Bind {
                endpoint: socket.endpoint().to_owned(),
                reason: error.to_string(),
            };
            let accounts = Accounts::listen(socket, door).map_err(failed)?;
            return Ok(Self {
                source: Source::Accounts(accounts),
                outlet: Outlet::Accounts,
                backlogs: Backlogs::default(),
                endpoint: socket.endpoint().to_owned(),
                access,
            });
        }
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
            Access::Curve(key) => curve(key.clone(), Arc::clone(door)),
            Access::Plain | Access::Accounts(_) => plain(Arc::clone(door)),
        };
        let socket = Socket::try_new(SocketType::Router, options)
            .and_then(|socket| socket.identity_routing())
            .map_err(failed)?;
        tokio::task::spawn_local(Arc::clone(door).watch_failures(Socket::clone(&socket)));
        let bound = socket.bind(format!("tcp://{address}").as_str()).await.map_err(failed)?;
        tokio::task::spawn_local(Arc::clone(door).count_connections(Socket::clone(&socket)));
        let outlet = Outlet::Router(socket.clone());
        Ok(Self {
            source: Source::Router(socket),
            outlet,
            access,
            backlogs: Backlogs::default(),
            endpoint: bound.to_string(),
        })
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
            let received = match &self.source {
                Source::Router(socket) => {
                    let (identity, message) = socket.recv_from().await.ok()?;
                    Peer::routed(identity, &self.access).map(|peer| (peer, message))
                }
                Source::Accounts(accounts) => Some(accounts.next().await?),
            };
            let frame =
                received.and_then(|(peer, message)| Frame::new(listener, peer, message, Instant::now()));
            if frame.is_some() {
                return frame;
            }
            // Others may be waiting while one client sends nothing but empty messages.
            tokio::task::yield_now().await;
        }
    }

    /// Takes what else is there, up to [`MAX_BATCH`].
    pub(crate) fn take_waiting(&self, listener: usize, arrived: Instant, batch: &mut Vec<Frame>) {
        for _ in 0..MAX_BATCH {
            let received = match &self.source {
                Source::Router(socket) => {
                    let Ok((identity, message)) = socket.try_recv_from() else { break };
                    Peer::routed(identity, &self.access).map(|peer| (peer, message))
                }
                Source::Accounts(accounts) => {
                    let Some(received) = accounts.try_next() else { break };
                    Some(received)
                }
            };
            batch.extend(received.and_then(|(peer, message)| Frame::new(listener, peer, message, arrived)));
        }
    }

    /// Sends a reply. Never waits: a client that does not read its replies delays nobody, and one that is gone
    /// gets nothing.
    pub(crate) fn reply(&self, to: &ReturnPath, body: Vec<u8>, attachment: Option<Bytes>) {
        let counted = |bytes: Bytes, part: Part| self.backlogs.count(&self.outlet, &to.peer, bytes, part);
        let body = match attachment {
            None => counted(body.into(), Part::Body).map(Message::single),
            Some(column) => {
                counted(column, Part::Column).map(|column| Message::multipart([body.into(), column]))
            }
        };
        let Some(body) = body else { return };
        let message = to.envelope.enclose(body);
        if self.backlogs.holds(&to.peer) {
            self.backlogs.push(&self.outlet, &to.peer, message);
        } else if let Err(message) = self.outlet.try_send(&to.peer, message) {
            self.backlogs.push(&self.outlet, &to.peer, message);
        }
    }

    /// The way to a client, for a stream.
    pub(crate) fn way(&self, to: &ReturnPath) -> Way {
        Way {
            outlet: self.outlet.clone(),
            backlogs: self.backlogs.clone(),
            peer: to.peer.clone(),
            envelope: to.envelope.clone(),
        }
    }

    /// Closes the connections of those who may not connect any more.
    pub(crate) async fn dismiss(&self, admits: impl Fn(&Sender) -> bool) {
        let socket = match &self.source {
            Source::Router(socket) => socket,
            Source::Accounts(accounts) => return accounts.dismiss(admits),
        };
        let Ok(connections) = socket.connections().await else { return };
        let strangers = connections.into_iter().filter(|connection| {
            let peer = connection.peer_info.as_ref();
            match peer.and_then(|peer| peer.authentication.public_key.as_ref()) {
                Some(PeerPublicKey::Curve(key)) => !admits(&Sender::Key(PublicKey(*key))),
                _ => false,
            }
        });
        for connection in strangers {
            // One that is gone by itself is what is wanted.
            let _ = socket.disconnect_peer(connection.connection_id).await;
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
        match self.source {
            Source::Router(socket) => drop(socket.into_inner().close().await),
            Source::Accounts(accounts) => accounts.close().await,
        }
    }
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

/// Says whether an endpoint can be listened on, as far as that can be known without asking a name server.
///
/// # Errors
/// It is malformed, or plain text for other machines.
pub fn check_listening(endpoint: &str, plain: bool) -> Result<(), ListenError> {
    let (host, _) = host_and_port(endpoint)?;
    let is_loopback = match host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        // By RFC 6761 no other machine has this name.
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    };
    if plain && !is_loopback { Err(ListenError::NotLoopback(endpoint.to_owned())) } else { Ok(()) }
}

fn address(endpoint: &str) -> Result<SocketAddr, ListenError> {
    let addresses = host_and_port(endpoint)?.to_socket_addrs().ok();
    let first = addresses.and_then(|mut addresses| addresses.next());
    first.ok_or_else(|| ListenError::Endpoint(endpoint.to_owned()))
}

fn host_and_port(endpoint: &str) -> Result<(&str, u16), ListenError> {
    let malformed = || ListenError::Endpoint(endpoint.to_owned());
    let authority = endpoint.strip_prefix("tcp://").ok_or_else(malformed)?;
    let (host, port) = authority.rsplit_once(':').ok_or_else(malformed)?;
    let port = if port == "*" { 0 } else { port.parse().map_err(|_| malformed())? };
    let host = if host == "*" { "0.0.0.0" } else { host };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if bare.is_empty() { Err(malformed()) } else { Ok((bare, port)) }
}

/// An endpoint that a client could connect to, checked without connecting.
pub(crate) fn parse_endpoint(endpoint: &str) -> Option<Endpoint> {
    Endpoint::try_from(endpoint).ok().filter(|parsed| match parsed {
        Endpoint::Tcp { port, .. } => *port > 0,
        Endpoint::Ipc(IpcPath::Filesystem(_)) => socket_path(endpoint).is_some(),
        _ => false,
    })
}
