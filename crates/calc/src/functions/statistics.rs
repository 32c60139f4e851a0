//! Python's `statistics` over lists: exact sums, rounded once, after `Lib/statistics.py` of 3.11.

// The operators of big integers cannot overflow or panic: their sizes are bounded by those of the items.
#![allow(clippy::arithmetic_side_effects)]

use super::arguments::{Arguments, to_items};
use crate::budget::Budget;
use crate::error::{Error, ErrorKind};
use crate::number::{self, Integer, Value};
use crate::price;
use crate::program::{Binary, Comparison};
use dashu_base::{DivRem, SquareRoot};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;
use std::cmp::Ordering;

/// Every finite float is a whole multiple of 2 to the power of minus this.
const FRACTION_BITS: usize = 1074;
/// A float of 1 has so many limbs in such units; the largest has twice as many.
const SCALED_LIMBS: u64 = 17;
/// `CPython` sorts shorter lists by insertion.
const SHORT_LIST: usize = 64;
/// The precision at which `CPython` takes the root of a fraction before it rounds.
const ROOT_BITS: i64 = 2 * 53 + 3;

/// An exact sum, or what infinities and NaN make of it.
enum Total {
    /// In units of a power of 2 that the holder knows.
    Exact(IBig),
    Special(f64),
}

/// Sums of a sample, exact.
struct Sums {
    /// The sum in units of 2^-1074 and the sum of squares in units of 2^-2148.
    total: Total,
    squares: IBig,
    count: usize,
    has_float: bool,
}

fn sums(items: &[Value], with_squares: bool, budget: &mut Budget) -> Result<Sums, Error> {
    let (mut total, mut squares, mut special) = (IBig::from(0), IBig::from(0), None);
    let mut has_float = false;
    for item in items {
        let limbs =
            if let Value::Int(value) = item { value.limbs() + SCALED_LIMBS } else { 2 * SCALED_LIMBS };
        budget.spend(price::exact_item(limbs, with_squares))?;
        let scaled = match item {
            Value::Float(value) => {
                has_float = true;
                if !value.is_finite() {
                    special = Some(special.unwrap_or(0.0) + value);
                    continue;
                }
                scale(*value)
            }
            _ => match item.as_integer() {
                Some(value) => value.to_big().into_owned() << FRACTION_BITS,
                None => return Err(not_real(item)),
            },
        };
        if with_squares {
            squares += &scaled * &scaled;
        }
        total += scaled;
    }
    let total = special.map_or(Total::Exact(total), Total::Special);
    Ok(Sums { total, squares, count: items.len(), has_float })
}

fn not_real(item: &Value) -> Error {
    Error::type_error(format!("can't convert type '{}' to numerator/denominator", item.type_name()))
}

/// A finite float in units of 2^-1074.
fn scale(value: f64) -> IBig {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let exponent = usize::try_from(bits >> 52 & 0x7ff).unwrap_or(0);
    let magnitude = match exponent {
        0 => UBig::from(fraction),
        _ => UBig::from(fraction | 1 << 52) << (exponent - 1),
    };
    if value < 0.0 { -IBig::from(magnitude) } else { IBig::from(magnitude) }
}

/// The quotient as Python converts it: to an integer if no float was among the items and it is one.
fn convert(dividend: IBig, divisor: IBig, has_float: bool, budget: &mut Budget) -> Result<Value, Error> {
    if !has_float {
        budget.spend(price::quotient(limbs_of(&dividend), limbs_of(&divisor)))?;
        let (quotient, remainder) = (&dividend).div_rem(&divisor);
        if remainder.is_zero() {
            return Ok(Value::Int(Integer::from(quotient)));
        }
    }
    Integer::from(dividend).true_divide(&Integer::from(divisor), budget).map(Value::Float)
}

fn limbs_of(value: &IBig) -> u64 {
    value.as_sign_words().1.len() as u64
}

fn data(arguments: Arguments<'_>) -> Result<&[Value], Error> {
    to_items(arguments.need(0, "data")?)
}

fn count_as_integer(count: usize) -> IBig {
    IBig::from(count)
}

