//! A client's side: a DEALER socket to one server, which notices when the server is gone.
//!
//! Refuses to send anything in plain text to another machine.

use std::time::Duration;

use bytes::Bytes;
use omq::endpoint::Host;
use omq::{
    CurvePublicKey, Endpoint, MechanismSetup, Message, MonitorEvent, MonitorRecvError, MonitorStream,
    Options, Socket, SocketType,
};
use rustix::fs::Access;
use rustix::io::Errno;
use wire::PublicKey;

use crate::key::KeyPair;
use crate::limits::{
    CLIENT_HEARTBEAT_INTERVAL, CLIENT_HEARTBEAT_TIMEOUT, CLIENT_HIGH_WATER_MARK, HANDSHAKE_TIMEOUT,
};
use crate::listener::parse_endpoint;
use crate::socket_file::socket_path;

/// An open connection to a server.
pub struct Connection {
    socket: Socket,
    generation: u64,
}

/// How a client makes sure of the server, and the server of the client.
#[derive(Clone, Debug)]
pub enum Security {
    /// Plain text, to this machine alone.
    Plain,
    /// Encrypted with CURVE (RFC 26).
    Curve {
        /// Who the client is.
        key: KeyPair,
        /// Who the server has to be.
        server_key: PublicKey,
    },
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
    /// The endpoint is neither `tcp://HOST:PORT` nor `ipc:///PATH`.
    #[error(
        "`{0}` is not an endpoint; write it as tcp://HOST:PORT, such as tcp://127.0.0.1:5555, or ipc:///PATH, such as ipc:///run/bidden/bidden.sock"
    )]
    Endpoint(String),
    /// Plain text to another machine.
    #[error("`{0}` is another machine, and nothing is sent there in plain text")]
    NotLoopback(String),
    /// Nobody answered in time.
    #[error("no server answered at {endpoint} within {} s", within.as_secs_f32())]
    Unreachable {
        /// Where.
        endpoint: String,
        /// For how long.
        within: Duration,
    },
    /// Whoever answers there does not let this key in. A refusal is not encrypted: it may come from somebody else.
    #[error("{endpoint} does not let your key in; ask its operator whether a user has the public key {key}")]
    KeyRefused {
        /// Where.
        endpoint: String,
        /// The public key that it refused.
        key: PublicKey,
    },
    /// The permissions of a Unix socket.
    #[error("cannot connect to {0}: permission denied; ask its operator for the group that may")]
    Permission(String),
    /// A Unix socket, with keys.
    #[error("`{0}` is a Unix socket, where keys are not used; the kernel says who you are")]
    NoKeys(String),
    /// Whoever answers at a Unix socket does not let this account in.
    #[error(
        "{endpoint} does not let you in; ask its operator whether a user has the uid {uid} or one of your groups"
    )]
    AccountRefused {
        /// Where.
        endpoint: String,
        /// The uid that it refused.
        uid: u32,
    },
    /// Somebody listens there, and the two do not come to an agreement.
    #[error("{endpoint} is open, but there was no agreement: {reason}")]
    Disagreement {
        /// Where.
        endpoint: String,
        /// What is most likely wrong.
        reason: String,
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
    /// A malformed endpoint, plain text to another machine, no server there in time, or one that refuses.
    pub async fn open(endpoint: &str, security: &Security, within: Duration) -> Result<Self, ConnectError> {
        let unreachable = || ConnectError::Unreachable { endpoint: endpoint.to_owned(), within };
        let parsed = parse_endpoint(endpoint).ok_or_else(|| ConnectError::Endpoint(endpoint.to_owned()))?;
        let mut options = Options::new()
            .handshake_timeout(HANDSHAKE_TIMEOUT)
            .heartbeat_interval(CLIENT_HEARTBEAT_INTERVAL)
            .heartbeat_timeout(CLIENT_HEARTBEAT_TIMEOUT)
            .recv_hwm(CLIENT_HIGH_WATER_MARK);
        let path = socket_path(endpoint);
        if path.is_some_and(|path| rustix::fs::access(path, Access::WRITE_OK) == Err(Errno::ACCESS)) {
            return Err(ConnectError::Permission(endpoint.to_owned()));
        }
        options.mechanism = match security {
            Security::Curve { .. } if path.is_some() => {
                return Err(ConnectError::NoKeys(endpoint.to_owned()));
            }
            Security::Plain if is_loopback(&parsed) => MechanismSetup::Null,
            Security::Plain => return Err(ConnectError::NotLoopback(endpoint.to_owned())),
            Security::Curve { key, server_key } => MechanismSetup::CurveClient {
                our_keypair: key.clone().into_inner(),
                server_public: CurvePublicKey::from_bytes(server_key.0),
            },
        };
        let socket = Socket::try_new(SocketType::Dealer, options).map_err(|_| unreachable())?;
        let mut attempts = Attempts::watch(socket.monitor());
        socket.connect(parsed).await.map_err(|_| unreachable())?;
        let ended = tokio::select! {
            connected = socket.wait_connected(1, within) => connected.map_err(|_| attempts.ending(security)).err(),
            ending = attempts.refusal(security, path.is_some()) => Some(ending),
        };
        if let Some(ending) = ended {
            let endpoint = endpoint.to_owned();
            return Err(match ending {
                Ending::KeyRefused(key) => ConnectError::KeyRefused { endpoint, key },
                Ending::AccountRefused => {
                    ConnectError::AccountRefused { endpoint, uid: rustix::process::geteuid().as_raw() }
                }
                Ending::Disagreement(reason) => ConnectError::Disagreement { endpoint, reason },
                Ending::Unreachable => unreachable(),
            });
        }
        let generation = socket.connections_generation();
        Ok(Self { socket, generation })
    }

    /// Sends one request and its attachments, with the empty delimiter frame before it that a REP or ROUTER of the old kind expects.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&self, body: Vec<u8>, attachments: Vec<Bytes>) -> Result<(), Lost> {
        self.socket.send(message(body, attachments)).await.map_err(|_| Lost)
    }

    /// Sends one request and its attachments without waiting.
    ///
    /// # Errors
    /// The connection is gone, or holds more requests than it can send.
    pub fn submit(&self, body: Vec<u8>, attachments: Vec<Bytes>) -> Result<(), Lost> {
        self.socket.try_send(message(body, attachments)).map_err(|_| Lost)
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

fn message(body: Vec<u8>, attachments: Vec<Bytes>) -> Message {
    Message::multipart([Bytes::new(), Bytes::from(body)].into_iter().chain(attachments))
}

/// What became of the attempts to connect, for a message that helps.
struct Attempts {
    events: MonitorStream,
    reached: bool,
    failed: Option<String>,
}

/// How the attempts ended without a connection.
enum Ending {
    KeyRefused(PublicKey),
    AccountRefused,
    Disagreement(String),
    Unreachable,
}

impl Attempts {
    fn watch(events: MonitorStream) -> Self {
        Self { events, reached: false, failed: None }
    }

    /// Completes when trying again is of no use: the server has refused, or has another mechanism.
    async fn refusal(&mut self, security: &Security, by_account: bool) -> Ending {
        loop {
            match self.events.recv().await {
                Ok(MonitorEvent::ConnectStopped { .. }) => {
                    return match security {
                        Security::Curve { key, .. } => Ending::KeyRefused(key.public()),
                        Security::Plain if by_account => Ending::AccountRefused,
                        Security::Plain => self.ending(security),
                    };
                }
                Ok(MonitorEvent::Connected { .. }) => self.reached = true,
                Ok(MonitorEvent::HandshakeFailed { reason, .. }) => {
                    // Where the library says it in other words one day, the attempts go on until their time is over.
                    let is_final = reason.starts_with("mechanism mismatch");
                    self.failed = Some(reason);
                    if is_final {
                        return self.ending(security);
                    }
                }
                Ok(_) | Err(MonitorRecvError::Lagged(_)) => {}
                Err(_) => std::future::pending::<()>().await,
            }
        }
    }

    /// What may be wrong with a server that was reached and did not finish its handshake.
    fn ending(&self, security: &Security) -> Ending {
        if !self.reached {
            return Ending::Unreachable;
        }
        let guess = match security {
            Security::Plain => "it asks for keys, has no room for more connections, or is no ZeroMQ server",
            Security::Curve { .. } => {
                "it has another key than the one expected, has no room for more connections, or speaks plain text"
            }
        };
        let detail = self.failed.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
        Ending::Disagreement(format!("{guess}{detail}"))
    }
}

/// Whether nobody else can be at the other end, without asking a name server. `localhost` is one of these names
/// (RFC 6761).
fn is_loopback(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Tcp { host: Host::Ip(ip), .. } => ip.to_canonical().is_loopback(),
        Endpoint::Tcp { host: Host::Name(name), .. } => name.eq_ignore_ascii_case("localhost"),
        // A file of this machine.
        Endpoint::Ipc(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectError, Connection, Security, is_loopback, parse_endpoint};
    use std::time::Duration;

    #[test]
    fn loopback_is_known_without_a_name_server() {
        for (endpoint, loopback) in [
            ("tcp://127.0.0.1:5555", true),
            ("tcp://127.255.255.254:1", true),
            ("tcp://[::1]:5555", true),
            ("tcp://localhost:5555", true),
            ("tcp://LOCALHOST:5555", true),
            ("tcp://192.0.2.1:5555", false),
            ("tcp://0.0.0.0:5555", false),
            ("tcp://localhost.example.org:5555", false),
            ("tcp://127.0.0.1.example.org:5555", false),
        ] {
            let parsed = parse_endpoint(endpoint).expect("an endpoint");
            assert_eq!(is_loopback(&parsed), loopback, "{endpoint}");
        }
    }

    #[tokio::test]
    async fn plain_text_is_not_sent_to_another_machine() {
        let opened = Connection::open("tcp://192.0.2.1:5555", &Security::Plain, Duration::from_secs(1)).await;
        assert!(matches!(opened, Err(ConnectError::NotLoopback(_))));
    }
}
