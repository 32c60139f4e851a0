//! Regular expressions of a policy: matched from end to end, in time linear in the text, compiled when it is loaded.

use std::collections::BTreeSet;
use std::fmt;

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::parse::Parser as AstParser;

use super::beginning::{Firsts, firsts, written_signs};

/// Largest compiled pattern, in bytes of memory.
const MAX_COMPILED_BYTES: usize = 64 * 1024;

/// A pattern that matches whole texts of ASCII.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: String,
    anchored: Regex,
    firsts: Firsts,
    signs: BTreeSet<char>,
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPattern(String);

impl Pattern {
    /// Compiles a pattern in the syntax of the `regex` crate.
    ///
    /// # Errors
    /// A syntax error, or a pattern that is too large.
    pub fn new(source: &str) -> Result<Self, InvalidPattern> {
        let compile = |pattern: &str| {
            RegexBuilder::new(pattern)
                .size_limit(MAX_COMPILED_BYTES)
                .build()
                .map_err(|error| InvalidPattern(last_line(&error.to_string())))
        };
        // By itself first: `a)|(b` must not become valid inside the anchored group.
        compile(source)?;
        let anchored = compile(&format!(r"\A(?:{source})\z"))?;
        let wrong = |error: String| InvalidPattern(last_line(&error));
        let ast = AstParser::new().parse(source).map_err(|error| wrong(error.to_string()))?;
        let hir = regex_syntax::parse(source).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { source: source.to_owned(), anchored, firsts: firsts(&hir), signs: written_signs(&ast) })
    }

    /// Whether the pattern writes this sign where its texts begin.
    pub(super) fn names(&self, sign: char) -> bool {
        self.signs.contains(&sign)
    }

    /// The first characters of the texts that it matches.
    pub(super) fn firsts(&self) -> Firsts {
        self.firsts
    }

    /// Whether the pattern matches the whole text. `\d` and `\w` mean ASCII, because nothing else gets so far.
    pub(super) fn matches(&self, text: &str) -> bool {
        text.is_ascii() && self.anchored.is_match(text)
    }
}

/// A syntax error is drawn over several lines, of which the last says what is wrong.
fn last_line(message: &str) -> String {
    message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// The pattern as it stands in the policy.
impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn what_is_wrong_with_a_pattern_is_said() {
        for (pattern, words) in [
            ("a)|(b", "unopened group"),
            ("[a-", "unclosed character class"),
            ("(?x)a # b", "unclosed group"),
            (r"(a)\1", "backreferences are not supported"),
            ("a(?=b)", "look-around"),
            ("(a{1000}){1000}", "size limit"),
        ] {
            let error = Pattern::new(pattern).expect_err(pattern).to_string();
            assert!(error.contains(words), "{pattern}: {error}");
        }
    }
}
