//! The steps between fork and exec, in their order. Every failure ends the child and is reported with its step.
//!
//! The child shares the memory of the jail's init until it executes its program (`CLONE_VM`), so nothing here
//! allocates, and what it needs has been made before.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::ptr;

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal};

use crate::identity::Becoming;
use crate::message::ToJail;
use crate::seccomp::Filter;

/// What is done between fork and exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Namespaces of the jail's own (before the fork).
    Namespaces,
    /// Its /tmp, /run and the paths of the rule (before the fork).
    Mounts,
    /// Its /proc (before the fork).
    Proc,
    /// Its limit of processes.
    ProcessLimit,
    /// The limits of its control group (before the fork).
    ControlGroup,
    /// The rules for its files (before the fork).
    FileRules,
    /// The order (before the fork).
    Order,
    /// A user for the jail (before the fork).
    JailUser,
    /// The fork.
    Fork,
    /// Standard input, output and error, and no other descriptor.
    Descriptors,
    /// A session of its own.
    Session,
    /// No signal ignored or blocked, and an end with its init.
    Signals,
    /// The working directory.
    WorkingDirectory,
    /// The resource limits.
    Limits,
    /// The network without interfaces.
    Network,
    /// The supplementary groups.
    Groups,
    /// The group.
    Group,
    /// The user.
    User,
    /// Asking the kernel who it is now.
    IdentityCheck,
    /// The capabilities.
    Capabilities,
    /// No new privileges by set-user-id programs.
    NoNewPrivileges,
    /// landlock.
    Landlock,
    /// seccomp.
    Seccomp,
    /// The server's word to execute the program.
    Word,
    /// The program itself.
    Exec,
}

impl Step {
    /// In their order.
    pub const ALL: [Self; 25] = [
        Self::Namespaces,
        Self::Mounts,
        Self::Proc,
        Self::ProcessLimit,
        Self::ControlGroup,
        Self::FileRules,
        Self::Order,
        Self::JailUser,
        Self::Fork,
        Self::Descriptors,
        Self::Session,
        Self::Signals,
        Self::WorkingDirectory,
        Self::Limits,
        Self::Network,
        Self::Groups,
        Self::Group,
        Self::User,
        Self::IdentityCheck,
        Self::Capabilities,
        Self::NoNewPrivileges,
        Self::Landlock,
        Self::Seccomp,
        Self::Word,
        Self::Exec,
    ];

    /// Its name, for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Mounts => "mounts",
            Self::Proc => "/proc",
            Self::ProcessLimit => "limit of processes",
            Self::ControlGroup => "control group",
            Self::FileRules => "rules for files",
            Self::Order => "order",
            Self::JailUser => "a user for the jail (jail_users)",
            Self::Fork => "fork",
            Self::Descriptors => "descriptors",
            Self::Session => "session",
            Self::Signals => "signals",
            Self::WorkingDirectory => "working directory",
            Self::Limits => "resource limits",
            Self::Network => "network",
            Self::Groups => "supplementary groups",
            Self::Group => "group",
            Self::User => "user",
            Self::IdentityCheck => "check of user and group",
            Self::Capabilities => "capabilities",
            Self::NoNewPrivileges => "no new privileges",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Word => "word to execute",
            Self::Exec => "exec",
        }
    }

    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// Everything that the child needs, made before it exists.
pub(crate) struct Child<'a> {
    pub(crate) standard: [BorrowedFd<'a>; 3],
    /// The program, and the number under which it is executed.
    pub(crate) program: BorrowedFd<'a>,
    pub(crate) program_number: RawFd,
    pub(crate) working_directory: &'a CStr,
    pub(crate) umask: rustix::fs::Mode,
    pub(crate) limits: &'a [(Resource, Rlimit)],
    /// Where the limit of processes of its namespace is set, and to what.
    pub(crate) process_limit: Option<(BorrowedFd<'a>, &'a [u8])>,
    pub(crate) network: Option<BorrowedFd<'a>>,
    pub(crate) becoming: &'a Becoming,
    /// The user that its jail has for itself, where there is one.
    pub(crate) user_of_jail: Option<u32>,
    pub(crate) ruleset: Option<BorrowedFd<'a>>,
    pub(crate) filter: Option<&'a Filter>,
    /// Where the word to execute the program comes from.
    pub(crate) socket: BorrowedFd<'a>,
    pub(crate) arguments: &'a [*const c_char],
    pub(crate) environment: &'a [*const c_char],
}

