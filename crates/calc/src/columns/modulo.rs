//! `//`, `%` and their kin on floats as `NumPy` has them: a divisor of zero gives inf or nan. A remainder may take a
//! step for each bit of the quotient, up to two thousand of them, so its fuel depends on the elements.

use crate::number::float;
use crate::price::{self, exponent};

pub(super) fn floor_divide(left: f64, right: f64) -> f64 {
    if right == 0.0 { left / right } else { float::divide_modulo(left, right).0 }
}

pub(super) fn modulo(left: f64, right: f64) -> f64 {
    if right == 0.0 { left % right } else { float::divide_modulo(left, right).1 }
}

/// NaN where `math.remainder` has a domain error.
pub(super) fn remainder(left: f64, right: f64) -> f64 {
    pymath::math::remainder(left, right).unwrap_or(f64::NAN)
}

/// The fuel that the remainders of these pairs need beyond their price.
pub(super) fn charge(pairs: impl Iterator<Item = (f64, f64)>) -> u64 {
    let bits: u64 = pairs.map(|(left, right)| exponent(left).saturating_sub(exponent(right))).sum();
    bits.saturating_mul(price::column::REMAINDER_BIT)
}
