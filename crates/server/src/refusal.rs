//! A request that ends before it has a result: what the client is told, and what the log says beside it.

use std::borrow::Cow;
use std::time::Duration;

use wire::{ErrorCode, Failure};

use crate::limits::RETRY_AFTER;

/// The end of a request at any stage.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What the client is told.
    pub(crate) failure: Box<Failure<'static>>,
    /// What only the log says.
    pub(crate) reason: Option<String>,
}

impl Refusal {
    /// A refusal of which the client may know everything.
    pub(crate) fn open(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::from(Failure::new(code, message))
    }

    /// A refusal of which the client learns the message and only the log the reason.
    pub(crate) fn closed(code: ErrorCode, message: &'static str, reason: impl Into<String>) -> Self {
        Self { failure: Box::new(Failure::new(code, message)), reason: Some(reason.into()) }
    }

    /// The one answer to a command that is unknown, forbidden or missing.
    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self::closed(ErrorCode::Refused, "this command is not available to you", reason)
    }

    /// The server is at a limit now.
    pub(crate) fn busy(message: &'static str) -> Self {
        Self::busy_for(message, RETRY_AFTER)
    }

    /// The same, until that time is over. A client is told whole milliseconds, and shall not come too early.
    pub(crate) fn busy_for(message: &'static str, wait: Duration) -> Self {
        let retry_after =
            Duration::from_millis(u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX));
        Self::from(Failure { retry_after: Some(retry_after), ..Failure::new(ErrorCode::Busy, message) })
    }

    /// The id was used for something else.
    pub(crate) fn id_conflict() -> Self {
        Self::open(ErrorCode::IdConflict, "this id was used for another request")
    }

    /// There is no such job, or none that may be seen: one answer for both.
    pub(crate) fn not_found() -> Self {
        Self::open(ErrorCode::NotFound, "you have no such job, or it is no longer kept")
    }

    /// What a request with this id came to is no longer kept.
    pub(crate) fn gone() -> Self {
        Self::open(ErrorCode::Gone, "this request was executed before, and its result is no longer kept")
    }

    /// The server's own fault.
    pub(crate) fn internal(reason: impl Into<String>) -> Self {
        Self::closed(ErrorCode::Internal, "the server failed; its log or its operator knows more", reason)
    }
}

impl From<Failure<'static>> for Refusal {
    fn from(failure: Failure<'static>) -> Self {
        Self { failure: Box::new(failure), reason: None }
    }
}
