//! The cases that no JSON parser may accept, rebuilt after the names that nst/JSONTestSuite gives them (`n_…`), each as a
//! frame by itself and as a value inside a request: every one is refused, in words, and none is a panic.
#![allow(clippy::expect_used, reason = "a test may panic")]

use wire::{ErrorCode, decode_request};

/// What stands at the place of a value.
const VALUES: &[(&str, &[u8])] = &[
    ("array_1_true_without_comma", b"[1 true]"),
    ("array_a_invalid_utf8", b"[a\xe5]"),
    ("array_colon_instead_of_comma", b"[\"\": 1]"),
    ("array_comma_after_close", b"[\"\"],"),
    ("array_comma_and_number", b"[,1]"),
    ("array_double_comma", b"[1,,2]"),
    ("array_double_extra_comma", b"[\"x\",,]"),
    ("array_extra_close", b"[\"x\"]]"),
    ("array_extra_comma", b"[\"\",]"),
    ("array_incomplete", b"[\"x\""),
    ("array_incomplete_invalid_value", b"[x"),
    ("array_inner_array_no_comma", b"[3[4]]"),
    ("array_invalid_utf8", b"[\xff]"),
    ("array_items_separated_by_semicolon", b"[1:2]"),
    ("array_just_comma", b"[,]"),
    ("array_just_minus", b"[-]"),
    ("array_missing_value", b"[   , \"\"]"),
    ("array_newlines_unclosed", b"[\"a\",\n4\n,1,"),
    ("array_number_and_comma", b"[1,]"),
    ("array_number_and_several_commas", b"[1,,]"),
    ("array_spaces_vertical_tab_formfeed", b"[\"\x0ba\"\\f]"),
    ("array_star_inside", b"[*]"),
    ("array_unclosed", b"[\"\""),
    ("array_unclosed_trailing_comma", b"[1,"),
    ("array_unclosed_with_new_lines", b"[1,\n1\n,1"),
    ("array_unclosed_with_object_inside", b"[{}"),
    ("incomplete_false", b"[fals]"),
    ("incomplete_null", b"[nul]"),
    ("incomplete_true", b"[tru]"),
    ("multidigit_number_then_00", b"123\0"),
    ("number_plus_plus", b"[++1234]"),
    ("number_plus_1", b"[+1]"),
    ("number_plus_Inf", b"[+Inf]"),
    ("number_minus_01", b"[-01]"),
    ("number_minus_1.0.", b"[-1.0.]"),
    ("number_minus_2.", b"[-2.]"),
    ("number_minus_NaN", b"[-NaN]"),
    ("number_.-1", b"[.-1]"),
    ("number_.2e-3", b"[.2e-3]"),
    ("number_0.1.2", b"[0.1.2]"),
    ("number_0.3e", b"[0.3e]"),
    ("number_0.3e_plus", b"[0.3e+]"),
    ("number_0.e1", b"[0.e1]"),
    ("number_0_capital_E", b"[0E]"),
    ("number_0_capital_E_plus", b"[0E+]"),
    ("number_0e", b"[0e]"),
    ("number_0e_plus", b"[0e+]"),
    ("number_1.0e", b"[1.0e]"),
    ("number_1.0e_minus", b"[1.0e-]"),
    ("number_1.0e_plus", b"[1.0e+]"),
    ("number_1_000", b"[1 000.0]"),
    ("number_1eE2", b"[1eE2]"),
    ("number_2.e_plus_3", b"[2.e+3]"),
    ("number_2.e_minus_3", b"[2.e-3]"),
    ("number_2.e3", b"[2.e3]"),
    ("number_9.e_plus", b"[9.e+]"),
    ("number_expression", b"[1+2]"),
    ("number_hex_1_digit", b"[0x1]"),
    ("number_hex_2_digits", b"[0x42]"),
    ("number_infinity", b"[Infinity]"),
    ("number_Inf", b"[Inf]"),
    ("number_invalid_plus_minus", b"[0e+-1]"),
    ("number_invalid_negative_real", b"[-123.123foo]"),
    ("number_invalid_utf8_in_bigger_int", b"[123\xe5]"),
    ("number_invalid_utf8_in_exponent", b"[1e1\xe5]"),
    ("number_invalid_utf8_in_int", b"[0\xe5]\n"),
    ("number_minus_infinity", b"[-Infinity]"),
    ("number_minus_sign_with_trailing_garbage", b"[-foo]"),
    ("number_minus_space_1", b"[- 1]"),
    ("number_NaN", b"[NaN]"),
    ("number_neg_int_starting_with_zero", b"[-012]"),
    ("number_neg_real_without_int_part", b"[-.123]"),
    ("number_neg_with_garbage_at_end", b"[-1x]"),
    ("number_real_garbage_after_e", b"[1ea]"),
    ("number_real_with_invalid_utf8_after_e", b"[1e\xe5]"),
    ("number_real_without_fractional_part", b"[1.]"),
    ("number_starting_with_dot", b"[.123]"),
    ("number_U+FF11_fullwidth_digit_one", "[１]".as_bytes()),
    ("number_with_alpha", b"[1.2a-3]"),
    ("number_with_alpha_char", b"[1.8011670033376514H-308]"),
    ("number_with_leading_zero", b"[012]"),
    ("object_bad_value", b"[\"x\", truth]"),
    ("object_bracket_key", b"{[: \"x\"}\n"),
    ("object_comma_instead_of_colon", b"{\"x\", null}"),
    ("object_double_colon", b"{\"x\"::\"b\"}"),
    ("object_emoji", "{🇨🇭}".as_bytes()),
    ("object_garbage_at_end", b"{\"a\":\"a\" 123}"),
    ("object_key_with_single_quotes", b"{key: 'value'}"),
    ("object_lone_continuation_byte_in_key_and_trailing_comma", b"{\"\xb9\":\"0\",}"),
    ("object_missing_colon", b"{\"a\" b}"),
    ("object_missing_key", b"{:\"b\"}"),
    ("object_missing_semicolon", b"{\"a\" \"b\"}"),
    ("object_missing_value", b"{\"a\":"),
    ("object_no_colon", b"{\"a\""),
    ("object_non_string_key", b"{1:1}"),
    ("object_non_string_key_but_huge_number_instead", b"{9999E9999:1}"),
    ("object_repeated_null_null", b"{null:null,null:null}"),
    ("object_several_trailing_commas", b"{\"id\":0,,,,,}"),
    ("object_single_quote", b"{'a':0}"),
    ("object_trailing_comma", b"{\"id\":0,}"),
    ("object_trailing_comment", b"{\"a\":\"b\"}/**/"),
    ("object_trailing_comment_open", b"{\"a\":\"b\"}/**//"),
    ("object_trailing_comment_slash_open", b"{\"a\":\"b\"}//"),
    ("object_trailing_comment_slash_open_incomplete", b"{\"a\":\"b\"}/"),
    ("object_two_commas_in_a_row", b"{\"a\":\"b\",,\"c\":\"d\"}"),
    ("object_unquoted_key", b"{a: \"b\"}"),
    ("object_unterminated_value", b"{\"a\":\"a"),
    ("object_with_single_string", b"{ \"foo\" : \"bar\", \"a\" }"),
    ("object_with_trailing_garbage", b"{\"a\":\"b\"}#"),
    ("single_space", b" "),
    ("string_1_surrogate_then_escape", b"[\"\\uD800\\\"]"),
    ("string_1_surrogate_then_escape_u", b"[\"\\uD800\\u\"]"),
    ("string_1_surrogate_then_escape_u1", b"[\"\\uD800\\u1\"]"),
    ("string_1_surrogate_then_escape_u1x", b"[\"\\uD800\\u1x\"]"),
    ("string_accentuated_char_no_quotes", "[é]".as_bytes()),
    ("string_backslash_00", b"[\"\\\0\"]"),
    ("string_escape_x", b"[\"\\x00\"]"),
    ("string_escaped_backslash_bad", b"[\"\\\\\\\"]"),
    ("string_escaped_ctrl_char_tab", b"[\"\\\t\"]"),
    ("string_escaped_emoji", "[\"\\🌀\"]".as_bytes()),
    ("string_incomplete_escape", b"[\"\\\"]"),
    ("string_incomplete_escaped_character", b"[\"\\u00A\"]"),
    ("string_incomplete_surrogate", b"[\"\\uD834\\uDd\"]"),
    ("string_incomplete_surrogate_escape_invalid", b"[\"\\uD800\\uD800\\x\"]"),
    ("string_invalid-utf-8-in-escape", b"[\"\\u\xe5\"]"),
    ("string_invalid_backslash_esc", b"[\"\\a\"]"),
    ("string_invalid_unicode_escape", b"[\"\\uqqqq\"]"),
    ("string_invalid_utf8_after_escape", b"[\"\\\xe5\"]"),
    ("string_leading_uescaped_thinspace", b"[\\u0020\"asd\"]"),
    ("string_no_quotes_with_bad_escape", b"[\\n]"),
    ("string_single_doublequote", b"\""),
    ("string_single_quote", b"['single quote']"),
    ("string_single_string_no_double_quotes", b"abc"),
    ("string_start_escape_unclosed", b"[\"\\"),
    ("string_unescaped_ctrl_char", b"[\"a\0a\"]"),
    ("string_unescaped_newline", b"[\"new\nline\"]"),
    ("string_unescaped_tab", b"[\"\t\"]"),
    ("string_unicode_CapitalU", b"\"\\UA66D\""),
    ("string_with_trailing_garbage", b"\"\"x"),
    ("structure_angle_bracket_.", b"<.>"),
    ("structure_angle_bracket_null", b"[<null>]"),
    ("structure_array_trailing_garbage", b"[1]x"),
    ("structure_array_with_extra_array_close", b"[1]]"),
    ("structure_array_with_unclosed_string", b"[\"asd]"),
    ("structure_ascii-unicode-identifier", "aå".as_bytes()),
    ("structure_capitalized_True", b"[True]"),
    ("structure_close_unopened_array", b"1]"),
    ("structure_comma_instead_of_closing_brace", b"{\"x\": true,"),
    ("structure_double_array", b"[][]"),
    ("structure_end_array", b"]"),
    ("structure_incomplete_UTF8_BOM", b"\xef\xbb{}"),
    ("structure_lone-invalid-utf-8", b"\xe5"),
    ("structure_lone-open-bracket", b"["),
    ("structure_no_data", b""),
    ("structure_null-byte-outside-string", b"[\0]"),
    ("structure_number_with_trailing_garbage", b"2@"),
    ("structure_object_followed_by_closing_object", b"{}}"),
    ("structure_object_unclosed_no_value", b"{\"\":"),
    ("structure_object_with_comment", b"{\"a\":/*comment*/\"b\"}"),
    ("structure_object_with_trailing_garbage", b"{\"a\": true} \"x\""),
    ("structure_open_array_apostrophe", b"['"),
    ("structure_open_array_comma", b"[,"),
    ("structure_open_array_open_object", b"[{"),
    ("structure_open_array_open_string", b"[\"a"),
    ("structure_open_array_string", b"[\"a\""),
    ("structure_open_object", b"{"),
    ("structure_open_object_close_array", b"{]"),
    ("structure_open_object_comma", b"{,"),
    ("structure_open_object_open_array", b"{["),
    ("structure_open_object_open_string", b"{\"a"),
    ("structure_open_object_string_with_apostrophes", b"{'a'"),
    ("structure_open_open", b"[\"\\{[\"\\{[\"\\{[\"\\{"),
    ("structure_single_eacute", b"\xe9"),
    ("structure_single_star", b"*"),
    ("structure_trailing_#", b"{\"a\":\"b\"}#{}"),
    ("structure_U+2060_word_joined", "[\u{2060}]".as_bytes()),
    ("structure_uescaped_LF_before_string", b"[\\u000A\"\"]"),
    ("structure_unclosed_array", b"[1"),
    ("structure_unclosed_array_partial_null", b"[ false, nul"),
    ("structure_unclosed_array_unfinished_false", b"[ true, fals"),
    ("structure_unclosed_array_unfinished_true", b"[ false, tru"),
    ("structure_unclosed_object", b"{\"asd\":\"asd\""),
    ("structure_unicode-identifier", "å".as_bytes()),
    ("structure_UTF8_BOM_no_data", b"\xef\xbb\xbf"),
    ("structure_whitespace_formfeed", b"[\x0c]"),
    ("structure_whitespace_U+2060_word_joiner", "[\u{2060}]".as_bytes()),
];

