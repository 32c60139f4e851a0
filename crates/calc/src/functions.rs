//! The closed table of functions and constants. Adding a function is adding one row. Nothing outside the table can
//! be called.

mod arguments;
mod builtins;
mod cmath;
mod math;
mod statistics;

use crate::budget::Budget;
use crate::error::Error;
use crate::number::Value;
use crate::price::{self, LIBM, QUICK, SLOW};
use crate::program::Instruction;
use num_complex::Complex64;

pub(crate) use arguments::Arguments;
pub(crate) use math::gamma;

/// What the table tells about a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionInfo {
    /// Its full name, such as `math.sqrt`. Those of `math` and `statistics` can be called without the module too.
    pub name: &'static str,
    /// Its arguments, in Python's notation.
    pub signature: &'static str,
    /// What it computes, in one line.
    pub doc: &'static str,
}

/// All functions that an expression can call.
pub fn functions() -> impl Iterator<Item = FunctionInfo> {
    TABLES.iter().flat_map(|rows| rows.iter()).map(|row| FunctionInfo {
        name: row.full_name,
        signature: row.signature,
        doc: row.doc,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Module {
    Math,
    Cmath,
    Statistics,
}

type General = fn(Arguments<'_>, &mut Budget) -> Result<Value, Error>;

/// How a function is computed.
#[derive(Clone, Copy)]
enum Body {
    /// One float to a float.
    Real(fn(f64) -> pymath::Result<f64>),
    /// One complex number to a complex number.
    Complex(fn(Complex64) -> pymath::Result<Complex64>),
    /// Anything else; it charges what grows with its arguments itself.
    General(General),
}

struct Function {
    name: &'static str,
    full_name: &'static str,
    signature: &'static str,
    doc: &'static str,
    /// The fewest and the most arguments, those by keyword included.
    arity: (u16, u16),
    /// The most arguments without a keyword.
    positional: u16,
    /// The keywords it takes, each with the place of the argument.
    keywords: &'static [(&'static str, u16)],
    /// Fuel for one call, beside what its arguments cost by their size.
    cost: u64,
    body: Body,
}

/// As many arguments as a call can have.
const ANY: u16 = u16::MAX;

const TOLERANCES: &[(&str, u16)] = &[("a", 0), ("b", 1), ("rel_tol", 2), ("abs_tol", 3)];

/// `name signature, arity, positional, keywords, cost, body, doc`.
macro_rules! row {
    ($module:literal, $name:literal, $signature:literal, $least:expr, $most:expr, $cost:expr, $body:expr, $doc:literal) => {
        row!($module, $name, $signature, $least, $most, $most, &[], $cost, $body, $doc)
    };
    ($module:literal, $name:literal, $signature:literal, $least:expr, $most:expr, $positional:expr, $keywords:expr,
     $cost:expr, $body:expr, $doc:literal) => {
        Function {
            name: $name,
            full_name: concat!($module, $name),
            signature: $signature,
            doc: $doc,
            arity: ($least, $most),
            positional: $positional,
            keywords: $keywords,
            cost: $cost,
            body: $body,
        }
    };
}

// The rows of a module are sorted by name, for the look-up; a test keeps them so. One row is one line.
#[rustfmt::skip]
static BUILTINS: [Function; 12] = [
    row!("", "abs", "(x, /)", 1, 1, QUICK, Body::General(builtins::abs), "The absolute value, of a complex number its magnitude."),
    row!("", "bool", "(x=False, /)", 0, 1, QUICK, Body::General(builtins::bool), "Whether the value is not zero or empty."),
    row!("", "complex", "(real=0, imag=0)", 0, 2, 2, &[("real", 0), ("imag", 1)], QUICK, Body::General(builtins::complex), "A complex number from its parts."),
    row!("", "divmod", "(x, y, /)", 2, 2, QUICK, Body::General(builtins::divmod), "The pair of floor quotient and remainder."),
    row!("", "float", "(x=0, /)", 0, 1, QUICK, Body::General(builtins::float), "The nearest float."),
    row!("", "int", "(x=0, /)", 0, 1, QUICK, Body::General(builtins::int), "The integer part, towards zero."),
    row!("", "len", "(items, /)", 1, 1, QUICK, Body::General(builtins::len), "The number of items."),
    row!("", "max", "(items, /, *, default) or (a, b, *more)", 1, ANY, ANY, &[("default", ANY)], QUICK, Body::General(builtins::max), "The largest item; of equal ones the first."),
    row!("", "min", "(items, /, *, default) or (a, b, *more)", 1, ANY, ANY, &[("default", ANY)], QUICK, Body::General(builtins::min), "The smallest item; of equal ones the first."),
    row!("", "pow", "(base, exp, mod=None)", 2, 3, 3, &[("base", 0), ("exp", 1), ("mod", 2)], QUICK, Body::General(builtins::pow), "base ** exp, or that modulo mod for integers."),
    row!("", "round", "(number, ndigits=None)", 1, 2, 2, &[("number", 0), ("ndigits", 1)], SLOW, Body::General(builtins::round), "Rounded to ndigits decimal places, halves to even; to an integer without ndigits."),
    row!("", "sum", "(items, /, start=0)", 1, 2, 2, &[("start", 1)], QUICK, Body::General(builtins::sum), "The sum of the items, from left to right."),
];

#[rustfmt::skip]
static MATH: [Function; 55] = [
    row!("math.", "acos", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::acos), "The arc cosine, in radians."),
    row!("math.", "acosh", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::acosh), "The inverse hyperbolic cosine."),
    row!("math.", "asin", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::asin), "The arc sine, in radians."),
    row!("math.", "asinh", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::asinh), "The inverse hyperbolic sine."),
    row!("math.", "atan", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::atan), "The arc tangent, in radians."),
    row!("math.", "atan2", "(y, x, /)", 2, 2, LIBM, Body::General(math::atan2), "The angle of the point (x, y), in radians."),
    row!("math.", "atanh", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::atanh), "The inverse hyperbolic tangent."),
    row!("math.", "cbrt", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::cbrt), "The cube root."),
    row!("math.", "ceil", "(x, /)", 1, 1, QUICK, Body::General(math::ceil), "The least integer not below x."),
    row!("math.", "comb", "(n, k, /)", 2, 2, QUICK, Body::General(math::comb), "The number of ways to choose k of n items."),
    row!("math.", "copysign", "(x, y, /)", 2, 2, QUICK, Body::General(math::copysign), "The magnitude of x with the sign of y."),
    row!("math.", "cos", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::cos), "The cosine of an angle in radians."),
    row!("math.", "cosh", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::cosh), "The hyperbolic cosine."),
    row!("math.", "degrees", "(x, /)", 1, 1, QUICK, Body::General(math::degrees), "An angle in radians as degrees."),
    row!("math.", "dist", "(p, q, /)", 2, 2, LIBM, Body::General(math::dist), "The distance between two points."),
    row!("math.", "erf", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::erf), "The error function."),
    row!("math.", "erfc", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::erfc), "The complementary error function."),
    row!("math.", "exp", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::exp), "e to the power of x."),
    row!("math.", "exp2", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::exp2), "2 to the power of x."),
    row!("math.", "expm1", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::expm1), "exp(x) - 1, precise near zero."),
    row!("math.", "fabs", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::fabs), "The absolute value as a float."),
    row!("math.", "factorial", "(n, /)", 1, 1, QUICK, Body::General(math::factorial), "The product of the integers from 1 to n."),
    row!("math.", "floor", "(x, /)", 1, 1, QUICK, Body::General(math::floor), "The greatest integer not above x."),
    row!("math.", "fmod", "(x, y, /)", 2, 2, SLOW, Body::General(math::fmod), "The remainder with the sign of x, as in C."),
    row!("math.", "frexp", "(x, /)", 1, 1, QUICK, Body::General(math::frexp), "The pair (m, e) with x == m * 2**e."),
    row!("math.", "fsum", "(items, /)", 1, 1, LIBM, Body::General(math::fsum), "The exact sum of floats, rounded once."),
    row!("math.", "gamma", "(x, /)", 1, 1, SLOW, Body::Real(gamma), "The gamma function."),
    row!("math.", "gcd", "(*integers)", 0, ANY, QUICK, Body::General(math::gcd), "The greatest common divisor."),
    row!("math.", "hypot", "(*coordinates)", 0, ANY, LIBM, Body::General(math::hypot), "The length of a vector."),
    row!("math.", "isclose", "(a, b, *, rel_tol=1e-09, abs_tol=0.0)", 2, 4, 2, TOLERANCES, QUICK, Body::General(math::isclose), "Whether two numbers are close."),
    row!("math.", "isfinite", "(x, /)", 1, 1, QUICK, Body::General(math::isfinite), "Whether x is neither infinite nor NaN."),
    row!("math.", "isinf", "(x, /)", 1, 1, QUICK, Body::General(math::isinf), "Whether x is infinite."),
    row!("math.", "isnan", "(x, /)", 1, 1, QUICK, Body::General(math::isnan), "Whether x is NaN."),
    row!("math.", "isqrt", "(n, /)", 1, 1, QUICK, Body::General(math::isqrt), "The integer part of the square root of an integer."),
    row!("math.", "lcm", "(*integers)", 0, ANY, QUICK, Body::General(math::lcm), "The least common multiple."),
    row!("math.", "ldexp", "(x, i, /)", 2, 2, QUICK, Body::General(math::ldexp), "x * 2**i."),
    row!("math.", "lgamma", "(x, /)", 1, 1, SLOW, Body::Real(pymath::math::lgamma), "The natural logarithm of the absolute gamma function."),
    row!("math.", "log", "(x, base=e, /)", 1, 2, LIBM, Body::General(math::log), "The logarithm, natural without a base."),
    row!("math.", "log10", "(x, /)", 1, 1, LIBM, Body::General(math::log10), "The logarithm to base 10."),
    row!("math.", "log1p", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::log1p), "The natural logarithm of 1 + x, precise near zero."),
    row!("math.", "log2", "(x, /)", 1, 1, LIBM, Body::General(math::log2), "The logarithm to base 2."),
    row!("math.", "modf", "(x, /)", 1, 1, QUICK, Body::General(math::modf), "The pair of fractional and integer part, both floats."),
    row!("math.", "nextafter", "(x, y, /)", 2, 2, QUICK, Body::General(math::nextafter), "The next float after x towards y."),
    row!("math.", "perm", "(n, k=None, /)", 1, 2, QUICK, Body::General(math::perm), "The number of ways to arrange k of n items."),
    row!("math.", "pow", "(x, y, /)", 2, 2, LIBM, Body::General(math::pow), "x to the power of y, as floats."),
    row!("math.", "prod", "(items, /, *, start=1)", 1, 2, 1, &[("start", ANY)], QUICK, Body::General(math::prod), "The product of the items, from left to right."),
    row!("math.", "radians", "(x, /)", 1, 1, QUICK, Body::General(math::radians), "An angle in degrees as radians."),
    row!("math.", "remainder", "(x, y, /)", 2, 2, SLOW, Body::General(math::remainder), "The IEEE 754 remainder of x by y."),
    row!("math.", "sin", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::sin), "The sine of an angle in radians."),
    row!("math.", "sinh", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::sinh), "The hyperbolic sine."),
    row!("math.", "sqrt", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::sqrt), "The square root."),
    row!("math.", "tan", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::tan), "The tangent of an angle in radians."),
    row!("math.", "tanh", "(x, /)", 1, 1, LIBM, Body::Real(pymath::math::tanh), "The hyperbolic tangent."),
    row!("math.", "trunc", "(x, /)", 1, 1, QUICK, Body::General(math::trunc), "The integer part, towards zero."),
    row!("math.", "ulp", "(x, /)", 1, 1, QUICK, Body::General(math::ulp), "The value of the least significant bit of a float."),
];