/// Why no program was executed.
pub(crate) type NotExecuted = (Step, Errno);

/// The child's stack, in units of 16 bytes, to which it is aligned; it needs a small part of it.
const STACK_UNITS: usize = 8 * 1024;

impl Child<'_> {
    /// Forks, and comes back when the program has been executed or could not be.
    pub(crate) fn start(&self) -> Result<Pid, NotExecuted> {
        let mut stack = vec![0_u128; STACK_UNITS];
        let mut shared = Shared { child: self, result: None };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        #[expect(unsafe_code, reason = "no safe wrapper of clone(2) exists")]
        // SAFETY: with CLONE_VFORK this thread stands still until the child has executed a program or ended, so the
        // child is the only user of this memory meanwhile: `shared` and what it refers to outlive it, and it has a
        // stack of its own, aligned, whose end is passed because stacks grow down. `enter` takes the very type that
        // is passed to it, does not unwind, and never returns to frames of this function.
        let pid = unsafe {
            let end = stack.as_mut_ptr().add(stack.len()).cast::<c_void>();
            libc::clone(enter, end, flags, ptr::from_mut(&mut shared).cast::<c_void>())
        };
        if pid < 0 {
            let errno = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EAGAIN);
            return Err((Step::Fork, Errno::from_raw_os_error(errno)));
        }
        match (shared.result, Pid::from_raw(pid)) {
            (None, Some(pid)) => Ok(pid),
            (Some(failed), _) => Err(failed),
            (None, None) => Err((Step::Fork, Errno::SRCH)),
        }
    }

    /// Comes back only when something failed.
    fn execute(&self) -> NotExecuted {
        match self.confine() {
            Err(error) => error,
            Ok(()) => match self.wait_for_word() {
                Err(errno) => (Step::Word, errno),
                Ok(()) => (Step::Exec, self.exec()),
            },
        }
    }

    fn confine(&self) -> Result<(), (Step, Errno)> {
        let failed = |step| move |errno| (step, errno);
        self.arrange_descriptors().map_err(failed(Step::Descriptors))?;
        rustix::process::setsid().map_err(failed(Step::Session))?;
        if let Some((limit, number)) = self.process_limit {
            // Not before this process has its own number, which may lie above.
            rustix::io::write(limit, number).map_err(failed(Step::ProcessLimit))?;
        }
        restore_signals().map_err(failed(Step::Signals))?;
        rustix::process::umask(self.umask);
        rustix::process::chdir(self.working_directory).map_err(failed(Step::WorkingDirectory))?;
        for (resource, limit) in self.limits {
            rustix::process::setrlimit(*resource, *limit).map_err(failed(Step::Limits))?;
        }
        if let Some(network) = self.network {
            rustix::thread::move_into_link_name_space(network, None).map_err(failed(Step::Network))?;
        }
        self.becoming.irrevocably(self.user_of_jail)?;
        // A change of user takes this away.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(failed(Step::Signals))?;
        rustix::thread::set_no_new_privs(true).map_err(failed(Step::NoNewPrivileges))?;
        if let Some(ruleset) = self.ruleset {
            restrict_files(ruleset).map_err(failed(Step::Landlock))?;
        }
        if let Some(filter) = self.filter {
            filter_calls(filter).map_err(failed(Step::Seccomp))?;
        }
        Ok(())
    }

    /// 0, 1 and 2 are the command's; the program lies where the filter expects it; everything else goes with exec.
    fn arrange_descriptors(&self) -> Result<(), Errno> {
        // Through numbers that are in nobody's way: a standard stream may itself lie at 0, 1 or 2.
        let above = self.program_number.saturating_add(1);
        let [stdin, stdout, stderr] = self.standard;
        let (stdin, stdout, stderr) =
            (duplicate(stdin, above)?, duplicate(stdout, above)?, duplicate(stderr, above)?);
        for (from, to) in [(stdin, 0), (stdout, 1), (stderr, 2)] {
            place(from, to, 0)?;
        }
        if self.program.as_raw_fd() != self.program_number {
            place(self.program.as_raw_fd(), self.program_number, libc::O_CLOEXEC)?;
        }
        close_on_exec_from(3)
    }

    /// Waits until the server says that everything is written down.
    fn wait_for_word(&self) -> Result<(), Errno> {
        let mut byte = [0; 8];
        let (_, count) = rustix::io::retry_on_intr(|| {
            rustix::net::recv(self.socket, &mut byte, rustix::net::RecvFlags::empty())
        })?;
        match ToJail::decode(byte.get(..count).unwrap_or_default()) {
            Ok(ToJail::Go) => Ok(()),
            // The server has closed its side.
            _ if count == 0 => Err(Errno::CONNRESET),
            Ok(ToJail::Cancel | ToJail::OutputLimit) | Err(_) => Err(Errno::BADMSG),
        }
    }

    fn exec(&self) -> Errno {
        #[expect(unsafe_code, reason = "no safe wrapper of execveat(2) exists")]
        // SAFETY: both vectors are slices of pointers to NUL-terminated strings that end with a null pointer, as
        // `init` makes them, and outlive the call; the path is a NUL-terminated empty string.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                self.program_number,
                c"".as_ptr(),
                self.arguments.as_ptr(),
                self.environment.as_ptr(),
                libc::AT_EMPTY_PATH,
            );
        }
        last_errno()
    }
}

