//! Attacks by what the users and processes of one machine share. Each succeeds outside of the jail, and fails inside.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::jailed::{RUN_IT, Workshop, as_server, bare, permit, rule, shell};
use crate::served::{ask, with_policy};

/// Several runs of one program, each with its arguments, in one server. The program is run outside first, where each must
/// succeed.
#[track_caller]
fn attack(workshop: Workshop, name: &str, runs: &[&[&str]], keys: &str, expected: &str) {
    let program = workshop.attack(name);
    let mut policy = String::new();
    for (index, run) in runs.iter().enumerate() {
        let output = bare(&program, run);
        assert!(
            output.status.success(),
            "{name} {run:?} fails without a jail: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        policy += &rule(&program, run, keys).replace("[commands.it]", &format!("[commands.c{index}]"));
    }
    with_policy(workshop.directory, &policy, async |served| {
        let connection = served.connect().await;
        for (index, run) in runs.iter().enumerate() {
            let request = format!(r#"{{"command_type":"os","command_name":"c{index}"}}"#);
            let reply = ask(&connection, &request).await;
            assert_eq!(
                (&reply["status"], &reply["exit_code"]),
                (&json!("success"), &json!(1)),
                "{name} {run:?} succeeds: {reply:#}"
            );
            let told = reply["result"].as_str().expect("text");
            assert!(told.contains(expected), "{name} {run:?}: {reply:#}");
        }
        served.stop().await;
    });
}

const REFUSED: &str = "Operation not permitted";

#[test]
fn no_datagram_reaches_a_socket_without_a_network() {
    let workshop = Workshop::open();
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    permit(directory.path(), 0o755);
    let path = directory.path().join("socket");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    permit(&path, 0o777);
    let path = path.to_str().expect("UTF-8");
    let runs: Vec<[&str; 2]> =
        ["sendto", "connect", "sendmsg", "sendmmsg"].iter().map(|way| [path, way]).collect();
    let runs: Vec<&[&str]> = runs.iter().map(<[&str; 2]>::as_slice).collect();
    let keys = format!("read = [{:?}]", directory.path());
    attack(workshop, "send_datagram", &runs, &keys, "Operation not permitted");
    socket.set_nonblocking(true).expect("set");
    let mut received = 0;
    while socket.recv(&mut [0; 16]).is_ok() {
        received += 1;
    }
    assert_eq!(received, runs.len(), "those that were sent outside");
}

#[test]
fn the_machine_s_sockets_have_no_names_without_a_network() {
    let name = format!("bidden-names-{}", std::process::id());
    let address =
        <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name)
            .expect("a name");
    let _socket = UnixDatagram::bind_addr(&address).expect("a socket");
    let script = "cat /proc/net/unix /proc/self/net/unix /proc/[0-9]*/net/unix";
    let outside = bare(Path::new("/bin/sh"), &["-c", "cat /proc/net/unix"]);
    assert!(String::from_utf8_lossy(&outside.stdout).contains(&name), "outside it has a name");
    let reply = Workshop::open().run(&shell(script, ""), RUN_IT);
    assert!(reply["result"].as_str().is_some_and(|told| !told.contains(&name)), "{reply:#}");
}

#[test]
fn leases_notifications_and_long_pipes_are_refused() {
    // A lease is for the owner of a file.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "").expect("written");
    let file = file.to_str().expect("UTF-8");
    let runs: [&[&str]; 3] = [&["lease", file], &["notify", "/usr"], &["pipe"]];
    let keys = format!("read = [{:?}]\n{}", directory.path(), as_server());
    attack(Workshop::open(), "take_shared", &runs, &keys, REFUSED);
}

#[test]
fn what_is_counted_by_user_has_an_end_for_each_command() {
    let runs: [&[&str]; 1] = [&["timers", "300"]];
    attack(Workshop::open(), "take_shared", &runs, "", "Resource temporarily unavailable");
    let runs: [&[&str]; 1] = [&["descriptors", "300"]];
    let expected = if rustix::process::geteuid().is_root() { "Too many open files" } else { REFUSED };
    attack(Workshop::open(), "take_shared", &runs, "", expected);
    let runs: [&[&str]; 1] = [&["locked"]];
    attack(Workshop::open(), "take_shared", &runs, "", "");
}

#[test]
fn memory_that_belongs_to_no_process_is_counted_or_refused() {
    // With a control group it counts as the command's memory, and the command ends as `oom`.
    if jail_counts_memory() {
        eprintln!(
            "SKIPPED: memory_that_belongs_to_no_process_is_counted_or_refused: groups.rs tries it with control groups"
        );
        return;
    }
    let runs: [&[&str]; 5] = [&["memfd", "300"], &["shm", "300"], &["sem"], &["msg"], &["queue"]];
    attack(Workshop::open(), "take_shared", &runs, "memory = \"256MiB\"", REFUSED);
}

/// Whether servers of these tests run in delegated control groups.
fn jail_counts_memory() -> bool {
    let output = Command::new(env!("CARGO_BIN_EXE_bidden")).args(["doctor", "--json"]).output();
    let machine: Value = serde_json::from_slice(&output.expect("it runs").stdout).expect("JSON");
    machine["features"]["control_groups"]["there"].as_bool().expect("it is said")
}

#[test]
fn a_private_tmp_is_no_larger_than_the_memory() {
    let script = "head -c 20000000 /dev/zero >/tmp/file; stat -c %s /tmp/file";
    for (memory, fits) in [("16MiB", false), ("64MiB", true)] {
        let reply = Workshop::open().run(&shell(script, &format!("memory = {memory:?}")), RUN_IT);
        let size: u64 = reply["result"].as_str().and_then(|told| told.trim().parse().ok()).expect("a size");
        assert_eq!(size == 20_000_000, fits, "{reply:#}");
    }
}

#[test]
fn neither_the_init_nor_another_process_is_changed() {
    let ways = ["limits", "see_limits", "affinity", "scheduler", "nice", "io", "nice_group"];
    let victim = Victim(Command::new("/bin/sleep").arg("1000").spawn().expect("it starts"));
    let number = victim.0.id().to_string();
    let workshop = Workshop::open();
    let program = workshop.attack("spoil_init");
    for way in ways {
        assert!(bare(&program, &[&number, way]).status.success(), "{way} fails without a jail");
    }
    let rule = |way: &&str| {
        rule(&program, &["1", way], as_server()).replace("[commands.it]", &format!("[commands.{way}]"))
    };
    let policy: String = ways.iter().map(rule).collect();
    with_policy(workshop.directory, &policy, async |served| {
        let connection = served.connect().await;
        for way in ways {
            let request = format!(r#"{{"command_type":"os","command_name":"{way}"}}"#);
            let reply = ask(&connection, &request).await;
            let expected = format!("{way}: {REFUSED}\n");
            assert_eq!((&reply["exit_code"], &reply["result"]), (&json!(1), &json!(expected)), "{reply:#}");
        }
        served.stop().await;
    });
}

/// A process that is ended with its test.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED: {test}: only a server of root gives users to jails and mounts file systems");
    }
    is_root
}

