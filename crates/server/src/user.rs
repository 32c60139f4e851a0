//! Users: whom a request is from, once that is known.

/// Who sends requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// Whoever can open a plain-text connection from this machine.
    Local,
}

impl User {
    /// The user's name in the policy and in the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
        }
    }
}
