//! Keys from outside: whom they let in, whom they keep out, what is said of it, and how people come to have them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use transport::{ConnectError, Connection, KeyPair, Security};

use crate::daemon::{self, BIDDEN, Daemon};
use crate::keyed::{self, Keyed, PATIENCE, listener, policy, server_key};
use crate::printed::{check, text};
use crate::raw_curve::{CurvePeer, Spoiled};
use crate::served::{ask, receive};

const COMPUTE: &str = r#"{"command_type":"compute","expression":"6*7"}"#;

/// A person with a home of her own.
struct Person(TempDir);

impl Person {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn bidden(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("bidden starts")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BIDDEN);
        command.args(arguments).stdin(Stdio::null()).env("HOME", self.0.path()).env("USER", "ann");
        command.env_remove("XDG_CONFIG_HOME").env_remove("BIDDEN_CONFIG").env_remove("BIDDEN_TO");
        command
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }
}

/// The first record like this, waited for.
fn wait_for_record(log: &Path, is_it: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(record) = daemon::records(log).into_iter().find(&is_it) {
            return record;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no such record: {:?}", daemon::records(log));
}

#[tokio::test]
async fn a_user_is_who_proves_to_have_the_key() {
    let keyed = Keyed::start();
    let connection = keyed.connect().await;
    assert_eq!(ask(&connection, COMPUTE).await["result"], 42);
    let echo = r#"{"command_type":"os","command_name":"echo","parameters":["hello"]}"#;
    assert_eq!(ask(&connection, echo).await["result"], "hello\n");
    let described = ask(&connection, r#"{"command_type":"describe"}"#).await;
    assert_eq!(described["result"]["user"], "ann");
    let records = keyed.daemon.stop();
    let answered = records.iter().find(|record| record["event"] == "answered").expect("a record");
    assert_eq!(
        (&answered["user"], &answered["key"]),
        (&json!("ann"), &json!(keyed.ann.public().to_string()))
    );
    assert!(answered["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")));
    let started = records[0]["endpoints"][0].as_str().expect("an endpoint");
    assert!(started.ends_with(&format!("curve {}", keyed.server_key)), "{started}");
}

#[tokio::test]
async fn nobody_else_gets_in_and_the_log_says_who_tried() {
    let keyed = Keyed::start();
    let stranger = KeyPair::generate();
    let refused = keyed.try_connect(&stranger).await.err().expect("no");
    let ConnectError::KeyRefused { key, .. } = &refused else { panic!("{refused}") };
    assert_eq!(*key, stranger.public());
    let wrong_server = keyed::connect(&keyed.daemon.endpoint, &keyed.ann, stranger.public());
    let wrong_server = tokio::time::timeout(PATIENCE * 2, wrong_server).await.expect("in time").err();
    assert!(matches!(wrong_server, Some(ConnectError::Disagreement { .. })), "{wrong_server:?}");
    let plain = Connection::open(&keyed.daemon.endpoint, &Security::Plain, PATIENCE).await.err();
    assert!(matches!(plain, Some(ConnectError::Disagreement { .. })), "{plain:?}");
    assert_eq!(ask(&keyed.connect().await, COMPUTE).await["result"], 42);
    let records = keyed.daemon.stop();
    let failed: Vec<_> = records.iter().filter(|record| record["event"] == "handshake_failed").collect();
    assert_eq!(failed[0]["key"], stranger.public().to_string());
    assert_eq!(failed[0]["reason"], "no user has this key");
    assert_eq!(failed[0]["failures"], 1);
    assert!(failed.len() > 1 && failed[1].get("key").is_none(), "{failed:?}");
    assert_eq!(records.iter().filter(|record| record["event"] == "answered").count(), 1);
}

#[test]
fn who_declares_a_routing_id_is_refused_where_keys_are_used() {
    let keyed = Keyed::start();
    let peer = |identity: &[u8]| {
        CurvePeer::greet(&keyed.daemon.endpoint, keyed.server_key)
            .shake_hands(&keyed.ann, &Spoiled::Identity(identity.to_vec()))
    };
    assert!(peer(b"").is_some());
    for identity in [&b"victim"[..], b"\0\0\0\0\x01", &[0xff; 255]] {
        assert!(peer(identity).is_none(), "{identity:?}");
    }
    let failed = wait_for_record(&keyed.daemon.log(), |record| record["event"] == "handshake_failed");
    assert!(failed["reason"].as_str().is_some_and(|reason| reason.contains("routing id")), "{failed}");
    keyed.daemon.stop();
}

#[tokio::test]
async fn the_replies_of_one_connection_reach_no_other() {
    let keyed = Keyed::with_users("[limits]\nshutdown_grace = '100ms'\n");
    let waiting = keyed.connect().await;
    let sleep = r#"{"command_type":"os","command_name":"sleep","parameters":["60"],"id":"secret"}"#;
    waiting.send(sleep.as_bytes().to_vec(), vec![]).await.expect("sent");
    while !daemon::records(&keyed.daemon.log()).iter().any(|record| record["event"] == "started") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(waiting);
    // Whoever connects next, even with the same key, is another peer.
    let next = keyed.connect().await;
    let records = keyed.daemon.stop();
    assert!(next.receive().await.is_err());
    assert!(records.iter().any(|record| record["reply"]["code"] == "cancelled"));
}

#[tokio::test]
async fn a_removed_user_is_refused_on_her_open_connection_and_then_disconnected() {
    let bob = KeyPair::generate();
    let keyed =
        Keyed::with_users(&format!("[users.bob]\npublic_key = '{}'\nroles = ['all']\n", bob.public()));
    let (ann, bob_connected) = (keyed.connect().await, keyed.try_connect(&bob).await.expect("bob is a user"));
    assert_eq!(ask(&ann, COMPUTE).await["result"], 42);
    assert_eq!(ask(&bob_connected, COMPUTE).await["result"], 42);
    let file = keyed.daemon.configuration();
    let text = fs::read_to_string(&file).expect("text");
    let (without_bob, _) = text.split_once("[users.bob]").expect("bob");
    fs::write(&file, without_bob).expect("written");
    keyed.daemon.signal(Signal::HUP);
    wait_for_record(&keyed.daemon.log(), |record| record["event"] == "policy_reloaded");
    let refused = ask(&bob_connected, COMPUTE).await;
    assert_eq!(
        (&refused["code"], &refused["message"]),
        (&json!("refused"), &json!("nothing is available to you"))
    );
    assert_eq!(ask(&ann, COMPUTE).await["result"], 42, "ann is not disturbed");
    let lost = tokio::time::timeout(transport::limits::REVOKED_LINGER * 3, bob_connected.receive()).await;
    assert!(lost.expect("in time").is_err(), "the connection is closed");
    assert!(matches!(keyed.try_connect(&bob).await, Err(ConnectError::KeyRefused { .. })));
    let records = keyed.daemon.stop();
    let record = records.iter().find(|record| record["reply"]["code"] == "refused").expect("a record");
    assert_eq!((&record["key"], record.get("user")), (&json!(bob.public().to_string()), None));
    assert_eq!(record["reason"], "no user has this key any more");
}

#[tokio::test]
async fn a_new_user_is_let_in_after_a_reload() {
    let keyed = Keyed::start();
    let bob = KeyPair::generate();
    assert!(keyed.try_connect(&bob).await.is_err());
    let text = fs::read_to_string(keyed.daemon.configuration()).expect("text");
    let bobs = format!("{text}[users.bob]\npublic_key = '{}'\nroles = []\n", bob.public());
    fs::write(keyed.daemon.configuration(), bobs).expect("written");
    keyed.daemon.signal(Signal::HUP);
    wait_for_record(&keyed.daemon.log(), |record| record["event"] == "policy_reloaded");
    let connection = keyed.try_connect(&bob).await.expect("bob is a user");
    assert_eq!(ask(&connection, COMPUTE).await["code"], "refused", "a user without roles may do nothing");
    keyed.daemon.stop();
}

#[tokio::test]
async fn two_server_keys_and_plain_text_serve_at_once_and_apart() {
    let directory = tempfile::tempdir().expect("a directory");
    let (old, new, ann) =
        (server_key(&directory, "old").public(), server_key(&directory, "new").public(), KeyPair::generate());
    let plain = "[[listeners]]\nendpoint = 'tcp://127.0.0.1:*'\nplain = true\n";
    let listeners = [&listener("old"), &listener("new"), plain].concat();
    let daemon = Daemon::in_directory(
        directory,
        &format!("{listeners}{}[users.local]\nroles = []\n", policy(&ann.public())),
    );
    let [old_endpoint, new_endpoint, plain_endpoint] = daemon.endpoints.as_slice() else { panic!("three") };
    let by_old = keyed::connect(old_endpoint, &ann, old).await.expect("the old key serves");
    let by_new = keyed::connect(new_endpoint, &ann, new).await.expect("the new key serves");
    let plainly =
        Connection::open(plain_endpoint, &Security::Plain, PATIENCE).await.expect("plain text serves");
    for connection in [&by_old, &by_new] {
        assert_eq!(ask(connection, COMPUTE).await["result"], 42);
    }
    assert_eq!(ask(&plainly, COMPUTE).await["code"], "refused", "`local` is not ann");
    // Requests of all three at once, each answered where it came from.
    for (index, connection) in [&by_old, &by_new, &plainly].into_iter().enumerate() {
        for _ in 0..100 {
            let request = format!(r#"{{"command_type":"compute","expression":"{index}","id":"{index}"}}"#);
            connection.send(request.into_bytes(), vec![]).await.expect("sent");
        }
    }
    for (index, connection) in [&by_old, &by_new, &plainly].into_iter().enumerate() {
        for _ in 0..100 {
            assert_eq!(receive(connection).await["id"], index.to_string());
        }
    }
    assert!(keyed::connect(old_endpoint, &ann, new).await.is_err(), "each listener has its own key");
    daemon.stop();
}

#[tokio::test]
async fn unknown_forbidden_and_missing_commands_are_alike_for_users_with_keys() {
    let bob = KeyPair::generate();
    let keyed = Keyed::with_users(&format!(
        "[commands.gone]\nprogram = '/usr/bin/true'\n[roles.gone]\ncommands = ['gone']\n\
         [users.bob]\npublic_key = '{}'\nroles = ['gone']\n",
        bob.public()
    ));
    let connection = keyed.try_connect(&bob).await.expect("bob is a user");
    let mut replies = Vec::new();
    for command in ["unknown", "echo", "__init__", "ann"] {
        let mut reply =
            ask(&connection, &json!({"command_type": "os", "command_name": command}).to_string()).await;
        reply.as_object_mut().expect("an object").remove("duration_ms");
        replies.push(reply.to_string());
    }
    replies.dedup();
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert!(replies[0].contains("\"refused\""));
    keyed.daemon.stop();
}

#[test]
fn a_server_does_not_start_with_a_key_that_others_know() {
    let directory = tempfile::tempdir().expect("a directory");
    server_key(&directory, "server");
    let file = directory.path().join("bidden.toml");
    fs::write(&file, listener("server")).expect("written");
    let secret = directory.path().join("server.key_secret");
    let log = daemon::log_in(directory.path());
    let serve = || {
        Command::new(BIDDEN)
            .args(["serve", "--config", file.to_str().expect("UTF-8"), "--log", log.to_str().expect("UTF-8")])
            .stdin(Stdio::null())
            .output()
            .expect("bidden starts")
    };
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o640)).expect("set");
    check(&serve(), 125, "", "holds a secret, and others can read it (mode 0640)");
    fs::write(&secret, "nonsense").expect("written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("set");
    check(&serve(), 125, "", "is no certificate with a secret key");
    fs::remove_file(&secret).expect("removed");
    check(&serve(), 125, "", "server.key_secret: No such file or directory");
    fs::write(&file, "[[listeners]]\nendpoint = 'tcp://0.0.0.0:0'\nplain = true\n").expect("written");
    check(
        &serve(),
        125,
        "",
        "can be reached by other machines, and without keys bidden serves this machine alone",
    );
    assert_eq!(
        fs::metadata(&log).map_or(0, |log| log.len()),
        0,
        "a server that does not start has nothing to tell"
    );
}

#[test]
fn from_nothing_to_an_encrypted_command_and_a_second_person() {
    let (operator, bob) = (Person::new(), Person::new());
    let directory = operator.file("bidden");
    let shown = directory.to_str().expect("UTF-8");
    let configuration = directory.join("bidden.toml");
    let configuration = configuration.to_str().expect("UTF-8");
    let port = free_port();
    let listen = format!("tcp://127.0.0.1:{port}");
    let init = ["init", shown, "--listen", &listen, "--host", "web1"];
    check(&operator.bidden(&init), 0, "", "bidden run --to web1 uptime");
    check(&operator.bidden(&init), 125, "", "bidden.toml exists already, and is not overwritten");
    check(&operator.bidden(&["policy", "check", configuration]), 0, "is correct", "");
    let daemon = Serving::start(&operator, configuration);
    check(&operator.bidden(&["run", "--to", "web1", "uname", "-s"]), 0, "Linux\n", "");
    check(&operator.bidden(&["commands", "--to", "web1"]), 0, "user: ann; rights: compute", "");
    check(&operator.bidden(&["run", "--to", "web2", "uname"]), 125, "", "there is no host `web2`");
    check(&operator.bidden(&["run", "--to", &listen, "uname"]), 125, "", "it asks for keys");

    check(
        &operator.bidden(&["invite", "ann", "--config", configuration]),
        0,
        "user = \"ann\"",
        "ann is a user already",
    );
    check(&operator.bidden(&["invite", "local", "--config", configuration]), 125, "", "choose another name");
    let invited = operator.bidden(&["invite", "bob", "--config", configuration, "--host", "web1"]);
    check(&invited, 0, "[invitation]\nuser = \"bob\"\nhost = \"web1\"", "Send this to bob");
    let invitation = bob.file("bob.invitation");
    fs::write(&invitation, &invited.stdout).expect("written");
    let accepted = bob.bidden(&["accept", invitation.to_str().expect("UTF-8")]);
    check(&accepted, 0, "[users.bob]\npublic_key = ", "`web1` stands in your hosts.toml now");
    let again = bob.bidden(&["accept", invitation.to_str().expect("UTF-8")]);
    check(&again, 0, text(&accepted.stdout), "`web1` stands in your hosts.toml now");
    check(&bob.bidden(&["compute", "--to", "web1", "1"]), 126, "", "does not let your key in");

    // The operator gives bob a role and reloads.
    let block = text(&accepted.stdout).replace("roles = []", "roles = ['operator']");
    let enrolled = format!("{}\n{block}", fs::read_to_string(configuration).expect("text"));
    fs::write(configuration, enrolled).expect("written");
    daemon.reload();
    check(&bob.bidden(&["compute", "--to", "web1", "6 * 7"]), 0, "42\n", "");
    check(&bob.bidden(&["commands", "--to", "web1"]), 0, "user: bob; rights: compute", "");

    // Neither secret is anywhere but where it was made, and each only for its owner.
    let secret = |path: &Path| {
        assert_eq!(fs::metadata(path).expect("a file").permissions().mode() & 0o777, 0o600, "{path:?}");
        let text = fs::read_to_string(path).expect("text");
        let line = text.lines().find(|line| line.contains("secret-key")).expect("a secret").to_owned();
        line.split('"').nth(1).expect("a value").to_owned()
    };
    let secrets = [
        secret(&directory.join("server.key_secret")),
        secret(&operator.file(".config/bidden/id.key_secret")),
        secret(&bob.file(".config/bidden/id.key_secret")),
    ];
    let public = [&invited.stdout, &accepted.stdout, &accepted.stderr, &invited.stderr];
    for text in public.map(|bytes| text(bytes).to_owned()).into_iter().chain([
        fs::read_to_string(configuration).expect("text"),
        fs::read_to_string(daemon::log_in(&directory)).expect("text"),
        fs::read_to_string(bob.file(".config/bidden/hosts.toml")).expect("text"),
    ]) {
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
    }
}

#[test]
fn a_server_changes_its_key_while_its_users_go_on() {
    let person = Person::new();
    let directory = person.file("bidden");
    let configuration = directory.join("bidden.toml");
    let file = configuration.to_str().expect("UTF-8");
    let (old, new) = (format!("tcp://127.0.0.1:{}", free_port()), format!("tcp://127.0.0.1:{}", free_port()));
    let init = ["init", directory.to_str().expect("UTF-8"), "--listen", &old, "--host", "web1"];
    check(&person.bidden(&init), 0, "", "bidden run --to web1");
    let key = directory.join("server");
    let rotated = person.bidden(&["keygen", "--rotate", key.to_str().expect("UTF-8")]);
    let explained = text(&rotated.stderr);
    // The first step, as it says.
    let (_, listener) = explained.split_once("[[listeners]]").expect("a listener");
    let (listener, _) = listener.split_once("\n\n").expect("its end");
    let listener = format!("[[listeners]]{}\n", listener.replace("tcp://0.0.0.0:5556", &new));
    let before = fs::read_to_string(&configuration).expect("text");
    let (head, tail) = before.split_once("# Commands").expect("commands");
    fs::write(&configuration, format!("{head}{listener}\n# Commands{tail}")).expect("written");
    let _serving = Serving::start(&person, file);
    check(&person.bidden(&["compute", "--to", "web1", "1"]), 0, "1\n", "");
    // The second.
    let new_secret = directory.join("server.2.key_secret");
    assert!(explained.contains(&format!("--key {}", new_secret.display())), "{explained}");
    let invited = person.bidden(&[
        "invite",
        "ann",
        "--config",
        file,
        "--host",
        "web1",
        "--key",
        new_secret.to_str().expect("UTF-8"),
    ]);
    check(&invited, 0, &new, "ann is a user already");
    let invitation = person.file("invitation");
    fs::write(&invitation, &invited.stdout).expect("written");
    let invitation = invitation.to_str().expect("UTF-8");
    check(&person.bidden(&["accept", invitation]), 125, "", "has another host `web1` already");
    check(
        &person.bidden(&["accept", "--replace", invitation]),
        0,
        "[users.ann]",
        "stands in your hosts.toml",
    );
    check(&person.bidden(&["compute", "--to", "web1", "2"]), 0, "2\n", "");
    // The third: the log tells by which listener a request came.
    let records = daemon::records(&daemon::log_in(&directory));
    let listeners: Vec<_> = records.iter().filter_map(|record| record["listener"].as_str()).collect();
    assert_eq!(listeners, [&old, &new]);
    let stranger = person.file("stranger");
    check(&person.bidden(&["keygen", stranger.to_str().expect("UTF-8")]), 0, "\n", "stays here");
    let foreign = ["invite", "ann", "--config", file, "--key", &format!("{}.key", stranger.display())];
    check(&person.bidden(&foreign), 125, "", "it has no listener with the key of");
}

#[test]
fn an_interrupted_init_or_accept_is_simply_done_again() {
    let person = Person::new();
    let directory = person.file("bidden");
    let shown = directory.to_str().expect("UTF-8");
    // No place for hosts.toml: a file stands where its directory has to be.
    fs::write(person.file(".config"), "").expect("written");
    check(&person.bidden(&["init", shown, "--host", "web1"]), 125, "", "cannot create ");
    fs::remove_file(person.file(".config")).expect("removed");
    let key = fs::read(directory.join("server.key")).expect("made by the first attempt");
    check(&person.bidden(&["init", shown, "--host", "web1"]), 0, "", "bidden run --to web1");
    assert_eq!(fs::read(directory.join("server.key")).expect("there"), key);
    let config = directory.join("bidden.toml");
    let invited =
        person.bidden(&["invite", "bob", "--config", config.to_str().expect("UTF-8"), "--host", "web1"]);
    check(&invited, 0, "[invitation]", "leads to the machine on which it is used");
    for wrong in ["tcp://127.0.0.1:*", "tcp://127.0.0.1:0", "tcp://127.0.0.1:99999", "ipc:///tmp/x"] {
        let elsewhere = person.file("elsewhere");
        check(
            &person.bidden(&["init", elsewhere.to_str().expect("UTF-8"), "--listen", wrong]),
            125,
            "",
            "endpoint",
        );
        assert!(!elsewhere.exists());
    }
    let bob = Person::new();
    let invitation = bob.file("invitation");
    fs::write(&invitation, &invited.stdout).expect("written");
    let full = fs::File::options().write(true).open("/dev/full").expect("opened");
    let mut accept = bob.command(&["accept", invitation.to_str().expect("UTF-8")]);
    let failed = accept.stdout(full).output().expect("bidden starts");
    check(&failed, 125, "", "cannot print");
    let again = bob.bidden(&["accept", invitation.to_str().expect("UTF-8")]);
    check(&again, 0, "[users.bob]\npublic_key", "stands in your hosts.toml");
}

#[test]
fn a_configuration_that_cannot_serve_is_told_before_it_does() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("bidden.toml");
    let person = Person::new();
    let policy_check = || person.bidden(&["policy", "check", file.to_str().expect("UTF-8")]);
    for (text, said) in [
        (
            "[[listeners]]\nendpoint = 'tcp://0.0.0.0:99999'\nkey = 'server.key_secret'\n",
            "bidden.toml:2:12: `listeners[1].endpoint` cannot be",
        ),
        (
            "[[listeners]]\nendpoint = 'tcp://0.0.0.0:5555'\nplain = true\n",
            "can be reached by other machines",
        ),
        (
            "[[listeners]]\nendpoint = 'tcp://0.0.0.0:5555'\nkey = 'server.key_secret'\n",
            "server.key_secret: No such file",
        ),
    ] {
        fs::write(&file, text).expect("written");
        check(&policy_check(), 1, "", said);
    }
}

