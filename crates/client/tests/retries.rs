//! A client beside a server that is played by the test: whatever becomes of the connection, each byte is delivered once
//! and the answer comes, or it is said why not.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use client::{
    Action, Answer, Client, Delivery, ErrorCode, Event, EventKind, Failure, NoAnswer, Ongoing, Output,
    Progress, Reply, Request, RequestId, Security, Stream, Streamed, Verdict,
};
use serde_json::{Value, json};
use transport::{Access, Frame, Listeners};

/// How long a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(20);

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// The server that the test plays.
struct Played {
    listeners: Listeners,
    endpoint: String,
}

impl Played {
    async fn at(endpoint: &str) -> Self {
        // Until the system gives the address again.
        let bound = async {
            loop {
                let listeners =
                    Listeners::bind(vec![(endpoint.to_owned(), Access::Plain)], Arc::new(|_| true)).await;
                match listeners {
                    Ok(listeners) => return listeners,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        let listeners = in_time(bound).await;
        let endpoint = listeners.endpoints().next().expect("a listener").0.to_owned();
        Self { listeners, endpoint }
    }

    /// The next request, as JSON.
    async fn next(&self) -> (Frame, Value) {
        let mut frames = Vec::new();
        in_time(self.listeners.receive(&mut frames)).await.expect("open");
        assert_eq!(frames.len(), 1);
        let frame = frames.remove(0);
        let json = serde_json::from_slice(frame.body.as_ref().expect("a body")).expect("JSON");
        (frame, json)
    }

    async fn print(&self, to: &Frame, id: &str, stream: Stream, offset: u64, text: &'static str) {
        self.tell(to, id, EventKind::Printed { stream, offset }, text).await;
    }

    async fn start(&self, to: &Frame, id: &str) {
        self.tell(to, id, EventKind::Started, "").await;
    }

    async fn tell(&self, to: &Frame, id: &str, kind: EventKind, text: &'static str) {
        let event = Event { id: Some(id.into()), job: "job-1".into(), kind, sequence: 0 };
        let stream = self.listeners.stream(&to.return_path);
        stream.send(event.encode(), Bytes::from_static(text.as_bytes())).await.expect("sent");
    }

    fn reply(&self, to: &Frame, id: &str, verdict: Verdict<'_>) {
        let reply = Reply { id: Some(id.into()), job: Some("job-1".into()), duration: None, verdict };
        self.listeners.reply(&to.return_path, reply.encode(), None);
    }

    async fn crash(self) -> String {
        self.listeners.close().await;
        self.endpoint
    }
}

fn busy(wait: Duration) -> Verdict<'static> {
    let mut failure = Failure::new(ErrorCode::Busy, "full");
    failure.retry_after = Some(wait);
    Verdict::Failed(failure)
}

fn finished(stdout: u64, stderr: u64) -> Verdict<'static> {
    let output = Output { streamed: Some(Streamed { stdout, stderr }), ..Output::default() };
    Verdict::Finished { output, end: client::End::Exit(0) }
}

fn run(delivery: Delivery) -> Action<'static> {
    Action::Os { command_name: "x".into(), parameters: vec![], stdin: None, delivery }
}

fn request(timeout: Option<Duration>, action: Action<'static>) -> Request<'static> {
    Request { id: RequestId::parse("mine"), timeout, action }
}

/// Runs a test with a server and a client that is connected to it.
fn with_client<F: Future<Output = ()>>(test: impl FnOnce(Played, Client) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let played = Played::at("tcp://127.0.0.1:0").await;
        let client = Client::connect_with(&played.endpoint, &Security::Plain, PATIENCE).await;
        test(played, client.expect("connected")).await;
    });
}

/// What is told until the answer, in words.
async fn told(ongoing: &mut Ongoing<'_>) -> (String, Answer) {
    let mut told = String::new();
    loop {
        let word = match in_time(ongoing.next()).await.expect("an answer") {
            Progress::Started { job } => format!("started {job}"),
            Progress::Printed { stream, bytes } => {
                format!("{} {}", stream.as_str(), String::from_utf8_lossy(&bytes))
            }
            Progress::Missing { stream, bytes } => format!("{} misses {bytes}", stream.as_str()),
            Progress::Busy(_) => "busy".to_owned(),
            Progress::Lost => "lost".to_owned(),
            Progress::Found => "found".to_owned(),
            Progress::NotCancelled(_) => "not cancelled".to_owned(),
            Progress::Answered(answer) => return (told, answer),
        };
        told.push_str(&word);
        told.push('\n');
    }
}

