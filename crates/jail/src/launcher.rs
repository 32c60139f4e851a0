//! A launcher: one policy, and jails made ready for the commands to come. It has one thread, hears one word from the
//! server, and ends with it.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;

use crate::book::Book;
use crate::init;
use crate::machine::Feature;
use crate::message::{FromLauncher, ONE_MORE};
use crate::processes::{Reaped, Side, clear_signals, close_copy, fork, fork_init, leave, reap, take_signals};
use crate::socket;

/// Makes jails as long as the server wants them.
pub(crate) fn serve(server: &OwnedFd, book: &Book) -> ! {
    // Only a machine without descriptors or memory brings this to its end; then the server is told by its silence.
    let _ = make_jails(server, book);
    leave(0)
}

fn make_jails(server: &OwnedFd, book: &Book) -> io::Result<()> {
    // With the keeper the launcher ends.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let signals = take_signals()?;
    // Those of another launcher of this machine shall seldom be the same.
    let mut jails = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs().wrapping_mul(997);
    loop {
        let mut polled = [PollFd::new(server, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
        let [asked, ended] = polled.each_ref().map(|polled| !polled.revents().is_empty());
        if ended {
            clear_signals(&signals);
            while matches!(reap(), Reaped::One(_)) {}
        }
        if asked {
            jails = jails.wrapping_add(1);
            if !answer(server, book, jails)? {
                return Ok(());
            }
        }
    }
}

/// Makes a jail if the server wants one; false when the server is gone.
fn answer(server: &OwnedFd, book: &Book, number: u32) -> io::Result<bool> {
    let message = match socket::receive(server) {
        Ok(message) => message.bytes,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
        Err(error) => return Err(error),
    };
    if message != ONE_MORE {
        return Ok(false);
    }
    match make(server, book, number) {
        Ok(jail) => socket::send(server, &FromLauncher::Jail.encode(), &[jail.as_fd()])?,
        Err(error) => {
            let reason = format!("no jail can be made: {error}");
            socket::send(server, &FromLauncher::Failed(reason).encode(), &[])?;
        }
    }
    Ok(true)
}

fn make(server: &OwnedFd, book: &Book, number: u32) -> io::Result<OwnedFd> {
    let (ours, theirs) = socket::pair()?;
    let forked = if book.machine.has(Feature::ProcessNamespace) { fork_init() } else { fork() };
    match forked? {
        Side::Parent(_) => Ok(theirs),
        Side::Child => {
            drop(theirs);
            // So that the server learns of the launcher's end while its jails still run.
            close_copy(server);
            init::live(&ours, book, number)
        }
    }
}
