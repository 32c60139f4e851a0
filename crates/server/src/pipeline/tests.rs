//! Every type of request by every kind of user, over a real socket: the policy is asked exactly once before anything is
//! done, and never for someone whose time is over.

use std::time::Duration;

use serde_json::Value;
use transport::{Connection, Listener};

use super::pipeline;
use crate::config::{Configuration, Limits};
use crate::log::Log;
use crate::policy::QUESTIONS;
use crate::service::Service;

const COMMANDS: &str = "
[commands.one]
program = '/usr/bin/true'
[commands.two]
program = '/usr/bin/true'
[roles.one]
commands = ['one']
[roles.compute]
rights = ['compute']
[roles.all]
commands = ['one', 'two']
rights = ['compute']
[roles.nothing]
";

/// A kind of user: what the configuration says of `local`, and what that comes to.
struct Identity {
    users: &'static str,
    commands: &'static [&'static str],
    compute: bool,
    valid: bool,
}

const IDENTITIES: [Identity; 9] = [
    Identity { users: "", commands: &["one", "two"], compute: true, valid: true },
    Identity { users: "roles = ['all']", commands: &["one", "two"], compute: true, valid: true },
    Identity { users: "roles = ['one']", commands: &["one"], compute: false, valid: true },
    Identity { users: "roles = ['compute']", commands: &[], compute: true, valid: true },
    Identity { users: "roles = ['one', 'compute']", commands: &["one"], compute: true, valid: true },
    Identity { users: "roles = ['nothing']", commands: &[], compute: false, valid: true },
    Identity { users: "roles = []", commands: &[], compute: false, valid: true },
    Identity {
        users: "roles = ['all']\nnot_after = 2030-01-01T00:00:00Z",
        commands: &[],
        compute: false,
        valid: false,
    },
    Identity {
        users: "roles = ['all']\nnot_after = 2030-01-01T00:00:01Z",
        commands: &["one", "two"],
        compute: true,
        valid: true,
    },
];

/// A request, and its code (`None` for success) for a user of that kind.
type Case = (&'static str, u32, fn(&Identity) -> Option<&'static str>);

const REQUESTS: [Case; 10] = [
    (r#"{"command_type":"os","command_name":"one"}"#, 1, |identity| runs(identity, "one")),
    (r#"{"command_type":"os","command_name":"two"}"#, 1, |identity| runs(identity, "two")),
    (r#"{"command_type":"os","command_name":"none"}"#, 1, |_| Some("refused")),
    (r#"{"command_type":"os","command_name":"one","parameters":["-x"]}"#, 1, |identity| {
        Some(if identity.commands.contains(&"one") { "invalid_parameters" } else { "refused" })
    }),
    (r#"{"command_type":"compute","expression":"1"}"#, 1, |identity| refused_unless(identity.compute)),
    (r#"{"command_type":"describe"}"#, 1, |_| None),
    (r#"{"command_type":"os"}"#, 0, |_| Some("invalid_request")),
    (r#"{"command_type":"__init__"}"#, 0, |_| Some("invalid_request")),
    (r#"{"command_type":"Compute","expression":"1"}"#, 0, |_| Some("invalid_request")),
    ("", 0, |_| Some("invalid_request")),
];

fn runs(identity: &Identity, command: &str) -> Option<&'static str> {
    refused_unless(identity.commands.contains(&command))
}

fn refused_unless(permitted: bool) -> Option<&'static str> {
    if permitted { None } else { Some("refused") }
}

#[tokio::test]
async fn every_request_type_and_identity_state_asks_the_policy_exactly_once() {
    tokio::task::LocalSet::new().run_until(ask_everything()).await;
}

async fn ask_everything() {
    let listener = Listener::bind_loopback("tcp://127.0.0.1:0").await.expect("a port");
    let connection = Connection::open(listener.endpoint(), Duration::from_secs(5)).await.expect("connected");
    for identity in &IDENTITIES {
        let directory = tempfile::tempdir().expect("a directory");
        let (log, _) = Log::open(&directory.path().join("server.log")).expect("a log");
        let users =
            if identity.users.is_empty() { "" } else { &format!("[users.local]\n{}\n", identity.users) };
        let read = Configuration::parse("f", &format!("{COMMANDS}{users}"));
        let policy = read.unwrap_or_else(|error| panic!("{error}")).policy;
        let mut service = Service::new(policy, Limits::default(), log, jail::Launcher::absent());
        service.clock = || "2030-01-01T00:00:00Z".parse().expect("a moment");
        for (request, questions, code) in REQUESTS {
            connection.send(request.as_bytes().to_vec(), vec![]).await.expect("sent");
            let mut frames = Vec::new();
            listener.receive(&mut frames).await.expect("received");
            let frame = frames.pop().expect("one frame");
            QUESTIONS.set(0);
            let recorded = pipeline(&service, frame).await;
            let shown = format!("{request} by {:?}", identity.users);
            let (questions, code) =
                if identity.valid { (questions, code(identity)) } else { (0, Some("refused")) };
            assert_eq!(QUESTIONS.get(), questions, "{shown}");
            let (_, reply, _) = recorded.into_reply(&service.log.commit().expect("written"));
            let reply: Value = serde_json::from_slice(&reply).expect("JSON");
            assert_eq!(reply["code"].as_str(), code, "{shown}: {reply}");
        }
        let described = service.policy().describe(service.policy().local());
        assert_eq!(
            described.contains("\"name\":\"two\""),
            identity.commands.contains(&"two") || !identity.valid,
            "{described}"
        );
        let text = std::fs::read_to_string(directory.path().join("server.log")).expect("a log");
        let started = text.lines().filter(|line| line.contains("\"event\":\"started\"")).count();
        assert_eq!(started, identity.commands.len(), "{:?}", identity.users);
        if !identity.valid {
            assert_eq!(text.matches("the user's time is over").count(), REQUESTS.len());
        }
    }
    listener.close().await;
}
