//! Whoever shares the transport has a share of it: beside one user, or one network, that takes all it can get, another
//! is served, and the server's memory has a bound.

use std::collections::VecDeque;
use std::io::Read as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::net::TcpSocket;
use transport::limits::{
    CONNECTION_PARTS, LARGE_MESSAGES_A_USER, MAX_HELD_BYTES, MAX_PENDING_HANDSHAKES, RESERVED_DESCRIPTORS,
};
use transport::{Connection, KeyPair};
use wire::PublicKey;

use crate::daemon::{BIDDEN, Daemon};
use crate::keyed::{Keyed, PATIENCE, connect, listener, policy, server_key};
use crate::raw_curve::{CurvePeer, Sealer, Spoiled};
use crate::raw_peer::{RawPeer, greeting};
use crate::served::ask;

const COMPUTE: &str = r#"{"command_type":"compute","expression":"6*7"}"#;

/// How often a polite user asks beside each attack, at least.
const ASKED: usize = 15;

/// How long an attack goes on, at least.
const ATTACKED: Duration = Duration::from_secs(3);

/// How many times longer the median of a polite user may take than it does alone. Attackers, server and user share
/// the machine's few cores; who waits for an attacker to finish waits for minutes.
const SLOWER: u32 = 100;

/// What a server takes beside what its users hold, in KiB: its program, and what 1,000 connections cost.
const SOME_KIB: u64 = 160 * 1024;

/// The flags of a frame in a sealed one.
const MORE: u8 = 1;
const COMMAND: u8 = 2;

/// A server, and one of its users who wishes it ill.
struct Arena {
    endpoint: String,
    server_key: PublicKey,
    eve: KeyPair,
}

/// What goes on until it is dropped.
#[derive(Default)]
struct Attack {
    over: Arc<AtomicBool>,
    connections: Vec<TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for connection in &self.connections {
            let _ = connection.shutdown(Shutdown::Both);
        }
        for thread in self.threads.drain(..) {
            thread.join().expect("no panic");
        }
    }
}

impl Attack {
    /// Goes on in a thread of its own until it says that it is done, or the attack is over.
    fn also(&mut self, mut step: impl FnMut() -> bool + Send + 'static) {
        let over = Arc::clone(&self.over);
        let until_over = move || while !over.load(Ordering::Relaxed) && step() {};
        self.threads.push(std::thread::spawn(until_over));
    }

    /// What is written on a connection of its own, as often as the server reads it.
    fn written(&mut self, mut peer: RawPeer, mut next: impl FnMut() -> Vec<u8> + Send + 'static) {
        self.connections.push(peer.connection());
        self.also(move || peer.try_write(&next()));
    }

    /// The same, and what the server answers is read.
    fn spoken(&mut self, peer: RawPeer, next: impl FnMut() -> Vec<u8> + Send + 'static) {
        let mut answers = peer.connection();
        let mut buffer = vec![0; 1 << 16];
        self.also(move || answers.read(&mut buffer).is_ok_and(|count| count > 0));
        self.written(peer, next);
    }
}

impl Arena {
    fn insider(&self) -> (RawPeer, Sealer) {
        let peer = CurvePeer::greet(&self.endpoint, self.server_key);
        peer.shake_hands(&self.eve, &Spoiled::Nothing).expect("eve may").into_parts()
    }

    fn mute(&self) -> Attack {
        let mut attack = Attack::default();
        attack.connections.extend((0..1000).map(|_| RawPeer::silent(&self.endpoint).connection()));
        attack
    }

    /// Nothing but a greeting, again and again.
    fn half_open(&self) -> Attack {
        let mut attack = Attack::default();
        let endpoint = self.endpoint.clone();
        let mut last = VecDeque::new();
        attack.also(move || {
            let mut peer = RawPeer::silent(&endpoint);
            peer.try_write(&greeting(b"CURVE"));
            last.push_back(peer);
            if last.len() > 1500 {
                last.pop_front();
            }
            true
        });
        attack
    }

    fn reconnecting(&self) -> Attack {
        let mut attack = Attack::default();
        for _ in 0..2 {
            let endpoint = self.endpoint.clone();
            attack.also(move || {
                drop(RawPeer::silent(&endpoint));
                true
            });
        }
        attack
    }

    fn handshakes(&self) -> Attack {
        let mut attack = Attack::default();
        let arena =
            Arena { endpoint: self.endpoint.clone(), server_key: self.server_key, eve: self.eve.clone() };
        attack.also(move || {
            drop(arena.insider());
            true
        });
        attack
    }

