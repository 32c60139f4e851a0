//! The whole of bidden from outside: real processes, real sockets, real logs.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

mod daemon;
mod raw_peer;
mod served;

mod columns;
mod commandline;
mod commands;
mod documents;
mod policy;
mod protocol;
