//! A plan: everything that is needed to start one command, decided before anything is started.

use std::path::PathBuf;
use std::time::Duration;

/// What to start and within which limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Absolute path of the program's file. It is executed as it is: no search path, no shell.
    pub program: PathBuf,
    /// The arguments after the program's name. None holds a NUL byte.
    pub arguments: Vec<String>,
    /// How long the command may run before its process group is ended.
    pub time_limit: Duration,
    /// How many bytes of each output stream are kept; the rest is read and thrown away.
    pub output_limit: usize,
}
