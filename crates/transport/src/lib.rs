//! ZeroMQ for bidden: [`Listeners`] for the server, a [`Connection`] for clients, and nothing of the library behind
//! them in either signature.
//!
//! The one crate that names the ZeroMQ library. Frames come out with who sent them; a reply goes back
//! to that connection, unless a newer one has declared the same routing id since (see `docs/protocol.md`).
#![forbid(unsafe_code)]

pub mod limits;

mod listeners;

mod access;
mod account;
mod accounts;
mod backlog;
mod certificate;
mod connection;
mod door;
mod envelope;
mod frame;
mod key;
mod listener;
mod outlet;
mod peer;
mod socket_file;
mod stream;

pub use access::Access;
pub use account::Account;
pub use certificate::{
    CertificateError, CertificatePaths, read_key_pair, read_public_key, write_certificates,
};
pub use connection::{ConnectError, Connection, Lost, Received, Security};
pub use door::{Admission, FailedHandshake, Origin};
pub use frame::{Frame, ReturnPath};
pub use key::KeyPair;
pub use listener::{ListenError, check_listening, listening_address};
pub use listeners::{Closed, Listeners};
pub use peer::{Peer, Sender};
pub use socket_file::{AccountSocket, SocketFileError, SocketMode, is_listening, socket_path};
pub use stream::{EventStream, Gone};
