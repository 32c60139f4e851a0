//! The system calls that a command may not make, each with the reason, as a program for the kernel's filter
//! (seccomp(2)). It is made once for a rule and only handed over when a command starts.
//!
//! A list of what is refused rather than of what is allowed: programs of every kind shall work unchanged, and what holds
//! the jail together are namespaces, landlock and the missing capabilities. The filter takes away the parts of the
//! kernel that a command has no business with. It refuses calls that are newer than this list, and those of another ABI.

use libc::{c_long, sock_filter};

use crate::confinement::{Exec, Network};
use crate::server_calls::{ALLOWED, Check};

/// Refused with `EPERM`.
const REFUSED: &[c_long] = &[
    // Reading and changing other processes: a debugger's work, and the way to a neighbour's memory.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    // Taking descriptors out of other processes.
    libc::SYS_pidfd_getfd,
    // Programs that run inside the kernel: the richest source of its faults.
    libc::SYS_bpf,
    // Counters of the processor: they tell what others compute, and their interface was often faulty.
    libc::SYS_perf_event_open,
    // Halting the kernel in the middle of a copy: a tool for races, not for programs.
    libc::SYS_userfaultfd,
    // A second way to most calls, which filters like this one do not see.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // The kernel's key rings do not belong to any namespace.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Other views of the file system than the one that was made for the command.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    // Files by number instead of by path: the way out of every mount namespace.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // Other namespaces; a user namespace would give back every capability inside it.
    libc::SYS_setns,
    libc::SYS_unshare,
    // Code for the kernel, and another kernel.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    // What belongs to the machine: its clock, names, swap, quotas, accounts, messages.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    // Watching everybody's files.
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_lookup_dcookie,
    // Moving the memory of other processes.
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    // Old, dangerous and unused.
    libc::SYS_nfsservctl,
    libc::SYS_remap_file_pages,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    // The processor's ports and segments.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_sysfs,
    #[cfg(target_arch = "x86_64")]
    libc::SYS__sysctl,
];

/// One more than the newest call that was looked at when this list was made (`mseal`). A newer one does not exist, as far
/// as commands can tell; nor do those of x32, an ABI of x86-64 with numbers of its own.
const CALLS: usize = 463;

/// `clone` with one of these makes a namespace.
pub(crate) const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

/// The socket families that a command with a network may use. What is missing here reaches hypervisors, radios and
/// seldom used parts of the kernel.
const FAMILIES: [u32; 4] =
    [libc::AF_UNIX as u32, libc::AF_INET as u32, libc::AF_INET6 as u32, libc::AF_NETLINK as u32];

/// `ioctl`s that act on terminals: push characters into one's input (`TIOCSTI`), paste a selection (`TIOCLINUX`), change its
/// line discipline (`TIOCSETD`).
const TERMINAL_REQUESTS: [u32; 3] = [0x5412, 0x541c, 0x5423];

/// `personality` with these changes nothing: the default, and the question which one it is.
const HARMLESS_PERSONALITIES: [u32; 2] = [0, 0xffff_ffff];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// What the filter of a process depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// A command whose program is executed by this descriptor.
    Command { network: bool, exec: bool, program: u32 },
    /// The server after its start.
    Server,
}

impl Subject {
    pub(crate) fn command(network: Network, exec: Exec, program: u32) -> Self {
        Self::Command { network: network == Network::Machine, exec: exec == Exec::Allowed, program }
    }
}

/// A program for the kernel's filter.
#[derive(Debug)]
pub(crate) struct Filter(Vec<sock_filter>);

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Refused(i32),
    /// It depends on an argument.
    Looked(Look),
    /// Allowed where all of these hold.
    Checked(&'static [Check]),
}

/// A look at the arguments of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// `execveat` of this descriptor itself.
    Program(u32),
    /// `clone` without namespaces.
    NoNamespaces,
    /// `socket` of a common family.
    Family,
    /// `personality` that changes nothing.
    Personality,
    /// `ioctl` that does not act on a terminal.
    Request,
}

