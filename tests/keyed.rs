//! A `bidden serve` that knows its users by their keys, and clients that have one.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use transport::{ConnectError, Connection, KeyPair, Security, read_key_pair, write_certificates};
use wire::PublicKey;

use crate::daemon::Daemon;

/// How long a client looks for its server.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Keyed {
    pub(crate) daemon: Daemon,
    pub(crate) server_key: PublicKey,
    /// The key of the user `ann`, who may compute, and see what `/usr/bin/sleep` and `/usr/bin/echo` do.
    pub(crate) ann: KeyPair,
}

impl Keyed {
    pub(crate) fn start() -> Self {
        Self::with_users("")
    }

    /// With more users than `ann`.
    pub(crate) fn with_users(users: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let server_key = server_key(&directory, "server").public();
        let ann = KeyPair::generate();
        let listener = listener("server");
        let daemon = Daemon::in_directory(directory, &format!("{listener}{}{users}", policy(&ann.public())));
        Self { daemon, server_key, ann }
    }

    /// Connects with a key.
    pub(crate) async fn try_connect(&self, key: &KeyPair) -> Result<Connection, ConnectError> {
        connect(&self.daemon.endpoint, key, self.server_key).await
    }

    /// Connects as `ann`.
    pub(crate) async fn connect(&self) -> Connection {
        self.try_connect(&self.ann).await.expect("the server lets ann in")
    }
}

pub(crate) async fn connect(
    endpoint: &str,
    key: &KeyPair,
    server_key: PublicKey,
) -> Result<Connection, ConnectError> {
    Connection::open(endpoint, &Security::Curve { key: key.clone(), server_key }, PATIENCE).await
}

/// Makes the key of a server, in files of this name.
pub(crate) fn server_key(directory: &TempDir, name: &str) -> KeyPair {
    let paths = write_certificates(&directory.path().join(name), &KeyPair::generate()).expect("written");
    read_key_pair(Path::new(&paths.secret)).expect("a pair")
}

/// A listener under the key in files of this name.
pub(crate) fn listener(name: &str) -> String {
    format!("[[listeners]]\nendpoint = 'tcp://127.0.0.1:*'\nkey = '{name}.key_secret'\n")
}

/// Commands, a role that has all, and `ann` who has the role.
pub(crate) fn policy(ann: &PublicKey) -> String {
    format!(
        "\
[commands.echo]
program = '/usr/bin/echo'
operands = [ {{ name = 'word', type = 'name', required = false }} ]
separator = false

[commands.sleep]
program = '/usr/bin/sleep'
operands = [ {{ name = 'seconds', type = 'integer', min = 0, max = 60 }} ]

[roles.all]
commands = ['echo', 'sleep']
rights = ['compute']

[users.ann]
public_key = '{ann}'
roles = ['all']
"
    )
}
