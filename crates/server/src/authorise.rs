//! Third stage: may this user have this?
//!
//! The one place where a request becomes something that can be executed, and the only one that asks the policy.

use std::borrow::Cow;
use std::time::Duration;

use jail::Plan;
use wire::{Action, ErrorCode, Numbers, Variable};

use crate::decode::{Column, Decoded};
use crate::limits::MAX_OUTPUT_BYTES;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::user::User;

/// Work that its user may have done.
pub(crate) struct Authorised<'f> {
    work: Work<'f>,
}

/// The closed set of things that bidden does.
pub(crate) enum Work<'f> {
    /// Run a program.
    Os(Plan),
    /// Evaluate an expression.
    Compute(Computation<'f>),
}

/// An expression with what it needs.
pub(crate) struct Computation<'f> {
    pub(crate) expression: Cow<'f, str>,
    pub(crate) variables: Vec<Variable<'f>>,
    pub(crate) columns: Vec<Column<'f>>,
    pub(crate) numbers: Numbers,
    pub(crate) timeout: Option<Duration>,
}

impl<'f> Authorised<'f> {
    pub(crate) fn into_work(self) -> Work<'f> {
        self.work
    }
}

/// Holds the request against the policy. The parameters of a command are looked at only when the user may run it.
pub(crate) fn authorise<'f>(decoded: Decoded<'f>, policy: &Policy) -> Result<Authorised<'f>, Refusal> {
    let (user, request, columns) = decoded.into_parts();
    let timeout = request.timeout;
    let work = match request.action {
        Action::Os { command_name, parameters } => {
            let User::Local = user;
            let command = policy
                .command(&command_name)
                .ok_or_else(|| Refusal::refused("no such command in the policy"))?;
            let arguments = command
                .arguments(&parameters)
                .map_err(|error| Refusal::open(ErrorCode::InvalidParameters, error.to_string()))?;
            Work::Os(Plan {
                program: command.program.clone(),
                arguments,
                time_limit: timeout.map_or(command.time_limit, |timeout| timeout.min(command.time_limit)),
                output_limit: MAX_OUTPUT_BYTES,
            })
        }
        Action::Compute { expression, variables, numbers, columns: _ } => {
            Work::Compute(Computation { expression, variables, columns, numbers, timeout })
        }
    };
    Ok(Authorised { work })
}
