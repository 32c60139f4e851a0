//! Every type of request by every kind of user, over real sockets: the policy is asked exactly once before anything is
//! done, and never for someone who is nobody any more.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use transport::{Access, Connection, KeyPair, Listeners, Security};
use wire::PublicKey;

use super::pipeline;
use crate::config::{Configuration, Limits};
use crate::jobs::{Bounds, ExecutedIds};
use crate::log::{Log, Rotation};
use crate::moment::DateClock;
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

/// A kind of user: how he connects, what the configuration says of him, and what that comes to.
#[derive(Clone, Copy)]
struct Identity {
    connects: Connects,
    user: &'static str,
    commands: &'static [&'static str],
    compute: bool,
    valid: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Connects {
    Plainly,
    WithKey,
}

const ALL: &[&str] = &["one", "two"];

const IDENTITIES: [Identity; 15] = [
    local("", ALL, true),
    local("roles = ['all']", ALL, true),
    local("roles = ['one']", &["one"], false),
    local("roles = ['compute']", &[], true),
    local("roles = ['one', 'compute']", &["one"], true),
    local("roles = ['nothing']", &[], false),
    local("roles = []", &[], false),
    nobody(local("roles = ['all']\nnot_after = 2030-01-01T00:00:00Z", &[], false)),
    local("roles = ['all']\nnot_after = 2030-01-01T00:00:01Z", ALL, true),
    ann("roles = ['all']", ALL, true),
    ann("roles = ['one']", &["one"], false),
    ann("roles = []", &[], false),
    ann("roles = ['all']\nnot_after = 2030-01-01T00:00:01Z", ALL, true),
    nobody(ann("roles = ['all']\nnot_after = 2030-01-01T00:00:00Z", &[], false)),
    // Removed while her connection is open.
    nobody(ann("", &[], false)),
];

