//! Real processes: what they get, what they print, how they end, and that nothing of them stays.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::future::{pending, ready};
use std::path::Path;
use std::time::{Duration, Instant};

use jail::{End, Outcome, Plan, StartError, run};

fn shell(script: &str) -> Plan {
    Plan {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        time_limit: Duration::from_secs(20),
        output_limit: 1 << 20,
    }
}

async fn outcome(plan: Plan) -> Outcome {
    run(plan, pending()).await.expect("started")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[track_caller]
fn wait_until_gone(pid: &str) {
    let gone = || !Path::new("/proc").join(pid).exists() || is_zombie(pid);
    let began = Instant::now();
    while !gone() {
        assert!(began.elapsed() < Duration::from_secs(5), "process {pid} is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A killed orphan waits for init to reap it, which is not ours to wait for.
fn is_zombie(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

#[tokio::test]
async fn streams_and_exit_status_are_told_apart() {
    let outcome = outcome(shell("echo out; echo err >&2; exit 3")).await;
    assert_eq!(outcome.end, End::Exit(3));
    assert_eq!(text(&outcome.stdout.bytes), "out\n");
    assert_eq!(text(&outcome.stderr.bytes), "err\n");
    assert!(!outcome.stdout.truncated && !outcome.stderr.truncated);
}

#[tokio::test]
async fn a_signal_is_reported_as_one() {
    assert_eq!(outcome(shell("kill -USR1 $$")).await.end, End::Signal(libc::SIGUSR1));
}

#[tokio::test]
async fn arguments_arrive_byte_for_byte() {
    let arguments = ["$(id)", "`id`", ";|&><*?[]{}~!#", "a b", "", "\\", "ü\u{202e}", "-n\n"];
    let plan = Plan {
        program: "/usr/bin/printf".into(),
        arguments: std::iter::once("<%s>").chain(arguments).map(Into::into).collect(),
        ..shell("")
    };
    let expected = format!("<{}>", arguments.join("><"));
    assert_eq!(text(&outcome(plan).await.stdout.bytes), expected);
}

#[tokio::test]
async fn the_environment_is_the_fixed_list() {
    let plan = Plan { program: "/usr/bin/env".into(), arguments: vec![], ..shell("") };
    let outcome = outcome(plan).await;
    let mut names: Vec<_> =
        text(&outcome.stdout.bytes).lines().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["HOME", "LANG", "PATH"]);
}

#[tokio::test]
async fn descriptors_are_three_and_stdin_is_empty() {
    let script = "cat; cd /proc/self/fd; echo *";
    // The shell itself opens the directory to list it; nothing else may be there.
    let outcome = outcome(shell(script)).await;
    let listed: Vec<_> = text(&outcome.stdout.bytes).split_whitespace().collect();
    assert!(listed.starts_with(&["0", "1", "2"]) && listed.len() <= 4, "{listed:?}");
}

#[tokio::test]
async fn an_inherited_descriptor_without_close_on_exec_stays_behind() {
    let file = std::fs::File::open("/etc/passwd").expect("a readable file");
    let leaked = rustix::io::fcntl_dupfd_cloexec(&file, 100).expect("dup");
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).expect("clear the flag");
    let outcome = outcome(shell("ls /proc/self/fd")).await;
    assert!(!text(&outcome.stdout.bytes).lines().any(|line| line == "100"));
}

#[tokio::test]
async fn the_command_has_the_usual_number_of_descriptors() {
    assert_eq!(text(&outcome(shell("ulimit -Sn")).await.stdout.bytes), "1024\n");
}

#[tokio::test]
async fn the_command_leads_its_own_session() {
    let outcome = outcome(shell("cut -d' ' -f6 /proc/$$/stat; echo $$")).await;
    let ids: Vec<_> = text(&outcome.stdout.bytes).lines().collect();
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn too_much_output_is_cut_and_the_command_still_ends() {
    let plan = Plan { output_limit: 1000, ..shell("head -c 3000000 /dev/zero; echo done >&2") };
    let outcome = outcome(plan).await;
    assert_eq!(outcome.end, End::Exit(0));
    assert_eq!((outcome.stdout.bytes.len(), outcome.stdout.truncated), (1000, true));
    assert_eq!((text(&outcome.stderr.bytes), outcome.stderr.truncated), ("done\n", false));
}

#[tokio::test]
async fn the_time_limit_ends_the_whole_group_and_keeps_what_was_printed() {
    let plan = Plan {
        time_limit: Duration::from_millis(300),
        ..shell("trap '' TERM; sleep 1000 & echo $! $$; wait; sleep 1000")
    };
    let outcome = outcome(plan).await;
    assert_eq!(outcome.end, End::TimedOut);
    let pids: Vec<_> = text(&outcome.stdout.bytes).split_whitespace().collect();
    assert_eq!(pids.len(), 2);
    pids.into_iter().for_each(wait_until_gone);
}

#[tokio::test]
async fn stopping_ends_the_group() {
    let outcome = run(shell("sleep 1000"), ready(())).await.expect("started");
    assert_eq!(outcome.end, End::Cancelled);
}

#[tokio::test]
async fn dropping_the_future_kills_the_group() {
    let file = std::env::temp_dir().join(format!("bidden-jail-{}", std::process::id()));
    let script = format!("echo $$ > {}; sleep 1000", file.display());
    let running = run(shell(&script), pending());
    assert!(tokio::time::timeout(Duration::from_millis(500), running).await.is_err());
    let pid = std::fs::read_to_string(&file).expect("the command wrote its process id");
    std::fs::remove_file(&file).expect("removed");
    wait_until_gone(pid.trim());
}

#[tokio::test]
async fn a_background_process_does_not_hold_the_result_back() {
    let began = Instant::now();
    let outcome = outcome(shell("sleep 1000 & echo $!")).await;
    assert_eq!(outcome.end, End::Exit(0));
    assert!(began.elapsed() < Duration::from_secs(10));
    wait_until_gone(text(&outcome.stdout.bytes).trim());
}

#[tokio::test]
async fn what_cannot_be_executed_says_so() {
    for program in ["/nonexistent/program", "/etc/passwd", "/"] {
        let plan = Plan { program: program.into(), arguments: vec![], ..shell("") };
        assert!(matches!(run(plan, pending()).await, Err(StartError::Missing(_))), "{program}");
    }
    let plan = Plan { arguments: vec!["a\0b".into()], ..shell("") };
    assert!(matches!(run(plan, pending()).await, Err(StartError::System(_))));
}
