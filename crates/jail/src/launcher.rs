//! A launcher: one policy, and jails made ready for the commands to come. It enters the user namespace of its jails, where it
//! needs one, and reads no policy there. It has one thread, hears one word from the server, and ends with it.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal};

use crate::book::Book;
use crate::groups::{Group, Groups};
use crate::identity::renounce_at_exec;
use crate::init;
use crate::machine::{Feature, Privilege};
use crate::message::{FromLauncher, ONE_MORE, READY};
use crate::namespaces::{self, empty_network, take_privilege};
use crate::processes::{
    Namespace, Reaped, Side, clear_signals, close_copy, fork, fork_init, fork_into, leave, reap, take_signals,
};
use crate::socket;
use crate::users::TakenUser;

/// Makes jails as long as the server wants them, once it has told the keeper that it can.
pub(crate) fn serve(server: &OwnedFd, book: &mut Book, groups: Option<&Groups>) -> ! {
    let told = match prepare(book) {
        Ok(()) => socket::send(server, READY, &[]),
        Err(error) => socket::send(server, &FromLauncher::Failed(error.to_string()).encode(), &[])
            .and(Err(io::ErrorKind::Other.into())),
    };
    if told.is_err() {
        leave(1);
    }
    // Those of another launcher of this machine shall seldom be the same.
    let number = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs().wrapping_mul(997);
    let mut launcher =
        Launcher { server, book, groups, number, running: vec![], free: vec![], users: vec![] };
    // Only a machine without descriptors or memory brings this to its end; then the server is told by its silence.
    let _ = launcher.make_jails();
    leave(0)
}

/// Takes the rights that the machine was found to give, and gives up what no command may have.
fn prepare(book: &mut Book) -> io::Result<()> {
    if take_privilege() != book.machine.privilege {
        return Err(io::Error::other("a user namespace cannot be made any more"));
    }
    if book.machine.privilege == Privilege::UserNamespace {
        namespaces::limit_notifiers();
    }
    renounce_at_exec()?;
    // With the keeper the launcher ends. After the change of user namespace, which may take this away.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if book.machine.has(Feature::NetworkNamespace) {
        book.empty_network = Some(empty_network()?);
    }
    Ok(())
}

/// Waits until a launcher that was just forked can make jails.
pub(crate) fn wait_until_ready(launcher: &OwnedFd) -> io::Result<()> {
    let answer = socket::wait_and_receive(launcher)?.bytes;
    if answer == READY {
        return Ok(());
    }
    Err(io::Error::other(match FromLauncher::decode(&answer) {
        Ok(FromLauncher::Failed(reason)) => reason,
        Ok(FromLauncher::Jail) | Err(_) => "it ended at once".to_owned(),
    }))
}

struct Launcher<'a> {
    server: &'a OwnedFd,
    book: &'a Book,
    groups: Option<&'a Groups>,
    /// Of the jail that was made last.
    number: u32,
    /// The control groups of jails, by their inits.
    running: Vec<(Pid, Group)>,
    /// Those of jails that have ended, for others.
    free: Vec<Group>,
    /// The users of jails, by their inits.
    users: Vec<(Pid, TakenUser)>,
}

impl Launcher<'_> {
    fn make_jails(&mut self) -> io::Result<()> {
        let signals = take_signals()?;
        loop {
            let mut polled = [PollFd::new(self.server, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
            rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
            let [asked, ended] = polled.each_ref().map(|polled| !polled.revents().is_empty());
            if ended {
                clear_signals(&signals);
                while let Reaped::One(ended) = reap() {
                    self.clear(ended.pid);
                }
            }
            if asked {
                self.number = self.number.wrapping_add(1);
                if !self.answer()? {
                    return Ok(());
                }
            }
        }
    }

    /// Nothing is left in a jail that has ended, even where its init was ended itself.
    fn clear(&mut self, init: Pid) {
        self.users.retain(|(pid, _)| *pid != init);
        if let Some(place) = self.running.iter().position(|(pid, _)| *pid == init) {
            let (_, group) = self.running.swap_remove(place);
            // One that does not get empty at once is left to the keeper.
            if group.clear() {
                self.free.push(group);
            }
        }
    }

    /// Makes a jail if the server wants one; false when the server is gone.
    fn answer(&mut self) -> io::Result<bool> {
        let message = match socket::receive(self.server) {
            Ok(message) => message.bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        if message != ONE_MORE {
            return Ok(false);
        }
        match self.make() {
            Ok(jail) => socket::send(self.server, &FromLauncher::Jail.encode(), &[jail.as_fd()])?,
            Err(error) => {
                let reason = format!("no jail can be made: {error}");
                socket::send(self.server, &FromLauncher::Failed(reason).encode(), &[])?;
            }
        }
        Ok(true)
    }

    fn make(&mut self) -> io::Result<OwnedFd> {
        let (ours, theirs) = socket::pair()?;
        let group = match (self.free.pop(), self.groups) {
            (Some(group), _) => Some(group),
            (None, groups) => groups.map(|groups| groups.make(self.number)).transpose()?,
        };
        let user = self.book.users.as_ref().map(|users| users.take(self.number));
        let namespace = Namespace::of_jails(self.book.machine);
        let forked = match (&group, namespace) {
            (Some(group), namespace) => fork_into(group.as_fd(), namespace),
            (None, Namespace::New) => fork_init(),
            (None, Namespace::Same) => fork(),
        };
        match forked? {
            Side::Parent(pid) => {
                self.running.extend(group.map(|group| (pid, group)));
                self.users.extend(user.and_then(Result::ok).map(|user| (pid, user)));
                Ok(theirs)
            }
            Side::Child => {
                drop(theirs);
                // So that the server learns of the launcher's end while its jails still run.
                close_copy(self.server);
                // Only a jail's own processes and the launcher keep its user.
                for (_, other) in &self.users {
                    close_copy(&other.lock);
                }
                init::live(&ours, self.book, self.number, group.as_ref(), user.as_ref())
            }
        }
    }
}
