//! The connections of one listener. We accept each, ask who it is, and count what it holds; the library's own driver
//! speaks ZMTP on it. A reply goes to the connection that its request came by, and a declared routing id means nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Instant;

use omq::engine::{ConnectionDriver, PeerDriverCommand, PeerDriverConfig, PeerEvent};
use omq::proto::{Connection, ConnectionConfig, Event, Role};
use omq::{AuthenticationResult, Authenticator, CurveServerOptions, MechanismSetup, Message, SocketType};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wire::PublicKey;

use crate::access::Access;
use crate::door::{Door, Entered, Origin};
use crate::handshakes::{Handshake, Handshakes};
use crate::limits::{
    ACCEPT_PAUSE, HANDSHAKE_TIMEOUT, HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, LARGE_PAYLOAD_BYTES, LINGER,
    MAX_MESSAGE_BYTES, MAX_WAITING_EVENTS, RECEIVE_HIGH_WATER_MARK, SEND_HIGH_WATER_MARK,
};
use crate::link::{Account, Link};
use crate::meter::{Meter, Metered, Queued};
use crate::peer::{Peer, Sender};

/// Frames that each side sends in a handshake: READY of NULL (RFC 23); HELLO and INITIATE, WELCOME and READY of CURVE
/// (RFC 26).
const NULL_HANDSHAKE_FRAMES: u64 = 1;
const CURVE_HANDSHAKE_FRAMES: u64 = 2;

/// What CURVE adds to a frame: its name, a nonce, a tag, and the flags.
const CURVE_SEAL_BYTES: usize = 8 + 8 + 16 + 1;

/// The connections of one listener. Lives on one thread, inside a `tokio::task::LocalSet`.
pub(crate) struct Connections {
    received: RefCell<mpsc::Receiver<Received>>,
    open: OpenConnections,
    /// Ends the tasks of this listener when it is dropped.
    _running: tokio_util::sync::DropGuard,
    accepting: CancellationToken,
}

/// A message, and what it counts for until it is taken.
type Received = (Peer, Message, Queued);

/// Every connection, for those that are to be closed.
type OpenConnections = Rc<RefCell<HashMap<u64, Open>>>;

struct Open {
    /// Nobody while the handshake goes on.
    sender: Option<Sender>,
    commands: mpsc::Sender<PeerDriverCommand>,
    cut: CancellationToken,
}

/// Where connections come from.
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What each connection needs of its listener.
struct Entrance {
    door: Arc<Door>,
    endpoint: Arc<str>,
    access: Access,
    open: OpenConnections,
    handshakes: Handshakes,
    received: mpsc::Sender<Received>,
}

/// A connection that has been accepted and has said nothing.
struct Newcomer {
    number: u64,
    origin: Origin,
    address: Option<SocketAddr>,
    account: Option<Account>,
    handshake: Handshake,
    cut: CancellationToken,
}

/// One whose handshake has not ended.
struct Beginning {
    link: Link,
    verdict: Verdict,
    _handshake: Handshake,
}

/// What the door has decided on one connection, which has no user before.
#[derive(Clone, Default)]
struct Verdict(Arc<Mutex<Option<Result<Entered, Refused>>>>);

struct Refused;

