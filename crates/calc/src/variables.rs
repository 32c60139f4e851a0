//! The names and values that a request brings. It refuses names that are not plain ASCII identifiers of Python,
//! keywords, and names that start with an underscore.

use crate::error::{Error, ErrorKind};
use crate::lex::is_keyword;
use crate::limits;
use crate::number::Value;

/// The variables of one request; they shadow constants but never functions.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// Sorted by name.
    entries: Vec<(Box<str>, Value)>,
}

impl Variables {
    /// No variables.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a variable or replaces its value. Only single numbers are taken.
    pub fn insert(&mut self, name: &str, value: Value) -> Result<(), Error> {
        if !is_identifier(name) {
            return Err(Error::name());
        }
        if matches!(value, Value::List(_) | Value::Tuple(_)) {
            return Err(Error::type_error("a variable must be a number"));
        }
        match self.entries.binary_search_by(|(known, _)| (**known).cmp(name)) {
            Ok(index) => {
                if let Some(entry) = self.entries.get_mut(index) {
                    entry.1 = value;
                }
            }
            Err(_) if self.entries.len() >= limits::VARIABLES => {
                return Err(Error::new(ErrorKind::Limit, "ValueError", "too many variables"));
            }
            Err(index) => self.entries.insert(index, (name.into(), value)),
        }
        Ok(())
    }

    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        if self.entries.is_empty() {
            return None;
        }
        let index = self.entries.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        u32::try_from(index).ok()
    }

    pub(crate) fn value(&self, index: u32) -> Option<&Value> {
        self.entries.get(index as usize).map(|(_, value)| value)
    }
}

pub(crate) fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= limits::NAME_BYTES
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !is_keyword(name)
        && !matches!(name, "True" | "False" | "None")
}