impl Filter {
    pub(crate) fn new(subject: Subject) -> Self {
        match subject {
            Subject::Command { network, exec, program } => Self::of_command(network, exec, program),
            Subject::Server => Self::of_server(),
        }
    }

    /// Everything is refused but what the server needs.
    fn of_server() -> Self {
        let mut verdicts = [Verdict::Refused(libc::EPERM); CALLS];
        let clone3 = (libc::SYS_clone3, Verdict::Refused(libc::ENOSYS));
        let allowed = ALLOWED.iter().map(|(call, checks)| match checks {
            [] => (*call, Verdict::Allowed),
            checks => (*call, Verdict::Checked(checks)),
        });
        for (call, verdict) in allowed.chain([clone3]) {
            if let Some(slot) = usize::try_from(call).ok().and_then(|call| verdicts.get_mut(call)) {
                *slot = verdict;
            }
        }
        Self::assemble(&verdicts)
    }

    fn of_command(network: bool, exec: bool, program: u32) -> Self {
        let mut verdicts = [Verdict::Allowed; CALLS];
        let mut set = |call: c_long, verdict| {
            if let Some(slot) = usize::try_from(call).ok().and_then(|call| verdicts.get_mut(call)) {
                *slot = verdict;
            }
        };
        for &call in REFUSED {
            set(call, Verdict::Refused(libc::EPERM));
        }
        // Its flags lie in memory, which a filter cannot see. C libraries use `clone` where there is none.
        set(libc::SYS_clone3, Verdict::Refused(libc::ENOSYS));
        set(libc::SYS_socket, Verdict::Looked(Look::Family));
        set(libc::SYS_personality, Verdict::Looked(Look::Personality));
        set(libc::SYS_ioctl, Verdict::Looked(Look::Request));
        if !network {
            set(libc::SYS_socket, Verdict::Refused(libc::EPERM));
        }
        if !exec {
            set(libc::SYS_execve, Verdict::Refused(libc::EPERM));
            set(libc::SYS_execveat, Verdict::Looked(Look::Program(program)));
        }
        set(libc::SYS_clone, Verdict::Looked(Look::NoNamespaces));
        Self::assemble(&verdicts)
    }

    /// A tree of comparisons: the kernel walks it once for each of its calls when it takes the filter, and whenever a
    /// call depends on an argument.
    fn assemble(verdicts: &[Verdict]) -> Self {
        let mut runs: Vec<(u32, Verdict)> = Vec::new();
        for (call, verdict) in (0_u32..).zip(verdicts) {
            if runs.last().is_none_or(|(_, last)| last != verdict) {
                runs.push((call, *verdict));
            }
        }
        // Calls that are newer than this list do not exist, and those of x32 are none either.
        runs.push((u32::try_from(verdicts.len()).unwrap_or(u32::MAX), Verdict::Refused(libc::ENOSYS)));
        let mut filter = Self(Vec::with_capacity(512));
        filter.load(ARCH);
        filter.unless(ARCHITECTURE, libc::SECCOMP_RET_KILL_PROCESS);
        filter.load(NUMBER);
        filter.choose(&runs);
        filter
    }

    /// Ends in the verdict of the last run that begins at or below the loaded number.
    fn choose(&mut self, runs: &[(u32, Verdict)]) {
        let (low, high) = runs.split_at(runs.len() / 2);
        let (Some((_, first)), Some((begin, _))) = (low.first(), high.first()) else {
            return self
                .verdict(runs.first().map_or(Verdict::Refused(libc::ENOSYS), |(_, verdict)| *verdict));
        };
        // To the high half by a jump of any length, which is put in when the length is known.
        self.push(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, *begin);
        let jump = self.0.len();
        self.push(libc::BPF_JMP | libc::BPF_JA, 0, 0, 0);
        if low.len() == 1 {
            self.verdict(*first);
        } else {
            self.choose(low);
        }
        let over = self.0.len().saturating_sub(jump).saturating_sub(1);
        if let Some(instruction) = self.0.get_mut(jump) {
            instruction.k = u32::try_from(over).unwrap_or(u32::MAX);
        }
        self.choose(high);
    }

