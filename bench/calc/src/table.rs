//! The one table: a row for each subject, a column for each expression, medians over the rounds.

use std::fmt::Write as _;

/// The subject that the others are compared with.
pub(crate) const OURS: &str = "**bidden**";
const COLUMNS: usize = 3;

#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

struct Row {
    name: String,
    /// The measurements of each expression.
    cells: [Vec<f64>; COLUMNS],
}

impl Table {
    pub(crate) fn add(&mut self, name: &str, column: usize, nanoseconds: f64) {
        if let Some(cell) = self.row(name).and_then(|row| row.cells.get_mut(column)) {
            cell.push(nanoseconds);
        }
    }

    /// Notes that a subject is not there to be measured.
    pub(crate) fn skip(&mut self, name: &str) {
        self.row(name);
    }

    fn row(&mut self, name: &str) -> Option<&mut Row> {
        let place = self.rows.iter().position(|row| row.name == name).unwrap_or(self.rows.len());
        if place == self.rows.len() {
            self.rows.push(Row { name: name.to_owned(), cells: Default::default() });
        }
        self.rows.get_mut(place)
    }

    /// The table in Markdown.
    pub(crate) fn text(&self, headings: &[&str; COLUMNS]) -> String {
        let ours = self.rows.iter().find(|row| row.name == OURS);
        let mut lines =
            vec![std::iter::once("").chain(headings.iter().copied()).map(str::to_owned).collect()];
        for row in &self.rows {
            let mut line = vec![row.name.clone()];
            for (column, cell) in row.cells.iter().enumerate() {
                let ours = ours.and_then(|ours| ours.cells.get(column)).and_then(|cell| median(cell));
                line.push(match (median(cell), ours) {
                    (None, _) if row.cells.iter().all(Vec::is_empty) => "skipped".to_owned(),
                    (None, _) => "–".to_owned(),
                    (Some(own), Some(ours)) if row.name != OURS => {
                        format!("{} ({})", number(own), number(own / ours))
                    }
                    (Some(own), _) => number(own),
                });
            }
            lines.push(line);
        }
        layout(&lines)
    }
}

fn median(measurements: &[f64]) -> Option<f64> {
    let mut sorted = measurements.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// Three digits.
fn number(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn layout(lines: &[Vec<String>]) -> String {
    let mut widths = [0; COLUMNS + 1];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for (place, line) in lines.iter().enumerate() {
        for (width, cell) in widths.iter().zip(line) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if place == 0 {
            for width in widths {
                let _ = write!(text, "| {} ", "-".repeat(width));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_the_median_and_its_multiple_of_ours() {
        let mut table = Table::default();
        for nanoseconds in [30.0, 10.0, 20.0] {
            table.add(OURS, 0, nanoseconds);
            table.add("rival", 0, nanoseconds * 3.0);
        }
        table.skip("missing");
        let text = table.text(&["one", "two", "three"]);
        assert!(text.contains("| **bidden** | 20.0 "), "{text}");
        assert!(text.contains("| rival      | 60.0 (3.00) | –       |"), "{text}");
        assert!(text.contains("| missing    | skipped "), "{text}");
    }
}
