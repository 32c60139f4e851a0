//! `bidden init`: a configuration that works at once, with a key for the server and one for the person who makes it.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use server::{listening_address, socket_path};

use crate::arguments::{DEFAULT_ENDPOINT, Init};
use crate::exit::Exit;
use crate::hosts::{self, Existing, Host, MACHINE_SOCKET, OWN_SOCKET, toml_key};
use crate::invitation::{check_host, check_reachable, check_user, reachable, this_host};
use crate::terminal::inform;

const TEMPLATE: &str = include_str!("init.toml");

const KEYED: Kind = Kind {
    listener: "\
# Encrypted, for those with a key below. For other machines: an address of this one, or 0.0.0.0 for all of them.
[[listeners]]
endpoint = \"{LISTEN}\"
key = \"server.key_secret\"",
    users: "# Users: each is a public key. `bidden invite NAME` brings the next one.",
    rights: "\"compute\"",
};

const LOCAL: Kind = Kind {
    listener: "\
# A Unix socket: the kernel says which account connects, and only those that are users below get in. `mode` and `group`
# are those of its file, which keep the others from asking.
[[listeners]]
endpoint = \"{LISTEN}\"
mode = \"{MODE}\"",
    users: "# Users: each is an account of this machine, `uid = 1000`, or a group of them, `group = \"ops\"`.",
    rights: "\"compute\", \"jobs\", \"cancel\", \"history\", \"metrics\"",
};

/// What a configuration with keys and one without say differently.
struct Kind {
    listener: &'static str,
    users: &'static str,
    rights: &'static str,
}

pub(crate) fn init(arguments: &Init) -> anyhow::Result<Exit> {
    if arguments.local { init_local(arguments) } else { init_keyed(arguments) }
}

fn init_keyed(arguments: &Init) -> anyhow::Result<Exit> {
    let host = arguments.host.clone().map_or_else(this_host, Ok)?;
    check_host(&host)?;
    let user = user_name(arguments, "USER")?;
    let listen = arguments.listen.as_deref().unwrap_or(DEFAULT_ENDPOINT);
    listening_address(listen, false)?;
    let endpoint = reachable(listen, &host);
    check_reachable(&endpoint)?;
    let configuration = make_directory(&arguments.directory)?;
    // The configuration comes last: until it is there, all of this can be done again.
    let server_key = hosts::own_key(&arguments.directory.join("server"))?.public();
    let own = hosts::add(&Host { name: host.clone(), endpoint, server_key }, Existing::Kept)?;
    let known_by = format!("public_key = \"{own}\"");
    write(&configuration, &fill_in(&KEYED, listen, &user, &known_by, is_installed))?;
    let shown = configuration.display();
    inform(&format!(
        "{shown} is a configuration with a key of its own; you are the user `{user}`, and your hosts.toml knows the server as `{host}`.\n\n\
         Serve it:      bidden serve --config {shown}\n\
         Ask it:        bidden run --to {host} uptime\n\
         Let others in: bidden invite NAME --config {shown}",
    ));
    Ok(Exit::Success)
}

/// For accounts of this machine alone: whoever runs this, or has called sudo to run it, is the first user.
fn init_local(arguments: &Init) -> anyhow::Result<Exit> {
    let own = rustix::process::geteuid();
    let caller = std::env::var("SUDO_UID").ok().filter(|_| own.is_root()).and_then(|uid| uid.parse().ok());
    let uid: u32 = caller.unwrap_or_else(|| own.as_raw());
    let user = user_name(arguments, if caller.is_some() { "SUDO_USER" } else { "USER" })?;
    let directory = std::path::absolute(&arguments.directory)?;
    let listen = arguments.listen.clone().unwrap_or_else(|| local_endpoint(own.is_root(), &directory));
    anyhow::ensure!(
        socket_path(&listen).is_some(),
        "--listen {listen} is no Unix socket; write it as ipc:///PATH, or leave --local out"
    );
    // A server of root's is asked by others, whom the kernel names; one's own is one's own.
    let mode = if uid == own.as_raw() && !own.is_root() { "0600" } else { "0666" };
    let configuration = make_directory(&arguments.directory)?;
    let text = fill_in(&LOCAL, &listen, &user, &format!("uid = {uid}"), is_installed);
    write(&configuration, &text.replace("{MODE}", mode))?;
    let shown = configuration.display();
    let found = [MACHINE_SOCKET.to_owned(), own_socket().unwrap_or_default()];
    let to = if found.iter().any(|path| listen == format!("ipc://{path}")) {
        String::new()
    } else {
        format!("--to {listen} ")
    };
    inform(&format!(
        "{shown} is a configuration for accounts of this machine; the account with uid {uid} is the user `{user}`.\n\n\
         Serve it:      bidden serve --config {shown}\n\
         Ask it:        bidden run {to}uptime\n\
         Let others in: write them into it as users, each with a `uid` or a `group`, and send the server SIGHUP",
    ));
    Ok(Exit::Success)
}

