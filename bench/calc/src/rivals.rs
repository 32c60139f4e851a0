//! Parse, evaluate and format one expression, by this crate and by others, each in the quickest way that it documents
//! for a text seen once. Before the first round each result is compared with ours.

use std::fmt::Write as _;
use std::hint::black_box;

use anyhow::{Result, ensure};
use calc::{Budget, Variables};
use fasteval2::Evaler as _;

use crate::stopwatch;
use crate::table::OURS;

/// evalexpr and rhai divide integers to integers, so the long expression has another value there.
const DIVIDE_INTEGERS: [&str; 2] = [EVALEXPR, RHAI];
const FASTEVAL: &str = "fasteval2 2.1.1";
const MEVAL: &str = "meval 0.2.0";
const EXMEX: &str = "exmex 0.21.0";
const EVALEXPR: &str = "evalexpr 11.3.1";
const RHAI: &str = "rhai 1.27.0, raw engine";

/// Calls `each` with the name of each rival and with what writes the value of a text, until it returns.
fn with_each(mut each: impl FnMut(&'static str, &mut dyn FnMut(&str, &mut String))) {
    let variables = Variables::new();
    each(OURS, &mut |text, out| {
        if let Ok(value) = &calc::evaluate(text, &variables, &mut Budget::full()) {
            let _ = value.write_json(out);
        }
    });
    let parser = fasteval2::Parser::new();
    let mut slab = fasteval2::Slab::new();
    each(FASTEVAL, &mut |text, out| {
        let parsed = parser.parse(text, &mut slab.ps);
        let value =
            parsed.and_then(|parsed| parsed.from(&slab.ps).eval(&slab, &mut fasteval2::EmptyNamespace));
        let _ = value.map(|value| write!(out, "{value}"));
    });
    each(MEVAL, &mut |text, out| {
        let _ = meval::eval_str(text).map(|value| write!(out, "{value}"));
    });
    each(EXMEX, &mut |text, out| {
        let _ = exmex::eval_str::<f64>(text).map(|value| write!(out, "{value}"));
    });
    each(EVALEXPR, &mut |text, out| {
        let _ = evalexpr::eval(text).map(|value| write!(out, "{value}"));
    });
    let engine = rhai::Engine::new_raw();
    each(RHAI, &mut |text, out| {
        let _ = engine.eval_expression::<rhai::Dynamic>(text).map(|value| write!(out, "{value}"));
    });
}

/// Whether each rival has the value that we have.
pub(crate) fn check(texts: &[&str]) -> Result<()> {
    for text in texts {
        let mut expected = f64::NAN;
        let mut wrong = Vec::new();
        with_each(|name, write| {
            let mut out = String::new();
            write(text, &mut out);
            let value: f64 = out.parse().unwrap_or(f64::NAN);
            if name == OURS {
                expected = value;
            }
            let is_close = (value - expected).abs() <= expected.abs() * 1e-12;
            let may_differ = DIVIDE_INTEGERS.contains(&name) && text.contains('/') && value.is_finite();
            if !is_close && !may_differ {
                wrong.push(format!("{name}: {out}"));
            }
        });
        ensure!(wrong.is_empty(), "{text} is {expected}, but {}", wrong.join(", "));
    }
    Ok(())
}

/// Nanoseconds of each rival for one text.
pub(crate) fn measure(text: &str, mut add: impl FnMut(&'static str, f64)) {
    with_each(|name, write| {
        let mut out = String::with_capacity(64);
        let nanoseconds = stopwatch::best(|| {
            out.clear();
            write(black_box(text), &mut out);
            black_box(&out);
        });
        add(name, nanoseconds);
    });
}
