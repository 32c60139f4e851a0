//! One expression over a million rows: by this crate, by a loop that was compiled for it, and a copy of the column,
//! which is as fast as memory allows. Like the Python rivals each makes a new array for its result, but for the copy.

use std::hint::black_box;

use anyhow::{Result, ensure};
use calc::{Budget, Columns, Value, Variables};

use crate::table::OURS;
use crate::{COLUMN_TEXT, stopwatch};

const ROWS: u32 = 1_000_000;
const A: f64 = 2.5;
const B: f64 = -1.25;
const C: f64 = 0.75;

pub(crate) struct Subjects {
    x: Vec<f64>,
    scalars: Variables,
}

impl Subjects {
    /// Checks that ours is what the loop computes, too.
    pub(crate) fn new() -> Result<Self> {
        let mut scalars = Variables::new();
        for (name, value) in [("a", A), ("b", B), ("c", C)] {
            scalars.insert(name, Value::Float(value))?;
        }
        let x = (0..ROWS).map(|row| f64::from(row) * 1e-3 - 500.0).collect();
        let subjects = Self { x, scalars };
        ensure!(subjects.ours()? == subjects.plain_loop(), "the results differ");
        Ok(subjects)
    }

    fn ours(&self) -> Result<Vec<f64>, calc::Error> {
        let mut columns = Columns::new();
        columns.insert("x", &self.x)?;
        calc::evaluate_columns(black_box(COLUMN_TEXT), &self.scalars, &columns, &mut Budget::columns())
    }

    fn plain_loop(&self) -> Vec<f64> {
        let (a, b, c) = black_box((A, B, C));
        self.x.iter().map(|x| a * (x * x) + b * x + c).collect()
    }

    /// Nanoseconds a row.
    pub(crate) fn measure(&self, mut add: impl FnMut(&'static str, f64)) {
        let rows = f64::from(ROWS);
        add(OURS, stopwatch::best(|| drop(black_box(self.ours()))) / rows);
        add("plain Rust loop", stopwatch::best(|| drop(black_box(self.plain_loop()))) / rows);
        let mut copy = self.x.clone();
        let nanoseconds = stopwatch::best(|| {
            copy.copy_from_slice(black_box(&self.x));
            black_box(&copy);
        });
        add("memory copy", nanoseconds / rows);
    }
}
