//! JSON as Python's `json` writes it, and as every parser reads it.
//!
//! Python writes `Infinity`, `-Infinity` and `NaN`, which JSON does not have, and numbers that no double holds, which
//! many parsers refuse (RFC 7493, section 2.2). Respelled they have the tags of `"numbers":"strict"`. Nothing is
//! validated here: text that is not JSON before is not JSON afterwards, and a parser says so.

use std::borrow::Cow;

use serde::Deserialize;

/// No integer of fewer digits is beyond the range of doubles.
const LARGEST_DOUBLE_DIGITS: usize = 309;

/// JSON text in which each number is one that every parser reads, or has a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrictJson<'a>(Cow<'a, [u8]>);

impl<'a> StrictJson<'a> {
    /// Respells JSON as Python writes it; copies nothing where there is nothing to change.
    pub fn respelled(json: &'a [u8]) -> Self {
        Self(respell(json).map_or(Cow::Borrowed(json), Cow::Owned))
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What [`read`] keeps of a text that it had to respell.
#[derive(Debug, Default)]
pub struct Respelled(Vec<u8>);

/// Reads JSON as Python writes it. Text that is strict JSON, as almost all is, is read as it stands; other text is
/// respelled into `respelled`, and read from there.
///
/// # Errors
/// The text is not JSON, or not a `T`.
pub fn read<'t, T: Deserialize<'t>>(json: &'t [u8], respelled: &'t mut Respelled) -> serde_json::Result<T> {
    serde_json::from_slice(json).or_else(|error| {
        respelled.0 = respell(json).ok_or(error)?;
        serde_json::from_slice(&respelled.0)
    })
}

/// Spells tagged numbers as Python's `json` does: `Infinity`, `-Infinity`, `NaN`, and all digits of an integer.
pub fn untagged(json: &str) -> Cow<'_, str> {
    if !json.contains(TAG) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    // Within a string the quotation mark would be escaped, so this is the beginning of an object.
    while let Some((before, tagged)) = rest.split_once(TAG) {
        out.push_str(before);
        let value = |tag: &str| tagged.strip_prefix(tag)?.strip_prefix("\":\"")?.split_once("\"}");
        let spelled = match value("float") {
            Some((number, behind)) => python_float(number).map(|number| (number, behind)),
            None => value("int"),
        };
        let (number, behind) = spelled.unwrap_or((TAG, tagged));
        out.push_str(number);
        rest = behind;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// A value as people read it: a number that is none as Python prints it, everything else as JSON.
pub fn printed(json: &str) -> Cow<'_, str> {
    match untagged(json) {
        number if number == "Infinity" => Cow::Borrowed("inf"),
        number if number == "-Infinity" => Cow::Borrowed("-inf"),
        number if number == "NaN" => Cow::Borrowed("nan"),
        other => other,
    }
}

/// How the object of a tagged number begins.
const TAG: &str = "{\"$";

/// What `{"$float":"…"}` holds, as Python's `json` spells it.
pub(crate) fn python_float(tagged: &str) -> Option<&'static str> {
    match tagged {
        "inf" => Some("Infinity"),
        "-inf" => Some("-Infinity"),
        "nan" => Some("NaN"),
        _ => None,
    }
}

/// The text with tags, where it needs any.
pub(crate) fn respell(json: &[u8]) -> Option<Vec<u8>> {
    if !may_need_tags(json) {
        return None;
    }
    let mut out = Vec::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(&byte) = json.get(at) {
        let rest = json.get(at..).unwrap_or_default();
        let token = match byte {
            b'"' => string_length(rest),
            _ => rest.iter().position(|byte| !is_of_a_token(*byte)).unwrap_or(rest.len()),
        };
        let end = at.saturating_add(token.max(1));
        if let Some((before, number, behind)) = rest.get(..token).and_then(tags) {
            out.extend_from_slice(json.get(copied..at).unwrap_or_default());
            out.extend_from_slice(before.as_bytes());
            out.extend_from_slice(number);
            out.extend_from_slice(behind.as_bytes());
            copied = end;
        }
        at = end;
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(json.get(copied..).unwrap_or_default());
    Some(out)
}

/// Whether there can be anything to tag: quickly, because it is asked of every request and reply.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "lazy operators are branches, which keep it to a byte at a time"
)]
fn may_need_tags(json: &[u8]) -> bool {
    let next = json.get(1..).unwrap_or_default();
    // Without an early end the compiler looks at many bytes at once.
    json.len() >= LARGEST_DOUBLE_DIGITS
        || json.iter().zip(next).fold(false, |found, (&byte, &next)| {
            found
                | ((byte == b'N') & (next == b'a'))
                | ((byte == b'I') & (next == b'n'))
                | (byte.is_ascii_digit() & (next | 0x20 == b'e'))
        })
}

