//! Streams through real sockets: what was sent arrives in order, whoever does not read waits alone, and nothing is kept
//! for those who are gone.
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

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use transport::limits::{MAX_EVENT_BYTES, MAX_UNSENT_STREAM_BYTES, SEND_HIGH_WATER_MARK};
use transport::{Access, Connection, EventStream, Frame, Gone, KeyPair, Listeners, ReturnPath, Security};

use raw_peer::{RawPeer, greeting};

/// No message takes as long as this, unless its receiver does not read.
const LONG: Duration = Duration::from_millis(300);

/// How long a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// What kernel and socket hold of a stream at most, beside what it counts: their buffers, and a batch.
const BUFFERS: usize = 16 * 1024 * 1024;

/// The bytes of chunks that are still in memory.
#[derive(Clone, Default)]
struct Memory(Arc<AtomicUsize>);

struct Chunk {
    bytes: Vec<u8>,
    memory: Memory,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

impl Memory {
    fn chunk(&self, content: u8) -> Bytes {
        self.0.fetch_add(MAX_EVENT_BYTES, Ordering::Relaxed);
        Bytes::from_owner(Chunk { bytes: vec![content; MAX_EVENT_BYTES], memory: self.clone() })
    }

    fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    async fn falls_to(&self, bytes: usize) {
        let fallen = async {
            while self.bytes() > bytes {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        in_time(fallen).await;
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

fn header(stream: usize, seq: usize) -> Vec<u8> {
    format!(r#"{{"id":"stream-{stream}","job":"j","event":"stdout","seq":{seq}}}"#).into_bytes()
}

/// Runs a test beside a socket of a server, in plain text.
fn with_listeners<F: Future<Output = ()>>(test: impl FnOnce(Rc<Listeners>, String) -> F) {
    with_access(Access::Plain, test);
}

fn with_access<F: Future<Output = ()>>(access: Access, test: impl FnOnce(Rc<Listeners>, String) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let endpoints = vec![("tcp://127.0.0.1:0".to_owned(), access)];
        let listeners = Listeners::bind(endpoints, Arc::new(|_| true)).await.expect("bound");
        let endpoint = listeners.endpoints().next().expect("a listener").0.to_owned();
        test(Rc::new(listeners), endpoint).await;
    });
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

/// A request of a client that speaks ZMTP by itself, and so reads only when it is told to.
async fn ask_rawly(listeners: &Listeners, endpoint: &str) -> (RawPeer, ReturnPath) {
    let endpoint = endpoint.to_owned();
    let asking = tokio::task::spawn_blocking(move || {
        let mut peer = RawPeer::dealer(&endpoint);
        peer.send(b"request");
        peer
    });
    let frame = next(listeners).await;
    (in_time(asking).await.expect("connected"), frame.return_path)
}

/// Sends chunks until one has to wait. Returns how many went.
async fn fill(stream: &EventStream, name: usize, memory: &Memory) -> usize {
    let mut sent = 0;
    loop {
        let event = stream.send(header(name, sent), memory.chunk(u8::try_from(sent % 251).expect("a byte")));
        match tokio::time::timeout(LONG, event).await {
            Ok(taken) => taken.expect("connected"),
            Err(_) => return sent,
        }
        sent += 1;
        assert!(sent * MAX_EVENT_BYTES < 4 * BUFFERS, "nobody reads, and the sender does not wait");
    }
}

/// Another client is answered, whatever is the matter with the first.
async fn others_are_served(listeners: &Listeners, endpoint: &str) {
    let other = connect(endpoint).await;
    other.send(b"hello".to_vec(), vec![]).await.expect("sent");
    let frame = next(listeners).await;
    listeners.reply(&frame.return_path, b"answer".to_vec(), None);
    assert_eq!(&in_time(other.receive()).await.expect("answered").body[..], b"answer");
}

#[test]
fn events_arrive_in_order_and_before_the_reply() {
    with_listeners(|listeners, endpoint| async move {
        let client = connect(&endpoint).await;
        client.send(b"request".to_vec(), vec![]).await.expect("sent");
        let path = next(&listeners).await.return_path;
        let stream = listeners.stream(&path);
        let sending = tokio::task::spawn_local(async move {
            for seq in 0..2000 {
                stream.send(header(0, seq), vec![b'x'; seq % 300].into()).await.expect("sent");
            }
            listeners.reply(&path, b"the reply".to_vec(), None);
            listeners
        });
        for seq in 0..2000 {
            let event = in_time(client.receive()).await.expect("connected");
            assert_eq!(&event.body[..], header(0, seq));
            assert_eq!(event.attachment.expect("the bytes").len(), seq % 300);
        }
        let reply = in_time(client.receive()).await.expect("connected");
        assert_eq!(&reply.body[..], b"the reply");
        assert!(reply.attachment.is_none());
        sending.await.expect("sent");
    });
}

#[test]
fn events_have_the_shape_of_their_request() {
    with_listeners(|listeners, endpoint| async move {
        let (mut peer, path) = ask_rawly(&listeners, &endpoint).await;
        listeners.stream(&path).send(b"{}".to_vec(), Bytes::from_static(b"ab")).await.expect("sent");
        let bytes = tokio::task::spawn_blocking(move || peer.read(8)).await.expect("read");
        assert_eq!(bytes, b"\x01\x02{}\x00\x02ab", "no delimiter came, so none goes back");
    });
}

#[test]
fn the_sender_waits_for_a_reader_that_pauses_and_for_nobody_else() {
    with_listeners(|listeners, endpoint| async move {
        let (mut peer, path) = ask_rawly(&listeners, &endpoint).await;
        let stream = listeners.stream(&path);
        let memory = Memory::default();
        let sent = fill(&stream, 0, &memory).await;
        assert!(memory.bytes() <= MAX_UNSENT_STREAM_BYTES as usize + 2 * MAX_EVENT_BYTES);
        others_are_served(&listeners, &endpoint).await;

        let reading = tokio::task::spawn_blocking(move || {
            (0..=sent).for_each(|seq| {
                assert_eq!(peer.hear().expect("a header"), header(0, seq));
                let content = u8::try_from(seq % 251).expect("a byte");
                assert_eq!(peer.hear().expect("bytes"), vec![content; MAX_EVENT_BYTES]);
            });
            peer
        });
        let last = memory.chunk(u8::try_from(sent % 251).expect("a byte"));
        in_time(stream.send(header(0, sent), last)).await.expect("it reads again");
        in_time(reading).await.expect("read");
        memory.falls_to(0).await;
    });
}

#[test]
fn a_reply_does_not_overtake_its_events_where_the_queue_is_full() {
    with_listeners(|listeners, endpoint| async move {
        let (mut peer, path) = ask_rawly(&listeners, &endpoint).await;
        let memory = Memory::default();
        // As many as fill the connection's own queue.
        let count = SEND_HIGH_WATER_MARK as usize * 2 * MAX_EVENT_BYTES / MAX_UNSENT_STREAM_BYTES as usize;
        let streams: Vec<_> = (0..count).map(|_| listeners.stream(&path)).collect();
        let filling = streams.iter().enumerate().map(|(name, stream)| fill(stream, name, &memory));
        let sent = join_all(filling).await;
        assert!(memory.bytes() <= SEND_HIGH_WATER_MARK as usize * MAX_EVENT_BYTES + BUFFERS);
        for (name, sent) in sent.iter().enumerate() {
            listeners.reply(&path, format!("reply {name} after {sent}").into_bytes(), None);
        }
        // What a stream sends now goes behind the replies that wait.
        let late = tokio::task::spawn_local(async move {
            streams[0].send(b"late".to_vec(), Bytes::from_static(b"late")).await.expect("sent");
            (streams, listeners)
        });
        let read = tokio::task::spawn_blocking(move || {
            let mut seen = vec![0; sent.len()];
            let mut replies = 0;
            loop {
                let frame = peer.hear().expect("a frame");
                let text = String::from_utf8(frame).expect("UTF-8");
                if text == "late" {
                    assert_eq!(replies, sent.len());
                    return;
                } else if let Some(reply) = text.strip_prefix("reply ") {
                    let (name, after) = reply.split_once(" after ").expect("both");
                    assert_eq!(seen[name.parse::<usize>().expect("a name")].to_string(), after);
                    replies += 1;
                } else {
                    let name = text.split(['-', '"']).nth(4).expect("a name").parse::<usize>().expect("one");
                    assert_eq!(text.as_bytes(), header(name, seen[name]));
                    seen[name] += 1;
                    peer.hear().expect("the bytes");
                }
            }
        });
        in_time(read).await.expect("read");
        in_time(late).await.expect("sent");
    });
}

#[test]
fn many_streams_of_one_connection_all_come_to_their_end() {
    with_listeners(|listeners, endpoint| async move {
        let client = connect(&endpoint).await;
        client.send(b"request".to_vec(), vec![]).await.expect("sent");
        let path = next(&listeners).await.return_path;
        let memory = Memory::default();
        let sending = (0..64).map(|name| {
            let (stream, memory) = (listeners.stream(&path), memory.clone());
            tokio::task::spawn_local(async move {
                for seq in 0..20 {
                    stream.send(header(name, seq), memory.chunk(7)).await.expect("sent");
                }
            })
        });
        let sending: Vec<_> = sending.collect();
        let mut seen = [0; 64];
        for _ in 0..64 * 20 {
            let event = in_time(client.receive()).await.expect("connected");
            let text = std::str::from_utf8(&event.body).expect("UTF-8");
            let name = text.split(['-', '"']).nth(4).expect("a name").parse::<usize>().expect("one");
            assert_eq!(text.as_bytes(), header(name, seen[name]));
            seen[name] += 1;
        }
        assert_eq!(seen, [20; 64]);
        in_time(join_all(sending)).await;
        drop(listeners);
    });
}

#[test]
fn a_sender_that_waits_learns_that_its_client_is_gone() {
    with_listeners(|listeners, endpoint| async move {
        let (peer, path) = ask_rawly(&listeners, &endpoint).await;
        let memory = Memory::default();
        let waiting: Vec<_> = (0..20)
            .map(|name| {
                let (stream, memory) = (listeners.stream(&path), memory.clone());
                tokio::task::spawn_local(async move {
                    fill(&stream, name, &memory).await;
                    loop {
                        if let Err(Gone) = stream.send(header(name, 0), memory.chunk(0)).await {
                            return;
                        }
                    }
                })
            })
            .collect();
        // Some wait for their own room, the others for the connection's.
        tokio::time::sleep(LONG).await;
        drop(peer);
        in_time(join_all(waiting)).await;
        memory.falls_to(0).await;
        let after = listeners.stream(&path).send(header(0, 0), Bytes::new()).await;
        assert!(after.is_err());
        others_are_served(&listeners, &endpoint).await;
    });
}

#[test]
fn a_sender_that_gives_up_leaves_nothing_behind() {
    with_listeners(|listeners, endpoint| async move {
        let (peer, path) = ask_rawly(&listeners, &endpoint).await;
        let stream = listeners.stream(&path);
        let memory = Memory::default();
        fill(&stream, 0, &memory).await;
        let handed_over = memory.bytes();
        for _ in 0..3 {
            fill(&stream, 0, &memory).await;
        }
        assert!(memory.bytes() <= handed_over, "an event that was given up is still in memory");
        drop(stream);
        others_are_served(&listeners, &endpoint).await;
        drop(peer);
        memory.falls_to(0).await;
    });
}

#[test]
fn a_client_with_a_key_that_never_reads_costs_no_more_than_its_share() {
    let server = KeyPair::generate();
    let server_key = server.public();
    with_access(Access::Curve(server), move |listeners, endpoint| async move {
        let security = Security::Curve { key: KeyPair::generate(), server_key };
        let client = Connection::open(&endpoint, &security, PATIENCE).await.expect("let in");
        client.send(b"request".to_vec(), vec![]).await.expect("sent");
        let path = next(&listeners).await.return_path;
        let memory = Memory::default();
        let stream = listeners.stream(&path);
        fill(&stream, 0, &memory).await;
        assert!(memory.bytes() <= MAX_UNSENT_STREAM_BYTES as usize);
        drop(client);
        memory.falls_to(0).await;
        assert!(in_time(stream.send(header(0, 0), Bytes::new())).await.is_err());
    });
}

#[test]
fn a_req_is_known_as_what_it_is() {
    with_listeners(|listeners, endpoint| async move {
        let (_peer, _) = {
            let asking = tokio::task::spawn_blocking({
                let endpoint = endpoint.clone();
                move || {
                    let mut peer = RawPeer::silent(&endpoint);
                    peer.write(&greeting(b"NULL"));
                    peer.read(64);
                    peer.write(b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ");
                    let header = peer.read(2);
                    peer.read(usize::from(header[1]));
                    peer.write(b"\x01\x00\x00\x02{}");
                    peer
                }
            });
            let frame = next(&listeners).await;
            assert!(!frame.peer.may_stream());
            (asking.await.expect("asked"), frame)
        };
        let client = connect(&endpoint).await;
        client.send(b"{}".to_vec(), vec![]).await.expect("sent");
        assert!(next(&listeners).await.peer.may_stream());
    });
}
