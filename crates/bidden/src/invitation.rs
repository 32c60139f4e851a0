//! `bidden invite` and `bidden accept`: how a person comes to a server, with nothing secret leaving either machine.
//!
//! The server's operator sends an invitation, which names the server and its public key; whoever accepts it sends a
//! public key back, for the operator to put into bidden.toml.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::Context as _;
use client::{PublicKey, read_public_key};
use serde::Deserialize;
use server::config::{Listener, Protection};
use server::listening_address;
use server::policy::{LOCAL, is_name};

use crate::arguments::{Accept, Invite};
use crate::exit::Exit;
use crate::hosts::{self, Existing, Host, toml_key};
use crate::policy::load;
use crate::terminal::{inform, print};

/// Longest invitation that is read, in bytes.
const MAX_INVITATION_BYTES: u64 = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invitation {
    invitation: Terms,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    user: String,
    host: String,
    endpoint: String,
    server_key: String,
}

pub(crate) fn invite(arguments: &Invite) -> anyhow::Result<Exit> {
    let (path, configuration) = load(&arguments.source)?;
    let path =
        path.context("there is no configuration, and so no key to invite to; `bidden init DIR` makes one")?;
    check_user(&arguments.name)?;
    let (listener, server_key) = keyed_listener(&configuration.listeners, arguments.key.as_deref())
        .with_context(|| format!("nobody can be invited to {}", path.display()))?;
    let host = arguments.host.clone().map_or_else(this_host, Ok)?;
    check_host(&host)?;
    let endpoint = arguments.endpoint.clone().unwrap_or_else(|| reachable(&listener, &host));
    check_reachable(&endpoint)?;
    print(&format!(
        "# An invitation to a bidden server. It holds nothing secret, but whoever gets it should know that it is yours.\n\
         [invitation]\nuser = \"{}\"\nhost = \"{host}\"\nendpoint = \"{endpoint}\"\nserver_key = \"{server_key}\"\n",
        arguments.name,
    ))?;
    let user = &arguments.name;
    let next = if configuration.policy.user_named(user).is_some() {
        format!(
            "{user} is a user already: what comes back is for you only if the public key in it is a new one."
        )
    } else {
        format!(
            "Put the lines that come back into {}, with the roles that {user} shall have, and reload the server.",
            path.display()
        )
    };
    inform(&format!(
        "Send this to {user} by a way that nobody can change it on, as a file for `bidden accept FILE`. {next}"
    ));
    if listening_address(&endpoint, true).is_ok() {
        inform(&format!(
            "Mind: {endpoint} leads to the machine on which it is used. For another machine give --endpoint, and let the \
             server listen on an address that it can reach."
        ));
    }
    Ok(Exit::Success)
}

/// The endpoint and the public key of the listener that people are invited to: the first with a key, or the one with
/// this certificate.
fn keyed_listener(listeners: &[Listener], certificate: Option<&Path>) -> anyhow::Result<(String, PublicKey)> {
    let wanted = certificate.map(read_public_key).transpose()?;
    for listener in listeners {
        if let Protection::Key(path) = &listener.protection {
            let key = read_public_key(path)?;
            if wanted.is_none_or(|wanted| wanted == key) {
                return Ok((listener.endpoint.clone(), key));
            }
        }
    }
    match certificate {
        Some(certificate) => anyhow::bail!("it has no listener with the key of {}", certificate.display()),
        None => anyhow::bail!("it has no listener with a `key`"),
    }
}

