//! Fifth stage: is it new, and is there room now? Takes the places before the work begins; the work owns them until it
//! ends.

mod columns;
mod line;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use jiff::Timestamp;

use crate::authorise::{Authorised, Computation, Execution, Question, Work};
use crate::config::Limits;
use crate::jobs::{Job, Jobs, Order};
use crate::limits::{HISTORY_WAITING, WAITS_BY_USER};
use crate::log::Log;
use crate::moment::Moment;
use crate::policy::User;
use crate::refusal::Refusal;
pub(crate) use columns::ColumnRoom;
use columns::Columns;
use line::{Line, NoPlace};

const KIB: usize = 1024;

/// The room there is, and each user's part of it: docs/limits.md has the table.
pub(crate) struct Gate {
    commands: Line,
    workers: Line,
    history: Line,
    by_user: Counts,
    by_command: Counts,
    waits: Counts,
    cancels: Counts,
    histories: Counts,
    columns: Columns,
    limits: Limits,
}

/// Work for which there is room.
pub(crate) struct Admitted<'f> {
    user: Arc<User>,
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
    command: line::Place,
    shares: (Counted, Option<Counted>),
}

/// The places of a job that may run.
pub(crate) struct Turn {
    _command: line::Turn,
    _shares: (Counted, Option<Counted>),
}

impl<'f> Admitted<'f> {
    /// Whose it is, the task, and what is to be held until it is answered.
    pub(crate) fn into_parts(self) -> (Arc<User>, Task<'f>, Option<Counted>) {
        (self.user, self.task, self.waits)
    }
}

impl Gate {
    pub(crate) fn new(limits: Limits) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            commands: Line::new(limits.commands_at_once, limits.commands_waiting),
            workers: Line::new(workers, limits.computations_waiting),
            history: Line::new(1, HISTORY_WAITING),
            by_user: Counts::default(),
            by_command: Counts::default(),
            waits: Counts::default(),
            cancels: Counts::default(),
            histories: Counts::default(),
            columns: Columns::default(),
            limits,
        }
    }

    /// Commands that run.
    pub(crate) fn running(&self) -> usize {
        self.commands.counts().0
    }

    /// Commands that wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.commands.counts().1
    }

    /// Computations that a worker does, or that wait for one.
    pub(crate) fn computing(&self) -> usize {
        let (working, waiting) = self.workers.counts();
        working.saturating_add(waiting)
    }

    /// Lets nothing more in: commands that come from now on, or wait for their turn, are answered `busy`. Computations that
    /// wait come to their turn.
    pub(crate) fn close(&self) {
        self.commands.close();
        self.workers.let_nobody_in();
        self.history.let_nobody_in();
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
        let command = self.commands.enter(&order.user).map_err(no_place)?;
        Ok(Place { command, shares: (of_user, of_command) })
    }

    /// A worker for one user's work, as soon as it is that user's turn.
    pub(crate) async fn worker(&self, user: &str) -> Result<line::Turn, Refusal> {
        let place = self.workers.enter(user).map_err(|why| match why {
            NoPlace::Closed => stopping(),
            NoPlace::Full => Refusal::busy("too many computations are waiting"),
        })?;
        place.turn().await.map_err(no_place)
    }

    /// The right to read the log, which one at a time has: it can be long. Nobody waits for it twice.
    pub(crate) async fn history(&self, user: &str) -> Result<line::Turn, Refusal> {
        let waits = self.histories.take(user, 1);
        let _waits = waits.ok_or_else(|| Refusal::busy("you read the history already"))?;
        self.history.enter(user).map_err(no_place)?.turn().await.map_err(no_place)
    }

    /// Room for this many bytes of one user's columns.
    pub(crate) fn room_for_columns(&self, user: &str, bytes: usize) -> Result<ColumnRoom, Refusal> {
        let kib = bytes.div_ceil(KIB);
        self.columns.take(user, kib).ok_or_else(|| Refusal::busy("too many columns are being computed"))
    }
}

impl Place {
    /// Waits for the turn of the job.
    pub(crate) async fn turn(self) -> Result<Turn, Refusal> {
        let command = self.command.turn().await.map_err(no_place)?;
        Ok(Turn { _command: command, _shares: self.shares })
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
        Work::Compute(_) if gate.workers.is_closed() => return Err(stopping()),
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
    Ok(Admitted { user, task, waits })
}

fn no_place(why: NoPlace) -> Refusal {
    match why {
        NoPlace::Closed => stopping(),
        NoPlace::Full => Refusal::busy("too much is running and waiting"),
    }
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
