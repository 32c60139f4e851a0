//! The keeper: the first process that the server starts, before it has any thread. It reads the policy, keeps it, and
//! forks a launcher whenever the server asks for one: at the start, when a launcher has died, and for a policy that was
//! read again. The server itself can start no program any more by then.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::book::{Book, raise_own_limit};
use crate::identity::renounce_at_exec;
use crate::launcher;
use crate::machine::{Feature, Machine};
use crate::message::{FromKeeper, ToKeeper};
use crate::namespaces::{empty_network, probe, take_privilege};
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

/// What the machine that this process runs on can do. Must be called before this process has a second thread; afterwards
/// it may be in a user namespace of its own.
pub fn examine() -> Machine {
    probe(take_privilege())
}

struct Keeper {
    server: OwnedFd,
    signals: OwnedFd,
    machine: Machine,
    empty_network: Option<File>,
    book: Option<Book>,
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
        let machine = examine();
        renounce_at_exec()?;
        // After the change of user namespace, which may take this away.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        let has_network = machine.has(Feature::NetworkNamespace);
        let empty_network = has_network.then(empty_network).transpose()?;
        Ok(Self { server, signals, machine, empty_network, book: None })
    }

    fn serve(&mut self, read: impl Fn() -> Result<Vec<Rule>, String>) -> io::Result<()> {
        loop {
            let mut polled =
                [PollFd::new(&self.server, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
            rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
            let [asked, ended] = polled.each_ref().map(|polled| !polled.revents().is_empty());
            if ended {
                clear_signals(&self.signals);
                while matches!(reap(), Reaped::One(_)) {}
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
        let book = Book::new(read()?, self.machine, self.empty_network.as_ref());
        self.book = Some(book.map_err(|error| format!("the launcher cannot take the policy: {error}"))?);
        Ok(())
    }

    fn start(&self) -> Result<(OwnedFd, OwnedFd), String> {
        let book = self.book.as_ref().ok_or("the launcher has no policy")?;
        let start = || {
            let (ours, theirs) = socket::pair()?;
            match fork()? {
                Side::Child => {
                    drop(ours);
                    close_copy(&self.server);
                    launcher::serve(&theirs, book)
                }
                Side::Parent(pid) => Ok((ours, watch(pid)?)),
            }
        };
        start().map_err(|error: io::Error| format!("no launcher can be started: {error}"))
    }
}

fn watch(pid: Pid) -> io::Result<OwnedFd> {
    Ok(pidfd_open(pid, PidfdFlags::NONBLOCK)?)
}
