//! Columns for `bidden compute --column`: read from a file of raw doubles or from a column of a CSV file, and printed.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bytes::Bytes;

/// `NAME=FILE` or `NAME=FILE:COLUMN` of the command line.
#[derive(Clone, Debug)]
pub(crate) struct ColumnFile {
    pub(crate) name: String,
    file: PathBuf,
    /// The column's heading or its number from 1, for a CSV file.
    column: Option<String>,
}

impl ColumnFile {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, place) =
            text.split_once('=').ok_or("write it as NAME=FILE, or NAME=FILE:COLUMN for a CSV file")?;
        // A colon may belong to the name of the file.
        let (file, column) = match place.rsplit_once(':') {
            Some((file, column)) if !Path::new(place).exists() => (file, Some(column.to_owned())),
            _ => (place, None),
        };
        Ok(Self { name: name.to_owned(), file: file.into(), column })
    }

    /// The column as little-endian doubles.
    pub(crate) fn read(&self) -> anyhow::Result<Bytes> {
        let shown = self.file.display();
        let is_csv =
            self.column.is_some() || self.file.extension().is_some_and(|extension| extension == "csv");
        if is_csv {
            return self.read_csv().with_context(|| format!("cannot take a column from {shown}"));
        }
        let bytes = std::fs::read(&self.file).with_context(|| format!("cannot read {shown}"))?;
        if !bytes.len().is_multiple_of(size_of::<f64>()) {
            bail!("{shown} is no file of raw doubles of 8 bytes each; a CSV file is named NAME=FILE:COLUMN");
        }
        Ok(bytes.into())
    }

    fn read_csv(&self) -> anyhow::Result<Bytes> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(&self.file)?;
        let mut records = reader.records();
        let first = records.next().context("it is empty")??;
        let wanted = self.column.as_deref().unwrap_or("1");
        // A number is a place; anything else is a heading.
        let (index, first_is_data) = match wanted.parse::<usize>() {
            Ok(number) => (number.checked_sub(1), true),
            Err(_) => (first.iter().position(|cell| cell.trim() == wanted), false),
        };
        let index = index.with_context(|| format!("no column has the heading `{wanted}`"))?;
        let mut bytes = Vec::new();
        let cell = first.get(index).with_context(|| format!("line 1 has no column {wanted}"))?.trim();
        let is_heading = !first.iter().any(|cell| cell.trim().parse::<f64>().is_ok());
        if first_is_data && !is_heading {
            let value: f64 = cell.parse().with_context(|| format!("`{cell}` in line 1 is no number"))?;
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        for (line, record) in (2_u64..).zip(records) {
            let record = record?;
            let cell =
                record.get(index).with_context(|| format!("line {line} has no column {wanted}"))?.trim();
            let value: f64 = cell.parse().with_context(|| format!("`{cell}` in line {line} is no number"))?;
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        Ok(bytes.into())
    }
}

/// Prints a column of the reply: its bytes as they are, or a number a line.
pub(crate) fn print(bytes: &[u8], raw: bool) -> io::Result<()> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    if raw {
        stdout.write_all(bytes)?;
    } else {
        let (doubles, _) = bytes.as_chunks::<{ size_of::<f64>() }>();
        let mut line = String::new();
        for double in doubles {
            line.clear();
            // A float has no digits that could be too many.
            let _ = calc::Value::Float(f64::from_le_bytes(*double)).write_json(&mut line);
            writeln!(stdout, "{}", client::printed(&line))?;
        }
    }
    stdout.flush()
}
