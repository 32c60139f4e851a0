//! The configuration from outside: what serves, what is refused, what `bidden policy` and `bidden commands` say of it,
//! and what a reload changes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use transport::{Connection, Security};

use crate::daemon::{self, BIDDEN, Daemon, log_in};
use crate::served::ask;

const POLICY: &str = r#"[commands.echo]
program = "/usr/bin/echo"
options = { "-n" = "flag" }
operands = [ { name = "word", type = "name", repeat = 2 } ]
separator = false

[commands.sleep]
program = "/usr/bin/sleep"
operands = [ { name = "seconds", type = "integer", min = 0, max = 60 } ]

[commands.secret]
program = "/usr/bin/id"

[roles.speaker]
commands = ["echo", "sleep"]

[users.local]
roles = ["speaker"]

[[tests]]
user = "local"
command = ["echo", "a", "-n"]
expect = "allowed"
arguments = ["-n", "a"]

[[tests]]
user = "local"
expression = "1"
expect = "refused"
"#;

fn os(name: &str, parameters: &[&str]) -> String {
    json!({"command_type": "os", "command_name": name, "parameters": parameters}).to_string()
}

async fn connect(daemon: &Daemon) -> Connection {
    let within = Duration::from_secs(5);
    Connection::open(&daemon.endpoint, &Security::Plain, within).await.expect("the server answers")
}

fn bidden(arguments: &[&str]) -> Output {
    let mut command = Command::new(BIDDEN);
    command.args(arguments).env_remove("BIDDEN_CONFIG").stdin(Stdio::null()).output().expect("bidden starts")
}

#[track_caller]
fn check(output: &Output, code: i32, stdout: &str, stderr: &str) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    assert!(out.contains(stdout) && (!stdout.is_empty() || out.is_empty()), "stdout: {out}");
    assert!(err.contains(stderr) && (!stderr.is_empty() || err.is_empty()), "stderr: {err}");
}

/// A file with this text, and the directory that lives as long as it.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("bidden.toml");
    std::fs::write(&path, text).expect("written");
    let path = path.to_str().expect("UTF-8").to_owned();
    (directory, path)
}

