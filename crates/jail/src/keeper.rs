//! The keeper: the first process that the server starts, before it has any thread. It reads the policy, keeps it, and
//! forks a launcher whenever the server asks for one: at the start, when a launcher has died, and for a policy that was
//! read again. The server itself can start no program any more by then.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::book::{Book, raise_own_limit};
use crate::groups::{Delegated, Groups};
use crate::identity::renounce_at_exec;
use crate::launcher;
use crate::machine::{Feature, Machine};
use crate::message::{FromKeeper, ToKeeper};
use crate::namespaces::{empty_network, probe, succeeds_in, take_privilege};
use crate::processes::{
    Namespace, Reaped, Side, clear_signals, close_copy, forget_handlers, fork, fork_into, leave, reap,
    take_signals,
};
use crate::rule::Rule;
use crate::server::forbid_core_dumps;
use crate::socket;

/// Serves the server at the other end of this process's standard input until it is gone, and does not come back. Must be
/// called before this process has a second thread. `read` reads the policy: its rules, and the document that the server
/// gets, which can open none of the policy's files.
pub fn keep(read: impl Fn() -> Result<(Vec<Rule>, Vec<u8>), String>) -> ! {
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
    let mut machine = probe(take_privilege());
    if Delegated::find().is_some() {
        machine.add(Feature::ControlGroups);
    }
    machine
}

struct Keeper {
    server: OwnedFd,
    signals: OwnedFd,
    machine: Machine,
    empty_network: Option<File>,
    groups: Option<Groups>,
    book: Option<Book>,
    /// What the server gets of the policy, in memory that nobody can change.
    document: Option<File>,
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
        let mut machine = probe(take_privilege());
        let groups = Delegated::find().and_then(|delegated| usable(delegated, machine));
        if groups.is_some() {
            machine.add(Feature::ControlGroups);
        }
        renounce_at_exec()?;
        // After the change of user namespace, which may take this away.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        let has_network = machine.has(Feature::NetworkNamespace);
        let empty_network = has_network.then(empty_network).transpose()?;
        Ok(Self {
            server,
            signals,
            machine,
            empty_network,
            groups,
            book: None,
            document: None,
            launchers: BTreeSet::new(),
        })
    }

    fn serve(&mut self, read: impl Fn() -> Result<(Vec<Rule>, Vec<u8>), String>) -> io::Result<()> {
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
                    let document = self.document.iter().map(AsFd::as_fd);
                    let descriptors: Vec<_> =
                        [launcher.as_fd(), pidfd.as_fd()].into_iter().chain(document).collect();
                    socket::send(&self.server, &message, &descriptors)?;
                }
                Err(reason) => socket::send(&self.server, &FromKeeper::Failed(reason).encode(), &[])?,
            }
        }
    }

    fn load(&mut self, read: impl Fn() -> Result<(Vec<Rule>, Vec<u8>), String>) -> Result<(), String> {
        let failed = |error: io::Error| format!("the launcher cannot take the policy: {error}");
        let (rules, document) = read()?;
        let document = in_memory(&document).map_err(failed)?;
        let book = Book::new(rules, self.machine, self.empty_network.as_ref()).map_err(failed)?;
        (self.book, self.document) = (Some(book), Some(document));
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
        let book = self.book.as_ref().ok_or("the launcher has no policy")?;
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
                    launchers.insert(pid.as_raw_nonzero().get());
                    Ok((ours, watch(pid)?))
                }
            }
        };
        start().map_err(|error: io::Error| format!("no launcher can be started: {error}"))
    }
}

/// A file of these bytes that has no name.
fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("policy", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(bytes)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file)
}

/// Takes a delegated group, if a process can be started in a group of it.
fn usable(delegated: Delegated, machine: Machine) -> Option<Groups> {
    let groups = delegated.take().ok()?;
    let group = groups.make(0).ok()?;
    let namespace = Namespace::of_jails(machine);
    let started = succeeds_in(|| fork_into(group.as_fd(), namespace), || Ok(()));
    groups.sweep(&BTreeSet::new());
    started.then_some(groups)
}

fn watch(pid: Pid) -> io::Result<OwnedFd> {
    Ok(pidfd_open(pid, PidfdFlags::NONBLOCK)?)
}
