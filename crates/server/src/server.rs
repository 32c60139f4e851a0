//! The server's life: it opens its log and its socket, takes frames, sends what is recorded, and stops in order.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jail::{Launcher, LauncherError};
use tokio::sync::watch;
use tokio::time::Instant;
use transport::limits::REVOKED_LINGER;
use transport::{Access, FailedHandshake, Frame, ListenError, Listeners, Origin};

use crate::config::{Configuration, ConfigurationError, Limits};
use crate::jobs::{Bounds, ExecutedIds, restore_from};
use crate::limits::{
    LAST_CALL, LAUNCHER_INTERVAL, LOG_WATCH_INTERVAL, MEMORY_INTERVAL, QUIET_TIME, REVOCATION_INTERVAL,
};
use crate::log::{Log, LogAccess, OpenError, Rotation, Sealer, complain, job_records};
use crate::pipeline::pipeline;
use crate::policy::Policy;
use crate::record::{Recorded, record_end};
use crate::service::{Phase, Service};

/// What a server needs to start.
#[derive(Debug)]
pub struct Config {
    /// Where to listen, as ZeroMQ endpoints, and who may connect there.
    pub listeners: Vec<(String, Access)>,
    /// The log's file.
    pub log: PathBuf,
    /// Who may read it.
    pub log_access: LogAccess,
    /// What seals the log, if it is sealed.
    pub sealer: Option<Sealer>,
    /// What may run, and for whom.
    pub policy: Policy,
    /// The limits of this installation.
    pub limits: Limits,
}

/// A server that is ready to answer.
pub struct Server {
    listeners: Listeners,
    service: Rc<Service>,
}

/// The way to give a running server another policy. What runs keeps the permission that it started with; the next
/// message of every user is held against the new policy, on connections that are open already too.
pub struct Reloader(Rc<Service>);

impl Reloader {
    /// Has the launcher read the configuration again, and puts its policy in the place of the one before, as a whole, here and
    /// there. The server gets what the launcher has read, because it can open none of it.
    ///
    /// # Errors
    /// The launcher does not take it: the one before stays.
    pub async fn load(&self) -> Result<Configuration, ReloadError> {
        let document = self.0.launcher.reload().await?;
        let configuration = Configuration::of_document(&document)?;
        self.take(configuration.policy.clone());
        Ok(configuration)
    }

    fn take(&self, policy: Policy) {
        let (commands, users) = (policy.commands().len(), policy.users().len());
        self.0.replace_policy(policy);
        self.0.log.append(|line| {
            line.text("event", "policy_reloaded");
            line.number("commands", commands as u64);
            line.number("users", users as u64);
        });
        // A log that cannot be written has said so, and keeps the record until it can.
        let _ = self.0.log.commit();
    }

    /// Goes on in a new log where the old one was moved away.
    pub fn reopen_log(&self) {
        self.0.log.reopen();
        let _ = self.0.log.commit();
    }

    /// Notes that a policy was not taken, and why. The one before stays.
    pub fn refuse(&self, reason: &str) {
        self.0.log.append(|line| {
            line.text("event", "policy_refused");
            line.text("reason", reason);
        });
        let _ = self.0.log.commit();
    }
}

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The launcher has another one, or none.
    #[error(transparent)]
    Launcher(#[from] LauncherError),
    /// What it has read holds no longer.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The log is open and cannot be written.
    #[error("the log takes no record")]
    FirstRecord,
    /// The file of used ids.
    #[error("cannot use {0}")]
    Ids(String),
    /// The socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// What it was to give up.
    #[error("the server cannot confine itself: {0}")]
    Confine(io::Error),
}

/// Why a server stopped otherwise than in order.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket failed.
    #[error("the socket was closed")]
    Socket,
    /// The keeper died: this server could start no command any more, and one that is started anew can.
    #[error("the keeper of the launcher died, and only a server that is started anew has another")]
    Keeper,
    /// The last records could not be written.
    #[error("the last records could not be written to the log")]
    Log,
}

