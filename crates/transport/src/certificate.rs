//! Certificates: the files in which ZeroMQ programs keep keys, as `zmq.auth.create_certificates` of pyzmq writes them
//! (RFC 4, ZPL). Reads no secret that someone else could have read, and overwrites nothing.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use owner::ForeignOwner;
use tempfile::NamedTempFile;
use wire::PublicKey;
use zeroize::Zeroizing;

use crate::key::KeyPair;
use crate::limits::MAX_CERTIFICATE_BYTES;

const PUBLIC_KEY: &str = "public-key";
const SECRET_KEY: &str = "secret-key";

/// What a secret must not permit.
const GROUP_AND_OTHERS: u32 = 0o077;

/// The files of one key pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatePaths {
    /// What others may have.
    pub public: PathBuf,
    /// What stays here, readable by its owner alone.
    pub secret: PathBuf,
}

/// Why a certificate cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The system refuses.
    #[error("{path}: {reason}")]
    Io {
        /// The file.
        path: String,
        /// The system's reason.
        reason: io::Error,
    },
    /// A key is never overwritten.
    #[error("{0} exists already, and a key is never overwritten")]
    Exists(String),
    /// Others may have read the secret.
    #[error(
        "{path} holds a secret, and others can read it (mode {mode:04o}); run `chmod 600` on it, and make a new key if anyone has"
    )]
    ReadableByOthers {
        /// The file.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// Somebody else could have put the secret there.
    #[error("{path} {reason}: whoever owns it may know the secret")]
    Foreign {
        /// The file.
        path: String,
        /// Whose it is.
        reason: ForeignOwner,
    },
    /// The file is no certificate of the kind that is needed.
    #[error("{path} is no certificate with a {key}, as `bidden keygen` writes it")]
    Malformed {
        /// The file.
        path: String,
        /// The key that it lacks.
        key: &'static str,
    },
    /// The file's two keys are not a pair.
    #[error("{0} holds a public key that does not belong to its secret key")]
    Mismatch(String),
}

impl CertificatePaths {
    /// `NAME.key` and `NAME.key_secret`.
    pub fn of(name: &Path) -> Self {
        let with = |suffix: &str| {
            let mut path = OsString::from(name);
            path.push(suffix);
            PathBuf::from(path)
        };
        Self { public: with(".key"), secret: with(".key_secret") }
    }
}

/// Writes both files of a pair, neither of which may exist.
///
/// # Errors
/// One of them exists, or the system refuses. Then neither is left.
pub fn write_certificates(name: &Path, pair: &KeyPair) -> Result<CertificatePaths, CertificateError> {
    let paths = CertificatePaths::of(name);
    let public = pair.public();
    // With room for all of it, so that no copy stays where it grew out of.
    let mut secret = Zeroizing::new(String::with_capacity(MAX_CERTIFICATE_BYTES));
    // Writing into memory cannot fail.
    let _ = write!(
        secret,
        "# The secret half of a CURVE key pair of ZeroMQ. It stays on the machine where it was made.\n\
         metadata\ncurve\n    {PUBLIC_KEY} = \"{public}\"\n    {SECRET_KEY} = \"{}\"\n",
        *pair.reveal_secret(),
    );
    create(&paths.secret, 0o600, &secret)?;
    let text = format!(
        "# The public half of a CURVE key pair of ZeroMQ. Whoever gets it should know that it is yours.\n\
         metadata\ncurve\n    {PUBLIC_KEY} = \"{public}\"\n",
    );
    create(&paths.public, 0o644, &text).inspect_err(|_| {
        // Half a pair is of no use; if it cannot be removed, the next attempt says that it exists.
        let _ = fs::remove_file(&paths.secret);
    })?;
    Ok(paths)
}

/// Reads the public key of a certificate, public or secret.
///
/// # Errors
/// The file cannot be read or is no certificate.
pub fn read_public_key(path: &Path) -> Result<PublicKey, CertificateError> {
    let (text, _) = read(path)?;
    value(&text, PUBLIC_KEY)
        .and_then(PublicKey::parse)
        .ok_or_else(|| CertificateError::Malformed { path: shown(path), key: "public key" })
}

/// Reads the pair of a secret certificate.
///
/// # Errors
/// The file cannot be read, can be read by others, or is no secret certificate.
pub fn read_key_pair(path: &Path) -> Result<KeyPair, CertificateError> {
    let (text, metadata) = read(path)?;
    let pair = value(&text, SECRET_KEY)
        .and_then(KeyPair::from_secret)
        .ok_or_else(|| CertificateError::Malformed { path: shown(path), key: "secret key" })?;
    let mode = metadata.mode() & 0o7777;
    if mode & GROUP_AND_OTHERS != 0 {
        return Err(CertificateError::ReadableByOthers { path: shown(path), mode });
    }
    owner::check(&metadata).map_err(|reason| CertificateError::Foreign { path: shown(path), reason })?;
    match value(&text, PUBLIC_KEY) {
        Some(public) if PublicKey::parse(public) != Some(pair.public()) => {
            Err(CertificateError::Mismatch(shown(path)))
        }
        _ => Ok(pair),
    }
}

