//! `bidden run`, `jobs`, `result` and `cancel`, as a person and as a script use them: what comes when, what Ctrl-C does,
//! and what becomes of a command whose server or connection goes away.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::daemon::{BIDDEN, Daemon, records};
use crate::jailed::{processes_marked, wait_until_gone};
use crate::printed::{check, text};

/// How long a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the commands of one test sleep: a number that no other process has in its command line.
fn mark(test: u32) -> String {
    format!("{test}{:06}", std::process::id() % 1_000_000)
}

/// Commands that print and wait, each process of them marked by how long it sleeps.
fn policy(mark: &str) -> String {
    let shell = |name: &str, script: &str| {
        format!(
            "[commands.{name}]\nprogram = '/bin/sh'\nlauncher = true\nmay_exec = true\narguments = ['-c', \"\"\"{script}\"\"\"]\ntimeout = '60s'\n"
        )
    };
    [
        shell("both", "echo one; echo two >&2; printf '\\\\377\\\\033[m'; exit 3"),
        shell("waits", &format!("echo begun; sleep {mark}; echo not this")),
        shell("slowly", "echo one; sleep 1; echo two"),
        shell("endless", "while :; do echo 0123456789abcdef; done"),
    ]
    .concat()
}

fn bidden(daemon: &Daemon, arguments: &[&str]) -> Command {
    at(&daemon.endpoint, arguments)
}

fn at(endpoint: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(BIDDEN);
    command.args(arguments).env("BIDDEN_TO", endpoint).stdin(Stdio::null());
    command
}

/// A client that is being watched.
struct Client(Child);