    fn verdict(&mut self, verdict: Verdict) {
        let refused = refuse(libc::EPERM);
        match verdict {
            Verdict::Allowed => {}
            Verdict::Refused(errno) => return self.end(refuse(errno)),
            Verdict::Checked(checks) => checks.iter().for_each(|check| self.check(*check)),
            Verdict::Looked(Look::Program(program)) => {
                // A command cannot have this descriptor: it lies beyond its limit of descriptors.
                self.load(argument(0));
                self.unless(program, refused);
                self.load(argument(4));
                self.unless(libc::AT_EMPTY_PATH as u32, refused);
            }
            Verdict::Looked(Look::NoNamespaces) => {
                self.load(argument(0));
                self.push(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, NAMESPACES);
                self.end(refused);
            }
            Verdict::Looked(Look::Family) => {
                self.load(argument(0));
                self.unless_one_of(&FAMILIES, refuse(libc::EAFNOSUPPORT));
            }
            Verdict::Looked(Look::Personality) => {
                self.load(argument(0));
                self.unless_one_of(&HARMLESS_PERSONALITIES, refused);
            }
            Verdict::Looked(Look::Request) => {
                self.load(argument(1));
                for request in TERMINAL_REQUESTS {
                    self.push(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, request);
                    self.end(refused);
                }
            }
        }
        self.end(libc::SECCOMP_RET_ALLOW);
    }

    /// Refuses unless it holds.
    fn check(&mut self, check: Check) {
        let refused = refuse(libc::EPERM);
        let (Check::OneOf(index, _)
        | Check::With(index, _)
        | Check::Without(index, _)
        | Check::Null(index)
        | Check::Own(index)) = check;
        self.load(argument(index));
        match check {
            Check::OneOf(_, values) => self.unless_one_of(values, refused),
            Check::With(_, bits) => {
                self.push(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 1, 0, bits);
                self.end(refused);
            }
            Check::Without(_, bits) => {
                self.push(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, bits);
                self.end(refused);
            }
            Check::Null(_) => {
                self.unless(0, refused);
                // The upper half.
                self.load(argument(index).wrapping_add(4));
                self.unless(0, refused);
            }
            Check::Own(_) => {
                self.unless(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs(), refused);
            }
        }
    }

    /// As the kernel takes it.
    pub(crate) fn instructions(&self) -> &[sock_filter] {
        &self.0
    }

    fn push(&mut self, code: u32, when_true: u8, when_false: u8, k: u32) {
        // Every code is a sum of the kernel's constants and fits; another the kernel would refuse.
        self.0.push(sock_filter {
            code: u16::try_from(code).unwrap_or(u16::MAX),
            jt: when_true,
            jf: when_false,
            k,
        });
    }

