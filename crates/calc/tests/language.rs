//! One line a case: what an expression is worth, as `json.dumps` spells it, or how it fails.

// A failing test is to panic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use calc::{Budget, ErrorKind, Value, Variables, evaluate};

fn value(text: &str) -> Result<Value, calc::Error> {
    evaluate(text, &Variables::new(), &mut Budget::full())
}

#[track_caller]
fn check(text: &str, json: &str) {
    let value = value(text).unwrap_or_else(|error| panic!("{text}: {}: {error}", error.class()));
    let mut out = String::new();
    value.write_json(&mut out).unwrap();
    assert_eq!(out, json, "{text}");
}

#[track_caller]
fn check_error(text: &str, error: &str) {
    let found = value(text).expect_err(text);
    assert_eq!(format!("{}: {found}", found.class()), error, "{text}");
}

#[track_caller]
fn check_syntax(text: &str, column: u32) {
    let found = value(text).expect_err(text);
    assert_eq!(found.kind(), ErrorKind::Syntax, "{text}");
    assert_eq!(found.message(), "Invalid expression syntax");
    assert_eq!(found.column(), Some(column), "{text}");
}

#[track_caller]
fn check_kind(text: &str, kind: ErrorKind) {
    let Err(found) = value(text) else { panic!("{} has a value", text.get(..60).unwrap_or(text)) };
    assert_eq!(found.kind(), kind, "{}: {found}", text.get(..60).unwrap_or(text));
}

#[test]
fn arithmetic() {
    check("(6 + 4) * 8", "80");
    check("2 + 3 * 4", "14");
    check("7 / 2", "3.5");
    check("6 / 2", "3.0");
    check("7 // 2", "3");
    check("-7 // 2", "-4");
    check("7 % -3", "-2");
    check("-7 % 3", "2");
    check("2 ** 10", "1024");
    check("2 ** -1", "0.5");
    check("-2 ** 2", "-4");
    check("2 ** 3 ** 2", "512");
    check("2 ** -3 ** 2", "0.001953125");
    check("0.1 + 0.2", "0.30000000000000004");
    check("1e5", "100000.0");
    check("1e-5", "1e-05");
    check("-1.25e-5", "-1.25e-05");
    check("1e-4", "0.0001");
    check("9.9e-6", "9.9e-06");
    check("1.5e-10", "1.5e-10");
    check("1e15", "1000000000000000.0");
    check("1.5e-7j", "{\"$complex\":[0.0,1.5e-07]}");
    check("1e16", "1e+16");
    check("1.5e300 * 1e300", "Infinity");
    check("1e22", "1e+22");
    check("123456789012345680.0", "1.2345678901234568e+17");
    check("5e-324", "5e-324");
    check("-0.0", "-0.0");
    check("2.5 // 0.1", "24.0");
    check("-0.0 // 1.0", "-0.0");
    check("9223372036854775807 + 1", "9223372036854775808");
    check("-9223372036854775808 - 1", "-9223372036854775809");
    check("-(-9223372036854775808)", "9223372036854775808");
    check("-9223372036854775808 // -1", "9223372036854775808");
    check("10 ** 25 // 7", "1428571428571428571428571");
    check("-(10 ** 25) % 7", "4");
    check("10 ** 400 / 10 ** 399", "10.0");
    check("2 ** 64 - 2 ** 64", "0");
    check("(-8) ** (1 / 3) == 1.0000000000000002 + 1.7320508075688772j", "true");
    check("1j * 1j", "{\"$complex\":[-1.0,0.0]}");
    check("~5", "-6");
    check("6 & 3 | 8 ^ 1", "11");
    check("1 << 70", "1180591620717411303424");
    check("-1 >> 1000", "-1");
    check("True + True", "2");
    check("True & False", "false");
    check("-True", "-1");
}

