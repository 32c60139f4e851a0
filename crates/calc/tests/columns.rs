//! Columns: every operator and function against a plain loop with `NumPy`'s rules, on the values at which they differ
//! from Python's; against the scalar language where both agree; and what is refused.

// A failing test is to panic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::float_cmp
)]

use calc::{Budget, Columns, Error, ErrorKind, Value, Variables, evaluate, evaluate_columns, limits};
use proptest::prelude::*;

const SPECIAL: [f64; 22] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    7.0,
    -7.0,
    0.1,
    1e-3,
    123_456.789,
    9_007_199_254_740_993.0,
    1e300,
    -1e308,
    5e-324,
    -2.3e-308,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

/// Every pair of special values, as two columns.
fn pairs() -> (Vec<f64>, Vec<f64>) {
    SPECIAL.iter().flat_map(|x| SPECIAL.iter().map(|y| (*x, *y))).unzip()
}

fn scalars() -> Variables {
    let mut scalars = Variables::new();
    scalars.insert("n", Value::from_json_number("3").unwrap()).unwrap();
    scalars.insert("half", Value::Float(0.5)).unwrap();
    scalars.insert("yes", Value::Bool(true)).unwrap();
    scalars.insert("z", Value::Complex(1.0, 2.0)).unwrap();
    scalars
}

fn columns<'a>(x: &'a [f64], y: &'a [f64]) -> Columns<'a> {
    let mut columns = Columns::new();
    columns.insert("x", x).unwrap();
    columns.insert("y", y).unwrap();
    columns
}

fn evaluate_pair(text: &str, x: &[f64], y: &[f64]) -> Result<Vec<f64>, Error> {
    evaluate_columns(text, &scalars(), &columns(x, y), &mut Budget::columns())
}

/// Bit by bit, except that one NaN is as good as another.
#[track_caller]
fn assert_same(text: &str, found: &[f64], expected: &[f64], inputs: impl Fn(usize) -> (f64, f64)) {
    assert_eq!(found.len(), expected.len(), "{text}");
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        let is_same = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
        assert!(is_same, "{text} of {:?}: {found} is not {expected}", inputs(row));
    }
}

#[track_caller]
fn check(text: &str, expected: impl Fn(f64, f64) -> f64) {
    let (x, y) = pairs();
    let found = evaluate_pair(text, &x, &y).unwrap_or_else(|error| panic!("{text}: {error}"));
    let expected: Vec<f64> = x.iter().zip(&y).map(|(x, y)| expected(*x, *y)).collect();
    assert_same(text, &found, &expected, |row| (x[row], y[row]));
}