// A list is far shorter than 2^53.
#[allow(clippy::cast_precision_loss)]
fn count_as_float(count: usize) -> f64 {
    count as f64
}

pub(super) fn mean(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let sums = sums(data(arguments)?, false, budget)?;
    if sums.count == 0 {
        return Err(Error::statistics("mean requires at least one data point"));
    }
    match sums.total {
        Total::Special(total) => Ok(Value::Float(total / count_as_float(sums.count))),
        Total::Exact(total) => {
            let divisor = count_as_integer(sums.count) << FRACTION_BITS;
            convert(total, divisor, sums.has_float, budget)
        }
    }
}

pub(super) fn median(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let items = data(arguments)?;
    let longest = items.iter().map(|item| item.heap_bytes().unwrap_or(8)).max().unwrap_or(8) / 8;
    budget.spend(price::sort(items.len() as u64, longest))?;
    let sorted = if items.len() < SHORT_LIST { insertion_sorted(items)? } else { sorted(items)? };
    let Some(last) = sorted.len().checked_sub(1) else {
        return Err(Error::statistics("no median for empty data"));
    };
    match (sorted.get(last / 2), sorted.get(last.div_ceil(2))) {
        (Some(lower), Some(upper)) if last % 2 == 1 => {
            let sum = number::binary(Binary::Add, lower, upper, budget)?;
            number::binary(Binary::Divide, &sum, &Value::Int(Integer::from(2)), budget)
        }
        (Some(middle), _) => Ok((*middle).clone()),
        (None, _) => Err(Error::statistics("no median for empty data")),
    }
}

/// As `CPython` sorts short lists, so that NaN, which has no order, ends up in the same place: a run at the start,
/// then binary insertion.
fn insertion_sorted(items: &[Value]) -> Result<Vec<&Value>, Error> {
    let less = |left: &Value, right: &Value| number::compare_paid(Comparison::Less, left, right);
    let mut sorted: Vec<&Value> = Vec::with_capacity(items.len());
    let mut is_descending = false;
    let mut is_first_run = true;
    for item in items {
        if let (true, Some(last)) = (is_first_run, sorted.last().copied()) {
            let is_less = less(item, last)?;
            if sorted.len() == 1 {
                is_descending = is_less;
            }
            if is_less != is_descending {
                is_first_run = false;
                if is_descending {
                    sorted.reverse();
                }
            }
        }
        if is_first_run {
            sorted.push(item);
            continue;
        }
        let (mut low, mut high) = (0, sorted.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match sorted.get(middle) {
                Some(other) if less(item, other)? => high = middle,
                _ => low = middle + 1,
            }
        }
        sorted.insert(low, item);
    }
    if is_first_run && is_descending {
        sorted.reverse();
    }
    Ok(sorted)
}

fn sorted(items: &[Value]) -> Result<Vec<&Value>, Error> {
    if let Some(first) = items.first() {
        for item in items {
            number::compare_paid(Comparison::Less, item, first)?;
        }
    }
    let mut sorted: Vec<&Value> = items.iter().collect();
    sorted.sort_by(|left, right| order(left, right));
    Ok(sorted)
}

/// A total order; Python's is not one among NaNs, which come last here.
fn order(left: &Value, right: &Value) -> Ordering {
    let is_nan = |value: &Value| matches!(value, Value::Float(value) if value.is_nan());
    match (is_nan(left), is_nan(right)) {
        (false, false) if number::compare_paid(Comparison::Less, left, right).unwrap_or(false) => {
            Ordering::Less
        }
        (false, false) if number::compare_paid(Comparison::Less, right, left).unwrap_or(false) => {
            Ordering::Greater
        }
        (left, right) => left.cmp(&right),
    }
}

/// The sum of squared deviations divided by one less than the count, as a fraction.
enum Variance {
    Exact { dividend: IBig, divisor: IBig, has_float: bool },
    Special(f64),
}

