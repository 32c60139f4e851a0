//! Python's float arithmetic where it differs from the machine's: division, floor division, modulo and power,
//! after `Objects/floatobject.c`. It never fuses a multiplication with an addition.

use super::{Value, complex};
use crate::error::Error;

pub(crate) fn divide(left: f64, right: f64) -> Result<f64, Error> {
    if right == 0.0 {
        return Err(Error::zero_division("float division by zero"));
    }
    Ok(left / right)
}

/// The floor of the exact quotient and the remainder with the divisor's sign.
pub(crate) fn divide_modulo(left: f64, right: f64) -> (f64, f64) {
    let mut modulo = left % right;
    let mut quotient = (left - modulo) / right;
    if modulo == 0.0 {
        modulo = 0.0_f64.copysign(right);
    } else if (right < 0.0) != (modulo < 0.0) {
        modulo += right;
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return (0.0_f64.copysign(left / right), modulo);
    }
    let mut floor = quotient.floor();
    if quotient - floor > 0.5 {
        floor += 1.0;
    }
    (floor, modulo)
}

pub(crate) fn floor_divide(left: f64, right: f64) -> Result<f64, Error> {
    if right == 0.0 {
        return Err(Error::zero_division("float floor division by zero"));
    }
    Ok(divide_modulo(left, right).0)
}

pub(crate) fn modulo(left: f64, right: f64) -> Result<f64, Error> {
    if right == 0.0 {
        return Err(Error::zero_division("float modulo"));
    }
    let modulo = left % right;
    Ok(if modulo == 0.0 {
        0.0_f64.copysign(right)
    } else if (right < 0.0) != (modulo < 0.0) {
        modulo + right
    } else {
        modulo
    })
}

fn is_odd(value: f64) -> bool {
    value.abs() % 2.0 == 1.0
}

/// `base ** exponent`, which is complex for a negative base and a fractional exponent.
pub(crate) fn power(base: f64, exponent: f64) -> Result<Value, Error> {
    if base < 0.0 && base.is_finite() && exponent.is_finite() && exponent.floor() != exponent {
        let (real, imaginary) = complex::power((base, 0.0), (exponent, 0.0))?;
        return Ok(Value::Complex(real, imaginary));
    }
    real_power(base, exponent).map(Value::Float)
}

fn real_power(base: f64, exponent: f64) -> Result<f64, Error> {
    if exponent == 0.0 || base == 1.0 {
        return Ok(1.0);
    }
    if base.is_nan() || exponent.is_nan() {
        return Ok(f64::NAN);
    }
    if exponent.is_infinite() {
        let magnitude = base.abs();
        return Ok(if magnitude == 1.0 {
            1.0
        } else if (exponent > 0.0) == (magnitude > 1.0) {
            exponent.abs()
        } else {
            0.0
        });
    }
    if base.is_infinite() {
        return Ok(match (exponent > 0.0, is_odd(exponent)) {
            (true, true) => base,
            (true, false) => base.abs(),
            (false, true) => 0.0_f64.copysign(base),
            (false, false) => 0.0,
        });
    }
    if base == 0.0 {
        if exponent < 0.0 {
            return Err(Error::zero_division("0.0 cannot be raised to a negative power"));
        }
        return Ok(if is_odd(exponent) { base } else { 0.0 });
    }
    let magnitude = base.abs();
    let power = if magnitude == 1.0 { 1.0 } else { magnitude.powf(exponent) };
    if power.is_infinite() {
        return Err(Error::overflow("(34, 'Numerical result out of range')"));
    }
    Ok(if base < 0.0 && is_odd(exponent) { -power } else { power })
}
