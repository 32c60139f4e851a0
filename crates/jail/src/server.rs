//! The server confines itself: to its files once it has started its keeper, and to its system calls once its sockets are
//! bound. Whoever takes it over can answer wrongly what comes to it, and nothing else.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::child::{filter_calls, restrict_files};
use crate::filesystem::{FileRules, Use, landlock_abi};
use crate::identity::renounce_everything;
use crate::limits::NO_CORE;
use crate::seccomp::{Filter, Subject};

/// What the runtime reads to count processors and to seed its hashes, and which boot this is.
const RUNTIME: [&str; 5] = [
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/proc/self/cgroup",
    "/dev/urandom",
    "/proc/sys/kernel/random/boot_id",
];

/// The server's own files.
#[derive(Clone, Debug, Default)]
pub struct ServerFiles {
    /// Directories and files that it reads.
    pub read: Vec<PathBuf>,
    /// Directories in which it makes, writes and removes files: its log's.
    pub write: Vec<PathBuf>,
    /// Directories that hold nothing but a socket of its own, which it removes at its end.
    pub remove: Vec<PathBuf>,
}

/// Keeps the memory of this process, and of those that it starts from now on, out of core dumps: it holds keys, and secrets
/// of commands.
pub(crate) fn forbid_core_dumps() -> io::Result<()> {
    let most = getrlimit(Resource::Core).maximum.unwrap_or(u64::MAX).min(NO_CORE);
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(most), maximum: Some(most) })?)
}

/// Confines this thread and those that it starts from now on to these files, without a way back. It executes nothing from
/// now on. What the machine lacks is left out. Call this before this process has a second thread.
///
/// # Errors
/// A directory that is to be usable is not there, or the kernel refuses.
pub fn irrevocably_confine_server(files: &ServerFiles) -> io::Result<()> {
    forbid_core_dumps()?;
    rustix::thread::set_no_new_privs(true)?;
    if landlock_abi() > 0 {
        let mut rules = FileRules::nothing()?;
        for path in &files.read {
            rules = rules.allow_path(path, Use::Read)?;
        }
        for path in &files.write {
            rules = rules.allow_path(path, Use::MakeFiles)?;
        }
        for path in &files.remove {
            rules = rules.allow_path(path, Use::RemoveFile)?;
        }
        for path in RUNTIME.iter().map(Path::new).filter(|path| path.exists()) {
            rules = rules.allow_path(path, Use::Read)?;
        }
        enforce(rules)?;
    }
    Ok(())
}

/// Gives up all that a server needs no more once its sockets are bound: capabilities, and every system call that is not on
/// its list. Files that it makes belong to `group` from now on, where it is root. Call this after
/// [`irrevocably_confine_server`], and before this process has a second thread.
///
/// # Errors
/// There is a second thread, or the kernel refuses.
pub fn irrevocably_renounce(group: Option<u32>) -> io::Result<()> {
    // One that was there before would keep everything. A directory has a link for each directory in it, and two.
    const LINKS_OF_ONE: u64 = 3;
    if std::fs::metadata("/proc/self/task").is_ok_and(|tasks| tasks.nlink() > LINKS_OF_ONE) {
        return Err(io::Error::other("it has a second thread already"));
    }
    // What a file permits is what it is made with: it cannot be changed later.
    rustix::process::umask(Mode::empty());
    renounce_everything(group)?;
    if landlock_abi() > 0 {
        enforce(FileRules::no_network()?)?;
    }
    if rustix::thread::secure_computing_mode().is_ok() {
        filter_calls(&Filter::new(Subject::Server))?;
    }
    Ok(())
}

fn enforce(rules: FileRules) -> io::Result<()> {
    match rules.into_descriptor() {
        Some(ruleset) => Ok(restrict_files(OwnedFd::as_fd(&ruleset))?),
        None => Ok(()),
    }
}