#[rustfmt::skip]
static CMATH: [Function; 23] = [
    row!("cmath.", "acos", "(z, /)", 1, 1, SLOW, Body::Complex(pymath::cmath::acos), "The arc cosine."),
    row!("cmath.", "acosh", "(z, /)", 1, 1, SLOW, Body::Complex(cmath::acosh), "The inverse hyperbolic cosine."),
    row!("cmath.", "asin", "(z, /)", 1, 1, SLOW, Body::Complex(pymath::cmath::asin), "The arc sine."),
    row!("cmath.", "asinh", "(z, /)", 1, 1, SLOW, Body::Complex(pymath::cmath::asinh), "The inverse hyperbolic sine."),
    row!("cmath.", "atan", "(z, /)", 1, 1, SLOW, Body::Complex(pymath::cmath::atan), "The arc tangent."),
    row!("cmath.", "atanh", "(z, /)", 1, 1, SLOW, Body::Complex(pymath::cmath::atanh), "The inverse hyperbolic tangent."),
    row!("cmath.", "cos", "(z, /)", 1, 1, SLOW, Body::Complex(cmath::cos), "The cosine."),
    row!("cmath.", "cosh", "(z, /)", 1, 1, SLOW, Body::Complex(cmath::cosh), "The hyperbolic cosine."),
    row!("cmath.", "exp", "(z, /)", 1, 1, SLOW, Body::Complex(cmath::exp), "e to the power of z."),
    row!("cmath.", "isclose", "(a, b, *, rel_tol=1e-09, abs_tol=0.0)", 2, 4, 2, TOLERANCES, LIBM, Body::General(cmath::isclose), "Whether two complex numbers are close."),
    row!("cmath.", "isfinite", "(z, /)", 1, 1, QUICK, Body::General(cmath::isfinite), "Whether both parts are finite."),
    row!("cmath.", "isinf", "(z, /)", 1, 1, QUICK, Body::General(cmath::isinf), "Whether a part is infinite."),
    row!("cmath.", "isnan", "(z, /)", 1, 1, QUICK, Body::General(cmath::isnan), "Whether a part is NaN."),
    row!("cmath.", "log", "(z, base=e, /)", 1, 2, SLOW, Body::General(cmath::log), "The logarithm, natural without a base."),
    row!("cmath.", "log10", "(z, /)", 1, 1, SLOW, Body::Complex(pymath::cmath::log10), "The logarithm to base 10."),
    row!("cmath.", "phase", "(z, /)", 1, 1, LIBM, Body::General(cmath::phase), "The angle of z, in radians."),
    row!("cmath.", "polar", "(z, /)", 1, 1, SLOW, Body::General(cmath::polar), "The pair of magnitude and angle."),
    row!("cmath.", "rect", "(r, phi, /)", 2, 2, SLOW, Body::General(cmath::rect), "The complex number of a magnitude and an angle."),
    row!("cmath.", "sin", "(z, /)", 1, 1, SLOW, Body::Complex(cmath::sin), "The sine."),
    row!("cmath.", "sinh", "(z, /)", 1, 1, SLOW, Body::Complex(cmath::sinh), "The hyperbolic sine."),
    row!("cmath.", "sqrt", "(z, /)", 1, 1, SLOW, Body::Complex(pymath::cmath::sqrt), "The square root."),
    row!("cmath.", "tan", "(z, /)", 1, 1, SLOW, Body::Complex(cmath::tan), "The tangent."),
    row!("cmath.", "tanh", "(z, /)", 1, 1, SLOW, Body::Complex(cmath::tanh), "The hyperbolic tangent."),
];

