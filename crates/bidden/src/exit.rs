//! Exit codes, as timeout(1) and shells use them.

use std::process::ExitCode;

use client::{End, ErrorCode};

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0.
    Success,
    /// The remote command's own exit status.
    Remote(u8),
    /// 128 and the number of the signal that ended the remote command.
    Signal(u8),
    /// 128 and the number of the signal that this program got, and that ended the remote command or the waiting.
    Stopped(u8),
    /// 1: the expression is wrong or has no value.
    NoValue,
    /// 1: the policy is wrong, or does not do what its tests expect.
    WrongPolicy,
    /// 1: the log is broken.
    BrokenLog,
    /// 124: the time was over.
    TimedOut,
    /// 125: anything of bidden's own, such as no server.
    Own,
    /// 126: not allowed.
    Refused,
}

impl Exit {
    /// The code for the end of a remote command.
    pub(crate) fn from_end(end: End) -> Self {
        match end {
            End::Exit(0) => Self::Success,
            End::Exit(code) => u8::try_from(code).map_or(Self::Own, Self::Remote),
            End::Signal(signal) => u8::try_from(signal).map_or(Self::Own, Self::Signal),
        }
    }

    /// The code for an error reply.
    pub(crate) fn from_error(code: ErrorCode) -> Self {
        match code {
            ErrorCode::InvalidExpression | ErrorCode::ComputationFailed => Self::NoValue,
            ErrorCode::TimedOut | ErrorCode::CpuLimit => Self::TimedOut,
            ErrorCode::Refused | ErrorCode::InvalidParameters => Self::Refused,
            // As when the kernel ends a program for want of memory.
            ErrorCode::OutOfMemory => Self::Signal(9),
            ErrorCode::InvalidRequest
            | ErrorCode::LimitExceeded
            | ErrorCode::Busy
            | ErrorCode::Cancelled
            | ErrorCode::OutputLimit
            | ErrorCode::FailedToStart
            | ErrorCode::IdConflict
            | ErrorCode::NotFound
            | ErrorCode::Gone
            | ErrorCode::UnknownOutcome
            | ErrorCode::Internal => Self::Own,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Remote(code) => code,
            Exit::Signal(signal) | Exit::Stopped(signal) => signal.saturating_add(128),
            Exit::NoValue | Exit::WrongPolicy | Exit::BrokenLog => 1,
            Exit::TimedOut => 124,
            Exit::Own => 125,
            Exit::Refused => 126,
        })
    }
}
