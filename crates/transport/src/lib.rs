//! ZeroMQ for bidden: a [`Listener`] for the server, a [`Connection`] for clients, and nothing of the library behind
//! them in either signature.
//!
//! The one crate that names the ZeroMQ library. Frames come out with who sent them; a reply goes back
//! to that connection, unless a newer one has declared the same routing id since (see `docs/protocol.md`).
#![forbid(unsafe_code)]

pub mod limits;

mod backlog;
mod connection;
mod listener;
mod peer;

pub use connection::{ConnectError, Connection, Lost, Received};
pub use listener::{Closed, Frame, ListenError, Listener, ReturnPath};
pub use peer::Peer;
