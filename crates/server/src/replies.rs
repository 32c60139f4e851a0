//! How many replies there were, by what they said.

use std::cell::Cell;

use wire::{ErrorCode, Verdict};

/// What a reply is counted as that is no error.
const SUCCESS: &str = "success";

/// Counts since the start.
#[derive(Default)]
pub(crate) struct Replies {
    success: Cell<u64>,
    errors: [Cell<u64>; ErrorCode::ALL.len()],
}

impl Replies {
    pub(crate) fn count(&self, verdict: &Verdict<'_>) {
        let counter = match verdict {
            Verdict::Failed(failure) => ErrorCode::ALL
                .iter()
                .position(|code| *code == failure.code)
                .and_then(|index| self.errors.get(index)),
            Verdict::Value { .. }
            | Verdict::Column { .. }
            | Verdict::Finished { .. }
            | Verdict::Running { .. } => Some(&self.success),
        };
        if let Some(counter) = counter {
            counter.set(counter.get().saturating_add(1));
        }
    }

    /// Every code with its count.
    pub(crate) fn by_code(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let errors =
            ErrorCode::ALL.iter().zip(&self.errors).map(|(code, count)| (code.as_str(), count.get()));
        [(SUCCESS, self.success.get())].into_iter().chain(errors)
    }
}
