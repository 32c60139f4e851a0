//! Unix sockets whose clients the kernel names, through real sockets: who may in gets in, replies go by connection, and
//! whoever does not read waits alone.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

#[path = "../../../tests/raw_peer.rs"]
#[allow(dead_code, reason = "others need more of it")]
mod raw_peer;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use transport::limits::{HANDSHAKE_TIMEOUT, MAX_EVENT_BYTES};
use transport::{
    Access, AccountSocket, Admission, ConnectError, Connection, Frame, KeyPair, Listeners, Origin, Security,
    Sender, SocketMode,
};

/// How long a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(30);

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// Runs a test beside a Unix socket of a server.
fn with_accounts(admits: Admission, test: impl AsyncFnOnce(&Listeners, &str)) {
    let directory = TempDir::new().expect("a directory");
    let endpoint = format!("ipc://{}/bidden.sock", directory.path().display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let socket = AccountSocket::bind(&endpoint, SocketMode { mode: 0o600, group: None }).expect("bound");
        let listeners =
            Listeners::bind(vec![(endpoint.clone(), Access::Accounts(socket))], admits).await.expect("bound");
        assert_eq!(listeners.endpoints().next().expect("one").0, endpoint);
        test(&listeners, &endpoint).await;
        in_time(listeners.close()).await;
    });
    assert!(!directory.path().join("bidden.sock").exists(), "the socket's file goes with its server");
}

async fn connect(endpoint: &str) -> Connection {
    Connection::open(endpoint, &Security::Plain, PATIENCE).await.expect("connected")
}

async fn next(listeners: &Listeners) -> Frame {
    let mut batch = Vec::new();
    in_time(listeners.receive(&mut batch)).await.expect("open");
    assert_eq!(batch.len(), 1);
    batch.remove(0)
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[test]
fn the_kernel_says_who_it_is() {
    with_accounts(Arc::new(|_| true), async |listeners, endpoint| {
        let client = connect(endpoint).await;
        client.send(b"request".to_vec(), vec![Bytes::from_static(b"column")]).await.expect("sent");
        let frame = next(listeners).await;
        let Sender::Account(account) = frame.peer.sender() else { panic!("no account") };
        assert_eq!(account.uid, own_uid());
        assert_eq!(account.gid, rustix::process::getegid().as_raw());
        assert_eq!(account.pid, Some(std::process::id()));
        assert_eq!((frame.peer.listener(), frame.peer.address()), (endpoint, None));
        assert_eq!((frame.body.as_deref(), frame.attachments.len()), (Some(&b"request"[..]), 1));
        listeners.reply(&frame.return_path, b"reply".to_vec(), Some(Bytes::from_static(b"doubles")));
        let reply = in_time(client.receive()).await.expect("answered");
        assert_eq!((&reply.body[..], reply.attachment.as_deref()), (&b"reply"[..], Some(&b"doubles"[..])));
    });
}

#[test]
fn whoever_is_not_admitted_is_refused_in_the_handshake() {
    let uid = own_uid();
    let admits =
        Arc::new(move |sender: &Sender| matches!(sender, Sender::Account(account) if account.uid != uid));
    with_accounts(admits, async |listeners, endpoint| {
        let refused = Connection::open(endpoint, &Security::Plain, PATIENCE).await;
        let Err(ConnectError::AccountRefused { uid, .. }) = refused else { panic!("let in") };
        assert_eq!(uid, own_uid());
        let failure = in_time(listeners.failed_handshake()).await;
        assert_eq!((failure.origin, failure.failures), (Origin::Account(own_uid()), 1));
        assert!(failure.reason.contains("uid"), "{}", failure.reason);
    });
}

#[test]
fn what_is_no_handshake_is_closed_and_told() {
    with_accounts(Arc::new(|_| true), async |listeners, endpoint| {
        let path = endpoint.strip_prefix("ipc://").expect("a path").to_owned();
        let hangs_up = move |said: &'static [u8]| {
            let path = path.clone();
            tokio::task::spawn_blocking(move || {
                let mut stream = UnixStream::connect(path).expect("connected");
                stream.set_read_timeout(Some(PATIENCE)).expect("set");
                stream.write_all(said).expect("written");
                let mut heard = Vec::new();
                // A reset hangs up as well.
                let _ = stream.read_to_end(&mut heard);
                heard.len()
            })
        };
        let curve = &raw_peer::greeting(b"CURVE");
        let strange: [&'static [u8]; 3] = [b"GET / HTTP/1.1\r\n\r\n", &[0xff; 64], Vec::leak(curve.to_vec())];
        for said in strange {
            assert!(
                in_time(hangs_up(said)).await.expect("no panic") <= 64,
                "nothing but a greeting comes back"
            );
            let failure = in_time(listeners.failed_handshake()).await;
            assert_eq!(failure.origin, Origin::Account(own_uid()));
            if failure.failures >= 2 {
                break;
            }
        }
        // Nor may it wait for ever.
        let began = Instant::now();
        in_time(hangs_up(b"")).await.expect("no panic");
        assert!(began.elapsed() < HANDSHAKE_TIMEOUT * 3);
        connect(endpoint).await;
    });
}

#[test]
fn keys_have_no_meaning_on_a_unix_socket() {
    with_accounts(Arc::new(|_| true), async |_, endpoint| {
        let server_key = KeyPair::generate().public();
        let security = Security::Curve { key: KeyPair::generate(), server_key };
        let opened = Connection::open(endpoint, &security, PATIENCE).await;
        assert!(matches!(opened, Err(ConnectError::NoKeys(_))));
    });
}

#[test]
fn whoever_may_not_any_more_is_cut_off() {
    let admitted = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&admitted);
    let admits: Admission = Arc::new(move |_| asked.load(Ordering::Relaxed));
    with_accounts(Arc::clone(&admits), async |listeners, endpoint| {
        let client = connect(endpoint).await;
        listeners.dismiss(admits.as_ref()).await;
        client.send(b"request".to_vec(), vec![]).await.expect("sent");
        next(listeners).await;
        admitted.store(false, Ordering::Relaxed);
        listeners.dismiss(admits.as_ref()).await;
        assert!(in_time(client.receive()).await.is_err());
    });
}