#[track_caller]
fn check_error(text: &str, error: &str) {
    let found = evaluate_pair(text, &[1.0, 2.0], &[3.0, 4.0]).expect_err(text);
    assert_eq!(format!("{}: {found}", found.class()), error, "{text}");
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// `numpy.floor_divide` and `numpy.remainder`, written down a second time from `npy_divmod`.
fn numpy_divmod(x: f64, y: f64) -> (f64, f64) {
    let mut remainder = x % y;
    if y == 0.0 {
        return (x / y, remainder);
    }
    let mut quotient = (x - remainder) / y;
    if remainder == 0.0 {
        remainder = 0.0_f64.copysign(y);
    } else if (y < 0.0) != (remainder < 0.0) {
        remainder += y;
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return (0.0_f64.copysign(x / y), remainder);
    }
    let floor = quotient.floor();
    (if quotient - floor > 0.5 { floor + 1.0 } else { floor }, remainder)
}

#[test]
fn operators_are_those_of_numpy() {
    check("x + y", |x, y| x + y);
    check("x - y", |x, y| x - y);
    check("x * y", |x, y| x * y);
    check("x / y", |x, y| x / y);
    check("x // y", |x, y| numpy_divmod(x, y).0);
    check("x % y", |x, y| numpy_divmod(x, y).1);
    check("x ** y", f64::powf);
    check("-x", |x, _| -x);
    check("+x", |x, _| x);
    check("x - 2", |x, _| x - 2.0);
    check("2 - x", |x, _| 2.0 - x);
    check("2.5 / x", |x, _| 2.5 / x);
    check("7 // x", |x, _| numpy_divmod(7.0, x).0);
    check("x % -3", |x, _| numpy_divmod(x, -3.0).1);
    check("x ** 3", |x, _| x.powf(3.0));
    check("2 ** x", |x, _| 2.0_f64.powf(x));
    check("x", |x, _| x);
    check("x * (y + 1) - (x - y) / (x * x + 1)", |x, y| x * (y + 1.0) - (x - y) / (x * x + 1.0));
}

/// Two operations may share a pass over the rows, but each rounds by itself.
#[test]
fn operations_in_one_pass_round_each() {
    type Operator = (&'static str, fn(f64, f64) -> f64);
    const OPERATORS: [Operator; 4] =
        [("+", |a, b| a + b), ("-", |a, b| a - b), ("*", |a, b| a * b), ("/", |a, b| a / b)];
    type Operand = (&'static str, fn(f64, f64) -> f64);
    const OPERANDS: [Operand; 4] =
        [("x", |x, _| x), ("y", |_, y| y), ("half", |_, _| 0.5), ("0.1", |_, _| 0.1)];
    for (inner, inner_of) in OPERATORS {
        for (outer, outer_of) in OPERATORS {
            for (a, a_of) in OPERANDS {
                for (b, b_of) in OPERANDS {
                    for (c, c_of) in OPERANDS {
                        if ![a, b, c].contains(&"x") {
                            continue;
                        }
                        check(&format!("({a} {inner} {b}) {outer} {c}"), |x, y| {
                            outer_of(inner_of(a_of(x, y), b_of(x, y)), c_of(x, y))
                        });
                        check(&format!("{c} {outer} ({a} {inner} {b})"), |x, y| {
                            outer_of(c_of(x, y), inner_of(a_of(x, y), b_of(x, y)))
                        });
                    }
                }
            }
        }
    }
    check("x * y + x * y * (x - y) - (y - x * 0.1)", |x, y| x * y + x * y * (x - y) - (y - x * 0.1));
    check("(x * y) ** 2 + 1", |x, y| (x * y) * (x * y) + 1.0);
    check("(x + y and x * y) + 2", |x, y| if x + y == 0.0 { x + y + 2.0 } else { x * y + 2.0 });
    check("x + 1 < y * 2 < x * y - 3", |x, y| truth(x + 1.0 < y * 2.0 && y * 2.0 < x * y - 3.0));
    check("pow(x + 1, (y * 2) ** 0)", |x, _| x + 1.0);
}

#[test]
fn powers_with_a_short_cut_are_those_of_numpy() {
    check("x ** 2", |x, _| x * x);
    check("x ** 1", |x, _| x);
    check("x ** 0", |_, _| 1.0);
    check("x ** 0.5", |x, _| x.sqrt());
    check("x ** -1", |x, _| 1.0 / x);
    check("pow(x, 2)", |x, _| x * x);
    check("math.pow(x, 0.5)", |x, _| x.powf(0.5));
}

#[test]
fn comparisons_and_choices_go_element_by_element() {
    check("x < y", |x, y| truth(x < y));
    check("x <= y", |x, y| truth(x <= y));
    check("x > y", |x, y| truth(x > y));
    check("x >= y", |x, y| truth(x >= y));
    check("x == y", |x, y| truth(x == y));
    check("x != y", |x, y| truth(x != y));
    check("0 < x <= y < 10", |x, y| truth(0.0 < x && x <= y && y < 10.0));
    check("x if y > 0 else -x", |x, y| if y > 0.0 { x } else { -x });
    check("1 if y else 0", |_, y| truth(y != 0.0));
    check("x if x > 1 else y if y > 1 else 0", |x, y| {
        if x > 1.0 {
            x
        } else if y > 1.0 {
            y
        } else {
            0.0
        }
    });
    check("(x if y > 1 else 5) + (y if x else half)", |x, y| {
        (if y > 1.0 { x } else { 5.0 }) + if x == 0.0 { 0.5 } else { y }
    });
    check("x and y", |x, y| if x == 0.0 { x } else { y });
    check("x or y", |x, y| if x == 0.0 { y } else { x });
    check("x and y or 7", |x, y| if x == 0.0 || y == 0.0 { 7.0 } else { y });
    check("not x", |x, _| truth(x == 0.0));
    check("not x > y and (x or y)", |x, y| {
        if x > y {
            0.0
        } else if x == 0.0 {
            y
        } else {
            x
        }
    });
    check("(x > 0) & (y > 0)", |x, y| truth(x > 0.0 && y > 0.0));
    check("(x > 0) | (y > 0)", |x, y| truth(x > 0.0 || y > 0.0));
    check("(x > 0) ^ (y > 0) ^ True", |x, y| truth((x > 0.0) == (y > 0.0)));
    check("~(x > 0) & ~isnan(y)", |x, y| truth((x <= 0.0 || x.is_nan()) && !y.is_nan()));
    check("(x > 0) * x + (x <= 0) * 2", |x, _| truth(x > 0.0) * x + truth(x <= 0.0) * 2.0);
}

#[test]
fn what_no_column_enters_is_exact_and_lazy() {
    check("x * 0 + (10 ** 30 + 7) % 10 ** 29 / 7", |x, _| x * 0.0 + 1.0);
    check("x + n / 2 + factorial(5) + max([1, n, 2])", |x, _| x + 1.5 + 120.0 + 3.0);
    check("x if n > 2 else 1 / 0", |x, _| x);
    check("1 / 0 if n > 5 else x", |x, _| x);
    check("(x if n > 2 else 1 / 0) if y > 0 else 3", |x, y| if y > 0.0 { x } else { 3.0 });
    check("yes or x / missing", |_, _| 1.0);
    check("n > 5 and x", |_, _| 0.0);
    check("1 < 0 < x", |_, _| 0.0);
    check("1 < 2 < x", |x, _| truth(2.0 < x));
    check("n", |_, _| 3.0);
}

#[test]
fn functions_are_those_of_numpy() {
    check("abs(x)", |x, _| x.abs());
    check("float(x)", |x, _| x);
    check("bool(x)", |x, _| truth(x != 0.0));
    check("int(x)", |x, _| x.trunc());
    check("max(x, y)", |x, y| if x.is_nan() || x >= y { x } else { y });
    check("min(x, 1, y)", |x, y| {
        let least = if x.is_nan() || x <= 1.0 { x } else { 1.0 };
        if least.is_nan() || least <= y { least } else { y }
    });
    check("round(x)", |x, _| x.round_ties_even());
    check("round(x, 2)", |x, _| (x * 100.0).round_ties_even() / 100.0);
    check("round(x, ndigits=-1)", |x, _| (x / 10.0).round_ties_even() * 10.0);
    check("floor(x) + math.ceil(x)", |x, _| x.floor() + x.ceil());
    check("sqrt(x)", |x, _| x.sqrt());
    check("sin(x) + cos(x) * tan(x)", |x, _| x.sin() + x.cos() * x.tan());
    check("exp(x) + exp2(x) - expm1(x)", |x, _| x.exp() + x.exp2() - x.exp_m1());
    check("log(x)", |x, _| x.ln());
    check("log(x, 3)", |x, _| x.ln() / 3.0_f64.ln());
    check("log(x, y)", |x, y| x.ln() / y.ln());
    check("log2(x) + log10(x) + log1p(x)", |x, _| x.log2() + x.log10() + x.ln_1p());
    check("asin(x) + acos(x) + atan(x)", |x, _| x.asin() + x.acos() + x.atan());
    check("sinh(x) * tanh(x) - cosh(x)", |x, _| x.sinh() * x.tanh() - x.cosh());
    check("atan2(x, y)", f64::atan2);
    check("hypot(x, y)", f64::hypot);
    check("fmod(x, y)", |x, y| x % y);
    check("copysign(x, y)", f64::copysign);
    check("isnan(x) + isinf(x) * 2 + isfinite(x) * 4", |x, _| {
        truth(x.is_nan()) + truth(x.is_infinite()) * 2.0 + truth(x.is_finite()) * 4.0
    });
    check("cbrt(x)", |x, _| x.cbrt());
    check("degrees(x) - radians(y)", |x, y| x.to_degrees() - y * (std::f64::consts::PI / 180.0));
}

/// What these give is known for single values only.
#[test]
fn outside_its_domain_a_function_gives_nan_or_infinity() {
    for (text, expected) in [
        ("gamma(x)", [f64::INFINITY, f64::NAN, 24.0]),
        ("lgamma(x - 3)", [f64::INFINITY, f64::INFINITY, 0.0]),
        ("acosh(x - 4)", [f64::NAN, f64::NAN, 0.0]),
        ("atanh(x + 1)", [f64::INFINITY, f64::NEG_INFINITY, f64::NAN]),
        ("asinh(x) * 0", [0.0, -0.0, 0.0]),
        ("erf(x) + erfc(x)", [1.0, 1.0, 1.0]),
        ("remainder(x, 0)", [f64::NAN, f64::NAN, f64::NAN]),
        ("remainder(x, 4)", [0.0, -2.0, 1.0]),
        ("nextafter(x, inf) - x", [5e-324, 2.0_f64.powi(-52), 2.0_f64.powi(-50)]),
        ("ulp(x)", [5e-324, 2.0_f64.powi(-51), 2.0_f64.powi(-50)]),
    ] {
        let x = [0.0, -2.0, 5.0];
        let found = evaluate_pair(text, &x, &x).unwrap();
        assert_same(text, &found, &expected, |row| (x[row], x[row]));
    }
}

#[test]
fn every_number_of_rows_is_right() {
    for rows in [0, 1, 7, 511, 512, 513, 1_024, 5_000] {
        let x: Vec<f64> = (0..rows).map(f64::from).collect();
        let y: Vec<f64> = x.iter().map(|x| 100.0 - x * 0.5).collect();
        let found = evaluate_pair("x * y + (x if x > y else -1)", &x, &y).unwrap();
        let expected: Vec<f64> =
            x.iter().zip(&y).map(|(x, y)| x * y + if x > y { *x } else { -1.0 }).collect();
        assert_eq!(found, expected);
        assert_eq!(evaluate_pair("2 ** 3", &x, &y).unwrap(), vec![8.0; x.len()]);
        assert_eq!(evaluate_pair("y", &x, &y).unwrap(), y);
    }
}

#[test]
fn what_has_no_meaning_for_one_element_is_refused() {
    check_error("x + 1j", "TypeError: a column holds floats, and cannot meet 'complex'");
    check_error("z * x", "TypeError: a column holds floats, and cannot meet 'complex'");
    check_error("2j", "TypeError: a column holds floats, and cannot meet 'complex'");
    check_error("divmod(7, 2)", "TypeError: a column holds floats, and cannot meet 'tuple'");
    check_error("x + 10 ** 400", "OverflowError: int too large to convert to float");
    check_error("10 ** 400", "OverflowError: int too large to convert to float");
    check_error("x + 1 / 0", "ZeroDivisionError: division by zero");
    check_error("x if y > 0 else 1 / 0", "ZeroDivisionError: division by zero");
    check_error("x or missing", "NameError: Invalid variable name in expression");
    check_error("x & 1", "TypeError: unsupported operand type(s) for &: 'float' and 'float'");
    check_error("x << 1", "TypeError: unsupported operand type(s) for <<: 'float' and 'float'");
    check_error("~x", "TypeError: bad operand type for unary ~: 'float'");
    check_error("comb(x, 2)", "TypeError: math.comb() has no meaning for the elements of a column");
    check_error("sum(x)", "TypeError: sum() has no meaning for the elements of a column");
    check_error("frexp(x)", "TypeError: math.frexp() has no meaning for the elements of a column");
    check_error("cmath.sqrt(x)", "TypeError: cmath.sqrt() has no meaning for the elements of a column");
    check_error("max([x, 1])", "TypeError: a column cannot be an item of a list or tuple");
    check_error("max(x)", "TypeError: max() of one column is no element; give it two or more arguments");
    check_error("sqrt(x, y)", "TypeError: math.sqrt() does not take 2 arguments with columns");
    check_error("pow(x, 2, 3)", "TypeError: pow() does not take 3 arguments with columns");
    check_error("pow(base=x, exp=2)", "TypeError: pow() takes no keyword arguments with columns");
    check_error("round(x, y)", "TypeError: ndigits must be an integer that is the same for every row");
    check_error("round(x, 400)", "ValueError: ndigits is too large");
    check_error("x +", "SyntaxError: Invalid expression syntax");
    check_error("x(1)", "NameError: Invalid variable name in expression");
    let error = evaluate_pair("1 + comb(x, 2)", &[1.0], &[1.0]).unwrap_err();
    assert_eq!((error.column(), error.kind()), (Some(5), ErrorKind::Computation));
}

#[test]
fn columns_that_do_not_fit_are_refused() {
    let mut columns = Columns::new();
    let none = evaluate_columns("1", &Variables::new(), &columns, &mut Budget::columns()).unwrap_err();
    assert_eq!(none.message(), "there are no columns");
    columns.insert("first", &[1.0, 2.0]).unwrap();
    let error = columns.insert("second", &[1.0]).unwrap_err();
    assert_eq!(error.message(), "the columns 'first' and 'second' have 2 and 1 rows");
    assert_eq!(error.class(), "ValueError");
    assert_eq!(columns.insert("first", &[1.0, 2.0]).unwrap_err().message(), "there are two columns 'first'");
    for name in ["", "_x", "1x", "if", "True", "é"] {
        assert_eq!(columns.insert(name, &[1.0, 2.0]).unwrap_err().kind(), ErrorKind::Name, "{name}");
    }
    assert_eq!(columns.rows(), 2);
    let mut scalars = Variables::new();
    scalars.insert("first", Value::Bool(true)).unwrap();
    let error = evaluate_columns("1", &scalars, &columns, &mut Budget::columns()).unwrap_err();
    assert_eq!(error.message(), "'first' is both a column and a variable");
}

#[test]
fn columns_shadow_constants_but_not_functions() {
    let mut columns = Columns::new();
    columns.insert("e", &[2.0, 3.0]).unwrap();
    columns.insert("exp", &[4.0, 5.0]).unwrap();
    let run = |text| evaluate_columns(text, &Variables::new(), &columns, &mut Budget::columns());
    assert_eq!(run("e + exp + exp(0)").unwrap(), [7.0, 9.0]);
    assert_eq!(run("math.e * 0 + e").unwrap(), [2.0, 3.0]);
}

#[test]
fn rows_columns_and_bytes_are_bounded() {
    let rows = vec![0.0; limits::ROWS + 1];
    let mut columns = Columns::new();
    assert_eq!(columns.insert("x", &rows).unwrap_err().kind(), ErrorKind::Limit);
    let longest = &rows[1..];
    let mut taken = 0;
    let error = loop {
        match columns.insert(&format!("x{taken}"), longest) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), taken), (ErrorKind::Limit, limits::COLUMN_BYTES / size_of_val(longest)));
    let mut columns = Columns::new();
    for column in 0..limits::COLUMNS {
        columns.insert(&format!("x{column}"), &[1.0]).unwrap();
    }
    assert_eq!(columns.insert("more", &[1.0]).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn fuel_is_charged_by_rows_before_the_work() {
    let x = vec![1.5; 100_000];
    let columns = columns(&x, &x);
    let mut budget = Budget::full();
    let many = "sin(x)+".repeat(100) + "y";
    let error = evaluate_columns(&many, &Variables::new(), &columns, &mut budget).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fuel);
    assert!(budget.is_exhausted());
    assert!(evaluate_columns(&many, &Variables::new(), &columns, &mut Budget::columns()).is_ok());
    let long = "1e308 % (x * 5e-324)".to_owned();
    let spent = |text: &str| {
        let mut budget = Budget::columns();
        evaluate_columns(text, &Variables::new(), &columns, &mut budget).unwrap();
        limits::COLUMN_FUEL - budget.fuel()
    };
    assert!(spent(&long) > 20 * spent("2 % x"));
    let scalar = format!("x + 0{}", " + 3 ** 40000 * 5 ** 28000 % 7".repeat(2_000));
    let error = evaluate_columns(&scalar, &Variables::new(), &columns, &mut Budget::columns()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fuel);
}

#[test]
fn registers_are_bounded_and_used_again() {
    let many = format!("max({}x)", "x + 1, ".repeat(limits::COLUMN_REGISTERS + 1));
    assert_eq!(evaluate_pair(&many, &[1.0], &[1.0]).unwrap_err().kind(), ErrorKind::Limit);
    let long = format!("x{}", " + x * y".repeat(5_000));
    assert_eq!(evaluate_pair(&long, &[1.0], &[2.0]).unwrap(), [10_001.0]);
    let deep = format!("{}x{}", "(y + ".repeat(190), ")".repeat(190));
    assert_eq!(evaluate_pair(&deep, &[1.0], &[2.0]).unwrap(), [381.0]);
}

/// Expressions whose values are the same floats in both languages, where the scalar one has a value. None looks at the
/// sign of a zero, which integers lose, and none makes an integer too large to be a float.
fn agreeing() -> impl Strategy<Value = String> {
    let leaf =
        prop::sample::select(vec!["x", "y", "half", "n", "2", "0.25", "-3", "True"]).prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 3, |inner| {
        let binary = ["+", "-", "*", "/", "//", "%", "<", "<=", ">", "==", "!=", "and", "or"];
        let function = ["abs", "sqrt", "exp", "sin", "log1p", "isnan", "float", "not", "-"];
        prop_oneof![
            4 => (inner.clone(), prop::sample::select(binary.to_vec()), inner.clone())
                .prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            2 => (prop::sample::select(function.to_vec()), inner.clone())
                .prop_map(|(function, argument)| format!("({function}({argument}))")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("max({a}, {b})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("fmod({a}, {b})")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} < {b} < {c})")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} if {b} else {c})")),
        ]
    })
}

