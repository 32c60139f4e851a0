//! What every request finds: the policy, the room there is, the log, and the server's will to go on.

use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jail::Launcher;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use transport::{Admission, Sender};

use crate::admit::Gate;
use crate::config::Limits;
use crate::jobs::{Bounds, ExecutedIds, Jobs};
use crate::log::{Committed, Log, Unwritable};
use crate::moment::{DateClock, MemoryClock, Moment};
use crate::pace::{Paces, Refusals};
use crate::policy::Policy;
use crate::replies::Replies;

/// What a server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Taking requests.
    Serve,
    /// Taking no new work and letting what runs come to its end.
    Drain,
    /// Ending the commands that still run.
    End,
}

/// What every request finds.
pub(crate) struct Service {
    /// Shared with the thread that decides who may connect.
    policy: Arc<RwLock<Arc<Policy>>>,
    replaced: Notify,
    pub(crate) clock: DateClock,
    memory_clock: MemoryClock,
    pub(crate) shutdown_grace: Duration,
    pub(crate) paces: Paces,
    pub(crate) refusals: Refusals,
    pub(crate) gate: Gate,
    pub(crate) log: Log,
    pub(crate) launcher: Launcher,
    pub(crate) jobs: Jobs,
    pub(crate) replies: Replies,
    pub(crate) started: Instant,
    phase: watch::Sender<Phase>,
}

impl Service {
    pub(crate) fn new(
        policy: Policy,
        limits: Limits,
        log: Log,
        executed: ExecutedIds,
        launcher: Launcher,
    ) -> Self {
        Self {
            policy: Arc::new(RwLock::new(Arc::new(policy))),
            replaced: Notify::new(),
            clock: DateClock::new(),
            memory_clock: executed.clock(),
            shutdown_grace: limits.shutdown_grace,
            paces: Paces::new(limits),
            refusals: Refusals::default(),
            gate: Gate::new(limits),
            log,
            launcher,
            jobs: Jobs::new(Timestamp::now(), Bounds::default(), executed),
            replies: Replies::default(),
            started: Instant::now(),
            phase: watch::Sender::new(Phase::Serve),
        }
    }

    /// The policy of one request: it keeps the one that it began with, whatever is loaded meanwhile.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        current(&self.policy)
    }

    /// From the next request on.
    pub(crate) fn replace_policy(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
        self.replaced.notify_one();
    }

    /// Completes when another policy holds than when this was last asked.
    pub(crate) async fn policy_replaced(&self) {
        self.replaced.notified().await;
    }

    /// Who may connect: the users of the policy that holds at that moment.
    pub(crate) fn admission(&self) -> Admission {
        let (policy, clock) = (Arc::clone(&self.policy), self.clock);
        Arc::new(move |sender| {
            let policy = current(&policy);
            let user = match sender {
                Sender::Local => Some(policy.local()),
                Sender::Key(key) => policy.user_of_key(key),
                Sender::Account(account) => policy.user_of_account(account),
            };
            user.is_some_and(|user| !user.has_expired(clock.now()))
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The moment that what is remembered is counted from.
    pub(crate) fn moment(&self) -> Moment {
        self.memory_clock.now()
    }

    /// Writes every appended record and, where that begins a new file, what has to be known in it.
    pub(crate) fn commit(&self) -> Result<Committed, Unwritable> {
        let written = self.log.commit();
        self.log.carry_over(|log| {
            self.jobs.write_known(log);
            // The files before this one are needed until it is on the disk what they say of ids.
            self.jobs.executed().want_to_store();
        });
        written
    }

    pub(crate) fn enter(&self, phase: Phase) {
        if phase != Phase::Serve {
            self.gate.close();
        }
        self.phase.send_replace(phase);
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Completes when the work that is still under way has to end.
    pub(crate) fn end_of_work(&self) -> impl Future<Output = ()> + use<> {
        let mut phase = self.phase.subscribe();
        async move {
            // The sender lives as long as the service, and the service as long as any command.
            let _ = phase.wait_for(|phase| *phase == Phase::End).await;
        }
    }
}

/// A policy is replaced in one assignment, so that what a panic elsewhere leaves is whole.
fn current(policy: &RwLock<Arc<Policy>>) -> Arc<Policy> {
    Arc::clone(&policy.read().unwrap_or_else(PoisonError::into_inner))
}
