//! Peers that speak the transport wrongly, on purpose, with keys and without: none of them gets in, none keeps the
//! server from those who may, and what they cost it is given back.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use transport::{Connection, KeyPair, Security};

use crate::daemon::Daemon;
use crate::keyed::{Keyed, PATIENCE};
use crate::raw_curve::{CurvePeer, Spoiled, frame, property};
use crate::raw_peer::{RawPeer, greeting};
use crate::served::ask;

const COMPUTE: &str = r#"{"command_type":"compute","expression":"6*7"}"#;

/// The flag of a frame that another one of the same message follows.
const MORE: u8 = 1;

/// How long a legitimate client may take for a new connection and an answer, whatever others do.
const SERVED_WITHIN: Duration = Duration::from_secs(1);

/// What a server takes at most that has had a few hundred connections and has none any more, in KiB.
const SOME_KIB: u64 = 16 * 1024;

/// Makes a frame with these flags and this body, as a connection expects the next one.
type MakesFrames = Box<dyn FnMut(u8, &[u8]) -> Vec<u8> + Send>;

/// A server, and a client that may use it.
struct Served {
    daemon: Daemon,
    security: Security,
}

impl Served {
    fn plainly() -> Self {
        Self { daemon: Daemon::start(), security: Security::Plain }
    }

    fn with_keys() -> Self {
        let Keyed { daemon, server_key, ann } = Keyed::start();
        Self { daemon, security: Security::Curve { key: ann, server_key } }
    }

    fn mechanism(&self) -> &'static [u8] {
        match self.security {
            Security::Plain => b"NULL",
            Security::Curve { .. } => b"CURVE",
        }
    }

    /// A peer past its handshake, as far as it can be had, and how it makes a frame with these flags.
    fn insider(&self) -> (RawPeer, MakesFrames) {
        match &self.security {
            Security::Plain => (RawPeer::dealer(&self.daemon.endpoint), Box::new(frame)),
            Security::Curve { key, server_key } => {
                let peer = CurvePeer::greet(&self.daemon.endpoint, *server_key);
                let (peer, mut sealer) =
                    peer.shake_hands(key, &Spoiled::Nothing).expect("ann may").into_parts();
                (peer, Box::new(move |flags, body| sealer.seal(flags, body)))
            }
        }
    }

    /// Connects anew, asks, and says how long that took.
    async fn serve(&self) -> Duration {
        let began = Instant::now();
        let connection = Connection::open(&self.daemon.endpoint, &self.security, PATIENCE).await;
        let reply = ask(&connection.expect("the server lets its user in"), COMPUTE).await;
        assert_eq!(reply["result"], 42);
        began.elapsed()
    }

    async fn is_well(&self) {
        let took = self.serve().await;
        assert!(took < SERVED_WITHIN, "served after {took:?}");
    }

    /// Resident memory of the server, in KiB.
    fn resident_kib(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.daemon.pid())).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Waits until the memory is within a fifth of what it was, and fails if it never is.
    fn gives_back(&self, before: u64) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.resident_kib() > before + before / 5 {
            assert!(Instant::now() < end, "{} KiB now, {before} KiB before", self.resident_kib());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The records of what happened; nothing but the answers to legitimate requests.
    fn stop(self, answers: usize) {
        let records = self.daemon.stop();
        let answered = records.iter().filter(|record| record["event"] == "answered");
        assert_eq!(answered.count(), answers);
    }
}

async fn both<F: Future<Output = ()>>(test: impl Fn(Served) -> F) {
    test(Served::plainly()).await;
    test(Served::with_keys()).await;
}

fn rejected(endpoint: &str, bytes: &[u8]) {
    let mut peer = RawPeer::silent(endpoint);
    peer.try_write(bytes);
    peer.read_to_end();
}