#[track_caller]
fn refused(name: &str, frame: &[u8]) {
    let error = decode_request(frame).expect_err(name);
    assert_eq!(error.code, ErrorCode::InvalidRequest, "{name}");
    assert!(!error.message.is_empty(), "{name}");
}

#[test]
fn what_is_not_json_is_no_request_wherever_it_stands() {
    assert!(VALUES.len() >= 180, "{}", VALUES.len());
    for (name, value) in VALUES {
        refused(name, value);
        for key in ["command_type", "variables", "parameters", "id", "timeout", "unknown"] {
            let head = format!("{{\"command_type\":\"os\",\"command_name\":\"id\",\"{key}\":");
            refused(name, &[head.as_bytes(), value, b"}"].concat());
        }
        let request = br#"{"command_type":"compute","expression":"1"}"#;
        if !value.iter().all(u8::is_ascii_whitespace) {
            refused(name, &[&request[..], value].concat());
            refused(name, &[value, &request[..]].concat());
        }
    }
}

#[test]
fn depth_ends_in_words_and_not_in_the_stack() {
    for (name, open) in [
        ("structure_100000_opening_arrays", "["),
        ("structure_open_array_object", "[{\"\":"),
        ("objects", "{\"a\":"),
    ] {
        let deep = open.repeat(60_000 / open.len());
        refused(name, deep.as_bytes());
        refused(name, format!("{{\"variables\":{deep}").as_bytes());
        refused(name, format!("{{\"command_type\":\"compute\",\"variables\":{{\"x\":{deep}").as_bytes());
    }
}

#[test]
fn what_one_parser_could_read_otherwise_than_another_is_refused() {
    for frame in [
        r#"{"command_type":"os","command_name":"id","command_name":"sh"}"#,
        r#"{"command_type":"os","command_name":"id","command\u005fname":"sh"}"#,
        r#"{"command_type":"os","command_name":"id","Command_Name":"sh"}"#,
        "\u{feff}{\"command_type\":\"os\",\"command_name\":\"id\"}",
        "{\"command_type\":\"os\",\"command_name\":\"id\"}\0",
        r#"{"command_type":"os","command_name":"id"}{"command_type":"os","command_name":"sh"}"#,
        r#"{"command_type":"os","command_name":"\ud800"}"#,
        r#"{"command_type":"compute","expression":"1","timeout":1e400}"#,
        r#"{"command_type":"compute","expression":"1","timeout":NaN}"#,
    ] {
        refused(frame, frame.as_bytes());
    }
}
