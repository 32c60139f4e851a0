//! What became of a command.

use std::time::Duration;

/// A command that was started, at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Its standard output.
    pub stdout: Captured,
    /// Its standard error.
    pub stderr: Captured,
    /// From its start to its end.
    pub elapsed: Duration,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this status.
    Exit(i32),
    /// This signal ended it, and it was not the jail that sent it.
    Signal(i32),
    /// It ran into its time limit and its process group was ended.
    TimedOut,
    /// It was asked to stop and its process group was ended.
    Cancelled,
}

/// The kept part of an output stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// The first bytes, at most the plan's output limit.
    pub bytes: Vec<u8>,
    /// Whether there was more than that.
    pub truncated: bool,
}
