//! Files beneath a directory, found by the kernel itself (openat2(2)) so that neither `..` nor a symbolic link leads out.
//!
//! The check is of the moment: whoever may write beneath the root can exchange a file after it.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

/// A directory beneath which paths may lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(String);

/// A root that is not an absolute, clean path of an existing directory in UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the absolute path of an existing directory, without `.`, `..` and `//`")]
pub struct InvalidRoot;

impl Root {
    /// A root that exists now.
    ///
    /// # Errors
    /// It is not absolute and clean, or no directory.
    pub fn new(path: PathBuf) -> Result<Self, InvalidRoot> {
        let directory = path.is_dir();
        let text = path.into_os_string().into_string().map_err(|_| InvalidRoot)?;
        let clean = text == "/" || text.strip_prefix('/').is_some_and(is_clean);
        if directory && clean { Ok(Self(text)) } else { Err(InvalidRoot) }
    }

    /// The absolute path for a client's text, which is relative to the root or starts with it.
    pub(super) fn resolve(&self, text: &str) -> Option<String> {
        let prefix = if self.0 == "/" { "" } else { self.0.as_str() };
        let relative = match text.strip_prefix('/') {
            None => text,
            Some(_) => text.strip_prefix(prefix)?.strip_prefix('/')?,
        };
        if !is_clean(relative) || !exists_beneath(&self.0, relative) {
            return None;
        }
        Some(format!("{prefix}/{relative}"))
    }
}

/// Whether every component is a name.
fn is_clean(relative: &str) -> bool {
    relative.split('/').all(|component| !matches!(component, "" | "." | ".."))
}

fn exists_beneath(root: &str, relative: &str) -> bool {
    let path_only = OFlags::PATH | OFlags::CLOEXEC;
    let Ok(directory) = openat(CWD, Path::new(root), path_only | OFlags::DIRECTORY, Mode::empty()) else {
        return false;
    };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(directory, Path::new(relative), path_only, Mode::empty(), resolve).is_ok()
}

/// The directory's path.
impl fmt::Display for Root {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Root;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_what_exists_beneath_the_root_is_a_path() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("root");
        std::fs::create_dir_all(root.join("sub")).expect("created");
        for file in ["root/a.log", "root/sub/b.log", "root/with space", "outside", "root-not"] {
            std::fs::write(directory.path().join(file), "").expect("written");
        }
        symlink("../outside", root.join("relative-link")).expect("linked");
        symlink(directory.path().join("outside"), root.join("absolute-link")).expect("linked");
        symlink("a.log", root.join("inner-link")).expect("linked");
        symlink("..", root.join("sub/up")).expect("linked");
        let shown = root.to_str().expect("UTF-8").to_owned();
        let root = Root::new(root).expect("a directory");
        for text in ["a.log", "sub/b.log", "sub", "with space"] {
            assert_eq!(root.resolve(text), Some(format!("{shown}/{text}")));
            assert_eq!(root.resolve(&format!("{shown}/{text}")), Some(format!("{shown}/{text}")));
        }
        for text in [
            "missing",
            "..",
            ".",
            "",
            "/",
            "../outside",
            "sub/../../outside",
            "sub/../a.log",
            "./a.log",
            "sub//b.log",
            "sub/",
            "a.log/",
            "relative-link",
            "absolute-link",
            "inner-link",
            "sub/up/outside",
            "sub/up/a.log",
            "/etc/passwd",
        ] {
            assert_eq!(root.resolve(text), None, "{text}");
        }
        assert_eq!(root.resolve(&format!("{shown}-not")), None);
        assert_eq!(root.resolve(&format!("{shown}/../outside")), None);
        assert_eq!(root.resolve(&shown), None);
    }

    #[test]
    fn a_root_is_an_absolute_clean_directory() {
        for path in ["", "tmp", "/tmp/../tmp", "/tmp//", "/tmp/", "/tmp/.", "/nonexistent", "/etc/passwd"] {
            assert!(Root::new(path.into()).is_err(), "{path}");
        }
        assert!(Root::new("/".into()).is_ok() && Root::new("/tmp".into()).is_ok());
        assert_eq!(Root::new("/".into()).expect("a root").resolve("tmp").as_deref(), Some("/tmp"));
    }
}
