//! Each type with what it takes and what it refuses, and what holds for all of them.

use super::{Beneath, Decimal, Kind, Pattern, Place, Root};

const PLACES: [Place; 4] = [Place::OptionValue, Place::BehindSeparator, Place::Operand, Place::Environment];

#[track_caller]
fn check(kind: &Kind, accepted: &[&str], refused: &[&str]) {
    for place in PLACES {
        for text in accepted {
            assert_eq!(kind.argument(text, place).as_deref(), Ok(*text), "{text:?}");
        }
        for text in refused {
            assert_eq!(kind.argument(text, place), Err(kind.expectation(place)), "{text:?}");
        }
    }
}

/// What a kind takes at each place, in the order of `PLACES`: `v` an option's value, `s` behind `--`, `o` an operand
/// without it, `e` in a variable.
#[track_caller]
fn takes(kind: &Kind, text: &str, places: &str) {
    let taken: String = PLACES
        .iter()
        .zip("vsoe".chars())
        .filter(|(place, _)| kind.argument(text, **place).is_ok())
        .map(|(_, letter)| letter)
        .collect();
    assert_eq!(taken, places, "{kind:?} {text:?}");
}

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).expect("a number")
}

fn number(min: &str, max: &str) -> Kind {
    Kind::Number { min: decimal(min), max: decimal(max) }
}

fn pattern(source: &str) -> Kind {
    Kind::Pattern(Pattern::new(source).expect("valid"))
}

fn one_of(words: &[&str]) -> Kind {
    Kind::OneOf(words.iter().map(|word| (*word).to_owned()).collect())
}

