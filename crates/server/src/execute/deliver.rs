//! How the result of a job reaches its client: at its end, piece by piece while it runs, or later.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use jail::Stream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use transport::limits::MAX_EVENT_BYTES;
use transport::{EventStream, Gone, Listeners};
use wire::{Delivery, Event, EventKind, RequestId, Streamed};

use crate::entry::Entry;
use crate::jobs::{Job, Piece};
use crate::limits::STREAM_PATIENCE;
use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::service::Service;

/// Who waits for a job, and how long.
pub(super) struct Client<'s> {
    service: &'s Service,
    listeners: &'s Listeners,
    entry: &'s Entry,
    until: Option<Instant>,
}

impl<'s> Client<'s> {
    /// Without a time-out of its own it waits as long as the job takes, which has one.
    pub(super) fn new(
        service: &'s Service,
        listeners: &'s Listeners,
        entry: &'s Entry,
        timeout: Option<Duration>,
    ) -> Self {
        let until = timeout.and_then(|timeout| deadline(entry, timeout));
        Self { service, listeners, entry, until }
    }

    /// Completes when its time is over.
    pub(super) async fn patience(&self) {
        passed(self.until).await;
    }
}

/// Completes at a moment, or never.
pub(super) async fn passed(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// When the time of a request is over, which began with its arrival.
pub(super) fn deadline(entry: &Entry, timeout: Duration) -> Option<Instant> {
    Instant::from_std(entry.frame.arrived).checked_add(timeout)
}

/// Waits for what the client wants to have. Of a job that it waits for in vain it learns that it runs.
pub(super) async fn deliver(
    client: Client<'_>,
    job: &Rc<Job>,
    delivery: Delivery,
    live: Option<mpsc::UnboundedReceiver<Piece>>,
) -> Result<Outcome, Refusal> {
    let streamed = match (delivery, live) {
        (Delivery::Detached, _) => return Ok(Outcome::Running { output: None }),
        (Delivery::Whole, _) => None,
        (Delivery::Stream, Some(live)) => Some(pass_on(&client, job, live).await),
        (Delivery::Stream, None) => Some(follow(&client, job).await),
    };
    tokio::select! {
        biased;
        ended = job.ended() => Ok(Outcome::Ended { ended, streamed }),
        () = client.patience() => Ok(Outcome::Running { output: None }),
    }
}

/// Passes on what the command prints, which waits for the client.
async fn pass_on(client: &Client<'_>, job: &Job, mut live: mpsc::UnboundedReceiver<Piece>) -> Streamed {
    let mut events = Events::new(client, job);
    let passed_on = async {
        job.begun().await;
        events.begin().await?;
        while let Some(piece) = live.recv().await {
            events.send(piece.stream, piece.offset, piece.bytes.clone()).await?;
        }
        Ok::<_, Gone>(())
    };
    // Where the client is gone, or reads no more, the command goes on without it; at the server's end it does not count.
    tokio::select! {
        _ = passed_on => {}
        () = client.service.end_of_work() => {}
    }
    events.sent
}

/// Sends what is kept of the output, from its beginning, and then what comes. The command does not wait for this client.
async fn follow(client: &Client<'_>, job: &Job) -> Streamed {
    let mut events = Events::new(client, job);
    let followed = async {
        job.begun().await;
        events.begin().await?;
        let mut watching = job.watch();
        loop {
            let has_ended = watching.has_ended();
            while events.send_kept(job).await? {}
            if has_ended {
                return Ok::<_, Gone>(());
            }
            watching.changed().await;
        }
    };
    tokio::select! {
        _ = followed => {}
        () = client.patience() => {}
        () = client.service.end_of_work() => {}
    }
    events.sent
}

/// The events of one request.
struct Events {
    stream: EventStream,
    id: Option<RequestId>,
    job: Rc<str>,
    sequence: u64,
    sent: Streamed,
}

impl Events {
    fn new(client: &Client<'_>, job: &Job) -> Self {
        Self {
            stream: client.listeners.stream(&client.entry.frame.return_path),
            id: client.entry.id.clone(),
            job: Rc::clone(&job.name),
            sequence: 0,
            sent: Streamed::default(),
        }
    }

    /// Says that the command has begun.
    async fn begin(&mut self) -> Result<(), Gone> {
        self.send_event(EventKind::Started, Bytes::new()).await
    }

    /// Sends the next of what is kept; false where there is nothing more of it.
    async fn send_kept(&mut self, job: &Job) -> Result<bool, Gone> {
        for (stream, have) in [(Stream::Stdout, self.sent.stdout), (Stream::Stderr, self.sent.stderr)] {
            let bytes = job.kept_behind(stream, have, MAX_EVENT_BYTES);
            if !bytes.is_empty() {
                self.send(stream, have, bytes).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn send(&mut self, stream: Stream, offset: u64, bytes: Bytes) -> Result<(), Gone> {
        let count = bytes.len() as u64;
        let on_the_wire = match stream {
            Stream::Stdout => wire::Stream::Stdout,
            Stream::Stderr => wire::Stream::Stderr,
        };
        self.send_event(EventKind::Printed { stream: on_the_wire, offset }, bytes).await?;
        let sent = match stream {
            Stream::Stdout => &mut self.sent.stdout,
            Stream::Stderr => &mut self.sent.stderr,
        };
        *sent = sent.saturating_add(count);
        Ok(())
    }

    async fn send_event(&mut self, kind: EventKind, bytes: Bytes) -> Result<(), Gone> {
        let id = self.id.as_ref().map(|id| id.as_str().into());
        let event = Event { id, job: (&*self.job).into(), kind, sequence: self.sequence };
        self.sequence = self.sequence.saturating_add(1);
        timeout(STREAM_PATIENCE, self.stream.send(event.encode(), bytes)).await.unwrap_or(Err(Gone))
    }
}
