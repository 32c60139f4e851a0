//! Python's complex arithmetic, after `Objects/complexobject.c` of 3.11, sign of zero included.

use crate::error::Error;

type Complex = (f64, f64);

/// Integer exponents up to this are computed by repeated multiplication, as `CPython` does.
const SMALL_EXPONENT: f64 = 100.0;

pub(crate) fn multiply(left: Complex, right: Complex) -> Complex {
    (left.0 * right.0 - left.1 * right.1, left.0 * right.1 + left.1 * right.0)
}

pub(crate) fn divide(left: Complex, right: Complex) -> Result<Complex, Error> {
    quotient(left, right).ok_or_else(|| Error::zero_division("complex division by zero"))
}

/// Smith's method; nothing for a zero divisor.
pub(crate) fn quotient(left: Complex, right: Complex) -> Option<Complex> {
    let (real, imaginary) = (right.0.abs(), right.1.abs());
    if real >= imaginary {
        if real == 0.0 {
            return None;
        }
        let ratio = right.1 / right.0;
        let denominator = right.0 + right.1 * ratio;
        Some(((left.0 + left.1 * ratio) / denominator, (left.1 - left.0 * ratio) / denominator))
    } else if imaginary >= real {
        let ratio = right.0 / right.1;
        let denominator = right.0 * ratio + right.1;
        Some(((left.0 * ratio + left.1) / denominator, (left.1 * ratio - left.0) / denominator))
    } else {
        Some((f64::NAN, f64::NAN))
    }
}

pub(crate) fn power(base: Complex, exponent: Complex) -> Result<Complex, Error> {
    let is_small =
        exponent.1 == 0.0 && exponent.0 == exponent.0.floor() && exponent.0.abs() <= SMALL_EXPONENT;
    let power = if is_small { integer_power(base, exponent.0) } else { general_power(base, exponent) };
    let Some(power) = power else {
        return Err(Error::zero_division("0.0 to a negative or complex power"));
    };
    if power.0.is_infinite() || power.1.is_infinite() {
        return Err(Error::overflow("complex exponentiation"));
    }
    Ok(power)
}

fn integer_power(base: Complex, exponent: f64) -> Option<Complex> {
    let mut rest = exponent.abs();
    let mut result = (1.0, 0.0);
    let mut square = base;
    while rest >= 1.0 {
        if rest % 2.0 == 1.0 {
            result = multiply(result, square);
        }
        rest = (rest / 2.0).floor();
        square = multiply(square, square);
    }
    if exponent > 0.0 { Some(result) } else { quotient((1.0, 0.0), result) }
}

fn general_power(base: Complex, exponent: Complex) -> Option<Complex> {
    if exponent == (0.0, 0.0) {
        return Some((1.0, 0.0));
    }
    if base == (0.0, 0.0) {
        return if exponent.1 != 0.0 || exponent.0 < 0.0 { None } else { Some((0.0, 0.0)) };
    }
    let magnitude = base.0.hypot(base.1);
    let angle = base.1.atan2(base.0);
    let mut length = magnitude.powf(exponent.0);
    let mut phase = angle * exponent.0;
    if exponent.1 != 0.0 {
        length /= (angle * exponent.1).exp();
        phase += exponent.1 * magnitude.ln();
    }
    // The C library's sine of infinity is a domain error, which CPython reports as if the base were zero.
    if phase.is_infinite() {
        return None;
    }
    Some((length * phase.cos(), length * phase.sin()))
}

/// The magnitude, or an overflow where the parts are finite and it is not.
pub(crate) fn magnitude(value: Complex) -> Result<f64, Error> {
    let magnitude = value.0.hypot(value.1);
    if magnitude.is_infinite() && value.0.is_finite() && value.1.is_finite() {
        return Err(Error::overflow("absolute value too large"));
    }
    Ok(magnitude)
}
