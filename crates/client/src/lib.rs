//! A client of a bidden server. It can ask for work; it links nothing that could do any.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use client::{Action, Client, Delivery, Progress, Request};
//!
//! let mut client = Client::connect("tcp://127.0.0.1:5555").await?;
//! let request = Request { id: None, timeout: None, action: Action::compute("(6 + 4) * 8") };
//! let answer = client.request(&request, vec![]).await?;
//! println!("{:?}", answer.reply()?.verdict);
//!
//! // What a command prints, as it prints it.
//! let action = Action::Os {
//!     command_name: "ping".into(),
//!     parameters: vec!["127.0.0.1".into()],
//!     stdin: None,
//!     delivery: Delivery::Stream,
//! };
//! let mut ongoing = client.start(Request { id: None, timeout: None, action }, vec![]);
//! loop {
//!     match ongoing.next().await? {
//!         Progress::Printed { bytes, .. } => print!("{}", String::from_utf8_lossy(&bytes)),
//!         Progress::Answered(answer) => break println!("{:?}", answer.reply()?.verdict),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A connection that is lost is made anew, and the request is sent again on it, until its time is over. A command is not
//! executed twice by that: its request has an id, and a server executes what has the same id once. Where the server may have
//! forgotten the id, after [`limits::RESEND_WITHIN`], it is not sent again.
#![forbid(unsafe_code)]

pub mod limits;

mod client;
mod ongoing;
mod output;
mod presence;

pub use crate::client::{Answer, Client, NoAnswer};
pub use limits::{CONNECT_TIMEOUT, LONGEST_WAIT};
pub use ongoing::{Ongoing, Progress};
pub use transport::{
    CertificateError, CertificatePaths, ConnectError, KeyPair, Security, is_listening, read_key_pair,
    read_public_key, write_certificates,
};
pub use wire::PublicKey;
pub use wire::json::{StrictJson, printed, untagged};
pub use wire::limits::{MAX_COLUMN_BYTES, MAX_REQUEST_BYTES, MAX_TIMEOUT};
pub use wire::{
    Action, Delivery, End, ErrorCode, Event, EventKind, Failure, History, InvalidReply, Numbers, Output,
    Reply, Request, RequestId, Stream, Streamed, Target, Variable, Verdict,
};

/// The Rust of the README, compiled by the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
