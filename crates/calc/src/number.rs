//! The values of the language and Python's rules for mixing them: bool with int, int with float, float with
//! complex. It refuses every operator on lists and tuples.

pub(crate) mod complex;
pub(crate) mod decimal;
pub(crate) mod float;
pub(crate) mod integer;
mod theory;

use crate::budget::Budget;
use crate::error::Error;
use crate::price;
use crate::program::{Binary, Comparison, Unary};
use std::cmp::Ordering;

pub use integer::Integer;

/// A value of the language.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Python's `int`.
    Int(Integer),
    /// Python's `float`.
    Float(f64),
    /// Python's `bool`.
    Bool(bool),
    /// Python's `complex`: real and imaginary part.
    Complex(f64, f64),
    /// A list, which can only be an argument.
    List(Box<[Value]>),
    /// A tuple: an argument, or the result of a function such as `divmod`.
    Tuple(Box<[Value]>),
}

impl Value {
    /// The name of the Python type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Bool(_) => "bool",
            Self::Complex(..) => "complex",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Int(value) => !value.is_zero(),
            Self::Float(value) => *value != 0.0,
            Self::Bool(value) => *value,
            Self::Complex(real, imaginary) => *real != 0.0 || *imaginary != 0.0,
            Self::List(items) | Self::Tuple(items) => !items.is_empty(),
        }
    }

    /// The memory of the big integers in it.
    #[inline]
    pub(crate) fn heap_bytes(&self) -> Option<u64> {
        match self {
            Self::Int(value) => value.heap_bytes(),
            Self::Float(_) | Self::Bool(_) | Self::Complex(..) => None,
            Self::List(items) | Self::Tuple(items) => {
                Some(items.iter().filter_map(Self::heap_bytes).fold(0, u64::saturating_add))
            }
        }
    }

    /// Charges what writing the value in decimal will cost.
    #[inline]
    pub(crate) fn charge_for_text(&self, budget: &mut Budget) -> Result<(), Error> {
        match self {
            Self::Int(value) => value.charge_for_text(budget),
            Self::Float(_) | Self::Bool(_) | Self::Complex(..) => Ok(()),
            Self::List(items) | Self::Tuple(items) => {
                items.iter().try_for_each(|item| item.charge_for_text(budget))
            }
        }
    }

    /// The value of an `int` or `bool`.
    pub(crate) fn as_integer(&self) -> Option<Integer> {
        match self {
            Self::Int(value) => Some(value.clone()),
            Self::Bool(value) => Some(Integer::from(i64::from(*value))),
            _ => None,
        }
    }

    /// The value as a float, if its type has one; fails for integers beyond the range of floats.
    pub(crate) fn as_float(&self) -> Option<Result<f64, Error>> {
        match self {
            Self::Int(value) => Some(value.to_f64()),
            Self::Float(value) => Some(Ok(*value)),
            Self::Bool(value) => Some(Ok(f64::from(u8::from(*value)))),
            Self::Complex(..) | Self::List(_) | Self::Tuple(_) => None,
        }
    }

    /// The value as a complex number, if its type has one.
    pub(crate) fn as_complex(&self) -> Option<Result<(f64, f64), Error>> {
        match self {
            Self::Complex(real, imaginary) => Some(Ok((*real, *imaginary))),
            _ => self.as_float().map(|real| real.map(|real| (real, 0.0))),
        }
    }
}

fn unsupported(symbol: &str, left: &Value, right: &Value) -> Error {
    Error::type_error(format!(
        "unsupported operand type(s) for {symbol}: '{}' and '{}'",
        left.type_name(),
        right.type_name()
    ))
}

