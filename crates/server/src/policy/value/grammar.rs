//! The grammars of values that need no more than their text.

use std::net::IpAddr;

use super::decimal::Decimal;

/// Longest host name (RFC 1123 section 2.1, RFC 1035 section 2.3.4).
const MAX_HOST_BYTES: usize = 253;

/// Longest label of a host name (RFC 1035 section 2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// Longest name.
const MAX_NAME_BYTES: usize = 64;

/// Perhaps `-`, and digits: no `+`, no space, no leading zero that some program could take for octal.
pub(super) fn integer(text: &str) -> Option<Decimal> {
    number(text).filter(|_| !text.contains('.'))
}

pub(super) fn is_host(text: &str) -> bool {
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

/// Perhaps `-`, digits, and perhaps a point and digits: no exponent, no `inf`, no negative zero.
pub(super) fn number(text: &str) -> Option<Decimal> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let whole = unsigned.split('.').next().unwrap_or(unsigned);
    let canonical = whole == "0" || whole.starts_with(|first: char| matches!(first, '1'..='9'));
    let plain = unsigned.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value = if canonical && plain { Decimal::parse(text)? } else { return None };
    (value.is_negative() == text.starts_with('-')).then_some(value)
}

/// Whether this is a name, of a user or a command: 1 to 64 ASCII letters, digits, `_`, and behind the first character
/// `.` and `-`.
pub fn is_name(text: &str) -> bool {
    let permitted = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(permitted) && !text.starts_with(['.', '-'])
}

/// Letters and digits of any script, ASCII punctuation and the space.
pub(super) fn is_printable(text: &str) -> bool {
    text.chars().all(|character| matches!(character, ' '..='~') || character.is_alphanumeric())
}
