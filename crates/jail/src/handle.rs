//! The server's side of the launcher: it starts the keeper, takes jails from the launcher, and gets a new launcher when
//! one dies. Without a launcher no command starts.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::limits::{
    JAILS_LEFT, JAILS_READY, KEEPER_END_CHECKS, KEEPER_END_PAUSE, MAX_DOCUMENT_BYTES, RESTART_TIME,
};
use crate::machine::Machine;
use crate::message::{FromKeeper, FromLauncher, ONE_MORE, ToKeeper};
use crate::run::RunError;
use crate::socket::{self, Received};

/// Why there is no launcher.
#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    /// The keeper, or the way to it, cannot be had.
    #[error("the launcher cannot be started: {0}")]
    System(#[from] io::Error),
    /// The keeper has ended, and a server that has begun to serve cannot start another.
    #[error("the launcher's keeper has ended; the server has to be started again")]
    KeeperGone,
    /// The policy as it is now cannot be taken.
    #[error("{0}")]
    Refused(String),
}

/// A keeper that was started, before the server has its event loop.
#[derive(Debug)]
pub struct StartedKeeper {
    child: Child,
    socket: OwnedFd,
}

impl StartedKeeper {
    /// Starts the program, which must call [`crate::keep`] with its standard input. It inherits no environment. Call this
    /// before the process has a second thread: the keeper ends with the thread that started it.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(mut command: Command) -> Result<Self, LauncherError> {
        let (ours, theirs) = socket::pair()?;
        let child = command.env_clear().stdin(Stdio::from(theirs)).stdout(Stdio::null()).spawn()?;
        Ok(Self { child, socket: ours })
    }
}

/// The way to the launcher.
pub struct Launcher {
    keeper: Option<Keeper>,
    /// One conversation with the keeper at a time.
    turn: Mutex<()>,
    current: watch::Sender<Option<Rc<Running>>>,
    machine: Machine,
}

/// The keeper's process. It is ended when this is dropped, and reaped if it ends soon.
struct Keeper {
    socket: AsyncFd<OwnedFd>,
    child: RefCell<Child>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // A server that has confined itself cannot signal it: it ends by the end of its socket, and with the server.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        let child = self.child.get_mut();
        let _ = child.kill();
        for _ in 0..KEEPER_END_CHECKS {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(KEEPER_END_PAUSE);
        }
    }
}

/// A launcher that runs, or did. With the last of these it ends, and its jails with it.
pub(crate) struct Running {
    socket: AsyncFd<OwnedFd>,
    pidfd: AsyncFd<OwnedFd>,
    /// Jails that are ready or being made, and not promised to anyone.
    coming: Cell<usize>,
}

impl Launcher {
    /// Has the keeper read its policy and start the first launcher.
    ///
    /// # Errors
    /// It does not, or says why it cannot.
    pub async fn connect(keeper: StartedKeeper) -> Result<Self, LauncherError> {
        let StartedKeeper { child, socket } = keeper;
        let keeper = Keeper { socket: watched(socket)?, child: RefCell::new(child) };
        let (machine, running, _) = keeper.ask(ToKeeper::Start).await?;
        let current = watch::Sender::new(Some(Rc::new(running)));
        Ok(Self { keeper: Some(keeper), turn: Mutex::new(()), current, machine })
    }

    /// No launcher, for a server that starts no commands.
    pub fn absent() -> Self {
        let current = watch::Sender::new(None);
        Self { keeper: None, turn: Mutex::new(()), current, machine: Machine::default() }
    }

    /// Whether there is a launcher now.
    pub fn is_there(&self) -> bool {
        self.current.borrow().is_some()
    }

    /// What the machine can do to confine a command.
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// Completes when the launcher has died. From then on there is none until [`Self::restart`].
    pub async fn died(&self) {
        let mut current = self.current.subscribe();
        loop {
            let running = current.borrow_and_update().clone();
            match running {
                None => std::future::pending().await,
                Some(running) => tokio::select! {
                    _ = running.pidfd.readable() => {
                        let is_current = |now: &Option<Rc<Running>>| now.as_ref().is_some_and(|now| Rc::ptr_eq(now, &running));
                        if self.current.send_if_modified(|now| is_current(now) && now.take().is_some()) {
                            return;
                        }
                    }
                    changed = current.changed() => if changed.is_err() { std::future::pending().await },
                },
            }
        }
    }

    /// Starts a launcher in the place of one that died, with the policy that it had.
    ///
    /// # Errors
    /// There is none from now on.
    pub async fn restart(&self) -> Result<(), LauncherError> {
        self.replace(ToKeeper::Start).await.map(drop)
    }