#[test]
fn a_stream_is_told_as_it_comes_and_ends_with_the_answer() {
    with_client(|played, mut client| async move {
        let mut ongoing = client.start(request(None, run(Delivery::Stream)), vec![]);
        let serving = async {
            let (frame, json) = played.next().await;
            assert_eq!(
                json,
                json!({"command_type": "os", "command_name": "x", "parameters": [], "stream": true, "id": "mine"})
            );
            played.start(&frame, "mine").await;
            played.print(&frame, "another", Stream::Stdout, 0, "not ours").await;
            played.print(&frame, "mine", Stream::Stdout, 0, "one").await;
            played.print(&frame, "mine", Stream::Stderr, 0, "two").await;
            played.print(&frame, "mine", Stream::Stdout, 3, "three").await;
            played.reply(&frame, "mine", finished(8, 3));
        };
        let ((told, answer), ()) = tokio::join!(told(&mut ongoing), serving);
        assert_eq!(told, "started job-1\nstdout one\nstderr two\nstdout three\n");
        assert_eq!(answer.reply().expect("a reply").verdict, finished(8, 3));
        assert!(matches!(ongoing.next().await, Ok(Progress::Answered(_))), "again, and nothing else");
    });
}

#[test]
fn a_lost_connection_is_made_anew_and_nothing_is_told_twice() {
    with_client(|played, mut client| async move {
        let minute = Duration::from_mins(1);
        let mut ongoing = client.start(request(Some(minute), run(Delivery::Stream)), vec![]);
        let serving = async {
            let (frame, first) = played.next().await;
            played.start(&frame, "mine").await;
            played.print(&frame, "mine", Stream::Stdout, 0, "one two").await;
            let endpoint = played.crash().await;
            let played = Played::at(&endpoint).await;
            let (frame, again) = played.next().await;
            let timeout = |json: &Value| json["timeout"].as_f64().expect("a time limit");
            assert!(timeout(&again) < timeout(&first), "{again}");
            assert_eq!(again["id"], "mine");
            played.start(&frame, "mine").await;
            played.print(&frame, "mine", Stream::Stdout, 0, "one").await;
            played.print(&frame, "mine", Stream::Stdout, 3, " two three").await;
            // The server does not keep so much.
            played.print(&frame, "mine", Stream::Stdout, 20, "five").await;
            played.reply(&frame, "mine", finished(26, 1));
            played
        };
        let ((told, _), _played) = tokio::join!(told(&mut ongoing), serving);
        assert_eq!(
            told,
            "started job-1\nstdout one two\nlost\nfound\nstdout  three\nstdout misses 7\nstdout five\nstdout misses 2\nstderr misses 1\n"
        );
    });
}

#[test]
fn a_stream_goes_on_with_what_only_the_reply_has() {
    with_client(|played, mut client| async move {
        let mut ongoing = client.start(request(None, run(Delivery::Stream)), vec![]);
        let serving = async {
            let (frame, _) = played.next().await;
            played.print(&frame, "mine", Stream::Stdout, 0, "one").await;
            let output = Output { stdout: b"one two"[..].into(), ..Output::default() };
            played.reply(&frame, "mine", Verdict::Finished { output, end: client::End::Exit(0) });
        };
        let ((told, _), ()) = tokio::join!(told(&mut ongoing), serving);
        assert_eq!(told, "started job-1\nstdout one\nstdout  two\n");
    });
}

#[test]
fn a_command_without_an_id_gets_one_and_a_computation_none() {
    with_client(|played, mut client| async move {
        let commands = async {
            let mut ids = Vec::new();
            for _ in 0..2 {
                let command = Request { id: None, timeout: None, action: run(Delivery::Whole) };
                let mut ongoing = client.start(command, vec![]);
                ids.push(ongoing.id().expect("an id").as_str().to_owned());
                told(&mut ongoing).await;
            }
            let computation = Request { id: None, timeout: None, action: Action::compute("1") };
            assert!(client.start(computation, vec![]).id().is_none());
            ids
        };
        let serving = async {
            for _ in 0..2 {
                let (frame, json) = played.next().await;
                played.reply(&frame, json["id"].as_str().expect("an id"), finished(0, 0));
            }
        };
        let (ids, ()) = tokio::join!(commands, serving);
        assert!(ids[0].len() == 32 && ids[0] != ids[1], "{ids:?}");
    });
}

