//! The file of a Unix socket: made with its permissions before anyone can connect, and removed at the end.
//!
//! Refuses a directory in which others could put another socket in its place, and the place of a server that lives.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Gid, Mode, RenameFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::limits::UNIX_BACKLOG;

/// A bound Unix socket, whose clients are named by the kernel.
#[derive(Clone, Debug)]
pub struct AccountSocket(Arc<Bound>);

#[derive(Debug)]
struct Bound {
    listener: UnixListener,
    endpoint: String,
    mode: u32,
    /// Dropped last, so that a file which is there leads to a socket.
    _file: SocketFile,
}

/// What was made, so that nothing else is removed.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Who may connect to a Unix socket, as far as its file says. Who may do what is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketMode {
    /// Read and write for its owner, its group and others, as chmod(2) has them.
    pub mode: u32,
    /// The group of the file, if it is to be another than the server's.
    pub group: Option<u32>,
}

/// Why a Unix socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum SocketFileError {
    /// The endpoint is not `ipc:///PATH`.
    #[error("`{0}` is not a Unix socket; write it as ipc:///PATH, such as ipc:///run/bidden/bidden.sock")]
    Endpoint(String),
    /// Others could put another socket in its place.
    #[error(
        "cannot listen on {path}: {directory} can be changed by others (mode {mode:04o}, user {owner}); use a directory that only root or the server's own user may write"
    )]
    Directory {
        /// The socket.
        path: PathBuf,
        /// The directory, or one above it.
        directory: PathBuf,
        /// Its permissions.
        mode: u32,
        /// Its owner.
        owner: u32,
    },
    /// A server listens there.
    #[error("cannot listen on {0}: another server listens there")]
    InUse(PathBuf),
    /// It is no socket, or that of somebody else.
    #[error(
        "cannot listen on {0}: something else is there that is no socket of this user; remove it or choose another path"
    )]
    Occupied(PathBuf),
    /// The system refused.
    #[error("cannot listen on {path}: {step}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What was refused.
        step: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl AccountSocket {
    /// Binds the socket of this endpoint. Its directory is made if only that is missing. What an earlier server left there
    /// is removed.
    ///
    /// # Errors
    /// See [`SocketFileError`].
    pub fn bind(endpoint: &str, access: SocketMode) -> Result<Self, SocketFileError> {
        let path = socket_path(endpoint).ok_or_else(|| SocketFileError::Endpoint(endpoint.to_owned()))?;
        let refused = |step| {
            let path = path.to_owned();
            move |error: Errno| SocketFileError::Io { path, step, source: error.into() }
        };
        let directory = path.parent().unwrap_or(Path::new("/"));
        match DirBuilder::new().mode(0o755).create(directory) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(SocketFileError::Io { path: path.to_owned(), step: "its directory", source });
            }
            Ok(()) | Err(_) => {}
        }
        refuse_foreign_directory(path, directory)?;
        remove_stale(path)?;
        // Under a name that nobody knows, and without listening, until its owner and permissions are right.
        let hidden = directory.join(format!(".{}", std::process::id()));
        let _ = fs::remove_file(&hidden);
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .map_err(refused("socket"))?;
        let address = SocketAddrUnix::new(&hidden).map_err(refused("its path"))?;
        SocketAddrUnix::new(path).map_err(refused("its path"))?;
        rustix::net::bind(&socket, &address).map_err(refused("bind"))?;
        let made = Self::publish(socket, &hidden, path, endpoint, access);
        if made.is_err() {
            let _ = fs::remove_file(&hidden);
        }
        made
    }

    fn publish(
        socket: OwnedFd,
        hidden: &Path,
        path: &Path,
        endpoint: &str,
        access: SocketMode,
    ) -> Result<Self, SocketFileError> {
        let refused = |step| {
            move |error: Errno| SocketFileError::Io { path: path.to_owned(), step, source: error.into() }
        };
        if let Some(group) = access.group {
            rustix::fs::chownat(CWD, hidden, None, Some(Gid::from_raw(group)), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(refused("its group"))?;
        }
        rustix::fs::chmod(hidden, Mode::from_raw_mode(access.mode)).map_err(refused("its mode"))?;
        rustix::net::listen(&socket, UNIX_BACKLOG).map_err(refused("listen"))?;
        let metadata = fs::symlink_metadata(hidden).map_err(|source| SocketFileError::Io {
            path: path.to_owned(),
            step: "its file",
            source,
        })?;
        match rustix::fs::renameat_with(CWD, hidden, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            // Another server came first.
            Err(Errno::EXIST) => return Err(SocketFileError::InUse(path.to_owned())),
            Err(error) => return Err(refused("its name")(error)),
        }
        let file = SocketFile { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() };
        let listener = UnixListener::from(socket);
        Ok(Self(Arc::new(Bound { listener, endpoint: endpoint.to_owned(), mode: access.mode, _file: file })))
    }

    pub(crate) fn listener(&self) -> io::Result<UnixListener> {
        self.0.listener.try_clone()
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.0.endpoint
    }

    /// The permissions of its file.
    pub fn mode(&self) -> u32 {
        self.0.mode
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_same = |there: Metadata| there.dev() == self.device && there.ino() == self.inode;
        if fs::symlink_metadata(&self.path).is_ok_and(is_same) {
            // A server that may not remove it leaves it to the next one, which finds that nobody listens.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The path of `ipc:///PATH`: absolute and without detours.
pub fn socket_path(endpoint: &str) -> Option<&Path> {
    let path = endpoint.strip_prefix("ipc://").filter(|path| path.starts_with('/'))?;
    let clean = path.split('/').skip(1).all(|component| !matches!(component, "" | "." | ".."));
    (clean && !path.contains('\0')).then(|| Path::new(path))
}

/// The directory itself is written by root and this user alone; in those above it others may write at most what they
/// own themselves (the sticky bit of /tmp).
fn refuse_foreign_directory(path: &Path, directory: &Path) -> Result<(), SocketFileError> {
    let own = rustix::process::geteuid().as_raw();
    let real = directory.canonicalize().map_err(|source| SocketFileError::Io {
        path: path.to_owned(),
        step: "its directory",
        source,
    })?;
    for (depth, directory) in real.ancestors().enumerate() {
        let metadata = fs::metadata(directory).map_err(|source| SocketFileError::Io {
            path: path.to_owned(),
            step: "its directory",
            source,
        })?;
        let mode = metadata.mode() & 0o7777;
        let is_sticky = depth > 0 && mode & 0o1000 != 0;
        if ![0, own].contains(&metadata.uid()) || (mode & 0o022 != 0 && !is_sticky) {
            return Err(SocketFileError::Directory {
                path: path.to_owned(),
                directory: directory.to_owned(),
                mode,
                owner: metadata.uid(),
            });
        }
    }
    Ok(())
}

/// Removes the socket of a server that is dead.
fn remove_stale(path: &Path) -> Result<(), SocketFileError> {
    let own = rustix::process::geteuid().as_raw();
    let io = |step| {
        let path = path.to_owned();
        move |source| SocketFileError::Io { path, step, source }
    };
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(io("what is there"))?,
    };
    if !metadata.file_type().is_socket() || ![0, own].contains(&metadata.uid()) {
        return Err(SocketFileError::Occupied(path.to_owned()));
    }
    if is_listening(path).map_err(io("what is there"))? {
        return Err(SocketFileError::InUse(path.to_owned()));
    }
    fs::remove_file(path).map_err(io("what an earlier server left"))
}

/// Whether somebody listens on a Unix socket. Never waits.
///
/// # Errors
/// It may not be asked, or it is not there.
pub fn is_listening(socket: &Path) -> io::Result<bool> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let probe = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&probe, &SocketAddrUnix::new(socket)?) {
        Err(Errno::CONNREFUSED) => Ok(false),
        // Connected, or too many wait to be.
        Ok(()) | Err(Errno::AGAIN) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
