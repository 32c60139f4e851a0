//! Times every operation and function of the language over sizes, and prints the nanoseconds that a unit of fuel pays
//! for, worst first. It fails when one unit pays for more than it should, or a small budget for more than it may.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a measuring program that handles no hostile input"
)]

mod cases;
mod column_cases;

use calc::{Budget, ErrorKind, Variables, evaluate, limits};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

/// What a unit of fuel may take, in nanoseconds.
const MOST_NANOSECONDS: f64 = 1.0;
/// What a whole evaluation may take that the server's loop begins: one that is refused for its fuel, too.
const MOST_IN_LOOP: Duration = Duration::from_micros(100);
/// Others may have the processor and its caches: the best of many runs is still this much above the true one.
const NOISE: f64 = 1.15;
/// How long one batch of runs takes, at least.
const BATCH: Duration = Duration::from_micros(50);
/// A run that takes this long needs no third one.
const SLOW: Duration = Duration::from_millis(5);
/// Batches for each case, and for each case that seems too slow.
const BATCHES: [u32; 2] = [3, 60];

/// One text to measure, and the name of the operation that it stands for.
struct Case {
    operation: String,
    sizes: String,
    text: String,
    variables: Variables,
}

/// What was measured of a case.
#[derive(Clone)]
struct Measured {
    operation: String,
    sizes: String,
    nanoseconds: f64,
    fuel: u64,
}

impl Measured {
    fn ratio(&self) -> f64 {
        self.nanoseconds / float(self.fuel.max(1))
    }
}

// Far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn float(count: u64) -> f64 {
    count as f64
}

/// The time for which this thread had a processor: what others do lengthens it far less than that of the clock.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// The nanoseconds of one call, the best of some batches.
fn best_time(batches: u32, mut work: impl FnMut()) -> f64 {
    let start = processor_time();
    work();
    let first = processor_time().saturating_sub(start).max(Duration::from_nanos(20));
    let rounds = BATCH.as_nanos().div_euclid(first.as_nanos()).clamp(1, 10_000);
    let rounds = u32::try_from(rounds).unwrap_or(1);
    // What takes long by itself is disturbed less.
    let batches = if first > SLOW { batches.div_ceil(5).max(2) } else { batches };
    let batch = |_| {
        let start = processor_time();
        (0..rounds).for_each(|_| work());
        processor_time().saturating_sub(start).as_secs_f64() * 1e9 / f64::from(rounds)
    };
    (0..batches).map(batch).fold(f64::INFINITY, f64::min)
}

/// Parses, evaluates and writes as the server does; the result is the fuel that is left, and whether it sufficed.
fn run(case: &Case, mut budget: Budget, out: &mut String) -> (u64, bool) {
    out.clear();
    let value = evaluate(black_box(&case.text), &case.variables, &mut budget);
    let sufficed = !value.as_ref().is_err_and(|error| error.kind() == ErrorKind::Fuel);
    let _ = black_box(value.and_then(|value| value.write_json(out)));
    (budget.fuel(), sufficed)
}

fn measure(case: &Case, batches: u32) -> Option<Measured> {
    let mut out = String::with_capacity(8_192);
    let (rest, sufficed) = run(case, Budget::full(), &mut out);
    let nanoseconds = best_time(batches, || {
        black_box(run(case, Budget::full(), &mut out));
    });
    sufficed.then(|| Measured {
        operation: case.operation.clone(),
        sizes: case.sizes.clone(),
        nanoseconds,
        fuel: limits::FULL_FUEL.saturating_sub(rest),
    })
}

/// The same with what the server's loop may spend.
fn measure_in_loop(case: &Case, batches: u32) -> Measured {
    let mut out = String::with_capacity(8_192);
    let (rest, _) = run(case, Budget::small(), &mut out);
    let nanoseconds = best_time(batches, || {
        black_box(run(case, Budget::small(), &mut out));
    });
    Measured {
        operation: case.operation.clone(),
        sizes: case.sizes.clone(),
        nanoseconds,
        fuel: limits::SMALL_FUEL.saturating_sub(rest),
    }
}

