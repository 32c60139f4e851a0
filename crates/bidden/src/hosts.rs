//! hosts.toml: the servers that a person reaches by name, each with its key, and the person's own key beside it.
//!
//! Refuses a file that others could have changed, for it says which server is the right one.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use client::{
    CertificatePaths, KeyPair, PublicKey, Security, is_listening, read_key_pair, write_certificates,
};
use serde::Deserialize;
use tempfile::NamedTempFile;
use toml_edit::{DocumentMut, Item, Table, value};

use crate::arguments::DEFAULT_ENDPOINT;

/// The name, in the directory of hosts.toml, of the key that is the person's own.
const OWN_KEY: &str = "id";

/// The socket of the machine's server.
pub(crate) const MACHINE_SOCKET: &str = "/run/bidden/bidden.sock";

/// The socket of the caller's own server, in `$XDG_RUNTIME_DIR`.
pub(crate) const OWN_SOCKET: &str = "bidden.sock";

/// Longest hosts.toml, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// A server that can be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) endpoint: String,
    pub(crate) server_key: PublicKey,
}

/// What becomes of a host of that name that leads somewhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    Kept,
    Replaced,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hosts {
    #[serde(default)]
    hosts: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    endpoint: String,
    /// Not for a Unix socket, where the kernel says who is who.
    server_key: Option<String>,
    /// A secret certificate; a relative path lies beside hosts.toml.
    key: Option<PathBuf>,
}

/// Where `--to` leads: an endpoint of this machine, or a host of hosts.toml. Without it, to the server of this machine.
pub(crate) fn find(to: Option<&str>) -> anyhow::Result<(String, Security)> {
    let Some(to) = to else { return Ok((server_of_this_machine(), Security::Plain)) };
    if to.contains("://") {
        return Ok((to.to_owned(), Security::Plain));
    }
    let directory = directory()?;
    let path = directory.join("hosts.toml");
    let mut hosts = parse(&path, &read(&path)?)?;
    let Some(entry) = hosts.remove(to) else {
        let known = if hosts.is_empty() {
            "it names none; `bidden accept` and `bidden init` add one".to_owned()
        } else {
            format!("it names {}", hosts.into_keys().collect::<Vec<_>>().join(", "))
        };
        anyhow::bail!("there is no host `{to}` in {}: {known}", path.display());
    };
    match (entry.server_key, entry.key) {
        (None, None) if entry.endpoint.starts_with("ipc:") => Ok((entry.endpoint, Security::Plain)),
        (Some(server_key), Some(key)) => {
            let server_key = PublicKey::parse(&server_key).with_context(|| {
                format!("{}: `hosts.{to}.server_key` is no public key of 40 characters", path.display())
            })?;
            let key = read_key_pair(&directory.join(&key))?;
            Ok((entry.endpoint, Security::Curve { key, server_key }))
        }
        (server_key, _) => {
            let missing = if server_key.is_none() { "server_key" } else { "key" };
            anyhow::bail!("{}: `hosts.{to}` lacks the key `{missing}`", path.display())
        }
    }
}

/// The Unix socket of one's own server, then that of the machine's, then the port of the old program. Only root and this
/// user can have made the sockets that are taken, and one on which nobody listens is none.
fn server_of_this_machine() -> String {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(|directory| Path::new(&directory).join(OWN_SOCKET));
    let sockets = own.into_iter().filter(|path| path.is_absolute()).chain([MACHINE_SOCKET.into()]);
    let found = sockets.into_iter().find(|path: &PathBuf| is_trusted(path) && is_alive(path));
    found.map_or_else(|| DEFAULT_ENDPOINT.to_owned(), |path| format!("ipc://{}", path.display()))
}

/// A socket of root, of this user, or of the user to whom root has given its directory.
fn is_trusted(socket: &Path) -> bool {
    let Ok(metadata) = std::fs::symlink_metadata(socket) else { return false };
    let is_given_by_root = || {
        let above =
            |path: &Path| path.parent().and_then(|directory| std::fs::symlink_metadata(directory).ok());
        let (directory, parent) = (above(socket), socket.parent().and_then(above));
        let is_its_own = directory.is_some_and(|directory| {
            directory.is_dir() && directory.uid() == metadata.uid() && directory.mode() & 0o022 == 0
        });
        is_its_own && parent.is_some_and(|parent| parent.uid() == 0 && parent.mode() & 0o022 == 0)
    };
    let owner_is_trusted = [0, rustix::process::geteuid().as_raw()].contains(&metadata.uid());
    metadata.file_type().is_socket() && (owner_is_trusted || is_given_by_root())
}

/// Whether somebody listens. One that may not be asked counts: its refusal says more than another server's answer.
fn is_alive(socket: &Path) -> bool {
    is_listening(socket).unwrap_or(true)
}

