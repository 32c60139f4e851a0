//! Text that came from outside, as it may stand in a log that people read on a terminal.
//!
//! Every character that is not plain, visible text becomes a JSON escape: the line stays one line, the terminal
//! obeys nothing, and nothing is shown in another order than it was written.

/// Appends any text as a JSON string.
pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) && !text.contains(['"', '\\']) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        let mut json = Vec::with_capacity(text.len().saturating_add(2));
        // Writing into memory cannot fail, and a string has no key that could be refused.
        let _ = serde_json::to_writer(&mut json, text);
        push_json(out, &json);
    }
}

/// Appends a JSON value that is syntactically valid. White space between its tokens becomes spaces; inside its
/// strings, which hold no raw control character below U+0020, the rest of what is not plain is escaped.
pub(super) fn push_json(out: &mut Vec<u8>, json: &[u8]) {
    if is_plain(json) {
        out.extend_from_slice(json);
        return;
    }
    for character in String::from_utf8_lossy(json).chars() {
        match character {
            ' '..='~' => out.push(character as u8),
            '\t' | '\n' | '\r' => out.push(b' '),
            _ if is_visible(character) => {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            }
        }
    }
}

fn is_plain(bytes: &[u8]) -> bool {
    // Without an early end the compiler looks at many bytes at once.
    bytes.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

/// Letters and digits of any script. Marks, separators, format and private characters are escaped rather than
/// sorted into harmless and harmful ones.
fn is_visible(character: char) -> bool {
    character.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::{push_json, push_text};
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, escaped: &str) {
        let mut out = Vec::new();
        push_text(&mut out, text);
        assert_eq!(String::from_utf8(out).expect("UTF-8"), escaped);
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        check("plain", "\"plain\"");
        check("a\"b\\c", r#""a\"b\\c""#);
        check("a\r\nb", r#""a\r\nb""#);
        check("\u{1b}[2J", r#""\u001b[2J""#);
        check("\u{1b}]52;c;AAAA\u{7}", r#""\u001b]52;c;AAAA\u0007""#);
        check("\u{9b}31m\u{7f}", r#""\u009b31m\u007f""#);
        check("\u{202e}abc\u{2066}\u{feff}\u{2028}", r#""\u202eabc\u2066\ufeff\u2028""#);
        check("Grüße, 世界", "\"Grüße, 世界\"");
        check("\u{e0041}", r#""\udb40\udc41""#);
    }

    #[test]
    fn a_json_value_stays_one_line() {
        let mut out = Vec::new();
        push_json(&mut out, "{\n\t\"a\u{202e}\" :\r\n[1,\"\u{7f}\"]}".as_bytes());
        assert_eq!(String::from_utf8(out).expect("UTF-8"), r#"{  "a\u202e" :  [1,"\u007f"]}"#);
    }

    proptest! {
        #[test]
        fn the_text_can_be_read_back_and_is_one_plain_line(text in any::<String>()) {
            let mut out = Vec::new();
            push_text(&mut out, &text);
            let line = String::from_utf8(out).expect("UTF-8");
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert_eq!(serde_json::from_str::<String>(&line).expect("JSON"), text);
        }
    }
}
