//! Prints the time of parse, evaluate and format for a few expressions, and of expressions over columns for each row,
//! best of several runs: over a million rows, and over so few that they stay in the cache.

use calc::{Budget, Columns, Variables, evaluate, evaluate_columns};
use std::hint::black_box;
use std::time::Instant;

const LONG: &str = "-7.25 + 3 * (x - 2) ** 2 / (1 + x * x) - sqrt(x + 9) * sin(pi / 3) + max(1, x, 2.5) % 2 \
                    + (4 if x > 2 else 5) * abs(-x) - 17 // 3 + 2 ** 10 / 3.5 - (x + 1) * (x + 2) * (x + 3) / 6 \
                    + cos(x) ** 2 + log(x * x + 1) - floor(x) + 1e3 / 7 - 0.5 * x";

fn main() {
    let mut variables = Variables::new();
    if let Err(error) = variables.insert("x", calc::Value::Float(2.5)) {
        println!("{error}");
    }
    let texts = [
        "1",
        "(6 + 4) * 8",
        "1.5 + 2.25",
        "x * 2",
        "sqrt(2)",
        "math.sqrt(2)",
        "2 ** 100",
        "1 < 2 < 3",
        "round(2.675, 2)",
        LONG,
    ];
    let mut out = String::with_capacity(64);
    for text in texts {
        let mut best = f64::INFINITY;
        for _ in 0..20 {
            let rounds = 20_000_u32;
            let start = Instant::now();
            for _ in 0..rounds {
                out.clear();
                let value = evaluate(black_box(text), &variables, &mut Budget::full());
                let _ = black_box(value.and_then(|value| value.write_json(&mut out)));
                black_box(&out);
            }
            best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds));
        }
        println!("{best:9.1} ns  {} = {out}", text.get(..40).unwrap_or(text));
    }
    columns(1_000_000, 1);
    columns(8_192, 100);
}

/// Nanoseconds a row, best of several runs of so many repetitions.
fn time_a_row(rows: u32, repetitions: u32, mut work: impl FnMut()) -> f64 {
    let run = |_| {
        let start = Instant::now();
        (0..repetitions).for_each(|_| work());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(rows) / f64::from(repetitions)
    };
    (0..20).map(run).fold(f64::INFINITY, f64::min)
}

fn compiled_loop(x: &[f64]) -> Vec<f64> {
    let [square, linear, constant] = black_box([2.5, -1.25, 0.75]);
    x.iter().map(|x| square * (x * x) + linear * x + constant).collect()
}

fn columns(rows: u32, repetitions: u32) {
    println!("{rows} rows");
    let x: Vec<f64> = (0..rows).map(|row| f64::from(row) * 1e-3 - 500.0).collect();
    let y: Vec<f64> = x.iter().rev().map(|x| x * 1.5 + 0.25).collect();
    let mut columns = Columns::new();
    let mut scalars = Variables::new();
    for (name, value) in [("a", 2.5), ("b", -1.25), ("c", 0.75)] {
        let _ = scalars.insert(name, calc::Value::Float(value));
    }
    let _ = columns.insert("x", &x).and_then(|()| columns.insert("y", &y));
    let mut copy = x.clone();
    let time = time_a_row(rows, repetitions, || {
        copy.copy_from_slice(black_box(&x));
        black_box(&copy);
    });
    println!("{time:9.2} ns a row  memory copy");
    let time = time_a_row(rows, repetitions, || drop(black_box(compiled_loop(black_box(&x)))));
    println!("{time:9.2} ns a row  a*x**2 + b*x + c as a compiled loop");
    for text in [
        "x",
        "x + y",
        "a*x",
        "a*x + c",
        "a*x**2",
        "a*x**2 + b*x",
        "a*x**2 + b*x + c",
        "x / y",
        "x if x > y else y",
        "max(x, y)",
        "floor(x)",
        "sqrt(x)",
        "x % y",
        "x // 0.001",
        "1e308 % (x * 1e-310)",
        "1e308 % (x * 1e-290)",
        "1.2345e308 % 5e-324 + x",
        "remainder(1e308, x * 1e-310)",
        "sin(x)",
        "sin(x * 1e300)",
        "tan(x * 1e300)",
        "exp(x)",
        "exp(x * 1.4)",
        "log(abs(x))",
        "pow(abs(x), y)",
        "hypot(x, y)",
        "cbrt(x)",
        "erfc(x * 0.01)",
        "gamma(x)",
        "lgamma(x)",
        "atanh(x * 0.001)",
        "nextafter(x, y)",
    ] {
        let mut fuel = 0;
        let time = time_a_row(rows, repetitions, || {
            let mut budget = Budget::columns();
            let _ = black_box(evaluate_columns(black_box(text), &scalars, &columns, &mut budget));
            fuel = calc::limits::COLUMN_FUEL.saturating_sub(budget.fuel()).div_euclid(u64::from(rows));
        });
        println!("{time:9.2} ns and {fuel} fuel a row  {text}");
    }
}
