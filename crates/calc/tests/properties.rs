//! What holds for every input: no panic and no value beyond the bounds from any text; what has an inverse comes back.

// A failing test is to panic.
#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp, clippy::arithmetic_side_effects)]

use calc::{Budget, Integer, Value, Variables, evaluate, limits};
use proptest::prelude::*;

fn json(text: &str) -> String {
    let mut out = String::new();
    let value = evaluate(text, &Variables::new(), &mut Budget::full());
    value.unwrap_or_else(|error| panic!("{text}: {error}")).write_json(&mut out).unwrap();
    out
}

fn assert_bounded(value: &Value) {
    match value {
        Value::Int(value) => assert!(value.bits() <= limits::INTEGER_BITS),
        Value::List(items) | Value::Tuple(items) => {
            assert!(items.len() <= limits::ITEMS);
            items.iter().for_each(assert_bounded);
        }
        Value::Float(_) | Value::Bool(_) | Value::Complex(..) => {}
    }
}

fn assert_bounds_hold(text: &str) {
    let mut budget = Budget::with_fuel(5_000_000);
    match evaluate(text, &Variables::new(), &mut budget) {
        Ok(value) => {
            assert_bounded(&value);
            let _ = value.write_json(&mut String::new());
            let _ = value.write_strict(&mut String::new());
        }
        Err(error) => {
            assert!(!error.message().is_empty() && !error.class().is_empty());
            let most = text.chars().count() + 1;
            assert!(error.column().is_none_or(|column| column >= 1 && column as usize <= most));
        }
    }
}

/// Pieces of the language, so that most texts get past the lexer and many past the parser.
const PIECES: &[&str] = &[
    "1",
    "0",
    "2.5",
    "1e308",
    "3j",
    "9223372036854775807",
    "x",
    "_",
    "True",
    "pi",
    "(",
    ")",
    "[",
    "]",
    ",",
    "+",
    "-",
    "*",
    "/",
    "//",
    "%",
    "**",
    "<<",
    ">>",
    "&",
    "|",
    "^",
    "~",
    "<",
    "<=",
    "==",
    "!=",
    "=",
    ".",
    " and ",
    " or ",
    " not ",
    " if ",
    " else ",
    "max(",
    "sum([",
    "math.",
    "comb(",
    "pow(",
    "round(",
    "factorial(",
    "mean([",
    "start=",
    "\n",
    "#",
    "\\\n",
    "é",
    " ",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_breaks_the_bounds(text in ".{0,80}") {
        assert_bounds_hold(&text);
    }

    #[test]
    fn no_pieces_break_the_bounds(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        assert_bounds_hold(&pieces.concat());
    }

    #[test]
    fn floats_come_back_bit_by_bit(bits in any::<u64>()) {
        let float = f64::from_bits(bits);
        let mut out = String::new();
        Value::Float(float).write_json(&mut out).unwrap();
        let Value::Float(read) = Value::from_json_number(&out).unwrap() else { panic!("{out}") };
        prop_assert!(read.to_bits() == bits || (read.is_nan() && float.is_nan()), "{out}");
    }

    #[test]
    fn integers_come_back(value in any::<i64>()) {
        let mut out = String::new();
        Value::Int(Integer::from(value)).write_json(&mut out).unwrap();
        prop_assert_eq!(&out, &value.to_string());
        prop_assert_eq!(Value::from_json_number(&out).unwrap(), Value::Int(Integer::from(value)));
    }

    #[test]
    fn division_is_undone(a in "-?[1-9][0-9]{0,200}", b in "-?[1-9][0-9]{0,120}") {
        prop_assert_eq!(json(&format!("({a}) // ({b}) * ({b}) + ({a}) % ({b})")), a.clone());
        prop_assert_eq!(json(&format!("({a}) + ({b}) - ({b})")), a.clone());
        prop_assert_eq!(json(&format!("({a}) * ({b}) // ({b})")), a.clone());
        prop_assert_eq!(json(&format!("({a}) ^ ({b}) ^ ({b})")), a.clone());
        prop_assert_eq!(json(&format!("-~({a}) - 1")), a);
    }

    #[test]
    fn small_arithmetic_is_that_of_wide_integers(a in any::<i64>(), b in any::<i64>()) {
        let (wide_a, wide_b) = (i128::from(a), i128::from(b));
        prop_assert_eq!(json(&format!("({a}) + ({b})")), (wide_a + wide_b).to_string());
        prop_assert_eq!(json(&format!("({a}) - ({b})")), (wide_a - wide_b).to_string());
        prop_assert_eq!(json(&format!("({a}) * ({b})")), (wide_a * wide_b).to_string());
        prop_assert_eq!(json(&format!("({a}) & ({b})")), (wide_a & wide_b).to_string());
    }
}
