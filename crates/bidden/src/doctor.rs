//! `bidden doctor`: what this machine can do to confine commands, what is missing, and what to do.

use std::fmt::Write as _;
use std::io;

use anyhow::Context as _;
use jail::{Feature, Machine, Privilege};
use serde_json::json;

use crate::arguments::Doctor;
use crate::exit::Exit;
use crate::terminal::pass_on;

/// Whose groups may ping without a raw socket (icmp(7)).
const PING_GROUPS: &str = "/proc/sys/net/ipv4/ping_group_range";

/// Call this before this process has a second thread.
pub(crate) fn doctor(arguments: &Doctor) -> anyhow::Result<Exit> {
    let machine = jail::examine().context("cannot examine this machine")?;
    let ping = Ping::find();
    let text = if arguments.json { as_json(machine, ping) } else { as_text(machine, ping) };
    pass_on(&mut io::stdout(), text.as_bytes()).context("cannot print")?;
    let missing = machine.missing().any(Feature::is_required);
    Ok(if missing { Exit::WrongPolicy } else { Exit::Success })
}

/// How a command can ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping {
    /// With a raw socket, where its rule keeps `net_raw`.
    Raw,
    /// With a socket for pings, which the machine permits to this group.
    Group,
    No,
}

impl Ping {
    fn find() -> Self {
        let capabilities = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let effective = capabilities.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
        // CAP_NET_RAW is the thirteenth.
        if effective & (1 << 13) != 0 {
            return Self::Raw;
        }
        let status = capabilities.lines().find_map(|line| line.strip_prefix("Gid:"));
        let group: Option<u64> = status.and_then(|ids| ids.split_whitespace().nth(1)?.parse().ok());
        let range = std::fs::read_to_string(PING_GROUPS).unwrap_or_default();
        let mut bounds = range.split_whitespace().map(str::parse);
        match (group, bounds.next(), bounds.next()) {
            (Some(group), Some(Ok(first)), Some(Ok(last))) if (first..=last).contains(&group) => Self::Group,
            _ => Self::No,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Group => "group",
            Self::No => "no",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Raw => "yes, with `capabilities = [\"net_raw\"]` in the rule",
            Self::Group => "yes, by net.ipv4.ping_group_range",
            Self::No => {
                "no: sysctl net.ipv4.ping_group_range=\"0 2147483647\", or give the server CAP_NET_RAW"
            }
        }
    }
}

fn as_text(machine: Machine, ping: Ping) -> String {
    let mut text = String::new();
    for feature in Feature::ALL {
        let mark = match (machine.has(feature), feature.is_required()) {
            (true, _) => "yes",
            (false, true) => "NO",
            (false, false) => "no",
        };
        // Writing into memory cannot fail.
        let _ = writeln!(text, "{mark:<4} {:<18} {}", feature.as_str(), feature.purpose());
        if !machine.has(feature) {
            let _ = writeln!(text, "     to have it: {}", feature.advice());
        }
    }
    let rights = match machine.privilege {
        Privilege::None => "none".to_owned(),
        _ => format!("by {}", machine.privilege),
    };
    let _ = writeln!(
        text,
        "namespaces: {rights}; landlock: version {}; ping: {}",
        machine.landlock_abi,
        ping.words()
    );
    let _ = writeln!(text, "user: {}; owners: {}", rustix::process::geteuid().as_raw(), owners());
    let _ = writeln!(
        text,
        "{}",
        if machine.missing().any(Feature::is_required) {
            "`jail = \"required\"`, the default for listeners on a network, cannot be had on this machine"
        } else {
            "`jail = \"required\"` can be had on this machine"
        }
    );
    text
}

/// Whose files a server that is started here can judge.
fn owners() -> String {
    match owner::unmapped() {
        None => "all are known; programs must belong to root or to this user".to_owned(),
        Some(overflow) => format!(
            "some are unknown: this user namespace does not map every user, so programs that seem to belong to user \
             {overflow} are refused"
        ),
    }
}

fn as_json(machine: Machine, ping: Ping) -> String {
    let features: serde_json::Map<_, _> = Feature::ALL
        .into_iter()
        .map(|feature| {
            let mut facts = json!({ "there": machine.has(feature), "required": feature.is_required() });
            if let (false, Some(object)) = (machine.has(feature), facts.as_object_mut()) {
                object.insert("advice".into(), feature.advice().into());
            }
            (feature.as_str().to_owned(), facts)
        })
        .collect();
    let privilege = match machine.privilege {
        Privilege::Administrator => "administrator",
        Privilege::UserNamespace => "user_namespace",
        Privilege::None => "none",
    };
    let report = json!({
        "features": features,
        "privilege": privilege,
        "landlock_version": machine.landlock_abi,
        "ping": ping.as_str(),
        "user": rustix::process::geteuid().as_raw(),
        "owners": if owner::unmapped().is_none() { "all" } else { "some" },
        "complete": !machine.missing().any(Feature::is_required),
    });
    format!("{report}\n")
}
