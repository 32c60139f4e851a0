//! `[roles.NAME]` and `[users.NAME]`: names that come to a table of what each user may do.

use std::collections::BTreeMap;
use std::path::Path;

use wire::PublicKey;

use super::account;
use super::command::named;
use super::confinement::group;
use super::installation::rate;
use super::problem::{Fault, Source, shown, suggestion};
use super::section::{Item, Section};
use crate::policy::{AccountRule, Command, Grant, KnownBy, LOCAL, OVERFLOW_ID, Right, User};

/// What a role permits, each with the line that says so.
pub(super) struct Role {
    commands: Vec<(String, u32)>,
    rights: Vec<(Right, u32)>,
}

/// Reads every role. A role that is empty or absent permits nothing.
pub(super) fn roles(
    source: Source<'_>,
    item: &Item<'_>,
    commands: &BTreeMap<String, Command>,
    faults: &mut Vec<Fault>,
) -> Result<BTreeMap<String, Role>, Fault> {
    let mut roles = BTreeMap::new();
    for (key, item) in item.entries()? {
        match named(&key, "a role").and_then(|()| role(source, &item, commands)) {
            Ok(role) => {
                roles.insert(key.text.to_owned(), role);
            }
            Err(fault) => faults.push(fault),
        }
    }
    Ok(roles)
}

fn role(source: Source<'_>, item: &Item<'_>, known: &BTreeMap<String, Command>) -> Result<Role, Fault> {
    let section = item.section(&["commands", "rights"])?;
    let mut role = Role { commands: vec![], rights: vec![] };
    for item in section.optional("commands", Item::list)?.unwrap_or_default() {
        let name = item.string()?;
        if !known.contains_key(name) {
            let hint = suggestion(name, known.keys().map(String::as_str));
            return Err(item.fault(format!("names {}, which is no command{hint}", shown(name))));
        }
        role.commands.push((name.to_owned(), source.line(item.at())));
    }
    for item in section.optional("rights", Item::list)?.unwrap_or_default() {
        let name = item.string()?;
        let right = Right::parse(name).ok_or_else(|| {
            let hint = suggestion(name, Right::ALL.map(Right::as_str));
            item.fault(format!("names {}, which is no right{hint}", shown(name)))
        })?;
        role.rights.push((right, source.line(item.at())));
    }
    Ok(role)
}

/// Reads every user.
pub(super) fn users(
    source: Source<'_>,
    item: &Item<'_>,
    directory: &Path,
    roles: &BTreeMap<String, Role>,
    faults: &mut Vec<Fault>,
) -> Result<Vec<(User, KnownBy)>, Fault> {
    let mut users: Vec<(User, KnownBy)> = Vec::new();
    for (key, item) in item.entries()? {
        let read =
            named(&key, "a user").and_then(|()| user(key.text, source.line(key.at), &item, directory, roles));
        match read {
            Ok((user, known_by)) => {
                for (other, others) in &users {
                    if let Some(what) = shared(&known_by, others) {
                        let message = format!("`{}` has the {what} of `{}`", user.name, other.name);
                        faults.push(Fault::new(key.at, message));
                    }
                }
                users.push((user, known_by));
            }
            Err(fault) => faults.push(fault),
        }
    }
    Ok(users)
}

/// What two users are known by that only one can have.
fn shared(one: &KnownBy, other: &KnownBy) -> Option<&'static str> {
    if one.key.is_some() && one.key == other.key {
        return Some("key");
    }
    match (&one.account, &other.account) {
        (Some(AccountRule::Uid(one)), Some(AccountRule::Uid(other))) if one == other => Some("uid"),
        (Some(AccountRule::Group { gid: one, .. }), Some(AccountRule::Group { gid: other, .. }))
            if one == other =>
        {
            Some("group")
        }
        _ => None,
    }
}

