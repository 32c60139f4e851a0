//! A user as the policy sees one: a name, and what the roles come to, resolved when the policy is loaded.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// Who may do what until when. What is not in the two tables is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name in the policy and in the log.
    pub name: String,
    /// What the user may run, by the command's name.
    pub commands: BTreeMap<String, Grant>,
    /// What else the user may do.
    pub rights: BTreeMap<Right, Grant>,
    /// The moment from which on the user may do nothing.
    pub not_after: Option<Timestamp>,
    /// How many requests a second the user may send, where it is not what the installation says of all.
    pub requests_per_second: Option<u32>,
    /// Where the configuration names the user, if it does.
    pub line: Option<u32>,
}

/// What a user may do beside running commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Evaluate expressions.
    Compute,
    /// See the jobs of others, and their results.
    Jobs,
    /// End the jobs of others.
    Cancel,
    /// See what others asked for, and what came of it.
    History,
    /// See how the server does.
    Metrics,
}

/// Where a permission comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// A role of the configuration.
    Role {
        /// Its name.
        name: String,
        /// Where it names what it permits.
        line: u32,
    },
    /// The configuration does not narrow the user `local`.
    Unnarrowed,
}

impl User {
    /// A user with every right and all of these commands.
    pub(super) fn who_may_do_everything<'c>(name: &str, commands: impl Iterator<Item = &'c String>) -> Self {
        Self {
            name: name.to_owned(),
            commands: commands.map(|command| (command.clone(), Grant::Unnarrowed)).collect(),
            rights: Right::ALL.into_iter().map(|right| (right, Grant::Unnarrowed)).collect(),
            not_after: None,
            requests_per_second: None,
            line: None,
        }
    }

    /// Whether the user's time is over.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.not_after.is_some_and(|end| now >= end)
    }
}

impl Right {
    /// Every right.
    pub const ALL: [Self; 5] = [Self::Compute, Self::Jobs, Self::Cancel, Self::History, Self::Metrics];

    /// The spelling in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Jobs => "jobs",
            Self::Cancel => "cancel",
            Self::History => "history",
            Self::Metrics => "metrics",
        }
    }

    /// The right with this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.as_str() == text)
    }
}