    fn unfinished(&self) -> Attack {
        let mut attack = Attack::default();
        let piece = vec![0x5a; 1 << 20];
        for _ in 0..100 {
            let (mut peer, _) = self.insider();
            let length = 32_u64 << 20;
            peer.try_write(&[&[2][..], &length.to_be_bytes()].concat());
            attack.connections.push(peer.connection());
            let piece = piece.clone();
            let mut left = 31;
            attack.also(move || {
                left -= 1;
                peer.try_write(&piece) && left > 0
            });
        }
        attack
    }

    /// Bytes that come one by one, each a piece that has to be remembered.
    fn in_small_pieces(&self) -> Attack {
        let mut attack = Attack::default();
        for _ in 0..2 {
            let (mut peer, _) = self.insider();
            peer.try_write(&[&[2][..], &(8_u64 << 20).to_be_bytes()].concat());
            peer.connection().set_nodelay(true).expect("set");
            attack.written(peer, || vec![0x5a]);
        }
        attack
    }

    /// The same frames again and again, on so many connections.
    fn frames(&self, connections: usize, flags: u8, body: &'static [u8]) -> Attack {
        let mut attack = Attack::default();
        for _ in 0..connections {
            let (peer, mut sealer) = self.insider();
            attack.spoken(peer, move || (0..100).flat_map(|_| sealer.seal(flags, body)).collect());
        }
        attack
    }
}

/// What is done, and how.
const ATTACKS: [(&str, fn(&Arena) -> Attack); 9] = [
    ("1,000 connections that say nothing", Arena::mute),
    ("handshakes that are never finished", Arena::half_open),
    ("connections that come and go", Arena::reconnecting),
    ("handshakes that are finished and dropped", Arena::handshakes),
    ("100 messages of 32 MiB that are never finished", Arena::unfinished),
    ("messages whose bytes come one by one", Arena::in_small_pieces),
    ("messages of endlessly many small frames", |arena| arena.frames(20, MORE, b"x")),
    ("heartbeats", |arena| arena.frames(4, COMMAND, b"\x04PING\0\0")),
    ("subscriptions", |arena| arena.frames(4, COMMAND, b"\x09SUBSCRIBEeverything")),
];

/// A user who asks now and then.
struct Polite {
    connection: Connection,
    endpoint: String,
    server_key: PublicKey,
    key: KeyPair,
}

/// What one of them waits for.
#[derive(Debug)]
struct Medians {
    answer: Duration,
    newcomer: Duration,
    large: Duration,
}

impl Polite {
    async fn asks(&self, at_least: Duration, mut each: impl FnMut()) -> Medians {
        let began = Instant::now();
        let mut times: [Vec<Duration>; 3] = Default::default();
        while times[0].len() < ASKED || began.elapsed() < at_least {
            let start = Instant::now();
            assert_eq!(ask(&self.connection, COMPUTE).await["result"], 42);
            times[0].push(start.elapsed());
            let start = Instant::now();
            let newcomer = connect(&self.endpoint, &self.key, self.server_key).await.expect("let in");
            assert_eq!(ask(&newcomer, COMPUTE).await["result"], 42);
            times[1].push(start.elapsed());
            let start = Instant::now();
            // A column that nobody asked for is refused when all of it is there.
            let column = Bytes::from(vec![0; 1 << 20]);
            self.connection.send(COMPUTE.as_bytes().to_vec(), vec![column]).await.expect("sent");
            let reply = tokio::time::timeout(PATIENCE, self.connection.receive()).await;
            reply.expect("in time").expect("answered");
            times[2].push(start.elapsed());
            each();
        }
        let [answer, newcomer, large] = times.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2]
        });
        Medians { answer, newcomer, large }
    }
}

#[tokio::test]
async fn beside_any_flood_a_polite_user_is_served_and_memory_has_a_bound() {
    let eve = KeyPair::generate();
    let keyed =
        Keyed::with_users(&format!("[users.eve]\npublic_key = '{}'\nroles = ['all']\n", eve.public()));
    let arena = Arena { endpoint: keyed.daemon.endpoint.clone(), server_key: keyed.server_key, eve };
    let polite = Polite {
        connection: keyed.connect().await,
        endpoint: keyed.daemon.endpoint.clone(),
        server_key: keyed.server_key,
        key: keyed.ann.clone(),
    };
    let alone = polite.asks(Duration::ZERO, || ()).await;
    let bound = (LARGE_MESSAGES_A_USER * MAX_HELD_BYTES / 1024) as u64 + SOME_KIB;
    let mut faults = Vec::new();
    for (name, begin) in ATTACKS {
        // The worst that it has been since the server began.
        let attack = begin(&arena);
        let mut most = 0;
        let beside = polite.asks(ATTACKED, || most = most.max(resident_kib(&keyed.daemon))).await;
        drop(attack);
        eprintln!("{name}: {beside:?} beside it, {alone:?} alone; {most} KiB");
        let columns = [
            (beside.answer > alone.answer * SLOWER, "an answer"),
            (beside.newcomer > alone.newcomer * SLOWER, "a newcomer"),
            (beside.large > alone.large * SLOWER, "a large message"),
            (most > bound, "memory"),
        ];
        faults.extend(columns.iter().filter(|column| column.0).map(|column| (name, column.1)));
    }
    assert!(faults.is_empty(), "{faults:?}");
    keyed.daemon.stop();
}

