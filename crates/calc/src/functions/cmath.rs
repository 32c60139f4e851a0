//! Functions of complex numbers that are more than one call of the library, after `Modules/cmathmodule.c` of 3.11.

use super::arguments::{Arguments, to_complex, to_float};
use super::math_error;
use crate::budget::Budget;
use crate::error::Error;
use crate::number::{Value, complex};
use num_complex::Complex64;
use std::f64::consts::E;

const NAN: Complex64 = Complex64::new(f64::NAN, f64::NAN);

fn number(arguments: Arguments<'_>) -> Result<Complex64, Error> {
    let (real, imaginary) = arguments.complex(0)?;
    Ok(Complex64::new(real, imaginary))
}

pub(super) fn isclose(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    let (a, b) = (to_complex(arguments.need(0, "a")?)?, to_complex(arguments.need(1, "b")?)?);
    let relative = arguments.named("rel_tol").map(to_float).transpose()?;
    let absolute = arguments.named("abs_tol").map(to_float).transpose()?;
    pymath::cmath::isclose(Complex64::new(a.0, a.1), Complex64::new(b.0, b.1), relative, absolute)
        .map(Value::Bool)
        .map_err(|_| Error::value_error("tolerances must be non-negative"))
}

pub(super) fn isfinite(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    number(arguments).map(|z| Value::Bool(pymath::cmath::isfinite(z)))
}

pub(super) fn isinf(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    number(arguments).map(|z| Value::Bool(pymath::cmath::isinf(z)))
}

pub(super) fn isnan(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    number(arguments).map(|z| Value::Bool(pymath::cmath::isnan(z)))
}

pub(super) fn log(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    let z = number(arguments)?;
    let Some(base) = arguments.positional().get(1) else {
        let logarithm = pymath::cmath::log(z, None).map_err(math_error)?;
        return Ok(Value::Complex(logarithm.re, logarithm.im));
    };
    let (real, imaginary) = to_complex(base)?;
    let divisor = pymath::cmath::log(Complex64::new(real, imaginary), None).map_err(math_error)?;
    // CPython forgets the error of the logarithm of zero when it goes on to that of the base.
    let dividend = if z.re == 0.0 && z.im == 0.0 {
        Complex64::new(f64::NEG_INFINITY, z.im.atan2(z.re))
    } else {
        pymath::cmath::log(z, None).map_err(math_error)?
    };
    let (real, imaginary) = complex::quotient((dividend.re, dividend.im), (divisor.re, divisor.im))
        .ok_or_else(|| Error::value_error("math domain error"))?;
    Ok(Value::Complex(real, imaginary))
}

// Where one part is zero and the other NaN, 3.11 leaves both NaN; the library follows a later version.

pub(super) fn acosh(z: Complex64) -> pymath::Result<Complex64> {
    if z.re == 0.0 && z.im.is_nan() { Ok(NAN) } else { pymath::cmath::acosh(z) }
}

/// Real parts in this range are beyond `CPython`'s bound for the plain formulas (the logarithm of a quarter of the
/// largest float), but not beyond the library's, which is a little too large.
fn is_in_gap(real: f64, imaginary: f64) -> bool {
    let magnitude = real.abs();
    imaginary.is_finite() && magnitude > 708.396_418_532_264_1 && magnitude <= 709.089_565_712_824_1
}

fn checked(real: f64, imaginary: f64) -> pymath::Result<Complex64> {
    if real.is_infinite() || imaginary.is_infinite() {
        return Err(pymath::Error::ERANGE);
    }
    Ok(Complex64::new(real, imaginary))
}

pub(super) fn cosh(z: Complex64) -> pymath::Result<Complex64> {
    if !is_in_gap(z.re, z.im) {
        return pymath::cmath::cosh(z);
    }
    let less = z.re - 1.0_f64.copysign(z.re);
    checked(z.im.cos() * less.cosh() * E, z.im.sin() * less.sinh() * E)
}

pub(super) fn sinh(z: Complex64) -> pymath::Result<Complex64> {
    if !is_in_gap(z.re, z.im) {
        return pymath::cmath::sinh(z);
    }
    let less = z.re - 1.0_f64.copysign(z.re);
    checked(z.im.cos() * less.sinh() * E, z.im.sin() * less.cosh() * E)
}

pub(super) fn tanh(z: Complex64) -> pymath::Result<Complex64> {
    if z.re == 0.0 && z.im.is_nan() {
        return Ok(NAN);
    }
    if !is_in_gap(z.re, z.im) {
        return pymath::cmath::tanh(z);
    }
    let imaginary = 4.0 * z.im.sin() * z.im.cos() * (-2.0 * z.re.abs()).exp();
    Ok(Complex64::new(1.0_f64.copysign(z.re), imaginary))
}

pub(super) fn exp(z: Complex64) -> pymath::Result<Complex64> {
    if z.re < 0.0 || !is_in_gap(z.re, z.im) {
        return pymath::cmath::exp(z);
    }
    let length = (z.re - 1.0).exp();
    checked(length * z.im.cos() * E, length * z.im.sin() * E)
}

pub(super) fn cos(z: Complex64) -> pymath::Result<Complex64> {
    cosh(Complex64::new(-z.im, z.re))
}

pub(super) fn sin(z: Complex64) -> pymath::Result<Complex64> {
    sinh(Complex64::new(-z.im, z.re)).map(|value| Complex64::new(value.im, -value.re))
}

pub(super) fn tan(z: Complex64) -> pymath::Result<Complex64> {
    tanh(Complex64::new(-z.im, z.re)).map(|value| Complex64::new(value.im, -value.re))
}

pub(super) fn phase(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    pymath::cmath::phase(number(arguments)?).map(Value::Float).map_err(math_error)
}

pub(super) fn polar(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    let (magnitude, angle) = pymath::cmath::polar(number(arguments)?).map_err(math_error)?;
    Ok(Value::Tuple(Box::new([Value::Float(magnitude), Value::Float(angle)])))
}

pub(super) fn rect(arguments: Arguments<'_>, _: &mut Budget) -> Result<Value, Error> {
    let z = pymath::cmath::rect(arguments.float(0)?, arguments.float(1)?).map_err(math_error)?;
    Ok(Value::Complex(z.re, z.im))
}
