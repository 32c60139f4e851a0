//! The launcher's own processes: fork, signals as descriptors, and the ends of children with what they used up.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr;
use std::time::Duration;

use rustix::process::Pid;

use crate::machine::{Feature, Machine};

/// After a fork.
pub(crate) enum Side {
    Parent(Pid),
    Child,
}

/// Forks this process, which has one thread.
pub(crate) fn fork() -> io::Result<Side> {
    #[expect(unsafe_code, reason = "no safe wrapper of fork(2) exists")]
    // SAFETY: the keeper and the launcher never have a second thread, so no lock can be held by one that the child
    // lacks, and the child may do whatever the parent may.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Pid::from_raw(pid).map_or(Side::Child, Side::Parent))
}

/// Forks this process, which has one thread; the child is the first of a new PID namespace.
pub(crate) fn fork_init() -> io::Result<Side> {
    let flags = libc::CLONE_NEWPID | libc::SIGCHLD;
    #[expect(unsafe_code, reason = "fork(2) takes no flags")]
    // SAFETY: without CLONE_VM, and with no stack given, the call does what fork(2) does: the child has copies of the
    // stack and of all memory. The C library does not learn of the child's number, which it needs for threads and for
    // raise(3) alone; the launcher's processes use neither. The remaining arguments are null.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(i32::try_from(pid).ok().and_then(Pid::from_raw).map_or(Side::Child, Side::Parent))
}

/// The same in a control group, and in a new PID namespace only where it is wanted.
pub(crate) fn fork_into(group: BorrowedFd<'_>, namespace: Namespace) -> io::Result<Side> {
    const INTO_GROUP: u64 = 0x2_0000_0000;
    #[expect(unsafe_code, reason = "no safe wrapper of clone3(2) exists")]
    // SAFETY: as in `fork_init`: without CLONE_VM, and with no stack given, the call does what fork(2) does. A zeroed
    // `clone_args` asks for nothing; the kernel reads as many bytes of it as it is told, which are its own.
    let pid = unsafe {
        let mut arguments: libc::clone_args = std::mem::zeroed();
        arguments.flags = match namespace {
            Namespace::New => INTO_GROUP | u64::from(libc::CLONE_NEWPID.unsigned_abs()),
            Namespace::Same => INTO_GROUP,
        };
        arguments.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
        arguments.cgroup = u64::from(group.as_raw_fd().unsigned_abs());
        libc::syscall(libc::SYS_clone3, &raw const arguments, size_of_val(&arguments))
    };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(i32::try_from(pid).ok().and_then(Pid::from_raw).map_or(Side::Child, Side::Parent))
}

/// The PID namespace of a process that is forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namespace {
    New,
    Same,
}

impl Namespace {
    /// What a jail has on this machine.
    pub(crate) fn of_jails(machine: Machine) -> Self {
        if machine.has(Feature::ProcessNamespace) { Self::New } else { Self::Same }
    }
}

/// Closes this process's copy of a descriptor whose owner lies in a frame of the process that it was forked from.
pub(crate) fn close_copy(descriptor: &OwnedFd) {
    #[expect(unsafe_code, reason = "the owner cannot be dropped: its frame is never returned to")]
    // SAFETY: the callers are forked processes that go on to functions which do not return and do not use the
    // descriptor, so nothing uses or closes it again.
    unsafe {
        rustix::io::close(descriptor.as_raw_fd());
    }
}

/// Ends this process without anything that a library registered for it.
pub(crate) fn leave(status: i32) -> ! {
    #[expect(unsafe_code, reason = "std's exit runs handlers of the process that this one was forked from")]
    // SAFETY: _exit(2) takes an integer and does not come back.
    unsafe {
        libc::_exit(status)
    }
}

/// Gives every signal its default effect, here and in every process to come: what is ignored would stay so in commands.
pub(crate) fn forget_handlers() {
    #[expect(unsafe_code, reason = "no safe wrapper of sigaction(2) exists")]
    // SAFETY: the structure is zeroed, which is SIG_DFL with no flags and an empty set. No code of this process relies on
    // a handler. Setting one of the two signals that cannot be changed, or of those that the C library keeps for itself,
    // fails and changes nothing.
    unsafe {
        let default: libc::sigaction = std::mem::zeroed();
        for signal in 1..=libc::SIGRTMAX() {
            libc::sigaction(signal, &raw const default, ptr::null_mut());
        }
    }
}

/// Blocks every signal and gives SIGCHLD as a descriptor: neither a terminal nor a service manager that signals
/// everyone ends a process of the launcher; the end of the server does.
pub(crate) fn take_signals() -> io::Result<OwnedFd> {
    #[expect(unsafe_code, reason = "no safe wrapper of signalfd(2) exists")]
    // SAFETY: both sets are initialised by the functions that are meant to before they are read, and live on this
    // stack; the descriptor is new and nobody else's.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        let mut child: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut child);
        libc::sigaddset(&raw mut child, libc::SIGCHLD);
        if libc::sigprocmask(libc::SIG_SETMASK, &raw const all, ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        match libc::signalfd(-1, &raw const child, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            descriptor => Ok(OwnedFd::from_raw_fd(descriptor)),
        }
    }
}

/// Forgets the signals that have come, before the children are looked at.
pub(crate) fn clear_signals(signals: &OwnedFd) {
    let mut buffer = [0; 1024];
    while rustix::io::read(signals, &mut buffer).is_ok_and(|count| count == buffer.len()) {}
}

/// A child that has ended and been reaped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) pid: Pid,
    pub(crate) status: Status,
    pub(crate) cpu_time: Duration,
    pub(crate) peak_memory_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Exit(i32),
    Signal(i32),
}

/// Reaping.
pub(crate) enum Reaped {
    One(Ended),
    /// All children still run.
    None,
    /// There are no children.
    NoChildren,
}

/// Reaps a child that has ended, if there is one.
pub(crate) fn reap() -> Reaped {
    let mut status = 0;
    #[expect(unsafe_code, reason = "no safe wrapper of wait4(2) exists")]
    // SAFETY: a zeroed `rusage` is one of zeros; both pointers are to this stack and valid for writes.
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let pid = libc::wait4(-1, &raw mut status, libc::WNOHANG | libc::__WALL, &raw mut usage);
        (pid, usage)
    };
    match Pid::from_raw(pid.max(0)) {
        Some(pid) => Reaped::One(Ended {
            pid,
            status: if libc::WIFSIGNALED(status) {
                Status::Signal(libc::WTERMSIG(status))
            } else {
                Status::Exit(libc::WEXITSTATUS(status))
            },
            cpu_time: time(usage.ru_utime).saturating_add(time(usage.ru_stime)),
            peak_memory_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024),
        }),
        None if pid == 0 => Reaped::None,
        None => Reaped::NoChildren,
    }
}

fn time(value: libc::timeval) -> Duration {
    let seconds = Duration::from_secs(u64::try_from(value.tv_sec).unwrap_or(0));
    seconds.saturating_add(Duration::from_micros(u64::try_from(value.tv_usec).unwrap_or(0)))
}
