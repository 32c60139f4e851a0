//! The jobs: each is one execution of a command, from its admission on. They are found by their name and by the id of
//! their request, they are kept for a while after their end, and there are never two for one id.

mod executed;
#[cfg(feature = "bench")]
mod hour;
mod ids;
mod job;
mod kept;
mod restore;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the model counts milliseconds and jobs, few of both")]
mod model;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use jiff::Timestamp;
use tokio::sync::Notify;
use wire::RequestId;

pub(crate) use executed::ExecutedIds;
#[cfg(feature = "bench")]
pub use hour::{UsedIds, use_ids};
pub(crate) use ids::Digest;
pub(crate) use job::{Ended, Job, Order, Piece, State, View};
pub(crate) use restore::restore_from;

use crate::limits::{IDS_BY_USER, IDS_UNSTORED, KEPT_JOBS, KEPT_OUTPUT_BYTES};
use crate::log::Log;
use crate::moment::Moment;
use crate::refusal::Refusal;
use executed::first_half;
use ids::{Ids, Key};
use kept::Kept;
use restore::Restored;

/// All jobs of a server. Lives on one thread.
pub(crate) struct Jobs {
    /// What the names of this server's jobs begin with, and no other's.
    first_name: String,
    number: Cell<u64>,
    table: RefCell<Table>,
    executed: ExecutedIds,
    live: Cell<usize>,
    ended: Notify,
}

struct Table {
    by_name: BTreeMap<Rc<str>, Rc<Job>>,
    ids: Ids,
    kept: Kept,
}

/// How much is remembered at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Jobs that have ended.
    pub(crate) kept_jobs: usize,
    /// What these have printed, in bytes.
    pub(crate) kept_output_bytes: usize,
    /// Ids that one user has used, within the time for which an id is remembered.
    pub(crate) ids_by_user: u64,
    /// Ids that were used and are not on the disk yet.
    pub(crate) ids_unstored: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            kept_jobs: KEPT_JOBS,
            kept_output_bytes: KEPT_OUTPUT_BYTES,
            ids_by_user: IDS_BY_USER,
            ids_unstored: IDS_UNSTORED,
        }
    }
}

impl Jobs {
    pub(crate) fn new(started: Timestamp, bounds: Bounds, executed: ExecutedIds) -> Self {
        let table = Table { by_name: BTreeMap::new(), ids: Ids::default(), kept: Kept::new(bounds) };
        Self {
            first_name: format!("{:x}", started.as_millisecond()),
            number: Cell::new(0),
            table: RefCell::new(table),
            executed,
            live: Cell::new(0),
            ended: Notify::new(),
        }
    }

    /// The job that an order with this id came to before, if it had one. Asked before there is room for a new one.
    ///
    /// # Errors
    /// The id was used for another order, or what it came to is no longer kept, or nobody can know.
    pub(crate) fn known(&self, order: &Order, now: Moment) -> Result<Option<Rc<Job>>, Refusal> {
        let Some(key) = Key::of(order) else { return Ok(None) };
        self.drop_old(now);
        if let Some(job) = self.table.borrow().ids.get(&key) {
            let is_same = job.order.digest.is_same(&order.digest);
            return if is_same { Ok(Some(Rc::clone(job))) } else { Err(Refusal::id_conflict()) };
        }
        match self.executed.find(&key, now) {
            Ok(None) => Ok(None),
            Ok(Some(digest)) if digest == first_half(&order.digest) => Err(Refusal::gone()),
            Ok(Some(_)) => Err(Refusal::id_conflict()),
            Err(error) => Err(Refusal::internal(error.to_string())),
        }
    }

    /// Takes an order that is not known, and for which there is room.
    ///
    /// # Errors
    /// Its user has used as many ids as are remembered of one.
    pub(crate) fn submit(&self, order: Order, asked: Timestamp, now: Moment) -> Result<Rc<Job>, Refusal> {
        if order.id.is_some() {
            let wait = self.executed.room_for(&order.user, now);
            wait.map_err(|wait| Refusal::busy_for("you have used too many ids in the last hour", wait))?;
        }
        let mut table = self.table.borrow_mut();
        let number = self.number.get().saturating_add(1);
        let name: Rc<str> = format!("{}-{number}", self.first_name).into();
        self.number.set(number);
        let job = Rc::new(Job::new(Rc::clone(&name), order, asked));
        table.ids.add(&job);
        table.by_name.insert(name, Rc::clone(&job));
        self.live.set(self.live.get().saturating_add(1));
        Ok(job)
    }