/// The users of commands that run at the same time.
#[test]
fn where_the_server_is_root_each_jail_has_a_user_of_its_own() {
    if !is_root("where_the_server_is_root_each_jail_has_a_user_of_its_own") {
        return;
    }
    let script =
        "id -u; id -g; id -G; sleep 1; echo again >/dev/stdout; ls -ldn /tmp/. >/dev/null; touch /tmp/mine";
    let policy = format!("[server]\njail_users = \"61000-61099\"\n{}", shell(script, ""));
    let workshop = Workshop::open();
    with_policy(workshop.directory, &policy, async |served| {
        let one = served.connect().await;
        let other = served.connect().await;
        let (one, other) = tokio::join!(ask(&one, RUN_IT), ask(&other, RUN_IT));
        let ids = |reply: &Value| {
            let told = reply["result"].as_str().expect("text").to_owned();
            assert_eq!(reply["exit_code"], 0, "{reply:#}");
            let mut lines = told.lines().map(str::to_owned);
            let ids: Vec<_> = lines.by_ref().take(3).collect();
            assert!(ids[0] == ids[1] && ids[1] == ids[2], "{reply:#}");
            assert_eq!(lines.next().as_deref(), Some("again"), "{reply:#}");
            ids[0].parse::<u32>().expect("a number")
        };
        let (one, other) = (ids(&one), ids(&other));
        assert!((61_000..=61_099).contains(&one) && (61_000..=61_099).contains(&other), "{one} {other}");
        assert_ne!(one, other);
        served.stop().await;
    });
}

