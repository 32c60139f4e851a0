//! Third stage: may this user have this?
//!
//! The one place where a request becomes something that can be executed, and the only one that asks the policy.

use std::borrow::Cow;
use std::time::Duration;

use jail::Plan;
use wire::{Action, ErrorCode, Numbers, Variable};

use crate::decode::{Column, Decoded};
use crate::limits::MAX_OUTPUT_BYTES;
use crate::policy::{Denied, Permitted, Policy, Right};
use crate::refusal::Refusal;

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
    /// Say what the user may do: the JSON that says it.
    Describe(String),
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

/// Holds the request against the policy, which is asked exactly once.
pub(crate) fn authorise<'f>(decoded: Decoded<'f>, policy: &Policy) -> Result<Authorised<'f>, Refusal> {
    let (user, request, columns) = decoded.into_parts();
    let timeout = request.timeout;
    let work = match request.action {
        Action::Os { command_name, parameters } => {
            let permitted = policy.decide_command(&user, &command_name, &parameters);
            Work::Os(plan(permitted.map_err(denied)?, timeout)?)
        }
        Action::Compute { expression, variables, numbers, columns: _ } => {
            policy.decide_right(&user, Right::Compute).map_err(denied)?;
            Work::Compute(Computation { expression, variables, columns, numbers, timeout })
        }
        // Everyone may know what he may do.
        Action::Describe => Work::Describe(policy.describe(&user)),
    };
    Ok(Authorised { work })
}

/// What to start. A program that is gone is found missing here, before a client could tell it from a forbidden one.
fn plan(permitted: Permitted<'_>, timeout: Option<Duration>) -> Result<Plan, Refusal> {
    let Permitted { command, arguments, .. } = permitted;
    let executable = rustix::fs::access(&command.program, rustix::fs::Access::EXEC_OK);
    executable.map_err(|error| Refusal::refused(format!("the program cannot be executed: {error}")))?;
    Ok(Plan {
        program: command.program.clone(),
        arguments,
        time_limit: timeout.map_or(command.time_limit, |timeout| timeout.min(command.time_limit)),
        output_limit: MAX_OUTPUT_BYTES,
    })
}

/// The client learns what is wrong with the parameters of a command that it may run, and nothing else.
fn denied(denied: Denied) -> Refusal {
    match denied {
        Denied::NoSuchCommand | Denied::NotTheUsers { .. } => Refusal::refused(denied.to_string()),
        Denied::NoRight { right: Right::Compute, .. } => {
            Refusal::closed(ErrorCode::Refused, "computations are not available to you", denied.to_string())
        }
        Denied::Parameters(error) => Refusal::open(ErrorCode::InvalidParameters, error.to_string()),
    }
}