#[test]
fn literals_behind_a_jump_are_computed_in_their_turn() {
    check("(1 if 0 else 2) + 3", "5");
    check("(1 if 2 else 2) + 3", "4");
    check("2 * (1 if 0 else 2 + 3) - 4", "6");
    check("(4 and 5) * 3", "15");
    check("(0 or 5) * 3", "15");
    check("(7 or 5) * 3", "21");
    check("7 or 5 * 3", "7");
    check("0 or 5 * 3 - 1", "14");
    check("(0 < 5 < 3) + 2 + 3", "5");
    check("1 < 2 + 3 < 3 * 4", "true");
    check("2 + 3 if 1 - 1 else 4 * 5", "20");
    check("max(1 + 2, 3 * (2 - 4), 1 if 0 else 2)", "3");
    check("9223372036854775807 + 1", "9223372036854775808");
    check("-9223372036854775807 - 2 * 4611686018427387904", "-18446744073709551615");
    check("3037000500 * 3037000500", "9223372037000250000");
}

#[test]
fn comparison_and_choice() {
    check("1 < 2 < 3", "true");
    check("1 < 3 < 2", "false");
    check("3 < 2 < 1 / 0", "false");
    check("1 < 2 == 2 > 1 != 0 <= 5 >= 5", "true");
    check("1 == 1.0 == True", "true");
    check("2 ** 53 + 1 == 2.0 ** 53", "false");
    check("10 ** 400 > 1e308", "true");
    check("not 1 == 2", "true");
    check("not not 0", "false");
    check("0 or 5", "5");
    check("3 and 0.0", "0.0");
    check("1 or 1 / 0", "1");
    check("0 and 1 / 0", "0");
    check("1 if 0 else 2", "2");
    check("1 if 2 > 1 else 1 / 0", "1");
    check("1 / 0 if False else 2 if 0 else 3", "3");
    check("(1 if 0 else 2 or 7) + (3 if 4 < 5 < 6 else 4)", "5");
    check("1 + 2 if 0 else 3 * (4 if 1 and 2 else 5)", "12");
    check("1 or missing", "1");
    check("3 * (0 or 5)", "15");
    check("3 * (2 or 5) - (7 and 5)", "1");
    check("3 * (2 if 1 else 5)", "6");
    check("3 * (2 if 0 else 5) * 2", "30");
    check("2.5 * 2 - 1 + 3", "7.0");
    check("True + 1", "2");
    check("1j * 2", "{\"$complex\":[0.0,2.0]}");
}

#[test]
fn lexical_rules() {
    for text in
        ["\x0c1", " \x0c1", "\n\x0c1", "\n \x0c1", "1\n\x0c", "\x0c #\n1", "(1\n\x0c)", "\\\n1", "1 + \\\n 0"]
    {
        check(text, "1");
    }
    check("1_000", "1000");
    check("0x1F + 0b11 + 0o17", "49");
    check("0x_f", "15");
    check(".5 + 1.", "1.5");
    check("1_0.0_1e1_0", "100100000000.0");
    check("00", "0");
    check("09.5", "9.5");
    check("1if 1else 2", "1");
    check("0xfor 1", "15");
    check("0777j", "{\"$complex\":[0.0,777.0]}");
    check(" \t1 # a comment ü", "1");
    check("(1\n+ # x\n2)", "3");
    check("\n# c\n1\n\n # d\n", "1");
    check("1 \\\n + 2", "3");
    check("1.e5", "100000.0");
    for (text, column) in [
        ("0777", 1),
        ("1__0", 3),
        ("1_", 3),
        ("1_j", 3),
        ("0x", 3),
        ("1._5", 3),
        ("1e", 2),
        ("1 +", 4),
        ("", 1),
        ("1 2", 3),
        ("(1", 3),
        ("1)", 2),
        ("1 @ 2", 3),
        ("'a'", 1),
        ("x.y", 3),
        ("(1).real", 4),
        ("1 = 2", 3),
        ("a := 1", 3),
        ("lambda: 1", 1),
        ("[1]", 1),
        ("(1, 2)", 3),
        ("1 + not 2", 5),
        ("1 <> 2", 4),
        ("1 in 2", 3),
        ("1;", 2),
        ("\n 1", 3),
        ("1\n2", 3),
        ("1\\", 2),
        ("é", 1),
        ("1 if 2", 7),
        ("1 else 2", 3),
        ("1 / 0 +", 8),
        ("1 # a\0b", 6),
        ("# a\0b\n1", 4),
        ("\x0c 1", 3),
        ("\n\x0c 1", 4),
        ("\\\n 1", 4),
        ("\\\n \\\n1", 4),
    ] {
        check_syntax(text, column);
    }
}

