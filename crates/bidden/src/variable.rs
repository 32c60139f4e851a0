//! `--var` of `bidden compute`: a number as Python or JSON spells it, also one that a server has printed, spelled as any
//! JSON reader takes it. A wrong one is told with its name before a server is asked.

use calc::{Budget, Value, Variables};
use client::{StrictJson, Variable};

/// Reads the value of a variable.
///
/// # Errors
/// It is no number.
pub(crate) fn read(name: &str, value: &str) -> Result<Variable<'static>, String> {
    let value = value.trim();
    let json = json(value).ok_or_else(|| {
        format!(
            "the value of `{name}` must be a number as JSON spells it or as Python does, such as 2.5, inf, 0x10 or 3j, \
             or True, False, or a JSON list of numbers"
        )
    })?;
    let variable = Variable { name: name.to_owned().into(), json: json.into() };
    variable.given().map_err(|error| error.to_string())?;
    Ok(variable)
}

fn json(value: &str) -> Option<String> {
    match value {
        "true" | "false" => return Some(value.to_owned()),
        // A list, or a number with a tag.
        _ if value.starts_with(['[', '{']) => {
            let strict = StrictJson::respelled(value.as_bytes());
            return std::str::from_utf8(strict.as_bytes()).ok().map(str::to_owned);
        }
        _ => {}
    }
    let number = Value::from_json_number(value)
        .or_else(|_| calc::evaluate(value, &Variables::new(), &mut Budget::small()))
        .ok()?;
    let mut json = String::new();
    match number {
        // A server of any version takes it so.
        Value::Int(_) => number.write_json(&mut json),
        Value::Float(_) | Value::Bool(_) | Value::Complex(..) => number.write_strict(&mut json),
        Value::List(_) | Value::Tuple(_) => return None,
    }
    .ok()?;
    Some(json)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[track_caller]
    fn check(value: &str, json: &str) {
        assert_eq!(
            read("x", value).map(|variable| variable.json.into_owned()),
            Ok(json.to_owned()),
            "{value}"
        );
    }

    #[test]
    fn numbers_are_taken_as_python_and_json_spell_them() {
        for (value, json) in [
            ("10", "10"),
            ("-2.5", "-2.5"),
            (" 1e3 ", "1000.0"),
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("1_000", "1000"),
            ("0x10", "16"),
            ("0b101", "5"),
            (".5", "0.5"),
            ("1.", "1.0"),
            ("+1", "1"),
            ("5e-324", "5e-324"),
            ("True", "true"),
            ("False", "false"),
            ("true", "true"),
            ("18446744073709551617", "18446744073709551617"),
        ] {
            check(value, json);
        }
    }

    #[test]
    fn whatever_a_server_has_printed_is_taken_again() {
        for value in ["inf", "Infinity", "1e400", "float", r#"{"$float":"inf"}"#, "+inf", "1e999"] {
            match value {
                "float" => assert!(read("x", value).is_err()),
                _ => check(value, r#"{"$float":"inf"}"#),
            }
        }
        check("-inf", r#"{"$float":"-inf"}"#);
        check("-Infinity", r#"{"$float":"-inf"}"#);
        check("nan", r#"{"$float":"nan"}"#);
        check("NaN", r#"{"$float":"nan"}"#);
        check("3j", r#"{"$complex":[0.0,3.0]}"#);
        check("1-2j", r#"{"$complex":[1.0,-2.0]}"#);
        check(r#"{"$complex":[Infinity,NaN]}"#, r#"{"$complex":[{"$float":"inf"},{"$float":"nan"}]}"#);
        check("[1, Infinity, 1e400]", r#"[1, {"$float":"inf"}, {"$float":"inf"}]"#);
        let digits = "9".repeat(4300);
        check(&digits, &digits);
    }

    #[test]
    fn what_is_no_number_is_told_with_its_name() {
        for value in [
            "",
            "abc",
            "0777",
            "1__0",
            "\"1\"",
            "null",
            "1,\"y\":2",
            "[true]",
            "{}",
            "[[1]]",
            "()",
            "'1'",
            "x",
            "[1",
        ] {
            let message = read("speed", value).expect_err(value);
            assert!(message.contains("`speed`") && message.contains("number"), "{message}");
        }
        assert!(read("x", &"9".repeat(4301)).is_err());
    }
}