#[tokio::test]
async fn greetings_of_other_versions_other_mechanisms_and_noise_end_the_connection() {
    both(|served| async move {
        let endpoint = &served.daemon.endpoint;
        let mechanism = served.mechanism();
        let right = greeting(mechanism);
        let altered = |index: usize, value: u8| {
            let mut altered = right;
            altered[index] = value;
            altered.to_vec()
        };
        let mut greetings = vec![
            // ZMTP 1.0: a length and an anonymous identity. ZMTP 2.0: its signature, revision, socket type, identity.
            b"\x01\x00".repeat(40),
            [&b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x06"[..], &b"\0".repeat(60)].concat(),
            altered(10, 1),
            altered(10, 2),
            altered(0, 0),
            altered(9, 0),
            altered(30, b'x'),
            b"GET / HTTP/1.1\r\nHost: bidden.example.org\r\nAccept: */*\r\nConnection: close\r\n\r\n"
                .to_vec(),
            [0xff_u8; 64].to_vec(),
            vec![0; 64],
        ];
        for other in [&b"NULL"[..], b"PLAIN", b"CURVE", b"curve", b"GSSAPI", b"", b"CURVECURVECURVECURVE"] {
            if other != mechanism {
                greetings.push(
                    [&greeting(other)[..], b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x06DEALER"].concat(),
                );
            }
        }
        for greeting in &greetings {
            rejected(endpoint, greeting);
        }
        served.is_well().await;
        served.stop(1);
    })
    .await;
}

#[tokio::test]
async fn no_spoiled_handshake_gets_in() {
    let keyed = Keyed::start();
    let stranger = KeyPair::generate();
    let greet = || CurvePeer::greet(&keyed.daemon.endpoint, keyed.server_key);
    let metadata = |properties: &[Vec<u8>]| Spoiled::Metadata(properties.concat());
    let dealer = property("Socket-Type", b"DEALER");
    let mut overlong = dealer.clone();
    overlong.extend(b"\x01x\xff\xff\xff\xff");
    let spoiled = [
        Spoiled::HelloShort,
        Spoiled::HelloLong,
        Spoiled::HelloVersion,
        Spoiled::HelloBox,
        Spoiled::HelloLowOrder,
        Spoiled::HelloTwice,
        Spoiled::NoHello,
        Spoiled::MessageFirst,
        Spoiled::InitiateShort,
        Spoiled::CookieFlipped,
        Spoiled::Cookie(greet().cookie()),
        Spoiled::InitiateBox,
        Spoiled::VouchByAnother(stranger.clone()),
        Spoiled::VouchForAnotherServer,
        Spoiled::VouchForAnotherKey,
        Spoiled::LowOrderIdentity,
        Spoiled::Metadata(overlong),
        Spoiled::Metadata(b"\xffx".to_vec()),
    ];
    for spoiled in spoiled {
        let shown = format!("{spoiled:?}");
        assert!(greet().shake_hands(&keyed.ann, &spoiled).is_none(), "{shown}");
    }
    // A PUB has nothing to ask a ROUTER: it may be told that the handshake is over, and that is all.
    if let Some(mut publisher) =
        greet().shake_hands(&keyed.ann, &metadata(&[property("Socket-Type", b"PUB")]))
    {
        publisher.send(COMPUTE.as_bytes());
        assert_eq!(publisher.receive(), None);
    }
    // What a peer claims of itself is nothing: the stranger stays one, and ann stays ann.
    let claims = [dealer.clone(), property("User-Id", b"ann"), property("X-Key", &keyed.ann.public().0)];
    assert!(greet().shake_hands(&stranger, &metadata(&claims)).is_none());
    let mut ann =
        greet().shake_hands(&keyed.ann, &metadata(&[dealer, property("User-Id", b"root")])).expect("ann may");
    ann.send(br#"{"command_type":"describe"}"#);
    let reply = String::from_utf8(ann.receive().expect("a reply")).expect("UTF-8");
    assert!(reply.contains(r#""user":"ann""#), "{reply}");
    let records = keyed.daemon.stop();
    assert_eq!(records.iter().filter(|record| record["event"] == "answered").count(), 1);
    assert!(records.iter().any(|record| record["event"] == "handshake_failed"));
}

#[test]
fn replayed_reflected_and_altered_messages_end_the_connection_and_are_not_executed() {
    let keyed = Keyed::start();
    let insider = || {
        let peer = CurvePeer::greet(&keyed.daemon.endpoint, keyed.server_key);
        peer.shake_hands(&keyed.ann, &Spoiled::Nothing).expect("ann may")
    };
    let recorded = insider().sealed(3, COMPUTE.as_bytes());
    let mut peer = insider();
    peer.peer.try_write(&recorded);
    assert_eq!(peer.receive(), None, "a message of another connection");
    for counter in [0, 1, 2, 3] {
        let mut peer = insider();
        peer.send(COMPUTE.as_bytes());
        peer.send(COMPUTE.as_bytes());
        assert!(peer.receive().is_some() && peer.receive().is_some());
        assert_eq!(peer.counter(), 4);
        let replayed = peer.sealed(counter, COMPUTE.as_bytes());
        peer.peer.try_write(&replayed);
        assert_eq!(peer.receive(), None, "counter {counter}");
    }
    let mut peer = insider();
    let last = peer.sealed(u64::MAX, COMPUTE.as_bytes());
    peer.peer.try_write(&last);
    assert!(peer.receive().is_some(), "the highest counter is the last");
    peer.peer.try_write(&last);
    assert_eq!(peer.receive(), None);
    let mut peer = insider();
    peer.send(COMPUTE.as_bytes());
    let reflected = peer.receive_sealed();
    peer.peer.try_write(&reflected);
    assert_eq!(peer.receive(), None, "the server's own message");
    let length = insider().sealed(3, COMPUTE.as_bytes()).len();
    let mut altered = 0;
    for byte in (2..length).step_by(7) {
        let mut peer = insider();
        let mut message = peer.sealed(3, COMPUTE.as_bytes());
        message[byte] ^= 1;
        peer.peer.try_write(&message);
        assert_eq!(peer.receive(), None, "byte {byte}");
        altered += 1;
    }
    assert!(altered > 5);
    let mut peer = insider();
    peer.peer.try_write(&frame(0, COMPUTE.as_bytes()));
    assert_eq!(peer.receive(), None, "plain text on an encrypted connection");
    let records = keyed.daemon.stop();
    let answered = records.iter().filter(|record| record["event"] == "answered");
    assert_eq!(answered.count(), 2 * 4 + 1 + 1, "only what was sent first and whole");
}

#[tokio::test]
async fn frames_of_impossible_lengths_end_the_connection_before_memory_is_taken() {
    both(|served| async move {
        served.is_well().await;
        let before = served.resident_kib();
        for length in [1 << 26, 1_u64 << 62, (1 << 63) - 1, 1 << 63, u64::MAX] {
            for flags in [2, 3, 6] {
                let header = [&[flags][..], &length.to_be_bytes(), &[0; 4096]].concat();
                rejected(&served.daemon.endpoint, &[&greeting(served.mechanism())[..], &header].concat());
                let (mut peer, _) = served.insider();
                peer.try_write(&header);
                peer.read_to_end();
            }
        }
        served.gives_back(before);
        served.is_well().await;
        served.stop(2);
    })
    .await;
}

#[tokio::test]
async fn a_message_of_a_million_frames_costs_its_sender_the_connection_and_the_server_nothing() {
    both(|served| async move {
        served.is_well().await;
        let before = served.resident_kib();
        let (mut peer, mut seal) = served.insider();
        let writer = std::thread::spawn(move || {
            for _ in 0..1000 {
                let frames: Vec<u8> = (0..1000).flat_map(|_| seal(MORE, b"x")).collect();
                if !peer.try_write(&frames) {
                    break;
                }
            }
            peer.read_to_end();
        });
        served.is_well().await;
        writer.join().expect("the server hangs up");
        served.gives_back(before);
        served.is_well().await;
        served.stop(3);
    })
    .await;
}

#[tokio::test]
async fn a_thousand_silent_connections_and_a_slow_one_keep_nobody_waiting() {
    both(|served| async move {
        // The first ones fill tables that stay.
        let first: Vec<_> = (0..300).map(|_| RawPeer::silent(&served.daemon.endpoint)).collect();
        served.is_well().await;
        drop(first);
        served.gives_back(SOME_KIB);
        let before = served.resident_kib();
        let silent: Vec<_> = (0..1000).map(|_| RawPeer::silent(&served.daemon.endpoint)).collect();
        let endpoint = served.daemon.endpoint.clone();
        let mechanism = served.mechanism();
        let slow = std::thread::spawn(move || {
            // A byte at a time, until the server has had enough.
            let mut peer = RawPeer::silent(&endpoint);
            let began = Instant::now();
            for byte in greeting(mechanism) {
                if !peer.try_write(&[byte]) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            peer.read_to_end();
            began.elapsed()
        });
        served.is_well().await;
        let patience = transport::limits::HANDSHAKE_TIMEOUT;
        assert!(slow.join().expect("the server hangs up") < patience * 4);
        for mut peer in silent {
            peer.read_to_end();
        }
        served.gives_back(before);
        served.is_well().await;
        served.stop(3);
    })
    .await;
}

#[tokio::test]
async fn connections_that_come_and_go_leave_nothing_behind() {
    both(|served| async move {
        let churn = |count: usize| {
            for index in 0..count {
                match index % 4 {
                    0 => drop(TcpStream::connect(address(&served.daemon)).expect("connected")),
                    1 => RawPeer::silent(&served.daemon.endpoint).write(&greeting(served.mechanism())[..40]),
                    2 => RawPeer::silent(&served.daemon.endpoint).write(&greeting(served.mechanism())),
                    _ => drop(served.insider()),
                }
            }
        };
        // The first ones fill caches that stay.
        churn(400);
        served.is_well().await;
        let (before, descriptors) = (served.resident_kib(), count_descriptors(&served.daemon));
        churn(2000);
        served.is_well().await;
        served.gives_back(before);
        let end = Instant::now() + Duration::from_secs(20);
        while count_descriptors(&served.daemon) > descriptors + 8 {
            assert!(Instant::now() < end, "{} descriptors", count_descriptors(&served.daemon));
            std::thread::sleep(Duration::from_millis(20));
        }
        served.stop(2);
    })
    .await;
}

#[tokio::test]
async fn peers_that_ask_for_streams_and_read_nothing_cost_their_share_and_keep_nobody_waiting() {
    const PEERS: usize = 12;
    /// What is not read of a stream, what is kept of its job, and as much again for what lies between.
    const SHARE_KIB: u64 = 4 * 1024;
    let policy = "[commands.endless]\nprogram = '/bin/sh'\nlauncher = true\narguments = ['-c', 'while :; do echo 0123456789abcdef; done']\ntimeout = '5s'\n";
    let served = Served { daemon: Daemon::configured(policy), security: Security::Plain };
    served.is_well().await;
    let before = served.resident_kib();
    let request = br#"{"command_type":"os","command_name":"endless","stream":true}"#;
    let mut peers: Vec<_> = (0..PEERS).map(|_| RawPeer::dealer(&served.daemon.endpoint)).collect();
    for peer in &mut peers {
        peer.send(request);
    }
    let count = |event: &str| {
        let records = crate::daemon::records(&served.daemon.log());
        records.iter().filter(|record| record["event"] == event).count()
    };
    while count("started") < PEERS {
        // To start so many takes what the processors give.
        served.serve().await;
    }
    let mut most = 0;
    for _ in 0..50 {
        served.is_well().await;
        most = most.max(served.resident_kib());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let share = most.saturating_sub(before) / PEERS as u64;
    assert!(share < SHARE_KIB, "{share} KiB for each");
    // Nothing of a stream waits for a peer that is gone.
    drop(peers);
    while count("ended") < PEERS {
        served.is_well().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_server_out_of_descriptors_serves_whom_it_has_and_recovers() {
    both(|served| async move {
        let connected =
            Connection::open(&served.daemon.endpoint, &served.security, PATIENCE).await.expect("connected");
        assert_eq!(ask(&connected, COMPUTE).await["result"], 42);
        let pid = Pid::from_raw(i32::try_from(served.daemon.pid()).expect("a number"));
        let in_use = count_descriptors(&served.daemon) as u64;
        let few = Rlimit { current: Some(in_use + 20), maximum: Some(in_use + 20) };
        prlimit(pid, Resource::Nofile, few).expect("set");
        let many: Vec<_> =
            (0..200).map(|_| TcpStream::connect(address(&served.daemon)).expect("queued")).collect();
        assert_eq!(ask(&connected, COMPUTE).await["result"], 42, "who is connected is served");
        drop(many);
        // No time is promised here, only that it comes back.
        served.serve().await;
        served.stop(3);
    })
    .await;
}

#[tokio::test]
async fn with_few_descriptors_silent_peers_keep_no_user_from_running_commands() {
    let served = Served { daemon: Daemon::with_descriptors(1024), security: Security::Plain };
    let connected =
        Connection::open(&served.daemon.endpoint, &served.security, PATIENCE).await.expect("connected");
    let uname = r#"{"command_type":"os","command_name":"uname","parameters":["-s"]}"#;
    assert_eq!(ask(&connected, uname).await["result"], "Linux\n");
    let silent: Vec<_> =
        (0..1100).map(|_| TcpStream::connect(address(&served.daemon)).expect("queued")).collect();
    for _ in 0..20 {
        assert_eq!(ask(&connected, uname).await["result"], "Linux\n");
    }
    drop(silent);
    served.serve().await;
    served.daemon.stop();
}

#[tokio::test]
async fn a_newcomer_waits_while_a_crowd_holds_all_handshakes_and_is_served_then() {
    both(|served| async move {
        let crowd: Vec<_> =
            (0..1500).map(|_| TcpStream::connect(address(&served.daemon)).expect("queued")).collect();
        // The crowd is let go when its time for a handshake is over; until then there may be no room.
        served.serve().await;
        drop(crowd);
        served.daemon.stop();
    })
    .await;
}

#[tokio::test]
async fn wrong_keys_are_slowed_down_and_right_ones_are_not() {
    let keyed = Keyed::start();
    let stranger = KeyPair::generate();
    let try_to = || {
        let began = Instant::now();
        let peer = CurvePeer::greet(&keyed.daemon.endpoint, keyed.server_key);
        assert!(peer.shake_hands(&stranger, &Spoiled::Nothing).is_none());
        began.elapsed()
    };
    let took: Vec<_> = (0..6).map(|_| try_to()).collect();
    assert!(took[4..].iter().sum::<Duration>() > transport::limits::FIRST_DELAY * 6, "{took:?}");
    let began = Instant::now();
    let slowed: Vec<_> = (0..64)
        .map(|_| {
            let (endpoint, server_key, stranger) =
                (keyed.daemon.endpoint.clone(), keyed.server_key, stranger.clone());
            std::thread::spawn(move || {
                let peer = CurvePeer::greet(&endpoint, server_key);
                assert!(peer.shake_hands(&stranger, &Spoiled::Nothing).is_none());
            })
        })
        .collect();
    let connection = keyed.connect().await;
    assert_eq!(ask(&connection, COMPUTE).await["result"], 42);
    assert!(began.elapsed() < SERVED_WITHIN, "{:?}", began.elapsed());
    for thread in slowed {
        thread.join().expect("refused");
    }
    let records = keyed.daemon.stop();
    let failed = records.iter().filter(|record| record["event"] == "handshake_failed").count();
    assert!((4..=8).contains(&failed), "70 failures are told of in few records, not in {failed}");
}

#[test]
fn a_server_with_keys_says_nothing_to_those_without() {
    let keyed = Keyed::start();
    let mut stream = TcpStream::connect(address(&keyed.daemon)).expect("connected");
    std::io::Write::write_all(&mut stream, &greeting(b"NULL")).expect("written");
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    // Its greeting names the mechanism; that is all.
    assert!(said.len() <= 64, "{said:?}");
    keyed.daemon.stop();
}

fn address(daemon: &Daemon) -> &str {
    daemon.endpoint.strip_prefix("tcp://").expect("an endpoint")
}

fn count_descriptors(daemon: &Daemon) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("it lives").count()
}
