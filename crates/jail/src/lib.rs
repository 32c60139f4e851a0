//! Starts commands and watches them to their end: a [`Plan`] in, an [`Outcome`] out.
//!
//! The only crate that may hold unsafe code. It knows programs, arguments and limits; it has never heard of a
//! request, a policy or a user. Nothing here ever passes through a shell.

mod capture;
mod memory;
mod outcome;
mod plan;
mod run;
mod start;

pub use memory::return_free_memory;
pub use outcome::{Captured, End, Outcome};
pub use plan::Plan;
pub use run::run;
pub use start::StartError;
