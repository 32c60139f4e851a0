//! One request from its first sending to its answer: on as many connections as it takes, until its time is over.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout_at};
use transport::{ConnectError, Received};
use wire::{
    Action, Delivery, ErrorCode, Event, EventKind, Failure, Output, Request, RequestId, Stream, Target,
    Verdict,
};

use crate::client::{Answer, Client, NoAnswer};
use crate::limits::{
    FIRST_PAUSE, LONGEST_ABSENCE, LONGEST_PAUSE, LONGEST_WAIT, NOT_FOUND_MARGIN, REPLY_MARGIN, WATCH_INTERVAL,
};
use crate::output::Delivered;
use crate::presence::{Clock, Presence};

/// A request that is under way. Dropping it leaves the command to the server.
pub struct Ongoing<'a> {
    client: &'a mut Client,
    request: Request<'a>,
    columns: Vec<Bytes>,
    state: State,
    began: Instant,
    is_sent_again: bool,
    /// Whether the request may have come to something: it was sent, and not answered that there is no room.
    may_run: bool,
    /// Whether it was sent on a connection that was lost before an answer.
    was_lost: bool,
    clock: Clock,
    presence: Presence,
    /// When the connection is to be watched next.
    watch_at: Instant,
    /// When the request's own time is over.
    deadline: Option<Instant>,
    /// When the server was heard last.
    heard: Instant,
    /// Since when no server has said anything on a connection.
    lost: Option<Instant>,
    /// The last answer, where it was that there is no room.
    busy: Option<Answer>,
    /// How long the next pause is.
    pause: Duration,
    job: Option<String>,
    cancellation: Option<Cancellation>,
    delivered: Delivered,
    /// What came at once with what was told last.
    told_next: VecDeque<Progress>,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Progress {
    /// The server has the command under this name.
    Started {
        /// The job's name.
        job: String,
    },
    /// The command has printed something. Each byte is told of once, on however many connections it came.
    Printed {
        /// Where.
        stream: Stream,
        /// What.
        bytes: Bytes,
    },
    /// The command has printed something that did not come: there was no connection, and the server does not keep it.
    Missing {
        /// Where.
        stream: Stream,
        /// How much.
        bytes: u64,
    },
    /// The server has no room for the request, which will be sent again after this time.
    Busy(Duration),
    /// The connection is gone; another is looked for.
    Lost,
    /// There is another connection, and the request was sent again on it.
    Found,
    /// The server does not cancel the job, and says why.
    NotCancelled(Answer),
    /// The answer. Nothing comes after it.
    Answered(Answer),
}

enum State {
    /// The request is to be sent on the connection that there is.
    Ready,
    /// It was sent.
    Sent,
    /// Only its cancellation was sent on the connection that there is.
    Cancelling,
    /// It is to be sent again at this time, on another connection if there is none.
    Pausing(Instant),
    /// It is answered, or will not be.
    Ended(Result<Answer, NoAnswer>),
}

struct Cancellation {
    /// The id of the request that cancels, once there is one.
    id: Option<RequestId>,
    step: Step,
    wanted: Instant,
}

/// How far a cancellation has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It is to be sent on the connection that there is, or on the next one.
    Wanted,
    Sent,
    /// The job has ended.
    Ended,
    /// Since when it is known that the server has no job of this request.
    NotFound(Instant),
    /// The server does not do it.
    Refused,
}

impl<'a> Ongoing<'a> {
    pub(crate) fn new(client: &'a mut Client, mut request: Request<'a>, columns: Vec<Bytes>) -> Self {
        let (began, clock) = (Instant::now(), Clock::default());
        let deadline = request.timeout.and_then(|timeout| began.checked_add(timeout));
        let job = match &request.action {
            Action::Os { .. } => {
                request.id = request.id.or_else(random_id);
                None
            }
            Action::Result { job, .. } => Some(job.clone().into_owned()),
            _ => None,
        };
        let state = if client.connection().is_some() { State::Ready } else { State::Pausing(began) };
        Self {
            client,
            request,
            columns,
            state,
            began,
            is_sent_again: false,
            may_run: false,
            was_lost: false,
            presence: Presence::sent_first(clock.now()),
            clock,
            watch_at: began,
            deadline,
            heard: began,
            lost: None,
            busy: None,
            pause: FIRST_PAUSE,
            job,
            cancellation: None,
            delivered: Delivered::default(),
            told_next: VecDeque::new(),
        }
    }

