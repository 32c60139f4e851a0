//! What may run and for whom: a closed table of commands, each with rules for its arguments, and the users.
//!
//! Nothing that is not named passes; a command without rules takes no arguments, a user without roles runs nothing.

mod builtin;
mod decide;
mod describe;
mod known;
mod launch;
mod rule;
mod user;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jail::Confinement;
use transport::Account;
use wire::PublicKey;

#[cfg(test)]
pub(crate) use decide::QUESTIONS;
pub use decide::{Denied, Permitted, Scope};
pub(crate) use known::{AccountRule, KnownBy, OVERFLOW_ID};
pub use rule::{
    Attachment, CONCEALED, Channel, InvalidParameters, Invocation, Operand, OptionRule, OptionValue,
};
pub use user::{Grant, Right, User};
pub use value::{
    Beneath, Decimal, FileKind, InvalidPattern, InvalidRoot, Kind, Links, MAX_EXPONENT, MAX_NUMBER_BYTES,
    Pattern, Place, Root, is_name,
};

pub(crate) use value::is_invisible;

use crate::limits::DEFAULT_TIME_LIMIT;
use known::Known;

/// The user of plain-text connections from this machine.
pub const LOCAL: &str = "local";

/// The commands and the users of this server. It is never changed, only replaced as a whole.
#[derive(Clone, Debug)]
pub struct Policy {
    commands: BTreeMap<String, Command>,
    users: BTreeMap<String, Arc<User>>,
    known: Known,
    local: Arc<User>,
    /// The account that this server runs as.
    own_uid: u32,
    /// Whether any command has secrets, so that nothing is logged of which nobody knows whether it holds one.
    has_secrets: bool,
}

/// An allow-listed program with the arguments that it may be given.
#[derive(Clone, Debug, PartialEq)]
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
    /// Whether the client may send standard input.
    pub input: StandardInput,
    /// How many of this command may run or wait at once; `None` sets no limit of its own.
    pub concurrency: Option<usize>,
    /// What the jail lets it do.
    pub confinement: Confinement,
    /// Where the configuration names it, for a command that comes from one.
    pub line: Option<u32>,
}

/// The standard input of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StandardInput {
    /// Nothing to read.
    #[default]
    None,
    /// What the client sends.
    Client,
    /// What the client sends, which is a secret.
    Secret,
}

impl Command {
    /// A program that takes no arguments.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            fixed_arguments: vec![],
            options: vec![],
            operands: vec![],
            separator: false,
            time_limit: DEFAULT_TIME_LIMIT,
            input: StandardInput::None,
            concurrency: None,
            confinement: Confinement::default(),
            line: None,
        }
    }
}

impl Policy {
    /// A policy of these commands and no others, with the one user `local`, who may run all of them and compute.
    pub fn new(commands: impl IntoIterator<Item = (String, Command)>) -> Self {
        Self::with_users(commands.into_iter().collect(), vec![])
    }

    /// A policy of these commands and users, each with what he is known by. Where none of them is `local`,
    /// that user is added, and may do everything.
    pub(crate) fn with_users(commands: BTreeMap<String, Command>, given: Vec<(User, KnownBy)>) -> Self {
        let mut users = BTreeMap::new();
        let mut known = Known::default();
        for (user, known_by) in given {
            let user = Arc::new(user);
            known.add(known_by, &user);
            users.insert(user.name.clone(), user);
        }
        let everything = || Arc::new(User::who_may_do_everything(LOCAL, commands.keys()));
        let local = Arc::clone(users.entry(LOCAL.to_owned()).or_insert_with(everything));
        let has_secrets = commands.values().any(Command::has_secrets);
        let own_uid = rustix::process::geteuid().as_raw();
        Self { commands, users, known, local, own_uid, has_secrets }
    }

    /// Whether a client may have to send secrets to any of the commands.
    pub fn has_secrets(&self) -> bool {
        self.has_secrets
    }

    /// The harmless commands that a server without a configuration runs: none of them reads a file that the client
    /// names, writes one, or starts another program.
    pub fn builtin() -> Self {
        Self::new(builtin::commands())
    }

    /// The user of plain-text connections from this machine.
    pub fn local(&self) -> &Arc<User> {
        &self.local
    }

    /// The user whom this key belongs to. Whoever calls this must have seen proof of the secret key.
    pub fn user_of_key(&self, key: &PublicKey) -> Option<&Arc<User>> {
        self.known.by_key(key)
    }

    /// The user whom this account of the machine is. Whoever calls this must have it from the kernel. Where no user has a
    /// uid or a group, the account that the server runs as is the user `local`, and the others are nobody.
    pub fn user_of_account(&self, account: &Account) -> Option<&Arc<User>> {
        if self.known.has_accounts() {
            return self.known.by_account(account);
        }
        (account.uid == self.own_uid && account.uid != OVERFLOW_ID).then_some(&self.local)
    }

    /// Whether any user is known by an account of this machine.
    pub fn knows_accounts(&self) -> bool {
        self.known.has_accounts()
    }

    /// The user with this name, for questions that an operator asks; never for a client's request.
    pub fn user_named(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// The commands by name.
    pub fn commands(&self) -> &BTreeMap<String, Command> {
        &self.commands
    }

    /// The users by name.
    pub fn users(&self) -> &BTreeMap<String, Arc<User>> {
        &self.users
    }
}
