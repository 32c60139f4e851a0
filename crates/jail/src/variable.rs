//! Variables of a command's environment. Their values are for the command alone: no `Debug` shows them, and they are wiped
//! from memory when nobody needs them any more.

use std::ffi::{CString, NulError};
use std::fmt;

use zeroize::Zeroizing;

/// A name and its value.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    /// The name.
    pub name: String,
    value: Zeroizing<String>,
}

impl Variable {
    /// A variable with this value.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: Zeroizing::new(value.into()) }
    }

    /// The value, to be passed to the command and to nobody else.
    pub fn reveal(&self) -> &str {
        &self.value
    }

    /// As execve(2) takes it.
    pub(crate) fn as_environment(&self) -> Result<Zeroizing<CString>, NulError> {
        let mut bytes =
            Vec::with_capacity(self.name.len().saturating_add(self.value.len()).saturating_add(2));
        bytes.extend_from_slice(self.name.as_bytes());
        bytes.push(b'=');
        bytes.extend_from_slice(self.value.as_bytes());
        CString::new(bytes).map(Zeroizing::new)
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Variable").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Variable;

    #[test]
    fn a_value_is_passed_on_and_not_shown() {
        let variable = Variable::new("TOKEN", "hunter2=x");
        assert_eq!(variable.as_environment().expect("no NUL").as_c_str(), c"TOKEN=hunter2=x");
        assert_eq!(format!("{variable:?}"), "Variable(\"TOKEN\")");
        assert!(Variable::new("TOKEN", "a\0b").as_environment().is_err());
    }
}
