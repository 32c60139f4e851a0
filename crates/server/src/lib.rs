//! bidden's server. [`Server::bind`] opens the log and the socket, [`Server::serve`] answers until it is told to
//! stop. The way of one request is `pipeline`, its stages in the order of the modules below.
#![forbid(unsafe_code)]

pub mod config;
pub mod limits;
pub mod policy;

mod server;
mod service;

mod pipeline;

mod admit;
mod authenticate;
mod authorise;
mod decode;
mod execute;
mod pace;
mod record;

mod entry;
mod jobs;
mod log;
mod moment;
mod outcome;
mod refusal;
mod replies;

#[cfg(feature = "bench")]
pub use jobs::{UsedIds, use_ids};
pub use log::{
    Evidence, Finding, History, HistoryFilter, HistoryReader, HistoryRow, KeyName, LogAccess,
    OpenError as LogError, RowState, SealError, SealedUpTo, Sealer, SealingState, VerificationKey, Verified,
    VerifyError, create_sealing_state, history, read_sealing_state, verify,
};
pub use server::{Config, ReloadError, Reloader, ServeError, Server, StartError};
pub use service::Phase;
pub use transport::{Access, AccountSocket, SocketMode, listening_address, socket_path};
