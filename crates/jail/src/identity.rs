//! Who a command is: user, groups and capabilities, changed step by step, each step checked, none of them to be undone.
//! Runs between fork and exec: nothing here allocates.

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::child::Step;
use crate::confinement::{Capability, Confinement, User};
use crate::machine::Privilege;

/// Who a command is to be, with everything looked up.
#[derive(Debug)]
pub(crate) struct Becoming {
    user: Who,
    groups: Option<Vec<Gid>>,
    kept: CapabilitySet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// The server's user.
    Server,
    /// The user that the jail has for itself.
    OfJail,
    Named(Uid, Gid),
}

impl Becoming {
    /// `users_of_jails`: whether jails have users for themselves here.
    pub(crate) fn new(confinement: &Confinement, privilege: Privilege, users_of_jails: bool) -> Self {
        let kept = confinement.capabilities.iter().map(|capability| match capability {
            Capability::NetRaw => CapabilitySet::NET_RAW,
            Capability::NetBindService => CapabilitySet::NET_BIND_SERVICE,
            Capability::DacReadSearch => CapabilitySet::DAC_READ_SEARCH,
        });
        let user = match &confinement.user {
            User::Named(identity) => Who::Named(Uid::from_raw(identity.user), Gid::from_raw(identity.group)),
            User::OfJail(_) if users_of_jails => Who::OfJail,
            User::OfJail(_) | User::Server => Who::Server,
        };
        let groups = match (&confinement.user, privilege) {
            (User::Named(identity), _) => Some(identity.groups.iter().copied().map(Gid::from_raw).collect()),
            // The groups of whoever started the server are not the command's.
            (_, Privilege::Administrator) if may_set_groups() => Some(vec![]),
            (_, _) => None,
        };
        // What the launcher itself lacks it cannot leave to anyone; the command will say what it misses.
        let own = match privilege {
            // Entering it gives all of them, over what belongs to it.
            Privilege::UserNamespace => CapabilitySet::all(),
            Privilege::Administrator | Privilege::None => {
                capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted)
            }
        };
        Self { user, groups, kept: kept.collect::<CapabilitySet>() & own }
    }

    /// Whether it is the user that the jail has for itself.
    pub(crate) fn is_of_jail(&self) -> bool {
        self.user == Who::OfJail
    }

    /// Whether it is another user than the server, or one that the rule names.
    pub(crate) fn is_apart(&self) -> bool {
        self.user != Who::Server
    }

    /// Whether it may be root of the machine. The capabilities that it lacks do not keep it from root's own files.
    pub(crate) fn may_be_root(&self) -> bool {
        match self.user {
            Who::Server => true,
            Who::OfJail => false,
            Who::Named(user, _) => user.is_root(),
        }
    }

    /// The user and group that it changes to, where it does.
    pub(crate) fn change(&self, user_of_jail: Option<u32>) -> Result<Option<(Uid, Gid)>, Errno> {
        match self.user {
            Who::Server => Ok(None),
            Who::Named(user, group) => Ok(Some((user, group))),
            Who::OfJail => {
                let number = user_of_jail.ok_or(Errno::AGAIN)?;
                Ok(Some((Uid::from_raw(number), Gid::from_raw(number))))
            }
        }
    }

    /// Becomes it, without a way back.
    pub(crate) fn irrevocably(&self, user_of_jail: Option<u32>) -> Result<(), (Step, Errno)> {
        let failed = |step| move |errno| (step, errno);
        let change = self.change(user_of_jail).map_err(failed(Step::JailUser))?;
        self.narrow_bounding_set().map_err(failed(Step::Capabilities))?;
        if let Some(groups) = &self.groups {
            set_thread_groups(groups).map_err(failed(Step::Groups))?;
        }
        if let Some((user, group)) = change {
            if !self.kept.is_empty() {
                set_keep_capabilities(true).map_err(failed(Step::Capabilities))?;
            }
            set_thread_res_gid(group, group, group).map_err(failed(Step::Group))?;
            set_thread_res_uid(user, user, user).map_err(failed(Step::User))?;
            if !is_now(user, group) {
                return Err((Step::IdentityCheck, Errno::PERM));
            }
        }
        self.keep_only().map_err(failed(Step::Capabilities))
    }

    /// What execve(2) may give back at most.
    fn narrow_bounding_set(&self) -> Result<(), Errno> {
        POSSIBLE.iter().filter(|one| !self.kept.contains(*one)).try_for_each(drop_from_bounding_set)
    }

    fn keep_only(&self) -> Result<(), Errno> {
        let sets = CapabilitySets { effective: self.kept, permitted: self.kept, inheritable: self.kept };
        set_capabilities(None, sets)?;
        clear_ambient_capability_set()?;
        for one in self.kept.iter() {
            configure_capability_in_ambient_set(one, true)?;
        }
        if capabilities(None)? == sets { Ok(()) } else { Err(Errno::PERM) }
    }
}

/// Whether the user namespace of this process lets groups be set, for those with the right to (`user_namespaces(7)`).
fn may_set_groups() -> bool {
    std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|word| word.trim() == "allow")
}

/// The capabilities that a rule may leave to its command.
const POSSIBLE: CapabilitySet =
    CapabilitySet::NET_RAW.union(CapabilitySet::NET_BIND_SERVICE).union(CapabilitySet::DAC_READ_SEARCH);

/// No program that this process or one of its children executes gets another capability than those of rules.
pub(crate) fn renounce_at_exec() -> Result<(), Errno> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1_u64 << number);
        match capability_is_in_bounding_set(one) {
            Ok(true) if !POSSIBLE.contains(one) => drop_from_bounding_set(one)?,
            Ok(_) => {}
            // The kernel knows no more.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

fn drop_from_bounding_set(one: CapabilitySet) -> Result<(), Errno> {
    match remove_capability_from_bounding_set(one) {
        // Whoever has no capabilities cannot lose them, and no_new_privs keeps it so.
        Err(Errno::PERM) if capabilities(None)?.permitted.is_empty() => Ok(()),
        result => result,
    }
}

/// Asks the kernel who this process is.
fn is_now(user: Uid, group: Gid) -> bool {
    rustix::process::getuid() == user
        && rustix::process::geteuid() == user
        && rustix::process::getgid() == group
        && rustix::process::getegid() == group
        // Nobody but root may have a way back.
        && (user.is_root() || set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_err())
}
