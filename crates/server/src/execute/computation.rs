//! Evaluating an expression: in place when it is cheap, which most are, and on a worker thread when it is not.

use std::future::ready;

use calc::{Budget, ErrorKind, Value, Variables};
use wire::{ErrorCode, Given, Variable};

use super::columns::{self, Named};
use super::spelling::{refusal, refusal_of_variable, spelled};
use super::worker::on_worker;
use crate::authorise::Computation;
use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::service::Service;

pub(super) async fn evaluate(
    computation: Computation<'_>,
    service: &Service,
    user: &str,
) -> Result<Outcome, Refusal> {
    let (scalars, lists) = values(&computation.variables)?;
    if !lists.is_empty() || !computation.columns.is_empty() {
        return Box::pin(columns::evaluate(computation, scalars, lists, service, user)).await;
    }
    match calc::evaluate(&computation.expression, &scalars, &mut Budget::small()) {
        Ok(value) => spelled(&value, computation.numbers),
        Err(error) if error.kind() == ErrorKind::Fuel => {
            Box::pin(evaluate_on_worker(computation, scalars, service, user)).await
        }
        Err(error) => Err(refusal(&error)),
    }
}

/// Starts again with the full budget: the bounds are of fuel, not of time, so the answer does not depend on how far
/// the first attempt came.
async fn evaluate_on_worker(
    computation: Computation<'_>,
    scalars: Variables,
    service: &Service,
    user: &str,
) -> Result<Outcome, Refusal> {
    let expression = computation.expression.into_owned();
    let numbers = computation.numbers;
    let work = move |()| match calc::evaluate(&expression, &scalars, &mut Budget::full()) {
        Ok(value) => spelled(&value, numbers),
        Err(error) => Err(refusal(&error)),
    };
    on_worker(service, user, computation.timeout, ready(Ok(())), work).await
}

/// The values that the request gives, scalars and lists apart. What is wrong is told with the name of its variable.
fn values(variables: &[Variable<'_>]) -> Result<(Variables, Vec<Named>), Refusal> {
    let mut scalars = Variables::new();
    let mut lists = Vec::new();
    for variable in variables {
        let wrong = |error: calc::Error| refusal_of_variable(variable, &error);
        let given =
            variable.given().map_err(|error| Refusal::open(ErrorCode::InvalidRequest, error.to_string()))?;
        let value = match given {
            Given::Bool(value) => Value::Bool(value),
            Given::Complex(real, imaginary) => Value::Complex(real, imaginary),
            Given::Number(number) => Value::from_json_number(&number).map_err(wrong)?,
            Given::List(numbers) => {
                lists.push((variable.name.clone().into_owned(), numbers));
                continue;
            }
        };
        scalars.insert(&variable.name, value).map_err(wrong)?;
    }
    Ok((scalars, lists))
}