    /// Ends a job that has not ended: `record` records its end, and then it is known. From now on it is kept for a while,
    /// and its id, where it was started, is used up.
    pub(crate) fn end(&self, job: &Rc<Job>, ended: Ended, now: Moment, record: impl FnOnce(&Job, &Ended)) {
        if job.has_ended() {
            return;
        }
        record(job, &ended);
        if let (State::Starting | State::Running, Some(key)) = (job.state(), Key::of(&job.order)) {
            self.executed.note(&key, &job.order.digest, now);
        }
        job.end(ended);
        self.live.set(self.live.get().saturating_sub(1));
        let table = &mut *self.table.borrow_mut();
        table.kept.add(job, now);
        table.make_room(now);
        self.ended.notify_waiters();
    }

    /// The job of this name, if there is one that may be seen.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn find(&self, name: &str, view: &View, now: Moment) -> Result<Rc<Job>, Refusal> {
        self.drop_old(now);
        let table = self.table.borrow();
        let job = table.by_name.get(name).filter(|job| view.shows(&job.order.user));
        job.cloned().ok_or_else(Refusal::not_found)
    }

    /// The job that this user's request with this id came to.
    ///
    /// # Errors
    /// There is none, or it is no longer kept.
    pub(crate) fn find_request(
        &self,
        user: &Rc<str>,
        id: &RequestId,
        now: Moment,
    ) -> Result<Rc<Job>, Refusal> {
        self.drop_old(now);
        let key = Key { user: Rc::clone(user), id: id.clone() };
        self.table.borrow().ids.get(&key).cloned().ok_or_else(Refusal::not_found)
    }

    /// All jobs that may be seen, in the order of their names.
    pub(crate) fn list(&self, view: &View, now: Moment) -> Vec<Rc<Job>> {
        self.drop_old(now);
        let table = self.table.borrow();
        table.by_name.values().filter(|job| view.shows(&job.order.user)).cloned().collect()
    }

    fn drop_old(&self, now: Moment) {
        self.table.borrow_mut().make_room(now);
    }

    /// How many are known, those that have ended too.
    pub(crate) fn count(&self) -> usize {
        self.table.borrow().by_name.len()
    }

    /// The ids that were used.
    pub(crate) fn executed(&self) -> &ExecutedIds {
        &self.executed
    }

    /// How many have not ended.
    pub(crate) fn live(&self) -> usize {
        self.live.get()
    }

    /// Completes when no job is left that has not ended.
    pub(crate) async fn all_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.live.get() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Takes what the log says of the jobs of earlier servers. Those that were under way when the server died come to an
    /// end that says so, which the caller has to record.
    pub(crate) fn restore(&self, restored: Vec<Restored>, now: Moment) -> Vec<Rc<Job>> {
        let stored_through = self.executed.stored_through();
        let mut lost = Vec::new();
        for Restored { name, order, asked, started, end } in restored {
            // When it ended is only known by the wall clock. So the time for which it is remembered begins anew.
            if let (true, Some(key)) = (started, Key::of(&order))
                && end.as_ref().is_none_or(|end| end.record > stored_through)
            {
                self.executed.note(&key, &order.digest, now);
            }
            let was_lost = end.is_none();
            let Some(ended) = end.map_or_else(|| Some(Ended::unknown()), |end| end.ended) else { continue };
            let job = Rc::new(Job::new(Rc::clone(&name), order, asked));
            job.end(ended);
            let table = &mut *self.table.borrow_mut();
            table.ids.add(&job);
            table.by_name.insert(name, Rc::clone(&job));
            table.kept.add(&job, now);
            table.make_room(now);
            if was_lost {
                lost.push(job);
            }
        }
        lost
    }

    /// Writes what has to be known of jobs where a file of the log is read without those before it: those under way.
    pub(crate) fn write_known(&self, log: &Log) {
        restore::write(log, self.table.borrow().by_name.values());
    }
}

impl Table {
    /// Lets go of jobs that are too old or too many, and of their ids, which are on the disk.
    fn make_room(&mut self, now: Moment) {
        let Self { by_name, ids, kept } = self;
        kept.make_room(now, |job| {
            ids.remove(job);
            by_name.remove(&job.name)
        });
    }
}
