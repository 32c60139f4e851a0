//! Python's built-in functions on numbers, after `Python/bltinmodule.c` and the number types.

use super::arguments::{Arguments, to_complex, to_integer, to_items};
use crate::budget::Budget;
use crate::error::Error;
use crate::number::{self, Integer, Value, complex as complex_number, decimal, float as float_number};
use crate::price;
use crate::program::{Binary, Comparison};

pub(super) fn abs(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let value = arguments.at(0)?;
    match value {
        Value::Int(value) => value.absolute(budget).map(Value::Int),
        Value::Bool(value) => Ok(Value::Int(Integer::from(i64::from(*value)))),
        Value::Float(value) => Ok(Value::Float(value.abs())),
        Value::Complex(real, imaginary) => complex_number::magnitude((*real, *imaginary)).map(Value::Float),
        Value::List(_) | Value::Tuple(_) => {
            Err(Error::type_error(format!("bad operand type for abs(): '{}'", value.type_name())))
        }
    }
}

// Every row of the table has a function of this type.
#[allow(clippy::unnecessary_wraps)]
pub(super) fn bool(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    Ok(Value::Bool(arguments.positional().first().is_some_and(Value::is_true)))
}

pub(super) fn complex(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    let part = |place, name| arguments.get(place, name).map(complex_argument).transpose();
    let (real, imaginary) = (part(0, "real")?, part(1, "imag")?);
    let is_complex = |place, name| matches!(arguments.get(place, name), Some(Value::Complex(..)));
    let real_is_complex = is_complex(0, "real");
    let mut first = real.unwrap_or((0.0, 0.0));
    let Some(mut second) = imaginary else {
        return Ok(Value::Complex(first.0, first.1));
    };
    if is_complex(1, "imag") {
        first.0 -= second.1;
    }
    if real_is_complex {
        second.0 += first.1;
    }
    Ok(Value::Complex(first.0, second.0))
}

fn complex_argument(value: &Value) -> Result<(f64, f64), Error> {
    value.as_complex().unwrap_or_else(|| {
        let name = value.type_name();
        Err(Error::type_error(format!("complex() first argument must be a string or a number, not '{name}'")))
    })
}

pub(super) fn divmod(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let (left, right) = (arguments.at(0)?, arguments.at(1)?);
    if let (Some(left), Some(right)) = (left.as_integer(), right.as_integer()) {
        let (quotient, remainder) = left.divide_modulo(&right, budget)?;
        return Ok(Value::Tuple(Box::new([Value::Int(quotient), Value::Int(remainder)])));
    }
    match (left.as_float(), right.as_float()) {
        (Some(left), Some(right)) => {
            let (left, right) = (left?, right?);
            if right == 0.0 {
                return Err(Error::zero_division("float divmod()"));
            }
            budget.spend(price::remainder(left, right))?;
            let (quotient, remainder) = float_number::divide_modulo(left, right);
            Ok(Value::Tuple(Box::new([Value::Float(quotient), Value::Float(remainder)])))
        }
        _ => Err(Error::type_error(format!(
            "unsupported operand type(s) for divmod(): '{}' and '{}'",
            left.type_name(),
            right.type_name()
        ))),
    }
}

pub(super) fn float(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    let Some(value) = arguments.positional().first() else {
        return Ok(Value::Float(0.0));
    };
    match value.as_float() {
        Some(value) => value.map(Value::Float),
        None => Err(Error::type_error(format!(
            "float() argument must be a string or a real number, not '{}'",
            value.type_name()
        ))),
    }
}

pub(super) fn int(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    let Some(value) = arguments.positional().first() else {
        return Ok(Value::Int(Integer::from(0)));
    };
    match (value, value.as_integer()) {
        (_, Some(value)) => Ok(Value::Int(value)),
        (Value::Float(value), None) => Integer::from_f64(*value).map(Value::Int),
        (_, None) => Err(Error::type_error(format!(
            "int() argument must be a string, a bytes-like object or a real number, not '{}'",
            value.type_name()
        ))),
    }
}

pub(super) fn len(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    match arguments.at(0)? {
        Value::List(items) | Value::Tuple(items) => {
            Ok(Value::Int(Integer::from(i64::try_from(items.len()).unwrap_or(i64::MAX))))
        }
        value => Err(Error::type_error(format!("object of type '{}' has no len()", value.type_name()))),
    }
}

pub(super) fn max(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    extreme(arguments, "max", Comparison::Greater, budget)
}

