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

/// Says on stderr what is going on.
pub(crate) fn inform(message: &str) {
    let _ = writeln!(io::stderr(), "{}", harmless(message));
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
    use super::harmless;

    #[test]
    fn a_terminal_gets_nothing_to_obey() {
        assert_eq!(harmless("a\tb\r\nc"), "a\tb\nc");
        assert_eq!(harmless("\u{1b}[2J\u{9b}1m\u{7}"), r"\u{1b}[2J\u{9b}1m\u{7}");
        assert_eq!(harmless("x\u{202e}y"), r"x\u{202e}y");
        assert_eq!(harmless("Grüße 世界"), "Grüße 世界");
    }
}
