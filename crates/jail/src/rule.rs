//! A rule as the launcher holds it: from the policy that it read itself, with its own check of every plan.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::confinement::Confinement;
use crate::variable::Variable;

/// Whether a vector and the secrets beside it are what the rule produces.
pub type Check = Box<dyn Fn(&[String], &[Variable]) -> bool>;

/// A command that may be started.
pub struct Rule {
    /// Its name in the policy.
    pub name: String,
    /// Absolute path of its program.
    pub program: PathBuf,
    /// How long it may run at most.
    pub time_limit: Duration,
    /// Whether it may be given standard input.
    pub input: Input,
    /// What it may do.
    pub confinement: Confinement,
    /// Holds each argument vector, and the secrets beside it, against the rule.
    pub check: Check,
}

/// The standard input of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// Nothing to read.
    #[default]
    None,
    /// What the client sends.
    Client,
}

impl fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Rule")
            .field("name", &self.name)
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}