/// How many brackets stand within each other at most.
pub(crate) fn depth(json: &str) -> usize {
    let bytes = json.as_bytes();
    let (mut at, mut open, mut deepest) = (0_usize, 0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        let mut length = 1;
        match byte {
            b'"' => length = string_length(bytes.get(at..).unwrap_or_default()),
            b'[' | b'{' => open = open.saturating_add(1),
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = open.max(deepest);
        at = at.saturating_add(length);
    }
    deepest
}

/// The bytes of a string up to behind its end, or of all that follows where it has none.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1_usize;
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at = at.saturating_add(found).saturating_add(1);
        match text.get(at.saturating_sub(1)) {
            Some(b'\\') => at = at.saturating_add(1),
            _ => return at,
        }
    }
    text.len()
}

/// What a number or a word consists of, and what would make it another one if it stood beside it.
fn is_of_a_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_' | b'$') || !byte.is_ascii()
}

/// What stands for a token: its tag, its text, and the end of the tag.
fn tags(token: &[u8]) -> Option<(&'static str, &[u8], &'static str)> {
    const FLOAT: &str = "{\"$float\":\"";
    const INT: &str = "{\"$int\":\"";
    const END: &str = "\"}";
    match token {
        b"Infinity" => return Some((FLOAT, b"inf", END)),
        b"-Infinity" => return Some((FLOAT, b"-inf", END)),
        b"NaN" => return Some((FLOAT, b"nan", END)),
        [b'-' | b'0'..=b'9', ..] => {}
        _ => return None,
    }
    let is_integer = !token.iter().any(|byte| matches!(byte, b'e' | b'E' | b'.'));
    if token.len() < LARGEST_DOUBLE_DIGITS && !token.iter().any(|byte| matches!(byte, b'e' | b'E')) {
        return None;
    }
    let text = std::str::from_utf8(token).ok().filter(|text| is_number(text))?;
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => None,
        Ok(_) if is_integer => Some((INT, token, END)),
        Ok(number) if number > 0.0 => Some((FLOAT, b"inf", END)),
        Ok(_) => Some((FLOAT, b"-inf", END)),
        Err(_) => None,
    }
}

