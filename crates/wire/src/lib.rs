//! The words that bidden's server and its clients exchange: requests, replies, error codes and their limits.
//!
//! Pure data: nothing here opens a socket, a file or a clock. `docs/protocol.md` shows the same by example.
#![forbid(unsafe_code)]

pub mod json;
pub mod limits;

mod code;
mod event;
mod key;
mod reply;
mod request;
mod shape;
mod text;
mod variable;

pub use code::ErrorCode;
pub use event::{Event, EventKind, Stream};
pub use key::PublicKey;
pub use reply::{End, Failure, InvalidReply, Output, Reply, Streamed, Usage, Verdict};
pub use request::{
    Action, Delivery, History, InvalidRequest, Numbers, Request, RequestId, Target, decode_request,
};
pub use shape::has_command_type;
pub use variable::{Given, InvalidVariable, Variable};
