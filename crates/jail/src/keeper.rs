//! The keeper: the first process that the server starts, before it has any thread. It reads the policy, keeps it, and
//! forks a launcher whenever the server asks for one: at the start, when a launcher has died, and for a policy that was
//! read again. The server itself can start no program any more by then.
//!
//! It stays in the user namespace that it was started in, where ids say whom files belong to: at every reload it judges
//! programs by their owners. Only its launchers enter another.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::book::{Book, raise_own_limit};
use crate::groups::{Delegated, Groups};
use crate::launcher;
use crate::machine::{Feature, Machine};
use crate::message::{FromKeeper, ToKeeper};
use crate::namespaces::explore;
use crate::processes::{
    Reaped, Side, clear_signals, close_copy, forget_handlers, fork, leave, reap, take_signals,
};
use crate::rule::Rule;
use crate::server::forbid_core_dumps;
use crate::socket;

/// Serves the server at the other end of this process's standard input until it is gone, and does not come back. Must be
/// called before this process has a second thread. `read` reads the policy.
pub fn keep(read: impl Fn() -> Result<Vec<Rule>, String>) -> ! {
    let served = take_socket().and_then(Keeper::new).and_then(|mut keeper| keeper.serve(read));
    leave(i32::from(served.is_err()))
}

/// Takes the socket away from where a command's standard input will be.
fn take_socket() -> io::Result<OwnedFd> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(socket)
}

/// What the machine that this process runs on can do. Must be called before this process has a second thread.
///
/// # Errors
/// The machine has no descriptor or process left to try it with.
pub fn examine() -> io::Result<Machine> {
    let mut machine = explore(None)?;
    if Delegated::find().is_some() {
        machine.add(Feature::ControlGroups);
    }
    Ok(machine)
}

struct Keeper {
    server: OwnedFd,
    signals: OwnedFd,
    machine: Machine,
    groups: Option<Groups>,
    book: Option<Book>,
    launchers: BTreeSet<i32>,
}

impl Keeper {
    fn new(server: OwnedFd) -> io::Result<Self> {
        // A terminal's signals are for the server; so is a service manager's SIGTERM, which everyone gets.
        let signals = take_signals()?;
        forget_handlers();
        // The leader of a process group cannot, and need not: it is in nobody's terminal group then.
        let _ = rustix::process::setsid();
        raise_own_limit()?;
        forbid_core_dumps()?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        let groups = Delegated::find().and_then(|delegated| delegated.take().ok());
        let machine = explore(groups.as_ref())?;
        let groups = groups.filter(|_| machine.has(Feature::ControlGroups));
        Ok(Self { server, signals, machine, groups, book: None, launchers: BTreeSet::new() })
    }

    fn serve(&mut self, read: impl Fn() -> Result<Vec<Rule>, String>) -> io::Result<()> {
        loop {
            let mut polled =
                [PollFd::new(&self.server, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
            rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
            let [asked, ended] = polled.each_ref().map(|polled| !polled.revents().is_empty());
            if ended {
                clear_signals(&self.signals);
                while let Reaped::One(ended) = reap() {
                    self.launchers.remove(&ended.pid.as_raw_nonzero().get());
                }
                self.sweep();
            }
            if !asked {
                continue;
            }
            let message = socket::receive(&self.server)?.bytes;
            // Launchers end with the keeper.
            let Ok(order) = ToKeeper::decode(&message) else { return Ok(()) };
            let read_again = order == ToKeeper::Reload || self.book.is_none();
            let loaded = if read_again { self.load(&read) } else { Ok(()) };
            let started = loaded.and_then(|()| self.start());
            match started {
                Ok((launcher, pidfd)) => {
                    let message = FromKeeper::Started(self.machine).encode();
                    socket::send(&self.server, &message, &[launcher.as_fd(), pidfd.as_fd()])?;
                }
                Err(reason) => socket::send(&self.server, &FromKeeper::Failed(reason).encode(), &[])?,
            }
        }
    }

    fn load(&mut self, read: impl Fn() -> Result<Vec<Rule>, String>) -> Result<(), String> {
        let book = Book::new(read()?, self.machine);
        self.book = Some(book.map_err(|error| format!("the launcher cannot take the policy: {error}"))?);
        Ok(())
    }

    /// Jails of a launcher that died end soon after it, so what it left may still be there the first time.
    fn sweep(&self) {
        if let Some(groups) = &self.groups {
            groups.sweep(&self.launchers);
        }
    }

    fn start(&mut self) -> Result<(OwnedFd, OwnedFd), String> {
        self.sweep();
        let book = self.book.as_mut().ok_or("the launcher has no policy")?;
        let launchers = &mut self.launchers;
        let mut start = || {
            let (ours, theirs) = socket::pair()?;
            match fork()? {
                Side::Child => {
                    drop(ours);
                    close_copy(&self.server);
                    launcher::serve(&theirs, book, self.groups.as_ref())
                }
                Side::Parent(pid) => {
                    drop(theirs);
                    launchers.insert(pid.as_raw_nonzero().get());
                    let pidfd = watch(pid)?;
                    launcher::wait_until_ready(&ours)?;
                    Ok((ours, pidfd))
                }
            }
        };
        start().map_err(|error: io::Error| format!("no launcher can be started: {error}"))
    }
}

fn watch(pid: Pid) -> io::Result<OwnedFd> {
    Ok(pidfd_open(pid, PidfdFlags::NONBLOCK)?)
}
