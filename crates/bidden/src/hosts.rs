//! hosts.toml: the servers that a person reaches by name, each with its key, and the person's own key beside it.
//!
//! Refuses a file that others could have changed, for it says which server is the right one.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use client::{CertificatePaths, KeyPair, PublicKey, Security, read_key_pair, write_certificates};
use serde::Deserialize;

/// The name, in the directory of hosts.toml, of the key that is the person's own.
const OWN_KEY: &str = "id";

/// A server that can be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) endpoint: String,
    pub(crate) server_key: PublicKey,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    hosts: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    endpoint: String,
    server_key: String,
    /// A secret certificate; a relative path lies beside hosts.toml.
    key: PathBuf,
}

/// Where `--to` leads: an endpoint of this machine, or a host of hosts.toml.
pub(crate) fn find(to: &str) -> anyhow::Result<(String, Security)> {
    if to.contains("://") {
        return Ok((to.to_owned(), Security::Plain));
    }
    let directory = directory()?;
    let path = directory.join("hosts.toml");
    let mut hosts = read(&path)?;
    let Some(entry) = hosts.remove(to) else {
        let known = if hosts.is_empty() {
            "it names none; `bidden accept` and `bidden init` add one".to_owned()
        } else {
            format!("it names {}", hosts.into_keys().collect::<Vec<_>>().join(", "))
        };
        anyhow::bail!("there is no host `{to}` in {}: {known}", path.display());
    };
    let server_key = PublicKey::parse(&entry.server_key).with_context(|| {
        format!("{}: `hosts.{to}.server_key` is no public key of 40 characters", path.display())
    })?;
    let key = read_key_pair(&directory.join(&entry.key))?;
    Ok((entry.endpoint, Security::Curve { key, server_key }))
}

/// Adds a host, and makes the person's own key if there is none yet. Returns the public half of it.
pub(crate) fn add(host: &Host) -> anyhow::Result<PublicKey> {
    let directory = directory()?;
    let path = directory.join("hosts.toml");
    if read(&path)?.contains_key(&host.name) {
        anyhow::bail!(
            "{} has a host `{}` already; remove it there first, or choose another name",
            path.display(),
            host.name
        );
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let own = own_key(&directory.join(OWN_KEY))?;
    let separator = if path.exists() { "\n" } else { "" };
    let entry = format!(
        "{separator}[hosts.{}]\nendpoint = \"{}\"\nserver_key = \"{}\"\nkey = \"{OWN_KEY}.key_secret\"\n",
        toml_key(&host.name),
        host.endpoint,
        host.server_key,
    );
    let written = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    written
        .and_then(|mut file| file.write_all(entry.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(own.public())
}

/// A name as a key of TOML, where a dot would divide it.
pub(crate) fn toml_key(name: &str) -> String {
    if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() }
}

/// Fails where [`add`] would find a host of that name.
pub(crate) fn check_free(name: &str) -> anyhow::Result<()> {
    let path = directory()?.join("hosts.toml");
    if read(&path)?.contains_key(name) {
        anyhow::bail!("{} has a host `{name}` already; name another with --host", path.display());
    }
    Ok(())
}

fn own_key(name: &Path) -> anyhow::Result<KeyPair> {
    let secret = CertificatePaths::of(name).secret;
    if secret.exists() {
        return Ok(read_key_pair(&secret)?);
    }
    let pair = KeyPair::generate();
    write_certificates(name, &pair)?;
    Ok(pair)
}

/// A file that is not there names no host.
fn read(path: &Path) -> anyhow::Result<BTreeMap<String, Entry>> {
    let failed = || format!("cannot read {}", path.display());
    let mode = match path.metadata() {
        Ok(metadata) => metadata.mode() & 0o7777,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error).with_context(failed),
    };
    if mode & 0o002 != 0 {
        anyhow::bail!(
            "{} can be written by everyone (mode {mode:04o}): who may write it may lead you to another server",
            path.display()
        );
    }
    let text = fs::read_to_string(path).with_context(failed)?;
    let file: File = toml::from_str(&text).with_context(|| format!("{} is wrong", path.display()))?;
    Ok(file.hosts)
}

/// `~/.config/bidden`, or where the XDG base directory specification puts it.
fn directory() -> anyhow::Result<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CONFIG_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".config")))
        .map(|directory| directory.join("bidden"))
        .context("neither HOME nor XDG_CONFIG_HOME says where your hosts.toml is")
}