#[test]
fn a_busy_server_is_asked_again_where_there_is_time() {
    let minute = Some(Duration::from_mins(1));
    with_client(|played, mut client| async move {
        let asking = async {
            let mut ongoing = client.start(request(minute, run(Delivery::Whole)), vec![]);
            assert_eq!(told(&mut ongoing).await.0, "busy\n");
            drop(ongoing);
            // Not where that would be too late, and not for a caller who did not say how long.
            for timeout in [minute, None] {
                let mut ongoing = client.start(request(timeout, run(Delivery::Whole)), vec![]);
                let (told, answer) = told(&mut ongoing).await;
                assert_eq!(told, "");
                assert!(matches!(answer.reply().expect("a reply").verdict, Verdict::Failed(_)));
            }
        };
        let serving = async {
            let hour = Duration::from_hours(1);
            for wait in [Some(Duration::ZERO), None, Some(hour), Some(Duration::ZERO)] {
                let (frame, _) = played.next().await;
                played.reply(&frame, "mine", wait.map_or(finished(0, 0), busy));
            }
        };
        tokio::join!(asking, serving);
    });
}

#[test]
fn a_cancellation_goes_to_the_job_and_the_answer_still_comes() {
    with_client(|played, mut client| async move {
        let cancelled = || Verdict::Failed(Failure::new(ErrorCode::Cancelled, "as you wished"));
        // With a name, and without.
        for has_started in [true, false] {
            let mut ongoing = client.start(request(None, run(Delivery::Stream)), vec![]);
            let serving = async {
                let (frame, _) = played.next().await;
                if has_started {
                    played.start(&frame, "mine").await;
                }
                let (cancel, json) = played.next().await;
                assert_eq!(json["command_type"], "cancel");
                let (key, name) = if has_started { ("job", "job-1") } else { ("request_id", "mine") };
                assert_eq!(json[key], name);
                let id = json["id"].as_str().expect("an id");
                played.reply(&cancel, id, Verdict::Failed(Failure::new(ErrorCode::Busy, "not now")));
                played.reply(&frame, "mine", cancelled());
            };
            let asking = async {
                if has_started {
                    assert!(matches!(in_time(ongoing.next()).await, Ok(Progress::Started { .. })));
                } else {
                    // It waits while the server says nothing; giving that up loses nothing.
                    assert!(tokio::time::timeout(Duration::from_millis(50), ongoing.next()).await.is_err());
                }
                ongoing.cancel();
                told(&mut ongoing).await
            };
            let ((told, answer), ()) = tokio::join!(asking, serving);
            assert_eq!(told, "not cancelled\n");
            assert_eq!(answer.reply().expect("a reply").verdict, cancelled());
        }
    });
}

fn ended() -> Verdict<'static> {
    Verdict::Value { json: r#"{"job":"job-1","state":"ended"}"#.into(), type_name: "job".into() }
}

fn failed(code: ErrorCode) -> Verdict<'static> {
    Verdict::Failed(Failure::new(code, "so it is"))
}

/// The next request, which must be a cancellation by the request's id, and the cancellation's own id.
async fn cancels_mine(played: &Played) -> (Frame, String) {
    let (frame, json) = played.next().await;
    assert_eq!((&json["command_type"], &json["request_id"]), (&json!("cancel"), &json!("mine")));
    let id = json["id"].as_str().expect("an id").to_owned();
    assert_ne!(id, "mine");
    (frame, id)
}

