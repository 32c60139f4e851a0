//! The server confines itself once it has started its keeper: whoever takes it over can execute nothing, start no process
//! and open no file but the server's own.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::child::{filter_calls, restrict_files};
use crate::filesystem::{FileRules, Use, landlock_abi};
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
    /// Directories and files that it reads: its configuration and its keys.
    pub read: Vec<PathBuf>,
    /// Directories in which it makes and writes files: its log's.
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

/// Confines this thread and those that it starts from now on, without a way back. What the machine lacks is left out. Call
/// this before this process has a second thread.
///
/// # Errors
/// A directory that is to be usable is not there, or the kernel refuses.
pub fn irrevocably_confine_server(files: &ServerFiles) -> io::Result<()> {
    // Read while it can be: a reload judges owners too.
    let _ = owner::unmapped();
    forbid_core_dumps()?;
    rustix::thread::set_no_new_privs(true)?;
    if landlock_abi() > 0 {
        let mut rules = FileRules::without_scopes()?;
        for path in &files.read {
            rules = rules.allow_path(path, Use::Read)?;
        }
        for path in &files.write {
            rules = rules.allow_path(path, Use::ReadAndWrite)?;
        }
        for path in &files.remove {
            rules = rules.allow_path(path, Use::RemoveFile)?;
        }
        for path in RUNTIME.iter().map(Path::new).filter(|path| path.exists()) {
            rules = rules.allow_path(path, Use::Read)?;
        }
        if let Some(ruleset) = rules.into_descriptor() {
            restrict_files(OwnedFd::as_fd(&ruleset))?;
        }
    }
    if rustix::thread::secure_computing_mode().is_ok() {
        filter_calls(&Filter::new(Subject::Server))?;
    }
    Ok(())
}
