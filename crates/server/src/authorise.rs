//! Third stage: may this user have this?
//!
//! The one place where a request becomes something that can be executed, and the only one that asks the policy.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use jail::{Input, Plan};
use wire::{Action, Delivery, ErrorCode, Numbers, Variable};

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
    Os(Execution),
    /// Evaluate an expression.
    Compute(Computation<'f>),
    /// Say what the user may do: the JSON that says it.
    Describe(String),
}

/// A command with everything that starting it takes.
pub(crate) struct Execution {
    /// What the log says of it; the launcher knows for itself.
    pub(crate) program: PathBuf,
    pub(crate) plan: Plan,
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
        Action::Os { command_name, parameters, stdin, delivery: Delivery::Whole } => {
            let permitted = policy.decide_command(&user, &command_name, &parameters).map_err(denied)?;
            let stdin = stdin.map(|text| text.into_owned().into_bytes());
            Work::Os(execution(&command_name, permitted, stdin, timeout)?)
        }
        Action::Compute { expression, variables, numbers, columns: _ } => {
            policy.decide_right(&user, Right::Compute).map_err(denied)?;
            Work::Compute(Computation { expression, variables, columns, numbers, timeout })
        }
        Action::Os { .. }
        | Action::Jobs
        | Action::Status { .. }
        | Action::Result { .. }
        | Action::Cancel { .. }
        | Action::History(_) => {
            return Err(Refusal::open(ErrorCode::InvalidRequest, "this server has no jobs"));
        }
        // Everyone may know what he may do.
        Action::Describe => Work::Describe(policy.describe(&user)),
    };
    Ok(Authorised { work })
}

/// What to start. A program that is gone is found missing here, before a client could tell it from a forbidden one.
fn execution(
    name: &str,
    permitted: Permitted<'_>,
    stdin: Option<Vec<u8>>,
    timeout: Option<Duration>,
) -> Result<Execution, Refusal> {
    let Permitted { command, arguments, .. } = permitted;
    if stdin.is_some() && command.input == Input::None {
        return Err(Refusal::open(ErrorCode::InvalidParameters, "this command takes no `stdin`"));
    }
    let executable = rustix::fs::access(&command.program, rustix::fs::Access::EXEC_OK);
    executable.map_err(|error| Refusal::refused(format!("the program cannot be executed: {error}")))?;
    Ok(Execution {
        program: command.program.clone(),
        plan: Plan {
            command: name.to_owned(),
            arguments,
            time_limit: timeout.map_or(command.time_limit, |timeout| timeout.min(command.time_limit)),
            kept_bytes: MAX_OUTPUT_BYTES,
            output_bytes: command.confinement.limits.output_bytes,
            stdin,
        },
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
