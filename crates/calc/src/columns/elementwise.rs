//! Which functions of the language have a meaning for one element alone, and which operation each is. Outside its
//! domain a function gives nan, past the range of floats inf, as in `NumPy`; the rest of the table is refused.

use super::operation::{Binary, Unary};
use crate::price::column::{FAST, HYPOT, LIBM, SLOW, SLOWER};

/// What a function does to its columns.
#[derive(Debug, Clone, Copy)]
pub(super) enum Elementwise {
    /// The column as it is.
    Same,
    Unary(Unary),
    Binary(Binary),
    /// Of two or more, from left to right.
    Fold(Binary),
    /// `pow(x, y)`, which is `x ** y`.
    Power,
    /// `log(x)` or `log(x, base)`.
    Logarithm,
    /// `round(x)` or `round(x, ndigits)`.
    Round,
}

/// C's `pow`: nan where Python's power would be complex.
pub(super) const POWER: Binary = Binary::Function { function: f64::powf, cost: SLOWER };
pub(super) const NATURAL_LOGARITHM: Unary = Unary::Function { function: f64::ln, cost: SLOW };

/// The meaning of a function, by its full name.
pub(super) fn find(full_name: &str) -> Option<Elementwise> {
    let libm = |function| Some(Elementwise::Unary(Unary::Function { function, cost: LIBM }));
    let fast = |function| Some(Elementwise::Unary(Unary::Function { function, cost: FAST }));
    let slower = |function| Some(Elementwise::Unary(Unary::Function { function, cost: SLOWER }));
    let slow = |function| Some(Elementwise::Unary(Unary::Function { function, cost: SLOW }));
    match full_name {
        "float" => Some(Elementwise::Same),
        "abs" | "math.fabs" => Some(Elementwise::Unary(Unary::Absolute)),
        "bool" => Some(Elementwise::Unary(Unary::Truth)),
        "int" | "math.trunc" => Some(Elementwise::Unary(Unary::Truncate)),
        "max" => Some(Elementwise::Fold(Binary::Maximum)),
        "min" => Some(Elementwise::Fold(Binary::Minimum)),
        "pow" => Some(Elementwise::Power),
        "round" => Some(Elementwise::Round),
        "math.acos" => fast(f64::acos),
        "math.acosh" => fast(|x| pymath::math::acosh(x).unwrap_or(f64::NAN)),
        "math.asin" => fast(f64::asin),
        "math.asinh" => fast(|x| pymath::math::asinh(x).unwrap_or(f64::NAN)),
        "math.atan" => fast(f64::atan),
        "math.atan2" => Some(Elementwise::Binary(Binary::Function { function: f64::atan2, cost: SLOWER })),
        "math.atanh" => fast(atanh),
        "math.cbrt" => fast(f64::cbrt),
        "math.ceil" => Some(Elementwise::Unary(Unary::Ceiling)),
        "math.copysign" => Some(Elementwise::Binary(Binary::CopySign)),
        "math.cos" => libm(f64::cos),
        "math.cosh" => fast(f64::cosh),
        "math.degrees" => libm(pymath::math::degrees),
        "math.erf" => slower(|x| pymath::math::erf(x).unwrap_or(f64::NAN)),
        "math.erfc" => fast(|x| pymath::math::erfc(x).unwrap_or(f64::NAN)),
        "math.exp" => libm(f64::exp),
        "math.exp2" => fast(f64::exp2),
        "math.expm1" => fast(f64::exp_m1),
        "math.floor" => Some(Elementwise::Unary(Unary::Floor)),
        "math.fmod" => Some(Elementwise::Binary(Binary::Fmod)),
        "math.gamma" => slow(gamma),
        "math.hypot" => Some(Elementwise::Binary(Binary::Function { function: f64::hypot, cost: HYPOT })),
        "math.isfinite" => Some(Elementwise::Unary(Unary::IsFinite)),
        "math.isinf" => Some(Elementwise::Unary(Unary::IsInfinite)),
        "math.isnan" => Some(Elementwise::Unary(Unary::IsNan)),
        "math.lgamma" => slow(|x| pymath::math::lgamma(x).unwrap_or(f64::INFINITY)),
        "math.log" => Some(Elementwise::Logarithm),
        "math.log10" => slow(f64::log10),
        "math.log1p" => fast(f64::ln_1p),
        "math.log2" => slow(f64::log2),
        "math.nextafter" => {
            let function = |x, y| pymath::math::nextafter(x, y, None);
            Some(Elementwise::Binary(Binary::Function { function, cost: FAST }))
        }
        "math.pow" => Some(Elementwise::Binary(POWER)),
        "math.radians" => libm(pymath::math::radians),
        "math.remainder" => Some(Elementwise::Binary(Binary::Remainder)),
        "math.sin" => libm(f64::sin),
        "math.sinh" => fast(f64::sinh),
        "math.sqrt" => Some(Elementwise::Unary(Unary::SquareRoot)),
        "math.tan" => libm(f64::tan),
        "math.tanh" => libm(f64::tanh),
        "math.ulp" => libm(pymath::math::ulp),
        _ => None,
    }
}

fn atanh(x: f64) -> f64 {
    if x.abs() == 1.0 { f64::INFINITY.copysign(x) } else { pymath::math::atanh(x).unwrap_or(f64::NAN) }
}

fn gamma(x: f64) -> f64 {
    match crate::functions::gamma(x) {
        Ok(value) => value,
        Err(pymath::Error::ERANGE) => f64::INFINITY.copysign(x),
        Err(pymath::Error::EDOM) if x == 0.0 => f64::INFINITY.copysign(x),
        Err(pymath::Error::EDOM) => f64::NAN,
    }
}