#[test]
fn a_rule_that_names_its_user_gets_that_user() {
    if !is_root("a_rule_that_names_its_user_gets_that_user") {
        return;
    }
    for (keys, expected) in
        [("user = \"root\"", "0 0\n"), ("user = \"65534\"\ngroup = \"65534\"", "65534 65534\n")]
    {
        let reply = Workshop::open().run(&shell("echo $(id -u) $(id -g)", keys), RUN_IT);
        assert_eq!(reply["result"], expected, "{reply:#}");
    }
}

/// What only root may read of the kernel stays closed, also to commands of root.
#[test]
fn the_kernel_s_memory_is_not_told_to_root_s_commands() {
    if !is_root("the_kernel_s_memory_is_not_told_to_root_s_commands") {
        return;
    }
    let files =
        "/proc/kpageflags /proc/kpagecount /proc/slabinfo /proc/vmallocinfo /proc/kcore /proc/timer_list";
    let script = format!("for f in {files}; do head -c 16 $f 2>/dev/null; done | wc -c");
    let outside = bare(Path::new("/bin/sh"), &["-c", &script]);
    assert_ne!(String::from_utf8_lossy(&outside.stdout).trim(), "0", "outside they are told");
    for keys in ["", "user = \"root\"", "user = \"root\"\nsees_processes = true"] {
        let reply = Workshop::open().run(&shell(&script, keys), RUN_IT);
        let told = reply["result"].as_str().map(str::trim);
        assert_eq!(told, Some("0"), "{keys}: {reply:#}");
    }
}

/// A mount of a test's own, which it takes away.
struct Mounted(PathBuf);

impl Mounted {
    fn new(place: &Path) -> Self {
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", "mode=777", "none"]).arg(place).status();
        assert!(status.expect("mount(8)").success());
        Self(place.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn what_is_mounted_later_is_seen_and_not_changed() {
    if !is_root("what_is_mounted_later_is_seen_and_not_changed") {
        return;
    }
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    permit(place.path(), 0o777);
    let path = place.path().display();
    let script = format!("cat {path}/file; chmod 700 {path}/file 2>&1; echo >{path}/new");
    let policy = shell(&script, &format!("read = [{:?}]\nuser = \"root\"", place.path()));
    let workshop = Workshop::open();
    with_policy(workshop.directory, &policy, async |served| {
        let connection = served.connect().await;
        let reply = ask(&connection, RUN_IT).await;
        assert_eq!(reply["exit_code"], 2, "{reply:#}");
        let mounted = Mounted::new(place.path());
        std::fs::write(place.path().join("file"), "mounted\n").expect("written");
        // More often than jails were ready.
        for _ in 0..6 {
            let reply = ask(&connection, RUN_IT).await;
            let told = reply["result"].as_str().expect("text");
            assert!(told.starts_with("mounted\n") && told.contains("Read-only file system"), "{reply:#}");
        }
        drop(mounted);
        let reply = ask(&connection, RUN_IT).await;
        assert!(reply["result"].as_str().is_some_and(|told| !told.contains("mounted")), "{reply:#}");
        served.stop().await;
    });
}

/// In /etc programs replace files by new ones of the same name.
#[test]
fn files_of_etc_are_seen_as_they_are_now() {
    if !is_root("files_of_etc_are_seen_as_they_are_now") {
        return;
    }
    // One of another distribution, so that no file of this machine is touched.
    let names = ["redhat-release", "lsb-release", "debian_version", "locale.conf", "networks"];
    let missing = names.map(|name| Path::new("/etc").join(name)).into_iter().find(|path| !path.exists());
    let file = Made(missing.expect("no distribution has all of them"));
    file.replace("first\n");
    let workshop = Workshop::open();
    let policy = shell(&format!("cat {}", file.0.display()), "");
    with_policy(workshop.directory, &policy, async |served| {
        let connection = served.connect().await;
        assert_eq!(ask(&connection, RUN_IT).await["result"], "first\n");
        file.replace("second\n");
        // More often than jails were ready.
        for _ in 0..6 {
            let reply = ask(&connection, RUN_IT).await;
            assert_eq!(reply["result"], "second\n", "{reply:#}");
        }
        served.stop().await;
    });
}

/// A file that goes away with its test.
struct Made(PathBuf);

impl Made {
    fn replace(&self, text: &str) {
        let new = self.0.with_extension("bidden-test");
        std::fs::write(&new, text).expect("written");
        permit(&new, 0o644);
        std::fs::rename(new, &self.0).expect("renamed");
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
