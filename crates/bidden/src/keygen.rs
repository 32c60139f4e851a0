//! `bidden keygen`: a key pair in the files that every ZeroMQ program reads.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use client::{CertificateError, CertificatePaths, KeyPair, read_key_pair, write_certificates};

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
    let paths = write_certificates(&arguments.name, &pair).map_err(|error| match error {
        CertificateError::Exists(_) => anyhow::anyhow!("{error}; choose another name"),
        error => error.into(),
    })?;
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
    let (base, generation) = generation(name);
    let next = (generation.saturating_add(1)..=MAX_GENERATIONS)
        .map(|generation| numbered(&base, generation))
        .find(|name| !CertificatePaths::of(name).secret.exists())
        .with_context(|| {
            format!("{} has {MAX_GENERATIONS} successors; choose another name", base.display())
        })?;
    let pair = KeyPair::generate();
    let new = write_certificates(&next, &pair)?;
    let (old_secret, new_secret) = (absolute(&old.secret), absolute(&new.secret));
    let (old_secret, new_secret, new_key) = (old_secret.display(), new_secret.display(), pair.public());
    inform(&format!(
        "\
{new_secret} is the new key. Both keys can serve at once, each on a port of its own:

1. Beside the listener with the old key, give bidden.toml one with the new key, and start the server again:

       [[listeners]]
       endpoint = \"tcp://0.0.0.0:5556\"
       key = \"{new_secret}\"

2. Move everyone to the new listener: `bidden invite USER --key {new_secret}` makes an invitation, which `bidden accept
   --replace` takes. Or they change `endpoint` and `server_key` in their hosts.toml by hand. The old public key is
   {old_key}, the new one
   {new_key}
3. When the log has no more records whose `listener` is the old one, remove it from bidden.toml, start the server
   again, and delete {old_secret}.

If somebody may have read the old secret, skip the patience: put the new key into the place of the old one at once."
    ));
    print(&format!("{new_key}\n"))?;
    Ok(Exit::Success)
}

/// The name that a key had at first, and which one of its successors this is.
fn generation(name: &Path) -> (PathBuf, u32) {
    let number = name.extension().and_then(|number| number.to_str()?.parse().ok());
    number.map_or_else(|| (name.to_owned(), 1), |number| (name.with_extension(""), number))
}

fn numbered(base: &Path, generation: u32) -> PathBuf {
    let mut numbered = OsString::from(base);
    numbered.push(format!(".{generation}"));
    numbered.into()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::generation;
    use std::path::Path;

    #[test]
    fn successors_are_counted_from_the_first_key() {
        for (name, base, number) in [
            ("server", "server", 1),
            ("keys/server.2", "keys/server", 2),
            ("web1.example.org", "web1.example.org", 1),
            ("web1.example.org.7", "web1.example.org", 7),
        ] {
            assert_eq!(generation(Path::new(name)), (base.into(), number));
        }
    }
}
