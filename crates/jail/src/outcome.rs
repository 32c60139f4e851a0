//! What became of a command.

use std::time::Duration;

/// A command that was started, at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// What it used up.
    pub usage: Usage,
}

/// How a command ended. In every case none of its processes is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this status.
    Exit(i32),
    /// This signal ended it, and it was not the jail that sent it.
    Signal(i32),
    /// It ran into its time limit and was ended.
    TimedOut,
    /// It was asked to stop and was ended.
    Cancelled,
    /// It used up the memory that it may take as a whole, and the kernel ended one of its processes.
    OutOfMemory,
    /// It used up the time on a processor that it may take, and the kernel ended it.
    CpuLimit,
    /// It wrote more than it may and was ended.
    OutputLimit,
}

/// What a command used up, with all of its processes that have ended in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on processors.
    pub cpu_time: Duration,
    /// The most memory that one of its processes held at once or, with control groups, all together, in bytes.
    pub peak_memory_bytes: u64,
    /// What it wrote to stdout and stderr together, in bytes.
    pub output_bytes: u64,
}
