//! Functions of Python's `math` that are more than one call of the library, after `Modules/mathmodule.c` of 3.11.

use super::arguments::{Arguments, to_float, to_integer};
use super::math_error;
use crate::budget::Budget;
use crate::error::Error;
use crate::number::{self, Integer, Value, float};
use crate::price;
use crate::program::Binary;

pub(super) fn atan2(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    two_floats(arguments, pymath::math::atan2)
}

pub(super) fn copysign(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    Ok(Value::Float(arguments.float(0)?.copysign(arguments.float(1)?)))
}

pub(super) fn fmod(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    pay_for_remainder(arguments, budget)?;
    two_floats(arguments, pymath::math::fmod)
}

pub(super) fn pow(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    two_floats(arguments, pymath::math::pow)
}

fn pay_for_remainder(arguments: Arguments<'_>, budget: &mut Budget) -> Result<(), Error> {
    budget.spend(price::remainder(arguments.float(0)?, arguments.float(1)?))
}

pub(super) fn remainder(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    pay_for_remainder(arguments, budget)?;
    two_floats(arguments, pymath::math::remainder)
}

pub(super) fn nextafter(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    two_floats(arguments, |x, y| Ok(pymath::math::nextafter(x, y, None)))
}

fn two_floats(
    arguments: Arguments<'_>,
    function: fn(f64, f64) -> pymath::Result<f64>,
) -> Result<Value, Error> {
    function(arguments.float(0)?, arguments.float(1)?).map(Value::Float).map_err(math_error)
}

pub(super) fn degrees(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    arguments.float(0).map(|x| Value::Float(pymath::math::degrees(x)))
}

pub(super) fn radians(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    arguments.float(0).map(|x| Value::Float(pymath::math::radians(x)))
}

pub(super) fn ulp(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    arguments.float(0).map(|x| Value::Float(pymath::math::ulp(x)))
}

pub(super) fn isfinite(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    arguments.float(0).map(|x| Value::Bool(x.is_finite()))
}

pub(super) fn isinf(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    arguments.float(0).map(|x| Value::Bool(x.is_infinite()))
}

pub(super) fn isnan(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    arguments.float(0).map(|x| Value::Bool(x.is_nan()))
}

pub(super) fn isclose(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    let (a, b) = (to_float(arguments.need(0, "a")?)?, to_float(arguments.need(1, "b")?)?);
    let relative = arguments.named("rel_tol").map(to_float).transpose()?;
    let absolute = arguments.named("abs_tol").map(to_float).transpose()?;
    pymath::math::isclose(a, b, relative, absolute)
        .map(Value::Bool)
        .map_err(|_| Error::value_error("tolerances must be non-negative"))
}

pub(super) fn ceil(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    to_whole(arguments, f64::ceil)
}

pub(super) fn floor(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    to_whole(arguments, f64::floor)
}

pub(super) fn trunc(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    to_whole(arguments, f64::trunc)
}

fn to_whole(arguments: Arguments<'_>, round: fn(f64) -> f64) -> Result<Value, Error> {
    match arguments.at(0)?.as_integer() {
        Some(value) => Ok(Value::Int(value)),
        None => Integer::from_f64(round(arguments.float(0)?)).map(Value::Int),
    }
}

pub(super) fn frexp(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    let (mantissa, exponent) = pymath::math::frexp(arguments.float(0)?);
    Ok(Value::Tuple(Box::new([Value::Float(mantissa), Value::Int(Integer::from(i64::from(exponent)))])))
}

pub(super) fn modf(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    let (fraction, whole) = pymath::math::modf(arguments.float(0)?);
    Ok(Value::Tuple(Box::new([Value::Float(fraction), Value::Float(whole)])))
}

pub(super) fn ldexp(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    let x = arguments.float(0)?;
    let Some(exponent) = arguments.at(1)?.as_integer() else {
        return Err(Error::type_error("Expected an int as second argument to ldexp."));
    };
    // Beyond 32 bits only the sign of the exponent matters.
    let clamped = match exponent.to_i64().map(i32::try_from) {
        Some(Ok(exponent)) => exponent,
        _ if exponent.is_negative() => i32::MIN,
        _ => i32::MAX,
    };
    pymath::math::ldexp(x, clamped).map(Value::Float).map_err(math_error)
}

