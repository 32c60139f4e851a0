//! `[roles.NAME]` and `[users.NAME]`: names that come to a table of what each user may do.

use std::collections::BTreeMap;
use std::path::Path;

use transport::read_public_key;
use wire::PublicKey;

use super::command::named;
use super::installation::rate;
use super::problem::{Fault, Source, shown, suggestion};
use super::section::Item;
use crate::policy::{Command, Grant, LOCAL, Right, User};

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
) -> Result<Vec<(User, Option<PublicKey>)>, Fault> {
    let mut users: Vec<(User, Option<PublicKey>)> = Vec::new();
    for (key, item) in item.entries()? {
        let read =
            named(&key, "a user").and_then(|()| user(key.text, source.line(key.at), &item, directory, roles));
        match read {
            Ok((user, public_key)) => {
                let same = |(other, key): &&(User, Option<PublicKey>)| {
                    public_key.is_some() && *key == public_key && other.name != user.name
                };
                if let Some((other, _)) = users.iter().find(same) {
                    faults
                        .push(Fault::new(key.at, format!("`{}` has the key of `{}`", user.name, other.name)));
                }
                users.push((user, public_key));
            }
            Err(fault) => faults.push(fault),
        }
    }
    Ok(users)
}

fn user(
    name: &str,
    line: u32,
    item: &Item<'_>,
    directory: &Path,
    known: &BTreeMap<String, Role>,
) -> Result<(User, Option<PublicKey>), Fault> {
    let section =
        item.section(&["roles", "public_key", "certificate", "not_after", "requests_per_second"])?;
    let public_key = match (section.get("public_key"), section.get("certificate"), name) {
        (Some(item), _, LOCAL) | (None, Some(item), LOCAL) => {
            return Err(
                item.fault("has no meaning: `local` is whoever connects in plain text from this machine")
            );
        }
        (None, None, LOCAL) => None,
        (Some(item), None, _) => Some(public_key(&item)?),
        (None, Some(item), _) => Some(certificate(&item, directory)?),
        (Some(_), Some(item), _) => {
            return Err(item.fault("stands beside a `public_key`; one of the two is enough"));
        }
        (None, None, _) => {
            return Err(section.fault(format!("`{}` lacks the key `public_key` or `certificate`", item.name)));
        }
    };
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
    Ok((user, public_key))
}

fn public_key(item: &Item<'_>) -> Result<PublicKey, Fault> {
    let words = "must be a public key: the 40 characters that stand in a certificate behind `public-key`";
    PublicKey::parse(item.string()?).ok_or_else(|| item.fault(words))
}

fn certificate(item: &Item<'_>, directory: &Path) -> Result<PublicKey, Fault> {
    read_public_key(&directory.join(item.string()?))
        .map_err(|error| item.fault(format!("cannot be used: {error}")))
}
