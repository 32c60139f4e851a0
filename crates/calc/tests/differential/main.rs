//! The same expressions to this crate and to one process of `CPython` 3.11: the same JSON or the same exception
//! class. The generator follows the grammar and prefers the numbers at which implementations differ.

// A failing test is to panic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod generator;

use calc::{Budget, ErrorKind, Value, Variables, evaluate};
use generator::{Dice, Generator, grid};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

enum Answer {
    Text(String),
    /// One of our bounds, which Python does not have.
    Bounded,
}

fn ours(text: &str) -> Answer {
    let result = evaluate(text, &Variables::new(), &mut Budget::full()).and_then(|value| {
        let mut out = String::new();
        if let Value::Complex(real, imaginary) = value {
            out.push_str("complex(");
            for (part, separator) in [(real, ", "), (imaginary, ")")] {
                let mut spelled = String::new();
                Value::Float(part).write_json(&mut spelled)?;
                let _ =
                    write!(out, "{}{separator}", spelled.replace("Infinity", "inf").replace("NaN", "nan"));
            }
        } else {
            value.write_json(&mut out)?;
        }
        Ok(out)
    });
    match result {
        Ok(text) => Answer::Text(text),
        Err(error) if matches!(error.kind(), ErrorKind::Limit | ErrorKind::Fuel) => Answer::Bounded,
        Err(error) => Answer::Text(format!("! {}", error.class())),
    }
}

/// What the language leaves out of Python on purpose, so that the answers differ. Only a mutated text may hold it,
/// but for operators on the tuples that a few functions return.
fn is_left_out(case: &Case, python: &str) -> bool {
    // abs(complex) of NaN looks at the C library's errno, which something before it may have set.
    if python == "! OverflowError" && case.text.contains("abs(") {
        return true;
    }
    // The oracle refused to compute for minutes.
    if python == "! MemoryError" {
        return true;
    }
    let returns_tuple = ["frexp", "modf", "polar", "divmod"].iter().any(|name| case.text.contains(name));
    match case.ours.as_str() {
        "! TypeError" if returns_tuple => true,
        // Lists as operands, attributes, `is`, unpacking; names of functions as values, and private names even where
        // they are not evaluated.
        "! SyntaxError" | "! NameError" => case.is_mutated,
        // A list or tuple in another.
        "! TypeError" => case.is_mutated && case.text.contains(['[', ',']),
        _ => false,
    }
}

struct Case {
    text: String,
    is_mutated: bool,
    ours: String,
}

fn python() -> String {
    std::env::var("BIDDEN_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

fn json_string(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        let _ = match character {
            '"' | '\\' => write!(out, "\\{character}"),
            character if character < ' ' || !character.is_ascii() => {
                write!(out, "\\u{:04x}", u32::from(character))
            }
            character => write!(out, "{character}"),
        };
    }
    out.push('"');
    out
}

#[test]
fn agrees_with_cpython() {
    const CASES: usize = 500_000;
    const LEAST_COMPARED: usize = 450_000;
    let seed = std::env::var("BIDDEN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_240_611);
    let oracle = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/differential/oracle.py");
    let process = Command::new(python()).arg(oracle).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut process) = process else {
        println!("SKIPPED: no Python to compare with");
        return;
    };
    let mut input = process.stdin.take().unwrap();
    let mut answers = BufReader::new(process.stdout.take().unwrap()).lines();
    let version = answers.next().and_then(Result::ok).unwrap_or_default();
    if version != "3 11" {
        println!("SKIPPED: the oracle must be CPython 3.11, this is {version}");
        return;
    }
    let mut generator = Generator { dice: Dice(seed) };
    let mut cases = Vec::new();
    let mut bounded = 0_usize;
    let texts =
        grid().into_iter().map(|text| (text, false)).chain(std::iter::repeat_with(|| generator.text()));
    for (text, is_mutated) in texts.take(CASES) {
        match ours(&text) {
            Answer::Text(ours) => cases.push(Case { text, is_mutated, ours }),
            Answer::Bounded => bounded += 1,
        }
    }
    let lines: Vec<String> = cases.iter().map(|case| json_string(&case.text)).collect();
    let writer = std::thread::spawn(move || {
        for line in lines {
            writeln!(input, "{line}").unwrap();
        }
    });
    let (mut compared, mut left_out, mut failures) = (0_usize, 0_usize, Vec::new());
    for case in &cases {
        let python = answers.next().expect("the oracle answers every line").unwrap();
        if case.ours == python {
            compared += 1;
        } else if is_left_out(case, &python) {
            left_out += 1;
        } else {
            failures.push(format!("{}\n    ours   {}\n    python {python}", case.text, case.ours));
        }
    }
    writer.join().unwrap();
    process.wait().unwrap();
    let shown = failures.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} differ (seed {seed}):\n{shown}", failures.len());
    println!("compared {compared}, left out by design {left_out}, bounded {bounded}");
    assert!(compared >= LEAST_COMPARED, "only {compared} were compared");
    assert!(bounded * 50 < CASES, "{bounded} met a bound");
    assert!(left_out * 50 < CASES, "{left_out} are not in the language");
}

