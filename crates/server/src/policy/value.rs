//! The types of argument values. `docs/policy.md` gives the grammar of each.
//!
//! Before any type is asked, a value must be unable to act as anything but a value: no control or format character,
//! and no first character that programs take for the start of an option or of a file of arguments.

mod beneath;
mod grammar;
mod pattern;

use std::borrow::Cow;
use std::net::IpAddr;

pub use grammar::is_name;

pub use beneath::{InvalidRoot, Root};
pub use pattern::{InvalidPattern, Pattern};

/// Longest value, in bytes.
const MAX_VALUE_BYTES: usize = 4096;

/// The type of an argument's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A decimal integer within bounds, both included.
    Integer {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// A decimal number within bounds, both included.
    Number {
        /// The smallest.
        min: f64,
        /// The largest.
        max: f64,
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
    Path(Root),
    /// Printable text of a length within bounds, both included, in characters.
    Text {
        /// The shortest.
        min_length: usize,
        /// The longest.
        max_length: usize,
    },
}

impl Kind {
    /// The argument that a client's text stands for, where it is a value of this type.
    pub fn argument<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        if !is_plain_value(text) {
            return None;
        }
        let accepted = match self {
            Self::Integer { min, max } => {
                grammar::integer(text).is_some_and(|value| (*min..=*max).contains(&value))
            }
            Self::Number { min, max } => {
                grammar::number(text).is_some_and(|value| (*min..=*max).contains(&value))
            }
            Self::Host => grammar::is_host(text),
            Self::Address => text.parse::<IpAddr>().is_ok(),
            Self::Name => is_name(text),
            Self::OneOf(words) => words.iter().any(|word| word == text),
            Self::Pattern(pattern) => pattern.matches(text),
            Self::Text { min_length, max_length } => {
                grammar::is_printable(text) && (*min_length..=*max_length).contains(&text.chars().count())
            }
            Self::Path(root) => return root.resolve(text).map(Cow::Owned),
        };
        accepted.then_some(Cow::Borrowed(text))
    }

    /// The type in words, to stand behind "must be".
    pub fn expectation(&self) -> String {
        match self {
            Self::Integer { min, max } => format!("an integer from {min} to {max}"),
            Self::Number { min, max } => format!("a number from {min} to {max}"),
            Self::Host => "an IP address or a host name".to_owned(),
            Self::Address => "an IP address".to_owned(),
            Self::Name => "a name of letters, digits, `.`, `_` and `-`".to_owned(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Pattern(pattern) => format!("a text that matches {pattern}"),
            Self::Path(root) => format!("a file beneath {root}"),
            Self::Text { min_length, max_length } => {
                format!("{min_length} to {max_length} characters of printable text")
            }
        }
    }
}

/// Whether no program can take the text for anything but a value.
pub(super) fn is_plain_value(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    text.len() <= MAX_VALUE_BYTES && !starts_something_else(first) && !text.chars().any(is_invisible)
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
mod tests {
    use super::{Kind, Pattern};

    #[track_caller]
    fn check(kind: &Kind, accepted: &[&str], refused: &[&str]) {
        for text in accepted {
            assert_eq!(kind.argument(text).as_deref(), Some(*text), "{text:?}");
        }
        for text in refused {
            assert_eq!(kind.argument(text), None, "{text:?}");
        }
    }

    fn every_kind() -> Vec<Kind> {
        vec![
            Kind::Integer { min: 0, max: i64::MAX },
            Kind::Number { min: 0.0, max: f64::MAX },
            Kind::Host,
            Kind::Address,
            Kind::Name,
            Kind::OneOf(vec!["a\n".into(), "-a".into(), "\u{202e}".into(), String::new()]),
            Kind::Pattern(Pattern::new("(?s).*").expect("valid")),
            Kind::Path(super::Root::new("/".into()).expect("a directory")),
            Kind::Text { min_length: 0, max_length: 5000 },
        ]
    }

    #[test]
    fn hosts() {
        let accepted = ["127.0.0.1", "::1", "2001:db8::1", "localhost", "a-b.example.org", "example.org."];
        check(&Kind::Host, &accepted, &["", ".", "a..b", "-a", "a-", "a_b", "127.1", "0x7f000001"]);
        check(&Kind::Host, &["3com.com"], &["256.1.1.1", "fe80::1%eth0", "ünïcode.org"]);
        check(&Kind::Host, &[&"a".repeat(63)], &[&"a".repeat(64), &format!("{}.com", "a.".repeat(126))]);
    }

    #[test]
    fn nothing_of_a_shell_is_a_host() {
        let commands = [
            "127.0.0.1;id",
            "$(id)",
            "`id`",
            "127.0.0.1 -p",
            "a b",
            "a|b",
            "a&b",
            "a>b",
            "a'b",
            "a\\b",
            "a*",
        ];
        check(&Kind::Host, &[], &commands);
        check(&Kind::Host, &[], &[&"a.".repeat(2048)]);
    }

    #[test]
    fn addresses() {
        check(&Kind::Address, &["127.0.0.1", "::1", "::ffff:1.2.3.4"], &["localhost", "1.2.3", "1.2.3.04"]);
        check(&Kind::Address, &[], &["", "1.2.3.4/8", "[::1]", "fe80::1%eth0", "1.2.3.4 "]);
    }

    #[test]
    fn names() {
        check(&Kind::Name, &["nginx", "a", "_x", "9p", "php8.2-fpm", "sda1"], &["", ".hidden", "-a", "a/b"]);
        check(&Kind::Name, &[&"a".repeat(64)], &[&"a".repeat(65), "a b", "a;b", "a@b", "ä", "a\n", "a$"]);
    }

    #[test]
    fn integers_are_canonical_and_bounded() {
        let kind = Kind::Integer { min: 1, max: 20 };
        check(&kind, &["1", "4", "20"], &["0", "21", "04", "+4", "-4", " 4", "4 ", "4.0", "0x4", "", "1e1"]);
        check(&kind, &[], &["99999999999999999999", "٤", "1_0"]);
    }

    #[test]
    fn numbers_are_plain_decimals_and_bounded() {
        let kind = Kind::Number { min: 0.5, max: 10.0 };
        check(&kind, &["0.5", "1", "2.75", "10", "10.000"], &["0.4", "10.1", "01", "1.", ".5", "-1", "+1"]);
        check(&kind, &[], &["", "1e0", "inf", "nan", "NaN", "0x1", "1,5", "1.5 ", "٤", &"1".repeat(40)]);
    }

    #[test]
    fn words_are_exact() {
        let kind = Kind::OneOf(vec!["aux".into(), "a b".into()]);
        check(&kind, &["aux", "a b"], &["AUX", "au", "", "auxx", "aux "]);
    }

    #[test]
    fn patterns_are_anchored_at_both_ends() {
        let kind = |pattern| Kind::Pattern(Pattern::new(pattern).expect("valid"));
        check(&kind("[a-z]+"), &["abc"], &["abc1", "1abc", "", "abc\n", "ABC", "abc def"]);
        check(&kind("a|ab"), &["a", "ab"], &["abc", "b"]);
        check(&kind("a|b"), &["a", "b"], &["ax", "xb", "ab"]);
        check(&kind("^a$"), &["a"], &["aa", "ba"]);
        check(&kind("(?m)^a$"), &["a"], &["a\nb", "b\na"]);
        check(&kind(r"\d{2}"), &["12"], &["1", "123", "١٢"]);
        check(&kind("(?s).*"), &["a b;c"], &["ä", "-a", "@a"]);
        // A pattern that takes a backtracking engine exponential time.
        check(&kind("(a*)*b"), &["b"], &[&"a".repeat(4096)]);
    }

    #[test]
    fn text_is_printable_and_bounded() {
        let kind = Kind::Text { min_length: 2, max_length: 5 };
        check(&kind, &["ab", "a b.c", "Grüße", "世界", "a;$(b"], &["a", "abcdef", "a\tb", "a\u{a0}b", "-ab"]);
        check(&kind, &[], &["a\u{e000}b", "a\u{300}b", "@ab", "a\u{3000}b"]);
    }

    #[test]
    fn no_control_or_format_character_passes_in_any_kind() {
        for kind in every_kind() {
            for character in
                (0..0x20).chain([0x7f, 0x85, 0x2028, 0x2029, 0x202e, 0xfeff]).filter_map(char::from_u32)
            {
                check(
                    &kind,
                    &[],
                    &[&format!("a{character}"), &format!("{character}"), &format!("1{character}")],
                );
            }
        }
    }

    #[test]
    fn no_value_starts_like_an_option_in_any_kind() {
        let dashes = [
            '-', '+', '@', '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2212}',
        ];
        for kind in every_kind() {
            for first in dashes {
                check(&kind, &[], &[&format!("{first}a"), &format!("{first}1"), &format!("{first}")]);
            }
        }
    }

    #[test]
    fn no_value_is_empty_or_endless_in_any_kind() {
        for kind in every_kind() {
            check(&kind, &[], &["", &"1".repeat(4097)]);
        }
    }
}