#[test]
fn functions() {
    check("abs(-3) + abs(-2.5) + abs(3 + 4j)", "10.5");
    check("round(2.5) + round(3.5)", "6");
    check("round(2.675, 2)", "2.67");
    check("round(number=1234.5, ndigits=-2)", "1200.0");
    check("round(25, -1) + round(35, -1) - round(-45, -1)", "100");
    check("round(15, -10 ** 30)", "0");
    check("divmod(-7, 2)", "[-4, 1]");
    check("divmod(7.5, 2)", "[3.0, 1.5]");
    check("pow(2, 10) + pow(2, 10, 1000) + pow(3, -1, 7)", "1053");
    check("pow(3, 4, -7)", "-3");
    check("max(1, 1.0)", "1");
    check("max([1, 2, 3]) + min((4, 5)) + max([], default=7)", "14");
    check("max(((1, 2)))", "2");
    check("len([1, 2, ]) + len(()) + len((1,)) + sum([1, 2], start=3)", "9");
    check("int(-3.7) + int(True) + int()", "-2");
    check("complex(1, 2) + complex(imag=1)", "{\"$complex\":[1.0,3.0]}");
    check("complex(1j, 2j)", "{\"$complex\":[-2.0,1.0]}");
    check("bool([]) or bool(0.5)", "true");
    check("math.sqrt(16) + sqrt(9)", "7.0");
    check("math . pi == pi", "true");
    check("pow(2, 3) + math.pow(2, 3)", "16.0");
    check("math.dist((0, 0), (3, 4))", "5.0");
    check("math.prod([1, 2, 3], start=4)", "24");
    check("math.isclose(1.0, 1.1, rel_tol=0.2)", "true");
    check("isclose(a=1, b=1)", "true");
    check("factorial(20) == perm(20) == perm(20, 20)", "true");
    check("factorial(30)", "265252859812191058636308480000000");
    check("comb(100, 50)", "100891344545564193334812497256");
    check("comb(10 ** 30, 10 ** 30 - 1)", "1000000000000000000000000000000");
    check("gcd() + gcd(12, 18, 0) + lcm(4, 6) + lcm()", "19");
    check("isqrt(10 ** 40)", "100000000000000000000");
    check("log(10 ** 400)", "921.0340371976182");
    check("log2(2 ** 5000)", "5000.0");
    check("frexp(8.0)", "[0.5, 4]");
    check("modf(-inf)", "[-0.0, -Infinity]");
    check("cmath.sqrt(-1)", "{\"$complex\":[0.0,1.0]}");
    check("cmath.polar(1j)", "[1.0, 1.5707963267948966]");
    check("statistics.mean([1, 3])", "2");
    check("mean([1, 2])", "1.5");
    check("statistics.median([3, 1, 2]) + median([1, 2, 3, 4])", "4.5");
    check("stdev([1.5, 2.5, 2.5, 2.75, 3.25, 4.75])", "1.0810874155219827");
    check("variance([2.75, 1.75, 1.25, 0.25, 0.5, 1.25, 3.5])", "1.3720238095238095");
    check("sum([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])", "0.9999999999999999");
    check_error("math.sqrt(-1)", "ValueError: math domain error");
    check_error("exp(1000)", "OverflowError: math range error");
    check_error("sqrt(1j)", "TypeError: must be real number, not complex");
    check_error("sqrt()", "TypeError: sqrt() takes exactly one argument (0 given)");
    check_error("max(1)", "TypeError: 'int' object is not iterable");
    check_error("max([])", "ValueError: max() arg is an empty sequence");
    check_error("mean([])", "StatisticsError: mean requires at least one data point");
    check_error("log(2, base=3)", "TypeError: log() takes no keyword arguments");
    check_error("nothing(1 / 0)", "NameError: Invalid variable name in expression");
    check_error("pi(2)", "NameError: Invalid variable name in expression");
    check_error("sqrt + 1", "NameError: Invalid variable name in expression");
    check_error(
        "divmod(1, 2) + divmod(1, 2)",
        "TypeError: unsupported operand type(s) for +: 'tuple' and 'tuple'",
    );
    for (text, column) in [
        ("max(,)", 5),
        ("max(1,,2)", 7),
        ("max([1, 2)", 10),
        ("max([[1]])", 6),
        ("max([1] + [2])", 9),
        ("max((1, 2) < (3, 4))", 12),
        ("round(ndigits=1, 2)", 19),
        ("round(1, ndigits=1, ndigits=2)", 28),
        ("round(1, 2=3)", 11),
        ("math.foo", 1),
        ("math.sqrt.x", 10),
        ("math.", 6),
        ("1(2)", 2),
        ("max(*[1])", 5),
    ] {
        check_syntax(text, column);
    }
}