    /// The id of the request: the caller's, or the one that was made for it.
    pub fn id(&self) -> Option<&RequestId> {
        self.request.id.as_ref()
    }

    /// Waits for what happens next. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The answer did not come in time, or the connection was lost and could not be made again.
    pub async fn next(&mut self) -> Result<Progress, NoAnswer> {
        loop {
            if let Some(told) = self.told_next.pop_front() {
                return Ok(told);
            }
            match &self.state {
                State::Ready => self.send(),
                State::Sent | State::Cancelling => self.receive().await?,
                State::Pausing(until) => {
                    sleep_until(*until).await;
                    self.resume().await?;
                }
                State::Ended(end) => return end.clone().map(Progress::Answered),
            }
        }
    }

    /// Wants the command ended: the server is told as soon as it can be. The answer still comes, within
    /// [`REPLY_MARGIN`] if the server is there. Where nothing is under way nothing is sent any more: the answer is then
    /// that the server had no room, if it said so.
    pub fn cancel(&mut self) {
        if self.cancellation.is_some() || matches!(self.state, State::Ended(_)) {
            return;
        }
        // Whose result is asked for is another request's job.
        if !self.may_run && !matches!(self.request.action, Action::Result { .. }) {
            self.state = State::Ended(self.busy.take().ok_or(NoAnswer::NotSent));
            return;
        }
        let wanted = Instant::now();
        self.cancellation = Some(Cancellation { id: None, step: Step::Wanted, wanted });
        // At once, for whoever cancels may not come to ask what happens next.
        match self.state {
            State::Sent => self.send_cancellation(),
            State::Ready | State::Pausing(_) if self.is_order() && self.client.connection().is_some() => {
                self.send();
            }
            State::Pausing(_) => self.state = State::Pausing(wanted),
            State::Ready | State::Cancelling | State::Ended(_) => {}
        }
    }

    fn send(&mut self) {
        if self.is_order() && self.cancellation.as_ref().is_some_and(|it| it.step != Step::Ended) {
            // The request itself could start what is to be ended.
            self.state = State::Cancelling;
            self.send_cancellation();
            return;
        }
        if self.is_perhaps_forgotten() {
            self.state = State::Ended(Err(NoAnswer::Lost));
            return;
        }
        if self.may_run {
            self.presence.sent_again(self.clock.now());
        } else {
            self.presence = Presence::sent_first(self.clock.now());
        }
        self.watch_at = after(WATCH_INTERVAL);
        self.may_run = true;
        if let Some(deadline) = self.deadline.filter(|_| self.is_sent_again) {
            let left = deadline.saturating_duration_since(Instant::now());
            // Of a request whose time is over the server may still have the answer.
            self.request.timeout = Some(left.max(Duration::from_millis(1)));
        }
        self.is_sent_again = true;
        let sent = self.client.connection().map(|to| to.submit(self.request.encode(), self.columns.clone()));
        match sent {
            Some(Ok(())) => self.state = State::Sent,
            _ => self.lose(),
        }
    }

    async fn receive(&mut self) -> Result<(), NoAnswer> {
        self.send_cancellation();
        let until = self.patience_ends();
        let mut wake_at = until;
        if matches!(self.state, State::Sent) {
            if self.watch_at <= Instant::now() {
                self.presence.watch(self.clock.now());
                self.watch_at = after(WATCH_INTERVAL);
            }
            wake_at = until.min(self.watch_at);
        }
        let Some(connection) = self.client.connection() else {
            self.lose();
            return Ok(());
        };
        match timeout_at(wake_at, connection.receive()).await {
            Ok(Ok(received)) => self.take(received),
            Ok(Err(_)) if self.is_repeatable() => self.lose(),
            Ok(Err(_)) => return Err(NoAnswer::Lost),
            Err(_) if Instant::now() < until => {}
            Err(_) => return Err(NoAnswer::Late(until.saturating_duration_since(self.began))),
        }
        Ok(())
    }