pub(super) fn log(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let mut natural = |value| logarithm(value, |x| pymath::math::log(x, None), budget);
    let dividend = natural(arguments.at(0)?)?;
    match arguments.positional().get(1) {
        None => Ok(Value::Float(dividend)),
        Some(base) => float::divide(dividend, natural(base)?).map(Value::Float),
    }
}

pub(super) fn log10(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    logarithm(arguments.at(0)?, pymath::math::log10, budget).map(Value::Float)
}

pub(super) fn log2(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    logarithm(arguments.at(0)?, pymath::math::log2, budget).map(Value::Float)
}

/// Integers beyond the range of floats have logarithms too.
fn logarithm(
    value: &Value,
    function: fn(f64) -> pymath::Result<f64>,
    budget: &mut Budget,
) -> Result<f64, Error> {
    budget.spend(price::LIBM)?;
    if let Value::Int(integer) = value
        && integer.to_f64().is_err()
    {
        if integer.is_negative() {
            return Err(Error::value_error("math domain error"));
        }
        budget.spend(price::logarithm(integer.limbs()))?;
        let (mantissa, exponent) = integer.mantissa_and_exponent();
        let (first, second) = (function(mantissa).map_err(math_error)?, function(2.0).map_err(math_error)?);
        return Ok(first + second * exponent);
    }
    function(to_float(value)?).map_err(math_error)
}

pub(super) fn fsum(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let items = floats(arguments.items(0)?, budget)?;
    pymath::math::fsum(items).map(Value::Float).map_err(|error| match error {
        pymath::Error::EDOM => Error::value_error("-inf + inf in fsum"),
        pymath::Error::ERANGE => Error::overflow("intermediate overflow in fsum"),
    })
}

fn floats(items: &[Value], budget: &mut Budget) -> Result<Vec<f64>, Error> {
    budget.spend((items.len() as u64).saturating_mul(price::ITEM))?;
    items.iter().map(to_float).collect()
}

pub(super) fn prod(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let items = arguments.items(0)?;
    let mut total = arguments.named("start").cloned().unwrap_or(Value::Int(Integer::from(1)));
    for item in items {
        budget.spend(price::ITEM)?;
        total = number::binary(Binary::Multiply, &total, item, budget)?;
    }
    Ok(total)
}

pub(super) fn hypot(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let mut coordinates = floats(arguments.positional(), budget)?;
    Ok(Value::Float(length(&mut coordinates)))
}

pub(super) fn dist(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let (p, q) = (arguments.items(0)?, arguments.items(1)?);
    if p.len() != q.len() {
        return Err(Error::value_error("both points must have the same number of dimensions"));
    }
    budget.spend((p.len() as u64).saturating_mul(price::ITEM))?;
    let differences = p.iter().zip(q).map(|(p, q)| Ok(to_float(p)? - to_float(q)?));
    let mut differences: Vec<f64> = differences.collect::<Result<_, Error>>()?;
    Ok(Value::Float(length(&mut differences)))
}

/// The sum of squares to about twice the precision of a float, one term at a time.
#[derive(Default)]
struct Squares {
    sum: f64,
    lost: [f64; 3],
}

impl Squares {
    fn add(&mut self, high: f64, low: f64, sign: f64) {
        self.add_part(sign * high * high, 0);
        self.add_part(sign * 2.0 * high * low, 1);
        self.lost[2] += sign * low * low;
    }

    fn add_part(&mut self, part: f64, index: usize) {
        let before = self.sum;
        self.sum += part;
        if let Some(lost) = self.lost.get_mut(index) {
            *lost += (before - self.sum) + part;
        }
    }

    fn total(&self) -> f64 {
        let [first, second, third] = self.lost;
        self.sum - 1.0 + (first + second + third)
    }
}

/// Splits a float into two of half the precision.
fn split(x: f64) -> (f64, f64) {
    let t = x * 134_217_729.0;
    let high = t - (t - x);
    (high, x - high)
}

