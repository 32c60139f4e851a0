//! The expression parser, the evaluator and the spelling of results.

use calc::limits::{DECIMAL_DIGITS, INTEGER_BITS, ITEMS};
use calc::{Budget, Error, ErrorKind, Value, Variables, evaluate};
use serde::de::IgnoredAny;

/// The longest text of one number beside the digits of an integer: a tagged complex number of two long floats.
const LONGEST_TAGGED_BYTES: usize = 128;

/// The small budget gives the same answer as the full one or says that it did not suffice; a value is within the
/// limits and so is its text; an error has words and a place in the text.
pub fn expression(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let variables = variables();
    let first = evaluate(text, &variables, &mut Budget::small());
    let last = evaluate(text, &variables, &mut Budget::full());
    // A NaN is not equal to itself, so what is compared is what a client would see.
    if !matches!(&first, Err(error) if error.kind() == ErrorKind::Fuel) {
        assert_eq!(shown(&first), shown(&last), "the answer depends on the budget");
    }
    match &last {
        Ok(value) => check_value(value),
        Err(error) => check_error(error, text),
    }
}

fn variables() -> Variables {
    let mut variables = Variables::new();
    for (name, number) in
        [("x", "2.5"), ("y", "-3"), ("n", "100000000000000000000"), ("infinite", "Infinity")]
    {
        let value = Value::from_json_number(number).expect("a number");
        variables.insert(name, value).expect("a name");
    }
    variables
}

fn shown(result: &Result<Value, Error>) -> String {
    let mut text = String::new();
    match result.as_ref().map(|value| value.write_json(&mut text)) {
        Ok(Ok(())) => text,
        Ok(Err(error)) => format!("cannot be written: {error:?}"),
        Err(error) => format!("no value: {error:?}"),
    }
}

fn check_value(value: &Value) {
    let numbers = match value {
        Value::Int(integer) => {
            assert!(integer.bits() <= INTEGER_BITS);
            1
        }
        Value::List(items) | Value::Tuple(items) => {
            assert!(items.len() <= ITEMS);
            items.iter().for_each(check_value);
            items.len()
        }
        Value::Float(_) | Value::Bool(_) | Value::Complex(..) => 1,
    };
    let longest = 2 + numbers * (DECIMAL_DIGITS + LONGEST_TAGGED_BYTES);
    let (mut plain, mut strict) = (String::new(), String::new());
    let is_written = value.write_json(&mut plain).is_ok();
    assert_eq!(value.write_strict(&mut strict).is_ok(), is_written, "one spelling has a limit of its own");
    if is_written {
        assert!(plain.len() <= longest && strict.len() <= longest);
        assert!(serde_json::from_str::<IgnoredAny>(&strict).is_ok(), "not JSON: {strict}");
        check_reading(value, &plain);
    }
}

/// A single number reads back as it was written.
fn check_reading(value: &Value, written: &str) {
    if matches!(value, Value::Int(_) | Value::Float(_)) {
        let read = Value::from_json_number(written);
        assert_eq!(shown(&read), written);
    }
}

pub(crate) fn check_error(error: &Error, text: &str) {
    assert!(!error.message().is_empty() && !error.class().is_empty());
    let after_the_end = text.chars().count() + 1;
    assert!(error.column().is_none_or(|column| (1..=after_the_end).contains(&(column as usize))));
}
