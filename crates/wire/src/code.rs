//! The closed set of error codes. A code is stable: programs branch on it, people read the message beside it.

/// Why a request has no result: the `code` key of an error reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Not JSON, not an object, or a key is missing, unknown, duplicated or ill-typed.
    InvalidRequest,
    /// The expression breaks the syntax or names something that does not exist.
    InvalidExpression,
    /// The expression is well formed and has no value, such as `1/0`.
    ComputationFailed,
    /// The request asks for more than a limit allows.
    LimitExceeded,
    /// Unknown, forbidden or missing: one answer for all three.
    Refused,
    /// The parameters break the rules of a command that the user may run.
    InvalidParameters,
    /// The server is at one of its limits now; `retry_after_ms` says when to come again.
    Busy,
    /// The command ran out of time and was ended.
    TimedOut,
    /// The command was ended before its time: somebody wanted it, or the server is stopping.
    Cancelled,
    /// The command used up the memory that it may take and was ended.
    OutOfMemory,
    /// The command used up the processor's time that it may take and was ended.
    CpuLimit,
    /// The command wrote more than it may and was ended.
    OutputLimit,
    /// The program could not be started.
    FailedToStart,
    /// The `id` was used before, for something else.
    IdConflict,
    /// There is no such job, or none that the one who asks may see.
    NotFound,
    /// The request was executed before, and its result is no longer kept.
    Gone,
    /// The command had been started when the server died; whether it came to its end is unknown.
    UnknownOutcome,
    /// The server's own fault; its log says more.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 18] = [
        Self::InvalidRequest,
        Self::InvalidExpression,
        Self::ComputationFailed,
        Self::LimitExceeded,
        Self::Refused,
        Self::InvalidParameters,
        Self::Busy,
        Self::TimedOut,
        Self::Cancelled,
        Self::OutOfMemory,
        Self::CpuLimit,
        Self::OutputLimit,
        Self::FailedToStart,
        Self::IdConflict,
        Self::NotFound,
        Self::Gone,
        Self::UnknownOutcome,
        Self::Internal,
    ];

    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidExpression => "invalid_expression",
            Self::ComputationFailed => "computation_failed",
            Self::LimitExceeded => "limit_exceeded",
            Self::Refused => "refused",
            Self::InvalidParameters => "invalid_parameters",
            Self::Busy => "busy",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::OutOfMemory => "oom",
            Self::CpuLimit => "cpu_limit",
            Self::OutputLimit => "output_limit",
            Self::FailedToStart => "failed_to_start",
            Self::IdConflict => "id_conflict",
            Self::NotFound => "not_found",
            Self::Gone => "gone",
            Self::UnknownOutcome => "unknown_outcome",
            Self::Internal => "internal",
        }
    }

    /// The code with this spelling, if there is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn spelling_and_parsing_are_inverse() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(code));
        }
        assert_eq!(ErrorCode::parse("Refused"), None);
    }
}
