//! What the common case costs in allocations: none, from the text to the text of the result.

// A failing test is to panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use calc::{Budget, Value, Variables, evaluate};

/// How often memory is asked for while a text is parsed, evaluated and written.
fn allocations(text: &str) -> u64 {
    let mut variables = Variables::new();
    variables.insert("x", Value::Float(2.5)).unwrap();
    let mut out = String::with_capacity(64);
    let info = allocation_counter::measure(|| {
        let value = evaluate(text, &variables, &mut Budget::small());
        value.and_then(|value| value.write_json(&mut out)).expect("a value");
    });
    info.count_total
}

#[test]
fn common_expressions_allocate_nothing() {
    for text in [
        "1",
        "(6 + 4) * 8",
        "-7 // 2 % 3",
        "0.1 + 0.2",
        "2 ** 10 / 3.5",
        "x * x - 4 if 1 < x <= 3 else -x",
        "math.sqrt(x) + sin(pi / 3)",
        "x > 2 and not x > 3",
        "1 + 2j",
    ] {
        assert_eq!(allocations(text), 0, "{text}");
    }
}

#[test]
fn allocations_are_counted() {
    for text in ["2 ** 100", "max([1, 2])", "round(2.675, 2)"] {
        assert_ne!(allocations(text), 0, "{text}");
    }
}
