//! Control groups (version 2, cgroups(7)): one for each jail, where the machine delegates a group to the server. They hold
//! what a command uses up as a whole, which limits of single processes cannot.
//!
//! ```text
//! delegated group
//! ├── server          the server, its keeper and its launchers
//! └── jails-KEEPER    as much of the processors as the server, when both want them
//!     └── LAUNCHER-N  a jail: its init, and the command with all that it starts
//! ```
//!
//! An init begins its life in its group, because moving a process from one group to another takes the kernel longer than
//! a command runs. A group is used again by the next jail of its launcher: making one is dear too, and what it has of the
//! file cache would keep a removed one in the kernel's memory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};
use rustix::process::Pid;

use crate::limits::INIT_MEMORY_BYTES;

/// Without these a group is of no use to a command.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];

/// By these attributes systemd tells which groups it has given away (`Delegate=`).
const DELEGATED: [&str; 2] = ["user.delegate", "trusted.delegate"];

/// The group of the server's own processes: one that has groups with controllers in it must not have processes.
const SERVER: &str = "server";

/// Before a keeper's number, the group of its jails.
const JAILS: &str = "jails-";

/// How often a group that was just emptied is tried to be removed.
const REMOVAL_ATTEMPTS: u32 = 3;

/// A group that was delegated to this server.
#[derive(Debug)]
pub(crate) struct Delegated {
    group: PathBuf,
    /// Its own group is the delegated one, and has to be left before it can have others.
    is_own: bool,
}

impl Delegated {
    /// The group in which this process's own lies, or its own, where it was delegated and has the controllers.
    pub(crate) fn find() -> Option<Self> {
        let own = own_group()?;
        let parent = own.parent().filter(|parent| is_delegated(parent));
        let found = match parent {
            Some(parent) => Self { group: parent.to_owned(), is_own: false },
            None if is_delegated(&own) => Self { group: own, is_own: true },
            None => return None,
        };
        let controllers = std::fs::read_to_string(found.group.join("cgroup.controllers")).ok()?;
        CONTROLLERS.iter().all(|name| controllers.split_whitespace().any(|one| one == *name)).then_some(found)
    }

    /// Makes it ready for jails, and removes what earlier keepers left in it. The caller and its server are moved aside
    /// where they are in the way.
    pub(crate) fn take(self) -> io::Result<Groups> {
        if self.is_own {
            let aside = self.group.join(SERVER);
            make_directory(&aside)?;
            for process in [rustix::process::getppid(), Some(rustix::process::getpid())].into_iter().flatten()
            {
                write(&aside.join("cgroup.procs"), &process.as_raw_nonzero().to_string())?;
            }
        }
        delegate_controllers(&self.group)?;
        for left in names(&self.group) {
            let keeper =
                left.strip_prefix(JAILS).and_then(|number| number.parse().ok()).and_then(Pid::from_raw);
            if keeper.is_some_and(|keeper| {
                rustix::process::test_kill_process(keeper) == Err(rustix::io::Errno::SRCH)
            }) {
                remove_tree(&self.group.join(left));
            }
        }
        let keeper = rustix::process::getpid().as_raw_nonzero();
        let directory = self.group.join(format!("{JAILS}{keeper}"));
        make_directory(&directory)?;
        delegate_controllers(&directory)?;
        Ok(Groups { directory })
    }
}

/// The group of this process, by its path among the files.
fn own_group() -> Option<PathBuf> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (root, place) = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        after.starts_with("cgroup2 ").then_some((fields.next()?, fields.next()?))
    })?;
    let beneath = Path::new(path).strip_prefix(root).ok()?;
    let own = Path::new(place).join(beneath);
    // Outside of what is mounted here, or of this namespace of groups, nothing can be done.
    (beneath != Path::new("") && !path.contains("/..")).then_some(own)
}

fn is_delegated(group: &Path) -> bool {
    DELEGATED.iter().any(|name| {
        let mut value = [0_u8; 8];
        rustix::fs::getxattr(group, *name, &mut value).is_ok_and(|length| value.get(..length) == Some(b"1"))
    })
}

/// Lets the groups in this one have limits of their own.
fn delegate_controllers(group: &Path) -> io::Result<()> {
    let control = group.join("cgroup.subtree_control");
    for controller in CONTROLLERS {
        write(&control, &format!("+{controller}"))?;
    }
    // Without it the processors are shared as everywhere else.
    let _ = write(&control, "+cpu");
    Ok(())
}

fn make_directory(path: &Path) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    // Not created where it is missing.
    File::options().write(true).open(path)?.write_all(text.as_bytes())
}

/// The groups in a group.
fn names(group: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(group).into_iter().flatten().flatten();
    let groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    groups.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Ends what still runs in a group and removes it. What cannot be removed yet is left for the next time.
fn remove(group: &Path) {
    let _ = write(&group.join("cgroup.kill"), "1");
    for _ in 0..REMOVAL_ATTEMPTS {
        match std::fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            _ => return,
        }
    }
}

fn remove_tree(group: &Path) {
    for name in names(group) {
        remove(&group.join(name));
    }
    remove(group);
}

/// Where the groups of a keeper's jails are.
#[derive(Debug)]
pub(crate) struct Groups {
    directory: PathBuf,
}

impl Groups {
    /// A new group for jails of this process, a launcher.
    pub(crate) fn make(&self, number: u32) -> io::Result<Group> {
        let launcher = rustix::process::getpid().as_raw_nonzero();
        let path = self.directory.join(format!("{launcher}-{number}"));
        std::fs::create_dir(&path)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let group = Group { directory: rustix::fs::open(&path, flags, Mode::empty())? };
        match group.write("memory.swap.max", "0") {
            // Where swapped memory is not counted.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(group),
            Err(error) => Err(error),
            Ok(()) => Ok(group),
        }
    }