#[tokio::test]
async fn whose_time_is_over_is_not_let_in() {
    let (bob, eve) = (KeyPair::generate(), KeyPair::generate());
    let keyed = Keyed::with_users(&format!(
        "[users.bob]\npublic_key = '{}'\nroles = ['all']\nnot_after = 2020-01-01T00:00:00Z\n\
         [users.eve]\npublic_key = '{}'\nroles = ['all']\nnot_after = 2999-01-01T00:00:00Z\n",
        bob.public(),
        eve.public()
    ));
    assert!(matches!(keyed.try_connect(&bob).await, Err(ConnectError::KeyRefused { .. })));
    assert_eq!(ask(&keyed.try_connect(&eve).await.expect("in time"), COMPUTE).await["result"], 42);
    keyed.daemon.stop();
}

#[test]
fn keygen_writes_a_pair_and_overwrites_nothing() {
    let person = Person::new();
    let name = person.file("web1.example.org");
    let shown = name.to_str().expect("UTF-8");
    let made = person.bidden(&["keygen", shown]);
    check(&made, 0, "\n", "web1.example.org.key_secret is the secret, which stays here");
    let public = fs::read_to_string(format!("{shown}.key")).expect("text");
    assert!(public.contains(text(&made.stdout).trim()));
    check(&person.bidden(&["keygen", shown]), 125, "", "a key is never overwritten; choose another name");
    check(
        &person.bidden(&["keygen", "/nonexistent/key"]),
        125,
        "",
        "/nonexistent/key.key_secret: No such file",
    );
    let rotated = person.bidden(&["keygen", "--rotate", shown]);
    check(&rotated, 0, "\n", "web1.example.org.2.key_secret is the new key. Both keys can serve at once");
    assert_ne!(rotated.stdout, made.stdout);
    check(
        &person.bidden(&["keygen", "--rotate", shown]),
        0,
        "\n",
        "web1.example.org.3.key_secret is the new key",
    );
    check(&person.bidden(&["keygen", "--rotate", "/nonexistent/key"]), 125, "", "No such file");
}