    fn load(&mut self, offset: u32) {
        self.push(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    }

    fn end(&mut self, action: u32) {
        self.push(libc::BPF_RET | libc::BPF_K, 0, 0, action);
    }

    fn unless(&mut self, value: u32, action: u32) {
        self.push(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, value);
        self.end(action);
    }

    fn unless_one_of(&mut self, values: &[u32], action: u32) {
        for (index, value) in (1_u8..).zip(values) {
            // Over the comparisons behind this one and the action.
            let behind = u8::try_from(values.len()).unwrap_or(u8::MAX).saturating_sub(index);
            self.push(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, behind.saturating_add(1), 0, *value);
        }
        self.end(action);
    }
}

/// The lower half of an argument; every value that the filter compares has 32 bits for the kernel, too.
fn argument(index: u32) -> u32 {
    16_u32.wrapping_add(index.wrapping_mul(8))
}

fn refuse(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a machine of a few instructions, run on our own programs")]
mod tests {
    use super::{ALLOWED, ARCHITECTURE, CALLS, Filter, REFUSED, Subject, refuse};

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const EPERM: u32 = 0x0005_0001;

    /// The kernel's own machine, as far as the filters use it (Documentation/networking/filter.rst).
    fn verdict(filter: &Filter, architecture: u32, call: u32, arguments: [u32; 6]) -> u32 {
        let mut data = [[call, architecture, 0, 0].as_slice(), &[0; 12]].concat();
        for (index, value) in arguments.into_iter().enumerate() {
            data[4 + 2 * index] = value;
        }
        let (mut accumulator, mut at) = (0, 0);
        loop {
            let step = filter.0[at];
            at += 1;
            let jump = |truth: bool| usize::from(if truth { step.jt } else { step.jf });
            match u32::from(step.code) {
                0x05 => at += step.k as usize,
                0x20 => accumulator = data[step.k as usize / 4],
                0x15 => at += jump(accumulator == step.k),
                0x35 => at += jump(accumulator >= step.k),
                0x45 => at += jump(accumulator & step.k != 0),
                0x06 => return step.k,
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    fn command(network: bool, exec: bool) -> Filter {
        Filter::new(Subject::Command { network, exec, program: 1030 })
    }

    #[track_caller]
    fn check(filter: &Filter, call: libc::c_long, arguments: [u32; 6], expected: u32) {
        assert_eq!(
            verdict(filter, ARCHITECTURE, u32::try_from(call).expect("a number"), arguments),
            expected,
            "call {call}"
        );
    }

    #[test]
    fn what_is_on_the_list_is_refused_to_every_command() {
        for filter in [command(false, false), command(true, true)] {
            for &call in REFUSED {
                check(&filter, call, [0; 6], EPERM);
            }
            check(&filter, libc::SYS_clone3, [0; 6], refuse(libc::ENOSYS));
            check(&filter, libc::SYS_read, [0; 6], ALLOW);
            check(&filter, libc::SYS_openat, [0; 6], ALLOW);
        }
    }

    #[test]
    fn other_abis_and_later_calls_do_not_go_round_the_list() {
        let filter = command(true, true);
        assert_eq!(verdict(&filter, 0x4000_0003, 0, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
        let newest = u32::try_from(CALLS).expect("a number") - 1;
        assert_eq!(verdict(&filter, ARCHITECTURE, newest, [0; 6]), ALLOW);
        for call in [newest + 1, 0x4000_0000, u32::MAX] {
            assert_eq!(verdict(&filter, ARCHITECTURE, call, [0; 6]), refuse(libc::ENOSYS));
        }
    }

    #[test]
    fn only_the_launcher_s_descriptor_is_executed_until_the_rule_says_so() {
        let (narrow, wide) = (command(false, false), command(false, true));
        check(&narrow, libc::SYS_execve, [0; 6], EPERM);
        check(&narrow, libc::SYS_execveat, [1030, 0, 0, 0, 0x1000, 0], ALLOW);
        check(&narrow, libc::SYS_execveat, [1030, 0, 0, 0, 0, 0], EPERM);
        check(&narrow, libc::SYS_execveat, [3, 0, 0, 0, 0x1000, 0], EPERM);
        check(&wide, libc::SYS_execve, [0; 6], ALLOW);
        check(&wide, libc::SYS_execveat, [3, 0, 0, 0, 0x1000, 0], ALLOW);
    }

    #[test]
    fn sockets_need_a_network_and_a_common_family() {
        let (narrow, wide) = (command(false, false), command(true, false));
        for family in 0..50 {
            check(&narrow, libc::SYS_socket, [family, 0, 0, 0, 0, 0], EPERM);
            let expected = if [1, 2, 10, 16].contains(&family) { ALLOW } else { refuse(libc::EAFNOSUPPORT) };
            check(&wide, libc::SYS_socket, [family, 0, 0, 0, 0, 0], expected);
        }
    }

    #[test]
    fn processes_yes_and_namespaces_no() {
        let filter = command(false, false);
        check(&filter, libc::SYS_clone, [17, 0, 0, 0, 0, 0], ALLOW);
        for flag in
            [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000]
        {
            check(&filter, libc::SYS_clone, [0x11 | flag, 0, 0, 0, 0, 0], EPERM);
        }
        check(&filter, libc::SYS_ioctl, [0, 0x5412, 0, 0, 0, 0], EPERM);
        check(&filter, libc::SYS_ioctl, [0, 0x5401, 0, 0, 0, 0], ALLOW);
        check(&filter, libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0, 0], ALLOW);
        check(&filter, libc::SYS_personality, [0x0004_0000, 0, 0, 0, 0, 0], EPERM);
    }

    #[test]
    fn the_server_makes_threads_and_no_processes() {
        let filter = Filter::new(Subject::Server);
        check(&filter, libc::SYS_clone, [0x003d_0f00, 0, 0, 0, 0, 0], ALLOW);
        check(&filter, libc::SYS_clone, [17, 0, 0, 0, 0, 0], EPERM);
        check(&filter, libc::SYS_clone, [0x103d_0f00, 0, 0, 0, 0, 0], EPERM);
        for call in [libc::SYS_execve, libc::SYS_socket, libc::SYS_connect, libc::SYS_kill, libc::SYS_fchmod]
        {
            check(&filter, call, [0; 6], EPERM);
        }
    }

    #[test]
    fn the_server_has_the_calls_of_its_list_with_their_arguments_alone() {
        let filter = Filter::new(Subject::Server);
        for call in 0..libc::c_long::try_from(CALLS).expect("a number") {
            let listed = ALLOWED.iter().find(|(allowed, _)| *allowed == call);
            let expected = match listed {
                Some((_, [])) => ALLOW,
                None if call == libc::SYS_clone3 => refuse(libc::ENOSYS),
                Some(_) | None => EPERM,
            };
            check(&filter, call, [u32::MAX; 6], expected);
        }
        let own = std::process::id();
        check(&filter, libc::SYS_tgkill, [own, 1, 6, 0, 0, 0], ALLOW);
        for (process, signal) in [(own, 1), (own, 0), (own, 9), (1, 6), (own + 1, 6)] {
            check(&filter, libc::SYS_tgkill, [process, 1, signal, 0, 0, 0], EPERM);
        }
        check(&filter, libc::SYS_mmap, [0, 4096, 3, 34, 0, 0], ALLOW);
        for protection in [4, 5, 7] {
            check(&filter, libc::SYS_mmap, [0, 4096, protection, 34, 0, 0], EPERM);
            check(&filter, libc::SYS_mprotect, [0, 4096, protection, 0, 0, 0], EPERM);
        }
        check(&filter, libc::SYS_sendto, [7, 0, 1, 0x4000, 0, 0], ALLOW);
        check(&filter, libc::SYS_sendto, [7, 0, 1, 0x4000, 1, 16], EPERM);
        check(&filter, libc::SYS_sendto, [7, 0, 1, 0x2000_0000, 0, 0], EPERM);
        check(&filter, libc::SYS_sendmsg, [7, 0, 0x2000_4000, 0, 0, 0], EPERM);
        check(&filter, libc::SYS_prlimit64, [0, 7, 0, 1, 0, 0], ALLOW);
        check(&filter, libc::SYS_prlimit64, [0, 7, 1, 0, 0, 0], EPERM);
        check(&filter, libc::SYS_prlimit64, [1, 7, 0, 1, 0, 0], EPERM);
        for request in [0x5412, 0x541c, 0x5423, 0x8901, 0x8902] {
            check(&filter, libc::SYS_ioctl, [0, request, 0, 0, 0, 0], EPERM);
        }
        for command in [8, 10, 15, 1024, 1026] {
            check(&filter, libc::SYS_fcntl, [0, command, 0, 0, 0, 0], EPERM);
        }
    }
}
