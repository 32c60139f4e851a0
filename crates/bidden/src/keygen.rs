//! `bidden keygen`: a key pair in the files that every ZeroMQ program reads.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use client::{CertificatePaths, KeyPair, read_key_pair, write_certificates};

use crate::arguments::Keygen;
use crate::exit::Exit;
use crate::terminal::{inform, print};

/// Past so many rotations a new name is in order.
const MAX_GENERATIONS: u32 = 100;

pub(crate) fn keygen(arguments: &Keygen) -> anyhow::Result<Exit> {
    if arguments.rotate {
        return rotate(&arguments.name);
    }
    let pair = KeyPair::generate();
    let paths = write_certificates(&arguments.name, &pair)?;
    inform(&format!(
        "{} is the secret, which stays here; {} is the public key, for others:",
        paths.secret.display(),
        paths.public.display()
    ));
    print(&format!("{}\n", pair.public()))?;
    Ok(Exit::Success)
}

/// Makes the key that follows a server's key, and says how to change from one to the other without a gap.
fn rotate(name: &Path) -> anyhow::Result<Exit> {
    let old = CertificatePaths::of(name);
    let old_key = read_key_pair(&old.secret)?.public();
    let next = (2..=MAX_GENERATIONS)
        .map(|generation| numbered(name, generation))
        .find(|name| !CertificatePaths::of(name).secret.exists())
        .with_context(|| {
            format!("{} has {MAX_GENERATIONS} successors; choose another name", name.display())
        })?;
    let pair = KeyPair::generate();
    let new = write_certificates(&next, &pair)?;
    let (old_secret, new_secret, new_key) = (old.secret.display(), new.secret.display(), pair.public());
    inform(&format!(
        "\
{new_secret} is the new key. Both keys can serve at once, each on a port of its own:

1. Beside the listener with the old key, give bidden.toml one with the new key, and start the server again:

       [[listeners]]
       endpoint = \"tcp://0.0.0.0:5556\"
       key = \"{new_secret}\"

2. Give everyone the new endpoint and the new public key, for `endpoint` and `server_key` in hosts.toml (a new
   `bidden invite` has both). The old public key is {old_key}, the new one:
   {new_key}
3. When the log has no more `answered` records that came by the old listener, remove it from bidden.toml, start the
   server again, and delete {old_secret}.

If somebody may have read the old secret, skip the patience: replace the key on the old listener at once."
    ));
    print(&format!("{new_key}\n"))?;
    Ok(Exit::Success)
}

fn numbered(name: &Path, generation: u32) -> PathBuf {
    let mut numbered = OsString::from(name);
    numbered.push(format!(".{generation}"));
    numbered.into()
}