    /// Sends the request again, on a new connection where the old one is gone.
    async fn resume(&mut self) -> Result<(), NoAnswer> {
        // To cancel it does no harm at any time.
        if self.is_perhaps_forgotten() && self.cancellation.is_none() {
            return Err(NoAnswer::Lost);
        }
        if self.client.connection().is_none() {
            let until = self.absence_ends();
            match timeout_at(until, self.client.reconnect()).await {
                Ok(Ok(())) if self.lost.is_some() => self.told_next.push_back(Progress::Found),
                Ok(Ok(())) => {}
                Ok(Err(error @ ConnectError::KeyRefused { .. })) => return Err(not_found(&error)),
                Ok(Err(error)) if Instant::now() >= until => return Err(not_found(&error)),
                Ok(Err(_)) => {
                    self.rest();
                    return Ok(());
                }
                Err(_) => {
                    let reason = "no server answered in time".to_owned();
                    return Err(NoAnswer::NotFoundAgain { reason });
                }
            }
        }
        self.state = State::Ready;
        Ok(())
    }

    fn take(&mut self, received: Received) {
        (self.heard, self.lost, self.pause) = (Instant::now(), None, FIRST_PAUSE);
        if let Some(bytes) = &received.attachment
            && let Some(event) = Event::decode(&received.body)
        {
            if event.id.as_deref() == self.id().map(RequestId::as_str) {
                self.learn_name(&event.job);
                if let EventKind::Printed { stream, offset } = event.kind {
                    self.tell_printed(stream, offset, bytes.clone());
                }
            }
            return;
        }
        let answer = Answer(received);
        let Ok(reply) = answer.reply() else {
            // Whoever wants the reply will find out what is wrong with it.
            self.finish(answer);
            return;
        };
        if let Some(id) = &reply.id {
            let cancels = self.cancellation.as_ref().and_then(|it| it.id.as_ref());
            if cancels.is_some_and(|own| own.as_str() == id) {
                let code = match reply.verdict {
                    Verdict::Failed(failure) => Some(failure.code),
                    _ => None,
                };
                self.take_cancelled(code, answer);
                return;
            }
            if self.id().is_some_and(|own| own.as_str() != id) {
                return;
            }
        }
        if let Some(pause) = self.busy_for(&reply.verdict) {
            self.told_next.push_back(Progress::Busy(pause));
            // What was sent before on a connection that was lost may be under way all the same.
            self.may_run = self.was_lost;
            self.busy = Some(answer);
            self.state = State::Pausing(after(pause));
            return;
        }
        if self.was_lost && self.is_order() && is_busy(&reply.verdict) {
            // That says nothing of the request that was sent before the loss.
            self.state = match self.cancellation {
                Some(Cancellation { step: Step::Sent, .. }) => State::Cancelling,
                _ => State::Ended(Err(NoAnswer::Lost)),
            };
            return;
        }
        if self.wants_stream()
            && let Some(output) = reply.verdict.output()
        {
            self.tell_rest(output);
        }
        self.finish(answer);
    }

    /// Takes what the server answers to a cancellation.
    fn take_cancelled(&mut self, code: Option<ErrorCode>, answer: Answer) {
        let (is_order, is_alone) = (self.is_order(), matches!(self.state, State::Cancelling));
        let Some(Cancellation { step, .. }) = &mut self.cancellation else { return };
        *step = match code {
            None => Step::Ended,
            // Its reply is on its way, or it never arrived.
            Some(ErrorCode::NotFound) if is_order => Step::NotFound(Instant::now()),
            Some(_) => {
                self.told_next.push_back(Progress::NotCancelled(answer));
                Step::Refused
            }
        };
        if is_alone {
            // That the job has ended means that the request starts none.
            self.state = if *step == Step::Ended { State::Ready } else { State::Ended(Err(NoAnswer::Lost)) };
        }
    }

    fn finish(&mut self, answer: Answer) {
        if self.cancellation.is_some() {
            // More than one reply may be under way.
            self.client.disconnect();
        }
        self.state = State::Ended(Ok(answer));
    }

    fn learn_name(&mut self, job: &str) {
        if self.job.is_none() {
            self.job = Some(job.to_owned());
            self.told_next.push_back(Progress::Started { job: job.to_owned() });
        }
    }

    fn tell_printed(&mut self, stream: Stream, offset: u64, bytes: Bytes) {
        let news = self.delivered.take(stream, offset, bytes);
        self.tell_missing(stream, news.missing);
        if !news.bytes.is_empty() {
            self.told_next.push_back(Progress::Printed { stream, bytes: news.bytes });
        }
    }

    fn tell_missing(&mut self, stream: Stream, bytes: u64) {
        if bytes > 0 {
            self.told_next.push_back(Progress::Missing { stream, bytes });
        }
    }

