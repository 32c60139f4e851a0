//! The program of a command, looked at when the policy is loaded: is it there, can nobody else exchange it, and is it
//! one that would start others?

use std::path::{Path, PathBuf};

use super::launchers::launcher;

/// What the rule says of a program that starts others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Launchers {
    Refused,
    Allowed,
}

/// The program's path, or why it must not be run; the reason stands behind its name.
pub(super) fn check(text: &str, launchers: Launchers) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if !text.starts_with('/') {
        return Err("must be an absolute path: no search path is used".to_owned());
    }
    if text.split('/').skip(1).any(|component| matches!(component, "" | "." | "..")) {
        return Err("must be a clean path, without `.`, `..`, `//` and `/` at its end".to_owned());
    }
    if text.chars().any(crate::policy::is_invisible) {
        return Err("must not hold control or format characters".to_owned());
    }
    let resolved = jail::examine_program(path)?;
    match launchers {
        Launchers::Allowed => {}
        Launchers::Refused => {
            for name in [path, &resolved].into_iter().filter_map(|path| path.file_name()?.to_str()) {
                if let Some(reason) = launcher(name) {
                    return Err(format!(
                        "is refused because {name} {reason}; if that is what you want, say `launcher = true`"
                    ));
                }
            }
        }
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Launchers, check};
    use std::fs::{Permissions, create_dir, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    #[track_caller]
    fn refused(path: &Path, words: &str) {
        let path = path.to_str().expect("UTF-8");
        let reason = check(path, Launchers::Refused).expect_err(path);
        assert!(reason.contains(words), "{path}: `{reason}` does not say `{words}`");
    }

    fn mode(path: &Path, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).expect("permitted");
    }

    #[test]
    fn a_program_of_the_system_is_taken() {
        assert_eq!(check("/usr/bin/uname", Launchers::Refused), Ok("/usr/bin/uname".into()));
    }

    #[test]
    fn a_path_is_absolute_and_clean() {
        for path in ["", "ping", "bin/ping", "./ping", "~/ping"] {
            refused(Path::new(path), "absolute");
        }
        for path in ["/usr/bin/../bin/uname", "/usr//bin/uname", "/usr/./bin/uname", "/usr/bin/uname/", "/"] {
            refused(Path::new(path), "clean");
        }
        refused(Path::new("/usr/bin/una\u{202e}me"), "format characters");
        refused(Path::new("/usr/bin/a\0b"), "control");
    }

    #[test]
    fn a_program_is_an_executable_file_that_exists() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("file");
        refused(&file, "cannot be found");
        write(&file, "").expect("written");
        mode(&file, 0o644);
        refused(&file, "is not executable");
        refused(directory.path(), "is not a regular file");
        refused(Path::new("/dev/null"), "is not a regular file");
    }

    #[test]
    fn nobody_else_can_exchange_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let inner = directory.path().join("inner");
        create_dir(&inner).expect("created");
        let file = inner.join("program");
        write(&file, "").expect("written");
        mode(&inner, 0o755);
        for writable in [0o775, 0o757, 0o777] {
            mode(&file, writable);
            refused(&file, "can be written by others");
        }
        mode(&file, 0o755);
        assert!(check(file.to_str().expect("UTF-8"), Launchers::Refused).is_ok());
        let link = directory.path().join("link");
        symlink(&file, &link).expect("linked");
        for writable in [0o775, 0o777] {
            mode(&inner, writable);
            refused(&file, "inner can be written by others");
            refused(&link, "inner can be written by others");
        }
        mode(&inner, 0o1777);
        assert!(check(file.to_str().expect("UTF-8"), Launchers::Refused).is_ok());
    }

    #[test]
    fn a_launcher_is_refused_under_any_name_until_the_rule_says_so() {
        for path in ["/bin/sh", "/usr/bin/env", "/usr/bin/python3", "/usr/bin/find"] {
            refused(Path::new(path), "launcher = true");
            assert!(check(path, Launchers::Allowed).is_ok());
        }
        let directory = tempfile::tempdir().expect("a directory");
        let harmless = directory.path().join("uptime");
        symlink("/usr/bin/env", &harmless).expect("linked");
        refused(&harmless, "env starts the program that its arguments name");
        let renamed = directory.path().join("bash");
        symlink("/usr/bin/uname", &renamed).expect("linked");
        refused(&renamed, "bash is a shell");
    }
}
