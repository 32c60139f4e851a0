//! Prints the time of parse, evaluate and format for a few expressions, and of expressions over columns for each row,
//! best of several runs.

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
    columns();
}

fn columns() {
    const ROWS: u32 = 1_000_000;
    let x: Vec<f64> = (0..ROWS).map(|row| f64::from(row) * 1e-3 - 500.0).collect();
    let y: Vec<f64> = x.iter().rev().map(|x| x * 1.5 + 0.25).collect();
    let mut columns = Columns::new();
    let mut scalars = Variables::new();
    for (name, value) in [("a", 2.5), ("b", -1.25), ("c", 0.75)] {
        let _ = scalars.insert(name, calc::Value::Float(value));
    }
    let _ = columns.insert("x", &x).and_then(|()| columns.insert("y", &y));
    for text in [
        "x",
        "x + y",
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
        let mut best = f64::INFINITY;
        let mut fuel = 0;
        for _ in 0..20 {
            let mut budget = Budget::columns();
            let start = Instant::now();
            let _ = black_box(evaluate_columns(black_box(text), &scalars, &columns, &mut budget));
            best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(ROWS));
            fuel = calc::limits::COLUMN_FUEL.saturating_sub(budget.fuel()).div_euclid(u64::from(ROWS));
        }
        println!("{best:9.2} ns and {fuel} fuel a row  {text}");
    }
}
