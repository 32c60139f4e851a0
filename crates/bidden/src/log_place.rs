//! Where the log lies: in a directory for logs alone, the only one that the server may write in. Refuses one that holds, under
//! whatever name, a file that decides what may run or who may ask for it.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{Access, AtFlags, CWD, Gid, Mode};

/// Symbolic links that are followed on the way to one file, as the kernel does (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// Which file it is, by whatever name: device and inode.
type Identity = (u64, u64);

/// The log's file and its directory.
pub(crate) struct LogPlace {
    path: PathBuf,
    directory: PathBuf,
}

impl LogPlace {
    /// Has the group get what is made in the directory.
    pub(crate) fn prepare(path: PathBuf, group: Option<u32>) -> anyhow::Result<Self> {
        // Its files lie where the file itself lies, and the server opens none elsewhere.
        let path = if path.is_symlink() { path.canonicalize().unwrap_or(path) } else { path };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new(".")).to_owned();
        let place = Self { path, directory };
        group.map_or(Ok(()), |group| place.give_to(group))?;
        Ok(place)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The server can change no file's group once it serves. As root it makes them with this one; otherwise the directory does.
    fn give_to(&self, group: u32) -> anyhow::Result<()> {
        const SET_GROUP_ID: u32 = 0o2000;
        let Ok(metadata) = self.directory.metadata() else { return Ok(()) };
        let gives = metadata.mode() & SET_GROUP_ID != 0;
        if (gives && metadata.gid() == group) || (!gives && rustix::process::geteuid().is_root()) {
            return Ok(());
        }
        let mode = Mode::from_raw_mode(metadata.mode() & 0o7777 | SET_GROUP_ID);
        rustix::fs::chown(&self.directory, None, Some(Gid::from_raw(group)))
            .and_then(|()| rustix::fs::chmod(&self.directory, mode))
            .with_context(|| {
                let shown = self.directory.display();
                format!(
                    "cannot have files in {shown} belong to the group of `log_group`; as root: chgrp {group} {shown} && chmod g+s {shown}"
                )
            })
    }

    /// Refuses to start where the server could write one of these files, or put another in its place.
    pub(crate) fn refuse_others(&self, protected: impl IntoIterator<Item = PathBuf>) -> anyhow::Result<()> {
        let Ok(directory) = self.directory.canonicalize() else { return Ok(()) };
        let mounts = mounts_beneath(&directory);
        let writable: BTreeSet<Identity> =
            std::iter::once(&directory).chain(&mounts).filter_map(|path| identity(path)).collect();
        let mut linked = BTreeSet::new();
        for path in protected {
            let (places, found) = way_to(&path);
            if places.iter().any(|place| writable.contains(place)) {
                return self.refuse(&path);
            }
            linked.extend(found.filter(|found| found.nlink() > 1).map(|found| of(&found)));
        }
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_named = ["bidden.toml", "hosts.toml"].iter().any(|known| name == *known)
                || name.as_bytes().ends_with(b".key_secret");
            // Another name of the same file.
            let is_linked =
                !linked.is_empty() && identity(&entry.path()).is_some_and(|id| linked.contains(&id));
            if is_named || is_linked {
                return self.refuse(&entry.path());
            }
        }
        Ok(())
    }

    fn refuse(&self, path: &Path) -> anyhow::Result<()> {
        anyhow::bail!(
            "the log must have a directory for logs alone: {} holds {}, and whoever took the server over could change it; \
             move the log: [server] log = \"/var/log/bidden/server.log\", or --log",
            self.directory.display(),
            path.display(),
        )
    }

    /// Refuses a directory that the server has written until now because it had privileges.
    pub(crate) fn refuse_unwritable(&self) -> io::Result<()> {
        rustix::fs::accessat(CWD, &self.directory, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
            .map_err(|error| {
                let (shown, user) = (self.directory.display(), rustix::process::geteuid().as_raw());
                io::Error::other(format!(
                    "user {user} cannot write in the log's directory {shown} without privileges ({error}); chown {user} {shown}"
                ))
            })
    }
}

