//! `make bench-calc`: parse, evaluate and format by this crate, by other crates and by Python, and one expression over
//! columns, in interleaved rounds of one run. It prints one table and writes `results.md`; it judges no number.
#![forbid(unsafe_code)]
#![allow(clippy::arithmetic_side_effects, reason = "a measuring program that handles no hostile input")]

mod columns;
mod machine;
mod python;
mod rivals;
mod stopwatch;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::table::Table;

const USAGE: &str = "usage: bench-calc [ROUNDS]   (9 rounds)";

/// A short one and a long one.
const TEXTS: [&str; 2] = [
    "(6 + 4) * 8",
    "(((((20 * 48) * (19 * 79)) + 21) + ((4 - 70 * (28 - 15)) * ((11 / 14) - 4 + 13)) + (((45 * 76 - \
     35 + 43) - (11 * 92 / 2)) + ((84 - 47) / 94) - 3)) - 10) + ((32 + 81 - 14 + (65 - 13) / 97) * \
     5) * ((68 + 16 + 55 + 82) + ((46 - 18) + (93 - 22)) + 51 + 97 + 57 + (15 / 60) + (1 * 79)) * \
     (((47 - 17 - 6 - 18) + ((59 - 89) * (14 - 28))) + ((69 + 41) - 87 * 30) / 31)",
];
const COLUMN_TEXT: &str = "a*x**2 + b*x + c";
const HEADINGS: [&str; 3] = ["`(6 + 4) * 8`, ns", "long, ns", "`a*x**2+b*x+c`, ns a row"];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds: u32 = match arguments.as_slice() {
        [] => 9,
        [rounds] => rounds.parse().context(USAGE)?,
        _ => bail!(USAGE),
    };
    rivals::check(&TEXTS)?;
    let columns = columns::Subjects::new()?;
    let python = python::find();
    let mut table = Table::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for (index, text) in TEXTS.iter().enumerate() {
            rivals::measure(text, |name, nanoseconds| table.add(name, index, nanoseconds));
        }
        columns.measure(|name, nanoseconds| table.add(name, TEXTS.len(), nanoseconds));
        python::measure(&python, &TEXTS, COLUMN_TEXT, &mut table)?;
    }
    let text = table.text(&HEADINGS);
    println!("{text}");
    let report = format!(
        "# Results\n\nMedians of {rounds} rounds; in each round the best of {} batches. In brackets: how many times \
         as long as bidden. How to read it: README.md, here.\n\n{text}\n{}",
        stopwatch::BATCHES,
        machine::describe(&python),
    );
    std::fs::write(package_file("results.md"), report).context("cannot write results.md")
}

/// A file of this package, where it was built.
fn package_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