#[rustfmt::skip]
static STATISTICS: [Function; 4] = [
    row!("statistics.", "mean", "(data)", 1, 1, 1, &[("data", 0)], QUICK, Body::General(statistics::mean), "The arithmetic mean, exact before it is rounded once."),
    row!("statistics.", "median", "(data)", 1, 1, 1, &[("data", 0)], QUICK, Body::General(statistics::median), "The middle value, or the mean of the two middle ones."),
    row!("statistics.", "stdev", "(data, xbar=None)", 1, 2, 2, &[("data", 0), ("xbar", 1)], QUICK, Body::General(statistics::stdev), "The standard deviation of a sample."),
    row!("statistics.", "variance", "(data, xbar=None)", 1, 2, 2, &[("data", 0), ("xbar", 1)], QUICK, Body::General(statistics::variance), "The variance of a sample."),
];

static TABLES: [&[Function]; 4] = [&BUILTINS, &MATH, &CMATH, &STATISTICS];

/// Where the names with each first letter begin, since a search by halves compares far more names.
static STARTS: [[u8; 27]; 4] = [starts(&BUILTINS), starts(&MATH), starts(&CMATH), starts(&STATISTICS)];

// Computed while compiling, where an overflow or a wrong index is an error.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
const fn starts(rows: &[Function]) -> [u8; 27] {
    let mut starts = [0; 27];
    let mut row = 0;
    while row < rows.len() {
        let mut letter = (rows[row].name.as_bytes()[0] - b'a') as usize + 1;
        while letter < starts.len() {
            starts[letter] += 1;
            letter += 1;
        }
        row += 1;
    }
    starts
}

