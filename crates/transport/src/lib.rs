//! ZeroMQ for bidden: [`Listeners`] for the server, a [`Connection`] for clients, and nothing of the library behind
//! them in either signature.
//!
//! The one crate that names the ZeroMQ library. Frames come out with who sent them; a reply goes back
//! to that connection, unless a newer one has declared the same routing id since (see `docs/protocol.md`).
#![forbid(unsafe_code)]

pub mod limits;

mod listeners;

mod access;
mod backlog;
mod certificate;
mod connection;
mod door;
mod envelope;
mod frame;
mod key;
mod listener;
mod peer;
mod stream;

pub use access::Access;
pub use certificate::{
    CertificateError, CertificatePaths, read_key_pair, read_public_key, write_certificates,
};
pub use connection::{ConnectError, Connection, Lost, Received, Security};
pub use door::{Admission, FailedHandshake};
pub use frame::{Frame, ReturnPath};
pub use key::KeyPair;
pub use listener::{ListenError, check_listening, listening_address};
pub use listeners::{Closed, Listeners};
pub use peer::{Peer, Sender};
pub use stream::{EventStream, Gone};
