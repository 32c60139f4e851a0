//! `CPython`'s own test cases for `math` and `cmath`, to the accuracy that it demands of itself. They are read from
//! the installed Python; where there are none the test says that it was skipped.

// A failing test is to panic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::float_cmp
)]

use calc::{Budget, Value, Variables, evaluate};
use std::process::Command;

fn test_file(name: &str) -> Option<String> {
    let python = std::env::var("BIDDEN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output =
        Command::new(python).args(["-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]).output();
    let folder = String::from_utf8(output.ok()?.stdout).ok()?;
    let text = std::fs::read_to_string(format!("{}/test/{name}", folder.trim())).ok();
    if text.is_none() {
        println!("SKIPPED: this Python has no {name}");
    }
    text
}

struct Case<'a> {
    id: &'a str,
    function: &'a str,
    inputs: Vec<&'a str>,
    expected: Vec<f64>,
    flags: Vec<&'a str>,
}

fn cases(text: &str, parts: usize) -> Vec<Case<'_>> {
    let lines =
        text.lines().map(|line| line.split("--").next().unwrap().trim()).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (left, right) = line.split_once("->").unwrap();
            let left: Vec<&str> = left.split_whitespace().collect();
            let right: Vec<&str> = right.split_whitespace().collect();
            let number = |text: &&str| text.trim_start_matches('+').parse().unwrap();
            Case {
                id: left[0],
                function: left[1],
                inputs: left[2..].to_vec(),
                expected: right[..parts].iter().map(number).collect(),
                flags: right[parts..].to_vec(),
            }
        })
        .collect()
}

impl Case<'_> {
    fn exception(&self) -> Option<&'static str> {
        if self.flags.contains(&"invalid") || self.flags.contains(&"divide-by-zero") {
            return Some("ValueError");
        }
        self.flags.contains(&"overflow").then_some("OverflowError")
    }
}

fn compute(text: &str) -> Result<Value, &'static str> {
    evaluate(text, &Variables::new(), &mut Budget::full()).map_err(|error| error.class())
}

fn distance_in_ulps(expected: f64, found: f64) -> u64 {
    let order = |value: f64| {
        let bits = value.to_bits().cast_signed();
        i128::from(if bits < 0 { i64::MIN - bits } else { bits })
    };
    u64::try_from((order(expected) - order(found)).unsigned_abs()).unwrap_or(u64::MAX)
}

#[test]
fn math_testcases() {
    let Some(text) = test_file("math_testcases.txt") else { return };
    let cases = cases(&text, 1);
    assert!(cases.len() > 400);
    for case in &cases {
        let found = compute(&format!("math.{}({})", case.function, case.inputs[0]));
        let (id, expected) = (case.id, case.expected[0]);
        if let Some(exception) = case.exception() {
            assert_eq!(found, Err(exception), "{id}");
            continue;
        }
        let Ok(Value::Float(found)) = found else { panic!("{id}: {found:?}") };
        let argument: f64 = case.inputs[0].parse().unwrap();
        let (ulps, absolute) = match case.function {
            "gamma" => (20, 0.0),
            "lgamma" => (5, 1e-15),
            "erfc" if argument >= 10.0 => (1000, 0.0),
            "erfc" if argument >= 1.0 => (100, 0.0),
            "erfc" if argument >= 0.0 => (10, 0.0),
            _ => (5, 0.0),
        };
        let is_close = found == expected
            || (found.is_nan() && expected.is_nan())
            || (found.is_finite()
                && expected.is_finite()
                && (distance_in_ulps(expected, found) <= ulps || (found - expected).abs() <= absolute));
        assert!(is_close, "{id}: {found} instead of {expected}");
    }
}

fn assert_close(id: &str, expected: f64, found: f64, absolute: f64) {
    let is_close = if expected.is_nan() || found.is_nan() {
        expected.is_nan() && found.is_nan()
    } else if expected.is_infinite() {
        expected == found
    } else if expected == 0.0 && found == 0.0 {
        expected.is_sign_negative() == found.is_sign_negative()
    } else {
        (expected - found).abs() <= absolute.max(2e-15 * expected.abs())
    };
    assert!(is_close, "{id}: {found} instead of {expected}");
}

#[test]
fn cmath_testcases() {
    let Some(text) = test_file("cmath_testcases.txt") else { return };
    let cases = cases(&text, 2);
    assert!(cases.len() > 2_000);
    for case in &cases {
        let (id, inputs) = (case.id, &case.inputs);
        let text = match case.function {
            "rect" => format!("cmath.rect({}, {})", inputs[0], inputs[1]),
            function => format!("cmath.{function}(complex({}, {}))", inputs[0], inputs[1]),
        };
        let found = compute(&text);
        if let Some(exception) = case.exception() {
            assert_eq!(found, Err(exception), "{id} {text}");
            continue;
        }
        let (mut real, mut imaginary) = match found {
            Ok(Value::Complex(real, imaginary)) => (real, imaginary),
            Ok(Value::Tuple(items)) => match &*items {
                [Value::Float(magnitude), Value::Float(angle)] => (*magnitude, *angle),
                _ => panic!("{id}"),
            },
            other => panic!("{id} {text}: {other:?}"),
        };
        let mut expected = (case.expected[0], case.expected[1]);
        if case.flags.contains(&"ignore-real-sign") {
            (real, expected.0) = (real.abs(), expected.0.abs());
        }
        if case.flags.contains(&"ignore-imag-sign") {
            (imaginary, expected.1) = (imaginary.abs(), expected.1.abs());
        }
        let absolute = if case.function.starts_with("log") { 2e-15 } else { 5e-323 };
        assert_close(id, expected.0, real, absolute);
        assert_close(id, expected.1, imaginary, 5e-323);
    }
}
