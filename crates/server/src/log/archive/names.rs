//! What the files of a log are called, by bidden itself and by others. A name alone makes nothing a file of the log: it
//! says what is looked into.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What a file is called as long as it is being made.
const UNFINISHED: &str = ".tmp";

const COMPRESSED: &str = ".gz";

/// As many digits as the number of a first record has in a name.
const DIGITS: usize = 12;

/// Where a file lies.
pub(in crate::log) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What a file is called from when it is rotated on: its first record stands in its name.
pub(in crate::log) fn rotated_name(path: &Path, first: u64) -> PathBuf {
    with_suffix(path, &format!(".{first:0DIGITS$}"))
}

/// What a thing is called that was found in the place of the log, when the log went on with this record.
pub(in crate::log) fn found_name(path: &Path, next: u64) -> PathBuf {
    with_suffix(path, &format!(".found-{next:0DIGITS$}"))
}

/// What a rotated file is called when it is compressed, and as long as that is being made.
pub(in crate::log) fn compressed_names(path: &Path) -> (PathBuf, PathBuf) {
    let compressed = with_suffix(path, COMPRESSED);
    (with_suffix(&compressed, UNFINISHED), compressed)
}

/// Whether bidden gave this name to a file of the log at `path`, compressed or not. Only these it compresses and removes.
pub(in crate::log) fn is_own_name(path: &Path, other: &Path) -> bool {
    let (name, other) = (name_of(path), name_of(other));
    let Some(rest) = other.strip_prefix(name).and_then(|rest| rest.strip_prefix(b".")) else { return false };
    let digits = rest.strip_suffix(COMPRESSED.as_bytes()).unwrap_or(rest);
    digits.len() >= DIGITS && digits.iter().all(u8::is_ascii_digit)
}

/// Whether a file of this name is looked into: it begins with the log's name (`server.log.1`, `server.log-20261123.gz`),
/// or has something between the two parts of it (`server-20261123.log`, as logrotate's `extension` makes it).
pub(super) fn may_be_rotated(path: &Path, other: &Path) -> bool {
    let (name, other) = (name_of(path), name_of(other));
    if other == name || other.ends_with(UNFINISHED.as_bytes()) {
        return false;
    }
    if other.starts_with(name) {
        return true;
    }
    let Some(dot) = memchr::memrchr(b'.', name).filter(|dot| *dot > 0) else { return false };
    let (stem, extension) = name.split_at_checked(dot).unwrap_or_default();
    let inside = other.strip_prefix(stem).filter(|rest| matches!(rest.first(), Some(b'.' | b'-' | b'_')));
    inside.is_some_and(|rest| {
        let at = memchr::memmem::rfind(rest, extension);
        let after = at.and_then(|at| rest.get(at.saturating_add(extension.len())..));
        after.is_some_and(|after| after.is_empty() || after.starts_with(b"."))
    })
}

fn name_of(path: &Path) -> &[u8] {
    path.file_name().unwrap_or_default().as_encoded_bytes()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::{is_own_name, may_be_rotated, rotated_name};
    use std::path::Path;

    #[test]
    fn names_that_rotation_and_hands_give_are_looked_into_and_others_are_not() {
        let log = Path::new("/var/log/bidden/server.log");
        for name in [
            "server.log.1",
            "server.log.2.gz",
            "server.log-20261123",
            "server.log-20261123.gz",
            "server.log-20261123-1764000000",
            "server.log-2026112310",
            "server.log_2026.xz",
            "server.log.bak",
            "server.log~",
            "server.log.000000000001",
            "server-20261123.log",
            "server-20261123.log.gz",
            "server.1.log",
        ] {
            assert!(may_be_rotated(log, &log.with_file_name(name)), "{name}");
        }
        for name in [
            "server.log",
            "server.log.1.gz.tmp",
            "server.seal",
            "server",
            "servers.log",
            "server-1.logs",
            "x.log.1",
        ] {
            assert!(!may_be_rotated(log, &log.with_file_name(name)), "{name}");
        }
        assert!(may_be_rotated(Path::new("audit"), Path::new("./audit.1")));
        assert!(!may_be_rotated(Path::new(".audit"), Path::new("./.bashrc")));
    }

    #[test]
    fn only_names_that_bidden_gives_are_its_own() {
        let log = Path::new("server.log");
        assert!(is_own_name(log, &rotated_name(log, 1)));
        assert!(is_own_name(log, &rotated_name(log, 1_234_567_890_123)));
        assert!(is_own_name(log, Path::new("server.log.000000000001.gz")));
        for other in
            ["server.log", "server.log.1", "server.log-20261123", "server.log.bak", "x.log.000000000001"]
        {
            assert!(!is_own_name(log, Path::new(other)), "{other}");
        }
    }
}