pub(crate) fn accept(arguments: &Accept) -> anyhow::Result<Exit> {
    let text = read(&arguments.file)?;
    let shown = arguments.file.display();
    let Invitation { invitation } =
        toml::from_str(&text).with_context(|| format!("{shown} is no invitation of `bidden invite`"))?;
    check_user(&invitation.user)?;
    let host = arguments.host.clone().unwrap_or(invitation.host);
    check_host(&host)?;
    check_reachable(&invitation.endpoint)?;
    let server_key = PublicKey::parse(&invitation.server_key)
        .with_context(|| format!("{shown}: `server_key` is no public key of 40 characters"))?;
    let host = Host { name: host, endpoint: invitation.endpoint, server_key };
    let existing = if arguments.replace { Existing::Replaced } else { Existing::Kept };
    let own = hosts::add(&host, existing)?;
    print(&format!("[users.{}]\npublic_key = \"{own}\"\nroles = []\n", toml_key(&invitation.user)))?;
    inform(&format!(
        "`{0}` stands in your hosts.toml now. Send the lines above to its operator by a way that nobody can change them on; they \
         hold nothing secret. After that, `bidden commands --to {0}` shows what you may run. This command prints them again \
         whenever you run it.",
        host.name,
    ));
    Ok(Exit::Success)
}

/// This machine's name, as others may call it.
pub(crate) fn this_host() -> anyhow::Result<String> {
    let name = rustix::system::uname();
    let name = name.nodename().to_str().ok().filter(|name| is_name(name));
    name.map(str::to_owned).context("this machine's name cannot name a host; give one with --host")
}

/// The endpoint that other machines connect to: where the server listens on every address, that of its host.
pub(crate) fn reachable(endpoint: &str, host: &str) -> String {
    ["tcp://0.0.0.0:", "tcp://*:", "tcp://[::]:"]
        .into_iter()
        .find_map(|every| endpoint.strip_prefix(every))
        .map_or_else(|| endpoint.to_owned(), |port| format!("tcp://{host}:{port}"))
}

pub(crate) fn check_host(name: &str) -> anyhow::Result<()> {
    anyhow::ensure!(is_name(name), "{name:?} cannot name a host: {NAMES}");
    Ok(())
}

pub(crate) fn check_user(name: &str) -> anyhow::Result<()> {
    anyhow::ensure!(is_name(name), "{name:?} cannot name a user: {NAMES}");
    anyhow::ensure!(
        name != LOCAL,
        "`{LOCAL}` is whoever connects in plain text, and has no key; choose another name"
    );
    Ok(())
}

const NAMES: &str = "a name is 1 to 64 letters, digits, `.`, `_` and `-`, the first neither `.` nor `-`";

/// An endpoint that a client can be sent to: it comes from somebody else, and goes into a file of ours.
pub(crate) fn check_reachable(endpoint: &str) -> anyhow::Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    let authority = endpoint.strip_prefix("tcp://").filter(|rest| rest.bytes().all(plain));
    let port =
        authority.and_then(|authority| authority.rsplit_once(':')).and_then(|(_, port)| port.parse().ok());
    anyhow::ensure!(
        port.is_some_and(|port: u16| port > 0),
        "{endpoint:?} is not an endpoint with a port, such as tcp://web1.example.org:5555"
    );
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().take(MAX_INVITATION_BYTES).read_to_string(&mut text)
    } else {
        File::open(file).and_then(|file| file.take(MAX_INVITATION_BYTES).read_to_string(&mut text))
    };
    read.with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{check_reachable, reachable};

    #[test]
    fn an_endpoint_cannot_break_out_of_the_file_that_it_is_written_into() {
        for good in ["tcp://web1:5555", "tcp://192.0.2.1:5555", "tcp://[2001:db8::1]:5555"] {
            assert!(check_reachable(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "web1:5555",
            "tcp://web1",
            "ipc:///tmp/x",
            "tcp://a:1\"\nkey = \"x",
            "tcp://a:1\\",
            "tcp://ä:1",
            "tcp://a:*",
            "tcp://a:0",
            "tcp://a:65536",
        ] {
            assert!(check_reachable(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_address_becomes_the_hosts_name() {
        assert_eq!(reachable("tcp://0.0.0.0:5555", "web1"), "tcp://web1:5555");
        assert_eq!(reachable("tcp://[::]:5555", "web1"), "tcp://web1:5555");
        assert_eq!(reachable("tcp://192.0.2.1:5555", "web1"), "tcp://192.0.2.1:5555");
    }
}