#[test]
fn what_is_wrong_with_hosts_toml_is_said() {
    let person = Person::new();
    let ask = || person.bidden(&["compute", "--to", "web1", "1"]);
    check(&ask(), 125, "", "there is no host `web1`");
    let directory = person.file(".config/bidden");
    fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join("hosts.toml");
    let entry = |rest: &str| format!("[hosts.web1]\nendpoint = 'tcp://127.0.0.1:1'\n{rest}");
    for (text, said) in [
        (entry(""), "`hosts.web1` lacks the key `server_key`"),
        (entry("server_key = 'x'\n"), "`hosts.web1` lacks the key `key`"),
        (entry("server_key = 'x'\nkey = 'id.key_secret'\n"), "`hosts.web1.server_key` is no public key"),
        (entry("server_kye = 'x'\n"), "unknown field `server_kye`, expected one of"),
        (
            entry(&format!("server_key = '{}'\nkey = 'no.key_secret'\n", KeyPair::generate().public())),
            "no.key_secret: No such file",
        ),
    ] {
        fs::write(&file, text).expect("written");
        check(&ask(), 125, "", said);
    }
    for mode in [0o666, 0o620, 0o602] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("set");
        check(&ask(), 125, "", "can be written by others");
    }
    let hostile =
        "[invitation]\nuser = 'a'\nhost = \"x\\\"]\\nkey = 1\"\nendpoint = 'tcp://a:1'\nserver_key = 'x'\n";
    let invitation = person.file("hostile");
    fs::write(&invitation, hostile).expect("written");
    check(&person.bidden(&["accept", invitation.to_str().expect("UTF-8")]), 125, "", "cannot name a host");
}

/// A server that a person started.
struct Serving {
    child: std::process::Child,
    log: std::path::PathBuf,
}

impl Serving {
    fn start(person: &Person, configuration: &str) -> Self {
        let mut child = person
            .command(&["serve", "--config", configuration])
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines =
            std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().expect("stderr")));
        let ready = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("Ctrl-C")));
        assert!(ready.is_some(), "it serves");
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, log: daemon::log_in(Path::new(configuration).parent().expect("a directory")) }
    }

    fn reload(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, Signal::HUP).expect("it is there");
        wait_for_record(&self.log, |record| record["event"] == "policy_reloaded");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago: `init` writes the port into two files before anything listens there.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
