//! The evaluator's values and errors in the words of the protocol.

use calc::{ErrorKind, Value};
use wire::{ErrorCode, Failure, Numbers, Variable};

use crate::outcome::Outcome;
use crate::refusal::Refusal;

/// A value as the client wants its numbers.
pub(super) fn spelled(value: &Value, numbers: Numbers) -> Result<Outcome, Refusal> {
    let mut json = String::new();
    match numbers {
        Numbers::Python => value.write_json(&mut json),
        Numbers::Strict => value.write_strict(&mut json),
    }
    .map_err(|error| refusal(&error))?;
    Ok(Outcome::Value { json, type_name: value.type_name() })
}

/// An error of the evaluator as the client is told it.
pub(super) fn refusal(error: &calc::Error) -> Refusal {
    let code = match error.kind() {
        ErrorKind::Syntax | ErrorKind::Name => ErrorCode::InvalidExpression,
        ErrorKind::Computation => ErrorCode::ComputationFailed,
        ErrorKind::Limit | ErrorKind::Fuel => ErrorCode::LimitExceeded,
    };
    Failure {
        class: Some(error.class().into()),
        column: error.column(),
        ..Failure::new(code, error.message().to_owned())
    }
    .into()
}

/// The same, about a variable of the request.
pub(super) fn refusal_of_variable(variable: &Variable<'_>, error: &calc::Error) -> Refusal {
    let Refusal { mut failure, reason } = refusal(error);
    failure.message = format!("{} in `variables`: {}", variable.shown_name(), failure.message).into();
    Refusal { failure, reason }
}
