//! What must hold for any bytes that come in from outside: no panic, and the properties that each function names.
//! libFuzzer looks for bytes that break them; `cargo test` holds them against the seeds.
#![allow(clippy::missing_panics_doc, reason = "to panic is how a property says that it is broken")]

mod columns;
mod differential;
mod expression;
mod message;
mod record;
mod reply;
mod request;

pub use columns::columns;
pub use differential::differential;
pub use expression::expression;
pub use message::message;
pub use record::record;
pub use reply::reply;
pub use request::request;