fn sample_variance(
    arguments: Arguments<'_>,
    too_few: &'static str,
    budget: &mut Budget,
) -> Result<Variance, Error> {
    let items = data(arguments)?;
    if let Some(centre) = arguments.get(1, "xbar") {
        return variance_around(items, centre, too_few, budget);
    }
    let sums = sums(items, true, budget)?;
    if sums.count < 2 {
        return Err(Error::statistics(too_few));
    }
    let count = count_as_integer(sums.count);
    match sums.total {
        Total::Special(total) => Ok(Variance::Special(total / (count_as_float(sums.count) - 1.0))),
        Total::Exact(total) => {
            budget.spend(price::variance(limbs_of(&total).max(limbs_of(&sums.squares) / 2)))?;
            let dividend = &count * sums.squares - &total * &total;
            let divisor = (&count * (&count - IBig::from(1))) << (2 * FRACTION_BITS);
            Ok(Variance::Exact { dividend, divisor, has_float: sums.has_float })
        }
    }
}

/// Around a given centre Python squares the deviations in the items' own arithmetic.
fn variance_around(
    items: &[Value],
    centre: &Value,
    too_few: &'static str,
    budget: &mut Budget,
) -> Result<Variance, Error> {
    let mut squares = Vec::with_capacity(items.len());
    for item in items {
        budget.spend(price::ITEM)?;
        let deviation = number::binary(Binary::Subtract, item, centre, budget)?;
        let square = number::binary(Binary::Multiply, &deviation, &deviation, budget)?;
        if matches!(square, Value::Complex(..)) {
            return Err(not_real(&square));
        }
        budget.hold(square.heap_bytes().unwrap_or(0))?;
        squares.push(square);
    }
    let held = squares.iter().filter_map(Value::heap_bytes).fold(0, u64::saturating_add);
    let sums = sums(&squares, false, budget)?;
    budget.release(held);
    if sums.count < 2 {
        return Err(Error::statistics(too_few));
    }
    match sums.total {
        Total::Special(total) => Ok(Variance::Special(total / (count_as_float(sums.count) - 1.0))),
        Total::Exact(dividend) => {
            let divisor = (count_as_integer(sums.count) - IBig::from(1)) << FRACTION_BITS;
            Ok(Variance::Exact { dividend, divisor, has_float: sums.has_float })
        }
    }
}

pub(super) fn variance(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    match sample_variance(arguments, "variance requires at least two data points", budget)? {
        Variance::Special(value) => Ok(Value::Float(value)),
        Variance::Exact { dividend, divisor, has_float } => convert(dividend, divisor, has_float, budget),
    }
}

pub(super) fn stdev(arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    match sample_variance(arguments, "stdev requires at least two data points", budget)? {
        // Python 3.11 fails on its own way here.
        Variance::Special(_) => Err(Error::new(
            ErrorKind::Computation,
            "AttributeError",
            "'float' object has no attribute 'numerator'",
        )),
        Variance::Exact { dividend, divisor, .. } => {
            budget.spend(price::root_of_fraction(limbs_of(&dividend), limbs_of(&divisor)))?;
            let fraction = RBig::from_parts_signed(dividend, divisor);
            let (dividend, divisor) = fraction.into_parts();
            square_root(&dividend.into_parts().1, &divisor, budget).map(Value::Float)
        }
    }
}

/// The square root of a fraction, correctly rounded: an integer root of enough bits, rounded to odd, is divided.
fn square_root(dividend: &UBig, divisor: &UBig, budget: &mut Budget) -> Result<f64, Error> {
    let length =
        |value: &UBig| i64::try_from(Integer::from(IBig::from(value.clone())).bits()).unwrap_or(i64::MAX);
    let shift = (length(dividend) - length(divisor) - ROOT_BITS).div_euclid(2);
    let places = usize::try_from(shift.unsigned_abs()).unwrap_or(0);
    let (root, root_divisor) = if shift >= 0 {
        (root_to_odd(dividend, &(divisor << (2 * places))) << places, UBig::from(1_u8))
    } else {
        (root_to_odd(&(dividend << (2 * places)), divisor), UBig::from(1_u8) << places)
    };
    Integer::from(IBig::from(root)).true_divide(&Integer::from(IBig::from(root_divisor)), budget)
}

fn root_to_odd(dividend: &UBig, divisor: &UBig) -> UBig {
    let root = (dividend / divisor).sqrt();
    if &root * &root * divisor == *dividend { root } else { root | UBig::from(1_u8) }
}
