//! A Unix socket whose clients the kernel names. We accept the connection and ask who it is; the library's own driver
//! speaks ZMTP on it. A reply goes to the connection that its request came by, and a declared routing id means nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use omq::engine::driver::DriverStream;
use omq::engine::{ConnectionDriver, PeerDriverCommand, PeerDriverConfig, PeerEvent};
use omq::proto::{Connection, ConnectionConfig, Event, Role};
use omq::{Authenticator, MechanismSetup, Message, SocketType};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::account::{Account, AccountLink};
use crate::door::{Door, Entered, Origin};
use crate::limits::{
    ACCEPT_PAUSE, HANDSHAKE_SHARES, HANDSHAKE_TIMEOUT, HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT,
    LARGE_PAYLOAD_BYTES, LINGER, MAX_MESSAGE_BYTES, RECEIVE_HIGH_WATER_MARK, SEND_HIGH_WATER_MARK,
};
use crate::peer::{Peer, Sender};
use crate::socket_file::AccountSocket;

/// The connections of one Unix socket. Lives on one thread, inside a `tokio::task::LocalSet`.
pub(crate) struct Accounts {
    received: RefCell<mpsc::Receiver<(Peer, Message)>>,
    connections: Connections,
    /// Ends the tasks of this listener when it is dropped.
    _running: tokio_util::sync::DropGuard,
    accepting: CancellationToken,
}

/// Every connection, for those that are to be closed.
type Connections = Rc<RefCell<HashMap<u64, Open>>>;

struct Open {
    account: Account,
    commands: mpsc::Sender<PeerDriverCommand>,
    cut: CancellationToken,
}

/// What each connection needs of its listener.
struct Entrance {
    door: Arc<Door>,
    endpoint: Arc<str>,
    connections: Connections,
    handshakes: Handshakes,
    received: mpsc::Sender<(Peer, Message)>,
}

/// The handshakes that have not ended, by account.
#[derive(Clone, Default)]
struct Handshakes(Rc<RefCell<HashMap<u32, usize>>>);

/// One of them; given back when it is dropped.
struct Handshake {
    all: Handshakes,
    uid: u32,
}

impl Handshakes {
    /// Room for one more, of so many in all of which one account has at most its share.
    fn begin(&self, uid: u32, most: usize) -> Option<Handshake> {
        let mut pending = self.0.borrow_mut();
        let own = pending.get(&uid).copied().unwrap_or_default();
        let has_room =
            own < most.div_euclid(HANDSHAKE_SHARES).max(1) && pending.values().sum::<usize>() < most;
        if !has_room {
            return None;
        }
        pending.insert(uid, own.saturating_add(1));
        Some(Handshake { all: self.clone(), uid })
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut pending = self.all.0.borrow_mut();
        match pending.get_mut(&self.uid) {
            Some(own) if *own > 1 => *own = own.saturating_sub(1),
            _ => drop(pending.remove(&self.uid)),
        }
    }
}

/// A Unix stream as the library's driver takes it.
struct Stream(UnixStream);

impl DriverStream for Stream {
    type Reader = ReadHalf<UnixStream>;
    type Writer = WriteHalf<UnixStream>;

    fn split(self, _fast_write: bool) -> (Self::Reader, Self::Writer) {
        tokio::io::split(self.0)
    }
}

impl Accounts {
    pub(crate) fn listen(socket: &AccountSocket, door: &Arc<Door>) -> io::Result<Self> {
        let listener = UnixListener::from_std(socket.listener()?)?;
        let (frames, received) = mpsc::channel(RECEIVE_HIGH_WATER_MARK as usize);
        let connections = Connections::default();
        let running = CancellationToken::new();
        let accepting = running.child_token();
        let entrance = Entrance {
            door: Arc::clone(door),
            endpoint: socket.endpoint().into(),
            connections: Rc::clone(&connections),
            handshakes: Handshakes::default(),
            received: frames,
        };
        let accept = accept(listener, Rc::new(entrance), running.clone());
        tokio::task::spawn_local(accepting.clone().run_until_cancelled_owned(accept));
        Ok(Self { received: RefCell::new(received), connections, _running: running.drop_guard(), accepting })
    }

    /// Waits for a message. Dropping the future loses nothing.
    pub(crate) async fn next(&self) -> Option<(Peer, Message)> {
        poll_fn(|context| match self.received.try_borrow_mut() {
            Ok(mut received) => received.poll_recv(context),
            Err(_) => Poll::Pending,
        })
        .await
    }

    pub(crate) fn try_next(&self) -> Option<(Peer, Message)> {
        self.received.try_borrow_mut().ok()?.try_recv().ok()
    }

    /// Closes the connections of accounts that may not connect any more.
    pub(crate) fn dismiss(&self, admits: impl Fn(&Sender) -> bool) {
        for open in self.connections.borrow().values() {
            if !admits(&Sender::Account(open.account)) {
                open.cut.cancel();
            }
        }
    }