/// Creates a file that is there as a whole, on the disk, or not at all.
fn create(path: &Path, mode: u32, text: &str) -> Result<(), CertificateError> {
    let failed = |reason: io::Error| match reason.kind() {
        io::ErrorKind::AlreadyExists => CertificateError::Exists(shown(path)),
        _ => CertificateError::Io { path: shown(path), reason },
    };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(directory).map_err(|error| failed(without_path(error)))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.as_file().set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| file.as_file().sync_all())
        .map_err(failed)?;
    file.persist_noclobber(path).map(drop).map_err(|error| failed(error.error))
}

/// The system's own error: that of a temporary file names the file, which nobody has asked for.
fn without_path(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|inner| inner.source()?.downcast_ref::<io::Error>());
    cause.and_then(io::Error::raw_os_error).map_or(error, io::Error::from_raw_os_error)
}

/// The text of a file, and what the system says of it.
fn read(path: &Path) -> Result<(Zeroizing<String>, fs::Metadata), CertificateError> {
    let failed = |reason| CertificateError::Io { path: shown(path), reason };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mut text = Zeroizing::new(String::with_capacity(MAX_CERTIFICATE_BYTES));
    file.take(MAX_CERTIFICATE_BYTES as u64).read_to_string(&mut text).map_err(failed)?;
    Ok((text, metadata))
}

/// What stands behind a key's name, as pyzmq reads it: the first line that begins with the name counts.
fn value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let value = line.trim_start().strip_prefix(key)?.trim_start().strip_prefix('=')?;
        Some(value.trim().trim_matches(|quote| quote == '"' || quote == '\''))
    })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::Path;

    use super::{
        CertificateError, CertificatePaths, KeyPair, read_key_pair, read_public_key, value,
        write_certificates,
    };

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().expect("a directory")
    }

    #[test]
    fn a_pair_is_written_and_read_back() {
        let directory = directory();
        let pair = KeyPair::generate();
        let paths = write_certificates(&directory.path().join("ann"), &pair).expect("written");
        assert_eq!(paths, CertificatePaths::of(&directory.path().join("ann")));
        assert!(paths.secret.ends_with("ann.key_secret") && paths.public.ends_with("ann.key"));
        let mode = |path: &Path| path.metadata().expect("a file").mode() & 0o777;
        assert_eq!(mode(&paths.secret), 0o600);
        assert_eq!(read_key_pair(&paths.secret).expect("a pair").public(), pair.public());
        assert_eq!(read_public_key(&paths.public).expect("a key"), pair.public());
        assert_eq!(read_public_key(&paths.secret).expect("a key"), pair.public());
        let public = std::fs::read_to_string(&paths.public).expect("text");
        assert!(!public.contains(pair.reveal_secret().as_str()));
        assert!(matches!(read_key_pair(&paths.public), Err(CertificateError::Malformed { .. })));
    }

    #[test]
    fn a_name_with_dots_keeps_them() {
        let paths = CertificatePaths::of(Path::new("keys/web1.example.org"));
        assert_eq!(paths.secret, Path::new("keys/web1.example.org.key_secret"));
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_half_is_left() {
        let directory = directory();
        let name = directory.path().join("ann");
        let paths = CertificatePaths::of(&name);
        for taken in [&paths.public, &paths.secret] {
            std::fs::write(taken, "mine").expect("written");
            let refused = write_certificates(&name, &KeyPair::generate());
            assert!(matches!(refused, Err(CertificateError::Exists(_))));
            assert_eq!(std::fs::read(taken).expect("there"), b"mine");
            assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 1);
            std::fs::remove_file(taken).expect("removed");
        }
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let directory = directory();
        let paths = write_certificates(&directory.path().join("ann"), &KeyPair::generate()).expect("written");
        for mode in [0o640, 0o604, 0o620, 0o666] {
            std::fs::set_permissions(&paths.secret, std::fs::Permissions::from_mode(mode)).expect("set");
            let refused = read_key_pair(&paths.secret);
            assert!(matches!(refused, Err(CertificateError::ReadableByOthers { .. })), "{mode:o}");
        }
        std::fs::set_permissions(&paths.secret, std::fs::Permissions::from_mode(0o400)).expect("set");
        assert!(read_key_pair(&paths.secret).is_ok());
    }

    #[test]
    fn keys_that_are_no_pair_are_refused() {
        let directory = directory();
        let paths = write_certificates(&directory.path().join("ann"), &KeyPair::generate()).expect("written");
        let text = std::fs::read_to_string(&paths.secret).expect("text");
        let own = read_public_key(&paths.public).expect("a key").to_string();
        let other = KeyPair::generate().public().to_string();
        std::fs::write(&paths.secret, text.replace(&own, &other)).expect("written");
        assert!(matches!(read_key_pair(&paths.secret), Err(CertificateError::Mismatch(_))));
    }

    #[test]
    fn values_are_found_as_pyzmq_finds_them() {
        let text = "# public-key = \"x\"\nmetadata\ncurve\n\tpublic-key=  'a#b' \n public-key = \"c\"\n";
        assert_eq!(value(text, "public-key"), Some("a#b"));
        assert_eq!(value(text, "secret-key"), None);
        assert_eq!(value("public-keys = \"a\"", "public-key"), None);
    }
}