#[tokio::test]
async fn what_the_file_names_runs_and_nothing_else() {
    let daemon = Daemon::configured(POLICY);
    let connection = connect(&daemon).await;
    assert_eq!(ask(&connection, &os("echo", &["a", "b", "-n"])).await["result"], "a b");
    assert_eq!(ask(&connection, &os("echo", &["a;id"])).await["code"], "invalid_parameters");
    assert_eq!(ask(&connection, &os("ping", &["127.0.0.1"])).await["code"], "refused");
    let compute = ask(&connection, r#"{"command_type":"compute","expression":"1"}"#).await;
    assert_eq!(
        (&compute["code"], &compute["message"]),
        (&json!("refused"), &json!("computations are not available to you"))
    );
    let described = ask(&connection, r#"{"command_type":"describe","id":"d"}"#).await;
    assert_eq!((&described["type"], &described["id"]), (&json!("description"), &json!("d")));
    let result = &described["result"];
    assert_eq!((&result["user"], &result["rights"]), (&json!("local"), &json!([])));
    assert_eq!(result["commands"].as_array().map(Vec::len), Some(2));
    assert!(!described.to_string().contains("secret") && !described.to_string().contains("/usr/bin"));
    daemon.stop();
}

#[tokio::test]
async fn unknown_forbidden_and_missing_commands_are_alike_in_bytes_and_in_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("program");
    std::fs::copy("/usr/bin/true", &program).expect("copied");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("permitted");
    let missing = format!("[commands.missing]\nprogram = \"{}\"\n", program.display());
    let text = format!("{missing}{}", POLICY.replace("\"echo\", ", "\"echo\", \"missing\", "));
    let daemon = Daemon::configured(&text);
    std::fs::remove_file(&program).expect("removed");
    let connection = connect(&daemon).await;
    let names = ["unknown", "secret", "missing"];
    let untimed = |mut reply: Value| {
        reply.as_object_mut().expect("an object").remove("duration_ms");
        reply
    };
    let refusal =
        json!({"status": "error", "message": "this command is not available to you", "code": "refused"});
    for name in names {
        assert_eq!(untimed(ask(&connection, &os(name, &[])).await), refusal, "{name}");
    }
    for name in ["unknown", "secret"] {
        assert_eq!(untimed(ask(&connection, &os(name, &["$(id)"])).await), refusal, "{name}");
    }
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..300 {
        for (name, times) in names.iter().zip(&mut times) {
            let began = Instant::now();
            ask(&connection, &os(name, &[])).await;
            times.push(began.elapsed());
        }
    }
    let medians = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    let (fastest, slowest) = (medians.iter().min().expect("three"), medians.iter().max().expect("three"));
    assert!(*slowest < *fastest * 2, "{names:?} take {medians:?}");
    let records = daemon.stop();
    let reasons: Vec<_> =
        records.iter().rev().filter_map(|record| record["reason"].as_str()).take(3).collect();
    assert!(reasons[0].contains("No such file"), "{reasons:?}");
    assert_eq!(
        reasons[1..],
        ["no role of the user `local` has this command", "no such command in the policy"]
    );
}

#[tokio::test]
async fn a_reload_changes_what_is_allowed_on_open_connections_and_not_what_runs() {
    let daemon = Daemon::configured(POLICY);
    let connection = connect(&daemon).await;
    let other = connect(&daemon).await;
    connection.send(os("sleep", &["2"]).into_bytes(), vec![]).await.expect("sent");
    wait_for(&daemon, |record| record["event"] == "started").await;

    std::fs::write(daemon.configuration(), "[commands.echo]\nprogramm = 1\n").expect("written");
    daemon.signal(Signal::HUP);
    wait_for(&daemon, |record| {
        record["event"] == "policy_refused"
            && record["reason"].as_str().is_some_and(|reason| reason.contains("did you mean `program`?"))
    })
    .await;
    assert_eq!(ask(&other, &os("echo", &["-n", "a"])).await["result"], "a");

    let changed = POLICY.replace("[\"echo\", \"sleep\"]", "[\"secret\"]");
    std::fs::write(daemon.configuration(), changed.split("[[tests]]").next().expect("a start"))
        .expect("written");
    daemon.signal(Signal::HUP);
    wait_for(&daemon, |record| record["event"] == "policy_reloaded").await;
    assert_eq!(ask(&other, &os("echo", &["a"])).await["code"], "refused");
    assert_eq!(ask(&other, &os("secret", &[])).await["exit_code"], 0);
    let slept = tokio::time::timeout(Duration::from_secs(20), connection.receive()).await;
    let slept: Value =
        serde_json::from_slice(&slept.expect("in time").expect("connected").body).expect("JSON");
    assert_eq!(slept["exit_code"], 0, "what runs keeps its permission");

    std::fs::write(daemon.configuration(), "[users.local]\nroles = []\nnot_after = 2020-01-01T00:00:00Z\n")
        .expect("written");
    daemon.signal(Signal::HUP);
    let reloads =
        |records: &[Value]| records.iter().filter(|record| record["event"] == "policy_reloaded").count();
    while reloads(&daemon::records(&daemon.log())) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for request in [os("secret", &[]), r#"{"command_type":"describe"}"#.to_owned(), "{".to_owned()] {
        assert_eq!(ask(&other, &request).await["message"], "nothing is available to you");
    }
    daemon.stop();
}

async fn wait_for(daemon: &Daemon, is_it: impl Fn(&Value) -> bool) {
    while !daemon::records(&daemon.log()).iter().any(&is_it) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_wrong_configuration_stops_the_start_with_its_place() {
    let (_directory, path) = file("[commands.c]\nprogramm = '/usr/bin/id'\n");
    let problem = format!("{path}:2:1: unknown key `programm` in `commands.c`; did you mean `program`?");
    check(&bidden(&["serve", "--config", &path]), 125, "", &problem);
    check(&bidden(&["policy", "check", &path]), 1, "", &problem);
    check(&bidden(&["policy", "test", &path]), 1, "", &problem);
    check(&bidden(&["policy", "explain", "--config", &path, "--", "c"]), 125, "", &problem);
    check(
        &bidden(&["serve", "--config", "/nonexistent/x"]),
        125,
        "",
        "cannot read /nonexistent/x: No such file",
    );
    check(&bidden(&["policy", "check", "/nonexistent/x"]), 1, "", "cannot read /nonexistent/x: No such file");
    let (_directory, path) = file("[[listeners]]\nendpoint = 'tcp://0.0.0.0:0'\nplain = true\n");
    check(&bidden(&["serve", "--config", &path]), 125, "", "can be reached by other machines");
}

#[test]
fn the_command_line_overrides_the_file_and_the_file_the_defaults() {
    let (directory, path) = file(
        "[server]\nlog = 'log/from-file.log'\n[[listeners]]\nendpoint = 'tcp://127.0.0.1:*'\nplain = true\n",
    );
    let logs = log_in(directory.path()).with_file_name("");
    let start = |arguments: &[&str], environment: &str| {
        let mut child = Command::new(BIDDEN)
            .arg("serve")
            .args(arguments)
            .env_remove("BIDDEN_CONFIG")
            .envs((!environment.is_empty()).then_some(("BIDDEN_CONFIG", environment)))
            .current_dir(&logs)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bidden starts");
        let stderr = child.stderr.take().expect("stderr");
        let lines = std::io::BufRead::lines(std::io::BufReader::new(stderr));
        let lines: Vec<_> = lines.map_while(Result::ok).take(3).collect();
        child.kill().expect("alive");
        child.wait().expect("ended");
        lines.join("\n")
    };
    let log = |name: &str| format!("log: {}", logs.join(name).display());
    let shown = start(&["--config", &path], "");
    assert!(shown.contains(&log("from-file.log")) && shown.contains(&format!("policy: {path}")), "{shown}");
    let shown = start(&[], &path);
    assert!(shown.contains(&log("from-file.log")) && !shown.contains(":5555"), "{shown}");
    let shown = start(&["--config", &path, "--log", "given.log"], "/nonexistent");
    assert!(shown.contains(&log("given.log")), "{shown}");
    let shown = start(&["--listen", "tcp://127.0.0.2:*", "--log", "other.log"], &path);
    assert!(shown.contains("tcp://127.0.0.2:") && shown.contains(&log("other.log")), "{shown}");
    if !Path::new("/etc/bidden/bidden.toml").exists() {
        let shown = start(&["--listen", "tcp://127.0.0.1:*"], "");
        assert!(shown.contains("policy: built in") && shown.contains(&log("server.log")), "{shown}");
    }
}

#[test]
fn policy_check_test_and_explain_say_what_the_server_would_do() {
    let (_directory, path) = file(POLICY);
    check(&bidden(&["policy", "check", &path]), 0, "is correct: 3 commands, 1 user, 2 tests\n", "");
    check(&bidden(&["policy", "test", &path]), 0, "2 of 2 tests passed\n", "");
    let (_directory, failing) = file(&POLICY.replace("expect = \"refused\"", "expect = \"allowed\""));
    check(
        &bidden(&["policy", "test", &failing]),
        1,
        "1 of 2 tests passed\n",
        "bidden.toml:26:1: this test fails: expected allowed, the policy says refused: no role of the user `local` has the right `compute`\n",
    );
    let explain = |words: &[&str]| bidden(&[&["policy", "explain", "--config", &path, "--"], words].concat());
    check(
        &explain(&["echo", "a", "-n", "b"]),
        0,
        &format!(
            "yes, `local` may run this\n  user     {path}:17\n  command  {path}:1\n  role     speaker, {path}:15\n  \
             runs     [\"/usr/bin/echo\", \"-n\", \"a\", \"b\"]\n  at most  10 s\n"
        ),
        "",
    );
    check(
        &explain(&["echo", "-x"]),
        126,
        "no, invalid_parameters: `-x` is not allowed here; allowed: -n WORD...\n",
        "",
    );
    check(&explain(&["secret"]), 126, "no, refused: no role of the user `local` has this command\n", "");
    check(&explain(&["unknown"]), 126, "no, refused: no such command in the policy\n", "");
    check(
        &bidden(&["policy", "explain", "--config", &path, "--user", "ann", "--", "echo"]),
        125,
        "",
        "there is no user `ann`",
    );
    let (_directory, late) =
        file(&POLICY.replace("roles = [", "not_after = 2020-01-01T00:00:00Z\nroles = ["));
    check(
        &bidden(&["policy", "explain", "--config", &late, "--", "echo", "a"]),
        126,
        "the time of `local` is over",
        "",
    );
}

#[test]
fn commands_lists_what_i_may_run() {
    let daemon = Daemon::configured(POLICY);
    let listed = "echo [-n] WORD...\n    WORD: a name of letters, digits, `.`, `_` and `-`\n\
                  sleep SECONDS\n    SECONDS: an integer from 0 to 60\nuser: local; rights: none\n";
    check(&bidden(&["commands", "--to", &daemon.endpoint]), 0, listed, "");
    check(
        &bidden(&["commands", "--json", "--to", &daemon.endpoint]),
        0,
        "\"must_be\":\"an integer from 0 to 60\"",
        "",
    );
    daemon.stop();
    let daemon = Daemon::start();
    check(
        &bidden(&["commands", "--to", &daemon.endpoint]),
        0,
        "    -c: an integer from 1 to 20; 4 if left out\n",
        "",
    );
    daemon.stop();
}

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_example_of_the_documents_is_correct_and_does_what_it_says() {
    let example = std::fs::read_to_string(root().join("examples/bidden.toml")).expect("an example");
    let (_directory, path) = file(&example);
    check(&bidden(&["policy", "check", &path]), 0, "is correct", "");
    check(&bidden(&["policy", "test", &path]), 0, "tests passed", "");
    let document = std::fs::read_to_string(root().join("docs/policy.md")).expect("a document");
    let blocks: Vec<_> =
        document.split("```toml\n").skip(1).filter_map(|part| part.split("```").next()).collect();
    assert_eq!(blocks, [example], "the document shows the example");
}