    /// Tells of the output that only the reply has, or of what did not come before it.
    fn tell_rest(&mut self, output: &Output<'_>) {
        let both = [(Stream::Stdout, &output.stdout), (Stream::Stderr, &output.stderr)];
        for (stream, bytes) in both {
            match (output.streamed, stream) {
                (None, _) => self.tell_printed(stream, 0, Bytes::copy_from_slice(bytes)),
                (Some(streamed), Stream::Stdout) => {
                    let missing = self.delivered.end(stream, streamed.stdout);
                    self.tell_missing(stream, missing);
                }
                (Some(streamed), Stream::Stderr) => {
                    let missing = self.delivered.end(stream, streamed.stderr);
                    self.tell_missing(stream, missing);
                }
            }
        }
    }

    fn send_cancellation(&mut self) {
        let Some(Cancellation { id, step: step @ Step::Wanted, .. }) = &mut self.cancellation else { return };
        let Some(connection) = self.client.connection() else { return };
        let target = match (&self.job, &self.request) {
            (Some(job), _) => Target::Job(job.into()),
            (None, Request { id: Some(id), action: Action::Os { .. }, .. }) => Target::Request(id.clone()),
            (None, _) => return,
        };
        *step = Step::Sent;
        // One of its own, which tells its answer from the request's.
        *id = random_id().or_else(|| RequestId::parse("cancellation"));
        let body = Request { id: id.clone(), timeout: None, action: Action::Cancel(target) }.encode();
        // What is lost here is noticed by whoever receives.
        let _ = connection.submit(body, Vec::new());
    }

    fn is_order(&self) -> bool {
        matches!(&self.request.action, Action::Os { .. })
    }

    fn wants_stream(&self) -> bool {
        matches!(
            &self.request.action,
            Action::Os { delivery: Delivery::Stream, .. } | Action::Result { stream: true, .. }
        )
    }

    /// Whether it does no harm to send the request again.
    fn is_repeatable(&self) -> bool {
        !self.is_order() || self.request.id.is_some()
    }

    /// Whether the server would execute the request again, for all that is known.
    fn is_perhaps_forgotten(&self) -> bool {
        self.may_run && self.is_order() && !self.presence.may_send_again(self.clock.now())
    }

    /// How long to wait with a request that the server has no room for, if it is to be sent again.
    fn busy_for(&self, verdict: &Verdict<'_>) -> Option<Duration> {
        let Verdict::Failed(Failure { code: ErrorCode::Busy, retry_after, .. }) = verdict else {
            return None;
        };
        let pause = jittered(retry_after.unwrap_or(FIRST_PAUSE).clamp(FIRST_PAUSE, LONGEST_WAIT));
        let is_unknown = self.was_lost && self.is_order();
        let until = match (&self.cancellation, self.deadline) {
            // It starts nothing any more, and its end is to be learned.
            (Some(Cancellation { step: Step::Ended, .. }), _) if is_unknown => self.patience_ends(),
            (None, Some(deadline)) => deadline,
            (None, None) if is_unknown => self.request_ends(),
            (Some(_), _) | (None, None) => return None,
        };
        (after(pause) < until).then_some(pause)
    }

    fn lose(&mut self) {
        self.client.disconnect();
        self.was_lost |= self.may_run;
        self.lost.get_or_insert_with(Instant::now);
        if let Some(cancellation) = &mut self.cancellation
            && cancellation.step != Step::Ended
        {
            cancellation.step = Step::Wanted;
        }
        self.told_next.push_back(Progress::Lost);
        self.rest();
    }

    fn rest(&mut self) {
        self.state = State::Pausing(after(jittered(self.pause)).min(self.absence_ends()));
        self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
    }

    fn absence_ends(&self) -> Instant {
        let lost = self.lost.unwrap_or(self.began);
        let allowed = lost.checked_add(LONGEST_ABSENCE).unwrap_or(lost);
        self.deadline.unwrap_or(allowed).min(self.patience_ends())
    }

    fn patience_ends(&self) -> Instant {
        let longest = self.request_ends();
        match &self.cancellation {
            Some(Cancellation { step: Step::NotFound(since), .. }) => {
                longest.min(since.checked_add(NOT_FOUND_MARGIN).unwrap_or(*since))
            }
            Some(cancellation) => longest.min(with_margin(cancellation.wanted.max(self.heard))),
            None => longest,
        }
    }