pub(super) fn min(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    extreme(arguments, "min", Comparison::Less, budget)
}

fn extreme(
    arguments: Arguments<'_>,
    name: &str,
    better: Comparison,
    budget: &mut Budget,
) -> Result<Value, Error> {
    let default = arguments.named("default");
    let items = match arguments.positional() {
        [] => return Err(Error::type_error(format!("{name} expected at least 1 argument, got 0"))),
        [items] => to_items(items)?,
        _ if default.is_some() => {
            return Err(Error::type_error(format!(
                "Cannot specify a default for {name}() with multiple positional arguments"
            )));
        }
        items => items,
    };
    let mut best: Option<&Value> = None;
    for item in items {
        budget.spend(price::ITEM)?;
        match best {
            Some(best) if !number::compare(better, item, best, budget)? => {}
            _ => best = Some(item),
        }
    }
    match best.or(default) {
        Some(value) => Ok(value.clone()),
        None if better == Comparison::Greater => Err(Error::value_error("max() arg is an empty sequence")),
        None => Err(Error::value_error("min() arg is an empty sequence")),
    }
}

pub(super) fn pow(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let (base, exponent) = (arguments.need(0, "base")?, arguments.need(1, "exp")?);
    let Some(modulus) = arguments.get(2, "mod") else {
        return number::binary(Binary::Power, base, exponent, budget);
    };
    for value in [base, exponent, modulus] {
        match value {
            Value::Int(_) | Value::Bool(_) => {}
            Value::Complex(..) => {
                to_complex(base)?;
                to_complex(exponent)?;
                return Err(Error::value_error("complex modulo"));
            }
            _ => {
                return Err(Error::type_error(
                    "pow() 3rd argument not allowed unless all arguments are integers",
                ));
            }
        }
    }
    let value = to_integer(base)?.power_modulo(&to_integer(exponent)?, &to_integer(modulus)?, budget)?;
    Ok(Value::Int(value))
}

pub(super) fn round(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let number = arguments.need(0, "number")?;
    let digits = arguments.get(1, "ndigits");
    match (number, number.as_integer()) {
        (_, Some(number)) => {
            let Some(digits) = digits else { return Ok(Value::Int(number)) };
            number.round(&to_integer(digits)?, budget).map(Value::Int)
        }
        (Value::Float(number), None) => match digits {
            None => Integer::from_f64(number.round_ties_even()).map(Value::Int),
            Some(digits) => round_float(*number, &to_integer(digits)?, budget).map(Value::Float),
        },
        (_, None) => {
            let name = number.type_name();
            Err(Error::type_error(format!("type {name} doesn't define __round__ method")))
        }
    }
}

/// More decimal places than this change no float.
const MOST_PLACES: i64 = 323;
/// From here on floats have no fraction.
const WHOLE: f64 = 4_503_599_627_370_496.0;
/// Fewer than this leave none.
const FEWEST_PLACES: i64 = -308;

fn round_float(number: f64, digits: &Integer, budget: &mut Budget) -> Result<f64, Error> {
    let digits = match digits.to_i64() {
        Some(digits) => digits,
        None if digits.is_negative() => i64::MIN,
        None => i64::MAX,
    };
    // From 2^52 on a float is whole.
    if !number.is_finite() || digits > MOST_PLACES || (digits >= 0 && number.abs() >= WHOLE) {
        return Ok(number);
    }
    if digits < FEWEST_PLACES {
        return Ok(0.0 * number);
    }
    if let Ok(places) = usize::try_from(digits) {
        budget.spend(price::rounded(places as u64))?;
        // Both ways are correctly rounded: the text from the exact value, the float from the text.
        let text = format!("{number:.places$}");
        return Ok(decimal::parse_float(&text));
    }
    // The fraction only matters where it decides between two halves.
    let whole = Integer::from_f64(number)?;
    let places = Integer::from(digits);
    let rounded = whole.round_with_fraction(&places, number - number.trunc(), budget)?;
    let magnitude = rounded.to_f64().map_err(|_| Error::overflow("rounded value too large to represent"))?;
    Ok(magnitude.abs().copysign(number))
}

pub(super) fn sum(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let items = arguments.items(0)?;
    let mut total = arguments.get(1, "start").cloned().unwrap_or(Value::Int(Integer::from(0)));
    for item in items {
        budget.spend(price::ITEM)?;
        total = number::binary(Binary::Add, &total, item, budget)?;
    }
    Ok(total)
}