pub(crate) const UNKNOWN: u16 = u16::MAX;
pub(crate) const UNKNOWN_KEYWORD: &str = "";

pub(crate) fn module(name: &str) -> Option<Module> {
    match name {
        "math" => Some(Module::Math),
        "cmath" => Some(Module::Cmath),
        "statistics" => Some(Module::Statistics),
        _ => None,
    }
}

/// The value of a constant's name; without a module those of `math` are meant.
pub(crate) fn constant(module: Option<Module>, name: &str) -> Option<Instruction> {
    let value = match (module, name) {
        (None, "True") => return Some(Instruction::Boolean(true)),
        (None, "False") => return Some(Instruction::Boolean(false)),
        (Some(Module::Cmath), "infj") => return Some(Instruction::Imaginary(f64::INFINITY)),
        (Some(Module::Cmath), "nanj") => return Some(Instruction::Imaginary(f64::NAN)),
        (Some(Module::Statistics), _) => return None,
        (_, "pi") => std::f64::consts::PI,
        (_, "e") => std::f64::consts::E,
        (_, "tau") => std::f64::consts::TAU,
        (_, "inf") => f64::INFINITY,
        (_, "nan") => f64::NAN,
        _ => return None,
    };
    Some(Instruction::Float(value))
}

/// The number by which [`call`] knows a function.
pub(crate) fn find(module: Option<Module>, name: &str) -> Option<u16> {
    let tables: &[u8] = match module {
        None => &[0, 1, 3],
        Some(Module::Math) => &[1],
        Some(Module::Cmath) => &[2],
        Some(Module::Statistics) => &[3],
    };
    tables.iter().find_map(|table| {
        let starts = STARTS.get(usize::from(*table))?;
        let letter = usize::from(name.bytes().next()?.checked_sub(b'a')?);
        let (from, to) = (*starts.get(letter)?, *starts.get(letter.saturating_add(1))?);
        let rows = TABLES.get(usize::from(*table))?.get(usize::from(from)..usize::from(to))?;
        let row = u8::try_from(rows.iter().position(|row| row.name == name)?).ok()?;
        Some(u16::from_be_bytes([*table, from.saturating_add(row)]))
    })
}

