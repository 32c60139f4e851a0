//! Control groups around commands, where a machine delegates one: memory and processes of a command as a whole.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::daemon::{BIDDEN, Daemon, records};
use crate::jailed::{Workshop, rule};

/// A group as a service manager delegates it, removed with its test.
struct Delegated(PathBuf);

impl Delegated {
    /// Nothing, said aloud, where this machine or this user cannot make one.
    fn make(test: &str) -> Option<Self> {
        let made = Self::try_to_make(test);
        if made.is_none() {
            eprintln!(
                "SKIPPED: groups::{test}: this takes root, and cgroup v2 with the memory and pids controllers"
            );
        }
        made
    }

    fn try_to_make(test: &str) -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?;
        let controllers = std::fs::read_to_string(Path::new(mount).join("cgroup.subtree_control")).ok()?;
        let has = |name: &str| controllers.split_whitespace().any(|one| one == name);
        if !rustix::process::geteuid().is_root() || !has("memory") || !has("pids") {
            return None;
        }
        let group = Path::new(mount).join(format!("bidden-{}-{test}", std::process::id()));
        std::fs::create_dir(&group).ok()?;
        let made = Self(group);
        std::fs::create_dir(made.server()).ok()?;
        rustix::fs::setxattr(&made.0, "user.delegate", b"1", rustix::fs::XattrFlags::empty()).ok()?;
        Some(made)
    }

    fn server(&self) -> PathBuf {
        self.0.join("server")
    }

    /// Groups of keepers, and those of jails in them.
    fn groups(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let keepers: Vec<_> =
            groups_in(&self.0).into_iter().filter(|group| !group.ends_with("server")).collect();
        let jails = keepers.iter().flat_map(|keeper| groups_in(keeper)).collect();
        (keepers, jails)
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0.join("cgroup.kill"), "1");
        for _ in 0..200 {
            let (keepers, jails) = self.groups();
            for group in jails.iter().chain(&keepers).chain([&self.server(), &self.0]) {
                let _ = std::fs::remove_dir(group);
            }
            if !self.0.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

fn groups_in(group: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(group).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Runs the command `it` once, and gives the reply.
fn run(daemon: &Daemon) -> Value {
    let request = daemon.configuration().with_file_name("request.json");
    std::fs::write(&request, crate::jailed::RUN_IT).expect("written");
    let output = Command::new(BIDDEN).args(["send", "--to", &daemon.endpoint]).arg(&request).output();
    serde_json::from_slice(&output.expect("bidden starts").stdout).expect("JSON")
}

#[test]
fn memory_of_a_command_as_a_whole_has_an_end_which_is_told() {
    let Some(delegated) = Delegated::make("memory_of_a_command_as_a_whole_has_an_end_which_is_told") else {
        return;
    };
    let workshop = Workshop::open();
    let program = workshop.attack("memory_crowd");
    let crowd = |memory: &str| rule(&program, &["4", "50"], &format!("memory = {memory:?}"));
    let start = |memory| {
        Daemon::in_group(&delegated.server(), tempfile::tempdir().expect("a directory"), &crowd(memory))
    };
    let daemon = start("400MiB");
    let reply = run(&daemon);
    assert_eq!(reply["exit_code"], 0, "where there is enough, it is had: {reply:#}");
    let peak = reply["usage"]["peak_memory_bytes"].as_u64().expect("a number");
    let whole = std::fs::metadata(delegated.groups().1[0].join("memory.peak"));
    let told =
        whole.is_ok_and(|file| std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o200 != 0);
    assert!(
        !told || (200 << 20..400 << 20).contains(&peak),
        "all together, where the kernel tells: {reply:#}"
    );
    let records = daemon.stop();
    let lacks = records[0]["jail_lacks"].as_array().expect("a list");
    assert!(!lacks.contains(&json!("control_groups")), "{lacks:?}");
    let daemon = start("120MiB");
    for _ in 0..5 {
        let reply = run(&daemon);
        assert_eq!((&reply["status"], &reply["code"]), (&json!("error"), &json!("oom")), "{reply:#}");
        assert_eq!(reply["result"], "4 processes take 52428800 bytes each\n", "{reply:#}");
        assert!(
            reply["usage"]["peak_memory_bytes"].as_u64().is_some_and(|peak| peak > 50 << 20),
            "{reply:#}"
        );
    }
    assert!(delegated.groups().1.len() <= 10, "groups are used again: {:?}", delegated.groups());
    daemon.stop();
}

#[test]
fn processes_of_a_command_as_a_whole_have_an_end_on_every_kernel() {
    let Some(delegated) = Delegated::make("processes_of_a_command_as_a_whole_have_an_end_on_every_kernel")
    else {
        return;
    };
    let workshop = Workshop::open();
    let policy = rule(&workshop.attack("fork_bomb"), &["600"], "max_processes = 20");
    let daemon = Daemon::in_group(&delegated.server(), tempfile::tempdir().expect("a directory"), &policy);
    let reply = run(&daemon);
    let told = reply["result"].as_str().expect("text");
    assert!(told.contains("Resource temporarily unavailable"), "{reply:#}");
    daemon.stop();
}

#[test]
fn what_a_crash_left_is_removed_at_the_next_start() {
    let Some(delegated) = Delegated::make("what_a_crash_left_is_removed_at_the_next_start") else { return };
    let policy = rule(Path::new("/bin/true"), &[], "");
    let start = || Daemon::in_group(&delegated.server(), tempfile::tempdir().expect("a directory"), &policy);
    let mut crashed = start();
    assert_eq!(run(&crashed)["exit_code"], 0);
    let (left, _) = delegated.groups();
    assert_eq!(left.len(), 1);
    crashed.signal(Signal::KILL);
    crashed.wait();
    let began = std::time::Instant::now();
    // The keeper ends when it sees that the server is gone.
    while !std::fs::read_to_string(delegated.server().join("cgroup.procs")).expect("a group").is_empty() {
        assert!(began.elapsed().as_secs() < 10, "the keeper ends");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let daemon = start();
    assert_eq!(run(&daemon)["exit_code"], 0);
    let (now, _) = delegated.groups();
    assert_eq!(now.len(), 1, "{now:?}");
    assert_ne!(now, left);
    daemon.stop();
}

/// As a unit has it whose service manager knows `Delegate=`, but no `DelegateSubgroup=`.
#[test]
fn a_server_that_is_in_the_way_is_moved_aside() {
    let Some(delegated) = Delegated::make("a_server_that_is_in_the_way_is_moved_aside") else { return };
    let policy = rule(Path::new("/bin/true"), &[], "");
    let daemon = Daemon::in_group(&delegated.0, tempfile::tempdir().expect("a directory"), &policy);
    assert_eq!(run(&daemon)["exit_code"], 0);
    let moved = std::fs::read_to_string(delegated.server().join("cgroup.procs")).expect("a group");
    assert!(moved.lines().any(|pid| pid == daemon.pid().to_string()), "{moved}");
    let lacks = records(&daemon.log())[0]["jail_lacks"].clone();
    assert!(!lacks.as_array().expect("a list").contains(&json!("control_groups")), "{lacks}");
    daemon.stop();
}

#[test]
fn whether_there_is_a_delegated_group_is_told_at_the_start_and_by_doctor() {
    let doctor = Command::new(BIDDEN).args(["doctor", "--json"]).output().expect("bidden starts");
    let report: Value = serde_json::from_slice(&doctor.stdout).expect("JSON");
    let facts = &report["features"]["control_groups"];
    assert_eq!(facts["required"], false);
    let daemon = Daemon::start();
    let lacks = records(&daemon.log())[0]["jail_lacks"].clone();
    let lacking = lacks.as_array().expect("a list").contains(&json!("control_groups"));
    assert_eq!(facts["there"], !lacking, "{report:#}");
    daemon.stop();
}
