//! Return addresses through real sockets: what stands before a request comes back before its reply and each of its
//! events, and what is no request is passed over.
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

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use transport::limits::{MAX_BATCH, MAX_REQUEST_FRAMES};
use transport::{Access, Frame, Listeners};

use raw_peer::RawPeer;

/// How long a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a client sends nothing but empty messages.
const FLOOD: Duration = Duration::from_secs(1);

const REQUEST: &[u8] = br#"{"command_type":"compute","expression":"x","columns":["x"]}"#;

/// Runs a test beside a plain listener, with a client that speaks ZMTP by itself on a thread.
fn exchange<T: Send + 'static>(
    client: impl FnOnce(RawPeer) -> T + Send + 'static,
    server: impl AsyncFnOnce(&Listeners),
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let endpoints = vec![("tcp://127.0.0.1:0".to_owned(), Access::Plain)];
        let listeners = Listeners::bind(endpoints, Arc::new(|_| true)).await.expect("bound");
        let endpoint = listeners.endpoints().next().expect("a listener").0.to_owned();
        let client = tokio::task::spawn_blocking(move || client(RawPeer::dealer(&endpoint)));
        tokio::time::timeout(PATIENCE, server(&listeners)).await.expect("in time");
        tokio::time::timeout(PATIENCE, client).await.expect("in time").expect("no panic")
    })
}

async fn next(listeners: &Listeners) -> Frame {
    let mut batch = Vec::new();
    listeners.receive(&mut batch).await.expect("open");
    assert_eq!(batch.len(), 1);
    batch.remove(0)
}

fn owned(frames: &[&[u8]]) -> Vec<Vec<u8>> {
    frames.iter().map(|frame| frame.to_vec()).collect()
}

/// What comes back before a reply, an event and a reply with a column.
#[track_caller]
fn check(envelope: &[&[u8]], behind: &[&[u8]]) {
    let sent = owned(&[envelope, behind].concat());
    let expected = owned(behind);
    let answers = exchange(
        move |mut peer| {
            peer.send_frames(&sent);
            [(); 3].map(|()| peer.hear_frames().expect("a message"))
        },
        async move |listeners| {
            let frame = next(listeners).await;
            let attachments = frame.attachments.iter().map(|frame| frame.to_vec());
            let behind: Vec<_> = frame.body.iter().map(|body| body.to_vec()).chain(attachments).collect();
            assert_eq!(behind, expected);
            let stream = listeners.stream(&frame.return_path);
            stream.send(b"event".to_vec(), Bytes::from_static(b"bytes")).await.expect("sent");
            listeners.reply(&frame.return_path, b"reply".to_vec(), None);
            listeners.reply(&frame.return_path, b"reply".to_vec(), Some(Bytes::from_static(b"column")));
        },
    );
    let behind: [&[&[u8]]; 3] = [&[b"event", b"bytes"], &[b"reply"], &[b"reply", b"column"]];
    assert_eq!(answers, behind.map(|frames| owned(&[envelope, frames].concat())));
}

#[test]
fn the_envelope_comes_back_before_replies_and_events() {
    let long = [7; 255];
    let envelopes: [&[&[u8]]; 7] = [
        &[],
        &[b""],
        &[b"\x00\x80\x00\x29", b""],
        &[b"{\x00\x00}", b""],
        &[b"\x00\x01\x02\x03\x04", b"\x7f\x00\x00\x01", b""],
        &[&long, br#"{"host":"web1"}"#, b"\x00", b""],
        &[&[b'a'; 3], &[0; 5], &[1; 5], &[2; 5], &[3; 5], &[4; 5], &[5; 5], b""],
    ];
    for envelope in envelopes {
        check(envelope, &[REQUEST]);
        check(envelope, &[REQUEST, b""]);
        check(envelope, &[REQUEST, b"12345678", b""]);
        check(envelope, &[b"no request"]);
    }
    check(&[b""], &[b""]);
    check(&[b"\x00\x80\x00\x29", b""], &[b""]);
    check(&[], &[b"{ no request", b""]);
}

#[test]
fn a_message_of_too_many_frames_is_answered_behind_its_envelope() {
    let answer = exchange(
        |mut peer| {
            peer.send_frames(&[owned(&[b"id", b""]), vec![b"x".to_vec(); MAX_REQUEST_FRAMES + 1]].concat());
            peer.hear_frames().expect("a message")
        },
        async |listeners| {
            let frame = next(listeners).await;
            assert!(frame.body.is_none() && frame.attachments.is_empty());
            listeners.reply(&frame.return_path, b"reply".to_vec(), None);
        },
    );
    assert_eq!(answer, owned(&[b"id", b"", b"reply"]));
}

#[test]
fn an_envelope_with_nothing_behind_it_is_passed_over() {
    let empty: [&[&[u8]]; 3] = [&[b""], &[b"id", b""], &[b"hop", b"id", b""]];
    let bodies = exchange(
        move |mut peer| {
            // More than are taken at once, so that both ways of taking them meet some.
            for frames in empty.iter().cycle().take(MAX_BATCH * 3) {
                peer.send_frames(&owned(frames));
            }
            peer.send(REQUEST);
            peer.hear_frames().expect("a message")
        },
        async |listeners| {
            let frame = next(listeners).await;
            assert_eq!(frame.body.as_deref(), Some(REQUEST));
            listeners.reply(&frame.return_path, b"reply".to_vec(), None);
        },
    );
    assert_eq!(bodies, owned(&[b"reply"]));
}

#[test]
fn a_flood_of_empty_messages_leaves_the_loop_free() {
    let flooding = Arc::new(AtomicBool::new(true));
    let over = Arc::clone(&flooding);
    let sent = exchange(
        move |mut peer| {
            let burst = b"\0\0".repeat(10_000);
            let began = Instant::now();
            let mut sent = 0_usize;
            while began.elapsed() < FLOOD {
                peer.write(&burst);
                sent += 10_000;
            }
            over.store(false, Ordering::Relaxed);
            sent
        },
        async |listeners| {
            let mut batch = Vec::new();
            let mut turns = 0;
            while flooding.load(Ordering::Relaxed) {
                tokio::select! {
                    biased;
                    received = listeners.receive(&mut batch) => received.expect("open"),
                    () = tokio::time::sleep(Duration::from_millis(1)) => turns += 1,
                }
            }
            assert!(batch.is_empty());
            assert!(turns > 20, "the loop came to nothing else: {turns}");
        },
    );
    assert!(sent > 100_000, "that was no flood: {sent}");
}
