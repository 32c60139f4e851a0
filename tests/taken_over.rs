//! A server that was taken over: system calls are injected into the real one by ptrace(2), all that there are, as root and as an
//! ordinary user. What is left to it stands in docs/jail.md, with a reason for each.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::daemon::{BIDDEN, Daemon, log_in};
use crate::jailed::Workshop;
use crate::printed::check;

/// The exit code of the injector where the machine does not let it attach.
const SKIPPED: i32 = 77;

const EPERM: i64 = -1;
const EACCES: i64 = -13;
const ENOSYS: i64 = -38;

/// The user of the server that is no root's.
const ORDINARY: u32 = 4242;

/// Calls whose end would be the server's, or that return where it was interrupted: they are on the list, and not tried.
const NOT_TRIED: [&str; 4] = ["exit", "exit_group", "rt_sigreturn", "restart_syscall"];

/// `uretprobe` and `uprobe` of x86-64, which the kernel lets past every filter, and which fail unless the kernel's own code
/// has made them.
const OF_THE_KERNEL: [u64; 2] = [335, 336];

/// Arguments with which a call passes that does not pass with others. All others get -1 in the place of each.
const TELLING: &[(&str, &str)] = &[
    ("mmap", "0 4096 3 0x22 -1 0"),
    ("mprotect", "m: 4096 3"),
    // A thread that shares no signals: no such thing.
    ("clone", "0x10000 0 0 0 0"),
    // SIGABRT for no thread.
    ("tgkill", "OWN 0 6"),
    ("futex", "m: 1 0"),
    ("fcntl", "-1 1"),
    ("ioctl", "-1 0x5401 0"),
    ("sendto", "-1 0 0 0 0 0"),
    ("sendmsg", "-1 0 0"),
    ("setsockopt", "-1 1 9 0 0"),
    ("prlimit64", "0 7 0 m:"),
    ("prctl", "16 m:"),
];

struct Victim {
    daemon: Daemon,
    injector: PathBuf,
    numbers: BTreeMap<String, u64>,
    _workshop: Workshop,
    user: u32,
}

/// What the machine calls its system calls.
fn numbers() -> BTreeMap<String, u64> {
    let output = Command::new("cc")
        .args(["-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"])
        .output()
        .expect("a C compiler");
    let text = String::from_utf8(output.stdout).expect("text");
    let entries = text.lines().filter_map(|line| {
        let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
        Some((name.to_owned(), number.parse().ok()?))
    });
    entries.collect()
}

impl Victim {
    /// A server with keys, a policy and a seal, as this user.
    fn start(user: u32) -> Self {
        let workshop = Workshop::open();
        let injector = workshop.attack("inject");
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        let program = path.join("bidden");
        std::fs::copy(BIDDEN, &program).expect("copied");
        let run = |arguments: &[&str]| {
            let output =
                Command::new(BIDDEN).args(arguments).current_dir(path).output().expect("bidden starts");
            assert!(output.status.success(), "{output:?}");
        };
        run(&["keygen", "server"]);
        run(&["log", "keygen", "server.seal"]);
        let text = "[server]\nseal = 'server.seal'\n\
                    [[listeners]]\nendpoint = 'tcp://127.0.0.1:*'\nplain = true\n\
                    [[listeners]]\nendpoint = 'tcp://127.0.0.1:*'\nkey = 'server.key_secret'\n\
                    [commands.date]\nprogram = '/usr/bin/date'\n\
                    [roles.all]\ncommands = ['date']\nrights = ['compute']\n\
                    [users.local]\nroles = ['all']\n";
        std::fs::write(path.join("bidden.toml"), text).expect("written");
        log_in(path);
        let command = if user == 0 {
            Command::new(&program)
        } else {
            let owned = Command::new("chown").args(["-R", &format!("{user}:{user}")]).arg(path).status();
            assert!(owned.expect("chown").success());
            let mut command = Command::new("setpriv");
            command
                .args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"])
                .arg(&program);
            command
        };
        let daemon = Daemon::served_by(command, directory);
        Self { daemon, injector, numbers: numbers(), _workshop: workshop, user }
    }

    fn directory(&self) -> PathBuf {
        self.daemon.configuration().with_file_name("")
    }

