//! Expressions over columns: an element of the result depends on its own row and on nothing else.

use calc::limits::COLUMN_FUEL;
use calc::{Budget, Columns, Error, ErrorKind, Value, Variables, evaluate, evaluate_columns};

use crate::expression::check_error;

/// Some blocks of the evaluator and a bit.
const MOST_ROWS: usize = 2_000;
/// So short that no integer of [`is_common`] gets beyond the floats that are exact.
const MOST_COMMON_BYTES: usize = 200;
const MOST_COMMON_DIGITS: usize = 8;
/// So many rows, at most, are computed without columns, too.
const COMMON_ROWS: usize = 32;

/// The bytes are a text, a zero, the rows of `x` and of `y`, and the floats that fill both columns, again and again.
///
/// Columns of different lengths are refused. The rows together, in two parts and each alone give the same floats, or
/// the same error; and they are those of the language without columns, where it has the same operators.
pub fn columns(bytes: &[u8]) {
    let Some((text, data)) = read(bytes) else { return };
    let (x, y) =
        (data.column(data.rows.0, |row, _| row), data.column(data.rows.1, |row, round| row + round + 1));
    if x.len() != y.len() {
        let error = evaluate_both(text, &x, &y).expect_err("columns of different lengths");
        assert_eq!((error.class(), error.kind()), ("ValueError", ErrorKind::Computation));
        return;
    }
    let whole = evaluate_both(text, &x, &y);
    match &whole {
        Ok(values) => {
            assert_eq!(values.len(), x.len());
            if is_common(text) {
                check_without_columns(text, &x, &y, values);
            }
        }
        Err(error) => {
            check_error(error, text);
            if error.kind() == ErrorKind::Fuel {
                return;
            }
        }
    }
    let cut = x.len() / 3;
    for (start, end) in parts(cut, x.len()) {
        let part = evaluate_both(text, &x[start..end], &y[start..end]);
        match (&whole, part) {
            (Ok(whole), Ok(part)) => assert_same(text, start, &whole[start..end], &part),
            (Err(whole), Err(part)) => assert_eq!(*whole, part, "{text:?}"),
            (whole, part) => panic!("{text:?}: {whole:?}, but rows {start} to {end} {part:?}"),
        }
    }
}

struct Data {
    rows: (usize, usize),
    floats: Vec<f64>,
}

fn read(bytes: &[u8]) -> Option<(&str, Data)> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let (text, rest) = (std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]);
    let (rows, rest) = rest.split_first_chunk::<4>()?;
    let rows_of = |low, high| usize::from(u16::from_le_bytes([low, high])) % MOST_ROWS;
    let floats = rest.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    Some((text, Data { rows: (rows_of(rows[0], rows[1]), rows_of(rows[2], rows[3])), floats }))
}

impl Data {
    /// `place` says which float a row has, by its number and by how often all floats have been used.
    fn column(&self, rows: usize, place: impl Fn(usize, usize) -> usize) -> Vec<f64> {
        let count = self.floats.len();
        if count == 0 {
            return vec![1.0; rows];
        }
        (0..rows).map(|row| self.floats[place(row, row / count) % count]).collect()
    }
}

fn evaluate_both(text: &str, x: &[f64], y: &[f64]) -> Result<Vec<f64>, Error> {
    let mut columns = Columns::new();
    columns.insert("x", x)?;
    columns.insert("y", y)?;
    let mut budget = Budget::columns();
    let result = evaluate_columns(text, &scalars(), &columns, &mut budget);
    assert!(budget.fuel() <= COLUMN_FUEL);
    assert_eq!(budget.is_exhausted(), matches!(&result, Err(error) if error.kind() == ErrorKind::Fuel));
    result
}

fn scalars() -> Variables {
    let mut scalars = Variables::new();
    for (name, number) in [("n", "3"), ("half", "0.5"), ("big", "100000000000000000000"), ("lost", "NaN")] {
        let value = Value::from_json_number(number).expect("a number");
        scalars.insert(name, value).expect("a name");
    }
    scalars
}

/// Two parts that share a block of the whole, and a few rows alone.
fn parts(cut: usize, rows: usize) -> impl Iterator<Item = (usize, usize)> {
    let alone = [0, cut, rows / 2, rows.saturating_sub(1)];
    let alone = alone.into_iter().filter(move |row| *row < rows).map(|row| (row, row + 1));
    [(0, cut), (cut, rows)].into_iter().chain(alone)
}

/// Bit by bit, except that one NaN is as good as another.
fn assert_same(text: &str, start: usize, whole: &[f64], part: &[f64]) {
    assert_eq!(whole.len(), part.len());
    for (row, (whole, part)) in whole.iter().zip(part).enumerate() {
        let is_same = whole.to_bits() == part.to_bits() || (whole.is_nan() && part.is_nan());
        assert!(is_same, "{text:?}, row {}: {whole:?} in one piece, {part:?} in parts", start + row);
    }
}

/// Whether the text uses only what means the same with and without columns, on numbers that floats hold exactly.
fn is_common(text: &str) -> bool {
    const WORDS: [&str; 8] = ["x", "y", "abs", "and", "or", "not", "if", "else"];
    let is_digits = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    text.len() <= MOST_COMMON_BYTES
        && digits <= MOST_COMMON_DIGITS
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-*/%<>=!&|^(). ".contains(&byte))
        && !text.contains("**")
        && !text.contains("<<")
        && !text.contains(">>")
        && text
            .split(|character: char| !character.is_ascii_alphanumeric())
            .all(|word| is_digits(word) || WORDS.contains(&word))
}

/// Where the language without columns has a value it is the same; the sign of a zero may differ, for it has integers.
fn check_without_columns(text: &str, x: &[f64], y: &[f64], values: &[f64]) {
    for row in (0..values.len()).step_by(values.len() / COMMON_ROWS + 1) {
        let mut variables = Variables::new();
        for (name, column) in [("x", x), ("y", y)] {
            variables.insert(name, Value::Float(column[row])).expect("a name");
        }
        let expected = match evaluate(text, &variables, &mut Budget::full()) {
            Ok(Value::Float(value)) => value,
            Ok(Value::Bool(value)) => f64::from(u8::from(value)),
            #[expect(clippy::cast_precision_loss, reason = "the texts are too short for larger integers")]
            Ok(Value::Int(value)) => value.to_i64().expect("a small integer") as f64,
            // Without columns a division by zero is an error.
            Ok(_) | Err(_) => continue,
        };
        let found = values[row];
        let is_same = found == expected || (found.is_nan() && expected.is_nan());
        assert!(is_same, "{text:?} of {:?} and {:?}: {found:?}, not {expected:?}", x[row], y[row]);
    }
}