/// Keeps the worst of each operation.
#[derive(Default)]
struct Worst(BTreeMap<String, Measured>);

impl Worst {
    fn add(&mut self, measured: Measured, badness: fn(&Measured) -> f64) {
        let worst = self.0.get(&measured.operation).map_or(0.0, badness);
        if badness(&measured) > worst {
            self.0.insert(measured.operation.clone(), measured);
        }
    }

    fn print(&self, badness: fn(&Measured) -> f64) {
        let mut rows: Vec<&Measured> = self.0.values().collect();
        rows.sort_by(|left, right| badness(right).total_cmp(&badness(left)));
        println!("{:>9} {:>14} {:>12}  operation, at its worst", "ns/unit", "ns", "fuel");
        for row in rows {
            let (ratio, nanoseconds, fuel) = (row.ratio(), row.nanoseconds, row.fuel);
            println!("{ratio:9.3} {nanoseconds:14.0} {fuel:12}  {}: {}", row.operation, row.sizes);
        }
    }
}

/// All that was measured, and whether it is as it should be.
#[derive(Default)]
struct Report {
    whole: Worst,
    in_loop: Worst,
    of_columns: Worst,
    texts: u32,
    refused: u32,
    is_bad: bool,
}

impl Report {
    fn take(&mut self, case: &Case) {
        let [few, many] = BATCHES;
        self.texts = self.texts.saturating_add(1);
        let mut measured = measure(case, few);
        if measured.as_ref().is_some_and(|measured| measured.ratio() > MOST_NANOSECONDS) {
            measured = measure(case, many);
        }
        // What fits the small budget is the same work with it.
        let fits = measured.as_ref().is_some_and(|measured| measured.fuel <= limits::SMALL_FUEL);
        let most = MOST_IN_LOOP.as_secs_f64() * 1e9;
        let mut in_loop =
            if fits { measured.clone() } else { None }.unwrap_or_else(|| measure_in_loop(case, few));
        if in_loop.nanoseconds > most {
            in_loop = measure_in_loop(case, many);
        }
        self.is_bad |= in_loop.nanoseconds > most;
        self.in_loop.add(in_loop, |measured| measured.nanoseconds);
        match measured {
            Some(measured) => {
                self.is_bad |= measured.ratio() > MOST_NANOSECONDS * NOISE;
                self.whole.add(measured, Measured::ratio);
            }
            None => self.refused = self.refused.saturating_add(1),
        }
    }

    fn take_columns(&mut self, operation: &str, sizes: &str, mut time: impl FnMut(u32) -> (f64, u64)) {
        let [few, many] = BATCHES;
        let mut measure = |batches| {
            let (nanoseconds, fuel) = time(batches);
            Measured { operation: operation.to_owned(), sizes: sizes.to_owned(), nanoseconds, fuel }
        };
        let mut measured = measure(few);
        if measured.ratio() > MOST_NANOSECONDS {
            measured = measure(many);
        }
        self.is_bad |= measured.ratio() > MOST_NANOSECONDS * NOISE;
        self.of_columns.add(measured, Measured::ratio);
    }
}

/// `fuel [scalars|columns] [PART OF AN OPERATION'S NAME]`.
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let which = arguments.next().unwrap_or_default();
    let filter = arguments.next().unwrap_or_default();
    let mut report = Report::default();
    if which != "columns" {
        cases::all(&filter, &mut |case| report.take(&case));
        let (texts, refused) = (report.texts, report.refused);
        println!(
            "{texts} texts, {refused} of them refused for their fuel; at most {MOST_NANOSECONDS} ns a unit:"
        );
        report.whole.print(Measured::ratio);
        println!("\nWith the small budget, at most {} µs in all:", MOST_IN_LOOP.as_micros());
        report.in_loop.print(|measured| measured.nanoseconds);
    }
    if which != "scalars" {
        column_cases::all(&filter, &mut |operation, sizes, time| report.take_columns(operation, sizes, time));
        println!("\nColumns; ns and fuel are those of all rows:");
        report.of_columns.print(Measured::ratio);
    }
    if report.is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