pub(crate) fn binary(
    operator: Binary,
    left: &Value,
    right: &Value,
    budget: &mut Budget,
) -> Result<Value, Error> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => integer_binary(operator, left, right, budget),
        (Value::Bool(left), Value::Bool(right)) if operator == Binary::And => Ok(Value::Bool(left & right)),
        (Value::Bool(left), Value::Bool(right)) if operator == Binary::Or => Ok(Value::Bool(left | right)),
        (Value::Bool(left), Value::Bool(right)) if operator == Binary::Xor => Ok(Value::Bool(left ^ right)),
        (Value::List(_) | Value::Tuple(_), _) | (_, Value::List(_) | Value::Tuple(_)) => {
            Err(unsupported(operator.symbol(), left, right))
        }
        (Value::Complex(..), _) | (_, Value::Complex(..)) => {
            if !matches!(
                operator,
                Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Power
            ) {
                return Err(unsupported(operator.symbol(), left, right));
            }
            match (left.as_complex(), right.as_complex()) {
                (Some(left), Some(right)) => complex_binary(operator, left?, right?, budget),
                _ => Err(unsupported(operator.symbol(), left, right)),
            }
        }
        (Value::Float(_), _) | (_, Value::Float(_)) => {
            if matches!(
                operator,
                Binary::ShiftLeft | Binary::ShiftRight | Binary::And | Binary::Or | Binary::Xor
            ) {
                return Err(unsupported(operator.symbol(), left, right));
            }
            match (left.as_float(), right.as_float()) {
                (Some(left), Some(right)) => float_binary(operator, left?, right?, budget),
                _ => Err(unsupported(operator.symbol(), left, right)),
            }
        }
        (Value::Int(_) | Value::Bool(_), Value::Int(_) | Value::Bool(_)) => {
            match (left.as_integer(), right.as_integer()) {
                (Some(left), Some(right)) => integer_binary(operator, &left, &right, budget),
                _ => Err(unsupported(operator.symbol(), left, right)),
            }
        }
    }
}

fn integer_binary(
    operator: Binary,
    left: &Integer,
    right: &Integer,
    budget: &mut Budget,
) -> Result<Value, Error> {
    Ok(Value::Int(match operator {
        Binary::Add => left.add(right, budget)?,
        Binary::Subtract => left.subtract(right, budget)?,
        Binary::Multiply => left.multiply(right, budget)?,
        Binary::Divide => return left.true_divide(right, budget).map(Value::Float),
        Binary::FloorDivide => left.floor_divide(right, budget)?,
        Binary::Modulo => left.modulo(right, budget)?,
        Binary::Power if right.is_negative() => {
            return float_binary(operator, left.to_f64()?, right.to_f64()?, budget);
        }
        Binary::Power => left.power(right, budget)?,
        Binary::ShiftLeft => left.shift_left(right, budget)?,
        Binary::ShiftRight => left.shift_right(right, budget)?,
        Binary::And => left.bit_and(right, budget)?,
        Binary::Or => left.bit_or(right, budget)?,
        Binary::Xor => left.bit_xor(right, budget)?,
    }))
}

fn float_binary(operator: Binary, left: f64, right: f64, budget: &mut Budget) -> Result<Value, Error> {
    budget.spend(price::floats(operator, left, right))?;
    Ok(Value::Float(match operator {
        Binary::Add => left + right,
        Binary::Subtract => left - right,
        Binary::Multiply => left * right,
        Binary::Divide => float::divide(left, right)?,
        Binary::FloorDivide => float::floor_divide(left, right)?,
        Binary::Modulo => float::modulo(left, right)?,
        Binary::Power => return float::power(left, right),
        Binary::ShiftLeft | Binary::ShiftRight | Binary::And | Binary::Or | Binary::Xor => {
            return Err(unsupported(operator.symbol(), &Value::Float(left), &Value::Float(right)));
        }
    }))
}

fn complex_binary(
    operator: Binary,
    left: (f64, f64),
    right: (f64, f64),
    budget: &mut Budget,
) -> Result<Value, Error> {
    budget.spend(price::complex(operator))?;
    let (real, imaginary) = match operator {
        Binary::Add => (left.0 + right.0, left.1 + right.1),
        Binary::Subtract => (left.0 - right.0, left.1 - right.1),
        Binary::Multiply => complex::multiply(left, right),
        Binary::Divide => complex::divide(left, right)?,
        _ => complex::power(left, right)?,
    };
    Ok(Value::Complex(real, imaginary))
}