    /// Makes a process do these calls, each a name and its arguments; nothing where that is forbidden here.
    fn inject(&self, process: u32, calls: &[String]) -> Option<Vec<i64>> {
        let mut injector = Command::new(&self.injector)
            .arg(process.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the injector starts");
        let mut lines = String::new();
        for call in calls {
            let (name, arguments) = call.split_once(' ').unwrap_or((call, ""));
            let number = name.parse().ok().or_else(|| self.numbers.get(name).copied()).expect(name);
            lines.push_str(&format!("{number} {}\n", arguments.replace("OWN", &process.to_string())));
        }
        let mut stdin = injector.stdin.take().expect("stdin");
        let writing = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
        let output = injector.wait_with_output().expect("it ends");
        let _ = writing.join().expect("no panic");
        if output.status.code() == Some(SKIPPED) {
            return None;
        }
        let text = String::from_utf8(output.stdout).expect("text");
        let results: Vec<i64> = text.lines().filter_map(|line| line.parse().ok()).collect();
        assert!(
            output.status.success() && results.len() == calls.len(),
            "{:?}: {text}",
            calls.get(results.len())
        );
        Some(results)
    }

    /// The server as it was.
    fn still_serves(&self, policy: &[u8]) {
        let mut compute = Command::new(BIDDEN);
        compute.args(["compute", "--to", &self.daemon.endpoint, "6*7"]);
        check(&compute.output().expect("bidden starts"), 0, "42\n", "");
        let mut run = Command::new(BIDDEN);
        run.args(["run", "--to", &self.daemon.endpoint, "date"]);
        assert!(run.output().expect("bidden starts").status.success());
        assert_eq!(std::fs::read(self.daemon.configuration()).expect("a policy"), policy);
    }
}

fn users() -> Vec<u32> {
    if rustix::process::geteuid().is_root() {
        vec![0, ORDINARY]
    } else {
        vec![rustix::process::geteuid().as_raw()]
    }
}

fn skip(test: &str) {
    eprintln!("SKIPPED: {test}: this machine lets no process be traced, or is no x86-64");
}

/// The names in the first column of the table of docs/jail.md.
fn documented() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/jail.md");
    let text = std::fs::read_to_string(path).expect("docs/jail.md");
    let (_, section) = text.split_once("### What is left to the server\n").expect("the section");
    let section = section.split("\n#").next().expect("a section");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let names = rows.flat_map(|cell| cell.split('`')).filter(|word| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    });
    names.map(str::to_owned).collect()
}

#[test]
fn of_all_system_calls_those_are_left_to_the_server_that_the_document_lists() {
    for user in users() {
        let victim = Victim::start(user);
        let policy = std::fs::read(victim.daemon.configuration()).expect("a policy");
        let names: BTreeMap<u64, &str> =
            victim.numbers.iter().map(|(name, number)| (*number, name.as_str())).collect();
        let untried: Vec<u64> =
            NOT_TRIED.iter().map(|name| victim.numbers[*name]).chain(OF_THE_KERNEL).collect();
        let tried: Vec<u64> = (0..1024).filter(|number| !untried.contains(number)).collect();
        let calls: Vec<String> = tried
            .iter()
            .map(|number| {
                let telling = TELLING.iter().find(|(name, _)| names.get(number) == Some(name));
                format!("{number} {}", telling.map_or("-1 -1 -1 -1 -1 -1", |(_, arguments)| arguments))
            })
            .collect();
        let Some(results) = victim.inject(victim.daemon.pid(), &calls) else {
            return skip("of_all_system_calls_those_are_left_to_the_server_that_the_document_lists");
        };
        let left = tried.iter().zip(&results).filter(|(_, result)| ![EPERM, ENOSYS].contains(result));
        let mut found: BTreeSet<String> = left
            .map(|(number, _)| {
                names.get(number).map_or_else(|| number.to_string(), |name| (*name).to_owned())
            })
            .collect();
        found.extend(NOT_TRIED.map(str::to_owned));
        let documented = documented();
        let too_much: Vec<_> = found.difference(&documented).collect();
        let too_little: Vec<_> = documented.difference(&found).collect();
        assert!(
            too_much.is_empty() && too_little.is_empty(),
            "user {user}: left and not documented {too_much:?}, documented and not left {too_little:?}"
        );
        victim.still_serves(&policy);
        victim.daemon.stop();
    }
}