/// The one spelling of a keyword that some function takes.
pub(crate) fn keyword(name: &str) -> &'static str {
    let rows = TABLES.iter().flat_map(|rows| rows.iter());
    let mut keywords = rows.flat_map(|row| row.keywords.iter()).map(|(keyword, _)| *keyword);
    keywords.find(|keyword| *keyword == name).unwrap_or(UNKNOWN_KEYWORD)
}

/// The name of a function with its module.
pub(crate) fn full_name(function: u16) -> &'static str {
    row(function).map_or("", |row| row.full_name)
}

/// The price of a call, by the full name.
#[cfg(test)]
pub(crate) fn price_of(full_name: &str) -> u64 {
    let mut rows = TABLES.iter().flat_map(|rows| rows.iter());
    rows.find(|row| row.full_name == full_name).map_or(0, |row| row.cost)
}

fn row(function: u16) -> Option<&'static Function> {
    let [table, row] = function.to_be_bytes();
    TABLES.get(usize::from(table))?.get(usize::from(row))
}

pub(crate) fn call(function: u16, arguments: Arguments<'_>, budget: &mut Budget) -> Result<Value, Error> {
    let Some(function) = row(function) else {
        return Err(Error::name());
    };
    budget.spend(price::call(function.cost, arguments.all()))?;
    arguments.check(function.name, function.arity, function.positional, function.keywords)?;
    match function.body {
        Body::Real(body) => body(arguments.float(0)?).map(Value::Float).map_err(math_error),
        Body::Complex(body) => {
            let (real, imaginary) = arguments.complex(0)?;
            let value = body(Complex64::new(real, imaginary)).map_err(math_error)?;
            Ok(Value::Complex(value.re, value.im))
        }
        Body::General(body) => body(arguments, budget),
    }
}

// It is given to `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn math_error(error: pymath::Error) -> Error {
    match error {
        pymath::Error::EDOM => Error::value_error("math domain error"),
        pymath::Error::ERANGE => Error::overflow("math range error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_sorted_for_the_look_up() {
        for rows in TABLES {
            assert!(rows.is_sorted_by(|left, right| left.name < right.name));
            for row in rows {
                assert!(find(None, row.name).is_some() || row.full_name.starts_with("cmath."));
                assert!(row.full_name.ends_with(row.name) && row.doc.len() > 3 && row.arity.0 <= row.arity.1);
            }
        }
        assert!(functions().count() > 70);
    }
}
