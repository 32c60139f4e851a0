//! Starting a program: argv, a fixed environment, no standard input, a session of its own.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, PidfdFlags, Resource, Signal, getrlimit, setrlimit};

use crate::plan::Plan;

/// The whole environment of a command; nothing of the server's is inherited.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("LANG", "C.UTF-8"),
    ("HOME", "/nonexistent"),
];

/// The usual soft limit of descriptors (getrlimit(2)).
const DESCRIPTORS: u64 = 1024;

const WORKING_DIRECTORY: &str = "/";

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no such file, or this user may not execute it.
    #[error("the program cannot be executed: {0}")]
    Missing(#[source] io::Error),
    /// The system could not provide what starting takes: processes, descriptors, memory.
    #[error("the program could not be started: {0}")]
    System(#[source] io::Error),
}

/// A started command: a child that is the leader of its own session and process group.
///
/// Its process group is killed when this is dropped, whatever the reason.
pub(crate) struct Started {
    child: Option<Child>,
    pid: Pid,
    pub(crate) pidfd: OwnedFd,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
    reaped: bool,
}

/// Starts what the plan says. Blocks for as long as fork(2) and execve(2) take.
pub(crate) fn start(plan: &Plan) -> Result<Started, StartError> {
    let mut command = Command::new(&plan.program);
    command
        .args(&plan.arguments)
        .env_clear()
        .envs(ENVIRONMENT)
        .current_dir(WORKING_DIRECTORY)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    #[expect(unsafe_code, reason = "the calls between fork and exec need it")]
    // SAFETY: between fork and exec only async-signal-safe functions may run, because another thread may have held
    // any lock when fork copied the process. `setsid`, `getrlimit`, `setrlimit` and `close_range` are plain system
    // calls: they allocate nothing, take no lock, and touch only the child.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            limit_descriptors()?;
            close_on_exec_from(3)
        });
    }
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => StartError::Missing(error),
        _ => StartError::System(error),
    })?;
    let stdout = child.stdout.take().map(OwnedFd::from);
    let stderr = child.stderr.take().map(OwnedFd::from);
    let pid = Pid::from_child(&child);
    match rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK) {
        Ok(pidfd) => Ok(Started { child: Some(child), pid, pidfd, stdout, stderr, reaped: false }),
        Err(error) => {
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
            let _ = child.wait();
            Err(StartError::System(error.into()))
        }
    }
}

impl Started {
    /// Sends a signal to every process of the command's group.
    ///
    /// The group's number cannot have gone to strangers: the leader, even when it has ended, is not yet reaped.
    pub(crate) fn signal_group(&self, signal: Signal) {
        if !self.reaped {
            // The one error left is that no process of the group is alive, which is what the caller wants.
            let _ = rustix::process::kill_process_group(self.pid, signal);
        }
    }

    /// Takes the exit status of a command that has ended, and ends what is left of its group first.
    pub(crate) fn reap(mut self) -> io::Result<std::process::ExitStatus> {
        self.signal_group(Signal::KILL);
        self.reaped = true;
        let mut child = self.child.take().ok_or_else(|| io::Error::other("the command was reaped twice"))?;
        child.wait()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal_group(Signal::KILL);
            self.reaped = true;
            // A process in an uninterruptible sleep dies when the kernel lets it; nobody here may wait for that.
            if let Some(mut child) = self.child.take() {
                std::thread::spawn(move || child.wait());
            }
        }
    }
}

/// Gives a command the usual number of descriptors, whatever the server needs for itself: programs that close or scan
/// all of them, and those that use select(2), expect it.
fn limit_descriptors() -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(limit.maximum.map_or(DESCRIPTORS, |hard| hard.min(DESCRIPTORS)));
    setrlimit(Resource::Nofile, limit)?;
    Ok(())
}

/// Marks every descriptor from `first` on to be closed by execve(2): what this process inherited without that mark
/// must not reach the command.
#[expect(unsafe_code, reason = "no safe wrapper of close_range(2) exists")]
fn close_on_exec_from(first: libc::c_uint) -> io::Result<()> {
    // SAFETY: close_range(2) takes three integers and reads no memory. With CLOSE_RANGE_CLOEXEC it closes nothing
    // now, so no descriptor that this process still uses goes away.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
