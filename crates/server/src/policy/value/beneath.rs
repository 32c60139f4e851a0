//! Files beneath a directory, found by the kernel itself (openat2(2)) so that neither `..` nor a symbolic link leads out.
//!
//! The check is of the moment: whoever may write beneath the root can exchange a file after it.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat};
use rustix::io::Errno;

/// Most symbolic links that are followed for one path, as the kernel's MAXSYMLINKS.
const MAX_LINKS: usize = 40;

/// Most components that are looked at for one path, those of links included: each takes two system calls.
const MAX_STEPS: usize = 1024;

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

    /// What follows the root in a client's text, which is relative to it or begins with it, and whether it must be a
    /// directory. The root itself is empty.
    fn relative<'t>(&self, text: &'t str) -> Option<(&'t str, bool)> {
        let (clean, slash) = text.strip_suffix('/').map_or((text, false), |clean| (clean, true));
        let relative = if text.starts_with('/') {
            match clean.strip_prefix(self.prefix())? {
                "" => "",
                rest => rest.strip_prefix('/').filter(|relative| is_clean(relative))?,
            }
        } else if clean == "." {
            ""
        } else {
            Some(clean).filter(|relative| is_clean(relative))?
        };
        Some((relative, slash))
    }

    /// What stands before the slash in front of what is relative to it.
    fn prefix(&self) -> &str {
        if self.0 == "/" { "" } else { &self.0 }
    }

    fn path(&self, relative: &str) -> String {
        if relative.is_empty() { self.0.clone() } else { format!("{}/{relative}", self.prefix()) }
    }
}

/// What a path of a rule may lead to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file or a directory.
    #[default]
    FileOrDirectory,
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Pipes, sockets and devices too.
    Any,
}

impl FileKind {
    /// As the policy spells it; the default has no word.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::FileOrDirectory => None,
            Self::File => Some("file"),
            Self::Directory => Some("directory"),
            Self::Any => Some("any"),
        }
    }

    /// The one of that word.
    pub fn named(word: &str) -> Option<Self> {
        [Self::File, Self::Directory, Self::Any].into_iter().find(|kind| kind.as_str() == Some(word))
    }
}

/// What happens to symbolic links beneath the root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// A path with one is refused.
    #[default]
    Refused,
    /// They are followed as far as they stay beneath the root. The program gets the path without links.
    Followed,
}

/// The paths that a rule lets pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beneath {
    /// The directory.
    pub root: Root,
    /// What may be there.
    pub files: FileKind,
    /// Symbolic links on the way.
    pub links: Links,
}

/// Why a path does not pass, to stand behind what it must be.
type Reason = &'static str;

const NOT_BENEATH: Reason = "";
const MISSING: Reason = "there is none of that name";
const NO_LINKS: Reason = "a symbolic link is in its path, which this rule does not follow";
const LEADS_OUT: Reason = "a symbolic link in its path leads out of that directory";
const TOO_MANY_LINKS: Reason = "there are too many symbolic links in its path";
const UNREACHABLE: Reason = "the server cannot reach it";
const OTHER_KIND: Reason = "it is of another kind";

impl Beneath {
    /// Files and directories, without links.
    pub fn new(root: Root) -> Self {
        Self { root, files: FileKind::default(), links: Links::default() }
    }

    /// The absolute path, without links, for a client's text.
    pub(super) fn resolve(&self, text: &str) -> Result<String, Reason> {
        let (relative, slash) = self.root.relative(text).ok_or(NOT_BENEATH)?;
        let root = open_root(&self.root)?;
        let found = match self.links {
            Links::Refused => relative.to_owned(),
            Links::Followed => self.follow(&root, relative)?,
        };
        let file = open_beneath(&root, &found)?;
        let kind = FileType::from_raw_mode(fstat(&file).map_err(reason)?.st_mode);
        let accepted = match self.files {
            FileKind::FileOrDirectory => matches!(kind, FileType::RegularFile | FileType::Directory),
            FileKind::File => kind == FileType::RegularFile,
            FileKind::Directory => kind == FileType::Directory,
            FileKind::Any => true,
        };
        if !accepted || (slash && kind != FileType::Directory) {
            return Err(OTHER_KIND);
        }
        Ok(self.root.path(&found))
    }

    /// Replaces each link by what it leads to, as the kernel does for a program that opens the path.
    fn follow(&self, root: &OwnedFd, relative: &str) -> Result<String, Reason> {
        let mut pending: Vec<String> = components(relative);
        let mut found: Vec<String> = Vec::new();
        let (mut links, mut steps): (usize, usize) = (0, 0);
        while let Some(component) = pending.pop() {
            steps = steps.saturating_add(1);
            if steps > MAX_STEPS {
                return Err(TOO_MANY_LINKS);
            }
            match component.as_str() {
                "" | "." => continue,
                ".." => {
                    found.pop().ok_or(LEADS_OUT)?;
                    continue;
                }
                _ => {}
            }
            let directory = open_beneath(root, &found.join("/"))?;
            match readlinkat(&directory, component.as_str(), Vec::new()) {
                Err(Errno::INVAL) => found.push(component),
                Err(error) => return Err(reason(error)),
                Ok(target) => {
                    links = links.saturating_add(1);
                    if links > MAX_LINKS {
                        return Err(TOO_MANY_LINKS);
                    }
                    let target = target.into_string().map_err(|_| UNREACHABLE)?;
                    if target.starts_with('/') {
                        let beneath = target.strip_prefix(self.root.prefix()).ok_or(LEADS_OUT)?;
                        if !beneath.is_empty() && !beneath.starts_with('/') {
                            return Err(LEADS_OUT);
                        }
                        found.clear();
                        pending.extend(components(beneath));
                    } else {
                        pending.extend(components(&target));
                    }
                }
            }
        }
        Ok(found.join("/"))
    }
}

/// The last one first.
fn components(path: &str) -> Vec<String> {
    path.split('/').rev().map(str::to_owned).collect()
}

/// Whether every component is a name.
fn is_clean(relative: &str) -> bool {
    relative.split('/').all(|component| !matches!(component, "" | "." | ".."))
}

const PATH_ONLY: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

fn open_root(root: &Root) -> Result<OwnedFd, Reason> {
    openat(CWD, Path::new(&root.0), PATH_ONLY | OFlags::DIRECTORY, Mode::empty()).map_err(reason)
}

fn open_beneath(root: &OwnedFd, relative: &str) -> Result<OwnedFd, Reason> {
    let relative = if relative.is_empty() { "." } else { relative };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(root, Path::new(relative), PATH_ONLY, Mode::empty(), resolve).map_err(reason)
}

fn reason(error: Errno) -> Reason {
    match error {
        Errno::LOOP => NO_LINKS,
        Errno::NOENT => MISSING,
        Errno::NOTDIR => OTHER_KIND,
        _ => UNREACHABLE,
    }
}

/// The directory's path.
impl fmt::Display for Root {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
