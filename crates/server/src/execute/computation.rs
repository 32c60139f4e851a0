//! Evaluating an expression: in place when it is cheap, which most are, and on a worker thread when it is not.

use calc::{Budget, ErrorKind, Value, Variables};
use wire::{ErrorCode, Failure, Numbers, Variable};

use super::Outcome;
use crate::authorise::Computation;
use crate::refusal::Refusal;
use crate::service::Service;

pub(super) async fn evaluate(computation: Computation<'_>, service: &Service) -> Result<Outcome, Refusal> {
    let variables = variables(&computation.variables)?;
    let mut budget = Budget::small();
    match calc::evaluate(&computation.expression, &variables, &mut budget) {
        Err(error) if error.kind() == ErrorKind::Fuel => {
            Box::pin(evaluate_on_worker(computation, variables, service)).await
        }
        result => outcome(result, computation.numbers),
    }
}

/// Starts again with the full budget: the bounds are of fuel, not of time, so the answer does not depend on how far
/// the first attempt came.
async fn evaluate_on_worker(
    computation: Computation<'_>,
    variables: Variables,
    service: &Service,
) -> Result<Outcome, Refusal> {
    let _place = service.gate.queue_computation()?;
    let expression = computation.expression.into_owned();
    let numbers = computation.numbers;
    let work = async {
        let worker = service.gate.worker().await?;
        let result = tokio::task::spawn_blocking(move || {
            let result = calc::evaluate(&expression, &variables, &mut Budget::full());
            let result = outcome(result, numbers);
            drop(worker);
            result
        });
        result.await.unwrap_or_else(|error| Err(Refusal::internal(error.to_string())))
    };
    match computation.timeout {
        None => work.await,
        Some(timeout) => tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
            Err(Refusal::open(ErrorCode::TimedOut, "the computation was not finished in time"))
        }),
    }
}

fn variables(given: &[Variable<'_>]) -> Result<Variables, Refusal> {
    let mut variables = Variables::new();
    for variable in given {
        let value = match variable.json.as_ref() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            number => Value::from_json_number(number),
        };
        let value = value.map_err(|_| {
            Refusal::open(ErrorCode::InvalidRequest, "each of `variables` must be a number, true or false")
        })?;
        variables.insert(&variable.name, value).map_err(|error| refusal(&error))?;
    }
    Ok(variables)
}

fn outcome(result: Result<Value, calc::Error>, numbers: Numbers) -> Result<Outcome, Refusal> {
    let value = result.map_err(|error| refusal(&error))?;
    let mut json = String::new();
    match numbers {
        Numbers::Python => value.write_json(&mut json),
        Numbers::Strict => value.write_strict(&mut json),
    }
    .map_err(|error| refusal(&error))?;
    Ok(Outcome::Value { json, type_name: value.type_name() })
}

fn refusal(error: &calc::Error) -> Refusal {
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
