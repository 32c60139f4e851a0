//! Fourth stage: is it new, and is there room now? Takes the places before the work begins; the work owns them until it
//! ends.

mod rate;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::authorise::{Authorised, Computation, Execution, Question, Work};
use crate::config::Limits;
use crate::jobs::{Job, Jobs, Order};
use crate::limits::{COLUMN_BYTES_AT_ONCE, WAITS_BY_USER};
use crate::log::Log;
use crate::moment::Moment;
use crate::policy::User;
use crate::refusal::Refusal;
use rate::Rates;

const KIB: usize = 1024;

/// The room there is.
pub(crate) struct Gate {
    commands: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    computations: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    column_kib: Arc<Semaphore>,
    history: Arc<Semaphore>,
    by_user: Counts,
    by_command: Counts,
    waits: Counts,
    cancels: Counts,
    rates: Rates,
    limits: Limits,
}

/// Work for which there is room.
pub(crate) struct Admitted<'f> {
    task: Task<'f>,
    waits: Option<Counted>,
}

/// What is to be done.
pub(crate) enum Task<'f> {
    /// Start a job.
    Start { job: Rc<Job>, execution: Box<Execution>, place: Place },
    /// Wait for a job that the same request came to before.
    Await { job: Rc<Job>, execution: Box<Execution> },
    /// Evaluate an expression.
    Compute(Computation<'f>),
    /// Answer a question.
    Tell(Question),
}

/// The places that a job takes.
pub(crate) struct Place {
    /// Among those that run, or among those that wait.
    _permit: OwnedSemaphorePermit,
    waits: bool,
    _of_user: Counted,
    _of_command: Option<Counted>,
}

impl<'f> Admitted<'f> {
    /// The task, and what is to be held until it is answered.
    pub(crate) fn into_parts(self) -> (Task<'f>, Option<Counted>) {
        (self.task, self.waits)
    }
}

impl Gate {
    pub(crate) fn new(limits: Limits) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            commands: Arc::new(Semaphore::new(limits.commands_at_once)),
            waiting: Arc::new(Semaphore::new(limits.commands_waiting)),
            computations: Arc::new(Semaphore::new(limits.computations_waiting)),
            workers: Arc::new(Semaphore::new(workers)),
            column_kib: Arc::new(Semaphore::new(COLUMN_BYTES_AT_ONCE / KIB)),
            history: Arc::new(Semaphore::new(1)),
            by_user: Counts::default(),
            by_command: Counts::default(),
            waits: Counts::default(),
            cancels: Counts::default(),
            rates: Rates::default(),
            limits,
        }
    }

    /// Commands that run.
    pub(crate) fn running(&self) -> usize {
        self.limits.commands_at_once.saturating_sub(self.commands.available_permits())
    }

    /// Commands that wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.limits.commands_waiting.saturating_sub(self.waiting.available_permits())
    }

    /// Computations that a worker does, or that wait for one.
    pub(crate) fn computing(&self) -> usize {
        self.limits.computations_waiting.saturating_sub(self.computations.available_permits())
    }

    /// Whether this user may ask again so soon.
    fn take_turn(&self, user: &User) -> Result<(), Refusal> {
        let Some(rate) = user.requests_per_second.or(self.limits.requests_per_second) else { return Ok(()) };
        let taken = self.rates.take(&user.name, rate, Instant::now());
        taken.map_err(|wait| Refusal::busy_for("you ask too often", wait))
    }

    /// Lets nothing more in: what comes from now on, or waits for its turn, is answered `busy`.
    pub(crate) fn close(&self) {
        self.commands.close();
        self.waiting.close();
        self.computations.close();
    }

    /// The places for a job, one of which may be to wait for its turn.
    fn place(&self, order: &Order, concurrency: Option<usize>) -> Result<Place, Refusal> {
        if self.commands.is_closed() {
            return Err(stopping());
        }
        let of_user = self.by_user.take(&order.user, self.limits.commands_by_user);
        let of_user = of_user.ok_or_else(|| Refusal::busy("you have too many commands under way"))?;
        let of_command = match concurrency {
            Some(most) => {
                let taken = self.by_command.take(&order.command, most);
                Some(taken.ok_or_else(|| Refusal::busy("this command is under way as often as it may be"))?)
            }
            None => None,
        };
        let (permit, waits) = match Arc::clone(&self.commands).try_acquire_owned() {
            Ok(permit) => (permit, false),
            Err(_) => (take(&self.waiting, "too many commands are running and waiting")?, true),
        };
        Ok(Place { _permit: permit, waits, _of_user: of_user, _of_command: of_command })
    }

    /// Waits for the turn of a job, whose place it then has. Those who came before go before.
    pub(crate) async fn turn(&self, place: Place) -> Result<Place, Refusal> {
        if !place.waits {
            return Ok(place);
        }
        let permit = Arc::clone(&self.commands).acquire_owned().await.map_err(|_| stopping())?;
        Ok(Place { _permit: permit, waits: false, ..place })
    }

    /// A place in the queue for a worker, for a computation that turned out to be long.
    pub(crate) fn queue_computation(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        take(&self.computations, "too many computations are waiting")
    }

    /// The right to read the log, which one at a time has: it can be long.
    pub(crate) fn history(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        take(&self.history, "someone else reads the history")
    }

    /// Room for this many bytes of columns.
    pub(crate) fn room_for_columns(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let kib = u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX);
        Arc::clone(&self.column_kib)
            .try_acquire_many_owned(kib)
            .map_err(|_| Refusal::busy("too many columns are being computed"))
    }

    /// A worker, as soon as one is free.
    pub(crate) async fn worker(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let worker = Arc::clone(&self.workers).acquire_owned().await;
        worker.map_err(|_| Refusal::internal("the workers are gone"))
    }
}