/// What somebody would try who has taken the server over. `DIR` is the directory of the policy, `KEEPER` the server's child.
const ATTACKS: &[&str] = &[
    // The policy and keys: write, replace, remove, read.
    "openat -100 s:DIR/bidden.toml 1 0",
    "openat -100 s:DIR/bidden.toml 2 0",
    "openat -100 s:DIR/bidden.toml 0x241 0600",
    "openat -100 s:DIR/bidden.toml 0 0",
    "open s:DIR/bidden.toml 1 0",
    "rename s:DIR/log/server.log s:DIR/bidden.toml",
    "renameat2 -100 s:DIR/log/server.log -100 s:DIR/bidden.toml 0",
    "renameat2 -100 s:DIR/bidden.toml -100 s:DIR/log/x 0",
    "unlink s:DIR/bidden.toml",
    "unlinkat -100 s:DIR/bidden.toml 0",
    "link s:DIR/bidden.toml s:DIR/log/x",
    "symlink s:DIR/bidden.toml s:DIR/log/x",
    "truncate s:DIR/bidden.toml 0",
    "openat -100 s:DIR/server.key_secret 0 0",
    "openat -100 s:DIR/server.seal 0 0",
    "openat -100 s:DIR/server.seal 2 0",
    "unlink s:DIR/server.seal",
    // Files elsewhere.
    "openat -100 s:DIR/new 0x41 0600",
    "openat -100 s:DIR/log/../new 0x41 0600",
    "openat -100 s:/tmp/new 0x41 0600",
    "openat -100 s:DIR 0x410002 0600",
    "openat -100 s:/etc/passwd 0 0",
    "openat -100 s:/etc/shadow 0 0",
    "openat -100 s:/proc/KEEPER/mem 2 0",
    "openat -100 s:/proc/self/mem 2 0",
    "openat -100 s:/proc/KEEPER/environ 0 0",
    "openat -100 s:/dev/zero 2 0",
    "openat -100 s:/dev/null 2 0",
    "mkdir s:DIR/log/x 0700",
    "mknod s:DIR/log/x 010600 0",
    // Owners, permissions, attributes, times: of its own files, too.
    "chmod s:DIR/log/server.log 0666",
    "fchmod 2 0666",
    "fchmodat -100 s:DIR/bidden.toml 0666",
    "452 -100 s:DIR/bidden.toml 0666 0",
    "chown s:DIR/log/server.log 0 0",
    "fchown 2 0 0",
    "fchownat -100 s:DIR/bidden.toml 0 0 0",
    "setxattr s:DIR/log/server.log s:user.x m: 1 0",
    "fsetxattr 2 s:user.x m: 1 0",
    "utimensat -100 s:DIR/log/server.log 0 0",
    // Other services: every family, every way to connect. The address is 127.0.0.1:9, or /run/x.
    "socket 1 1 0",
    "socket 2 1 0",
    "socket 2 2 0",
    "socket 10 1 0",
    "socket 16 3 0",
    "socket 17 3 0",
    "socket 40 1 0",
    "socketpair 1 2 0 m:",
    "connect 5 x:020000097f0000010000000000000000 16",
    "connect 5 x:01002f72756e2f7800 9",
    "bind 5 x:020000097f0000010000000000000000 16",
    "listen 5 1",
    "sendto 5 m: 1 0 x:01002f72756e2f7800 9",
    "sendto 5 m: 1 0x20000000 x:020000097f0000010000000000000000 16",
    "sendmsg 5 m: 0x20000000",
    "sendmmsg 5 m: 1 0",
    // Other processes, and a signal to itself that would have it reload.
    "kill 1 0",
    "kill KEEPER 0",
    "kill KEEPER 9",
    "kill PARENT 0",
    "kill -1 0",
    "kill OWN 1",
    "tkill OWN 1",
    "tgkill OWN OWN 1",
    "tgkill KEEPER KEEPER 6",
    "tgkill KEEPER KEEPER 9",
    "rt_sigqueueinfo KEEPER 0 m:",
    "rt_tgsigqueueinfo OWN OWN 1 m:",
    "pidfd_open KEEPER 0",
    "pidfd_open OWN 0",
    "pidfd_send_signal 5 0 0 0",
    "pidfd_getfd 5 0 0",
    "ptrace 16 KEEPER 0 0",
    "ptrace 0x4206 KEEPER 0 0",
    "process_vm_readv KEEPER m: 1 m: 1 0",
    "process_vm_writev KEEPER m: 1 m: 1 0",
    "process_madvise 5 m: 1 4 0",
    "prlimit64 KEEPER 7 0 m:",
    "prlimit64 KEEPER 7 m: 0",
    "prlimit64 0 7 m: 0",
    "setpriority 0 KEEPER 19",
    "sched_setscheduler KEEPER 0 m:",
    "sched_setaffinity KEEPER 8 m:",
    "ioprio_set 1 KEEPER 0",
    "fcntl 2 8 KEEPER",
    "fcntl 2 10 9",
    "fcntl 2 1024 0",
    "ioctl 2 0x8901 m:",
    "kcmp OWN KEEPER 0 0 0",
    // Other programs and processes.
    "execve s:/bin/true 0 0",
    "execveat -100 s:/bin/true 0 0 0",
    "fork",
    "vfork",
    "clone 17 0 0 0 0",
    "clone 0x10010000 0 0 0 0",
    "clone3 m: 88",
    "mmap 0 4096 7 0x22 -1 0",
    "mmap 0 4096 5 0x22 -1 0",
    "mprotect m: 4096 5",
    "pkey_mprotect m: 4096 5 -1",
    "personality 0x400000",
    "arch_prctl 0x1002 0",
    "prctl 4 1",
    "prctl 0x59616d61 1",
    "seccomp 1 0 m:",
    // Privileges, namespaces, and the rare parts of the kernel.
    "setuid 0",
    "setresuid 0 0 0",
    "setgroups 0 0",
    "capset m: m:",
    "unshare 0x10000000",
    "setns 5 0",
    "mount s:/ s:/tmp 0 4096 0",
    "umount2 s:/tmp 0",
    "chroot s:DIR/log",
    "pivot_root s:/ s:/",
    "open_by_handle_at -100 m: 0",
    "keyctl 0 -3 0",
    "add_key s:user s:x m: 1 -3",
    "bpf 0 m: 8",
    "io_uring_setup 1 m:",
    "perf_event_open m: 0 -1 -1 0",
    "userfaultfd 0",
    "ioctl 2 0x5412 m:",
    "ioctl 0 0x541c m:",
    "inotify_init1 0",
    "fanotify_init 0 0",
    "mq_open s:/x 0x42 0600 0",
    "shmget 1 4096 01600",
    "reboot 0 0 0 0",
    "sethostname s:x 1",
    "clock_settime 0 m:",
];

