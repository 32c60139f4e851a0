//! The types of argument values. `docs/policy.md` gives the grammar of each.
//!
//! Before any type is asked, a value must be visible text, and must not begin like an option or a file of arguments,
//! except where the rule itself writes such a beginning and the value stands where the program takes it for a value.

mod beginning;
mod beneath;
mod decimal;
mod grammar;
mod pattern;

use std::borrow::Cow;
use std::net::IpAddr;

pub use grammar::is_name;

pub use beneath::{Beneath, FileKind, InvalidRoot, Links, Root};
pub use decimal::{Decimal, MAX_EXPONENT, MAX_NUMBER_BYTES};
pub use pattern::{InvalidPattern, Pattern};

/// Longest value, in bytes.
const MAX_VALUE_BYTES: usize = 4096;

/// The type of an argument's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A decimal integer within bounds, both included.
    Integer {
        /// The smallest.
        min: Decimal,
        /// The largest.
        max: Decimal,
    },
    /// A decimal number within bounds, both included.
    Number {
        /// The smallest.
        min: Decimal,
        /// The largest.
        max: Decimal,
    },
    /// An IPv4 or IPv6 address, or a host name by RFC 1123.
    Host,
    /// An IPv4 or IPv6 address.
    Address,
    /// A word like the names of services, users and devices.
    Name,
    /// One of these words.
    OneOf(Vec<String>),
    /// A text that a regular expression matches from its first character to its last.
    Pattern(Pattern),
    /// A file that exists beneath a directory.
    Path(Beneath),
    /// Printable text of a length within bounds, both included, in characters.
    Text {
        /// The shortest.
        min_length: usize,
        /// The longest.
        max_length: usize,
    },
}

/// Where a value stands in what the program gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is an option's own argument.
    OptionValue,
    /// It is an operand behind `--`.
    BehindSeparator,
    /// It is an operand, and no `--` stands before it.
    Operand,
    /// It is in a variable, which no program takes for an option.
    Environment,
}

impl Kind {
    /// An integer within bounds, both included.
    pub fn integer(min: i64, max: i64) -> Self {
        Self::Integer { min: min.into(), max: max.into() }
    }

    /// The argument that a client's text stands for, where it is a value of this type that may stand there.
    ///
    /// # Errors
    /// What it must be, to stand behind "must be".
    pub fn argument<'t>(&self, text: &'t str, place: Place) -> Result<Cow<'t, str>, String> {
        let refused = || self.expectation(place);
        let may_begin = text.chars().next().is_some_and(|first| self.may_begin(first, place));
        // A dash alone is the name of standard input and no option (POSIX utility syntax guideline 13).
        if !is_plain(text) || !(may_begin || text == "-" && matches!(self, Self::OneOf(_))) {
            return Err(refused());
        }
        let within =
            |value: Option<Decimal>, min, max| value.is_some_and(|value| min <= &value && &value <= max);
        let accepted = match self {
            Self::Integer { min, max } => within(grammar::integer(text), min, max),
            Self::Number { min, max } => within(grammar::number(text), min, max),
            Self::Host => grammar::is_host(text),
            Self::Address => text.parse::<IpAddr>().is_ok(),
            Self::Name => is_name(text),
            Self::OneOf(words) => words.iter().any(|word| word == text),
            Self::Pattern(pattern) => pattern.matches(text),
            Self::Text { min_length, max_length } => {
                grammar::is_printable(text) && (*min_length..=*max_length).contains(&text.chars().count())
            }
            Self::Path(beneath) => {
                return match beneath.resolve(text) {
                    Ok(path) if is_plain(&path) => Ok(Cow::Owned(path)),
                    Ok(_) | Err("") => Err(refused()),
                    Err(reason) => Err(format!("{} ({reason})", refused())),
                };
            }
        };
        if accepted { Ok(Cow::Borrowed(text)) } else { Err(refused()) }
    }

    /// Whether values of this type may begin so at that place.
    pub fn may_begin(&self, first: char, place: Place) -> bool {
        match (place, first) {
            (Place::Environment, _) => true,
            // A path is made absolute, and begins with `/`.
            _ if !starts_something_else(first) || matches!(self, Self::Path(_)) => true,
            (Place::Operand, '-') => false,
            _ => self.names(first),
        }
    }

    /// Whether the rule itself says that values begin with this sign.
    fn names(&self, sign: char) -> bool {
        match self {
            Self::OneOf(words) => words.iter().any(|word| word.starts_with(sign)),
            Self::Integer { min, .. } | Self::Number { min, .. } => sign == '-' && min.is_negative(),
            Self::Pattern(pattern) => pattern.names(sign),
            Self::Host | Self::Address | Self::Name | Self::Path(_) | Self::Text { .. } => false,
        }
    }

    /// Whether some values of this type begin with `-` at that place.
    pub fn takes_dashes(&self, place: Place) -> bool {
        !matches!(self, Self::Path(_)) && self.may_begin('-', place) && self.names('-')
    }

    /// Whether there may be a value of this type at that place: only patterns can be without.
    pub fn has_values(&self, place: Place) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.firsts().any(|first| self.may_begin(first, place)),
            _ => true,
        }
    }

    /// The type in words, to stand behind "must be".
    pub fn expectation(&self, place: Place) -> String {
        match self {
            Self::Integer { min, max } => format!("an integer from {min} to {max}"),
            Self::Number { min, max } => format!("a number from {min} to {max}"),
            Self::Host => "an IP address or a host name".to_owned(),
            Self::Address => "an IP address".to_owned(),
            Self::Name => {
                "a name of letters, digits, `.`, `_` and `-` that begins with a letter, a digit or `_`"
                    .to_owned()
            }
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Pattern(pattern) => {
                let refused = |sign: &char| pattern.firsts().contains(*sign) && !self.may_begin(*sign, place);
                let signs: Vec<_> = ['-', '+', '@']
                    .iter()
                    .filter(|sign| refused(sign))
                    .map(|sign| format!("`{sign}`"))
                    .collect();
                let but = if signs.is_empty() { "" } else { " and does not begin with " };
                format!("a text that matches {pattern}{but}{}", signs.join(" or "))
            }
            Self::Path(Beneath { root, files, .. }) => match files {
                FileKind::FileOrDirectory => format!("a file or a directory beneath {root}"),
                FileKind::File => format!("a file beneath {root}"),
                FileKind::Directory => format!("a directory beneath {root}"),
                FileKind::Any => format!("anything that exists beneath {root}"),
            },
            Self::Text { min_length, max_length } => {
                let but = if place == Place::Environment {
                    ""
                } else {
                    ", the first none of `-`, `+`, `@` and other dashes"
                };
                format!("{min_length} to {max_length} characters of printable text{but}")
            }
        }
    }
}

/// Whether the text is visible, and no longer than a value may be.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_VALUE_BYTES && !text.chars().any(is_invisible)
}

/// `-` and its Unicode likenesses and `+` start options, `@` names a file of arguments.
fn starts_something_else(first: char) -> bool {
    matches!(
        first,
        '-' | '+' | '@' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}'
    )
}

/// Control characters, line and paragraph separators, and the format characters that reorder or hide text
/// (Unicode categories Cc, Cf, Zl, Zp).
pub(crate) fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests;