/// The value of one row by the scalar language, unless it has none there.
fn scalar_value(text: &str, x: f64, y: f64) -> Option<f64> {
    let mut scalars = scalars();
    scalars.insert("x", Value::Float(x)).unwrap();
    scalars.insert("y", Value::Float(y)).unwrap();
    match evaluate(text, &scalars, &mut Budget::full()).ok()? {
        Value::Float(value) => Some(value),
        Value::Bool(value) => Some(truth(value)),
        Value::Int(value) => Some(f64::from(i32::try_from(value.to_i64()?).ok()?)),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn ordinary_floats_get_the_values_of_the_scalar_language(
        text in agreeing(),
        rows in prop::collection::vec((-50.0..50.0_f64, prop::sample::select(vec![0.0, 1.0, -2.5, 7.25])), 1..20),
    ) {
        let (x, y): (Vec<f64>, Vec<f64>) = rows.iter().copied().unzip();
        if let Ok(found) = evaluate_pair(&text, &x, &y) {
            for ((x, y), found) in rows.iter().zip(found) {
                if let Some(expected) = scalar_value(&text, *x, *y) {
                    prop_assert!(found == expected || expected.is_nan(), "{text} of {x}, {y}: {found}, {expected}");
                }
            }
        }
    }

    #[test]
    fn no_text_breaks_columns(text in "[xyn0-9 +*/%()<>,.=&|~-]{0,40}|(max|round|sum|if|else|and|not|x|y|1|\\(|\\)|,| ){0,20}") {
        let x = [1.0, f64::NAN, -0.0];
        if let Ok(found) = evaluate_pair(&text, &x, &x) {
            prop_assert_eq!(found.len(), x.len());
        }
    }
}