/// Adds a host, and makes the person's own key if there is none yet. Returns the public half of it. What is there
/// already, from an attempt that was interrupted, is no obstacle.
pub(crate) fn add(host: &Host, existing: Existing) -> anyhow::Result<PublicKey> {
    let directory = directory()?;
    let path = directory.join("hosts.toml");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let text = read(&path)?;
    let there = parse(&path, &text)?.remove(&host.name);
    let is_same = there.as_ref().is_some_and(|entry| {
        let server_key = entry.server_key.as_deref().and_then(PublicKey::parse);
        entry.endpoint == host.endpoint && server_key == Some(host.server_key)
    });
    if there.is_some() && !is_same && existing == Existing::Kept {
        anyhow::bail!(
            "{} has another host `{}` already; replace it with --replace, or choose another name with --host",
            path.display(),
            host.name
        );
    }
    let own = own_key(&directory.join(OWN_KEY))?;
    if !is_same {
        let changed = with_host(&text, host).with_context(|| format!("cannot change {}", path.display()))?;
        write(&path, &changed).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(own.public())
}

/// Where the person's hosts.toml is, or would be.
pub(crate) fn own_file() -> Option<PathBuf> {
    directory().ok().map(|directory| directory.join("hosts.toml"))
}

/// A name as a key of TOML, where a dot would divide it.
pub(crate) fn toml_key(name: &str) -> String {
    if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() }
}

/// The pair in the files of this name, which are written where they are not there.
pub(crate) fn own_key(name: &Path) -> anyhow::Result<KeyPair> {
    let secret = CertificatePaths::of(name).secret;
    if secret.exists() {
        return Ok(read_key_pair(&secret)?);
    }
    let pair = KeyPair::generate();
    write_certificates(name, &pair)?;
    Ok(pair)
}

/// Puts a file in the place of another at once, readable by its owner alone.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// The text with a section for this host, and the rest of it as it was.
fn with_host(text: &str, host: &Host) -> anyhow::Result<String> {
    let mut document: DocumentMut = text.parse()?;
    let hosts = document.entry("hosts").or_insert_with(|| {
        let mut hosts = Table::new();
        hosts.set_implicit(true);
        Item::Table(hosts)
    });
    let hosts = hosts.as_table_like_mut().context("`hosts` is no table")?;
    let mut entry = Table::new();
    entry.insert("endpoint", value(host.endpoint.as_str()));
    entry.insert("server_key", value(host.server_key.to_string()));
    entry.insert("key", value(format!("{OWN_KEY}.key_secret")));
    hosts.insert(&host.name, Item::Table(entry));
    Ok(document.to_string())
}

fn parse(path: &Path, text: &str) -> anyhow::Result<BTreeMap<String, Entry>> {
    let file: Hosts = toml::from_str(text).with_context(|| format!("{} is wrong", path.display()))?;
    Ok(file.hosts)
}

/// A file that is not there is empty.
fn read(path: &Path) -> anyhow::Result<String> {
    let failed = || format!("cannot read {}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error).with_context(failed),
    };
    let metadata = file.metadata().with_context(failed)?;
    let mode = metadata.mode() & 0o7777;
    let is_foreign = ![0, rustix::process::geteuid().as_raw()].contains(&metadata.uid());
    if mode & 0o022 != 0 || is_foreign {
        anyhow::bail!(
            "{} can be written by others (mode {mode:04o}, user {}): who may write it may lead you to another server",
            path.display(),
            metadata.uid()
        );
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).with_context(failed)?;
    Ok(text)
}

/// `~/.config/bidden`, or where the XDG base directory specification puts it.
fn directory() -> anyhow::Result<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CONFIG_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".config")))
        .map(|directory| directory.join("bidden"))
        .context("neither HOME nor XDG_CONFIG_HOME says where your hosts.toml is")
}

#[cfg(test)]
mod tests {
    use super::{Host, parse, with_host};
    use client::KeyPair;
    use std::path::Path;

    #[test]
    fn a_host_is_added_or_replaced_and_the_rest_stays() {
        let server_key = KeyPair::generate().public();
        let host =
            |name: &str, endpoint: &str| Host { name: name.into(), endpoint: endpoint.into(), server_key };
        let first = with_host("# mine\n", &host("web1.example.org", "tcp://a:1")).expect("changed");
        let second = with_host(&first, &host("web2", "tcp://b:1")).expect("changed");
        let third = with_host(&second, &host("web1.example.org", "tcp://c:1")).expect("changed");
        assert!(third.contains("# mine\n"), "{third}");
        let hosts = parse(Path::new("f"), &third).expect("correct");
        let endpoints: Vec<_> = hosts.values().map(|entry| entry.endpoint.as_str()).collect();
        assert_eq!(endpoints, ["tcp://c:1", "tcp://b:1"]);
        let inline = with_host("hosts = {}\n", &host("web1", "tcp://a:1")).expect("changed");
        assert_eq!(parse(Path::new("f"), &inline).expect("correct").len(), 1, "{inline}");
    }
}
