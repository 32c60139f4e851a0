//! A server inside the test, with a policy that no default has, and clients that see every frame.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use server::config::Limits;
use server::policy::{Command, Kind, Operand, OptionRule, OptionValue, Policy};
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
        self.serving.await.expect("it ends");
        daemon::records(&self.directory.path().join("server.log"))
    }
}

/// Runs a test beside a server with the test policy.
pub(crate) fn with_server<F: Future<Output = ()>>(test: impl FnOnce(Served) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let directory = tempfile::tempdir().expect("a directory");
        let (wanted, phase) = watch::channel(Phase::Serve);
        let config = Config {
            listeners: vec![("tcp://127.0.0.1:0".into(), Access::Plain)],
            log: directory.path().join("server.log"),
            policy: policy(),
            limits: Limits::default(),
        };
        let server = Server::bind(config).await.expect("it starts");
        let endpoint = server.endpoints().next().expect("a listener").0.to_owned();
        let serving = tokio::task::spawn_local(async { server.serve(phase).await.expect("it serves") });
        test(Served { endpoint, wanted, serving, directory }).await;
    });
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
fn policy() -> Policy {
    let seconds = OptionValue { kind: Kind::Integer { min: 0, max: 1000 }, default: None };
    let shell = |script: &str| Command {
        operands: vec![Operand { required: false, ..Operand::required("word", words()) }],
        time_limit: Duration::from_secs(20),
        fixed_arguments: vec!["-c".into(), script.into()],
        ..Command::new("/bin/sh")
    };
    let sleep = Command {
        program: "/bin/sleep".into(),
        operands: vec![Operand::required("seconds", Kind::Integer { min: 0, max: 1000 })],
        fixed_arguments: vec![],
        ..shell("")
    };
    let missing = Command { program: "/nonexistent/program".into(), fixed_arguments: vec![], ..shell("") };
    Policy::new(
        [
            ("sleep", sleep),
            ("missing", missing),
            ("endless", shell("while :; do echo 0123456789abcdef; done")),
            ("bytes", shell(r"printf '\377\000'; printf '\376' >&2")),
            ("killed", shell("kill -KILL $$")),
            (
                "long",
                Command {
                    options: vec![OptionRule::with_value("-s", seconds)],
                    ..shell("head -c 3000000 /dev/zero | tr '\\0' x")
                },
            ),
        ]
        .map(|(name, command)| (name.to_owned(), command)),
    )
}

fn words() -> Kind {
    Kind::OneOf(vec!["word".into()])
}
