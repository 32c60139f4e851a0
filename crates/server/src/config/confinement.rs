//! The jail's exceptions that a rule makes, and what is demanded of the jail as a whole.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use jail::{Capability, Confinement, Exec, Identity, Network, Processes, ResourceLimits, Variable};
use wire::limits::MAX_TIMEOUT;

use super::account;
use super::problem::{Fault, shown, suggestion};
use super::secret::is_variable;
use super::section::{Item, Section};
use crate::limits::{MAX_ADDRESS_SPACE_BYTES, MAX_FILE_BYTES, MAX_PROCESSES, MAX_WRITTEN_BYTES};
use crate::policy::is_invisible;

/// The keys of a rule that are exceptions.
pub(super) const KEYS: [&str; 17] = [
    "network",
    "read",
    "write",
    "may_exec",
    "sees_processes",
    "user",
    "group",
    "groups",
    "capabilities",
    "environment",
    "working_directory",
    "umask",
    "cpu_time",
    "memory",
    "max_processes",
    "max_file",
    "max_output",
];

/// What has to stand around every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Everything but what [`jail::Feature::is_required`] leaves out; a machine that lacks some of it serves nobody.
    Required,
    /// Whatever the machine can do.
    BestEffort,
}

impl Demand {
    const ALL: [Self; 2] = [Self::Required, Self::BestEffort];

    /// Where the configuration does not say.
    pub fn default_for(only_loopback: bool) -> Self {
        if only_loopback { Self::BestEffort } else { Self::Required }
    }

    /// The spelling in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::BestEffort => "best-effort",
        }
    }
}

/// `jail`, in `[server]`.
pub(super) fn demand(item: &Item<'_>) -> Result<Option<Demand>, Fault> {
    let demand = item.entries()?.into_iter().find(|(key, _)| key.text == "jail");
    demand.map(|(_, item)| word(&item, Demand::ALL, Demand::as_str)).transpose()
}

/// The exceptions of a rule with this time limit.
pub(super) fn confinement(section: &Section<'_>, time_limit: Duration) -> Result<Confinement, Fault> {
    let default = Confinement::default();
    let user = identity(section)?;
    Ok(Confinement {
        network: match section.optional("network", Item::boolean)? {
            Some(true) => Network::Machine,
            Some(false) | None => Network::None,
        },
        read: section.optional("read", paths)?.unwrap_or_default(),
        write: section.optional("write", paths)?.unwrap_or_default(),
        exec: match section.optional("may_exec", Item::boolean)? {
            Some(true) => Exec::Allowed,
            Some(false) | None => Exec::Refused,
        },
        processes: match section.optional("sees_processes", Item::boolean)? {
            Some(true) => Processes::Machine,
            Some(false) | None => Processes::Own,
        },
        user,
        capabilities: section.optional("capabilities", capabilities)?.unwrap_or_default(),
        environment: section.optional("environment", environment)?.unwrap_or_default(),
        working_directory: section.optional("working_directory", path)?.unwrap_or(default.working_directory),
        umask: section.optional("umask", umask)?.unwrap_or(default.umask),
        limits: limits(section, time_limit)?,
    })
}

fn limits(section: &Section<'_>, time_limit: Duration) -> Result<ResourceLimits, Fault> {
    let default = ResourceLimits::default();
    let size = |key, min, max, default| {
        Ok::<_, Fault>(section.optional(key, |item| item.size(min, max))?.unwrap_or(default))
    };
    let processes = section.optional("max_processes", |item| item.integer(1, i64::from(MAX_PROCESSES)))?;
    Ok(ResourceLimits {
        // A rule that gives an hour means the hour to be used.
        cpu_time: section
            .optional("cpu_time", |item| item.duration(MAX_TIMEOUT))?
            .unwrap_or(default.cpu_time.max(time_limit)),
        address_space: size("memory", 1 << 20, MAX_ADDRESS_SPACE_BYTES, default.address_space)?,
        processes: processes.and_then(|count| u32::try_from(count).ok()).unwrap_or(default.processes),
        file_bytes: size("max_file", 0, MAX_FILE_BYTES, default.file_bytes)?,
        output_bytes: size("max_output", 1, MAX_WRITTEN_BYTES, default.output_bytes)?,
        descriptors: default.descriptors,
    })
}