    /// Takes no more connections, and gives what waits to be written the time of [`LINGER`].
    pub(crate) async fn close(self) {
        self.accepting.cancel();
        let deadline = Instant::now().checked_add(LINGER);
        for open in self.connections.borrow().values() {
            let _ = open.commands.try_send(PeerDriverCommand::DrainAndClose { deadline });
        }
        let ended = async {
            while !self.connections.borrow().is_empty() {
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        };
        let _ = tokio::time::timeout(LINGER, ended).await;
    }
}

async fn accept(listener: UnixListener, entrance: Rc<Entrance>, running: CancellationToken) {
    for number in 0.. {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: some come back.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(credentials) = stream.peer_cred() else { continue };
        let account = Account {
            uid: credentials.uid(),
            gid: credentials.gid(),
            pid: credentials.pid().and_then(|pid| u32::try_from(pid).ok()),
        };
        // Without room the connection is closed before it costs anything.
        if let Some(handshake) = entrance.handshakes.begin(account.uid, entrance.door.room().pending) {
            entrance.open(number, stream, account, handshake, running.child_token());
        }
    }
}

impl Entrance {
    fn open(
        self: &Rc<Self>,
        number: u64,
        stream: UnixStream,
        account: Account,
        handshake: Handshake,
        cut: CancellationToken,
    ) {
        let (commands, orders) = mpsc::channel(4);
        let (messages, outgoing) = mpsc::channel(SEND_HIGH_WATER_MARK as usize);
        // One event waits here; what comes after it waits in the client's own socket.
        let (happened, events) = mpsc::channel(1);
        let door = Arc::clone(&self.door);
        let authenticator = Authenticator::new_with_result(move |_| door.let_in_account(account));
        let codec = ConnectionConfig::new(Role::Server, SocketType::Router)
            .max_message_size(MAX_MESSAGE_BYTES)
            .mechanism(MechanismSetup::NullServer { authenticator })
            .defer_authentication(true);
        let config = PeerDriverConfig {
            handshake_timeout: Some(HANDSHAKE_TIMEOUT),
            heartbeat_interval: Some(HEARTBEAT_INTERVAL),
            heartbeat_timeout: Some(HEARTBEAT_TIMEOUT),
            large_message_threshold: LARGE_PAYLOAD_BYTES,
            ..PeerDriverConfig::default()
        };
        let driver = ConnectionDriver::with_config(
            Stream(stream),
            Connection::new(codec),
            orders,
            happened,
            number,
            cut.clone(),
            config,
        );
        let open = Open { account, commands: commands.clone(), cut: cut.clone() };
        self.connections.borrow_mut().insert(number, open);
        tokio::task::spawn_local(driver.with_data_inbox(outgoing).run());
        let link = AccountLink { number, endpoint: Arc::clone(&self.endpoint), is_req: false, messages, cut };
        tokio::task::spawn_local(Rc::clone(self).attend(link, account, handshake, commands, events));
    }

    /// Takes what comes of one connection, until it is gone.
    async fn attend(
        self: Rc<Self>,
        link: AccountLink,
        account: Account,
        handshake: Handshake,
        commands: mpsc::Sender<PeerDriverCommand>,
        mut events: mpsc::Receiver<(u64, PeerEvent)>,
    ) {
        let number = link.number;
        let mut beginning = Some((link, handshake));
        let mut ready: Option<(Peer, Entered)> = None;
        while let Some((_, event)) = events.recv().await {
            match event {
                PeerEvent::Event(Event::HandshakeSucceeded { peer_properties, .. }) => {
                    let Some((link, _ended)) = beginning.take() else { continue };
                    let is_req = peer_properties.socket_type == Some(SocketType::Req);
                    let peer = Peer::account(Arc::new(AccountLink { is_req, ..link }), account);
                    ready = Some((peer, self.door.enter()));
                    let _ = commands.try_send(PeerDriverCommand::ActivateDataPlane);
                }
                PeerEvent::Event(Event::Message(message)) => {
                    let Some((peer, _)) = &ready else { continue };
                    if self.received.send((peer.clone(), message)).await.is_err() {
                        break;
                    }
                }
                PeerEvent::Event(Event::Command(_)) => {}
                PeerEvent::Closed { error } => {
                    // One that hung up asked for nothing: so does whoever looks if a server is there.
                    let reason = error.filter(|reason| ready.is_none() && !reason.contains("os error"));
                    if let Some(reason) = reason {
                        self.door.note_failure(Origin::Account(account.uid), &reason);
                    }
                    break;
                }
            }
        }
        self.connections.borrow_mut().remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::Handshakes;

    #[test]
    fn one_account_has_its_share_of_the_pending_handshakes() {
        let handshakes = Handshakes::default();
        let mut first: Vec<_> = (0..4).map(|_| handshakes.begin(1, 32).expect("room")).collect();
        assert!(handshakes.begin(1, 32).is_none());
        let others: Vec<_> = (2..9).flat_map(|uid| (0..4).map(move |_| uid)).collect();
        let mut others: Vec<_> =
            others.into_iter().map(|uid| handshakes.begin(uid, 32).expect("room")).collect();
        assert!(handshakes.begin(9, 32).is_none(), "all are taken");
        others.pop();
        assert!(handshakes.begin(9, 32).is_some());
        first.pop();
        assert!(handshakes.begin(1, 32).is_some(), "what has ended is given back");
        drop((first, others));
        assert!(handshakes.0.borrow().is_empty());
        assert!(handshakes.begin(1, 1).is_some(), "however few there are, one is for each");
    }
}
