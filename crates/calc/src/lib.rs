//! Evaluates Python's arithmetic expressions as `CPython` 3.11 does, exactly and within bounds.
//!
//! Pure: no input or output, no clock, no unsafe code. It refuses every part of Python that is not
//! arithmetic: strings, attributes, subscripts, assignments, lambdas and comprehensions are syntax errors.
#![forbid(unsafe_code)]
// Python compares floats exactly, and so must this.
#![allow(clippy::float_cmp)]

mod budget;
mod columns;
mod error;
mod evaluate;
mod format;
mod functions;
mod lex;
pub mod limits;
mod number;
mod parse;
mod price;
mod program;
mod variables;

pub use budget::Budget;
pub use columns::{Columns, evaluate_columns};
pub use error::{Error, ErrorKind};
pub use functions::{FunctionInfo, functions};
pub use number::{Integer, Value};
pub use variables::Variables;

/// Evaluates the expression `text` with the request's `variables`, spending from `budget`.
///
/// The whole text is parsed before anything is computed, so a syntax error outranks every other one.
/// When the budget runs out the error's kind is [`ErrorKind::Fuel`]; the same call with a larger budget may succeed.
pub fn evaluate(text: &str, variables: &Variables, budget: &mut Budget) -> Result<Value, Error> {
    let mut program = program::Program::default();
    parse::parse(text, parse::Names { variables, columns: None }, budget, &mut program)?;
    evaluate::run(&program, variables, budget).map_err(|error| error.in_text(text))
}
