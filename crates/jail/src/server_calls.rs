//! The system calls that the server may make once it serves, each with the arguments that it needs. All others are refused:
//! its work is known, unlike that of commands. docs/jail.md gives the reason for each, and a test compares the two.

use libc::c_long;

/// What an argument must be. The call is refused where one check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// The argument is one of these.
    OneOf(u32, &'static [u32]),
    /// The argument has one of these bits.
    With(u32, u32),
    /// The argument has none of these bits.
    Without(u32, u32),
    /// All 64 bits of the argument are 0.
    Null(u32),
    /// The argument is the number of this process.
    Own(u32),
}

const EXECUTABLE: &[Check] = &[Check::Without(2, libc::PROT_EXEC as u32)];

/// A thread, and nothing that another process could see or that has a namespace.
const THREAD: &[Check] = &[
    Check::With(0, libc::CLONE_THREAD as u32),
    Check::Without(
        0,
        crate::seccomp::NAMESPACES | (libc::CLONE_PTRACE | libc::CLONE_PIDFD | libc::CLONE_UNTRACED) as u32,
    ),
];

/// abort(3) alone. A signal that the server sends to itself could start a reload.
const ABORT: &[Check] = &[Check::Own(0), Check::OneOf(2, &[libc::SIGABRT as u32])];

/// Without `F_SETOWN` and `F_SETSIG`, which have the kernel signal other processes, and without leases.
const DESCRIPTOR: &[Check] = &[Check::OneOf(
    1,
    &[
        libc::F_DUPFD as u32,
        libc::F_GETFD as u32,
        libc::F_SETFD as u32,
        libc::F_GETFL as u32,
        libc::F_SETFL as u32,
        libc::F_GETLK as u32,
        libc::F_SETLK as u32,
        libc::F_OFD_GETLK as u32,
        libc::F_OFD_SETLK as u32,
        libc::F_DUPFD_CLOEXEC as u32,
    ],
)];

/// Whether a descriptor is a terminal, how wide it is, and whether reading waits.
const REQUEST: &[Check] = &[Check::OneOf(
    1,
    // TCGETS, TIOCGWINSZ, FIONBIO, FIONREAD.
    &[0x5401, 0x5413, 0x5421, 0x541b],
)];

/// No address: a datagram would reach any socket. `MSG_FASTOPEN` connects.
const SEND_TO: &[Check] = &[Check::Null(4), Check::Without(3, FAST_OPEN)];
const SEND: &[Check] = &[Check::Without(2, FAST_OPEN)];
const FAST_OPEN: u32 = libc::MSG_FASTOPEN as u32;

/// Levels of the sockets that there are: `SOL_SOCKET`, TCP.
const SOCKET_OPTION: &[Check] =
    &[Check::OneOf(1, &[libc::SOL_SOCKET as u32, libc::IPPROTO_TCP as u32]), Check::OneOf(2, OPTIONS)];

/// `TCP_NODELAY` and `SO_DEBUG`, which needs a capability, have the same number, and so on.
const OPTIONS: &[u32] = &[
    libc::TCP_NODELAY as u32,
    libc::TCP_KEEPIDLE as u32,
    libc::TCP_KEEPINTVL as u32,
    libc::TCP_KEEPCNT as u32,
    libc::SO_SNDBUF as u32,
    libc::SO_RCVBUF as u32,
    libc::SO_KEEPALIVE as u32,
    libc::SO_LINGER as u32,
];

/// Its own limits, to be read.
const OWN_LIMIT: &[Check] = &[Check::OneOf(0, &[0]), Check::Null(2)];

/// Names of threads and of memory, and what the kernel told this process at its start.
const OWN_NAME: &[Check] =
    &[Check::OneOf(0, &[libc::PR_SET_NAME as u32, libc::PR_GET_NAME as u32, SET_VMA, GET_AUXV])];
const SET_VMA: u32 = 0x5356_4d41;
const GET_AUXV: u32 = 0x4155_5856;

/// Whatever its arguments are.
const ANY: &[Check] = &[];