fn of(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

fn identity(path: &Path) -> Option<Identity> {
    path.metadata().ok().map(|metadata| of(&metadata))
}

/// Everything that decides where a path leads: each directory that is looked into, those above it, and the file. What is missing
/// ends the way.
fn way_to(path: &Path) -> (BTreeSet<Identity>, Option<Metadata>) {
    let mut places = BTreeSet::new();
    let Ok(absolute) = std::path::absolute(path) else { return (places, None) };
    let mut ahead: Vec<PathBuf> = components(&absolute);
    let mut at = PathBuf::from("/");
    let mut links = 0_usize;
    while let Some(next) = ahead.pop() {
        if next.as_os_str() == ".." {
            at.pop();
            continue;
        }
        places.extend(at.ancestors().filter_map(identity));
        let entry = at.join(&next);
        match fs::read_link(&entry) {
            Ok(target) => {
                links = links.saturating_add(1);
                if links > MAX_LINKS {
                    return (places, None);
                }
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                ahead.extend(components(&target));
            }
            Err(_) => at = entry,
        }
    }
    let found = at.metadata().ok();
    places.extend(found.as_ref().map(of));
    (places, found)
}

/// The last first.
fn components(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    });
    parts.collect()
}

/// What is mounted beneath a directory: landlock counts it to the directory.
fn mounts_beneath(directory: &Path) -> Vec<PathBuf> {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let points =
        table.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    points.map(unescaped).filter(|point| point.starts_with(directory) && point != directory).collect()
}

/// A path of the mount table, in which a backslash and three octal digits are one byte (proc(5)).
fn unescaped(mut text: &[u8]) -> PathBuf {
    let mut path = Vec::new();
    while let Some((first, rest)) = text.split_first() {
        let octal = rest
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        path.push(octal.unwrap_or(*first));
        text = if octal.is_some() { rest.get(3..).unwrap_or_default() } else { rest };
    }
    std::ffi::OsString::from_vec(path).into()
}

#[cfg(test)]
mod tests {
    use super::{LogPlace, unescaped};
    use std::fs::{create_dir, hard_link, write};
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    fn place(log: PathBuf) -> LogPlace {
        LogPlace::prepare(log, None).expect("prepared")
    }

    #[test]
    fn a_log_beside_what_decides_is_refused_by_whatever_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        for name in ["conf", "logs", "elsewhere"] {
            create_dir(root.join(name)).expect("made");
        }
        create_dir(root.join("logs/deep")).expect("made");
        for name in ["conf/policy", "logs/deep/policy", "elsewhere/policy"] {
            write(root.join(name), "").expect("written");
        }
        symlink(root.join("logs"), root.join("to-logs")).expect("linked");
        symlink(root.join("conf/policy"), root.join("logs/to-policy")).expect("linked");
        symlink("../logs/../conf", root.join("elsewhere/by-logs")).expect("linked");
        let log = root.join("logs/server.log");
        // Beside and above are no harm: the server writes beneath its directory alone.
        for apart in ["conf/policy", "elsewhere/policy", "missing/policy"] {
            assert!(place(log.clone()).refuse_others([root.join(apart)]).is_ok(), "{apart}");
        }
        // In it, below it, through a link to it, by a link in it, by a way through it.
        for within in [
            "logs/policy",
            "logs/deep/policy",
            "to-logs/deep/policy",
            "logs/to-policy",
            "elsewhere/by-logs/policy",
        ] {
            let error = place(log.clone()).refuse_others([root.join(within)]).expect_err(within).to_string();
            assert!(error.contains("[server] log = \"/var/log/bidden/server.log\""), "{error}");
        }
        // The log's directory by another name.
        let error = place(root.join("to-logs/server.log")).refuse_others([root.join("logs/deep/policy")]);
        assert!(error.is_err());
        // The file by another name in it.
        hard_link(root.join("conf/policy"), root.join("logs/harmless")).expect("linked");
        assert!(place(log).refuse_others([root.join("conf/policy")]).is_err());
    }

    #[test]
    fn names_of_policies_and_keys_are_refused_whatever_is_served() {
        for (name, refused) in [
            ("bidden.toml", true),
            ("hosts.toml", true),
            ("server.key_secret", true),
            ("server.key", false),
            ("server.log.1", false),
        ] {
            let directory = tempfile::tempdir().expect("a directory");
            write(directory.path().join(name), "").expect("written");
            let place = place(directory.path().join("server.log"));
            assert_eq!(place.refuse_others([]).is_err(), refused, "{name}");
        }
    }

    #[test]
    fn the_mount_table_is_read_as_it_is_written() {
        assert_eq!(unescaped(br"/a\040b\134\x"), Path::new("/a b\\\\x"));
    }
}
