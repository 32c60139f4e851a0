//! Namespaces: the launcher's user namespace where it needs one, the network without interfaces that commands share,
//! and those that every jail has of its own.
//!
//! The keeper enters none of them: it judges whom files belong to, and a user namespace shows root's files as nobody's.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;

use rustix::process::WaitOptions;
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities, unshare_unsafe};

use crate::filesystem;
use crate::groups::{Group, Groups};
use crate::limits::{NOTIFIED_FILES_OF_JAILS, NOTIFIERS_OF_JAILS};
use crate::machine::{Feature, Machine, Privilege};
use crate::processes::{Namespace, Side, fork, fork_init, fork_into, leave};

/// Leaves namespaces that are shared with others. The launcher's processes have one thread.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    #[expect(unsafe_code, reason = "the wrapper is unsafe for the sake of one flag")]
    // SAFETY: no caller passes `FILES`.
    Ok(unsafe { unshare_unsafe(flags) }?)
}

/// Finds the right to make namespaces, or takes it in a user namespace of this process's own, in which there is the
/// one user that it is. Called only by processes that were forked for it and read no policy.
pub(crate) fn take_privilege() -> Privilege {
    if capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN)) {
        return Privilege::Administrator;
    }
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if unshare(UnshareFlags::NEWUSER).is_err() {
        return Privilege::None;
    }
    // Once unshared there is no way back: a process whose ids were not mapped is nobody, and so are its commands.
    let mapped = std::fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| std::fs::write("/proc/self/uid_map", format!("{user} {user} 1")))
        .and_then(|()| std::fs::write("/proc/self/gid_map", format!("{group} {group} 1")));
    if mapped.is_ok() { Privilege::UserNamespace } else { Privilege::None }
}

/// Limits what all processes of this user namespace take of their user's share of inotify(7).
pub(crate) fn limit_notifiers() {
    for (name, limit) in [("instances", NOTIFIERS_OF_JAILS), ("watches", NOTIFIED_FILES_OF_JAILS)] {
        // A /proc that is read-only, as in some containers, leaves it to the user's own limit.
        let _ = std::fs::write(format!("/proc/sys/user/max_inotify_{name}"), limit.to_string());
    }
}

/// A network of no interfaces. Commands share it: where there is no interface there is nothing to share. It belongs to the
/// user namespace of this process, and only from there can it be entered.
pub(crate) fn empty_network() -> io::Result<File> {
    let (ours, theirs) = crate::socket::pair()?;
    match fork()? {
        Side::Child => {
            drop(ours);
            let made = unshare(UnshareFlags::NEWNET);
            let _ = crate::socket::send(&theirs, if made.is_ok() { b"y" } else { b"n" }, &[]);
            // Until the other side has opened it.
            let _ = crate::socket::wait_and_receive(&theirs);
            leave(0)
        }
        Side::Parent(pid) => {
            drop(theirs);
            let opened = match crate::socket::wait_and_receive(&ours)?.bytes.as_slice() {
                b"y" => File::open(format!("/proc/{}/ns/net", pid.as_raw_nonzero())),
                _ => Err(io::Error::other("a network namespace cannot be made")),
            };
            drop(ours);
            rustix::process::waitpid(Some(pid), WaitOptions::empty())?;
            opened
        }
    }
}

/// The namespaces of a jail beside that for processes, in its init.
pub(crate) fn separate() -> io::Result<()> {
    unshare(UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS)?;
    filesystem::keep_mounts_to_ourselves()
}

/// Finds out what this machine can do, in a process that ends with the trial. Jails get groups of `groups`, where there are
/// some that a process can be started in.
pub(crate) fn explore(groups: Option<&Groups>) -> io::Result<Machine> {
    let (ours, theirs) = crate::socket::pair()?;
    match fork()? {
        Side::Child => {
            drop(ours);
            let mut machine = probe(take_privilege());
            if groups.is_some_and(|groups| groups_hold(groups, machine)) {
                machine.add(Feature::ControlGroups);
            }
            let _ = crate::socket::send(&theirs, &machine.encode(), &[]);
            leave(0)
        }
        Side::Parent(pid) => {
            drop(theirs);
            let answer = crate::socket::wait_and_receive(&ours);
            rustix::process::waitpid(Some(pid), WaitOptions::empty())?;
            Machine::decode(&answer?.bytes)
                .ok_or_else(|| io::Error::other("the trial of this machine failed"))
        }
    }
}

fn groups_hold(groups: &Groups, machine: Machine) -> bool {
    let namespace = Namespace::of_jails(machine);
    let started = |group: Group| succeeds_in(|| fork_into(group.as_fd(), namespace), || Ok(()));
    groups.make(0).is_ok_and(started)
}

/// Tries everything once, in processes that end with the trial.
fn probe(privilege: Privilege) -> Machine {
    let mut machine = Machine::new(privilege, filesystem::landlock_abi());
    if machine.landlock_abi > 0 {
        machine.add(Feature::Landlock);
    }
    if machine.landlock_abi >= 6 {
        machine.add(Feature::LandlockScopes);
    }
    if rustix::thread::secure_computing_mode().is_ok() {
        machine.add(Feature::Seccomp);
    }
    let trials: [(Feature, Trial); 6] = [
        (Feature::Namespaces, separate),
        (Feature::PrivateTmp, || separate().and_then(|()| filesystem::seal(&[]).map(drop))),
        (Feature::NetworkNamespace, || unshare(UnshareFlags::NEWNET)),
        (Feature::ProcessNamespace, || in_process_namespace(|| Ok(()))),
        (Feature::Proc, || in_process_namespace(|| separate().and_then(|()| filesystem::mount_proc()))),
        (Feature::ProcessLimit, || {
            in_process_namespace(|| {
                let limit = filesystem::open_process_limit()?;
                filesystem::limit_processes(&limit, crate::limits::PROCESSES)
            })
        }),
    ];
    for (feature, trial) in trials {
        let harmless = feature != Feature::ProcessLimit || filesystem::namespaces_limit_processes();
        if harmless && succeeds(trial) {
            machine.add(feature);
        }
    }
    machine
}

/// Something that a machine can do or not.
type Trial = fn() -> io::Result<()>;

fn in_process_namespace(trial: Trial) -> io::Result<()> {
    if succeeds_in(fork_init, trial) { Ok(()) } else { Err(io::Error::other("it cannot be done")) }
}

fn succeeds(trial: Trial) -> bool {
    succeeds_in(fork, trial)
}

fn succeeds_in(fork: impl FnOnce() -> io::Result<Side>, trial: Trial) -> bool {
    match fork() {
        Ok(Side::Child) => leave(i32::from(trial().is_err())),
        Ok(Side::Parent(pid)) => {
            let ended = rustix::process::waitpid(Some(pid), WaitOptions::empty());
            ended.is_ok_and(|ended| ended.is_some_and(|(_, status)| status.exit_status() == Some(0)))
        }
        Err(_) => false,
    }
}