    fn request_ends(&self) -> Instant {
        match self.deadline {
            Some(deadline) => with_margin(deadline),
            None => self.began.checked_add(LONGEST_WAIT).unwrap_or(self.began),
        }
    }
}

impl Drop for Ongoing<'_> {
    fn drop(&mut self) {
        if !matches!(self.state, State::Ended(Ok(_))) {
            // A late reply would answer the next request.
            self.client.disconnect();
        }
    }
}

fn is_busy(verdict: &Verdict<'_>) -> bool {
    matches!(verdict, Verdict::Failed(Failure { code: ErrorCode::Busy, .. }))
}

fn with_margin(instant: Instant) -> Instant {
    instant.checked_add(REPLY_MARGIN).unwrap_or(instant)
}

fn after(pause: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(pause).unwrap_or(now)
}

fn not_found(error: &ConnectError) -> NoAnswer {
    NoAnswer::NotFoundAgain { reason: error.to_string() }
}

/// Up to half longer, so that clients which lost their server together do not come back together.
fn jittered(pause: Duration) -> Duration {
    let share = random().map_or(0, |bytes| u32::from(bytes[0]));
    let part = pause.checked_div(512).unwrap_or_default();
    pause.saturating_add(part.saturating_mul(share))
}

/// An id that nobody else has.
fn random_id() -> Option<RequestId> {
    RequestId::parse(&format!("{:032x}", u128::from_le_bytes(random()?)))
}

/// Nothing where the system has no random numbers: then a command is not sent again.
fn random() -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::timeout;
    use transport::{Access, Frame, Listeners, Security};
    use wire::{Action, Delivery, Request};

    use super::Progress;
    use crate::client::{Client, NoAnswer};
    use crate::limits::RESEND_WITHIN;

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn bind(endpoint: &str) -> Listeners {
        let all = || vec![(endpoint.to_owned(), Access::Plain)];
        let bound = async {
            loop {
                match Listeners::bind(all(), Arc::new(|_| true)).await {
                    Ok(listeners) => return listeners,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        timeout(PATIENCE, bound).await.expect("the address is given again")
    }

    async fn receives(listeners: &Listeners) -> Frame {
        let mut frames = Vec::new();
        timeout(PATIENCE, listeners.receive(&mut frames)).await.expect("in time").expect("open");
        frames.remove(0)
    }

    #[test]
    fn a_command_is_not_sent_again_when_the_server_was_not_there_for_an_hour() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let listeners = bind("tcp://127.0.0.1:0").await;
            let endpoint = listeners.endpoints().next().expect("a listener").0.to_owned();
            let connected = Client::connect_with(&endpoint, &Security::Plain, PATIENCE).await;
            let mut client = connected.expect("connected");
            let action = Action::Os {
                command_name: "x".into(),
                parameters: vec![],
                stdin: None,
                delivery: Delivery::Whole,
            };
            let day = Some(Duration::from_hours(24));
            let mut ongoing = client.start(Request { id: None, timeout: day, action }, vec![]);
            assert!(timeout(Duration::from_millis(50), ongoing.next()).await.is_err(), "nobody answers");
            receives(&listeners).await;
            listeners.close().await;
            assert!(matches!(timeout(PATIENCE, ongoing.next()).await, Ok(Ok(Progress::Lost))));
            // Within the time it is sent again, and that changes nothing of the time.
            ongoing.clock.set_ahead(RESEND_WITHIN / 2);
            let listeners = bind(&endpoint).await;
            assert!(matches!(timeout(PATIENCE, ongoing.next()).await, Ok(Ok(Progress::Found))));
            assert!(timeout(Duration::from_millis(50), ongoing.next()).await.is_err(), "nobody answers");
            receives(&listeners).await;
            listeners.close().await;
            assert!(matches!(timeout(PATIENCE, ongoing.next()).await, Ok(Ok(Progress::Lost))));
            ongoing.clock.set_ahead(RESEND_WITHIN / 2 + Duration::from_secs(1));
            let listeners = bind(&endpoint).await;
            assert!(matches!(timeout(PATIENCE, ongoing.next()).await, Ok(Err(NoAnswer::Lost))));
            let mut frames = Vec::new();
            let more = timeout(Duration::from_millis(50), listeners.receive(&mut frames)).await;
            assert!(more.is_err() && frames.is_empty(), "nothing is sent");
        });
    }
}
