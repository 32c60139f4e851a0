//! The exceptions of a rule: what one command may do beyond the jail's default, which is nothing that its job does not
//! need. The default of every field is the narrow one.

use std::path::PathBuf;
use std::time::Duration;

use crate::limits::{ADDRESS_SPACE_BYTES, CPU_TIME, DESCRIPTORS, FILE_BYTES, OUTPUT_BYTES, PROCESSES};
use crate::users::UserRange;
use crate::variable::Variable;

/// Around one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// Whether it reaches the machine's network.
    pub network: Network,
    /// What it may read beside the system's directories.
    pub read: Vec<PathBuf>,
    /// What it may read and write.
    pub write: Vec<PathBuf>,
    /// Whether it may execute other programs.
    pub exec: Exec,
    /// Whose processes it sees.
    pub processes: Processes,
    /// Who it runs as.
    pub user: User,
    /// The capabilities that it keeps.
    pub capabilities: Vec<Capability>,
    /// What stands in its environment beside `PATH`, `LANG` and `HOME`.
    pub environment: Vec<Variable>,
    /// Where it starts.
    pub working_directory: PathBuf,
    /// The permissions that files it makes do not get.
    pub umask: u32,
    /// What it may use up.
    pub limits: ResourceLimits,
}

/// The network of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// A network of no interfaces, and no sockets.
    #[default]
    None,
    /// The machine's.
    Machine,
}

/// The programs that a command may execute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exec {
    /// None but itself, which the launcher executes.
    #[default]
    Refused,
    /// Those under the system's directories and the paths of its rule.
    Allowed,
}

/// The processes that a command sees in /proc. It can send signals to its own only, in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Processes {
    /// Its own.
    #[default]
    Own,
    /// All of the machine.
    Machine,
}

/// Who a command is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// A user that its jail has for itself, out of this range, and no other group. The server's own user where the server
    /// cannot change users.
    OfJail(UserRange),
    /// The server's own user, without its groups where they can be changed.
    Server,
    /// The one that its rule names.
    Named(Identity),
}

impl Default for User {
    fn default() -> Self {
        Self::OfJail(UserRange::default())
    }
}

/// A user with groups, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: u32,
    /// The group.
    pub group: u32,
    /// The supplementary groups.
    pub groups: Vec<u32>,
}

/// A capability that a rule may leave to its command (capabilities(7)). Those that would undo the jail are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Raw sockets: ping, traceroute.
    NetRaw,
    /// Ports below 1024.
    NetBindService,
    /// Reading files whatever their permissions, within what the rule lets be read.
    DacReadSearch,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NetRaw, Self::NetBindService, Self::DacReadSearch];

    /// Its name in lower case and without `cap_`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NetRaw => "net_raw",
            Self::NetBindService => "net_bind_service",
            Self::DacReadSearch => "dac_read_search",
        }
    }
}

/// What a command may use up (setrlimit(2)); each process of it has these for itself but for `processes` and `output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Time on a processor, in whole seconds.
    pub cpu_time: Duration,
    /// Address space, in bytes.
    pub address_space: u64,
    /// Processes and threads of the whole command.
    pub processes: u32,
    /// Open descriptors.
    pub descriptors: u32,
    /// The longest file that it can write, in bytes.
    pub file_bytes: u64,
    /// What it may write to stdout and stderr together, in bytes.
    pub output_bytes: u64,
}

impl Default for ResourceLimits {
    fn default() -> Self {
        Self {
            cpu_time: CPU_TIME,
            address_space: ADDRESS_SPACE_BYTES,
            processes: PROCESSES,
            descriptors: DESCRIPTORS,
            file_bytes: FILE_BYTES,
            output_bytes: OUTPUT_BYTES,
        }
    }
}

impl Default for Confinement {
    fn default() -> Self {
        Self {
            network: Network::default(),
            read: vec![],
            write: vec![],
            exec: Exec::default(),
            processes: Processes::default(),
            user: User::default(),
            capabilities: vec![],
            environment: vec![],
            working_directory: "/".into(),
            umask: 0o077,
            limits: ResourceLimits::default(),
        }
    }
}
