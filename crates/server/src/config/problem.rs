//! What is wrong with a configuration: where it stands, what is wrong, and what was perhaps meant.

use std::fmt;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was named.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

impl Problem {
    /// `FILE:LINE:COLUMN: warning: what is perhaps not wanted`.
    pub fn warning(&self) -> String {
        let Self { file, line, column, message } = self;
        format!("{file}:{line}:{column}: warning: {message}")
    }
}

/// `FILE:LINE:COLUMN: what is wrong`, as compilers say it and editors understand it.
impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message } = self;
        write!(formatter, "{file}:{line}:{column}: {message}")
    }
}

/// Something wrong at a byte of the text.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

/// The text of a configuration, for turning bytes into lines and columns.
#[derive(Clone, Copy)]
pub(super) struct Source<'t> {
    pub(super) file: &'t str,
    pub(super) text: &'t str,
}

impl Source<'_> {
    pub(super) fn problem(&self, fault: Fault) -> Problem {
        let before = self.text.get(..fault.at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
        let in_line = before.get(line_start..).unwrap_or_default();
        Problem {
            file: self.file.to_owned(),
            line: self.line(fault.at),
            column: count(in_line.chars()).saturating_add(1),
            message: fault.message,
        }
    }

    pub(super) fn line(&self, at: usize) -> u32 {
        let before = self.text.get(..at).unwrap_or(self.text);
        count(before.matches('\n')).saturating_add(1)
    }
}

fn count(items: impl Iterator) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

/// What to say behind a word that is not one of those that may stand there: the nearest, or all of them.
pub(super) fn suggestion<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&word.to_lowercase(), candidate);
    let nearest = known.iter().map(|candidate| (distance(candidate), *candidate)).min();
    match nearest {
        None => "; there is none yet".to_owned(),
        // Words that share less than half of their letters are no misspellings of each other.
        Some((distance, candidate)) if distance.saturating_mul(2) <= candidate.chars().count() => {
            format!("; did you mean `{candidate}`?")
        }
        Some(_) => format!(
            "; known are {}",
            known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Text of the file as it may stand in a message.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    format!("`{short}`")
}

#[cfg(test)]
mod tests {
    use super::{Fault, Source, suggestion};

    #[test]
    fn the_place_is_counted_in_lines_and_characters() {
        let source = Source { file: "f", text: "ä=1\nü = ö" };
        let place = |at| source.problem(Fault::new(at, "x")).to_string();
        assert_eq!(place(0), "f:1:1: x");
        assert_eq!(place(2), "f:1:2: x");
        assert_eq!(place(5), "f:2:1: x");
        assert_eq!(place(10), "f:2:5: x");
        assert_eq!(place(1000), "f:2:6: x");
    }

    #[test]
    fn the_nearest_word_is_suggested_and_far_ones_are_listed() {
        let known = ["program", "options", "operands"];
        assert_eq!(suggestion("programm", known), "; did you mean `program`?");
        assert_eq!(suggestion("Options", known), "; did you mean `options`?");
        assert_eq!(suggestion("oeprands", known), "; did you mean `operands`?");
        assert_eq!(suggestion("shell", known), "; known are `program`, `options`, `operands`");
        assert_eq!(suggestion("x", []), "; there is none yet");
    }
}