const fn local(user: &'static str, commands: &'static [&'static str], compute: bool) -> Identity {
    Identity { connects: Connects::Plainly, user, commands, compute, valid: true }
}

const fn ann(user: &'static str, commands: &'static [&'static str], compute: bool) -> Identity {
    Identity { connects: Connects::WithKey, ..local(user, commands, compute) }
}

const fn nobody(identity: Identity) -> Identity {
    Identity { valid: false, ..identity }
}

impl Identity {
    /// The configuration's section about him, if it has one.
    fn section(&self, key: PublicKey) -> String {
        match (self.user, self.connects) {
            ("", _) => String::new(),
            (user, Connects::Plainly) => format!("[users.local]\n{user}\n"),
            (user, Connects::WithKey) => format!("[users.ann]\npublic_key = '{key}'\n{user}\n"),
        }
    }
}

/// A request, and its code (`None` for success) for a user of that kind.
type Case = (&'static str, u32, fn(&Identity) -> Option<&'static str>);

const REQUESTS: [Case; 15] = [
    (r#"{"command_type":"os","command_name":"one"}"#, 1, |identity| Some(runs(identity, "one"))),
    (r#"{"command_type":"os","command_name":"two"}"#, 1, |identity| Some(runs(identity, "two"))),
    (r#"{"command_type":"os","command_name":"none"}"#, 1, |_| Some("refused")),
    (r#"{"command_type":"os","command_name":"one","parameters":["-x"]}"#, 1, |identity| {
        Some(if identity.commands.contains(&"one") { "invalid_parameters" } else { "refused" })
    }),
    (r#"{"command_type":"compute","expression":"1"}"#, 1, |identity| refused_unless(identity.compute)),
    (r#"{"command_type":"describe"}"#, 1, |_| None),
    (r#"{"command_type":"jobs"}"#, 1, |_| None),
    (r#"{"command_type":"result","job":"1-1"}"#, 1, |_| Some("not_found")),
    (r#"{"command_type":"cancel","job":"1-1"}"#, 1, |_| Some("not_found")),
    (r#"{"command_type":"history","since":0}"#, 1, |_| None),
    // None of the roles has the right to it.
    (r#"{"command_type":"metrics"}"#, 1, |identity| refused_unless(identity.user.is_empty())),
    (r#"{"command_type":"os"}"#, 0, |_| Some("invalid_request")),
    (r#"{"command_type":"__init__"}"#, 0, |_| Some("invalid_request")),
    (r#"{"command_type":"Compute","expression":"1"}"#, 0, |_| Some("invalid_request")),
    ("", 0, |_| Some("invalid_request")),
];

/// There is no launcher here: what is permitted gets as far as that.
fn runs(identity: &Identity, command: &str) -> &'static str {
    if identity.commands.contains(&command) { "internal" } else { "refused" }
}

fn refused_unless(permitted: bool) -> Option<&'static str> {
    if permitted { None } else { Some("refused") }
}

#[tokio::test]
async fn every_request_type_and_identity_state_asks_the_policy_exactly_once() {
    tokio::task::LocalSet::new().run_until(ask_everything()).await;
}

async fn ask_everything() {
    let (server_key, key) = (KeyPair::generate(), KeyPair::generate());
    let security = Security::Curve { key: key.clone(), server_key: server_key.public() };
    let endpoints =
        [Access::Plain, Access::Curve(server_key)].map(|access| ("tcp://127.0.0.1:0".into(), access));
    let listeners = Listeners::bind(endpoints.into(), Arc::new(|_| true)).await.expect("two ports");
    let endpoints: Vec<_> = listeners.endpoints().map(|(endpoint, _)| endpoint.to_owned()).collect();
    let within = Duration::from_secs(5);
    let plain = Connection::open(&endpoints[0], &Security::Plain, within).await.expect("connected");
    let encrypted = Connection::open(&endpoints[1], &security, within).await.expect("connected");
    let rotation = Rotation { bytes: u64::MAX, keep: None };
    for identity in &IDENTITIES {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("server.log");
        let (log, _) = Log::open(&path, rotation).expect("a log");
        let (executed, _) = ExecutedIds::open(&path, Bounds::default()).expect("ids");
        let read = Configuration::parse("f", &format!("{COMMANDS}{}", identity.section(key.public())));
        let policy = read.unwrap_or_else(|error| panic!("{error}")).policy;
        let mut service = Service::new(policy, Limits::default(), log, executed, jail::Launcher::absent());
        service.clock = DateClock::by(|| "2030-01-01T00:00:00Z".parse().expect("a moment"));
        let service = Rc::new(service);
        let connection = if identity.connects == Connects::Plainly { &plain } else { &encrypted };
        for (request, questions, code) in REQUESTS {
            connection.send(request.as_bytes().to_vec(), vec![]).await.expect("sent");
            let mut frames = Vec::new();
            listeners.receive(&mut frames).await.expect("received");
            let frame = frames.pop().expect("one frame");
            QUESTIONS.set(0);
            let recorded = pipeline(&service, &listeners, frame).await;
            let shown = format!("{request} by {:?}, who connects {:?}", identity.user, identity.connects);
            let (questions, code) =
                if identity.valid { (questions, code(identity)) } else { (0, Some("refused")) };
            assert_eq!(QUESTIONS.get(), questions, "{shown}");
            let (_, reply, _) = recorded.into_reply(&service.log.commit().expect("written"));
            let reply: Value = serde_json::from_slice(&reply).expect("JSON");
            assert_eq!(reply["code"].as_str(), code, "{shown}: {reply}");
            assert!(
                identity.connects == Connects::Plainly || reply["result"]["user"] != "local",
                "{shown}: {reply}"
            );
        }
        let text = std::fs::read_to_string(directory.path().join("server.log")).expect("a log");
        let started = text.lines().filter(|line| line.contains("\"event\":\"started\"")).count();
        assert_eq!(started, identity.commands.len(), "{:?}", identity.user);
        let key_in_log = text.matches(&format!("\"key\":\"{}\"", key.public())).count();
        assert_eq!(key_in_log > 0, identity.connects == Connects::WithKey);
        if !identity.valid {
            let reason =
                if identity.user.is_empty() { "no user has this key" } else { "the user's time is over" };
            assert_eq!(text.matches(reason).count(), REQUESTS.len());
        }
    }
    listeners.close().await;
}