const BOUNDED: &str = "a bound";

/// What differs from `CPython` on purpose or for good: the text, our answer and Python's.
fn declared_exceptions() -> Vec<(String, &'static str, &'static str)> {
    const SHORT: &[(&str, &str, &str)] = &[
        // Rust's runtime brings its own cube root, which rounds better than glibc's.
        ("math.cbrt(27)", "3.0", "3.0000000000000004"),
        // Private names are refused even where Python would not look them up.
        ("1 or _x", "! NameError", "1"),
        // A list or tuple is an argument or a result, not an operand.
        ("divmod(7, 2) + divmod(7, 2)", "! TypeError", "[3, 1, 3, 1]"),
        ("[1, 2]", "! SyntaxError", "[1, 2]"),
        // An unknown member of a module is unknown before anything is computed.
        ("1 or math.nothing", "! SyntaxError", "1"),
        ("1 if True else 2(3)", "! SyntaxError", "1"),
        ("pi(2)", "! NameError", "! TypeError"),
        // A function is no value.
        ("1 if sqrt else 2", "! NameError", "1"),
        // None is no number.
        ("None", "! NameError", "null"),
        ("None or 1", "! NameError", "1"),
        // A list or tuple holds numbers only.
        ("len([[1]])", "! SyntaxError", "1"),
        // Python looks at the C library's errno, which exp set when its result was too small.
        ("exp(-1000) + abs(complex(nan, 1))", "NaN", "! OverflowError"),
        // Fuel and bounds.
        ("comb(131000, 65000) % 7", BOUNDED, "0"),
    ];
    let mut exceptions: Vec<_> =
        SHORT.iter().map(|(text, ours, python)| ((*text).to_owned(), *ours, *python)).collect();
    exceptions.push((format!("{}1", "-".repeat(201)), BOUNDED, "-1"));
    exceptions.push((format!("1{}", "**1".repeat(201)), BOUNDED, "1"));
    // NaN has no order, so where it ends up depends on how a list of 64 or more items is sorted.
    let items: Vec<String> =
        (0..64).map(|i| if i % 3 == 0 { "nan".to_owned() } else { (i * 7 % 64).to_string() }).collect();
    exceptions.push((format!("median([{}])", items.join(", ")), "46.5", "28.5"));
    exceptions
}

/// The differences that docs/calc.md declares, each shown to be real; one that is not any more is to be struck out.
#[test]
fn declared_exceptions_are_real() {
    let exceptions = declared_exceptions();
    let Ok(mut process) = Command::new(python())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/differential/oracle.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
    else {
        println!("SKIPPED: no Python to compare with");
        return;
    };
    let mut input = process.stdin.take().unwrap();
    for (text, _, _) in &exceptions {
        writeln!(input, "{}", json_string(text)).unwrap();
    }
    drop(input);
    let mut answers = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    if answers.next().as_deref() != Some("3 11") {
        println!("SKIPPED: the oracle must be CPython 3.11");
        return;
    }
    for ((text, expected, expected_of_python), python) in exceptions.iter().zip(answers) {
        let found = match ours(text) {
            Answer::Text(found) => found,
            Answer::Bounded => BOUNDED.to_owned(),
        };
        assert_eq!((found.as_str(), python.as_str()), (*expected, *expected_of_python), "{text}");
    }
    process.wait().unwrap();
}
