//! Who a command is: user, groups and capabilities, changed step by step, each step checked, none of them to be undone.
//! Runs between fork and exec: nothing here allocates.

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, configure_capability_in_ambient_set, remove_capability_from_bounding_set,
    set_capabilities, set_capabilities_secure_bits, set_keep_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use crate::child::Step;
use crate::confinement::{Capability, Confinement};
use crate::machine::Privilege;

/// Who a command is to be, with everything looked up.
#[derive(Debug)]
pub(crate) struct Becoming {
    user: Option<(Uid, Gid)>,
    groups: Option<Vec<Gid>>,
    kept: CapabilitySet,
}

impl Becoming {
    pub(crate) fn new(confinement: &Confinement, privilege: Privilege) -> Self {
        let kept = confinement.capabilities.iter().map(|capability| match capability {
            Capability::NetRaw => CapabilitySet::NET_RAW,
            Capability::NetBindService => CapabilitySet::NET_BIND_SERVICE,
            Capability::DacReadSearch => CapabilitySet::DAC_READ_SEARCH,
        });
        let user = confinement
            .user
            .as_ref()
            .map(|identity| (Uid::from_raw(identity.user), Gid::from_raw(identity.group)));
        let groups = match (&confinement.user, privilege) {
            (Some(identity), _) => Some(identity.groups.iter().copied().map(Gid::from_raw).collect()),
            // The groups of whoever started the server are not the command's.
            (None, Privilege::Administrator) => Some(vec![]),
            // Groups cannot be changed without that privilege.
            (None, Privilege::UserNamespace | Privilege::None) => None,
        };
        // What the launcher itself lacks it cannot leave to anyone; the command will say what it misses.
        let own = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted);
        Self { user, groups, kept: kept.collect::<CapabilitySet>() & own }
    }

    /// Becomes it, without a way back.
    pub(crate) fn irrevocably(&self) -> Result<(), (Step, Errno)> {
        let failed = |step| move |errno| (step, errno);
        self.narrow_bounding_set().map_err(failed(Step::Capabilities))?;
        if let Some(groups) = &self.groups {
            set_thread_groups(groups).map_err(failed(Step::Groups))?;
        }
        if let Some((user, group)) = self.user {
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

/// The capabilities that a rule may leave to its command.
const POSSIBLE: CapabilitySet =
    CapabilitySet::NET_RAW.union(CapabilitySet::NET_BIND_SERVICE).union(CapabilitySet::DAC_READ_SEARCH);

/// Nothing that this process does from now on has a privilege. It stays who it is, but for the group of its files where it may
/// choose that.
pub(crate) fn renounce_everything(group: Option<u32>) -> Result<(), Errno> {
    let own = capabilities(None)?.effective;
    if let Some(group) = group.map(Gid::from_raw).filter(|_| own.contains(CapabilitySet::SETGID)) {
        set_thread_res_gid(group, group, group)?;
    }
    if own.contains(CapabilitySet::SETPCAP) {
        // Being root is no privilege, and becomes none again.
        set_capabilities_secure_bits(CapabilitiesSecureBits::from_bits_retain(LOCKED_OUT))?;
        for number in 0..u64::BITS {
            let one = CapabilitySet::from_bits_retain(1_u64 << number);
            match capability_is_in_bounding_set(one) {
                Ok(true) => drop_from_bounding_set(one)?,
                Ok(false) => {}
                // The kernel knows no more.
                Err(_) => break,
            }
        }
    }
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets)?;
    if capabilities(None)? == sets { Ok(()) } else { Err(Errno::PERM) }
}

/// `NOROOT`, `NO_SETUID_FIXUP` and `NO_CAP_AMBIENT_RAISE`, set and locked; `KEEP_CAPS`, not set and locked (capabilities(7)).
const LOCKED_OUT: u32 = 0b1110_1111;

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