/// Whether this is a number of JSON's grammar.
pub(crate) fn is_number(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
        && text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && text.ends_with(|last: char| last.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{Respelled, StrictJson, printed, read, untagged};
    use proptest::prelude::*;

    #[track_caller]
    fn check(json: &str, strict: &str) {
        let respelled = StrictJson::respelled(json.as_bytes());
        assert_eq!(std::str::from_utf8(respelled.as_bytes()).expect("UTF-8"), strict);
    }

    #[test]
    fn numbers_that_json_lacks_get_tags_wherever_they_stand() {
        let infinity = r#"{"$float":"inf"}"#;
        check("Infinity", infinity);
        check("-Infinity", r#"{"$float":"-inf"}"#);
        check(" NaN\n", " {\"$float\":\"nan\"}\n");
        check("[1,Infinity, -1.5]", &format!("[1,{infinity}, -1.5]"));
        check(r#"{"a":{"b":[[NaN]]}}"#, r#"{"a":{"b":[[{"$float":"nan"}]]}}"#);
        check("1e400", infinity);
        check("[-1E+999,1e-999,1e308,1.8e308]", &format!(r#"[{{"$float":"-inf"}},1e-999,1e308,{infinity}]"#));
        let large = "9".repeat(309);
        check(&format!("[{large},-{large}.5]"), &format!(r#"[{{"$int":"{large}"}},{{"$float":"-inf"}}]"#));
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for json in [
            "",
            "1",
            "18446744073709551617",
            "1e5",
            "null",
            r#"{"expression":"NaN, Infinity, 1e400"}"#,
            r#"["\"",": NaN, "]"#,
            r#"["\\", "NaN"]"#,
            r#"{"NaN":1}"#,
            // Not JSON, and not made JSON.
            "[-NaN]",
            "[NaNs]",
            "[1NaN]",
            "[Infinity1]",
            "[+Infinity]",
            "[--Infinity]",
            "[01e400]",
            "[1.e400]",
            "[NaN\u{e9}]",
            "\"NaN",
            "\"NaN\\",
        ] {
            check(json, json);
        }
        assert!(read::<serde_json::Value>(b"{NaN:1}", &mut Respelled::default()).is_err());
    }

    #[test]
    fn tags_are_taken_off_for_people_and_python() {
        for (json, python) in [
            (r#"{"$float":"inf"}"#, "Infinity"),
            (r#"[{"$float":"-inf"},{"$int":"12"}]"#, "[-Infinity,12]"),
            (r#"{"$complex":[{"$float":"nan"},0.0]}"#, r#"{"$complex":[NaN,0.0]}"#),
            (r#"{"$float":"x"}"#, r#"{"$float":"x"}"#),
            (r#""{\"$float\":\"inf\"}""#, r#""{\"$float\":\"inf\"}""#),
        ] {
            assert_eq!(untagged(json), python);
        }
        assert_eq!([printed("NaN"), printed("-Infinity"), printed("1.5")], ["nan", "-inf", "1.5"]);
        assert_eq!(printed(r#"{"$float":"inf"}"#), "inf");
    }

    /// Values as Python's `json` writes them.
    fn python_json() -> impl Strategy<Value = String> {
        let number = prop_oneof![
            Just("NaN".to_owned()),
            Just("Infinity".to_owned()),
            Just("-Infinity".to_owned()),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<f64>()
                .prop_filter("finite", |number| number.is_finite())
                .prop_map(|number| format!("{number:e}")),
            "[1-9][0-9]{300,320}",
            "-?[1-9]e[0-9]{3}",
        ];
        let text = "(NaN|Infinity|[\"\\\\:,{}$ ]|1e400){0,4}";
        let text = text.prop_map(|text: String| serde_json::to_string(&text).expect("a string"));
        prop_oneof![number, text, Just("null".to_owned())].prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|items| format!("[{}]", items.join(", "))),
                prop::collection::btree_map("[a-zA-Z]{0,3}|NaN", inner, 0..4).prop_map(|entries| {
                    let entries: Vec<_> =
                        entries.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
                    format!("{{{}}}", entries.join(", "))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_python_writes_every_parser_reads(json in python_json()) {
            let strict = StrictJson::respelled(json.as_bytes());
            let value: serde_json::Value = serde_json::from_slice(strict.as_bytes()).expect("JSON");
            prop_assert_eq!(read::<serde_json::Value>(json.as_bytes(), &mut Respelled::default()).expect("JSON"), value);
            prop_assert_eq!(StrictJson::respelled(strict.as_bytes()), StrictJson::respelled(strict.as_bytes()));
            let again = StrictJson::respelled(strict.as_bytes());
            prop_assert_eq!(again.as_bytes(), strict.as_bytes());
        }

        #[test]
        fn no_text_becomes_json_by_it(text in "[NaInfity\\-0-9.eE\\[\\]{}:,\" \\\\]{0,24}") {
            let strict = StrictJson::respelled(text.as_bytes());
            if strict.as_bytes() != text.as_bytes() {
                // A parser that has the same numbers takes both or none.
                let known = text.replace("-Infinity", "-1").replace("Infinity", "1").replace("NaN", "1");
                let is_json = |json: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(json).is_ok();
                prop_assert_eq!(is_json(strict.as_bytes()), is_json(known.as_bytes()), "{}", text);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = StrictJson::respelled(&bytes);
        }
    }
}
