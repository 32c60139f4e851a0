//! A server inside the test, with a policy that no default has, and clients that see every frame.

use std::future::Future;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use jail::{Launcher, StartedKeeper};
use serde_json::Value;
use server::config::Configuration;
use server::{Access, Config, Phase, Server};
use tempfile::TempDir;
use tokio::sync::watch;
use transport::{Connection, Security};

use crate::daemon;

/// A server and the means to reach and to stop it.
pub(crate) struct Served {
    pub(crate) endpoint: String,
    pub(crate) wanted: watch::Sender<Phase>,
    serving: tokio::task::JoinHandle<()>,
    directory: TempDir,
}

impl Served {
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    /// The policy's file.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.directory.path().join("bidden.toml")
    }

    pub(crate) async fn connect(&self) -> Connection {
        let within = Duration::from_secs(5);
        Connection::open(&self.endpoint, &Security::Plain, within).await.expect("the server answers")
    }

    /// Waits until the log holds a record that is like this.
    pub(crate) async fn wait_for_record(&self, is_it: impl Fn(&Value) -> bool) {
        while !daemon::records(&self.log()).iter().any(&is_it) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops the server in order and returns its records.
    pub(crate) async fn stop(self) -> Vec<Value> {
        self.wanted.send_replace(Phase::Drain);
        self.ended().await
    }

    /// Stops the server and what still runs, and returns its records.
    pub(crate) async fn end(self) -> Vec<Value> {
        self.wanted.send_replace(Phase::End);
        self.ended().await
    }

    async fn ended(self) -> Vec<Value> {
        self.serving.await.expect("it ends");
        daemon::records(&self.directory.path().join("server.log"))
    }
}

/// Runs a test beside a server with the test policy.
pub(crate) fn with_server<F: Future<Output = ()>>(test: impl FnOnce(Served) -> F) {
    let directory = tempfile::tempdir().expect("a directory");
    let gone = directory.path().join("gone");
    std::fs::copy("/bin/true", &gone).expect("copied");
    let policy = POLICY.replace("GONE", gone.to_str().expect("UTF-8"));
    with_policy(directory, &policy, move |served| {
        std::fs::remove_file(gone).expect("removed");
        test(served)
    });
}

/// Runs a test beside a server with this policy.
pub(crate) fn with_policy<F: Future<Output = ()>>(
    directory: TempDir,
    policy: &str,
    test: impl FnOnce(Served) -> F,
) {
    with_keeper(Command::new(daemon::BIDDEN), directory, policy, test);
}

/// The same with a keeper that is started so.
pub(crate) fn with_keeper<F: Future<Output = ()>>(
    mut command: Command,
    directory: TempDir,
    policy: &str,
    test: impl FnOnce(Served) -> F,
) {
    let path = directory.path().join("bidden.toml");
    std::fs::write(&path, policy).expect("written");
    let configuration = Configuration::read(&path).unwrap_or_else(|error| panic!("{error}"));
    command.args(["launch", "--config"]).arg(&path);
    let keeper = StartedKeeper::start(command).expect("a keeper");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let (wanted, phase) = watch::channel(Phase::Serve);
        let config = Config {
            listeners: vec![("tcp://127.0.0.1:0".into(), Access::Plain)],
            log: directory.path().join("server.log"),
            log_access: server::LogAccess::default(),
            sealer: None,
            policy: configuration.policy,
            limits: configuration.limits,
        };
        let launcher = Launcher::connect(keeper).await.expect("a launcher");
        let server = Server::bind(config, launcher).await.expect("it starts");
        let endpoint = server.endpoints().next().expect("a listener").0.to_owned();
        let serving = tokio::task::spawn_local(async { server.serve(phase).await.expect("it serves") });
        test(Served { endpoint, wanted, serving, directory }).await;
    });
}

/// Runs a test beside a server with the test policy and more of a configuration.
pub(crate) fn with_configuration<F: Future<Output = ()>>(more: &str, test: impl FnOnce(Served) -> F) {
    let policy = POLICY.replace("GONE", "/bin/true");
    with_policy(tempfile::tempdir().expect("a directory"), &format!("{policy}\n{more}"), test);
}

/// Sends one request and returns its reply.
pub(crate) async fn ask(connection: &Connection, request: &str) -> Value {
    connection.send(request.as_bytes().to_vec(), vec![]).await.expect("sent");
    receive(connection).await
}

/// The next reply.
pub(crate) async fn receive(connection: &Connection) -> Value {
    let frame = tokio::time::timeout(Duration::from_secs(30), connection.receive()).await;
    serde_json::from_slice(&frame.expect("in time").expect("connected").body).expect("JSON")
}

/// Commands that sleep, fail, print and are missing: what the default policy must never have.
const POLICY: &str = r#"
[commands.sleep]
program = "/bin/sleep"
operands = [{ name = "seconds", type = "integer", min = 0, max = 1000 }]
separator = false
timeout = "20s"

[commands.missing]
program = "GONE"

[commands.endless]
program = "/bin/sh"
launcher = true
arguments = ["-c", "while :; do echo 0123456789abcdef; done"]
timeout = "20s"

[commands.bytes]
program = "/bin/sh"
launcher = true
arguments = ["-c", "printf '\\377\\000'; printf '\\376' >&2"]

[commands.killed]
program = "/bin/sh"
launcher = true
arguments = ["-c", "kill -KILL $$"]

[commands.long]
program = "/bin/sh"
launcher = true
may_exec = true
arguments = ["-c", "head -c 3000000 /dev/zero | tr '\\0' x"]
timeout = "20s"
"#;