#[test]
fn errors_are_those_of_python() {
    check_error("1 / 0", "ZeroDivisionError: division by zero");
    check_error("1.0 / 0", "ZeroDivisionError: float division by zero");
    check_error("1 // 0", "ZeroDivisionError: integer division or modulo by zero");
    check_error("1 % 0", "ZeroDivisionError: integer modulo by zero");
    check_error("1.0 // 0", "ZeroDivisionError: float floor division by zero");
    check_error("1.0 % 0", "ZeroDivisionError: float modulo");
    check_error("0 ** -1", "ZeroDivisionError: 0.0 cannot be raised to a negative power");
    check_error("0j ** -1", "ZeroDivisionError: 0.0 to a negative or complex power");
    check_error("2.0 ** 10000", "OverflowError: (34, 'Numerical result out of range')");
    check_error("10 ** 400 * 1.0", "OverflowError: int too large to convert to float");
    check_error("10 ** 400 / 3", "OverflowError: integer division result too large for a float");
    check_error("1 << -1", "ValueError: negative shift count");
    check_error("1j < 2", "TypeError: '<' not supported between instances of 'complex' and 'int'");
    check_error("1j // 2", "TypeError: unsupported operand type(s) for //: 'complex' and 'int'");
    check_error("1.5 | 2", "TypeError: unsupported operand type(s) for |: 'float' and 'int'");
    check_error("~1.5", "TypeError: bad operand type for unary ~: 'float'");
    check_error("missing", "NameError: Invalid variable name in expression");
    check_error("1 or __import__", "NameError: Invalid variable name in expression");
    assert_eq!(value("1 + 2 / 0").unwrap_err().column(), Some(7));
    assert_eq!(value("#é\n1 + 2 / 0").unwrap_err().column(), Some(10));
}

#[test]
fn a_keyword_that_no_function_has_may_not_be_repeated() {
    check_syntax("1 or max(2, x=1, y=2, x=3)", 24);
    check_syntax("f(x=1, x=1)", 9);
    check("1 or max(2, x=max(x=1), y=max(x=1, y=2))", "1");
}