/// What a user is known by: a key, an account of this machine, or one of each.
fn known_by(name: &str, table: &str, section: &Section<'_>, directory: &Path) -> Result<KnownBy, Fault> {
    let keys = ["public_key", "certificate", "uid", "group"];
    if name == LOCAL {
        let given = keys.into_iter().find_map(|key| section.get(key));
        return given.map_or_else(
            || Ok(KnownBy::default()),
            |item| {
                Err(item.fault("has no meaning: `local` is whoever connects in plain text from this machine"))
            },
        );
    }
    let key = match (section.get("public_key"), section.get("certificate")) {
        (Some(item), None) => Some(public_key(&item)?),
        (None, Some(item)) => Some(certificate(&item, directory)?),
        (Some(_), Some(item)) => {
            return Err(item.fault("stands beside a `public_key`; one of the two is enough"));
        }
        (None, None) => None,
    };
    let account = match (section.get("uid"), section.get("group")) {
        (Some(item), None) => Some(AccountRule::Uid(uid(&item)?)),
        (None, Some(item)) => Some(group_rule(&item)?),
        (Some(_), Some(item)) => return Err(item.fault("stands beside a `uid`; a user has one of the two")),
        (None, None) => None,
    };
    if key.is_none() && account.is_none() {
        let message = format!(
            "`{table}` lacks what the user is known by: `public_key`, `certificate`, `uid` or `group`"
        );
        return Err(section.fault(message));
    }
    Ok(KnownBy { key, account })
}

fn uid(item: &Item<'_>) -> Result<u32, Fault> {
    let uid = item.integer(0, i64::from(u32::MAX - 1))?;
    named_by_kernel(item, u32::try_from(uid).unwrap_or(OVERFLOW_ID))
}

fn group_rule(item: &Item<'_>) -> Result<AccountRule, Fault> {
    let gid = named_by_kernel(item, group(item)?)?;
    let members = account::members(item.files, gid)
        .map_err(|error| item.fault(format!("cannot be looked up: {error}")))?;
    Ok(AccountRule::Group { gid, members })
}

fn named_by_kernel(item: &Item<'_>, id: u32) -> Result<u32, Fault> {
    if id == OVERFLOW_ID {
        let message = "must not be 65534: the kernel says so of every account that it cannot name here";
        return Err(item.fault(message));
    }
    Ok(id)
}

fn user(
    name: &str,
    line: u32,
    item: &Item<'_>,
    directory: &Path,
    known: &BTreeMap<String, Role>,
) -> Result<(User, KnownBy), Fault> {
    let section = item.section(&[
        "roles",
        "public_key",
        "certificate",
        "uid",
        "group",
        "not_after",
        "requests_per_second",
    ])?;
    let known_by = known_by(name, &item.name, &section, directory)?;
    let mut user = User {
        name: name.to_owned(),
        commands: BTreeMap::new(),
        rights: BTreeMap::new(),
        not_after: section.optional("not_after", Item::moment)?,
        requests_per_second: section.optional("requests_per_second", rate)?,
        line: Some(line),
    };
    for item in section.required("roles")?.list()? {
        let name = item.string()?;
        let role = known.get(name).ok_or_else(|| {
            let hint = suggestion(name, known.keys().map(String::as_str));
            item.fault(format!("names {}, which is no role{hint}", shown(name)))
        })?;
        let grant = |line: &u32| Grant::Role { name: name.to_owned(), line: *line };
        for (command, line) in &role.commands {
            user.commands.entry(command.clone()).or_insert_with(|| grant(line));
        }
        for (right, line) in &role.rights {
            user.rights.entry(*right).or_insert_with(|| grant(line));
        }
    }
    Ok((user, known_by))
}

fn public_key(item: &Item<'_>) -> Result<PublicKey, Fault> {
    let words = "must be a public key: the 40 characters that stand in a certificate behind `public-key`";
    PublicKey::parse(item.string()?).ok_or_else(|| item.fault(words))
}

fn certificate(item: &Item<'_>, directory: &Path) -> Result<PublicKey, Fault> {
    item.files
        .public_key(&directory.join(item.string()?))
        .map_err(|error| item.fault(format!("cannot be used: {error}")))
}