impl Verdict {
    fn set(&self, decided: Result<Entered, AuthenticationResult>) -> AuthenticationResult {
        let (verdict, result) = match decided {
            Ok(entered) => (Ok(entered), AuthenticationResult::allow()),
            Err(result) => (Err(Refused), result),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
        result
    }

    fn take(&self) -> Option<Result<Entered, Refused>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Connections {
    pub(crate) fn accept(socket: Socket, endpoint: &str, access: Access, door: &Arc<Door>) -> Self {
        let (messages, received) = mpsc::channel(RECEIVE_HIGH_WATER_MARK as usize);
        let open = OpenConnections::default();
        let running = CancellationToken::new();
        let accepting = running.child_token();
        let entrance = Entrance {
            door: Arc::clone(door),
            endpoint: endpoint.into(),
            access,
            open: Rc::clone(&open),
            handshakes: Handshakes::default(),
            received: messages,
        };
        let accept = accept(socket, Rc::new(entrance), running.clone());
        tokio::task::spawn_local(accepting.clone().run_until_cancelled_owned(accept));
        Self { received: RefCell::new(received), open, _running: running.drop_guard(), accepting }
    }

    /// Waits for a message. Dropping the future loses nothing.
    pub(crate) async fn next(&self) -> Option<(Peer, Message)> {
        let received = poll_fn(|context| match self.received.try_borrow_mut() {
            Ok(mut received) => received.poll_recv(context),
            Err(_) => Poll::Pending,
        });
        received.await.map(|(peer, message, _)| (peer, message))
    }

    pub(crate) fn try_next(&self) -> Option<(Peer, Message)> {
        let received = self.received.try_borrow_mut().ok()?.try_recv().ok();
        received.map(|(peer, message, _)| (peer, message))
    }

    /// Closes the connections of those who may not connect any more.
    pub(crate) fn dismiss(&self, admits: impl Fn(&Sender) -> bool) {
        for open in self.open.borrow().values() {
            let is_known = open.sender.filter(|sender| !matches!(sender, Sender::Local));
            if is_known.is_some_and(|sender| !admits(&sender)) {
                open.cut.cancel();
            }
        }
    }

    /// Takes no more connections, and gives what waits to be written the time of [`LINGER`].
    pub(crate) async fn close(self) {
        self.accepting.cancel();
        let deadline = Instant::now().checked_add(LINGER);
        for open in self.open.borrow().values() {
            let _ = open.commands.try_send(PeerDriverCommand::DrainAndClose { deadline });
        }
        let ended = async {
            while !self.open.borrow().is_empty() {
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        };
        let _ = tokio::time::timeout(LINGER, ended).await;
    }
}

async fn accept(socket: Socket, entrance: Rc<Entrance>, running: CancellationToken) {
    for number in 0.. {
        let taken = match &socket {
            Socket::Tcp(listener) => listener.accept().await.map(|(stream, address)| {
                // Where this fails, replies come later than they could.
                let _ = stream.set_nodelay(true);
                let newcomer = entrance.take(number, Origin::Address(address.ip()), &running);
                let (reader, writer) = stream.into_split();
                entrance.open(Newcomer { address: Some(address), ..newcomer }, reader, writer);
            }),
            Socket::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                let Ok(credentials) = stream.peer_cred() else { return };
                let account = Account {
                    uid: credentials.uid(),
                    gid: credentials.gid(),
                    pid: credentials.pid().and_then(|pid| u32::try_from(pid).ok()),
                };
                let newcomer = entrance.take(number, Origin::Account(account.uid), &running);
                let (reader, writer) = stream.into_split();
                entrance.open(Newcomer { account: Some(account), ..newcomer }, reader, writer);
            }),
        };
        if taken.is_err() {
            // Out of descriptors: some come back. Or the client is gone already.
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

impl Entrance {
    /// A place for one that has been accepted.
    fn take(&self, number: u64, origin: Origin, running: &CancellationToken) -> Newcomer {
        let cut = running.child_token();
        let (handshake, lost) = self.handshakes.begin(origin, self.door.room().pending, cut.clone());
        if let Some(lost) = lost {
            self.door.note_failure(lost, "newcomers needed its place before its handshake was over");
        }
        Newcomer { number, origin, address: None, account: None, handshake, cut }
    }

    fn open<R, W>(self: &Rc<Self>, newcomer: Newcomer, reader: R, writer: W)
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let Newcomer { number, cut, .. } = &newcomer;
        let (commands, orders) = mpsc::channel(4);
        let (messages, outgoing) = mpsc::channel(SEND_HIGH_WATER_MARK as usize);
        // A few wait here; what comes after them waits in the client's own socket.
        let (happened, events) = mpsc::channel(MAX_WAITING_EVENTS);
        let verdict = Verdict::default();
        let codec = ConnectionConfig::new(Role::Server, SocketType::Router)
            .max_message_size(MAX_MESSAGE_BYTES)
            .mechanism(self.mechanism(&newcomer, &verdict))
            .defer_authentication(true);
        let config = PeerDriverConfig {
            handshake_timeout: Some(HANDSHAKE_TIMEOUT),
            heartbeat_interval: Some(HEARTBEAT_INTERVAL),
            heartbeat_timeout: Some(HEARTBEAT_TIMEOUT),
            large_message_threshold: LARGE_PAYLOAD_BYTES,
            ..PeerDriverConfig::default()
        };
        let meter = match &self.access {
            Access::Curve(_) => Meter::new(CURVE_HANDSHAKE_FRAMES, CURVE_SEAL_BYTES),
            Access::Plain | Access::Accounts(_) => Meter::new(NULL_HANDSHAKE_FRAMES, 0),
        };
        let stream = Metered { reader, writer, meter: Arc::clone(&meter) };
        let driver = ConnectionDriver::with_config(
            stream,
            Connection::new(codec),
            orders,
            happened,
            *number,
            cut.clone(),
            config,
        );
        let open = Open { sender: None, commands: commands.clone(), cut: cut.clone() };
        self.open.borrow_mut().insert(*number, open);
        tokio::task::spawn_local(driver.with_data_inbox(outgoing).run());
        let link = Link {
            number: *number,
            endpoint: Arc::clone(&self.endpoint),
            address: newcomer.address,
            is_req: false,
            messages,
            meter,
            cut: cut.clone(),
        };
        let beginning = Beginning { link, verdict, _handshake: newcomer.handshake };
        tokio::task::spawn_local(Rc::clone(self).attend(newcomer.origin, beginning, commands, events));
    }

    /// How one proves who it is. Never without an authenticator: a CURVE server that has none lets every key in.
    fn mechanism(&self, newcomer: &Newcomer, verdict: &Verdict) -> MechanismSetup {
        let (door, verdict, origin) = (Arc::clone(&self.door), verdict.clone(), newcomer.origin);
        let known = newcomer.account.map_or(Sender::Local, Sender::Account);
        match &self.access {
            Access::Curve(our_keypair) => {
                let mut options = CurveServerOptions::new().cookie_lifetime(HANDSHAKE_TIMEOUT);
                options.authenticator = Some(Authenticator::new_with_result(move |peer| {
                    // Nobody may be taken for another by a name of its own choice.
                    let declares_identity =
                        peer.identity.as_ref().is_some_and(|identity| !identity.is_empty());
                    let sender = Sender::Key(PublicKey(peer.public_key));
                    verdict.set(door.let_in(sender, origin, declares_identity))
                }));
                MechanismSetup::CurveServer { our_keypair: our_keypair.clone().into_inner(), options }
            }
            Access::Plain | Access::Accounts(_) => MechanismSetup::NullServer {
                authenticator: Authenticator::new_with_result(move |_| {
                    verdict.set(door.let_in(known, origin, false))
                }),
            },
        }
    }

    /// Takes what comes of one connection, until it is gone.
    async fn attend(
        self: Rc<Self>,
        origin: Origin,
        beginning: Beginning,
        commands: mpsc::Sender<PeerDriverCommand>,
        mut events: mpsc::Receiver<(u64, PeerEvent)>,
    ) {
        let (number, meter) = (beginning.link.number, Arc::clone(&beginning.link.meter));
        let (verdict, cut) = (beginning.verdict.clone(), beginning.link.cut.clone());
        let mut beginning = Some(beginning);
        let mut ready: Option<(Peer, Entered)> = None;
        while let Some((_, event)) = events.recv().await {
            match event {
                PeerEvent::Event(Event::HandshakeSucceeded { peer_properties, .. }) => {
                    let Some(Beginning { link, .. }) = beginning.take() else { continue };
                    // Nobody comes past the door without its word.
                    let Some(Ok(entered)) = verdict.take() else {
                        link.disconnect();
                        continue;
                    };
                    let sender = entered.sender();
                    meter.ready(self.door.borrower(sender, link.cut.clone()));
                    if let Some(open) = self.open.borrow_mut().get_mut(&number) {
                        open.sender = Some(sender);
                    }
                    let is_req = peer_properties.socket_type == Some(SocketType::Req);
                    ready = Some((Peer::new(Arc::new(Link { is_req, ..link }), sender), entered));
                    let _ = commands.try_send(PeerDriverCommand::ActivateDataPlane);
                }
                PeerEvent::Event(Event::Message(message)) => {
                    let Some((peer, _)) = &ready else { continue };
                    let queued = meter.finished(&message);
                    if self.received.send((peer.clone(), message, queued)).await.is_err() {
                        break;
                    }
                }
                // No command but heartbeats has a meaning here, and those are answered before.
                PeerEvent::Event(Event::Command(_)) => break,
                PeerEvent::Closed { error } => {
                    // One that hung up asked for nothing: so does whoever looks if a server is there. One that the door
                    // has refused is counted.
                    let is_counted = ready.is_some() || matches!(verdict.take(), Some(Err(Refused)));
                    let reason = error.filter(|reason| !is_counted && !reason.contains("os error"));
                    if let Some(reason) = reason {
                        self.door.note_failure(origin, &reason);
                    }
                    break;
                }
            }
        }
        meter.close();
        cut.cancel();
        self.open.borrow_mut().remove(&number);
    }
}
