//! Fourth stage: is there room now? Takes the permit before the work begins; the work owns it until it ends.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::authorise::{Authorised, Work};
use crate::config::Limits;
use crate::limits::COLUMN_BYTES_AT_ONCE;
use crate::log::Log;
use crate::refusal::Refusal;

const KIB: usize = 1024;

/// The room there is.
pub(crate) struct Gate {
    commands: Arc<Semaphore>,
    computations: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    column_kib: Arc<Semaphore>,
}

/// Work for which there is room.
pub(crate) struct Admitted<'f> {
    work: Work<'f>,
    permit: Option<OwnedSemaphorePermit>,
}

impl<'f> Admitted<'f> {
    pub(crate) fn into_parts(self) -> (Work<'f>, Option<OwnedSemaphorePermit>) {
        (self.work, self.permit)
    }
}

impl Gate {
    pub(crate) fn new(limits: Limits) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            commands: Arc::new(Semaphore::new(limits.commands_at_once)),
            computations: Arc::new(Semaphore::new(limits.computations_waiting)),
            workers: Arc::new(Semaphore::new(workers)),
            column_kib: Arc::new(Semaphore::new(COLUMN_BYTES_AT_ONCE / KIB)),
        }
    }

    /// Lets nothing more in: what comes from now on is answered `busy`.
    pub(crate) fn close(&self) {
        self.commands.close();
        self.computations.close();
    }

    /// A place in the queue for a worker, for a computation that turned out to be long.
    pub(crate) fn queue_computation(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        take(&self.computations, "too many computations are waiting")
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

/// Finds room for the work. A command takes its permit here; a computation takes none until it proves long.
pub(crate) fn admit<'f>(authorised: Authorised<'f>, gate: &Gate, log: &Log) -> Result<Admitted<'f>, Refusal> {
    if log.is_broken() {
        return Err(Refusal::internal("the log cannot be written"));
    }
    let work = authorised.into_work();
    let permit = match &work {
        Work::Os(_) => Some(take(&gate.commands, "too many commands are running")?),
        Work::Compute(_) | Work::Describe(_) if gate.computations.is_closed() => return Err(stopping()),
        Work::Compute(_) | Work::Describe(_) => None,
    };
    Ok(Admitted { work, permit })
}

fn take(semaphore: &Arc<Semaphore>, full: &'static str) -> Result<OwnedSemaphorePermit, Refusal> {
    Arc::clone(semaphore)
        .try_acquire_owned()
        .map_err(|_| if semaphore.is_closed() { stopping() } else { Refusal::busy(full) })
}

fn stopping() -> Refusal {
    Refusal::busy("the server is stopping")
}
