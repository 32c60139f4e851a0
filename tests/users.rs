//! Servers of every kind of user: each starts with a configuration that names a command, runs it, and takes a changed one.
//! Where a server cannot tell whom a program belongs to it does not start, and says why.

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::daemon::{BIDDEN, Daemon, records};
use crate::jailed::permit;
use crate::printed::{check, text};

/// In front of `bidden`: who it is to be.
type Prefix = &'static [&'static str];

const ORDINARY: Prefix = &["setpriv", "--reuid", "4242", "--regid", "4242", "--clear-groups"];
const NOBODY: Prefix = &["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
const ROOT_OF_A_NAMESPACE: Prefix = &["unshare", "--user", "--map-root-user"];
const NOBODY_OF_A_NAMESPACE: Prefix = &["unshare", "--user"];

/// A directory of one server, with a copy of the program that every user can reach.
struct Place {
    directory: TempDir,
    prefix: Vec<&'static str>,
}

impl Place {
    /// Nothing, with the reason said, where the machine cannot have such a user.
    fn open(test: &str, prefixes: &[Prefix]) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        permit(directory.path(), 0o755);
        std::fs::copy(BIDDEN, directory.path().join("bidden")).expect("copied");
        let prefix = prefixes.concat();
        if let Some((program, arguments)) = prefix.split_first() {
            let tried = Command::new(program).args(arguments).arg("true").stderr(Stdio::null()).status();
            if !tried.is_ok_and(|status| status.success()) {
                eprintln!("SKIPPED: users::{test}: `{}` cannot be had here", prefix.join(" "));
                return None;
            }
        }
        Some(Self { directory, prefix })
    }

    /// The program as that user.
    fn command(&self) -> Command {
        let bidden = self.directory.path().join("bidden");
        let Some((program, arguments)) = self.prefix.split_first() else { return Command::new(bidden) };
        let mut command = Command::new(program);
        command.args(arguments).arg(bidden);
        command
    }

    /// Serves a configuration of these commands from a directory of the server's own.
    fn serve(&self, commands: &str, owner: u32) -> Daemon {
        let home = tempfile::tempdir_in(self.directory.path()).expect("a directory");
        std::os::unix::fs::chown(home.path(), Some(owner), Some(owner)).expect("given away");
        let path = home.path().join("bidden.toml");
        std::fs::write(&path, format!("{LISTENER}{commands}")).expect("written");
        Daemon::spawn(self.command(), home, &["--config", path.to_str().expect("UTF-8")])
    }
}

const LISTENER: &str = "[[listeners]]\nendpoint = 'tcp://127.0.0.1:*'\nplain = true\n";

/// A command that says who it is.
fn who(name: &str) -> String {
    format!("[commands.{name}]\nprogram = '/usr/bin/id'\narguments = ['-u']\n")
}

fn own() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[track_caller]
fn says(daemon: &Daemon, command: &str, user: Option<u32>) {
    let output = Command::new(BIDDEN).args(["run", "--to", &daemon.endpoint, command]).output();
    let output = output.expect("bidden starts");
    check(&output, 0, "\n", "");
    let said: u32 = text(&output.stdout).trim().parse().expect("a uid");
    // Under root a jail has a user of its own, who owns nothing.
    assert!(user.map_or(said >= 60_000, |user| said == user), "{said}");
}

/// Reloads this configuration; an error is the reason why it is not taken.
fn reload(daemon: &Daemon, commands: &str) -> Result<(), String> {
    std::fs::write(daemon.configuration(), format!("{LISTENER}{commands}")).expect("written");
    let before = records(&daemon.log()).len();
    daemon.signal(Signal::HUP);
    loop {
        for record in records(&daemon.log()).split_off(before) {
            match record["event"].as_str() {
                Some("policy_reloaded") => return Ok(()),
                Some("policy_refused") => return Err(record["reason"].to_string()),
                _ => {}
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn every_user_s_server_runs_what_its_configuration_names_also_after_a_reload() {
    const TEST: &str = "every_user_s_server_runs_what_its_configuration_names_also_after_a_reload";
    let users: &[(&[Prefix], u32, Option<u32>)] = if own() == 0 {
        &[
            (&[], 0, None),
            (&[ORDINARY], 4242, Some(4242)),
            (&[NOBODY], 65534, Some(65534)),
            (&[ROOT_OF_A_NAMESPACE], 0, Some(0)),
        ]
    } else {
        &[(&[], own(), Some(own()))]
    };
    for (prefixes, owner, user) in users {
        let Some(place) = Place::open(TEST, prefixes) else { continue };
        let daemon = place.serve(&who("first"), *owner);
        says(&daemon, "first", *user);
        let taken = reload(&daemon, &format!("{}{}", who("first"), who("second")));
        assert_eq!(taken, Ok(()), "{prefixes:?}");
        says(&daemon, "second", *user);
        if own() == 0 {
            // Owners are judged at a reload as at the start.
            let foreign = place.directory.path().join("foreign");
            std::fs::copy("/bin/true", &foreign).expect("copied");
            std::os::unix::fs::chown(&foreign, Some(4243), Some(4243)).expect("given away");
            let wrong = format!("[commands.foreign]\nprogram = {:?}\n", foreign.to_str().expect("UTF-8"));
            let said = reload(&daemon, &wrong).expect_err("a foreign program");
            assert!(said.contains("foreign belongs to user"), "{prefixes:?}: {said}");
            says(&daemon, "second", *user);
        }
        daemon.stop();
    }
}

/// In these namespaces root is not mapped, so that its programs look as those of any attacker do: also where the server's
/// own user looks so too.
#[test]
fn a_server_that_cannot_tell_root_from_others_starts_no_programs_and_says_why() {
    const TEST: &str = "a_server_that_cannot_tell_root_from_others_starts_no_programs_and_says_why";
    let users: &[&[Prefix]] = if own() == 0 {
        &[
            &[ORDINARY, ROOT_OF_A_NAMESPACE],
            &[ORDINARY, NOBODY_OF_A_NAMESPACE],
            &[NOBODY, ROOT_OF_A_NAMESPACE],
            &[NOBODY, NOBODY_OF_A_NAMESPACE],
            &[NOBODY_OF_A_NAMESPACE],
        ]
    } else {
        &[&[ROOT_OF_A_NAMESPACE], &[NOBODY_OF_A_NAMESPACE]]
    };
    let overflow = std::fs::read_to_string("/proc/sys/kernel/overflowuid").expect("a number");
    let reason =
        format!("`commands.it.program` /usr/bin/id belongs to user {}, the overflow uid", overflow.trim());
    for prefixes in users {
        let Some(place) = Place::open(TEST, prefixes) else { continue };
        let path = place.directory.path().join("bidden.toml");
        std::fs::write(&path, format!("{LISTENER}{}", who("it"))).expect("written");
        let output = place.command().args(["serve", "--config"]).arg(&path).output().expect("it starts");
        assert_eq!(output.status.code(), Some(125), "{prefixes:?}");
        assert!(text(&output.stderr).contains(&reason), "{prefixes:?}: {}", text(&output.stderr));
        // And `bidden doctor` says it beforehand.
        let doctor = place.command().arg("doctor").output().expect("it starts");
        assert!(text(&doctor.stdout).contains("owners: some"), "{prefixes:?}: {}", text(&doctor.stdout));
    }
}
