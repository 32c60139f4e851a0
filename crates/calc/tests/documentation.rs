//! docs/calc.md says what is so: its examples give what stands beside them, and its tables name every function, every
//! bound and only tests that exist.

// A failing test is to panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use calc::{Budget, Columns, Value, Variables, evaluate, evaluate_columns, functions};
use std::fs;
use std::path::{Path, PathBuf};

const X: [f64; 4] = [1.0, -2.0, 0.0, 4.0];
const Y: [f64; 4] = [2.0, 0.5, 0.0, -1.0];

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn document() -> String {
    fs::read_to_string(file("docs/calc.md")).expect("docs/calc.md")
}

/// The pairs of `>>> expression` and answer in the fenced blocks of a language.
fn examples(document: &str, language: &str) -> Vec<(String, String)> {
    let opening = format!("```{language}");
    let mut found = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if line != opening {
            continue;
        }
        while let Some(line) = lines.next().filter(|line| *line != "```") {
            let text = line.strip_prefix(">>> ").unwrap_or_else(|| panic!("no example: {line}"));
            found.push((text.to_owned(), lines.next().unwrap_or_default().to_owned()));
        }
    }
    assert!(found.len() > 5, "{language} has too few examples");
    found
}

fn variables() -> Variables {
    let mut variables = Variables::new();
    variables.insert("n", Value::from_json_number("3").unwrap()).unwrap();
    variables.insert("r", Value::Float(2.5)).unwrap();
    variables
}

fn columns() -> Columns<'static> {
    let mut columns = Columns::new();
    columns.insert("x", &X).unwrap();
    columns.insert("y", &Y).unwrap();
    columns
}

fn over_columns(text: &str) -> Result<Vec<f64>, calc::Error> {
    evaluate_columns(text, &variables(), &columns(), &mut Budget::columns())
}

fn written(result: Result<Value, calc::Error>) -> String {
    let mut out = String::new();
    match result.and_then(|value| value.write_json(&mut out)) {
        Ok(()) => out,
        Err(error) => format!("{}: {error}", error.class()),
    }
}

#[test]
fn the_examples_are_right() {
    let document = document();
    for (text, answer) in examples(&document, "calc") {
        let found = written(evaluate(&text, &variables(), &mut Budget::full()));
        assert_eq!(found, answer, "{text}");
    }
    for (text, answer) in examples(&document, "columns") {
        let found =
            over_columns(&text).map(|values| Value::List(values.into_iter().map(Value::Float).collect()));
        assert_eq!(written(found), answer, "{text}");
    }
}

#[test]
fn every_function_has_its_row() {
    let document = document();
    let mut missing = Vec::new();
    for function in functions() {
        let takes_columns = ["x", "x, y"].iter().any(|arguments| {
            let text = format!("{}({arguments})", function.name);
            over_columns(&text).is_ok()
        });
        let mark = if takes_columns { "yes" } else { "" };
        let row = format!("| `{}{}` | {} | {mark} |", function.name, function.signature, function.doc);
        if !document.contains(&row) {
            missing.push(row);
        }
    }
    assert!(missing.is_empty(), "these rows are not in docs/calc.md:\n{}", missing.join("\n"));
}

#[test]
fn every_bound_is_named() {
    let source = fs::read_to_string(file("crates/calc/src/limits.rs")).unwrap();
    let mut documents = document();
    documents.push_str(&fs::read_to_string(file("docs/limits.md")).unwrap_or_default());
    let constants = source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    let missing: Vec<&str> =
        constants.clone().filter(|constant| !documents.contains(&format!("`{constant}`"))).collect();
    assert!(constants.count() > 10 && missing.is_empty(), "{missing:?}");
}

#[test]
fn the_tests_that_it_names_exist() {
    let document = document().replace('\n', " ").to_lowercase();
    let mut tests = String::new();
    for path in [
        "allocations.rs",
        "language.rs",
        "hostile.rs",
        "columns.rs",
        "cpython_testcases.rs",
        "differential/main.rs",
    ] {
        tests.push_str(&fs::read_to_string(file("crates/calc/tests").join(path)).unwrap());
    }
    let named: Vec<&str> =
        document.split("test `").skip(1).filter_map(|rest| rest.split('`').next()).collect();
    assert!(named.len() > 5);
    for name in named {
        assert!(tests.contains(&format!("fn {name}(")), "{name}");
    }
}
