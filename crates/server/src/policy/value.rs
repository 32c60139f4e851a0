//! The types of argument values and their grammars.
//!
//! Before any type is asked, a value must be unable to act as anything but a value: no control or format character,
//! and no first character that programs take for the start of an option or of a file of arguments.

use std::net::IpAddr;

/// Longest value, in bytes.
const MAX_VALUE_BYTES: usize = 4096;

/// Longest host name (RFC 1123 section 2.1, RFC 1035 section 2.3.4).
const MAX_HOST_BYTES: usize = 253;

/// Longest label of a host name (RFC 1035 section 2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// The type of an argument's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A decimal integer within bounds, both included.
    Integer {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// An IPv4 or IPv6 address, or a host name by RFC 1123.
    Host,
    /// One of these words.
    OneOf(Vec<String>),
}

impl Kind {
    /// Whether a client's text is a value of this type.
    pub fn accepts(&self, text: &str) -> bool {
        if !is_plain_value(text) {
            return false;
        }
        match self {
            Self::Integer { min, max } => integer(text).is_some_and(|value| (*min..=*max).contains(&value)),
            Self::Host => is_host(text),
            Self::OneOf(words) => words.iter().any(|word| word == text),
        }
    }

    /// The type in words, to stand behind "must be".
    pub fn expectation(&self) -> String {
        match self {
            Self::Integer { min, max } => format!("an integer from {min} to {max}"),
            Self::Host => "an IP address or a host name".to_owned(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
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
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Digits only: no sign, no space, no leading zero that some program could take for octal.
fn integer(text: &str) -> Option<i64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && digits { text.parse().ok() } else { None }
}

fn is_host(text: &str) -> bool {
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or(name);
    // A name that ends in a number would be read as an address in one of the spellings of inet_aton(3).
    let is_number =
        last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
    name.len() <= MAX_HOST_BYTES && !is_number && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let permitted = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=MAX_LABEL_BYTES).contains(&label.len())
        && label.bytes().all(permitted)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[track_caller]
    fn host(text: &str, expected: bool) {
        assert_eq!(Kind::Host.accepts(text), expected, "{text:?}");
    }

    #[test]
    fn hosts_are_addresses_or_names() {
        host("127.0.0.1", true);
        host("::1", true);
        host("2001:db8::1", true);
        host("localhost", true);
        host("a-b.example.org", true);
        host("example.org.", true);
        host("3com.com", true);
        host(&"a".repeat(63), true);
        host(&"a".repeat(64), false);
        host(&format!("{}.com", "a.".repeat(126)), false);
        host("", false);
        host(".", false);
        host("a..b", false);
        host("-a", false);
        host("a-", false);
        host("a_b", false);
        host("127.1", false);
        host("0x7f000001", false);
        host("256.1.1.1", false);
        host("fe80::1%eth0", false);
        host("ünïcode.org", false);
    }

    #[test]
    fn nothing_of_a_shell_is_a_host() {
        for text in
            ["127.0.0.1;id", "$(id)", "`id`", "127.0.0.1 -p", "a b", "a|b", "a&b", "a>b", "a'b", "a\\b", "a*"]
        {
            host(text, false);
        }
        host(&"a.".repeat(2048), false);
    }

    #[test]
    fn no_control_or_format_character_passes_in_any_kind() {
        let kind = Kind::OneOf(vec!["a\u{0}".into(), "a\n".into(), "a\u{202e}".into()]);
        for character in
            (0..0x20).chain([0x7f, 0x85, 0x2028, 0x2029, 0x202e, 0xfeff]).filter_map(char::from_u32)
        {
            host(&format!("a{character}"), false);
            assert!(!kind.accepts(&format!("a{character}")));
        }
    }

    #[test]
    fn no_value_starts_like_an_option() {
        let dashes = [
            '-', '+', '@', '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2212}',
        ];
        for first in dashes {
            let text = format!("{first}x");
            assert!(!Kind::OneOf(vec![text.clone()]).accepts(&text), "{text:?}");
        }
    }

    #[test]
    fn integers_are_canonical_and_bounded() {
        let kind = Kind::Integer { min: 1, max: 20 };
        for text in ["1", "4", "20"] {
            assert!(kind.accepts(text), "{text}");
        }
        for text in ["0", "21", "04", "+4", "-4", " 4", "4 ", "4.0", "0x4", "", "99999999999999999999", "٤"]
        {
            assert!(!kind.accepts(text), "{text}");
        }
    }

    #[test]
    fn words_are_exact() {
        let kind = Kind::OneOf(vec!["aux".into()]);
        assert!(kind.accepts("aux"));
        assert!(!kind.accepts("AUX") && !kind.accepts("au") && !kind.accepts(""));
    }
}
