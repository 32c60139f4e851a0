//! The whole of bidden from outside: real processes, real sockets, real logs.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

mod daemon;
mod jailed;
mod raw_peer;
mod served;

mod attacks;
mod columns;
mod commandline;
mod commands;
mod documents;
mod jail;
mod policy;
mod protocol;