/// What the server does.
pub(crate) const ALLOWED: &[(c_long, &[Check])] = &[
    // Memory, none of it to be executed.
    (libc::SYS_mmap, EXECUTABLE),
    (libc::SYS_mprotect, EXECUTABLE),
    (libc::SYS_munmap, ANY),
    (libc::SYS_mremap, ANY),
    (libc::SYS_brk, ANY),
    (libc::SYS_madvise, ANY),
    // Threads, and their end.
    (libc::SYS_clone, THREAD),
    (libc::SYS_set_robust_list, ANY),
    (libc::SYS_rseq, ANY),
    (libc::SYS_futex, ANY),
    (libc::SYS_sched_yield, ANY),
    (libc::SYS_sched_getaffinity, ANY),
    (libc::SYS_exit, ANY),
    (libc::SYS_exit_group, ANY),
    (libc::SYS_tgkill, ABORT),
    (libc::SYS_wait4, ANY),
    (libc::SYS_waitid, ANY),
    // Signals that it gets.
    (libc::SYS_rt_sigaction, ANY),
    (libc::SYS_rt_sigprocmask, ANY),
    (libc::SYS_rt_sigreturn, ANY),
    (libc::SYS_sigaltstack, ANY),
    (libc::SYS_restart_syscall, ANY),
    // Time.
    (libc::SYS_nanosleep, ANY),
    (libc::SYS_clock_nanosleep, ANY),
    (libc::SYS_clock_gettime, ANY),
    (libc::SYS_clock_getres, ANY),
    (libc::SYS_gettimeofday, ANY),
    // Who it is, where it runs, what there is.
    (libc::SYS_getpid, ANY),
    (libc::SYS_gettid, ANY),
    (libc::SYS_getuid, ANY),
    (libc::SYS_geteuid, ANY),
    (libc::SYS_getgid, ANY),
    (libc::SYS_getegid, ANY),
    (libc::SYS_getcpu, ANY),
    (libc::SYS_getrandom, ANY),
    (libc::SYS_getrusage, ANY),
    (libc::SYS_sysinfo, ANY),
    (libc::SYS_uname, ANY),
    (libc::SYS_prlimit64, OWN_LIMIT),
    (libc::SYS_prctl, OWN_NAME),
    // Descriptors that it has.
    (libc::SYS_read, ANY),
    (libc::SYS_write, ANY),
    (libc::SYS_readv, ANY),
    (libc::SYS_writev, ANY),
    (libc::SYS_pread64, ANY),
    (libc::SYS_pwrite64, ANY),
    (libc::SYS_lseek, ANY),
    (libc::SYS_close, ANY),
    (libc::SYS_fcntl, DESCRIPTOR),
    (libc::SYS_ioctl, REQUEST),
    (libc::SYS_fsync, ANY),
    (libc::SYS_fdatasync, ANY),
    (libc::SYS_ftruncate, ANY),
    (libc::SYS_flock, ANY),
    (libc::SYS_getdents64, ANY),
    // Files, of which landlock leaves those of the log's directory.
    (libc::SYS_openat, ANY),
    (libc::SYS_fstat, ANY),
    (libc::SYS_newfstatat, ANY),
    (libc::SYS_statx, ANY),
    (libc::SYS_fstatfs, ANY),
    (libc::SYS_statfs, ANY),
    (libc::SYS_faccessat, ANY),
    (libc::SYS_faccessat2, ANY),
    (libc::SYS_readlinkat, ANY),
    (libc::SYS_getcwd, ANY),
    (libc::SYS_renameat, ANY),
    (libc::SYS_renameat2, ANY),
    (libc::SYS_unlinkat, ANY),
    // Pipes and memory for a command's streams.
    (libc::SYS_pipe2, ANY),
    (libc::SYS_memfd_create, ANY),
    // Connections that others make.
    (libc::SYS_accept4, ANY),
    (libc::SYS_recvfrom, ANY),
    (libc::SYS_recvmsg, ANY),
    (libc::SYS_sendto, SEND_TO),
    (libc::SYS_sendmsg, SEND),
    (libc::SYS_shutdown, ANY),
    (libc::SYS_getsockname, ANY),
    (libc::SYS_getpeername, ANY),
    (libc::SYS_getsockopt, ANY),
    (libc::SYS_setsockopt, SOCKET_OPTION),
    // Waiting for all of these.
    (libc::SYS_epoll_create1, ANY),
    (libc::SYS_epoll_ctl, ANY),
    (libc::SYS_epoll_pwait, ANY),
    (libc::SYS_epoll_pwait2, ANY),
    (libc::SYS_eventfd2, ANY),
    (libc::SYS_ppoll, ANY),
    // The same by the names that C libraries of this architecture use.
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_time, ANY),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, ANY),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_stat, ANY),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_lstat, ANY),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_access, ANY),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_readlink, ANY),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rename, ANY),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, ANY),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_epoll_wait, ANY),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_poll, ANY),
];