impl Client {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bidden starts"))
    }

    /// Waits for what it prints next.
    #[track_caller]
    fn prints(&mut self, expected: &str) {
        let mut printed = vec![0; expected.len()];
        self.0.stdout.as_mut().expect("piped").read_exact(&mut printed).expect("it prints");
        assert_eq!(text(&printed), expected);
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.0), signal).expect("it is there");
    }

    /// Its end, and what it had not printed before.
    fn end(self) -> std::process::Output {
        self.0.wait_with_output().expect("it ends")
    }

    /// Interrupts it until it has no more patience.
    fn leave(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("it was started") {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not leave");
            self.signal(Signal::INT);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn count(records: &[Value], event: &str) -> usize {
    records.iter().filter(|record| record["event"] == event).count()
}

/// The word for how the only job of a server ended that did not end by itself.
fn end_of_job(records: &[Value]) -> &str {
    let mut ended = records.iter().filter(|record| record["event"] == "ended");
    let ended = ended.find(|record| record["reply"]["status"] == "error").expect("it was ended");
    ended["reply"]["code"].as_str().expect("a code")
}

#[test]
fn what_a_command_prints_comes_at_once_and_each_stream_in_its_place() {
    let daemon = Daemon::configured(&policy(&mark(501)));
    let output = bidden(&daemon, &["run", "both"]).output().expect("bidden starts");
    assert_eq!(output.stdout, b"one\n\xff\x1b[m", "byte for byte into a pipe");
    assert_eq!((text(&output.stderr), output.status.code()), ("two\n", Some(3)));
    // It will sleep for hours: what it has printed does not wait for its end.
    let mut client = Client::start(&mut bidden(&daemon, &["run", "waits"]));
    client.prints("begun\n");
    client.signal(Signal::INT);
    check(&client.end(), 130, "", "bidden: ");
}

#[test]
fn ctrl_c_ends_the_command_and_waits_for_its_end() {
    for (signal, code, mark) in [(Signal::INT, 130, mark(502)), (Signal::TERM, 143, mark(512))] {
        let daemon = Daemon::configured(&policy(&mark));
        let mut client = Client::start(&mut bidden(&daemon, &["run", "waits"]));
        client.prints("begun\n");
        client.signal(signal);
        check(&client.end(), code, "", "bidden: ");
        assert!(processes_marked(&mark).is_empty(), "when the client has ended, so has the command");
        assert_eq!(end_of_job(&daemon.stop()), "cancelled");
    }
}

#[test]
fn ctrl_c_reaches_a_command_whose_name_was_not_told() {
    let daemon = Daemon::configured(&policy(&mark(503)));
    let client = Client::start(&mut bidden(&daemon, &["run", "--json", "waits"]));
    daemon.wait_for_start_of_command();
    client.signal(Signal::INT);
    check(&client.end(), 130, "\"code\":\"cancelled\"", "");
    wait_until_gone(&mark(503));
    let records = daemon.stop();
    assert_eq!((count(&records, "started"), end_of_job(&records)), (1, "cancelled"));
}

#[test]
fn ctrl_c_reaches_the_command_of_someone_who_asks_too_often() {
    let daemon = Daemon::configured(&format!("[limits]\nrequests_per_second = 1\n{}", policy(&mark(514))));
    let client = Client::start(&mut bidden(&daemon, &["run", "--json", "waits"]));
    daemon.wait_for_start_of_command();
    // Another takes the turn that there might be by now.
    bidden(&daemon, &["jobs"]).output().expect("bidden starts");
    client.signal(Signal::INT);
    check(&client.end(), 130, "\"code\":\"cancelled\"", "");
    assert_eq!(end_of_job(&daemon.stop()), "cancelled");
}

#[test]
fn ctrl_c_while_there_is_no_room_starts_nothing() {
    let daemon = Daemon::configured(&format!("[limits]\ncommands_by_user = 1\n{}", policy(&mark(515))));
    let mut first = Client::start(&mut bidden(&daemon, &["run", "waits"]));
    first.prints("begun\n");
    let second = Client::start(&mut bidden(&daemon, &["run", "--timeout", "50", "slowly"]));
    let began = Instant::now();
    while !records(&daemon.log()).iter().any(|record| record["reply"]["code"] == "busy") {
        assert!(began.elapsed() < PATIENCE, "it is not refused");
        std::thread::sleep(Duration::from_millis(10));
    }
    second.signal(Signal::INT);
    check(&second.end(), 130, "", "too many commands under way");
    first.signal(Signal::INT);
    check(&first.end(), 130, "", "bidden: ");
    assert_eq!(count(&daemon.stop(), "started"), 1);
}

#[test]
fn a_second_ctrl_c_leaves_at_once() {
    let daemon = Daemon::configured(&policy(&mark(504)));
    let mut client = Client::start(&mut bidden(&daemon, &["run", "waits"]));
    client.prints("begun\n");
    // Nobody answers the cancellation.
    daemon.signal(Signal::STOP);
    assert_eq!(client.leave().code(), Some(130));
    daemon.signal(Signal::CONT);
    wait_until_gone(&mark(504));
    assert_eq!(end_of_job(&daemon.stop()), "cancelled");
}

#[test]
fn a_reader_who_pauses_holds_up_its_own_command_and_nothing_else() {
    let daemon = Daemon::configured(&policy(&mark(505)));
    let mut paused = Client::start(&mut bidden(&daemon, &["run", "endless"]));
    paused.prints("0123456789abcdef\n");
    let mut other = Client::start(&mut bidden(&daemon, &["run", "slowly"]));
    other.prints("one\n");
    check(&other.end(), 0, "two\n", "");
    // Ctrl-C reaches the command though what it has printed is not read, and the second one is obeyed too.
    assert_eq!(paused.leave().code(), Some(130));
    assert_eq!(end_of_job(&daemon.stop()), "cancelled");
}

#[test]
fn a_command_whose_output_nobody_reads_any_more_is_ended() {
    let daemon = Daemon::configured(&policy(&mark(506)));
    let mut client = Client::start(&mut bidden(&daemon, &["run", "endless"]));
    client.prints("0123456789abcdef\n");
    drop(client.0.stdout.take());
    check(&client.end(), 125, "", "cannot print what the command printed: Broken pipe");
    assert_eq!(end_of_job(&daemon.stop()), "cancelled");
}

#[test]
fn a_job_is_left_found_again_followed_and_cancelled() {
    let daemon = Daemon::configured(&policy(&mark(507)));
    let output = bidden(&daemon, &["run", "--detach", "waits"]).output().expect("bidden starts");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let job = text(&output.stdout).trim();
    let mut following = Client::start(&mut bidden(&daemon, &["result", job, "--follow"]));
    following.prints("begun\n");
    let left = Client::start(&mut bidden(&daemon, &["result", "--follow", job]));
    let run = |arguments: &[&str]| bidden(&daemon, arguments).output().expect("bidden starts");
    check(&run(&["result", job]), 125, "begun\n", "the command still runs; --follow waits for its end");
    check(&run(&["result", job, "--json"]), 125, "\"state\":\"running\"", "");
    check(&run(&["jobs"]), 0, "running", "");
    check(&run(&["jobs", "--json"]), 0, "\"state\":\"running\"", "");
    // Who only looks on does not end it.
    let mut left = left;
    left.prints("begun\n");
    left.signal(Signal::INT);
    check(&left.end(), 130, "", "");
    assert!(!processes_marked(&mark(507)).is_empty());
    check(&run(&["cancel", job]), 0, &format!("{job}: cancelled\n"), "");
    assert!(processes_marked(&mark(507)).is_empty());
    check(&following.end(), 125, "", "bidden: ");
    check(&run(&["cancel", job]), 0, "cancelled", "");
    check(&run(&["jobs"]), 0, "cancelled", "");
    check(&run(&["result", job]), 125, "begun\n", "bidden: ");
    check(&run(&["result", job, "--follow", "--json"]), 125, "\"result\":\"begun\\n\"", "");
    for arguments in [["result", "no-such"], ["cancel", "no-such"]] {
        check(&run(&arguments), 125, "", "bidden: ");
    }
}

#[test]
fn the_same_id_runs_once() {
    let daemon = Daemon::configured(&policy(&mark(508)));
    let run = |arguments: &[&str]| bidden(&daemon, arguments).output().expect("bidden starts");
    for _ in 0..2 {
        check(&run(&["run", "--id", "nightly-1", "slowly"]), 0, "one\ntwo\n", "");
    }
    check(&run(&["run", "--id", "nightly-1", "both"]), 125, "", "bidden: ");
    check(&run(&["run", "--id", "not one", "slowly"]), 125, "", "must be 1 to 64 characters");
    assert_eq!(count(&daemon.stop(), "started"), 1);
}

#[test]
fn send_shows_the_events_of_a_stream_as_they_come() {
    let daemon = Daemon::configured(&policy(&mark(513)));
    let file = daemon.log().with_file_name("request.json");
    let request = r#"{"command_type":"os","command_name":"both","stream":true}"#;
    std::fs::write(&file, request).expect("written");
    let output = bidden(&daemon, &["send"]).arg(file).output().expect("bidden starts");
    assert_eq!(output.status.code(), Some(3));
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.starts_with("{\"event\":\"started\""), "{shown}");
    assert!(shown.contains("\"offset\":0}\none\n"), "{shown}");
    assert!(shown.lines().last().is_some_and(|line| line.contains("\"exit_code\":3")), "{shown}");
}

/// Stands between a client and its server, and cuts the first connection when it is told to.
fn connection_that_can_be_cut(daemon: &Daemon) -> (String, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("an address"));
    let server = daemon.endpoint.strip_prefix("tcp://").expect("an endpoint").to_owned();
    let (cut, cutting) = mpsc::channel();
    let forward = |mut from: TcpStream, mut to: TcpStream| {
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
    };
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let client = client.expect("a connection");
            let server = TcpStream::connect(&server).expect("connected");
            let clone = |stream: &TcpStream| stream.try_clone().expect("cloned");
            forward(clone(&client), clone(&server));
            forward(clone(&server), clone(&client));
            if number == 0 && cutting.recv().is_ok() {
                // Either may have noticed the other's end already.
                let _ = client.shutdown(Shutdown::Both);
                let _ = server.shutdown(Shutdown::Both);
            }
        }
    });
    (endpoint, cut)
}