fn paths(item: &Item<'_>) -> Result<Vec<PathBuf>, Fault> {
    item.list()?.iter().map(path).collect()
}

/// An absolute, clean path of something that exists.
fn path(item: &Item<'_>) -> Result<PathBuf, Fault> {
    let text = item.string()?;
    let clean = text == "/"
        || text
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(|component| !matches!(component, "" | "." | "..")));
    if !clean || text.chars().any(is_invisible) {
        return Err(item.fault("must be an absolute path, without `.`, `..`, `//` and `/` at its end"));
    }
    match std::fs::metadata(text) {
        Ok(_) => Ok(text.into()),
        Err(error) => Err(item.fault(format!("is {}, which cannot be found: {error}", shown(text)))),
    }
}

fn capabilities(item: &Item<'_>) -> Result<Vec<Capability>, Fault> {
    item.list()?.iter().map(|item| word(item, Capability::ALL, Capability::as_str)).collect()
}

fn word<T: Copy, const N: usize>(
    item: &Item<'_>,
    all: [T; N],
    name: fn(T) -> &'static str,
) -> Result<T, Fault> {
    let text = item.string()?;
    all.into_iter().find(|one| name(*one) == text).ok_or_else(|| {
        item.fault(format!("is {}, which is not known{}", shown(text), suggestion(text, all.map(name))))
    })
}

/// Values may be secrets, and so may what stands where they should: no message quotes any of it.
fn environment(item: &Item<'_>) -> Result<Vec<Variable>, Fault> {
    let Ok(entries) = item.entries() else {
        return Err(item.fault("must be a table such as { TZ = \"UTC\" }"));
    };
    let mut variables = Vec::new();
    for (key, value) in entries {
        if !is_variable(key.text) {
            let words = "has a key that cannot name a variable: letters, digits and `_`, the first no digit";
            return Err(Fault::new(key.at, format!("`{}` {words}", item.name)));
        }
        let Ok(text) = value.string() else { return Err(value.fault("must be a string")) };
        if text.chars().any(is_invisible) {
            return Err(value.fault("must not hold control or format characters"));
        }
        variables.push(Variable::new(key.text, text));
    }
    Ok(variables)
}

/// Octal digits in a string, as everybody writes them.
fn umask(item: &Item<'_>) -> Result<u32, Fault> {
    let text = item.string()?;
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mask = u32::from_str_radix(text, 8).ok().filter(|mask| digits && *mask <= 0o777);
    mask.ok_or_else(|| item.fault(format!("must be three octal digits such as \"077\", not {}", shown(text))))
}

fn identity(section: &Section<'_>) -> Result<Option<Identity>, Fault> {
    let user = section.optional("user", |item| {
        let found = account::user(item.files, item.string()?)
            .map_err(|error| item.fault(format!("cannot be looked up: {error}")))?;
        found.ok_or_else(|| {
            item.fault(format!("is {}, who is not in /etc/passwd", shown(item.string().unwrap_or_default())))
        })
    })?;
    let group = section.optional("group", group)?;
    let groups = section.optional("groups", |item| item.list()?.iter().map(self::group).collect())?;
    match user {
        None => match section.get("group").or_else(|| section.get("groups")) {
            Some(item) => Err(item.fault("has no meaning without `user`")),
            None => Ok(None),
        },
        Some(account) => {
            let group = group
                .or(account.group)
                .ok_or_else(|| section.fault("this `user` needs a `group` beside it"))?;
            let groups: Vec<u32> = groups.unwrap_or_default();
            let groups: BTreeSet<u32> = groups.into_iter().collect();
            Ok(Some(Identity { user: account.user, group, groups: groups.into_iter().collect() }))
        }
    }
}

/// A group by its name or number.
pub(super) fn group(item: &Item<'_>) -> Result<u32, Fault> {
    let text = item.string()?;
    let found = account::group(item.files, text)
        .map_err(|error| item.fault(format!("cannot be looked up: {error}")))?;
    found.ok_or_else(|| item.fault(format!("is {}, which is not in /etc/group", shown(text))))
}
