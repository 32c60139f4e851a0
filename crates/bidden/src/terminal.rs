//! What people see: bidden's own messages on stderr, and the text of others made harmless for a terminal.

use std::io::{self, IsTerminal as _, Write};

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;

/// Says on stderr what went wrong. Colour only on a terminal and without `NO_COLOR`.
pub(crate) fn complain(message: &str) {
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    // Where nobody can be told there is nothing else to do.
    let _ = writeln!(anstream::stderr(), "{red}bidden:{red:#} {}", harmless(message));
}

/// An error and its causes. A cause that the text before it ends with is not said again.
pub(crate) fn with_causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.ends_with(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

/// Says on stderr what is going on.
pub(crate) fn inform(message: &str) {
    let _ = writeln!(io::stderr(), "{}", harmless(message));
}

/// Says that a log has only rotated files, if it has.
pub(crate) fn note_absence_of(log: &std::path::Path) {
    if !log.exists() {
        inform(&format!("bidden: {} itself is not there: the latest records may be missing", log.display()));
    }
}

/// Passes on what a remote command printed: byte for byte into a file or a pipe, without control characters to a
/// terminal, which would obey them.
pub(crate) fn pass_on(stream: &mut (impl Write + io::IsTerminal), bytes: &[u8]) -> io::Result<()> {
    if stream.is_terminal() {
        stream.write_all(harmless(&String::from_utf8_lossy(bytes)).as_bytes())?;
    } else {
        stream.write_all(bytes)?;
    }
    stream.flush()
}

/// Prints text of bidden's own on stdout.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    pass_on(&mut io::stdout(), text.as_bytes()).context("cannot print")
}

/// Whether a person watches stderr.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Text of others that comes in pieces, made harmless for a terminal: a character that comes in two pieces is kept whole.
#[derive(Default)]
pub(crate) struct HarmlessPieces {
    begun: Vec<u8>,
}

impl HarmlessPieces {
    /// What can be shown when this piece has come.
    pub(crate) fn next(&mut self, piece: &[u8]) -> String {
        self.begun.extend_from_slice(piece);
        let begun = self.begun.split_off(self.begun.len().saturating_sub(begun_character(&self.begun)));
        let shown = harmless(&String::from_utf8_lossy(&self.begun));
        self.begun = begun;
        shown
    }

    /// What is left when no more pieces come.
    pub(crate) fn rest(&mut self) -> String {
        harmless(&String::from_utf8_lossy(&std::mem::take(&mut self.begun)))
    }
}

/// How many bytes at the end could be the beginning of a character.
fn begun_character(bytes: &[u8]) -> usize {
    let is_begun = |length: &usize| {
        let end = bytes.len().checked_sub(*length).and_then(|start| bytes.get(start..));
        end.is_some_and(|end| {
            std::str::from_utf8(end)
                .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
    };
    (1..=3).find(is_begun).unwrap_or(0)
}

/// The text with every control and direction-changing character spelled out, except line ends and tabs.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => out.push(character),
            '\r' => {}
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.extend(character.escape_unicode());
            }
            _ if character.is_control() => out.extend(character.escape_default()),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{HarmlessPieces, harmless, with_causes};

    #[test]
    fn a_cause_is_said_once_whichever_error_says_it() {
        #[derive(Debug)]
        struct Says(&'static str, Option<Box<Says>>);
        impl std::fmt::Display for Says {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.0)
            }
        }
        impl std::error::Error for Says {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                self.1.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static))
            }
        }
        let said = |outer, inner| with_causes(&Says(outer, Some(Box::new(Says(inner, None)))).into());
        assert_eq!(said("cannot read f", "no such file"), "cannot read f: no such file");
        assert_eq!(said("cannot read f: no such file", "no such file"), "cannot read f: no such file");
        assert_eq!(with_causes(&anyhow::anyhow!("f: gone").context("f")), "f: f: gone");
    }

    #[test]
    fn a_character_that_comes_in_pieces_is_whole() {
        let text = "Grüße 世界 🦀\u{1b}[m";
        for size in 1..5 {
            let mut pieces = HarmlessPieces::default();
            let mut shown: String = text.as_bytes().chunks(size).map(|piece| pieces.next(piece)).collect();
            shown.push_str(&pieces.rest());
            assert_eq!(shown, r"Grüße 世界 🦀\u{1b}[m", "{size}");
        }
        let mut pieces = HarmlessPieces::default();
        assert_eq!(pieces.next(b"a\xf0\x9f"), "a");
        assert_eq!(pieces.next(b"b"), "\u{fffd}b", "what does not go on is no character");
        assert_eq!(pieces.next(b"\xe4\xb8"), "");
        assert_eq!(pieces.rest(), "\u{fffd}");
        assert_eq!(pieces.rest(), "");
    }

    #[test]
    fn a_terminal_gets_nothing_to_obey() {
        assert_eq!(harmless("a\tb\r\nc"), "a\tb\nc");
        assert_eq!(harmless("\u{1b}[2J\u{9b}1m\u{7}"), r"\u{1b}[2J\u{9b}1m\u{7}");
        assert_eq!(harmless("x\u{202e}y"), r"x\u{202e}y");
        assert_eq!(harmless("Grüße 世界"), "Grüße 世界");
    }
}
