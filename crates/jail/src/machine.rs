//! What this machine can do to confine a command: found out once, by trying it, when the launcher starts.

use std::fmt;

/// A part of the jail that a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Mount, IPC and UTS namespaces of a command's own.
    Namespaces,
    /// A PID namespace: the command sees and reaches its own processes alone, and they end with it.
    ProcessNamespace,
    /// A /proc of the command's own processes.
    Proc,
    /// Everything read-only, a private /tmp, and nothing of /run.
    PrivateTmp,
    /// A network of no interfaces.
    NetworkNamespace,
    /// A limit of processes for each command.
    ProcessLimit,
    /// Access to named files only (landlock(7)).
    Landlock,
    /// The same for abstract sockets and signals, in later kernels.
    LandlockScopes,
    /// A filter of system calls (seccomp(2)).
    Seccomp,
    /// A control group for each command, in one that was delegated to the server (cgroups(7), version 2).
    ControlGroups,
}

impl Feature {
    /// All of them, the most important first.
    pub const ALL: [Self; 10] = [
        Self::Namespaces,
        Self::ProcessNamespace,
        Self::Proc,
        Self::PrivateTmp,
        Self::NetworkNamespace,
        Self::Landlock,
        Self::Seccomp,
        Self::ProcessLimit,
        Self::LandlockScopes,
        Self::ControlGroups,
    ];

    /// A word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::ProcessNamespace => "process_namespace",
            Self::Proc => "proc",
            Self::PrivateTmp => "private_tmp",
            Self::NetworkNamespace => "network_namespace",
            Self::ProcessLimit => "process_limit",
            Self::Landlock => "landlock",
            Self::LandlockScopes => "landlock_scopes",
            Self::Seccomp => "seccomp",
            Self::ControlGroups => "control_groups",
        }
    }

    /// Whether `jail = "required"` demands it.
    pub fn is_required(self) -> bool {
        !matches!(self, Self::ProcessLimit | Self::LandlockScopes | Self::ControlGroups)
    }

    /// What it is for.
    pub fn purpose(self) -> &'static str {
        match self {
            Self::Namespaces => "commands have mounts, IPC and host names of their own",
            Self::ProcessNamespace => "commands see no other processes, and end with all that they started",
            Self::Proc => "/proc shows a command its own processes alone",
            Self::PrivateTmp => "commands have a /tmp of their own, and nothing of /run",
            Self::NetworkNamespace => "commands have no network unless their rule says so",
            Self::ProcessLimit => "the number of processes of a command is limited, whoever it runs as",
            Self::Landlock => "commands open no file but those of the system and of their rule",
            Self::LandlockScopes => {
                "commands reach no abstract socket and signal no process outside their jail"
            }
            Self::Seccomp => "commands execute no other program and reach no rare part of the kernel",
            Self::ControlGroups => "memory and processes of a command are limited as a whole",
        }
    }

    /// What to do where it is missing.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Namespaces | Self::ProcessNamespace | Self::NetworkNamespace | Self::PrivateTmp => {
                "permit user namespaces to this user (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, \
                 kernel.apparmor_restrict_unprivileged_userns), or give the server CAP_SYS_ADMIN"
            }
            Self::Proc => "let the container see a whole /proc (no masked paths), or run outside of it",
            Self::ProcessLimit => "Linux 6.14 or later",
            Self::Landlock => {
                "Linux 5.13 or later with landlock among its security modules (boot option lsm=landlock,...)"
            }
            Self::LandlockScopes => "Linux 6.12 or later",
            Self::Seccomp => "a kernel with CONFIG_SECCOMP_FILTER",
            Self::ControlGroups => {
                "start the server in a delegated control group (in its systemd unit Delegate=yes and \
                 DelegateSubgroup=server); what is said here is true for the group of this shell"
            }
        }
    }

    fn bit(self) -> u16 {
        1_u16.checked_shl(self as u32).unwrap_or(0)
    }
}

/// The rights with which the launcher makes jails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privilege {
    /// It may administer the machine, and change users.
    Administrator,
    /// It may administer a user namespace of its own, in which there is its one user.
    UserNamespace,
    /// None.
    #[default]
    None,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    features: u16,
    /// Where the rights come from.
    pub privilege: Privilege,
    /// The version of landlock; 0 where there is none.
    pub landlock_abi: u8,
}

impl Machine {
    /// Whether the machine has this.
    pub fn has(&self, feature: Feature) -> bool {
        self.features & feature.bit() != 0
    }

    /// What it lacks.
    pub fn missing(&self) -> impl Iterator<Item = Feature> + use<> {
        let machine = *self;
        Feature::ALL.into_iter().filter(move |feature| !machine.has(*feature))
    }

    pub(crate) fn new(privilege: Privilege, landlock_abi: u8) -> Self {
        Self { features: 0, privilege, landlock_abi }
    }

    pub(crate) fn add(&mut self, feature: Feature) {
        self.features |= feature.bit();
    }

    pub(crate) fn encode(self) -> [u8; 4] {
        let privilege = match self.privilege {
            Privilege::None => 0,
            Privilege::UserNamespace => 1,
            Privilege::Administrator => 2,
        };
        let [low, high] = self.features.to_le_bytes();
        [low, high, privilege, self.landlock_abi]
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let [low, high, privilege, landlock_abi] = bytes.try_into().ok()?;
        let privilege = match privilege {
            0 => Privilege::None,
            1 => Privilege::UserNamespace,
            2 => Privilege::Administrator,
            _ => return None,
        };
        Some(Self { features: u16::from_le_bytes([low, high]), privilege, landlock_abi })
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Administrator => "CAP_SYS_ADMIN",
            Self::UserNamespace => "a user namespace",
            Self::None => "none",
        })
    }
}

/// The first process numbers of a PID namespace, which the kernel does not use again (`RESERVED_PIDS`): a limit by
/// number has to lie above them.
const RESERVED_PROCESS_NUMBERS: u32 = 300;

/// One more than the highest process number of a namespace in which a first process may start so many others, as the
/// kernel reads it.
pub(crate) fn highest_process_number(processes: u32) -> Vec<u8> {
    RESERVED_PROCESS_NUMBERS.saturating_add(processes.max(1)).to_string().into_bytes()
}

/// The number of the process that a launcher's jail starts first: one after the other from those that are not reserved.
pub(crate) fn process_number(jail: u32) -> u32 {
    const LAST: u32 = 32_000;
    let numbers = LAST.saturating_sub(RESERVED_PROCESS_NUMBERS);
    jail.checked_rem(numbers).unwrap_or(0).saturating_add(RESERVED_PROCESS_NUMBERS)
}
