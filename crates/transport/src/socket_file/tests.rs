use super::{AccountSocket, SocketFileError, SocketMode, socket_path};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const OWN: SocketMode = SocketMode { mode: 0o600, group: None };

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("bidden.sock");
    (directory, path)
}

fn bind(path: &Path, access: SocketMode) -> Result<AccountSocket, SocketFileError> {
    AccountSocket::bind(&format!("ipc://{}", path.display()), access)
}

#[test]
fn the_path_is_absolute_and_without_detours() {
    for endpoint in ["ipc:///run/bidden/bidden.sock", "ipc:///b"] {
        assert!(socket_path(endpoint).is_some(), "{endpoint}");
    }
    let wrong = ["ipc://", "ipc://bidden.sock", "ipc://@bidden", "ipc:///", "ipc:///run/", "ipc:///a/../b"];
    for endpoint in wrong.into_iter().chain(["ipc:///a//b", "ipc:///a/./b", "ipc:///a\0b", "tcp:///a"]) {
        assert!(socket_path(endpoint).is_none(), "{endpoint}");
        assert!(matches!(AccountSocket::bind(endpoint, OWN), Err(SocketFileError::Endpoint(_))));
    }
}

#[test]
fn the_file_has_its_permissions_whatever_the_umask_says_and_goes_with_its_server() {
    let (directory, path) = place();
    for mode in [0o600, 0o660, 0o666] {
        let socket = bind(&path, SocketMode { mode, group: None }).expect("bound");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, mode);
        assert_eq!(socket.mode(), mode);
        drop(socket);
        assert!(!path.exists());
    }
    assert_eq!(fs::read_dir(directory.path()).expect("read").count(), 0, "nothing is left");
}

#[test]
fn the_group_is_the_one_that_was_asked_for() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: only root may give a file to any group");
        return;
    }
    let (_directory, path) = place();
    let socket = bind(&path, SocketMode { mode: 0o660, group: Some(4711) }).expect("bound");
    let metadata = fs::metadata(&path).expect("there");
    assert_eq!((metadata.gid(), metadata.mode() & 0o7777), (4711, 0o660));
    drop(socket);
}

#[test]
fn the_socket_of_a_dead_server_is_replaced_and_that_of_a_live_one_is_not() {
    let (_directory, path) = place();
    drop(UnixListener::bind(&path).expect("bound"));
    assert!(path.exists(), "its file is left");
    let live = bind(&path, OWN).expect("what is stale is replaced");
    assert!(UnixStream::connect(&path).is_ok());
    assert!(matches!(bind(&path, OWN), Err(SocketFileError::InUse(_))));
    assert!(UnixStream::connect(&path).is_ok(), "the live one is untouched");
    drop(live);
    assert!(!path.exists());
}

#[test]
fn what_is_no_socket_stays() {
    let (_directory, path) = place();
    fs::write(&path, "mine").expect("written");
    assert!(matches!(bind(&path, OWN), Err(SocketFileError::Occupied(_))));
    assert_eq!(fs::read_to_string(&path).expect("there"), "mine");
    fs::remove_file(&path).expect("removed");
    std::os::unix::fs::symlink("elsewhere", &path).expect("linked");
    assert!(matches!(bind(&path, OWN), Err(SocketFileError::Occupied(_))));
}

#[test]
fn a_file_of_another_server_is_not_removed() {
    let (_directory, path) = place();
    let first = bind(&path, OWN).expect("bound");
    fs::remove_file(&path).expect("somebody removes it");
    let second = bind(&path, OWN).expect("bound");
    drop(first);
    assert!(path.exists());
    drop(second);
}

#[test]
fn a_directory_that_others_may_write_is_refused() {
    let (directory, _) = place();
    let inner = directory.path().join("open");
    fs::create_dir(&inner).expect("made");
    for (mode, refused) in [(0o755, false), (0o775, true), (0o757, true), (0o1777, true), (0o700, false)] {
        fs::set_permissions(&inner, Permissions::from_mode(mode)).expect("set");
        let bound = bind(&inner.join("b.sock"), OWN);
        assert_eq!(matches!(bound, Err(SocketFileError::Directory { .. })), refused, "{mode:o}");
        // One above it matters as much, because it can be renamed there; with the sticky bit it cannot.
        let deeper = inner.join("deeper");
        let bound = bind(&deeper.join("b.sock"), OWN);
        assert_eq!(
            matches!(bound, Err(SocketFileError::Directory { .. })),
            refused && mode & 0o1000 == 0,
            "{mode:o}"
        );
        let _ = fs::remove_dir(&deeper);
    }
}

#[test]
fn a_missing_directory_is_made_for_all_to_find() {
    let (directory, _) = place();
    let socket = bind(&directory.path().join("bidden/b.sock"), OWN).expect("bound");
    let made = fs::metadata(directory.path().join("bidden")).expect("made");
    assert_eq!(made.mode() & 0o022, 0);
    drop(socket);
    let missing = bind(&directory.path().join("a/b/c.sock"), OWN);
    assert!(matches!(missing, Err(SocketFileError::Io { .. })));
}