impl Server {
    /// Opens the log and the sockets. Runs inside a `tokio::task::LocalSet`.
    ///
    /// # Errors
    /// The log or a socket cannot be had.
    pub async fn bind(config: Config, launcher: Launcher) -> Result<Self, StartError> {
        Self::bind_and(config, launcher, || Ok(())).await
    }

    /// The same for a server that gives up, by `confine`, what it needs no more once it has its log and its sockets. It has
    /// one thread then.
    ///
    /// # Errors
    /// The log or a socket cannot be had, or it cannot be confined.
    pub async fn bind_and(
        config: Config,
        launcher: Launcher,
        confine: impl FnOnce() -> io::Result<()>,
    ) -> Result<Self, StartError> {
        let rotation = Rotation { bytes: config.limits.log_bytes, keep: config.limits.log_files };
        let (mut log, torn_bytes) = Log::open_for(&config.log, rotation, config.log_access)?;
        if let Some(sealer) = config.sealer {
            log = log.sealed_by(sealer)?;
        }
        let (executed, complaint) = ExecutedIds::open(&config.log, Bounds::default())
            .map_err(|error| StartError::Ids(error.to_string()))?;
        executed.log_ends_with(log.records());
        if let Some(complaint) = complaint {
            complain(&complaint);
        }
        let service = Rc::new(Service::new(config.policy, config.limits, log, executed, launcher));
        let listeners = Listeners::bind(config.listeners, service.admission()).await?;
        confine().map_err(StartError::Confine)?;
        service.log.append(|line| {
            line.text("event", "server_started");
            line.text("version", env!("CARGO_PKG_VERSION"));
            let endpoints: Vec<_> =
                listeners.endpoints().map(|(endpoint, access)| format!("{endpoint} {access}")).collect();
            line.texts("endpoints", &endpoints);
            let missing = service.launcher.machine().missing().map(|feature| feature.as_str().to_owned());
            line.texts("jail_lacks", &missing.collect::<Vec<_>>());
            if torn_bytes > 0 {
                line.number("torn_bytes_removed", torn_bytes);
            }
        });
        let path = service.log.path();
        restore_jobs(&service, &path)?;
        service.log.commit_durably().await.map_err(|_| StartError::FirstRecord)?;
        // At once: a log that has lost its end takes new records under numbers that were stored before.
        let stored = service.jobs.executed().store(service.log.records(), service.moment()).await;
        stored.map_err(|error| StartError::Ids(error.to_string()))?;
        // What an earlier server did not come to. Not before the files have been read, because some get other names by it.
        service.log.tidy(service.jobs.executed().stored_through());
        Ok(Self { listeners, service })
    }

    /// Where it listens, with the real ports, and who may connect there. Never empty.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, &Access)> {
        self.listeners.endpoints()
    }

    /// The way to give it another policy while it serves.
    pub fn reloader(&self) -> Reloader {
        Reloader(Rc::clone(&self.service))
    }

    /// Answers requests until `wanted` leaves [`Phase::Serve`], and then stops in order: no new work, everything that
    /// runs to its end or, after the grace that its limits give or at [`Phase::End`], ended; every request answered.
    ///
    /// # Errors
    /// The socket failed, the keeper died, or the log could not be written at the end.
    pub async fn serve(self, wanted: watch::Receiver<Phase>) -> Result<(), ServeError> {
        let Self { listeners, service } = self;
        let answered = tokio::select! {
            answered = answer_until_drained(&listeners, &service, wanted) => answered,
            never = return_free_memory() => never,
            never = watch_log(&service) => never,
            never = service.log.keep_sealed() => never,
            never = store_ids(&service) => never,
            never = dismiss_strangers(&listeners, &service) => never,
        };
        service.log.append(|line| line.text("event", "server_stopped"));
        let written = service.log.seal_everything().await.map_err(|_| ServeError::Log);
        listeners.close().await;
        answered.and(written)
    }
}