/// Where the command line finds it by itself; in the directory, where there is no such place.
fn local_endpoint(is_root: bool, directory: &Path) -> String {
    let own = || own_socket().unwrap_or_else(|| directory.join(OWN_SOCKET).display().to_string());
    format!("ipc://{}", if is_root { MACHINE_SOCKET.to_owned() } else { own() })
}

fn own_socket() -> Option<String> {
    let directory = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    directory.map(|directory| directory.join(OWN_SOCKET).display().to_string())
}

/// The name that was asked for, or that of this variable.
fn user_name(arguments: &Init, variable: &str) -> anyhow::Result<String> {
    let name = arguments.user.clone().or_else(|| std::env::var(variable).ok());
    let name = name.unwrap_or_else(|| "admin".to_owned());
    check_user(&name).context("name yourself with --user")?;
    Ok(name)
}

/// Makes the directory of a configuration that is not there yet, and returns its path.
fn make_directory(directory: &Path) -> anyhow::Result<PathBuf> {
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
    let logs = directory.join("log");
    match DirBuilder::new().mode(0o700).create(&logs) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot create {}", logs.display()))
        }
        Ok(()) | Err(_) => Ok(configuration),
    }
}

fn write(configuration: &Path, text: &str) -> anyhow::Result<()> {
    hosts::write(configuration, text).with_context(|| format!("cannot write {}", configuration.display()))
}

fn is_installed(program: &str) -> bool {
    Path::new(program).exists()
}

/// The template with its gaps filled. A command whose program is not installed stays in it as a comment.
fn fill_in(
    kind: &Kind,
    listen: &str,
    user: &str,
    known_by: &str,
    is_installed: impl Fn(&str) -> bool,
) -> String {
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
    text.replace("{LISTENER}", kind.listener)
        .replace("{USERS}", kind.users)
        .replace("{RIGHTS}", kind.rights)
        .replace("{LISTEN}", listen)
        .replace("{COMMANDS}", &commands.join(", "))
        .replace("{USER}", &toml_key(user))
        .replace("{KNOWN_BY}", known_by)
}

#[cfg(test)]
mod tests {
    use super::{KEYED, LOCAL, fill_in};
    use client::KeyPair;
    use server::config::Configuration;
    use server::policy::{Command, Policy, Right};
    use std::collections::BTreeMap;

    fn parse(text: &str) -> Configuration {
        Configuration::parse("f", text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_template_has_the_built_in_commands() {
        let key = KeyPair::generate().public();
        let text =
            fill_in(&KEYED, "tcp://127.0.0.1:5555", "ann", &format!("public_key = \"{key}\""), |_| true);
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
    fn the_template_without_keys_names_an_account() {
        let text = fill_in(&LOCAL, "ipc:///run/bidden/bidden.sock", "ann", "uid = 1000", |_| true);
        let configuration = parse(&text.replace("{MODE}", "0666"));
        let ann = configuration.policy.user_named("ann").expect("a user");
        assert!(Right::ALL.into_iter().all(|right| ann.rights.contains_key(&right)));
        assert!(configuration.policy.commands().keys().eq(ann.commands.keys()));
        assert!(configuration.policy.knows_accounts());
        assert_eq!(configuration.listeners.len(), 1);
    }

    #[test]
    fn what_is_not_installed_is_a_comment() {
        let key = KeyPair::generate().public();
        let text =
            fill_in(&KEYED, "tcp://127.0.0.1:5555", "ann", &format!("public_key = \"{key}\""), |program| {
                program != "/usr/bin/ping"
            });
        let configuration = parse(&text);
        assert!(!configuration.policy.commands().contains_key("ping"), "{text}");
        assert_eq!(configuration.policy.commands().len(), Policy::builtin().commands().len() - 1);
        assert!(
            text.contains("# Not installed here:\n# [commands.ping]\n# program = \"/usr/bin/ping\"\n"),
            "{text}"
        );
    }
}
