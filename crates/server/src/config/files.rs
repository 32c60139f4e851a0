//! The files that a configuration names: read from the disk, or taken from the document that the keeper made when it read
//! them. A server that has confined itself can open none of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use transport::read_public_key;
use wire::PublicKey;

/// What was read, by path: texts of files, and the public keys of certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Found {
    texts: BTreeMap<String, String>,
    keys: BTreeMap<String, String>,
}

/// Where files come from.
#[derive(Debug)]
pub(super) enum Files {
    /// The disk; what is read is noted.
    Disk(RefCell<Found>),
    /// What another process has read.
    Given(Found),
}

/// A configuration with all that it names, to be handed from one process to another.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Document {
    pub(super) file: String,
    pub(super) text: String,
    found: Found,
}

impl Files {
    pub(super) fn of_disk() -> Self {
        Self::Disk(RefCell::default())
    }

    /// The text of a file.
    pub(super) fn text(&self, path: &str) -> io::Result<String> {
        match self {
            Self::Disk(found) => {
                // Once, so that all of the configuration sees the same.
                if let Some(text) = found.borrow().texts.get(path) {
                    return Ok(text.clone());
                }
                let text = std::fs::read_to_string(path)?;
                found.borrow_mut().texts.insert(path.to_owned(), text.clone());
                Ok(text)
            }
            Self::Given(found) => found.texts.get(path).cloned().ok_or_else(not_given),
        }
    }

    /// The certificates that were read.
    pub(super) fn certificates(&self) -> Vec<PathBuf> {
        match self {
            Self::Disk(found) => found.borrow().keys.keys().map(PathBuf::from).collect(),
            Self::Given(found) => found.keys.keys().map(PathBuf::from).collect(),
        }
    }

    /// The key in a public certificate. The reason for a refusal is for people.
    pub(super) fn public_key(&self, path: &Path) -> Result<PublicKey, String> {
        let name = path.display().to_string();
        match self {
            Self::Disk(found) => {
                let key = read_public_key(path).map_err(|error| error.to_string())?;
                found.borrow_mut().keys.insert(name, key.to_string());
                Ok(key)
            }
            Self::Given(found) => found
                .keys
                .get(&name)
                .and_then(|key| PublicKey::parse(key))
                .ok_or_else(|| not_given().to_string()),
        }
    }
}

fn not_given() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "it was not read with the configuration")
}

impl Document {
    /// Of a configuration that was read with these files.
    pub(super) fn new(file: String, text: String, files: Files) -> Self {
        let found = match files {
            Files::Disk(found) => found.into_inner(),
            Files::Given(found) => found,
        };
        Self { file, text, found }
    }

    pub(super) fn into_parts(self) -> (String, String, Files) {
        (self.file, self.text, Files::Given(self.found))
    }
}