    /// Has the policy read again, and a launcher with it take the place of the one before, whose commands run on. Returns the
    /// document that the keeper has made of it.
    ///
    /// # Errors
    /// The launcher does not take the policy as it is now; the one before stays.
    pub async fn reload(&self) -> Result<Vec<u8>, LauncherError> {
        let document = self.replace(ToKeeper::Reload).await?;
        Ok(read_whole(&document)?)
    }

    async fn replace(&self, order: ToKeeper) -> Result<File, LauncherError> {
        let _turn = self.turn.lock().await;
        let keeper = self.keeper.as_ref().ok_or(LauncherError::KeeperGone)?;
        let (_, running, document) = keeper.ask(order).await?;
        self.current.send_replace(Some(Rc::new(running)));
        Ok(document)
    }

    /// Makes good for the jails that were taken.
    pub(crate) fn refill(&self) {
        if let Some(running) = &*self.current.borrow() {
            running.refill(JAILS_READY);
        }
    }

    /// A jail that waits for its order.
    pub(crate) async fn jail(&self) -> Result<(OwnedFd, Rc<Running>), RunError> {
        if self.keeper.is_none() {
            return Err(RunError::NoLauncher);
        }
        let mut current = self.current.subscribe();
        let there = timeout(RESTART_TIME, current.wait_for(Option::is_some)).await;
        let running = match there {
            Ok(Ok(running)) => running.clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        let running = running.ok_or(RunError::NoLauncher)?;
        Ok((running.jail().await?, running))
    }
}

impl Keeper {
    async fn ask(&self, order: ToKeeper) -> Result<(Machine, Running, File), LauncherError> {
        socket::send(&self.socket, order.encode(), &[]).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => LauncherError::KeeperGone,
            _ => LauncherError::System(error),
        })?;
        let Received { bytes, descriptors } = receive(&self.socket).await?;
        if bytes.is_empty() {
            return Err(LauncherError::KeeperGone);
        }
        match FromKeeper::decode(&bytes).map_err(io::Error::other)? {
            FromKeeper::Failed(reason) => Err(LauncherError::Refused(reason)),
            FromKeeper::Started(machine) => {
                let [socket, pidfd, document]: [OwnedFd; 3] =
                    descriptors.try_into().map_err(|_| io::Error::other("the keeper sent no launcher"))?;
                let running =
                    Running { socket: watched(socket)?, pidfd: watched(pidfd)?, coming: Cell::new(0) };
                running.refill(JAILS_READY);
                Ok((machine, running, document.into()))
            }
        }
    }
}

impl Running {
    /// Has jails made until so many are there or coming.
    fn refill(&self, wanted: usize) {
        while self.coming.get() < wanted && socket::send(&self.socket, ONE_MORE, &[]).is_ok() {
            self.coming.set(self.coming.get().saturating_add(1));
        }
    }

    /// One of those that are ready. While there are some left the next is not made at once: that would take the
    /// processor from the command which is about to start.
    async fn jail(&self) -> Result<OwnedFd, RunError> {
        self.refill(JAILS_LEFT);
        self.coming.set(self.coming.get().checked_sub(1).ok_or(RunError::NoLauncher)?);
        let Received { bytes, descriptors } =
            receive(&self.socket).await.map_err(|_| RunError::NoLauncher)?;
        if bytes.is_empty() {
            return Err(RunError::NoLauncher);
        }
        match FromLauncher::decode(&bytes) {
            Ok(FromLauncher::Jail) => descriptors.into_iter().next().ok_or(RunError::NoLauncher),
            Ok(FromLauncher::Failed(reason)) => Err(RunError::System(reason)),
            Err(_) => Err(RunError::NoLauncher),
        }
    }
}

/// What a file holds, from its beginning.
fn read_whole(file: &File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    if length > MAX_DOCUMENT_BYTES {
        return Err(io::Error::other("the policy is longer than any may be"));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Receives the next message.
pub(crate) async fn receive(socket: &AsyncFd<OwnedFd>) -> io::Result<Received> {
    socket.async_io(Interest::READABLE, |socket| socket::receive(socket)).await
}

/// A descriptor that the event loop watches.
pub(crate) fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(unsafe_code, reason = "registering a descriptor asks for a promise about it")]
    // SAFETY: an `OwnedFd` is a valid, open descriptor, always the same one, and it is moved into the `AsyncFd`, which is
    // the only one to close it.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    watched.map_err(|error| io::Error::other(error.to_string()))
}