/// Takes from the log what earlier servers did, so that it is not done again, and records the end of what was under way
/// when one of them died.
fn restore_jobs(service: &Service, log: &Path) -> Result<(), OpenError> {
    let stored_through = service.jobs.executed().stored_through();
    restore_from(
        |take| job_records(log, stored_through, take),
        &service.jobs,
        service.moment(),
        |job, ended| record_end(&service.log, job, ended),
    )
    .map_err(|source| OpenError::Io { path: log.display().to_string(), source })
}

/// Writes the ids that were used, now and then. Does not end.
async fn store_ids<T>(service: &Service) -> T {
    let executed = service.jobs.executed();
    let mut told = false;
    loop {
        executed.wait_for_work().await;
        let stored = executed.store(service.log.records(), service.moment()).await;
        if let Err(error) = &stored
            && !told
        {
            complain(&format!("{error}; commands with an id are refused until it can be used again"));
        }
        told = stored.is_err();
        service.log.tidy(executed.stored_through());
    }
}

/// Says when the launcher dies and starts another. While there is none the server computes on, and answers commands with
/// what is wrong. Ends when there can be none any more.
async fn replace_dead_launchers(service: &Service) {
    loop {
        service.launcher.died().await;
        note_launcher(service, "launcher_died", None);
        complain("the launcher died, and the commands that ran with it; starting another");
        let mut told = false;
        loop {
            match service.launcher.restart().await {
                Ok(()) => break,
                Err(LauncherError::KeeperGone) => {
                    note_launcher(service, "keeper_died", None);
                    complain("the launcher's keeper died; stopping, because no command can be started");
                    return;
                }
                Err(error) if !told => {
                    told = true;
                    note_launcher(service, "launcher_missing", Some(&error.to_string()));
                    complain(&format!("no command can be started until this is mended: {error}"));
                }
                Err(_) => {}
            }
            tokio::time::sleep(LAUNCHER_INTERVAL).await;
        }
        note_launcher(service, "launcher_started", None);
    }
}

fn note_launcher(service: &Service, event: &str, reason: Option<&str>) {
    service.log.append(|line| {
        line.text("event", event);
        if let Some(reason) = reason {
            line.text("reason", reason);
        }
    });
    // A log that cannot be written has said so, and keeps the record until it can.
    let _ = service.log.commit();
}

/// The server's loop: frames in, recorded replies out, one write to the log between.
async fn answer_until_drained(
    listeners: &Listeners,
    service: &Rc<Service>,
    mut wanted: watch::Receiver<Phase>,
) -> Result<(), ServeError> {
    let mut running: FuturesUnordered<LocalBoxFuture<'_, Recorded>> = FuturesUnordered::new();
    let mut frames: Vec<Frame> = Vec::new();
    let mut recorded: Vec<Recorded> = Vec::new();
    let mut grace_ends = Instant::now();
    let mut last_call = None;
    let mut keeper_died = pin!(replace_dead_launchers(service).fuse());
    let mut ended = Ok(());
    loop {
        if frames.is_empty() {
            tokio::select! {
                received = listeners.receive(&mut frames) => received.map_err(|_| ServeError::Socket)?,
                Some(ended) = running.next() => recorded.push(ended),
                () = service.jobs.all_ended(), if service.phase() != Phase::Serve && service.jobs.live() > 0 => {}
                failure = listeners.failed_handshake() => note_failure(service, &failure),
                () = &mut keeper_died => {
                    ended = Err(ServeError::Keeper);
                    if service.phase() == Phase::Serve {
                        enter(service, Phase::Drain, &mut grace_ends);
                    }
                }
                phase = next_phase(&mut wanted, service.phase(), grace_ends) => {
                    enter(service, phase, &mut grace_ends);
                }
            }
        }
        while let Some(Some(ended)) = running.next().now_or_never() {
            recorded.push(ended);
        }
        let stopping = service.phase() != Phase::Serve;
        if service.log.is_broken() {
            // Perhaps there is room again; the attempt itself finds out.
            let _ = service.log.commit();
        }
        for frame in frames.drain(..) {
            let mut answering = pipeline(service, listeners, frame).boxed_local();
            match answering.as_mut().now_or_never() {
                Some(ended) => recorded.push(ended),
                None => running.push(answering),
            }
        }
        send(listeners, service, &mut recorded);
        if stopping && running.is_empty() && service.jobs.live() == 0 {
            // What has arrived by now is answered too, until nothing more comes for a moment.
            let until =
                *last_call.get_or_insert_with(|| Instant::now().checked_add(LAST_CALL).unwrap_or(grace_ends));
            let silent = tokio::time::timeout(QUIET_TIME, listeners.receive(&mut frames)).await.is_err();
            if silent || Instant::now() >= until {
                return ended;
            }
        }
    }
}

