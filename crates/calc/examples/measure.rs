//! Prints the time of parse, evaluate and format for a few expressions, best of several runs.

use calc::{Budget, Variables, evaluate};
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
}
