//! A plan: what the server asks of the launcher. It names a command of the launcher's own policy; program and
//! confinement are the launcher's to know.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::variable::Variable;

/// What to start and within which limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The command's name in the policy.
    pub command: String,
    /// The arguments behind the program's name, as the command's rule produces them. None holds a NUL byte.
    pub arguments: Vec<String>,
    /// The secrets, each in the variable that the command's rule names. They stand nowhere else.
    pub secrets: Vec<Variable>,
    /// How long the command may run; no longer than its rule says.
    pub time_limit: Duration,
    /// How many bytes the command may write to both streams together before it is ended.
    pub output_bytes: u64,
    /// What the command reads from its standard input; nothing where there is none.
    pub stdin: Option<Zeroizing<Vec<u8>>>,
}
