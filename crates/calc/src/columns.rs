//! Columns: an expression over arrays of floats, computed element by element with `NumPy`'s float64 semantics. It
//! refuses columns of different lengths, and whatever has no meaning for one element alone.

mod block;
mod elementwise;
mod fuse;
mod modulo;
mod operation;
mod plan;
mod registers;

use crate::budget::Budget;
use crate::error::{Error, ErrorKind};
use crate::limits;
use crate::parse::{self, Names};
use crate::program::Program;
use crate::variables::{Variables, is_identifier};

/// The columns of one request, borrowed; all have the same number of rows.
#[derive(Debug, Clone, Default)]
pub struct Columns<'a> {
    entries: Vec<(Box<str>, &'a [f64])>,
}

impl<'a> Columns<'a> {
    /// No columns.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// The length of each column; 0 while there are none.
    pub fn rows(&self) -> usize {
        self.entries.first().map_or(0, |(_, values)| values.len())
    }

    /// Adds a column. It must be as long as those before it, and its name must be new.
    pub fn insert(&mut self, name: &str, values: &'a [f64]) -> Result<(), Error> {
        if !is_identifier(name) {
            return Err(Error::name());
        }
        if self.find(name).is_some() {
            return Err(Error::value_error_with(format!("there are two columns '{name}'")));
        }
        if values.len() > limits::ROWS {
            let most = limits::ROWS;
            return Err(Error::limit(
                "MemoryError",
                format!("the column '{name}' has more than {most} rows"),
            ));
        }
        if let Some((first, others)) = self.entries.first()
            && others.len() != values.len()
        {
            let (first_rows, rows) = (others.len(), values.len());
            return Err(Error::value_error_with(format!(
                "the columns '{first}' and '{name}' have {first_rows} and {rows} rows"
            )));
        }
        if self.entries.len() >= limits::COLUMNS {
            let most = limits::COLUMNS;
            return Err(Error::limit("MemoryError", format!("there are more than {most} columns")));
        }
        let columns = self.entries.len().saturating_add(1);
        if size_of_val(values).saturating_mul(columns) > limits::COLUMN_BYTES {
            let most = limits::COLUMN_BYTES;
            return Err(Error::limit("MemoryError", format!("the columns have more than {most} bytes")));
        }
        self.entries.push((name.into(), values));
        Ok(())
    }

    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        let index = self.entries.iter().position(|(known, _)| &**known == name)?;
        u32::try_from(index).ok()
    }

    fn values(&self, index: u32) -> &'a [f64] {
        self.entries.get(index as usize).map_or(&[], |(_, values)| values)
    }
}

/// Evaluates the expression `text` for every row of `columns`; the result has as many elements as a column has rows.
///
/// `scalars` hold for every row. What no column enters is computed once, as [`crate::evaluate`] does it, and must be an
/// `int`, `float` or `bool` that fits a float. A name may not be both a column and a scalar. [`Budget::columns`] is
/// the budget for it.
pub fn evaluate_columns(
    text: &str,
    scalars: &Variables,
    columns: &Columns<'_>,
    budget: &mut Budget,
) -> Result<Vec<f64>, Error> {
    if columns.is_empty() {
        return Err(Error::value_error("there are no columns"));
    }
    if let Some((name, _)) = columns.entries.iter().find(|(name, _)| scalars.find(name).is_some()) {
        return Err(Error::new(
            ErrorKind::Name,
            "NameError",
            format!("'{name}' is both a column and a variable"),
        ));
    }
    let plan = budget.within_full(|budget| {
        let mut program = Program::default();
        parse::parse(text, Names { variables: scalars, columns: Some(columns) }, budget, &mut program)?;
        plan::plan(&program, scalars, budget).map_err(|error| error.in_text(text))
    })?;
    block::run(&plan, columns, budget)
}
