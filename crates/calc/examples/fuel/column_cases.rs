//! Operations on columns, with elements at which processors and libraries are slow.

use super::best_time;
use calc::{Budget, Columns, Variables, evaluate_columns, functions, limits};
use std::hint::black_box;

/// Rows that stay in the nearest caches, and rows that do not.
const ROWS: [usize; 2] = [1_024, 400_000];
/// What is measured with many rows: the rest takes far longer than memory does.
const QUICK: [&str; 8] = ["x", "-x", "not x", "x + y", "x*y+x", "x < y", "x if x > y else y", "max(x, y, 3)"];

/// Kinds of elements, each as what a column repeats.
const KINDS: &[(&str, &[f64])] = &[
    ("ordinary", &[1.5, -2.25, 0.1, 3.75, 100.3]),
    ("positive", &[0.5, 1.5, 0.25, 3.5, 12.25, 0.9]),
    ("below one", &[0.1, -0.3, 0.7, 0.99]),
    ("large", &[1.5e5, -3.7e9, 1.1e15]),
    ("huge", &[1.7e308, -1.1e308, 1.3e300]),
    ("small", &[1.5e-300, 1.1e-290, -3e-305]),
    ("normal, least", &[2.3e-308, 3e-308]),
    ("subnormal", &[5e-324, 1e-310, -3e-320]),
    ("least", &[5e-324]),
    ("subnormal or not", &[5e-324, 1.5, 1e-310, 1e300]),
    ("root of subnormal", &[1e-160, -1e-155, 3e-162]),
    ("infinite or nan", &[f64::INFINITY, f64::NAN, f64::NEG_INFINITY, 0.0]),
    ("exponents", &[-745.0, 709.5, -708.5, -1074.0]),
    ("near one", &[1.000_000_000_000_000_2, 0.999_999_999_999_999_9, 1.000_000_1]),
    ("integers", &[170.0, -99.0, 23.0, 2.0]),
];

type Timed<'a> = Box<dyn FnMut(u32) -> (f64, u64) + 'a>;

pub(crate) fn all(filter: &str, take: &mut dyn FnMut(&str, &str, Timed<'_>)) {
    let mut texts: Vec<(String, String)> = Vec::new();
    for function in functions() {
        for arguments in ["x", "x, y", "x, y, x"] {
            let text = format!("{}({arguments})", function.name);
            texts.push((format!("{}({})", function.name, "x".repeat(arguments.len().div_ceil(3))), text));
        }
    }
    for operator in ["+", "-", "*", "/", "//", "%", "**", "<", "==", ">=", "and", "or"] {
        texts.push((operator.to_owned(), format!("x {operator} y")));
        texts.push((format!("{operator} constant"), format!("x {operator} 3.3")));
        texts.push((format!("constant {operator}"), format!("3.3 {operator} x")));
    }
    let others = [
        "x",
        "-x",
        "not x",
        "x if x > y else y",
        "x*y+x",
        "x+y-x",
        "x*y*x",
        "x**2",
        "x**2*y",
        "x**0.5",
        "x**-1",
        "x**3",
        "x**-0.5",
        "round(x, 2)",
        "round(x, -2)",
        "log(x, 10)",
        "(x > 1) & (y > 1)",
        "(x > 1) ^ (y > 1)",
        "3.3*x**2 + 2.2*x + 1.1",
        "1.0*x",
        "x*0.5",
        "1e308 % x",
        "x % 5e-324",
        "remainder(1e308, x)",
        "fmod(1.2e308, x)",
        "1e308 // x",
        "x//5e-324",
        "pow(x, 5e-324)",
        "pow(x, 1.0000001)",
        "pow(x, 1.02)",
        "pow(x, 1.05)",
        "pow(x, 0.99)",
        "pow(x, 0.9999999)",
        "pow(x, -1.0000001)",
        "pow(1e-160, x*0+2)",
        "hypot(x, 1e-310)",
        "hypot(x, x*0.7, y)",
        "atan2(x, 1e308)",
        "atan2(1e-310, x)",
        "fmod(x, 1e-310)",
        "erf(x)*1e-300",
        "max(x, y, 3)",
    ];
    texts.extend(others.iter().map(|text| ((*text).to_owned(), (*text).to_owned())));
    texts.retain(|(operation, _)| operation.contains(filter));
    // What has a meaning for columns.
    texts.retain(|(_, text)| fuel(text, &[1.5], &[2.5]).is_some());
    for rows in ROWS {
        for (kind, of_x) in KINDS {
            for (other, of_y) in KINDS {
                for (operation, text) in &texts {
                    // Most kinds meet one other kind: a second operand of ordinary elements, and those of the same kind.
                    let is_pair = kind == other || of_x == &KINDS[0].1 || of_y == &KINDS[0].1;
                    let is_wanted = rows < 10_000 || QUICK.contains(&text.as_str());
                    if !is_pair
                        || !is_wanted
                        || (kind != other && !(text.contains("y)") || text.contains(" y")))
                    {
                        continue;
                    }
                    let column =
                        |elements: &[f64]| elements.iter().copied().cycle().take(rows).collect::<Vec<f64>>();
                    let (x, y, text) = (column(of_x), column(of_y), text.clone());
                    let sizes = format!("{rows} rows, {kind}, {other}");
                    let timed = move |batches| {
                        let used = fuel(&text, &x, &y).unwrap_or(1);
                        (
                            best_time(batches, || {
                                black_box(fuel(&text, &x, &y));
                            }),
                            used,
                        )
                    };
                    take(operation, &sizes, Box::new(timed));
                }
            }
        }
    }
}

/// Evaluates, and tells what it took; nothing where the text has no meaning for columns.
fn fuel(text: &str, x: &[f64], y: &[f64]) -> Option<u64> {
    let mut columns = Columns::new();
    columns.insert("x", x).and_then(|()| columns.insert("y", y)).ok()?;
    let mut budget = Budget::columns();
    let values = evaluate_columns(black_box(text), &Variables::new(), &columns, &mut budget);
    black_box(values).ok().map(|_| limits::COLUMN_FUEL.saturating_sub(budget.fuel()))
}
