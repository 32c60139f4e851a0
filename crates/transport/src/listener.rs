//! The server's side: a socket that yields frames with who sent them.
//!
//! Refuses to listen in plain text where another machine could connect.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use omq::{Endpoint, IpcPath, Message};
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use crate::access::Access;
use crate::backlog::{Backlogs, Part};
use crate::door::Door;
use crate::entrance::{Connections, Socket};
use crate::frame::{Frame, ReturnPath};
use crate::limits::{LINGER, MAX_BATCH, MAX_LISTENERS, TCP_BACKLOG};
use crate::peer::Sender;
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
    connections: Connections,
    access: Access,
    backlogs: Backlogs,
    endpoint: String,
}

impl Listener {
    /// Binds a socket. Port `0` or `*` takes a free one.
    pub(crate) fn bind(endpoint: &str, access: Access, door: &Arc<Door>) -> Result<Self, ListenError> {
        let failed =
            |error: io::Error| ListenError::Bind { endpoint: endpoint.to_owned(), reason: error.to_string() };
        let (socket, endpoint) = match &access {
            Access::Accounts(socket) => {
                let listener = socket.listener().and_then(UnixListener::from_std).map_err(failed)?;
                (Socket::Unix(listener), socket.endpoint().to_owned())
            }
            Access::Plain | Access::Curve(_) => {
                let address = listening_address(endpoint, matches!(access, Access::Plain))?;
                let listener = listen(address).map_err(failed)?;
                let endpoint = format!("tcp://{}", listener.local_addr().map_err(failed)?);
                (Socket::Tcp(listener), endpoint)
            }
        };
        let connections = Connections::accept(socket, &endpoint, access.clone(), door);
        Ok(Self { connections, access, backlogs: Backlogs::default(), endpoint })
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
            let (peer, message) = self.connections.next().await?;
            let frame = Frame::new(listener, peer, message, Instant::now());
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
            let Some((peer, message)) = self.connections.try_next() else { break };
            batch.extend(Frame::new(listener, peer, message, arrived));
        }
    }

    /// Sends a reply. Never waits: a client that does not read its replies delays nobody, and one that is gone
    /// gets nothing.
    pub(crate) fn reply(&self, to: &ReturnPath, body: Vec<u8>, attachment: Option<Bytes>) {
        let counted = |bytes: Bytes, part: Part| self.backlogs.count(&to.peer, bytes, part);
        let body = match attachment {
            None => counted(body.into(), Part::Body).map(Message::single),
            Some(column) => {
                counted(column, Part::Column).map(|column| Message::multipart([body.into(), column]))
            }
        };
        let Some(body) = body else { return };
        let message = to.envelope.enclose(body);
        if self.backlogs.holds(&to.peer) {
            self.backlogs.push(&to.peer, message);
        } else if let Err(message) = to.peer.link().try_send(message) {
            self.backlogs.push(&to.peer, message);
        }
    }

    /// The way to a client, for a stream.
    pub(crate) fn way(&self, to: &ReturnPath) -> Way {
        Way { backlogs: self.backlogs.clone(), peer: to.peer.clone(), envelope: to.envelope.clone() }
    }

    /// Closes the connections of those who may not connect any more.
    pub(crate) fn dismiss(&self, admits: impl Fn(&Sender) -> bool) {
        self.connections.dismiss(admits);
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
        self.connections.close().await;
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(TCP_BACKLOG)
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
