//! The loads that are put on a server, each closed: a new request leaves when a reply came. Every reply is checked,
//! and what is still in flight at the end is waited for, so that a lost reply is an error and not a good number.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::curve::Keys;
use crate::zmtp::{self, Client, Inbox, SocketType};

/// How long a load runs before it counts, as a part of how long it counts.
const WARM_UP: f64 = 0.2;

/// What is asked, and what a right answer looks like.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    body: Vec<u8>,
    answer: Answer,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Eighty,
    Ran,
}

impl Question {
    /// `(6 + 4) * 8`.
    pub(crate) fn computation() -> Self {
        let body = br#"{"command_type":"compute","expression":"(6 + 4) * 8"}"#.to_vec();
        Self { body, answer: Answer::Eighty }
    }

    /// A command without arguments that prints nothing and succeeds.
    pub(crate) fn command(name: &str) -> Self {
        let body = format!(r#"{{"command_type":"os","command_name":"{name}","parameters":[]}}"#);
        Self { body: body.into_bytes(), answer: Answer::Ran }
    }

    fn check(&self, reply: &[u8]) -> Result<()> {
        let right = has(reply, br#""status":"#, br#""success""#)
            && match self.answer {
                Answer::Eighty => has(reply, br#""result":"#, b"80"),
                Answer::Ran => has(reply, br#""result":"#, br#""""#) && !failed(reply),
            };
        ensure!(right, "wrong reply: {}", String::from_utf8_lossy(reply));
        Ok(())
    }
}

/// Times of single requests, sorted.
#[derive(Debug)]
pub(crate) struct RoundTrips(Vec<Duration>);

impl RoundTrips {
    /// Sorts `times`, of which there must be one.
    pub(crate) fn new(mut times: Vec<Duration>) -> Result<Self> {
        ensure!(!times.is_empty(), "nothing was measured");
        times.sort_unstable();
        Ok(Self(times))
    }

    /// The time in microseconds that `percent` of the requests stayed within.
    pub(crate) fn percentile_us(&self, percent: usize) -> f64 {
        let index = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        self.0.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    }
}

/// One REQ client, one request after the other.
pub(crate) fn round_trips(
    address: SocketAddr,
    keys: Option<&Keys>,
    question: &Question,
    time: Duration,
) -> Result<RoundTrips> {
    let mut client = Client::connect(address, SocketType::Req, keys)?;
    let window = Window::from_now(time);
    let mut times = Vec::new();
    loop {
        let sent = Instant::now();
        client.send(&question.body, 1)?;
        while client.receive(|reply| question.check(reply))? == 0 {}
        let received = Instant::now();
        if window.contains(sent) {
            times.push(received - sent);
        }
        if received >= window.end {
            return RoundTrips::new(times);
        }
    }
}

/// One DEALER with `in_flight` requests under way: replies in a second.
pub(crate) fn in_flight(
    address: SocketAddr,
    keys: Option<&Keys>,
    question: &Question,
    in_flight: usize,
    time: Duration,
) -> Result<f64> {
    let mut client = Client::connect(address, SocketType::Dealer, keys)?;
    let window = Window::from_now(time);
    let mut counted = 0;
    let mut flying = in_flight;
    client.send(&question.body, in_flight)?;
    while flying > 0 {
        let replies = client.receive(|reply| question.check(reply))?;
        flying = flying.checked_sub(replies).context("more replies than requests")?;
        let now = Instant::now();
        if window.contains(now) {
            counted += replies;
        }
        if now < window.end {
            client.send(&question.body, replies)?;
            flying += replies;
        }
    }
    window.rate(counted)
}

/// One DEALER with `in_flight` requests under way, until so many have their replies.
pub(crate) fn in_flight_of(
    address: SocketAddr,
    question: &Question,
    in_flight: usize,
    requests: u64,
) -> Result<()> {
    let mut client = Client::connect(address, SocketType::Dealer, None)?;
    let (mut unsent, mut unanswered) = (requests, requests);
    let mut room = in_flight;
    while unanswered > 0 {
        let now = room.min(usize::try_from(unsent)?);
        client.send(&question.body, now)?;
        unsent -= u64::try_from(now)?;
        room = client.receive(|reply| question.check(reply))?;
        unanswered = unanswered.checked_sub(u64::try_from(room)?).context("more replies than requests")?;
    }
    Ok(())
}

/// `clients` REQ clients with one request under way each, on one thread: replies in a second of all.
pub(crate) fn many_clients(
    address: SocketAddr,
    question: &Question,
    clients: usize,
    time: Duration,
) -> Result<f64> {
    let clients =
        (0..clients).map(|_| Client::connect(address, SocketType::Req, None)).collect::<Result<Vec<_>>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let window = Window::from_now(time);
        let tasks: Vec<_> = clients
            .into_iter()
            .map(|client| {
                let question = question.clone();
                tokio::spawn(async move {
                    client.stream.set_nonblocking(true)?;
                    let stream = tokio::net::TcpStream::from_std(client.stream)?;
                    one_of_many(stream, client.inbox, &question, window).await
                })
            })
            .collect();
        let mut counted = 0;
        for task in tasks {
            counted += tokio::time::timeout(time * 2 + Duration::from_secs(10), task)
                .await
                .context("a client waits for a reply that does not come")???;
        }
        window.rate(counted)
    })
}

async fn one_of_many(
    mut stream: tokio::net::TcpStream,
    mut inbox: Inbox,
    question: &Question,
    window: Window,
) -> Result<usize> {
    let mut counted = 0;
    let mut request = Vec::new();
    zmtp::write_request(None, &question.body, &mut request)?;
    loop {
        stream.write_all(&request).await?;
        while inbox.drain(|reply| question.check(reply))? == 0 {
            let n = stream.read(inbox.space()).await?;
            inbox.filled(n)?;
        }
        let now = Instant::now();
        if window.contains(now) {
            counted += 1;
        }
        if now >= window.end {
            return Ok(counted);
        }
    }
}

/// When replies count.
#[derive(Clone, Copy, Debug)]
struct Window {
    begin: Instant,
    end: Instant,
}

impl Window {
    fn from_now(time: Duration) -> Self {
        let begin = Instant::now() + time.mul_f64(WARM_UP);
        Self { begin, end: begin + time }
    }

    fn contains(self, instant: Instant) -> bool {
        (self.begin..self.end).contains(&instant)
    }

    /// What `counted` in the window makes in a second.
    fn rate(self, counted: usize) -> Result<f64> {
        Ok(f64::from(u32::try_from(counted)?) / (self.end - self.begin).as_secs_f64())
    }
}

/// Whether `reply` has `key` (with its quotes and colon) with exactly `value`, with or without a space between.
fn has(reply: &[u8], key: &[u8], value: &[u8]) -> bool {
    let Some(after) = reply.windows(key.len()).position(|window| window == key).map(|at| at + key.len())
    else {
        return false;
    };
    let rest = reply.get(after..).unwrap_or_default().trim_ascii_start();
    rest.strip_prefix(value).is_some_and(|rest| matches!(rest.first(), Some(b',' | b'}')))
}

/// Whether `reply` names an exit code that is not 0; the old design names none.
fn failed(reply: &[u8]) -> bool {
    let key = br#""exit_code":"#;
    reply.windows(key.len()).any(|window| window == key) && !has(reply, key, b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_right_replies_pass() {
        let computation = Question::computation();
        assert!(computation.check(crate::echo::REPLY).is_ok());
        assert!(computation.check(br#"{"status": "success", "result": 80}"#).is_ok());
        assert!(computation.check(br#"{"status": "success", "result": 801}"#).is_err());
        assert!(computation.check(br#"{"status": "error", "message": "busy"}"#).is_err());

        let command = Question::command("true");
        assert!(command.check(br#"{"status": "success", "result": ""}"#).is_ok());
        assert!(command.check(br#"{"status":"success","result":"","exit_code":0}"#).is_ok());
        assert!(command.check(br#"{"status":"success","result":"","exit_code":1}"#).is_err());
    }

    #[test]
    fn percentiles_are_taken_of_sorted_times() {
        let times = RoundTrips::new((1..=100).rev().map(Duration::from_micros).collect()).unwrap();
        assert!((times.percentile_us(50) - 51.0).abs() < 0.01);
        assert!((times.percentile_us(99) - 100.0).abs() < 0.01);
        assert!(RoundTrips::new(Vec::new()).is_err());
    }
}
