//! Whether a log is as it was written: every record follows the one before it, through all files.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::archive::{log_files, open_lines};
use super::line::push_hex;

/// A log that is unbroken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The number of the first record that is there.
    pub first: u64,
    /// The number of the last.
    pub last: u64,
    /// How many files hold them.
    pub files: usize,
    /// The SHA-256 of the last line, in hexadecimal: what the next record will name.
    pub hash: String,
}

/// Why a log cannot be trusted, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The system refuses.
    #[error("{path}: {source}")]
    Io {
        /// The file or the directory.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no record.
    #[error("{0} has no record")]
    Empty(String),
    /// The chain is broken.
    #[error("{path}:{line}: {what}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        what: String,
    },
}

#[derive(Deserialize)]
struct Link {
    seq: u64,
    prev: String,
}

/// Checks the chain of the log at `path` and of the files that it was rotated into.
///
/// # Errors
/// It is broken, empty or cannot be read.
pub fn verify(path: &Path) -> Result<Verified, VerifyError> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source| VerifyError::Io { path, source }
    };
    let files = log_files(path).map_err(failed(path))?;
    let mut verified: Option<Verified> = None;
    let mut text = Vec::new();
    for file in &files {
        let mut lines = open_lines(&file.path).map_err(failed(&file.path))?;
        for number in 1.. {
            lines.read(&mut text).map_err(failed(&file.path))?;
            if text.is_empty() {
                break;
            }
            let broken = |what: String| VerifyError::Broken { path: file.path.clone(), line: number, what };
            let Some(line) = text.strip_suffix(b"\n") else {
                return Err(broken(
                    "the last line is cut off; the next start of the server removes it".to_owned(),
                ));
            };
            let record: Link = serde_json::from_slice(line)
                .map_err(|error| broken(format!("this is no record: {error}")))?;
            match &mut verified {
                None => {
                    if record.seq == 1 && record.prev.bytes().any(|byte| byte != b'0') {
                        return Err(broken("the first record names one before it".to_owned()));
                    }
                    let hash = hash(line);
                    verified =
                        Some(Verified { first: record.seq, last: record.seq, files: files.len(), hash });
                }
                Some(before) => {
                    let expected = before.last.saturating_add(1);
                    if record.seq != expected {
                        return Err(broken(format!(
                            "record {} stands where {expected} is expected",
                            record.seq
                        )));
                    }
                    if record.prev != before.hash {
                        return Err(broken(format!(
                            "record {} was not written after the line before it",
                            record.seq
                        )));
                    }
                    before.last = record.seq;
                    before.hash = hash(line);
                }
            }
        }
    }
    verified.ok_or_else(|| VerifyError::Empty(path.display().to_string()))
}

fn hash(line: &[u8]) -> String {
    let mut hex = Vec::new();
    push_hex(&mut hex, &Sha256::digest(line));
    String::from_utf8_lossy(&hex).into_owned()
}