pub(crate) fn unary(operator: Unary, operand: &Value, budget: &mut Budget) -> Result<Value, Error> {
    match (operator, operand) {
        (Unary::Plus, Value::Int(value)) => value.copy(budget).map(Value::Int),
        (Unary::Minus, Value::Int(value)) => Ok(Value::Int(value.negate(budget)?)),
        (Unary::Invert, Value::Int(value)) => Ok(Value::Int(value.invert(budget)?)),
        (_, Value::Bool(value)) => unary(operator, &Value::Int(Integer::from(i64::from(*value))), budget),
        (Unary::Plus, Value::Float(value)) => Ok(Value::Float(*value)),
        (Unary::Minus, Value::Float(value)) => Ok(Value::Float(-value)),
        (Unary::Plus, Value::Complex(real, imaginary)) => Ok(Value::Complex(*real, *imaginary)),
        (Unary::Minus, Value::Complex(real, imaginary)) => Ok(Value::Complex(-real, -imaginary)),
        (Unary::Invert, Value::Float(_) | Value::Complex(..)) | (_, Value::List(_) | Value::Tuple(_)) => {
            let symbol = operator.symbol();
            Err(Error::type_error(format!("bad operand type for unary {symbol}: '{}'", operand.type_name())))
        }
    }
}

fn satisfies(operator: Comparison, ordering: Option<Ordering>) -> bool {
    match operator {
        Comparison::Less => ordering == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => ordering == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        Comparison::Equal => ordering == Some(Ordering::Equal),
        Comparison::NotEqual => ordering != Some(Ordering::Equal),
    }
}

/// Compares by exact value, whatever the types, as Python does.
#[inline]
pub(crate) fn compare(
    operator: Comparison,
    left: &Value,
    right: &Value,
    budget: &mut Budget,
) -> Result<bool, Error> {
    budget.spend(price::comparison(left, right))?;
    compare_paid(operator, left, right)
}

/// The same, for whoever has paid for many comparisons at once.
#[inline]
pub(crate) fn compare_paid(operator: Comparison, left: &Value, right: &Value) -> Result<bool, Error> {
    let ordering = match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Complex(..), _) | (_, Value::Complex(..)) => return compare_complex(operator, left, right),
        (Value::List(_) | Value::Tuple(_), _) | (_, Value::List(_) | Value::Tuple(_)) => {
            return compare_sequences(operator, left, right);
        }
        (Value::Float(left), _) => match right.as_integer() {
            Some(right) => right.compare_f64(*left).map(Ordering::reverse),
            None => None,
        },
        (_, Value::Float(right)) => match left.as_integer() {
            Some(left) => left.compare_f64(*right),
            None => None,
        },
        (Value::Int(_) | Value::Bool(_), Value::Int(_) | Value::Bool(_)) => {
            Some(left.as_integer().cmp(&right.as_integer()))
        }
    };
    Ok(satisfies(operator, ordering))
}

fn not_ordered(operator: Comparison, left: &Value, right: &Value) -> Error {
    Error::type_error(format!(
        "'{}' not supported between instances of '{}' and '{}'",
        operator.symbol(),
        left.type_name(),
        right.type_name()
    ))
}

fn compare_complex(operator: Comparison, left: &Value, right: &Value) -> Result<bool, Error> {
    let wanted = match operator {
        Comparison::Equal => true,
        Comparison::NotEqual => false,
        _ => return Err(not_ordered(operator, left, right)),
    };
    let are_equal = match (left, right) {
        (Value::Complex(left, first), Value::Complex(right, second)) => left == right && first == second,
        (Value::Complex(real, imaginary), other) | (other, Value::Complex(real, imaginary)) => {
            *imaginary == 0.0 && compare_paid(Comparison::Equal, &Value::Float(*real), other)?
        }
        _ => false,
    };
    Ok(are_equal == wanted)
}

/// Sequences are equal item by item; the language does not order them.
fn compare_sequences(operator: Comparison, left: &Value, right: &Value) -> Result<bool, Error> {
    let wanted = match operator {
        Comparison::Equal => true,
        Comparison::NotEqual => false,
        _ => return Err(not_ordered(operator, left, right)),
    };
    let are_equal = match (left, right) {
        (Value::List(left), Value::List(right)) | (Value::Tuple(left), Value::Tuple(right)) => {
            left.len() == right.len()
                && left.iter().zip(right.iter()).all(|(left, right)| {
                    // Neither holds a sequence, so this goes no deeper.
                    compare_paid(Comparison::Equal, left, right).unwrap_or(false)
                })
        }
        _ => false,
    };
    Ok(are_equal == wanted)
}
