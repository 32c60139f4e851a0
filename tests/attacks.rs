//! Attack programs: each succeeds outside of the jail, so that its test can fail, and fails inside, and the reply tells
//! truthfully how it ended.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::jailed::{RUN_IT, Workshop, as_server, bare, permit, processes_marked, rule, wait_until_gone};

/// Runs a program outside, where its attack must succeed, and inside, where it must fail, and returns the reply.
#[track_caller]
fn attack(workshop: Workshop, name: &str, arguments: &[&str], keys: &str) -> Value {
    let program = workshop.attack(name);
    let output = bare(&program, arguments);
    assert!(
        output.status.success(),
        "{name} fails without a jail: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    let reply = workshop.run(&rule(&program, arguments, keys), RUN_IT);
    assert_eq!(
        (&reply["status"], &reply["exit_code"]),
        (&json!("success"), &json!(1)),
        "{name} {arguments:?} succeeds: {reply:#}"
    );
    reply
}

/// A process that is ended with its test.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn told(reply: &Value) -> &str {
    reply["result"].as_str().expect("text")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn no_file_outside_its_paths_is_read() {
    let workshop = Workshop::open();
    let secret = workshop.outside().join("secret");
    std::fs::write(&secret, "secret").expect("written");
    let secret = text(&secret).to_owned();
    attack(workshop, "read_outside", &[&secret], "");
    // Beneath /tmp the jail has a directory of its own, which it may write.
    for place in [env!("CARGO_TARGET_TMPDIR"), "/tmp", "/var/tmp"] {
        let outside = tempfile::tempdir_in(place).expect("a directory");
        let secret = outside.path().join("secret");
        std::fs::write(&secret, "secret").expect("written");
        let workshop = Workshop::open();
        let program = workshop.attack("read_outside");
        let keys = format!("read = [{:?}]", outside.path());
        let reply = workshop.run(&rule(&program, &[text(&secret)], &keys), RUN_IT);
        assert_eq!(reply["exit_code"], 0, "what its rule names it reads: {reply:#}");
        assert!(told(&reply).contains("open for writing: not read"), "{reply:#}");
    }
}

#[test]
fn nothing_is_written_anywhere() {
    let victim = |workshop: &Workshop| {
        std::fs::write(workshop.outside().join("victim"), "victim").expect("written");
        text(workshop.outside()).to_owned()
    };
    let workshop = Workshop::open();
    let directory = victim(&workshop);
    let program = workshop.attack("write_anywhere");
    assert!(bare(&program, &[&directory]).status.success());
    victim(&workshop);
    let reply = workshop.run(&rule(&program, &[&directory], ""), RUN_IT);
    assert_eq!(reply["exit_code"], 1, "{reply:#}");
    let workshop = Workshop::open();
    let directory = victim(&workshop);
    let program = workshop.attack("write_anywhere");
    let reply = workshop
        .run(&rule(&program, &[&directory], &format!("write = [{directory:?}]\n{}", as_server())), RUN_IT);
    assert!(told(&reply).contains("create: done"), "what its rule names it writes: {reply:#}");
    assert!(told(&reply).contains("write into /etc: Read-only file system"), "{reply:#}");
}

#[test]
fn nothing_is_connected_to() {
    let workshop = Workshop::open();
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = tcp.local_addr().expect("bound").port().to_string();
    let path = workshop.outside().join("socket");
    let _listener = UnixListener::bind(&path).expect("a listener");
    let name = format!("bidden-attack-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let _abstract = UnixListener::bind_addr(&address).expect("a listener");
    let reply = attack(workshop, "connect_out", &[&port, text(&path), &name], "");
    assert!(!told(&reply).contains("connected"), "{reply:#}");
    // With the machine's network TCP works; abstract sockets and raw packets still do not.
    let workshop = Workshop::open();
    let program = workshop.attack("connect_out");
    let reply = workshop.run(&rule(&program, &[&port, "/nonexistent", &name], "network = true"), RUN_IT);
    assert!(told(&reply).contains("tcp: connected"), "{reply:#}");
    assert!(told(&reply).contains("an abstract socket: Operation not permitted"), "{reply:#}");
    assert!(told(&reply).contains("raw packets: Address family not supported"), "{reply:#}");
}

#[test]
fn other_processes_are_neither_seen_nor_signalled() {
    let victim = Victim(Command::new("/bin/sleep").arg("1000").spawn().expect("it starts"));
    let reply = attack(Workshop::open(), "touch_processes", &[&victim.0.id().to_string()], "");
    assert_eq!(told(&reply), "nobody is here\n");
    // Who may see them still cannot signal them.
    let workshop = Workshop::open();
    let program = workshop.attack("touch_processes");
    let reply = workshop.run(&rule(&program, &[&victim.0.id().to_string()], "sees_processes = true"), RUN_IT);
    assert!(told(&reply).starts_with("saw ") && !told(&reply).contains("signalled"), "{reply:#}");
}

#[test]
fn a_fork_bomb_goes_off_in_its_jail() {
    let reply = attack(Workshop::open(), "fork_bomb", &["600"], "");
    assert!(told(&reply).contains("Resource temporarily unavailable"), "{reply:#}");
}

#[test]
fn memory_has_an_end() {
    let reply = attack(Workshop::open(), "memory_bomb", &["300"], "memory = \"256MiB\"");
    assert!(told(&reply).contains("Cannot allocate memory"), "{reply:#}");
    let peak = reply["usage"]["peak_memory_bytes"].as_u64().expect("a number");
    assert!((100 << 20..=256 << 20).contains(&peak), "{reply:#}");
}

#[test]
fn the_disk_is_not_filled() {
    let workshop = Workshop::open();
    let directory = text(workshop.outside()).to_owned();
    let program = workshop.attack("fill_disk");
    assert!(bare(&program, &[&directory, "100"]).status.success());
    let reply = workshop.run(&rule(&program, &["/tmp", "100"], ""), RUN_IT);
    assert_eq!(reply["exit_code"], 1, "{reply:#}");
    assert!(told(&reply).contains("No space left on device"), "{reply:#}");
    // Where it may write, a single file still has an end.
    let workshop = Workshop::open();
    let directory = text(workshop.outside()).to_owned();
    let program = workshop.attack("fill_disk");
    let keys = format!("write = [{directory:?}]\nmax_file = \"5MiB\"\n{}", as_server());
    let reply = workshop.run(&rule(&program, &[&directory, "100"], &keys), RUN_IT);
    assert_eq!(reply["exit_code"], 1, "{reply:#}");
    assert!(told(&reply).contains("wrote 5 of 100 MiB in 1 files"), "{reply:#}");
}

#[test]
fn nothing_survives_a_time_out() {
    let mark = format!("survivor-{}-timeout", std::process::id());
    let workshop = Workshop::open();
    let program = workshop.attack("survive");
    // Outside, what it leaves behind outlives it.
    let outside = Victim(Command::new(&program).arg(&mark).stdout(Stdio::null()).spawn().expect("it starts"));
    while processes_marked(&mark).len() < 3 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    drop(outside);
    let survivors = processes_marked(&mark);
    assert_eq!(survivors.len(), 2, "outside, two survive");
    for pid in survivors {
        let pid = rustix::process::Pid::from_raw(pid).expect("a process");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("alive");
    }
    wait_until_gone(&mark);
    let request = r#"{"command_type":"os","command_name":"it","timeout":0.5}"#;
    let reply = workshop.run(&rule(&program, &[&mark], ""), request);
    assert_eq!((&reply["code"], told(&reply)), (&json!("timed_out"), "left two behind\n"));
    assert!(processes_marked(&mark).is_empty(), "when the reply is there, everyone is gone");
}

#[test]
fn nobody_keeps_a_pipe_open_after_the_end() {
    let mark = format!("survivor-{}-pipe", std::process::id());
    let workshop = Workshop::open();
    let program = workshop.attack("survive");
    let began = std::time::Instant::now();
    let reply = workshop.run(&rule(&program, &[&mark, "exit"], ""), RUN_IT);
    assert_eq!((&reply["exit_code"], told(&reply)), (&json!(0), "left two behind\n"));
    assert!(began.elapsed().as_secs() < 10);
    assert!(processes_marked(&mark).is_empty(), "when the reply is there, everyone is gone");
}

#[test]
fn endless_output_is_ended_and_told_so() {
    let workshop = Workshop::open();
    let program = workshop.attack("endless_output");
    assert_eq!(bare(&program, &["3"]).stdout.len(), 3 << 20, "outside, nothing ends it");
    let reply = workshop.run(&rule(&program, &[], "max_output = \"2MiB\""), RUN_IT);
    assert_eq!((&reply["code"], &reply["truncated"]), (&json!("output_limit"), &json!(true)));
    assert!(
        reply["usage"]["output_bytes"].as_u64().is_some_and(|bytes| bytes > 2 << 20),
        "{}",
        reply["usage"]
    );
}

#[test]
fn processor_time_has_an_end() {
    let workshop = Workshop::open();
    let program = workshop.attack("burn_processor");
    let mut outside = Victim(Command::new(&program).spawn().expect("it starts"));
    while processor_ticks(outside.0.id()) < 120 {
        assert!(outside.0.try_wait().expect("a child").is_none(), "outside, nothing ends it");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    drop(outside);
    let reply = workshop.run(&rule(&program, &[], "cpu_time = \"1s\""), RUN_IT);
    assert_eq!(reply["code"], "cpu_limit", "{reply:#}");
    assert!(
        reply["usage"]["cpu_ms"].as_f64().is_some_and(|used| (500.0..3000.0).contains(&used)),
        "{reply:#}"
    );
}

/// The time on a processor of a process, in hundredths of a second (`proc_pid_stat(5)`).
fn processor_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a process");
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(11)?.parse().ok()).expect("a number")
}

#[test]
fn a_set_user_id_program_gains_nothing() {
    if !rustix::process::geteuid().is_root() {
        eprintln!(
            "SKIPPED: a_set_user_id_program_gains_nothing: only root can make such a program of root's"
        );
        return;
    }
    let workshop = Workshop::open();
    let compiled = workshop.attack("gain_privileges");
    // Not in /tmp, which may be mounted without set-user-id programs.
    let program = workshop.outside().join("gain");
    std::fs::copy(compiled, &program).expect("copied");
    permit(&program, 0o4755);
    let as_nobody = |command: &mut Command| {
        use std::os::unix::process::CommandExt as _;
        command.uid(65534).gid(65534).stdin(Stdio::null()).output().expect("it starts")
    };
    let output = as_nobody(&mut Command::new(&program));
    assert!(output.status.success(), "outside it is root: {}", String::from_utf8_lossy(&output.stdout));
    let policy = rule(&program, &[], "user = \"65534\"\ngroup = \"65534\"");
    let reply = workshop.run(&policy, RUN_IT);
    assert_eq!(told(&reply), "user 65534, effective user 65534\n", "{reply:#}");
    assert_eq!(reply["exit_code"], 1);
}

#[test]
fn the_kernel_s_rare_calls_are_refused() {
    let calls = [
        "ptrace",
        "mount",
        "chroot",
        "bpf",
        "io_uring",
        "userfaultfd",
        "keyctl",
        "perf",
        "unshare",
        "clone",
        "sethostname",
    ];
    for call in calls {
        let workshop = Workshop::open();
        let outside = bare(&workshop.attack("call_kernel"), &[call]);
        if !outside.status.success() && !rustix::process::geteuid().is_root() {
            eprintln!(
                "SKIPPED: the_kernel_s_rare_calls_are_refused: {call}: this user may not do it outside either"
            );
            continue;
        }
        let reply = attack(workshop, "call_kernel", &[call], "");
        assert_eq!(told(&reply), format!("{call}: Operation not permitted\n"));
    }
}

#[test]
fn no_shell_is_executed_in_any_way() {
    let reply = attack(Workshop::open(), "exec_shell", &[], "");
    assert_eq!(told(&reply).matches("no shell").count(), 6, "{reply:#}");
    let workshop = Workshop::open();
    let program = workshop.attack("exec_shell");
    let reply = workshop.run(&rule(&program, &[], "may_exec = true"), RUN_IT);
    assert!(told(&reply).starts_with("way 0: a shell\n"), "where its rule says so, it may: {reply:#}");
}

#[test]
fn nothing_of_the_server_s_is_inherited() {
    let workshop = Workshop::open();
    let program = workshop.attack("inherit");
    // A descriptor without close-on-exec, as a careless library leaves it, and a variable.
    let file = std::fs::File::open("/etc/passwd").expect("a readable file");
    let leaked = rustix::io::fcntl_dupfd_cloexec(&file, 100).expect("dup");
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).expect("clear the flag");
    let outside = Command::new(&program).env("LD_BIND_NOW", "1").output().expect("it starts");
    let shown = String::from_utf8_lossy(&outside.stdout).into_owned();
    assert!(
        shown.contains("descriptor 100: /etc/passwd") && shown.contains("variable LD_BIND_NOW"),
        "{shown}"
    );
    let reply = workshop.run(&rule(&program, &[], ""), RUN_IT);
    assert_eq!((&reply["exit_code"], told(&reply)), (&json!(1), "nothing is here\n"));
}

#[test]
fn no_character_is_pushed_into_a_terminal() {
    let terminal = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY);
    let terminal = terminal.expect("a terminal");
    rustix::pty::grantpt(&terminal).expect("granted");
    rustix::pty::unlockpt(&terminal).expect("unlocked");
    let name = rustix::pty::ptsname(&terminal, vec![]).expect("a name").into_string().expect("UTF-8");
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: no_character_is_pushed_into_a_terminal: only root may do so outside");
        return;
    }
    let reply = attack(Workshop::open(), "push_characters", &[&name], "");
    assert!(!told(&reply).contains("pushed"), "{reply:#}");
    // Not even where its rule lets it use the terminal.
    let workshop = Workshop::open();
    let program = workshop.attack("push_characters");
    let reply =
        workshop.run(&rule(&program, &[&name], &format!("write = [{name:?}]\n{}", as_server())), RUN_IT);
    assert!(told(&reply).contains(&format!("{name}: Operation not permitted")), "{reply:#}");
}