fn resident_kib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Connects from an address of its own; all of 127.0.0.0/8 are this machine's.
async fn connect_from(source: [u8; 4], daemon: &Daemon) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((source, 0)))?;
    let server: SocketAddr =
        daemon.endpoint.strip_prefix("tcp://").expect("TCP").parse().expect("an address");
    socket.connect(server).await?.into_std()
}

#[tokio::test]
async fn newcomers_from_elsewhere_get_in_beside_a_crowd_that_holds_all_handshakes() {
    let keyed = Keyed::start();
    let newcomer = || async {
        let began = Instant::now();
        let connection = keyed.connect().await;
        assert_eq!(ask(&connection, COMPUTE).await["result"], 42);
        began.elapsed()
    };
    let alone = newcomer().await.max(newcomer().await);
    // Each row: the networks that a crowd comes from, and whether each connection has an address of its own.
    for networks in [1_u8, 8] {
        let mut crowd = VecDeque::new();
        let most = 2 * MAX_PENDING_HANDSHAKES;
        let mut number = 0_u32;
        let mut join = async |crowd: &mut VecDeque<_>, count: usize| {
            for _ in 0..count {
                let [_, _, third, fourth] = number.to_be_bytes();
                let network = 1 + u8::try_from(number % u32::from(networks)).expect("few");
                let peer = connect_from([127, network, third, fourth.max(1)], &keyed.daemon).await;
                crowd.push_back(peer.expect("connected"));
                number += 1;
                if crowd.len() > most {
                    crowd.pop_front();
                }
            }
        };
        join(&mut crowd, most).await;
        for _ in 0..10 {
            join(&mut crowd, MAX_PENDING_HANDSHAKES / 4).await;
            let took = newcomer().await;
            assert!(took < alone * SLOWER, "{took:?} beside a crowd of {networks} networks, {alone:?} alone");
        }
    }
    let records = keyed.daemon.stop();
    let told = records.iter().filter(|record| record["event"] == "handshake_failed").count();
    assert!((1..=128).contains(&told), "{told} records of some ten thousand");
}

#[tokio::test]
async fn a_user_has_a_part_of_the_connections_and_others_have_the_rest() {
    const LIMIT: usize = 1024;
    let directory = TempDir::new().expect("a directory");
    let server_key = server_key(&directory, "server").public();
    let (ann, eve) = (KeyPair::generate(), KeyPair::generate());
    let users =
        format!("{}[users.eve]\npublic_key = '{}'\nroles = ['all']\n", policy(&ann.public()), eve.public());
    let text = format!("{}{users}", listener("server"));
    std::fs::write(directory.path().join("bidden.toml"), text).expect("written");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &format!("ulimit -n {LIMIT}; exec {BIDDEN} \"$@\""), "sh"]);
    let daemon = Daemon::served_by(command, directory);
    let left = LIMIT - RESERVED_DESCRIPTORS;
    let part = (left - left / 4) / CONNECTION_PARTS;
    let mut held = Vec::new();
    for _ in 0..part {
        held.push(connect(&daemon.endpoint, &eve, server_key).await.expect("her part"));
    }
    assert!(connect(&daemon.endpoint, &eve, server_key).await.is_err(), "one more than her part");
    for _ in 0..2 {
        let connection = connect(&daemon.endpoint, &ann, server_key).await.expect("the rest");
        assert_eq!(ask(&connection, COMPUTE).await["result"], 42);
    }
    drop(held);
    let mut again = connect(&daemon.endpoint, &eve, server_key).await;
    let end = Instant::now() + PATIENCE;
    while again.is_err() && Instant::now() < end {
        again = connect(&daemon.endpoint, &eve, server_key).await;
    }
    assert!(again.is_ok(), "what she has given back is hers again");
    let records = daemon.stop();
    let told = |record: &&serde_json::Value| {
        record["reason"].as_str().is_some_and(|reason| reason.contains("one user may have"))
    };
    let count = records.iter().filter(told).count();
    assert!((1..=16).contains(&count), "{count} records of one crowd");
}
