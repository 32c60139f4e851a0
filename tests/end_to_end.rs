//! The whole of bidden from outside: real processes, real sockets, real logs.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod daemon;
mod jailed;
mod keyed;
mod printed;
mod raw_curve;
#[allow(dead_code, reason = "other test programs need more of it")]
mod raw_peer;
mod served;

mod accounts;
mod attacks;
mod clock;
mod columns;
mod commandline;
mod commands;
mod crashes;
mod crowds;
mod documents;
mod groups;
mod history;
mod hostile_peers;
mod jail;
mod jobs;
mod keys;
mod logfiles;
mod policy;
mod protocol;
mod run;
mod sealing;
mod secrets;