    /// Removes the groups of launchers that are gone.
    pub(crate) fn sweep(&self, launchers: &BTreeSet<i32>) {
        for name in names(&self.directory) {
            let launcher = name.split_once('-').and_then(|(launcher, _)| launcher.parse().ok());
            if launcher.is_some_and(|launcher: i32| !launchers.contains(&launcher)) {
                remove(&self.directory.join(name));
            }
        }
    }
}

/// The group of a jail.
#[derive(Debug)]
pub(crate) struct Group {
    directory: OwnedFd,
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Group {
    fn open(&self, name: &str, flags: OFlags) -> io::Result<File> {
        Ok(openat(&self.directory, name, flags | OFlags::CLOEXEC, Mode::empty())?.into())
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        self.open(name, OFlags::WRONLY)?.write_all(text.as_bytes())
    }

    /// Ends whatever is left in it once its jail has ended; whether it is empty, and can be another jail's.
    pub(crate) fn clear(&self) -> bool {
        // Kernels before 5.14 have no such file; then there is the jail's own ending alone.
        let _ = self.write("cgroup.kill", "1");
        let mut events = String::new();
        let read =
            self.open("cgroup.events", OFlags::RDONLY).and_then(|mut file| file.read_to_string(&mut events));
        read.is_ok() && events.lines().any(|line| line == "populated 0")
    }

    /// Opens its files, before the jail makes everything read-only.
    pub(crate) fn watch(&self) -> io::Result<Watched> {
        Ok(Watched {
            memory: self.open("memory.max", OFlags::WRONLY)?,
            processes: self.open("pids.max", OFlags::WRONLY)?,
            events: self.open("memory.events", OFlags::RDONLY)?,
            killed_before: 0,
            peak: self.open("memory.peak", OFlags::RDWR).ok(),
        })
    }
}

/// The group of a jail, as its init sees it.
#[derive(Debug)]
pub(crate) struct Watched {
    memory: File,
    processes: File,
    events: File,
    killed_before: u64,
    /// The most memory since it was last written to, in kernels since 6.12.
    peak: Option<File>,
}

impl Watched {
    /// Limits a command, beside the init, and begins to watch.
    pub(crate) fn begin(&mut self, memory: u64, processes: u32) -> io::Result<()> {
        let memory = memory.saturating_add(INIT_MEMORY_BYTES);
        self.memory.write_all(memory.to_string().as_bytes())?;
        self.processes.write_all(processes.saturating_add(1).to_string().as_bytes())?;
        self.killed_before = self.killed()?;
        if self.peak.as_mut().is_some_and(|peak| peak.write_all(b"0").is_err()) {
            self.peak = None;
        }
        Ok(())
    }

    /// Ready to be read with priority when it has run out of memory, or nearly.
    pub(crate) fn events(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// Whether the kernel has ended one of its processes for want of memory. Makes [`Self::events`] wait for the next event.
    pub(crate) fn ran_out_of_memory(&mut self) -> bool {
        let before = self.killed_before;
        self.killed().is_ok_and(|killed| killed > before)
    }

    fn killed(&mut self) -> io::Result<u64> {
        let mut text = String::new();
        self.events.rewind()?;
        self.events.read_to_string(&mut text)?;
        Ok(killed_in(&text))
    }

    /// The most memory that it held at once since it began, if the kernel tells.
    pub(crate) fn peak(&mut self) -> Option<u64> {
        let mut text = String::new();
        let peak = self.peak.as_mut()?;
        peak.rewind().ok()?;
        peak.read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }
}

/// The processes that were ended for want of memory, as memory.events tells.
fn killed_in(events: &str) -> u64 {
    events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Group, killed_in};
    use crate::processes::{Namespace, Side, fork_into, leave};
    use rustix::fs::{Mode, OFlags};
    use rustix::process::{Signal, WaitOptions, waitpid};
    use std::os::fd::AsFd as _;
    use std::path::Path;

    #[test]
    fn the_processes_that_were_killed_are_counted() {
        assert_eq!(killed_in("low 0\nhigh 0\nmax 91\noom 3\noom_kill 2\noom_group_kill 7\n"), 2);
        assert_eq!(killed_in(""), 0);
    }

    /// This takes no controllers, so it can be tried on most machines.
    #[test]
    fn what_is_left_in_a_group_is_ended_with_it() {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("text");
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "));
        let place = mount.and_then(|line| line.split(' ').nth(4)).map(Path::new);
        let path = place.map(|place| place.join(format!("bidden-unit-{}", std::process::id())));
        let Some(path) = path.filter(|path| std::fs::create_dir(path).is_ok()) else {
            eprintln!("SKIPPED: what_is_left_in_a_group_is_ended_with_it: no group can be made here");
            return;
        };
        let directory = rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let group = Group { directory: directory.expect("opened") };
        let pid = match fork_into(group.as_fd(), Namespace::Same).expect("forked") {
            Side::Parent(pid) => pid,
            // Nothing here may allocate: the test has other threads.
            Side::Child => {
                let _ =
                    rustix::event::poll(&mut [], Some(&rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 }));
                leave(0)
            }
        };
        let inside = std::fs::read_to_string(path.join("cgroup.procs")).expect("text");
        assert_eq!(inside.trim(), pid.as_raw_nonzero().to_string(), "it began its life there");
        group.clear();
        let (_, status) = waitpid(Some(pid), WaitOptions::empty()).expect("a child").expect("ended");
        assert_eq!(status.terminating_signal(), Some(Signal::KILL.as_raw()));
        assert!(group.clear(), "and nobody is left");
        std::fs::remove_dir(path).expect("removed");
    }
}
