//! `bidden init`: a configuration that works at once, with a key for the server and one for the person who makes it.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::Context as _;
use client::PublicKey;
use server::listening_address;

use crate::arguments::{DEFAULT_ENDPOINT, Init};
use crate::exit::Exit;
use crate::hosts::{self, Existing, Host, toml_key};
use crate::invitation::{check_host, check_reachable, check_user, reachable, this_host};
use crate::terminal::inform;

const TEMPLATE: &str = include_str!("init.toml");

pub(crate) fn init(arguments: &Init) -> anyhow::Result<Exit> {
    let host = arguments.host.clone().map_or_else(this_host, Ok)?;
    check_host(&host)?;
    check_user(&arguments.user).context("name yourself with --user")?;
    let listen = arguments.listen.as_deref().unwrap_or(DEFAULT_ENDPOINT);
    listening_address(listen, false)?;
    let endpoint = reachable(listen, &host);
    check_reachable(&endpoint)?;
    let directory = &arguments.directory;
    let configuration = directory.join("bidden.toml");
    anyhow::ensure!(
        !configuration.exists(),
        "{} exists already, and is not overwritten",
        configuration.display()
    );
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    // The configuration comes last: until it is there, all of this can be done again.
    let server_key = hosts::own_key(&directory.join("server"))?.public();
    let own = hosts::add(&Host { name: host.clone(), endpoint, server_key }, Existing::Kept)?;
    let text = fill_in(listen, &arguments.user, own, |program| Path::new(program).exists());
    hosts::write(&configuration, &text)
        .with_context(|| format!("cannot write {}", configuration.display()))?;
    let shown = configuration.display();
    inform(&format!(
        "{shown} is a configuration with a key of its own; you are the user `{}`, and your hosts.toml knows the server as `{host}`.\n\n\
         Serve it:      bidden serve --config {shown}\n\
         Ask it:        bidden run --to {host} uptime\n\
         Let others in: bidden invite NAME --config {shown}",
        arguments.user,
    ));
    Ok(Exit::Success)
}

/// The template with its gaps filled. A command whose program is not installed stays in it as a comment.
fn fill_in(listen: &str, user: &str, key: PublicKey, is_installed: impl Fn(&str) -> bool) -> String {
    let mut commands = Vec::new();
    let mut text = String::new();
    for paragraph in TEMPLATE.split_inclusive("\n\n") {
        let name =
            paragraph.strip_prefix("[commands.").and_then(|rest| rest.split_once(']')).map(|(name, _)| name);
        let program = paragraph.split_once("program = \"").and_then(|(_, rest)| rest.split_once('"'));
        match (name, program) {
            (Some(_), Some((program, _))) if !is_installed(program) => {
                text.push_str("# Not installed here:\n");
                for line in paragraph.lines() {
                    text.push_str(if line.is_empty() { "\n" } else { "# " });
                    text.push_str(line);
                    text.push_str(if line.is_empty() { "" } else { "\n" });
                }
            }
            (name, _) => {
                commands.extend(name.map(|name| format!("\"{name}\"")));
                text.push_str(paragraph);
            }
        }
    }
    text.replace("{LISTEN}", listen)
        .replace("{COMMANDS}", &commands.join(", "))
        .replace("{USER}", &toml_key(user))
        .replace("{KEY}", &key.to_string())
}

#[cfg(test)]
mod tests {
    use super::fill_in;
    use client::KeyPair;
    use server::config::Configuration;
    use server::policy::{Command, Policy};
    use std::collections::BTreeMap;

    fn parse(text: &str) -> Configuration {
        Configuration::parse("f", text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_template_has_the_built_in_commands() {
        let key = KeyPair::generate().public();
        let text = fill_in("tcp://127.0.0.1:5555", "ann", key, |_| true);
        let configuration = parse(&text);
        let without_line = |commands: &BTreeMap<String, Command>| -> BTreeMap<_, _> {
            commands
                .clone()
                .into_iter()
                .map(|(name, command)| (name, Command { line: None, ..command }))
                .collect()
        };
        assert_eq!(without_line(configuration.policy.commands()), without_line(Policy::builtin().commands()));
        let ann = configuration.policy.user_of_key(&key).expect("a user");
        assert_eq!(ann.name, "ann");
        assert!(configuration.policy.commands().keys().eq(ann.commands.keys()));
    }

    #[test]
    fn what_is_not_installed_is_a_comment() {
        let key = KeyPair::generate().public();
        let text = fill_in("tcp://127.0.0.1:5555", "ann", key, |program| program != "/usr/bin/ping");
        let configuration = parse(&text);
        assert!(!configuration.policy.commands().contains_key("ping"), "{text}");
        assert_eq!(configuration.policy.commands().len(), Policy::builtin().commands().len() - 1);
        assert!(
            text.contains("# Not installed here:\n# [commands.ping]\n# program = \"/usr/bin/ping\"\n"),
            "{text}"
        );
    }
}