#[test]
fn bounds() {
    let nested = |count: usize| format!("{}1{}", "(".repeat(count), ")".repeat(count));
    check(&nested(200), "1");
    check_kind(&nested(201), ErrorKind::Syntax);
    check(&format!("{}1", "-".repeat(200)), "1");
    check_kind(&format!("{}1", "-".repeat(201)), ErrorKind::Limit);
    check_kind(&format!("1{}", "**1".repeat(201)), ErrorKind::Limit);
    check_kind(&format!("{}1", "not ".repeat(201)), ErrorKind::Limit);
    check_kind(&format!("1{}", " if 1 else 1".repeat(201)), ErrorKind::Limit);
    check_kind(&" ".repeat(65_537), ErrorKind::Limit);
    check(&format!("1{}", "+1".repeat(32_000)), "32001");
    check(&"9".repeat(4_300), &"9".repeat(4_300));
    check_kind(&"9".repeat(4_301), ErrorKind::Limit);
    check("10 ** 5000 % 7", "2");
    assert_eq!(
        value("10 ** 4300").unwrap().write_json(&mut String::new()).unwrap_err().kind(),
        ErrorKind::Limit
    );
    check("(1 << 131071) >> 131071", "1");
    // In two's complement the bits of two negative numbers can come to one bit more than either has.
    check_kind("-((1 << 131071) - 1 << 1 | 1) & -2", ErrorKind::Limit);
    check_kind("((1 << 131071) - 1 << 1 | 1) ^ -1", ErrorKind::Limit);
    check("(-((1 << 131071) - 1) & -2) == -(1 << 131071)", "true");
    check_kind("1 << 131072", ErrorKind::Limit);
    check_kind("1 << 10 ** 30", ErrorKind::Limit);
    check_kind("9 ** 9 ** 9 ** 9", ErrorKind::Limit);
    check_kind("(1 << 70000) * (1 << 70000)", ErrorKind::Limit);
    check_kind("(1 << 131071) + (1 << 131071)", ErrorKind::Limit);
    check("0 << 10 ** 30", "0");
    check("(-1) ** 10 ** 30", "1");
    let many = format!("0{}", " + 3 ** 40000 * 5 ** 28000 % 7".repeat(2_000));
    check_kind(&many, ErrorKind::Fuel);
}

#[test]
fn a_small_budget_asks_for_a_worker() {
    let mut budget = Budget::small();
    let error = evaluate("3 ** 40000 % 7", &Variables::new(), &mut budget).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fuel);
    assert!(budget.is_exhausted());
    check("3 ** 40000 % 7", "4");
}

#[test]
fn variables() {
    let mut variables = Variables::new();
    assert!(variables.is_empty());
    variables.insert("x", Value::from_json_number("2.5").unwrap()).unwrap();
    variables.insert("n", Value::from_json_number("-0").unwrap()).unwrap();
    variables.insert("pi", Value::from_json_number("3").unwrap()).unwrap();
    for name in ["", "_x", "1x", "x y", "é", "if", "True"] {
        assert!(variables.insert(name, Value::Bool(true)).is_err(), "{name}");
    }
    let mut out = String::new();
    evaluate("x * pi + n", &variables, &mut Budget::small()).unwrap().write_json(&mut out).unwrap();
    assert_eq!(out, "7.5");
}

#[test]
fn json_numbers() {
    for (text, json) in [
        ("-0", "0"),
        ("-0.0", "-0.0"),
        ("1e999", "Infinity"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("12", "12"),
    ] {
        let mut out = String::new();
        Value::from_json_number(text).unwrap().write_json(&mut out).unwrap();
        assert_eq!(out, json);
    }
    for text in ["", "-", "01", "1.", ".5", "1e", "0x1", "+1", "1_0", "nan", " 1", "--1", "1e5x"] {
        assert!(Value::from_json_number(text).is_err(), "{text}");
    }
}

#[test]
fn strict_json() {
    for (text, json) in [
        ("2 ** 53 - 1", "9007199254740991"),
        ("-(2 ** 53)", "{\"$int\":\"-9007199254740992\"}"),
        ("1e999", "{\"$float\":\"inf\"}"),
        ("-1e999", "{\"$float\":\"-inf\"}"),
        ("nan", "{\"$float\":\"nan\"}"),
        ("2j", "{\"$complex\":[0.0,2.0]}"),
        ("1e999 * 1j", "{\"$complex\":[{\"$float\":\"nan\"},{\"$float\":\"inf\"}]}"),
    ] {
        let mut out = String::new();
        value(text).unwrap().write_strict(&mut out).unwrap();
        assert_eq!(out, json, "{text}");
    }
}