#[test]
fn a_sender_waits_for_a_slow_reader_and_others_are_served() {
    with_accounts(Arc::new(|_| true), async |listeners, endpoint| {
        let slow = connect(endpoint).await;
        slow.send(b"request".to_vec(), vec![]).await.expect("sent");
        let stream = listeners.stream(&next(listeners).await.return_path);
        let chunk = Bytes::from(vec![7; MAX_EVENT_BYTES]);
        let mut sent = 0_u32;
        while let Ok(event) =
            tokio::time::timeout(Duration::from_millis(300), stream.send(b"{}".to_vec(), chunk.clone())).await
        {
            event.expect("connected");
            sent += 1;
            assert!(sent < 2000, "nobody reads, and the sender does not wait");
        }
        let other = connect(endpoint).await;
        other.send(b"hello".to_vec(), vec![]).await.expect("sent");
        listeners.reply(&next(listeners).await.return_path, b"answer".to_vec(), None);
        assert_eq!(&in_time(other.receive()).await.expect("answered").body[..], b"answer");
        for _ in 0..sent {
            assert_eq!(in_time(slow.receive()).await.expect("an event").attachment, Some(chunk.clone()));
        }
        drop(slow);
        let gone = async { while stream.send(b"{}".to_vec(), chunk.clone()).await.is_ok() {} };
        in_time(gone).await;
    });
}

#[test]
fn large_requests_and_many_connections_pass() {
    with_accounts(Arc::new(|_| true), async |listeners, endpoint| {
        let column = Bytes::from(vec![1; 8 << 20]);
        let clients = futures_util::future::join_all((0..40).map(|_| connect(endpoint))).await;
        for client in &clients[..2] {
            client.send(b"request".to_vec(), vec![column.clone()]).await.expect("sent");
            let frame = next(listeners).await;
            assert_eq!(frame.attachments.as_slice(), std::slice::from_ref(&column));
        }
        for (number, client) in clients.iter().enumerate() {
            client.send(number.to_string().into_bytes(), vec![]).await.expect("sent");
        }
        let mut batch = Vec::new();
        while batch.len() < clients.len() {
            in_time(listeners.receive(&mut batch)).await.expect("open");
        }
        for frame in &batch {
            listeners.reply(&frame.return_path, frame.body.clone().expect("a body").to_vec(), None);
        }
        for (number, client) in clients.iter().enumerate() {
            assert_eq!(in_time(client.receive()).await.expect("answered").body, number.to_string());
        }
    });
}