#[test]
fn a_server_that_was_taken_over_changes_reaches_and_signals_nothing() {
    for user in users() {
        let victim = Victim::start(user);
        let policy = std::fs::read(victim.daemon.configuration()).expect("a policy");
        let directory = victim.directory();
        let directory = directory.to_str().expect("UTF-8").trim_end_matches('/');
        let server = victim.daemon.pid();
        let keeper =
            std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).expect("children");
        let keeper = keeper.split_whitespace().next().expect("a keeper").to_owned();
        let spelled = |call: &&str| {
            let call = call.replace("DIR", directory).replace("KEEPER", &keeper);
            call.replace("PARENT", &std::process::id().to_string())
        };
        // It can be injected into, and what the server needs it can do.
        let own = ["openat -100 s:DIR/log/server.log 2 0", "openat -100 s:DIR/log/new 0x41 0600", "getpid"];
        let Some(done) = victim.inject(server, &own.iter().map(spelled).collect::<Vec<_>>()) else {
            return skip("a_server_that_was_taken_over_changes_reaches_and_signals_nothing");
        };
        assert!(done.iter().all(|result| *result >= 0) && done[2] == i64::from(server), "{done:?}");
        let calls: Vec<String> = ATTACKS.iter().map(spelled).collect();
        let results = victim.inject(server, &calls).expect("it was possible before");
        let succeeded: Vec<_> = calls
            .iter()
            .zip(&results)
            .filter(|(_, result)| ![EPERM, EACCES, ENOSYS].contains(result))
            .collect();
        assert!(succeeded.is_empty(), "user {} can: {succeeded:?}", victim.user);
        // A listener that was ended is a socket that could connect by sending.
        let own: Vec<_> = std::fs::read_dir(format!("/proc/{server}/fd"))
            .expect("descriptors")
            .map(|entry| entry.expect("a descriptor").file_name().into_string().expect("a number"))
            .collect();
        let every: Vec<String> = own
            .iter()
            .map(|fd| format!("connect {fd} x:020000097f0000010000000000000000 16"))
            .chain(own.iter().map(|fd| format!("sendmsg {fd} m: 0x20000000")))
            .collect();
        let results = victim.inject(server, &every).expect("it was possible before");
        assert!(results.iter().all(|result| *result == EPERM), "{results:?}");
        victim.still_serves(&policy);
        let status = std::fs::read_to_string(format!("/proc/{server}/status")).expect("a process");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t0000000000000000\n")), "{status}");
        }
        assert!(user != 0 || status.contains("CapBnd:\t0000000000000000\n"), "{status}");
        victim.daemon.stop();
    }
}

#[test]
fn the_same_calls_succeed_in_a_process_that_is_not_confined() {
    let victim = Victim::start(rustix::process::geteuid().as_raw());
    let mut bare = Command::new("sleep").arg("1000").spawn().expect("it starts");
    let file = victim.directory().join("bidden.toml");
    let calls = [
        format!("openat -100 s:{} 2 0", file.display()),
        "socket 2 1 0".to_owned(),
        format!("kill {} 0", std::process::id()),
        "prlimit64 0 7 0 m:".to_owned(),
        "mmap 0 4096 7 0x22 -1 0".to_owned(),
        format!("chmod s:{} 0600", file.display()),
    ];
    let results = victim.inject(bare.id(), &calls);
    let _ = bare.kill();
    let _ = bare.wait();
    match results {
        None => skip("the_same_calls_succeed_in_a_process_that_is_not_confined"),
        Some(results) => assert!(results.iter().all(|result| *result >= 0), "{results:?}"),
    }
    victim.daemon.stop();
}