#[test]
fn a_last_reply_is_taken_whatever_the_cancellation_came_to() {
    let running = Verdict::Running { output: None };
    for (cancelled, last) in [
        (ended(), failed(ErrorCode::Cancelled)),
        (failed(ErrorCode::NotFound), failed(ErrorCode::Refused)),
        (failed(ErrorCode::NotFound), busy(Duration::ZERO)),
        (ended(), running.clone()),
        (failed(ErrorCode::Busy), running),
    ] {
        for comes_first in [false, true] {
            let (cancelled, last) = (cancelled.clone(), last.clone());
            with_client(|played, mut client| async move {
                let mut ongoing = client.start(request(None, run(Delivery::Whole)), vec![]);
                assert!(tokio::time::timeout(Duration::from_millis(50), ongoing.next()).await.is_err());
                ongoing.cancel();
                let serving = async {
                    let (frame, json) = played.next().await;
                    assert_eq!(json["command_type"], "os");
                    let (cancel, id) = cancels_mine(&played).await;
                    if comes_first {
                        played.reply(&frame, "mine", last.clone());
                    }
                    played.reply(&cancel, &id, cancelled);
                    if !comes_first {
                        played.reply(&frame, "mine", last.clone());
                    }
                };
                let ((_, answer), ()) = tokio::join!(told(&mut ongoing), serving);
                assert_eq!(answer.reply().expect("a reply").verdict, last);
            });
        }
    }
}

#[test]
fn a_request_of_which_nothing_is_found_is_not_awaited_for_long() {
    with_client(|played, mut client| async move {
        let mut ongoing = client.start(request(None, run(Delivery::Whole)), vec![]);
        assert!(tokio::time::timeout(Duration::from_millis(50), ongoing.next()).await.is_err());
        ongoing.cancel();
        let serving = async {
            played.next().await;
            let (cancel, id) = cancels_mine(&played).await;
            played.reply(&cancel, &id, failed(ErrorCode::NotFound));
        };
        let began = Instant::now();
        let (end, ()) = tokio::join!(in_time(ongoing.next()), serving);
        assert!(matches!(end, Err(NoAnswer::Late(_))), "{end:?}");
        assert!(began.elapsed() < client::limits::REPLY_MARGIN);
    });
}

#[test]
fn after_a_loss_a_cancelled_command_is_asked_for_only_when_it_has_ended() {
    for is_there in [true, false] {
        with_client(|played, mut client| async move {
            let minute = Some(Duration::from_mins(1));
            let mut ongoing = client.start(request(minute, run(Delivery::Whole)), vec![]);
            let serving = async {
                played.next().await;
                played.crash().await
            };
            let (lost, endpoint) = tokio::join!(in_time(ongoing.next()), serving);
            assert!(matches!(lost, Ok(Progress::Lost)));
            ongoing.cancel();
            let played = Played::at(&endpoint).await;
            let serving = async {
                let (cancel, id) = cancels_mine(&played).await;
                if !is_there {
                    played.reply(&cancel, &id, failed(ErrorCode::NotFound));
                    return;
                }
                played.reply(&cancel, &id, ended());
                // Who asks too often learns of the end later.
                for verdict in [busy(Duration::ZERO), failed(ErrorCode::Cancelled)] {
                    let (frame, json) = played.next().await;
                    assert_eq!((&json["command_type"], &json["id"]), (&json!("os"), &json!("mine")));
                    played.reply(&frame, "mine", verdict);
                }
            };
            let asking = async {
                loop {
                    match in_time(ongoing.next()).await {
                        Ok(Progress::Answered(answer)) => return Ok(answer),
                        Err(error) => return Err(error),
                        Ok(_) => {}
                    }
                }
            };
            let (end, ()) = tokio::join!(asking, serving);
            match end {
                Ok(answer) => {
                    assert!(is_there);
                    assert_eq!(answer.reply().expect("a reply").verdict, failed(ErrorCode::Cancelled));
                }
                Err(error) => assert!(!is_there && matches!(error, NoAnswer::Lost), "{error}"),
            }
            let mut more = Vec::new();
            let received =
                tokio::time::timeout(Duration::from_millis(50), played.listeners.receive(&mut more)).await;
            assert!(received.is_err(), "nothing more is sent");
        });
    }
}

#[test]
fn busy_after_a_loss_says_nothing_of_the_command() {
    with_client(|played, mut client| async move {
        let minute = Some(Duration::from_mins(1));
        let mut ongoing = client.start(request(minute, run(Delivery::Whole)), vec![]);
        let serving = async {
            played.next().await;
            played.crash().await
        };
        let (_, endpoint) = tokio::join!(in_time(ongoing.next()), serving);
        let played = Played::at(&endpoint).await;
        let serving = async {
            let (frame, _) = played.next().await;
            played.reply(&frame, "mine", busy(Duration::from_secs(30)));
        };
        let asking = async { while !matches!(in_time(ongoing.next()).await, Ok(Progress::Busy(_))) {} };
        tokio::join!(asking, serving);
        // It may run, and is ended without waiting.
        ongoing.cancel();
        let serving = async {
            let (cancel, id) = cancels_mine(&played).await;
            played.reply(&cancel, &id, ended());
            let (frame, _) = played.next().await;
            played.reply(&frame, "mine", failed(ErrorCode::Cancelled));
        };
        let ((_, answer), ()) = tokio::join!(told(&mut ongoing), serving);
        assert_eq!(answer.reply().expect("a reply").verdict, failed(ErrorCode::Cancelled));
    });
}