/// The Euclidean length, by the algorithm of `CPython` 3.11's `vector_norm`; the library follows a later one.
fn length(coordinates: &mut [f64]) -> f64 {
    let mut largest = 0.0_f64;
    for coordinate in coordinates.iter_mut() {
        *coordinate = coordinate.abs();
        if *coordinate > largest {
            largest = *coordinate;
        }
    }
    if largest.is_infinite() {
        return largest;
    }
    if coordinates.iter().any(|coordinate| coordinate.is_nan()) {
        return f64::NAN;
    }
    if largest == 0.0 || coordinates.len() <= 1 {
        return largest;
    }
    let (_, exponent) = pymath::math::frexp(largest);
    let mut squares = Squares { sum: 1.0, lost: [0.0; 3] };
    let Ok(scale) = pymath::math::ldexp(1.0, exponent.saturating_neg()) else {
        // The scale of a subnormal number is not a float.
        for coordinate in coordinates.iter() {
            let x = coordinate / largest;
            squares.add_part(x * x, 0);
        }
        return largest * squares.total().sqrt();
    };
    for coordinate in coordinates.iter() {
        let (high, low) = split(coordinate * scale);
        squares.add(high, low, 1.0);
    }
    let estimate = squares.total().sqrt();
    let (high, low) = split(estimate);
    squares.add(high, low, -1.0);
    (estimate + squares.total() / (2.0 * estimate)) / scale
}

/// 22!, which `CPython` has in its table of exact values and the library computes with an error.
const GAMMA_OF_23: f64 = 1_124_000_727_777_607_680_000.0;

pub(crate) fn gamma(x: f64) -> pymath::Result<f64> {
    if x == 23.0 { Ok(GAMMA_OF_23) } else { pymath::math::gamma(x) }
}

pub(super) fn gcd(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let integers: Vec<Integer> = arguments.positional().iter().map(to_integer).collect::<Result<_, _>>()?;
    let mut divisor = Integer::from(0);
    for integer in &integers {
        divisor = divisor.gcd(integer, budget)?;
    }
    Ok(Value::Int(divisor))
}

pub(super) fn lcm(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let integers: Vec<Integer> = arguments.positional().iter().map(to_integer).collect::<Result<_, _>>()?;
    let mut multiple = Integer::from(1);
    for integer in &integers {
        multiple = multiple.lcm(integer, budget)?;
    }
    Ok(Value::Int(multiple))
}

pub(super) fn isqrt(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let number = arguments.integer(0)?;
    if number.is_negative() {
        return Err(Error::value_error("isqrt() argument must be nonnegative"));
    }
    number.square_root(budget).map(Value::Int)
}

pub(super) fn factorial(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    factorial_of(&arguments.integer(0)?, budget)
}

fn factorial_of(number: &Integer, budget: &mut Budget) -> Result<Value, Error> {
    if number.is_negative() {
        return Err(Error::value_error("factorial() not defined for negative values"));
    }
    number.factorial(budget).map(Value::Int)
}

/// The pair of arguments of `comb` and `perm`, or nothing where more are chosen than there are.
fn choice(arguments: Arguments<'_>) -> Result<Option<(Integer, Integer)>, Error> {
    let (n, k) = (arguments.integer(0)?, arguments.integer(1)?);
    if n.is_negative() {
        return Err(Error::value_error("n must be a non-negative integer"));
    }
    if k.is_negative() {
        return Err(Error::value_error("k must be a non-negative integer"));
    }
    Ok(if k > n { None } else { Some((n, k)) })
}

pub(super) fn comb(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let Some((n, k)) = choice(arguments)? else {
        return Ok(Value::Int(Integer::from(0)));
    };
    let rest = n.subtract(&k, budget)?;
    n.combinations(&k.min(rest), budget).map(Value::Int)
}

pub(super) fn perm(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    if arguments.positional().len() == 1 {
        return factorial_of(&arguments.integer(0)?, budget);
    }
    match choice(arguments)? {
        Some((n, k)) => n.permutations(&k, budget).map(Value::Int),
        None => Ok(Value::Int(Integer::from(0))),
    }
}