#[test]
fn a_lost_connection_costs_no_output_and_runs_nothing_twice() {
    let daemon = Daemon::configured(&policy(&mark(509)));
    let (endpoint, cut) = connection_that_can_be_cut(&daemon);
    let mut client = Client::start(&mut at(&endpoint, &["run", "slowly"]));
    client.prints("one\n");
    cut.send(()).expect("told");
    check(&client.end(), 0, "two\n", "");
    assert_eq!(count(&daemon.stop(), "started"), 1);
}

#[test]
fn a_command_whose_server_was_killed_is_asked_for_again_and_not_run_again() {
    let daemon = Daemon::configured(&policy(&mark(510)));
    let mut client = Client::start(&mut bidden(&daemon, &["run", "waits"]));
    client.prints("begun\n");
    let daemon = daemon.killed_and_started_again_in_its_place();
    check(&client.end(), 125, "", "whether it came to its end is unknown");
    assert_eq!(count(&records(&daemon.log()), "started"), 1);
}

#[test]
fn a_person_is_told_why_it_takes_so_long_and_the_terminal_is_left_alone() {
    let terminal =
        rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).expect("one");
    rustix::pty::grantpt(&terminal).expect("granted");
    rustix::pty::unlockpt(&terminal).expect("unlocked");
    let name = rustix::pty::ptsname(&terminal, vec![]).expect("a name").into_string().expect("UTF-8");
    let open = || std::fs::File::options().read(true).write(true).open(&name).expect("opened");
    let mut screen = Screen::watch(terminal);

    let daemon = Daemon::configured(&policy(&mark(511)));
    let mut shown = bidden(&daemon, &["run", "both"]);
    shown.stdout(open()).stderr(open()).status().expect("bidden starts");
    screen.shows("one\r\n");
    screen.shows(r"\u{1b}[m");

    let mut command = bidden(&daemon, &["run", "waits"]);
    let client = command.stdout(open()).stderr(open()).spawn().expect("bidden starts");
    let mut client = Client(client);
    screen.shows("begun\r\n");
    daemon.signal(Signal::KILL);
    screen.shows("the connection to the server was lost; looking for the server again");
    client.signal(Signal::INT);
    screen.shows("ending the command; again to leave at once");
    assert_eq!(client.leave().code(), Some(130));
}

/// What a terminal shows.
struct Screen {
    pieces: mpsc::Receiver<Vec<u8>>,
    shown: String,
}

impl Screen {
    fn watch(terminal: OwnedFd) -> Self {
        let (sender, pieces) = mpsc::channel();
        let mut terminal = std::fs::File::from(terminal);
        let _ = terminal.flush();
        std::thread::spawn(move || {
            let mut piece = vec![0; 4096];
            loop {
                match terminal.read(&mut piece) {
                    Ok(length) if sender.send(piece[..length].to_vec()).is_ok() => {}
                    // Nobody has the other side open, for now.
                    Err(_) => std::thread::sleep(Duration::from_millis(10)),
                    Ok(_) => return,
                }
            }
        });
        Self { pieces, shown: String::new() }
    }

    /// Waits until it shows this, after what was waited for before.
    #[track_caller]
    fn shows(&mut self, expected: &str) {
        loop {
            if let Some(found) = self.shown.find(expected) {
                self.shown.drain(..found + expected.len());
                return;
            }
            let piece = self.pieces.recv_timeout(PATIENCE);
            let piece = piece.unwrap_or_else(|_| panic!("{expected:?} is not in {:?}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&piece));
        }
    }
}
