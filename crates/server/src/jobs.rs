//! The jobs: each is one execution of a command, from its admission on. They are found by their name and by the id of
//! their request, they are kept for a while after their end, and there are never two for one id.

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

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use wire::RequestId;

pub(crate) use ids::Digest;
pub(crate) use job::{Ended, Job, Order, Piece, State, View};
pub(crate) use restore::restore_from;

use crate::limits::{ID_MEMORY, IDS_REMEMBERED, KEPT_JOBS, KEPT_OUTPUT_BYTES};
use crate::log::Log;
use crate::refusal::Refusal;
use ids::Ids;
use kept::Kept;
use restore::Restored;

/// All jobs of a server. Lives on one thread.
pub(crate) struct Jobs {
    /// What the names of this server's jobs begin with, and no other's.
    first_name: String,
    number: Cell<u64>,
    table: RefCell<Table>,
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
    /// Ids of requests.
    pub(crate) ids: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { kept_jobs: KEPT_JOBS, kept_output_bytes: KEPT_OUTPUT_BYTES, ids: IDS_REMEMBERED }
    }
}

impl Jobs {
    pub(crate) fn new(started: Timestamp, bounds: Bounds) -> Self {
        let table = Table { by_name: BTreeMap::new(), ids: Ids::new(bounds), kept: Kept::new(bounds) };
        Self {
            first_name: format!("{:x}", started.as_millisecond()),
            number: Cell::new(0),
            table: RefCell::new(table),
            live: Cell::new(0),
            ended: Notify::new(),
        }
    }

    /// The job that an order with this id came to before, if it had one. Asked before there is room for a new one.
    ///
    /// # Errors
    /// The id was used for another order, or what it came to is no longer kept.
    pub(crate) fn known(&self, order: &Order, now: Timestamp) -> Result<Option<Rc<Job>>, Refusal> {
        let Some(id) = &order.id else { return Ok(None) };
        let mut table = self.table.borrow_mut();
        table.ids.forget(earlier(now));
        let Some(name) = table.ids.find(&order.user, id, &order.digest)? else { return Ok(None) };
        match table.by_name.get(&name) {
            Some(job) => Ok(Some(Rc::clone(job))),
            None => Err(Refusal::gone()),
        }
    }

    /// Takes an order that is not known, and for which there is room.
    ///
    /// # Errors
    /// More ids would have to be remembered than a server can.
    pub(crate) fn submit(&self, order: Order, now: Timestamp) -> Result<Rc<Job>, Refusal> {
        let mut table = self.table.borrow_mut();
        let number = self.number.get().saturating_add(1);
        let name: Rc<str> = format!("{}-{number}", self.first_name).into();
        if let Some(id) = &order.id {
            table.ids.remember(&order.user, id, order.digest, &name)?;
        }
        self.number.set(number);
        let job = Rc::new(Job::new(Rc::clone(&name), order, now));
        table.by_name.insert(name, Rc::clone(&job));
        self.live.set(self.live.get().saturating_add(1));
        Ok(job)
    }

    /// Ends a job that has not ended: `record` records its end, and then it is known. From now on it is kept for a while,
    /// and its id too.
    pub(crate) fn end(&self, job: &Rc<Job>, ended: Ended, now: Timestamp, record: impl FnOnce(&Job, &Ended)) {
        if job.has_ended() {
            return;
        }
        record(job, &ended);
        job.end(ended);
        self.live.set(self.live.get().saturating_sub(1));
        self.keep(job, now);
        self.ended.notify_waiters();
    }

    fn keep(&self, job: &Rc<Job>, now: Timestamp) {
        let mut table = self.table.borrow_mut();
        if let Some(id) = &job.order.id {
            table.ids.note_end(&job.order.user, id, now);
        }
        let Table { by_name, kept, .. } = &mut *table;
        kept.add(job, now);
        kept.make_room(now, |name| by_name.remove(name));
    }

    /// The job of this name, if there is one that may be seen.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn find(&self, name: &str, view: &View, now: Timestamp) -> Result<Rc<Job>, Refusal> {
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
        now: Timestamp,
    ) -> Result<Rc<Job>, Refusal> {
        let name = self.table.borrow().ids.job(user, id).ok_or_else(Refusal::not_found)?;
        self.find(&name, &View::Own(Rc::clone(user)), now)
    }

    /// All jobs that may be seen, in the order of their names.
    pub(crate) fn list(&self, view: &View, now: Timestamp) -> Vec<Rc<Job>> {
        self.drop_old(now);
        let table = self.table.borrow();
        table.by_name.values().filter(|job| view.shows(&job.order.user)).cloned().collect()
    }

    fn drop_old(&self, now: Timestamp) {
        let Table { by_name, kept, .. } = &mut *self.table.borrow_mut();
        kept.make_room(now, |name| by_name.remove(name));
    }

    /// How many are known, those that have ended too.
    pub(crate) fn count(&self) -> usize {
        self.table.borrow().by_name.len()
    }

    /// How many ids are remembered.
    pub(crate) fn ids_remembered(&self) -> usize {
        self.table.borrow().ids.count()
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
    pub(crate) fn restore(&self, restored: Vec<Restored>, now: Timestamp) -> Vec<Rc<Job>> {
        let mut lost = Vec::new();
        for restored in restored {
            let Restored { name, order, asked, ended } = restored;
            let (was_lost, at) = (ended.is_none(), ended.as_ref().map_or(now, |(at, _)| *at));
            let mut table = self.table.borrow_mut();
            if let Some(id) = &order.id {
                // What the server before had forgotten by then takes no room from what it remembered, so this fits.
                table.ids.forget(earlier(at));
                let _ = table.ids.remember(&order.user, id, order.digest, &name);
                table.ids.note_end(&order.user, id, at);
            }
            let Some(reply) = ended.map_or_else(|| Some(Ended::unknown()), |(_, reply)| reply) else {
                continue;
            };
            let job = Rc::new(Job::new(Rc::clone(&name), order, asked));
            table.by_name.insert(name, Rc::clone(&job));
            drop(table);
            job.end(reply);
            self.keep(&job, at);
            if was_lost {
                lost.push(job);
            }
        }
        lost
    }

    /// Writes what has to be known of jobs where a file of the log is read without those before it: those under way, and
    /// the ids that are remembered.
    pub(crate) fn write_known(&self, log: &Log, now: Timestamp) {
        let mut table = self.table.borrow_mut();
        table.ids.forget(earlier(now));
        restore::write(log, table.by_name.values(), &table.ids);
    }
}

/// What ended before this moment has no id any more.
fn earlier(now: Timestamp) -> Timestamp {
    let memory = SignedDuration::try_from(ID_MEMORY).unwrap_or(SignedDuration::ZERO);
    now.saturating_sub(memory).unwrap_or(Timestamp::MIN)
}
