//! What may run: a closed table of commands, each with rules for its arguments.
//!
//! Nothing that is not named passes; a command without rules takes no arguments.

mod builtin;
mod rule;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use rule::{InvalidParameters, Operand, OptionRule, OptionValue};
pub use value::Kind;

/// The commands of this server by name.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    commands: BTreeMap<String, Command>,
}

/// An allow-listed program with the arguments that it may be given.
#[derive(Clone, Debug)]
pub struct Command {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// The arguments that always stand first, such as `restart nginx` of a service manager.
    pub fixed_arguments: Vec<String>,
    /// The options that a client may use, in the order in which the program receives them.
    pub options: Vec<OptionRule>,
    /// What a client may write beside options, in order.
    pub operands: Vec<Operand>,
    /// Whether `--` stands before the operands (POSIX utility syntax guideline 10).
    pub separator: bool,
    /// How long the command may run.
    pub time_limit: Duration,
}

impl Policy {
    /// A policy of these commands and no others.
    pub fn new(commands: impl IntoIterator<Item = (String, Command)>) -> Self {
        Self { commands: commands.into_iter().collect() }
    }

    /// The harmless commands that a server without a configuration runs: none of them reads a file that the client
    /// names, writes one, or starts another program.
    pub fn builtin() -> Self {
        Self::new(builtin::commands())
    }

    pub(crate) fn command(&self, name: &str) -> Option<&Command> {
        self.commands.get(name)
    }
}