/// Finds room for the work. A command that was asked for before, under the same id, takes none. A computation takes none
/// until it proves long.
pub(crate) fn admit<'f>(
    authorised: Authorised<'f>,
    gate: &Gate,
    jobs: &Jobs,
    log: &Log,
    asked: Timestamp,
    now: Moment,
) -> Result<Admitted<'f>, Refusal> {
    let (user, work) = authorised.into_parts();
    let needs_record = !matches!(&work, Work::Tell(question) if question.needs_no_record());
    if needs_record && log.is_broken() {
        return Err(Refusal::internal("the log cannot be written"));
    }
    // Whoever asks too often can still end what he has begun.
    if !matches!(work, Work::Tell(Question::Cancel { .. })) {
        gate.take_turn(&user)?;
    }
    let task = match work {
        Work::Os(execution) => {
            if let Some(job) = jobs.known(&execution.order, now)? {
                Task::Await { job, execution }
            } else {
                let place = gate.place(&execution.order, execution.concurrency)?;
                let job = jobs.submit(execution.order.clone(), asked, now)?;
                Task::Start { job, execution, place }
            }
        }
        Work::Compute(_) if gate.computations.is_closed() => return Err(stopping()),
        Work::Compute(computation) => Task::Compute(computation),
        Work::Tell(question) => Task::Tell(question),
    };
    // What waits for a job that another request has begun takes no place of a job, and still has to have an end.
    let counts = match &task {
        Task::Await { .. } | Task::Tell(Question::Result { stream: true, .. }) => Some(&gate.waits),
        // Whoever waits for too much can still end it.
        Task::Tell(Question::Cancel { .. }) => Some(&gate.cancels),
        Task::Start { .. } | Task::Compute(_) | Task::Tell(_) => None,
    };
    let too_many = || Refusal::busy("you wait for too many jobs");
    let wait = |counts: &Counts| counts.take(&user.name, WAITS_BY_USER).ok_or_else(too_many);
    let waits = counts.map(wait).transpose()?;
    Ok(Admitted { task, waits })
}

fn take(semaphore: &Arc<Semaphore>, full: &'static str) -> Result<OwnedSemaphorePermit, Refusal> {
    Arc::clone(semaphore)
        .try_acquire_owned()
        .map_err(|_| if semaphore.is_closed() { stopping() } else { Refusal::busy(full) })
}

fn stopping() -> Refusal {
    Refusal::busy("the server is stopping")
}

/// How many there are of each name.
#[derive(Clone, Default)]
struct Counts(Rc<RefCell<HashMap<String, usize>>>);

/// One of them, until it is dropped.
pub(crate) struct Counted {
    counts: Counts,
    name: String,
}

impl Counts {
    fn take(&self, name: &str, most: usize) -> Option<Counted> {
        let mut counts = self.0.borrow_mut();
        let count = counts.entry(name.to_owned()).or_default();
        if *count >= most {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Counted { counts: self.clone(), name: name.to_owned() })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.counts.0.borrow_mut();
        if let Some(count) = counts.get_mut(&self.name) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.name);
            }
        }
    }
}
