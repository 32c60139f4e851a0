//! The system calls that a command may make with some arguments only, or only where its jail provides for them, each with
//! the reason. `seccomp` has the calls that nobody may make.

use libc::c_long;

/// A condition on an argument of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) argument: u32,
    pub(crate) half: Half,
    pub(crate) values: &'static [u32],
    /// Whether the argument must be one of the values, or must be none of them.
    pub(crate) wanted: bool,
}

/// A filter compares 32 bits at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Low,
    High,
}

const fn is(argument: u32, values: &'static [u32]) -> Test {
    Test { argument, half: Half::Low, values, wanted: true }
}

const fn is_not(argument: u32, values: &'static [u32]) -> Test {
    Test { argument, half: Half::Low, values, wanted: false }
}

/// The number of the jail's init in every jail with a PID namespace.
const INIT: &[u32] = &[1];

/// Itself, for calls that take the number of a process.
const ITSELF: &[u32] = &[0];

/// Allowed if every test holds, and refused with `EPERM` otherwise.
pub(crate) const TESTED: &[(c_long, &[Test])] = &[
    // Not the limits of others: lower limits of the init would spoil how the command's end is told.
    (libc::SYS_prlimit64, &[is(0, ITSELF)]),
    // Not when the init runs. Threads of the command are named by their own numbers, so these are allowed.
    (libc::SYS_sched_setaffinity, &[is_not(0, INIT)]),
    (libc::SYS_sched_setscheduler, &[is_not(0, INIT)]),
    (libc::SYS_sched_setparam, &[is_not(0, INIT)]),
    (libc::SYS_sched_setattr, &[is_not(0, INIT)]),
    // The same for its priority: of one process, not of a user's or of a group's, among which the init may be.
    (libc::SYS_setpriority, &[is(0, &[PRIO_PROCESS]), is_not(1, INIT)]),
    (libc::SYS_ioprio_set, &[is(0, &[IOPRIO_WHO_PROCESS]), is_not(1, INIT)]),
    (
        libc::SYS_fcntl,
        &[is_not(
            1,
            &[
                // A lease makes everyone wait who opens the file.
                libc::F_SETLEASE as u32,
                // Notifications tell what others do in a directory.
                libc::F_NOTIFY as u32,
                // Longer pipes are taken from a budget of the user.
                libc::F_SETPIPE_SZ as u32,
            ],
        )],
    ),
    // Who shares a core with whom is not for a command to say.
    (libc::SYS_prctl, &[is_not(0, &[libc::PR_SCHED_CORE as u32])]),
    // A pair of stream sockets reaches nobody else. Datagrams can be sent to an address, whatever they are connected to.
    (libc::SYS_socketpair, &[is(0, &[libc::AF_UNIX as u32]), is(1, STREAMS)]),
];

/// `setpriority(2)`: the number is that of a process.
const PRIO_PROCESS: u32 = 0;

/// `ioprio_set(2)`: the number is that of a process.
const IOPRIO_WHO_PROCESS: u32 = 1;

const STREAM: u32 = libc::SOCK_STREAM as u32;
const CLOEXEC: u32 = libc::SOCK_CLOEXEC as u32;
const NONBLOCK: u32 = libc::SOCK_NONBLOCK as u32;
const STREAMS: &[u32] = &[STREAM, STREAM | CLOEXEC, STREAM | NONBLOCK, STREAM | CLOEXEC | NONBLOCK];

/// Further conditions without a network: no address is named. A message to one on a stream pair (`sendmsg`) fails anyway.
pub(crate) const TESTED_WITHOUT_NETWORK: &[(c_long, &[Test])] =
    &[(libc::SYS_sendto, &[is(4, &[0]), Test { argument: 4, half: Half::High, values: &[0], wanted: true }])];

/// Refused without a network.
pub(crate) const REFUSED_WITHOUT_NETWORK: &[c_long] = &[
    libc::SYS_socket,
    // Calls that take an address, or wait for someone who does.
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
];

/// Refused to commands, and not to the server.
pub(crate) const REFUSED: &[c_long] = &[
    // Advice about the memory of others, and the memory of those that are being ended.
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
];

/// Refused where no control group counts it as the command's memory: it belongs to no process, so no limit of processes
/// holds it.
pub(crate) const REFUSED_UNCOUNTED: &[c_long] = &[
    // Files in memory.
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    // Memory, semaphores and messages of System V, which stay when their process has ended.
    libc::SYS_shmget,
    libc::SYS_semget,
    libc::SYS_msgget,
    // Message queues, counted by user.
    libc::SYS_mq_open,
    // A piece of a huge page in a pipe keeps all of it, also when its process has given it back.
    libc::SYS_vmsplice,
];

/// Refused to commands that share their user with the server and have no network.
pub(crate) const REFUSED_WITH_SERVER_S_USER: &[c_long] = &[
    // What it watches is counted by user alone: no watches would be left for the server's connections.
    libc::SYS_epoll_create1,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_create,
];
