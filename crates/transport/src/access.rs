//! Who may connect to a listener, and how.

use std::fmt;

use crate::key::KeyPair;
use crate::socket_file::AccountSocket;

/// Who may connect, and whether what passes can be read on the way.
#[derive(Clone, Debug)]
pub enum Access {
    /// Everyone on this machine, in plain text: loopback addresses alone.
    Plain,
    /// Those whose keys are admitted, encrypted with CURVE (RFC 26) under this key of the server.
    Curve(KeyPair),
    /// Those accounts of this machine that are admitted, by this Unix socket. It is bound already, because a server that
    /// has confined itself can bind none.
    Accounts(AccountSocket),
}

/// As the log and people read it.
impl fmt::Display for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => formatter.write_str("plain"),
            Self::Curve(key) => write!(formatter, "curve {}", key.public()),
            Self::Accounts(socket) => write!(formatter, "accounts {:04o}", socket.mode()),
        }
    }
}