/// None of these writes a sign where its values begin.
fn every_kind() -> Vec<Kind> {
    vec![
        Kind::integer(0, i64::MAX),
        number("0", "1e308"),
        Kind::Host,
        Kind::Address,
        Kind::Name,
        one_of(&["a\n", "\u{202e}", ""]),
        pattern("(?s).*"),
        Kind::Path(Beneath::new(Root::new("/".into()).expect("a directory"))),
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
    let commands =
        ["127.0.0.1;id", "$(id)", "`id`", "127.0.0.1 -p", "a b", "a|b", "a&b", "a>b", "a'b", "a\\b", "a*"];
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
    let kind = Kind::integer(1, 20);
    check(&kind, &["1", "4", "20"], &["0", "21", "04", "+4", "-4", " 4", "4 ", "4.0", "0x4", "", "1e1"]);
    check(&kind, &[], &["99999999999999999999", "٤", "1_0"]);
    let (min, max) = (decimal("18446744073709551615"), decimal("340282366920938463463374607431768211455"));
    check(
        &Kind::Integer { min, max },
        &["18446744073709551615", "18446744073709551616", "340282366920938463463374607431768211455"],
        &["18446744073709551614", "340282366920938463463374607431768211456", "1", "0018446744073709551615"],
    );
}

#[test]
fn numbers_are_plain_decimals_and_bounded() {
    let kind = number("0.5", "10.0");
    check(&kind, &["0.5", "1", "2.75", "10", "10.000"], &["0.4", "10.1", "01", "1.", ".5", "-1", "+1"]);
    check(&kind, &[], &["", "1e0", "inf", "nan", "NaN", "0x1", "1,5", "1.5 ", "٤", &"1".repeat(41)]);
    check(&kind, &[], &["1.5.5", "1..5", "-0.5", "1-5", "1.-5", "1.+5", "1.5e-1"]);
}

#[test]
fn numbers_are_compared_digit_by_digit() {
    check(
        &number("0.1", "5"),
        &["5", "5.0000000000000000", "0.1", "0.10000000000000000001", "4.9999999999999999999"],
        &["5.0000000000000001", "5.00000000000000000000000000000000000001", "0.0999999999999999999999"],
    );
    check(&number("0", "9007199254740992"), &["9007199254740992"], &["9007199254740993"]);
    check(&number("0", "1e3"), &["1000", "1000.0"], &["1000.00000000000000001"]);
}

#[test]
fn numbers_below_zero_pass_where_the_rule_has_them_and_nothing_takes_them_for_an_option() {
    for kind in [Kind::integer(-5, 5), number("-5", "5")] {
        takes(&kind, "-5", "vse");
        takes(&kind, "5", "vsoe");
        for text in ["-6", "-0", "-05", "--5", "- 5", "+5", "-", "−5", "-5e0"] {
            takes(&kind, text, "");
        }
    }
    takes(&number("-5", "5"), "-0.5", "vse");
    takes(&number("-5", "5"), "-5.0000000000000001", "");
    takes(&number("-5", "5"), "-0.0", "");
    takes(&Kind::integer(0, 5), "-1", "");
}

#[test]
fn words_are_exact() {
    let kind = one_of(&["aux", "a b"]);
    check(&kind, &["aux", "a b"], &["AUX", "au", "", "auxx", "aux "]);
}

#[test]
fn patterns_are_anchored_at_both_ends() {
    let kind = pattern;
    check(&kind("[a-z]+"), &["abc"], &["abc1", "1abc", "", "abc\n", "ABC", "abc def"]);
    check(&kind("a|ab"), &["a", "ab"], &["abc", "b"]);
    check(&kind("a|b"), &["a", "b"], &["ax", "xb", "ab"]);
    check(&kind("^a$"), &["a"], &["aa", "ba"]);
    check(&kind("(?m)^a$"), &["a"], &["a\nb", "b\na"]);
    check(&kind(r"\d{2}"), &["12"], &["1", "123", "١٢"]);
    check(&kind("(?s).*"), &["a b;c"], &["ä"]);
    // A pattern that takes a backtracking engine exponential time.
    check(&kind("(a*)*b"), &["b"], &[&"a".repeat(4096)]);
}

#[test]
fn text_is_printable_and_bounded() {
    let kind = Kind::Text { min_length: 2, max_length: 5 };
    check(&kind, &["ab", "a b.c", "Grüße", "世界", "a;$(b"], &["a", "abcdef", "a\tb", "a\u{a0}b"]);
    check(&kind, &[], &["a\u{e000}b", "a\u{300}b", "a\u{3000}b"]);
}

#[test]
fn no_control_or_format_character_passes_in_any_kind() {
    for kind in every_kind() {
        for character in
            (0..0x20).chain([0x7f, 0x85, 0x2028, 0x2029, 0x202e, 0xfeff]).filter_map(char::from_u32)
        {
            check(&kind, &[], &[&format!("a{character}"), &format!("{character}"), &format!("1{character}")]);
        }
    }
}

const SIGNS: [char; 13] = [
    '-', '+', '@', '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2212}',
    '\u{fe58}', '\u{fe63}', '\u{ff0d}',
];

#[test]
fn no_value_starts_like_an_option_in_any_kind_whose_rule_does_not_write_it_so() {
    for kind in every_kind() {
        for place in [Place::OptionValue, Place::BehindSeparator, Place::Operand] {
            for first in SIGNS {
                for text in
                    [format!("{first}a"), format!("{first}1"), format!("{first}"), format!("{first}{first}a")]
                {
                    // A file of such a name would be an absolute path.
                    assert!(kind.argument(&text, place).is_err(), "{kind:?} {text}");
                }
            }
        }
    }
}

#[test]
fn no_value_starts_with_a_dash_where_a_program_could_take_it_for_an_option() {
    let every_rule = [one_of(&["-a", "--", "-"]), pattern("-.*"), Kind::integer(-9, 9), number("-9", "9")];
    for kind in every_kind().into_iter().chain(every_rule) {
        for text in ["-a", "--", "-1", "-.5", "--a=1", "-"] {
            match kind.argument(text, Place::Operand) {
                Err(_) => {}
                Ok(value) => assert!(value == "-" || value.starts_with('/'), "{kind:?} {text}"),
            }
        }
    }
}

#[test]
fn words_begin_as_the_rule_lists_them() {
    let words = one_of(&["+%F", "@127.0.0.1", "-1h", "\u{2013}x", "-"]);
    for (text, places) in
        [("+%F", "vsoe"), ("@127.0.0.1", "vsoe"), ("-1h", "vse"), ("\u{2013}x", "vsoe"), ("-", "vsoe")]
    {
        takes(&words, text, places);
    }
    for text in ["+%s", "+", "@", "-1", "--", "@127.0.0.1 "] {
        takes(&words, text, "");
    }
}

#[test]
fn patterns_begin_with_the_signs_that_they_write_there() {
    for (source, text, places) in [
        (r"[@~]?[0-9]*:?[0-9]*", "@1:5", "vsoe"),
        (r"[@~]?[0-9]*:?[0-9]*", "~:10", "vsoe"),
        (r"@[0-9.]+", "@127.0.0.1", "vsoe"),
        (r"\+[0-9]+", "+5", "vsoe"),
        (r"[+-]?[0-9]+", "+7", "vsoe"),
        (r"[+-]?[0-9]+", "-7", "vse"),
        (r"[+-]?[0-9]+", "7", "vsoe"),
        (r"-[0-9]+h|now", "-1h", "vse"),
        (r"@?-?[0-9]+", "@-5", "vsoe"),
        (r"@?-?[0-9]+", "-5", "vse"),
        (r"^(?:-1|(?P<x>\+))\d$", "-12", "vse"),
        (r"(?x) \+ [0-9]", "+1", "vsoe"),
        (r"(?i)@[a-z]{0,3}", "@A", "vsoe"),
        (r"[@]{0,2}x", "@@x", "vsoe"),
        // What only lets signs through does not ask for them; a variable takes them.
        (r".*", "-x", "e"),
        (r"[^a-z]+", "+1", "e"),
        (r"[a-z0-9.@+-]+", "-rf", "e"),
        (r"[a-z0-9.@+-]+", "@x", "e"),
        (r"[ -~]+", "-rf", "e"),
        (r"[*-/]1", "-1", "e"),
        (r"[a-z]*-x", "-x", "e"),
        (r"(?:[a-z]+|x?)@y", "@y", "e"),
        (r"\S+", "--x", "e"),
        (r"[[:punct:]]x", "-x", "e"),
        (r"(.?-)x", "-x", "e"),
    ] {
        takes(&pattern(source), text, places);
    }
}

#[test]
fn a_secret_may_begin_with_any_sign() {
    let text = Kind::Text { min_length: 1, max_length: 20 };
    for secret in ["-rf", "--x", "+1", "@file", "\u{2212}1", "-"] {
        assert_eq!(text.argument(secret, Place::Environment).is_ok(), secret.is_ascii(), "{secret}");
        takes(&pattern("(?s).+"), secret, if secret.is_ascii() { "e" } else { "" });
    }
    takes(&text, "-\n", "");
}

#[test]
fn what_is_said_of_a_value_is_true() {
    let text = Kind::Text { min_length: 1, max_length: 5 };
    let signs = ", the first none of `-`, `+`, `@` and other dashes";
    for (kind, place, words) in [
        (&text, Place::OptionValue, &*format!("1 to 5 characters of printable text{signs}")),
        (&text, Place::Environment, "1 to 5 characters of printable text"),
        (&pattern("[+-]?[0-9]+"), Place::OptionValue, "a text that matches [+-]?[0-9]+"),
        (
            &pattern("[+-]?[0-9]+"),
            Place::Operand,
            "a text that matches [+-]?[0-9]+ and does not begin with `-`",
        ),
        (
            &pattern("[a-z@-]+"),
            Place::Operand,
            "a text that matches [a-z@-]+ and does not begin with `-` or `@`",
        ),
        (&pattern("[a-z]+"), Place::Operand, "a text that matches [a-z]+"),
    ] {
        assert_eq!(kind.expectation(place), words);
    }
    assert!(Kind::Name.expectation(Place::Operand).ends_with("that begins with a letter, a digit or `_`"));
}

#[test]
fn a_pattern_that_no_value_can_match_is_known() {
    for (source, place) in [
        ("", Place::OptionValue),
        ("^$", Place::OptionValue),
        ("-[a-z]+", Place::Operand),
        ("[-]x", Place::Operand),
        ("ä+", Place::OptionValue),
        (r"a\nb", Place::OptionValue),
        (r"\t?", Place::OptionValue),
        ("[a-z]$x", Place::OptionValue),
        ("x^[a-z]", Place::OptionValue),
        ("(?:.?-|-)x{0}", Place::Operand),
        ("a[^ -~]", Place::OptionValue),
    ] {
        let has_values = pattern(source).has_values(place);
        assert_eq!(has_values, source == "(?:.?-|-)x{0}", "{source}");
    }
    for source in ["a", ".", "a?", "[+-]?x", r"\d+$", r"\bx\b", "(?i)A", "[^a]", "ä?b", "@x", r"\+[0-9]+"] {
        assert!(pattern(source).has_values(Place::Operand), "{source}");
    }
}

#[test]
fn no_value_is_empty_or_endless_in_any_kind() {
    for kind in every_kind() {
        check(&kind, &[], &["", &"1".repeat(4097)]);
    }
}
