//! Starts commands in a jail and watches them to their end: a [`Plan`] in, an [`Outcome`] out.
//!
//! The only crate that may hold unsafe code. It knows programs, arguments, limits and confinement; it has never heard of
//! a request, a policy or a user. Nothing here ever passes through a shell.
//!
//! Four kinds of processes take part. The *server* has a [`Launcher`]. The *keeper* ([`keep`]) is started by it before it
//! has a thread, reads the rules, and forks *launchers*, one at a time. A launcher makes *jails* ready; the *init* of a
//! jail takes one order from the server, checks it, and starts the command between whose fork and exec are the steps of
//! `child`.

pub mod limits;

mod confinement;
mod outcome;
mod plan;
mod rule;
mod variable;

mod capture;
mod handle;
mod memory;
mod run;

mod message;
mod socket;

mod server;
mod server_calls;

mod child;
mod init;
mod keeper;
mod launcher;

mod book;
mod filesystem;
mod groups;
mod identity;
mod machine;
mod namespaces;
mod processes;
mod program;
mod seccomp;

pub use capture::Stream;
pub use child::Step;
pub use confinement::{Capability, Confinement, Exec, Identity, Network, Processes, ResourceLimits};
pub use handle::{Launcher, LauncherError, StartedKeeper};
pub use keeper::{examine, keep};
pub use machine::{Feature, Machine, Privilege};
pub use memory::return_free_memory;
#[cfg(feature = "fuzz")]
pub use message::check_every_reading;
pub use outcome::{End, Outcome, Usage};
pub use plan::Plan;
pub use rule::{Check, Input, Rule};
pub use run::{Ready, RunError};
pub use server::{ServerFiles, irrevocably_confine_server, irrevocably_renounce};
pub use variable::Variable;
