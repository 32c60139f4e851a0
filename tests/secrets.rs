//! Secrets: what a rule calls one, and what the operator puts into a command's environment, is found nowhere but with the
//! command. Every secret here has the same word in it, and everything that people can read is searched for that word.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use transport::{Connection, Security};

use crate::daemon::{BIDDEN, Daemon, records};
use crate::served::{ask, receive};

const MARK: &str = "hunter2";

/// One that a person types on a command line, where other tests find it.
const TYPED: &str = "hunter3";

/// A command that tells what it got only by its length, and takes its time.
const POLICY: &str = r#"
[commands.login]
program = "/bin/sh"
launcher = true
may_exec = true
arguments = ["-c", "echo $0 ${#TOKEN} ${#PASSWORD} ${#PIN}; sleep $1; wc -c"]
options = { "-p" = { type = "text", max_length = 40, secret = true, environment = "PASSWORD" } }
operands = [
    { name = "host", type = "host" },
    { name = "seconds", type = "integer", min = 0, max = 9 },
    { name = "pin", type = "name", required = false, secret = true, environment = "PIN" },
]
separator = false
stdin = "secret"
environment = { TOKEN = "hunter2-of-the-operator" }
timeout = "20s"

[commands.plain]
program = "/bin/echo"
operands = [{ name = "word", type = "name" }]
separator = false

[commands.forbidden]
program = "/bin/echo"
operands = [{ name = "word", type = "name" }]

[roles.some]
commands = ["login", "plain"]
rights = ["compute"]

[users.local]
roles = ["some"]
"#;

async fn connect(daemon: &Daemon) -> Connection {
    let within = Duration::from_secs(5);
    Connection::open(&daemon.endpoint, &Security::Plain, within).await.expect("the server answers")
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test);
}

/// A request with an id for `login`.
fn login(id: &str, parameters: &[&str], stdin: Option<&str>) -> String {
    let mut request =
        json!({"command_type": "os", "command_name": "login", "parameters": parameters, "id": id});
    if let (Some(stdin), Some(object)) = (stdin, request.as_object_mut()) {
        object.insert("stdin".into(), stdin.into());
    }
    request.to_string()
}

#[track_caller]
fn holds_no_secret(text: impl std::fmt::Display) {
    let text = text.to_string();
    assert!(!text.contains(MARK), "{text}");
}

/// The whole log as it is on the disk.
fn logged(daemon: &Daemon) -> String {
    std::fs::read_to_string(daemon.log()).expect("a log")
}

fn replies_to(records: &[Value], id: &str) -> Vec<Value> {
    let of_id = |record: &&Value| record["event"] == "answered" && record["request"]["id"] == id;
    records.iter().filter(of_id).cloned().collect()
}

/// Waits until a command has been started, while what was sent is on its way.
async fn wait_for_start(daemon: &Daemon) {
    while !records(&daemon.log()).iter().any(|record| record["event"] == "started") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What every process of the machine can read of all the others.
fn command_lines() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let lines = processes.flat_map(|process| {
        ["cmdline", "comm", "stat", "status", "wchan"]
            .map(|file| std::fs::read(process.path().join(file)).unwrap_or_default())
    });
    lines.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}

/// A process and all that it started.
fn family(pid: u32) -> BTreeSet<u32> {
    let mut family = BTreeSet::from([pid]);
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    for task in tasks {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            family.append(&mut self::family(child));
        }
    }
    family
}