/// What parent and child both see.
struct Shared<'a> {
    child: &'a Child<'a>,
    result: Option<NotExecuted>,
}

extern "C" fn enter(shared: *mut c_void) -> c_int {
    #[expect(unsafe_code, reason = "clone(2) passes one pointer")]
    // SAFETY: `Child::start` passes a valid, exclusive pointer to a `Shared` and stands still until this process has
    // gone on to another program or ended.
    let shared = unsafe { &mut *shared.cast::<Shared<'_>>() };
    shared.result = Some(shared.child.execute());
    127
}

fn last_errno() -> Errno {
    Errno::from_raw_os_error(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

fn duplicate(descriptor: BorrowedFd<'_>, above: RawFd) -> Result<RawFd, Errno> {
    #[expect(unsafe_code, reason = "a descriptor that nobody shall close before exec")]
    // SAFETY: fcntl(2) with F_DUPFD_CLOEXEC takes integers and reads no memory.
    let copy = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD_CLOEXEC, above) };
    if copy < 0 { Err(last_errno()) } else { Ok(copy) }
}

fn place(from: RawFd, to: RawFd, flags: c_int) -> Result<(), Errno> {
    #[expect(unsafe_code, reason = "replacing a descriptor by its number")]
    // SAFETY: dup3(2) takes integers and reads no memory. The child has a table of descriptors of its own, so what
    // goes away at `to` goes away in the child alone, which does not use it: 0, 1 and 2 are not used by the launcher's
    // processes, and what lies at the program's number is none of those that `Child` holds but the program.
    let placed = unsafe { libc::dup3(from, to, flags) };
    if placed < 0 { Err(last_errno()) } else { Ok(()) }
}

/// Marks every descriptor from `first` on to be closed by execve(2).
fn close_on_exec_from(first: libc::c_uint) -> Result<(), Errno> {
    #[expect(unsafe_code, reason = "no safe wrapper of close_range(2) exists")]
    // SAFETY: close_range(2) takes three integers and reads no memory. With CLOSE_RANGE_CLOEXEC it closes nothing
    // now, so no descriptor that is still used goes away.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Blocks no signal. Each has its default effect since the keeper took them.
fn restore_signals() -> Result<(), Errno> {
    #[expect(unsafe_code, reason = "no safe wrapper of sigprocmask(2) exists")]
    // SAFETY: the set is initialised by the function that is meant to before it is read; the child has a mask of its own.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        if libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) != 0 {
            return Err(last_errno());
        }
    }
    Ok(())
}

/// Enforces a ruleset on this thread.
pub(crate) fn restrict_files(ruleset: BorrowedFd<'_>) -> Result<(), Errno> {
    #[expect(unsafe_code, reason = "the library's own call allocates and closes")]
    // SAFETY: landlock_restrict_self(2) takes a descriptor and flags, and reads no memory.
    let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Enforces a filter on this thread.
pub(crate) fn filter_calls(filter: &Filter) -> Result<(), Errno> {
    let instructions = filter.instructions();
    let program = libc::sock_fprog {
        len: instructions.len().try_into().map_err(|_| Errno::TOOBIG)?,
        filter: instructions.as_ptr().cast_mut(),
    };
    #[expect(unsafe_code, reason = "no safe wrapper of seccomp(2) exists")]
    // SAFETY: the kernel reads as many instructions as the program says, which is the slice's length, and copies them.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}