fn enter(service: &Service, phase: Phase, grace_ends: &mut Instant) {
    service.enter(phase);
    *grace_ends = Instant::now().checked_add(service.shutdown_grace).unwrap_or(*grace_ends);
}

/// What a crowd of connections or a long computation needed is not kept for ever.
async fn return_free_memory<T>() -> T {
    loop {
        tokio::time::sleep(MEMORY_INTERVAL).await;
        jail::return_free_memory();
    }
}

/// Notices what others do to the log also while nothing is written, and writes again what could not be written.
async fn watch_log<T>(service: &Service) -> T {
    loop {
        tokio::time::sleep(LOG_WATCH_INTERVAL).await;
        service.log.look_after_file();
        // A log that cannot be written has said so, and keeps its records until it can.
        let _ = service.commit();
    }
}

/// Closes the connections of users who were removed, or whose time is over.
async fn dismiss_strangers<T>(listeners: &Listeners, service: &Service) -> T {
    loop {
        let _ = tokio::time::timeout(REVOCATION_INTERVAL, service.policy_replaced()).await;
        tokio::time::sleep(REVOKED_LINGER).await;
        listeners.dismiss(service.admission().as_ref()).await;
    }
}

/// Writes the log once for all replies that wait, then lets them go.
fn send(listeners: &Listeners, service: &Service, recorded: &mut Vec<Recorded>) {
    let written = service.commit();
    for reply in recorded.drain(..) {
        let (return_path, body, attachment) = match &written {
            Ok(committed) => reply.into_reply(committed),
            Err(unwritable) => reply.into_unrecorded_reply(*unwritable),
        };
        listeners.reply(&return_path, body, attachment);
    }
}

/// What the log says of a handshake that failed; nothing while it cannot be written, so that its memory does not grow.
fn note_failure(service: &Service, failure: &FailedHandshake) {
    if service.log.is_broken() {
        return;
    }
    service.log.append(|line| {
        line.text("event", "handshake_failed");
        if let Some(key) = failure.key {
            line.word("key", &key);
        }
        match failure.origin {
            Origin::Address(address) => line.word("peer", &address),
            Origin::Account(uid) => line.number("uid", u64::from(uid)),
        }
        line.text("reason", &failure.reason);
        line.number("failures", failure.failures);
        if failure.unreported > 0 {
            line.number("unreported", failure.unreported);
        }
    });
}

/// Waits for the next phase: the one that is wanted, or the end when the grace for draining is over.
async fn next_phase(wanted: &mut watch::Receiver<Phase>, now: Phase, grace_ends: Instant) -> Phase {
    match now {
        // Whoever could have asked to stop is gone: that, too, is a reason to stop.
        Phase::Serve => {
            wanted.wait_for(|phase| *phase != Phase::Serve).await.map_or(Phase::Drain, |phase| *phase)
        }
        Phase::Drain => {
            let asked = wanted.wait_for(|phase| *phase == Phase::End);
            let _ = tokio::time::timeout_at(grace_ends, asked).await;
            Phase::End
        }
        Phase::End => std::future::pending().await,
    }
}