#[test]
fn a_secret_is_nowhere_but_with_its_command() {
    block_on(async {
        let daemon = Daemon::configured(POLICY);
        let connection = connect(&daemon).await;
        let parameters = ["-phunter2-word", "example.org", "2", "hunter2_pin"];
        let request = login("a", &parameters, Some("hunter2-in"));
        connection.send(request.into_bytes(), vec![]).await.expect("sent");
        wait_for_start(&daemon).await;
        // The command is under way: it has a command line, and sleeps in another.
        let began = Instant::now();
        let mut looked = 0;
        while began.elapsed() < Duration::from_secs(1) {
            let lines = command_lines();
            looked += lines.iter().filter(|line| line.contains("${#PASSWORD}")).count();
            lines.into_iter().for_each(holds_no_secret);
        }
        assert!(looked > 0, "the command itself is among them");
        let other = connect(&daemon).await;
        let listed = ask(&other, r#"{"command_type":"jobs"}"#).await;
        holds_no_secret(&listed);
        let job = &listed["result"][0];
        assert_eq!(job["parameters"], json!(["-p[secret]", "example.org", "2", "[secret]"]), "{listed:#}");
        let reply = receive(&connection).await;
        assert_eq!(reply["result"], "example.org 23 12 11\n10\n", "it got all of them: {reply:#}");
        let described = ask(&other, r#"{"command_type":"describe"}"#).await;
        holds_no_secret(&described);
        let login = &described["result"]["commands"][0];
        assert_eq!(
            (&login["options"][0]["secret"], &login["operands"][2]["secret"]),
            (&json!(true), &json!(true))
        );
        let stderr = daemon.stderr();
        let log = daemon.log();
        let bytes = logged(&daemon);
        let records = records(&log);
        drop(daemon);
        holds_no_secret(bytes);
        holds_no_secret(stderr.join("\n"));
        let started = records.iter().find(|record| record["event"] == "started").expect("started");
        assert_eq!(started["parameters"], json!(["-p[secret]", "example.org", "2", "[secret]"]));
        assert_eq!(started["arguments"].as_array().expect("a list")[2..], [json!("example.org"), json!("2")]);
        for record in [started, &replies_to(&records, "a")[0]] {
            let request = &record["request"];
            assert_eq!(request["parameters"], started["parameters"]);
            assert_eq!((&request["stdin"], &request["command_name"]), (&json!("[secret]"), &json!("login")));
        }
    });
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown_either() {
    block_on(async {
        let daemon = Daemon::configured(POLICY);
        let connection = connect(&daemon).await;
        let os = |name: &str, parameters: &[&str]| {
            json!({"command_type": "os", "command_name": name, "parameters": parameters}).to_string()
        };
        let (long, code) = (format!("{MARK}{}", "x".repeat(40)), "invalid_parameters");
        let requests = [
            (os("login", &["--password=hunter2", "h", "0"]), code),
            (os("login", &["-p", &long, "h", "0"]), code),
            (os("login", &["-p", "hunter2", "h", "0", "pin", "hunter2"]), code),
            (os("login", &["h", "hunter2"]), code),
            (os("login", &["-p", "hunter2"]), code),
            (os("logim", &["-p", "hunter2", "h", "0"]), "refused"),
            (os("forbidden", &["hunter2"]), "refused"),
            (
                "{\"command_type\":\"os\",\"command_name\":\"login\",\"parameters\":[\"-p\",\"hunter2\""
                    .into(),
                "invalid_request",
            ),
            (
                r#"{"command_type":"os","command_name":"login","parameters":["-p","hunter2"],"user":"x"}"#
                    .into(),
                "invalid_request",
            ),
            (
                r#"{"command_type":"os","command_name":"login","parameters":["-p","hunter2",7]}"#.into(),
                "invalid_request",
            ),
            (
                r#"{"command_type":"os","command_name":"login","parameters":"hunter2"}"#.into(),
                "invalid_request",
            ),
            (r#"{"command_type":"hunter2"}"#.into(), "invalid_request"),
            (r#"{"command_type":"os","command_name":"login","timeout":"hunter2"}"#.into(), "invalid_request"),
            (r#"{"command_type":"os","command_name":"login","id":"hunter2!"}"#.into(), "invalid_request"),
            ("hunter2".into(), "invalid_request"),
        ];
        for (request, code) in &requests {
            let reply = ask(&connection, request).await;
            assert_eq!(reply["code"], *code, "{request}: {reply}");
            holds_no_secret(reply);
        }
        let harmless = os("plain", &["/"]);
        assert_eq!(ask(&connection, &harmless).await["code"], code);
        assert_eq!(ask(&connection, &os("plain", &["word"])).await["result"], "word\n");
        let compute = r#"{ "command_type":"compute", "expression":"6*7" }"#;
        assert_eq!(ask(&connection, compute).await["result"], 42);
        let stderr = daemon.stderr().join("\n");
        holds_no_secret(logged(&daemon));
        holds_no_secret(stderr);
        let records = daemon.stop();
        let answered: Vec<_> = records.iter().filter(|record| record["event"] == "answered").collect();
        let parameters = |index: usize| &answered[index]["request"]["parameters"];
        assert_eq!(*parameters(0), json!(["[secret]", "[secret]", "[secret]"]));
        assert_eq!(*parameters(5), json!(["[secret]", "[secret]", "[secret]", "[secret]"]));
        assert_eq!(answered[5]["request"]["command_name"], "logim");
        assert_eq!(answered[7].get("request_text"), None);
        assert_eq!(answered[7]["request_bytes"], requests[7].0.len());
        // What nobody calls a secret is logged as it came.
        assert_eq!(*parameters(15), json!(["/"]));
        assert_eq!(*parameters(16), json!(["word"]));
        assert_eq!(answered[17]["request"], json!({"command_type": "compute", "expression": "6*7"}));
    });
}

#[test]
fn another_secret_under_the_same_id_is_a_conflict_until_the_server_ends() {
    block_on(async {
        let daemon = Daemon::configured(POLICY);
        let connection = connect(&daemon).await;
        let with = |secret: &str| login("again", &["-p", secret, "h", "0"], None);
        let first = ask(&connection, &with("hunter2")).await;
        assert_eq!(first["result"], "h 23 7 0\n0\n", "{first:#}");
        assert_eq!(ask(&connection, &with("hunter2")).await["job"], first["job"]);
        assert_eq!(ask(&connection, &with("hunter2-")).await["code"], "id_conflict");
        let other_host = login("again", &["-p", "hunter2", "i", "0"], None);
        assert_eq!(ask(&connection, &other_host).await["code"], "id_conflict");
        let daemon = daemon.killed_and_started_again();
        let connection = connect(&daemon).await;
        // No trace of the secret is left by which the two could be told apart. Neither is executed again.
        for secret in ["hunter2", "hunter2-"] {
            let reply = ask(&connection, &with(secret)).await;
            assert_eq!((&reply["job"], &reply["result"]), (&first["job"], &first["result"]), "{reply:#}");
        }
        assert_eq!(ask(&connection, &other_host).await["code"], "id_conflict");
        holds_no_secret(logged(&daemon));
        let records = daemon.stop();
        assert_eq!(records.iter().filter(|record| record["event"] == "started").count(), 1);
    });
}

#[test]
fn nothing_says_what_the_operator_put_into_the_environment() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("bidden.toml");
    let path = path.to_str().expect("UTF-8");
    let run = |arguments: &[&str]| {
        let output =
            Command::new(BIDDEN).args(arguments).stdin(Stdio::null()).output().expect("bidden starts");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).expect("text");
        holds_no_secret(&text);
        assert!(!text.contains(TYPED), "{text}");
        text
    };
    std::fs::write(path, POLICY).expect("written");
    let explain = ["policy", "explain", "--config", path, "--user", "local", "--"];
    let words = ["login", "-p", TYPED, "example.org", "0", TYPED];
    let explained = run(&[&explain[..], &words].concat());
    assert!(explained.starts_with("yes"), "{explained}");
    assert!(explained.contains("secret   in the variables PASSWORD, PIN"), "{explained}");
    assert!(run(&[&explain[..], &["login", "-x", TYPED]].concat()).starts_with("no, invalid_parameters"));
    assert!(run(&["policy", "check", path]).contains("is correct"));
    let wrong = POLICY.replace("{ TOKEN = \"hunter2-of-the-operator\" }", "\"TOKEN=hunter2\"");
    std::fs::write(path, &wrong).expect("written");
    assert!(run(&["policy", "check", path]).contains("must be a table"));

    let mut daemon = Daemon::configured(POLICY);
    let configuration = std::fs::read_to_string(daemon.configuration()).expect("a configuration");
    let wrong = configuration.replace("{ TOKEN = \"hunter2-of-the-operator\" }", "\"TOKEN=hunter2\"");
    std::fs::write(daemon.configuration(), wrong).expect("written");
    daemon.signal(Signal::HUP);
    while !records(&daemon.log()).iter().any(|record| record["event"] == "policy_refused") {
        std::thread::sleep(Duration::from_millis(5));
    }
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().success());
    holds_no_secret(logged(&daemon));
    holds_no_secret(daemon.stderr().join("\n"));
}

#[test]
fn no_process_that_holds_a_secret_leaves_a_core_dump() {
    block_on(async {
        let daemon = Daemon::configured(POLICY);
        let connection = connect(&daemon).await;
        let request = login("a", &["-p", "hunter2", "h", "1"], None);
        connection.send(request.into_bytes(), vec![]).await.expect("sent");
        wait_for_start(&daemon).await;
        let family = family(daemon.pid());
        assert!(family.len() >= 4, "server, keeper, launcher, jails: {family:?}");
        for pid in family {
            // One that has ended meanwhile has nothing to dump.
            let Ok(limits) = std::fs::read_to_string(format!("/proc/{pid}/limits")) else { continue };
            let Some(core) = limits.lines().find(|line| line.starts_with("Max core file size")) else {
                continue;
            };
            let words: Vec<_> = core.split_whitespace().collect();
            // No file is as short as one byte, and a pipe gets nothing where the limit is one byte (docs/jail.md).
            assert!(matches!(words[4..6], ["0" | "1", "0" | "1"]), "{core}");
        }
        receive(&connection).await;
    });
}