#[test]
fn a_command_that_is_cancelled_before_there_is_room_is_not_sent() {
    with_client(|played, mut client| async move {
        let minute = Some(Duration::from_mins(1));
        let mut ongoing = client.start(request(minute, run(Delivery::Stream)), vec![]);
        let serving = async {
            let (frame, _) = played.next().await;
            played.reply(&frame, "mine", busy(Duration::from_millis(100)));
        };
        let asking = async {
            assert!(matches!(in_time(ongoing.next()).await, Ok(Progress::Busy(_))));
            ongoing.cancel();
            let (told, answer) = told(&mut ongoing).await;
            assert_eq!(told, "");
            assert_eq!(answer.reply().expect("a reply").verdict, busy(Duration::from_millis(100)));
        };
        tokio::join!(asking, serving);
        drop(ongoing);
        let mut ongoing = client.start(request(minute, run(Delivery::Stream)), vec![]);
        ongoing.cancel();
        assert!(matches!(in_time(ongoing.next()).await, Err(NoAnswer::NotSent)));
        drop(ongoing);
        // The server has got nothing of that.
        let other = Request { id: RequestId::parse("other"), ..request(None, run(Delivery::Whole)) };
        let serving = async {
            let (frame, json) = played.next().await;
            assert_eq!(json["id"], "other");
            played.reply(&frame, "other", finished(0, 0));
        };
        let (answer, ()) = tokio::join!(in_time(client.request(&other, vec![])), serving);
        assert!(answer.is_ok());
    });
}

#[test]
fn a_server_that_stays_away_is_given_up_when_the_time_is_over() {
    with_client(|played, mut client| async move {
        let began = Instant::now();
        let second = Duration::from_secs(1);
        let mut ongoing = client.start(request(Some(second), run(Delivery::Whole)), vec![]);
        let asking = async {
            loop {
                if let Err(error) = in_time(ongoing.next()).await {
                    return error;
                }
            }
        };
        let serving = async {
            played.next().await;
            played.crash().await
        };
        let (error, endpoint) = tokio::join!(asking, serving);
        assert!(matches!(error, NoAnswer::NotFoundAgain { .. }), "{error}");
        assert!((second..PATIENCE).contains(&began.elapsed()));
        // The client is as good as before.
        drop(ongoing);
        let played = Played::at(&endpoint).await;
        let serving = async {
            let (frame, _) = played.next().await;
            played.reply(&frame, "mine", finished(0, 0));
        };
        let again = request(None, run(Delivery::Whole));
        let (answer, ()) = tokio::join!(in_time(client.request(&again, vec![])), serving);
        assert!(answer.is_ok());
    });
}

#[test]
fn what_is_not_awaited_any_more_answers_no_other_request() {
    with_client(|played, mut client| async move {
        let compute = |text| Request { id: None, timeout: None, action: Action::compute(text) };
        let value = |json: &'static str| Verdict::Value { json: json.into(), type_name: "int".into() };
        let mut given_up = client.start(compute("1"), vec![]);
        assert!(tokio::time::timeout(Duration::from_millis(50), given_up.next()).await.is_err());
        drop(given_up);
        let serving = async {
            for (expected, json) in [("1", "1"), ("2", "2")] {
                let (frame, request) = played.next().await;
                assert_eq!(request["expression"], expected);
                let reply = Reply { id: None, job: None, duration: None, verdict: value(json) };
                played.listeners.reply(&frame.return_path, reply.encode(), None);
            }
        };
        let second = compute("2");
        let (answer, ()) = tokio::join!(in_time(client.request(&second, vec![])), serving);
        assert_eq!(answer.expect("an answer").reply().expect("a reply").verdict, value("2"));
    });
}
