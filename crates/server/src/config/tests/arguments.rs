//! The rules for options and operands: each type, what is wrong with a rule, and what it is warned of.

use super::super::Problem;
use super::{parse, policy, wrong_rule};

#[test]
fn every_type_can_be_written() {
    for (rule, accepted, refused) in [
        (r#"type = "integer", min = 0, max = 3"#, "3", "4"),
        (r#"type = "number", min = 0, max = 1.5"#, "1.25", "2"),
        (r#"type = "host""#, "example.org", "a_b"),
        (r#"type = "address""#, "::1", "localhost"),
        (r#"type = "name""#, "nginx", "a/b"),
        (r#"type = "one_of", words = ["on", "off"]"#, "on", "On"),
        (r#"type = "pattern", pattern = "[a-z]{2}\\d""#, "ab1", "ab12"),
        (r#"type = "path", root = "/usr""#, "/usr/bin", "/usr/../etc"),
        (
            r#"type = "path", root = "/usr", kind = "directory", follow_links = true"#,
            "/usr/bin",
            "/usr/bin/true",
        ),
        (r#"type = "path", root = "/dev", kind = "any""#, "/dev/null", "/dev/missing"),
        (
            r#"type = "integer", min = 0x10, max = 340282366920938463463374607431768211455"#,
            "18446744073709551616",
            "15",
        ),
        (r#"type = "number", min = 0, max = 5"#, "5.000", "5.0000000000000001"),
        (r#"type = "one_of", words = ["+%F", "@127.0.0.1"]"#, "+%F", "+%s"),
        (r#"type = "pattern", pattern = "[@~]?[0-9]*:?[0-9]*""#, "@1:5", "-1"),
        (r#"type = "text", max_length = 3"#, "a b", "abcd"),
    ] {
        let text = format!(
            "[commands.c]\nprogram = \"/usr/bin/uname\"\nseparator = false\noperands = [{{ name = \"x\", {rule} }}]"
        );
        let policy = policy(&text);
        let command = policy.commands().get("c").expect("a command");
        let arguments = |parameter: &str| command.invocation(&[parameter]).map(|found| found.arguments);
        assert_eq!(arguments(accepted), Ok(vec![accepted.to_owned()]), "{rule}");
        assert!(arguments(refused).is_err(), "{rule}");
    }
}

#[test]
fn argument_rules_are_checked() {
    wrong_rule("options = { 'c' = 'flag' }", "13: `c` is not an option: write it as `-c` or `--count`");
    wrong_rule("options = { '--' = 'flag' }", "13: `--` is not an option: write it as `-c` or `--count`");
    wrong_rule(
        "options = { '-c' = 'host' }",
        "20: `commands.c.options.-c` must be \"flag\" or a table such as { type = \"host\" }, not `host`",
    );
    wrong_rule(
        "options = { '-c' = { type = 'interger' } }",
        "29: `commands.c.options.-c.type` is `interger`, which is no type; did you mean `integer`?",
    );
    wrong_rule(
        "options = { '-c' = { type = 'integer', min = 0.5, max = 1 } }",
        "46: `commands.c.options.-c.min` must be an integer of at most 40 characters, not `0.5`",
    );
    wrong_rule(
        "options = { '-c' = { type = 'number', min = 0, max = 1e309 } }",
        "54: `commands.c.options.-c.max` must be a number of at most 40 characters with an exponent from -308 to 308, not `1e309`",
    );
    wrong_rule(
        "options = { '-c' = { type = 'number', min = 0, max = inf } }",
        "54: `commands.c.options.-c.max` must be a number of at most 40 characters with an exponent from -308 to 308, not `inf`",
    );
    wrong_rule(
        "options = { '-c' = { type = 'number', min = 5.0000000000000001, max = 5 } }",
        "71: `commands.c.options.-c.max` must be at least 5.0000000000000001",
    );
    wrong_rule(
        "options = { '-c' = { type = 'integer', min = 5, max = 1 } }",
        "55: `commands.c.options.-c.max` must be at least 5",
    );
    wrong_rule(
        "options = { '-c' = { type = 'integer', min = 5 } }",
        "20: `commands.c.options.-c` lacks the key `max`",
    );
    wrong_rule(
        "options = { '-c' = { type = 'integer', min = 1, max = 5, default = 6 } }",
        "68: `commands.c.options.-c.default` must be an integer from 1 to 5, not `6`",
    );
    wrong_rule(
        "options = { '-c' = { type = 'host' }, '-cd' = 'flag' }",
        "39: `-c` takes a value, so `-cd` could be read as `-c` with one",
    );
    wrong_rule("operands = [{ type = 'host' }]", "13: `commands.c.operands[1]` lacks the key `name`");
    wrong_rule(
        "operands = [{ name = 'a', type = 'host' }, { name = 'a', type = 'host' }]",
        "44: `commands.c.operands[2]` has the name `a` a second time",
    );
    wrong_rule(
        "operands = [{ name = 'a', type = 'host', required = false }, { name = 'b', type = 'host' }]",
        "62: `commands.c.operands[2]` is required and stands behind one that is not",
    );
    wrong_rule(
        "operands = [{ name = 'a', type = 'host', repeat = 2 }, { name = 'b', type = 'host' }]",
        "56: `commands.c.operands[2]` stands behind an operand with `repeat`, which must be the last",
    );
    wrong_rule(
        "operands = [{ name = 'a', type = 'one_of', words = [] }]",
        "52: `commands.c.operands[1].words` must have at least one word",
    );
    wrong_rule(
        "operands = [{ name = 'a', type = 'one_of', words = ['-x'] }]\nseparator = false",
        "53: `commands.c.operands[1].words[1]` is `-x`: without `separator` a program would read it as an option",
    );
    wrong_rule(
        "operands = [{ name = 'a', type = 'one_of', words = [''] }]",
        "53: `commands.c.operands[1].words[1]` is ``: no value may be so",
    );
    wrong_rule(
        "operands = [{ name = 'a', type = 'path', root = '/tmp', kind = 'fifo' }]",
        "64: `commands.c.operands[1].kind` must be \"file\", \"directory\" or \"any\", not `fifo`; without `kind` both files and directories pass",
    );
    wrong_rule(
        "options = { '-c' = { type = 'flag', glued = true } }",
        "45: `commands.c.options.-c.glued` has no meaning for a flag",
    );
    wrong_rule(
        "options = { '-c' = { type = 'host', repeat = 300 } }",
        "46: `commands.c.options.-c.repeat` must be an integer from 1 to 256, not `300`",
    );
    wrong_rule(
        "options = { '-c' = { type = 'host', glued = true, secret = true, environment = 'X' } }",
        "45: `commands.c.options.-c.glued` has no meaning for a secret, which is no argument",
    );
    wrong_rule(
        "operands = [{ name = 'a', type = 'pattern', pattern = 'a)|(b' }]",
        "55: `commands.c.operands[1].pattern` is wrong: unopened group",
    );
    wrong_rule(
        "operands = [{ name = 'a', type = 'path', root = 'tmp' }]",
        "49: `commands.c.operands[1].root` must be the absolute path of an existing directory, without `.`, `..` and `//`",
    );
}

/// The warnings about a command whose rules these are.
#[track_caller]
fn warned(program: &str, rule: &str, warnings: &[&str]) {
    let text = format!("[commands.c]\nprogram = {program:?}\n{rule}");
    let read = parse(&text).unwrap_or_else(|error| panic!("{error}"));
    let found: Vec<_> = read.warnings.iter().map(Problem::warning).collect();
    assert_eq!(found, warnings, "{rule}");
}

#[test]
fn a_rule_that_lets_nothing_pass_is_warned_of() {
    let nothing = |source: &str, key: &str| {
        format!(
            "f:3:{key}.pattern` lets no value pass: a value must be a text that matches {source}, and must be printable ASCII"
        )
    };
    let rule = |source: &str| format!("options = {{ '-c' = {{ type = 'pattern', pattern = '{source}' }} }}");
    for source in ["", "ä+", "^$", "x$y"] {
        warned("/usr/bin/uname", &rule(source), &[&nothing(source, "50: warning: `commands.c.options.-c")]);
    }
    for source in ["@[0-9.]+", "-[a-z]?|x", "[+-]?[0-9]+", ".*"] {
        let read = parse(&format!("[commands.c]\nprogram = '/usr/bin/uname'\n{}", rule(source)));
        let warnings = read.expect("correct").warnings;
        assert!(!warnings.iter().any(|warning| warning.message.contains("no value")), "{source}");
    }
    warned(
        "/usr/bin/uname",
        "separator = false\noperands = [{ name = 'x', type = 'pattern', pattern = '-[a-z]+' }]",
        &[
            "f:4:55: warning: `commands.c.operands[1].pattern` lets no value pass: a value must be a text that matches \
           -[a-z]+ and does not begin with `-`, and must be printable ASCII",
        ],
    );
}

#[test]
fn a_value_that_a_program_could_take_for_something_else_is_warned_of() {
    let options = |option: &str, keys: &str| format!("options = {{ '{option}' = {{ {keys} }} }}");
    warned("/usr/bin/df", &options("--x", "type = 'name'"), &[]);
    warned("/usr/bin/df", &options("-x", "type = 'name'"), &[]);
    warned(
        "/usr/bin/df",
        &options("--x", "type = 'name', glued = false"),
        &[
            "f:3:46: warning: `commands.c.options.--x.glued` makes the value of `--x` a word of its own: if df can do \
           without the value, it takes the word for an operand that no rule has checked",
        ],
    );
    warned(
        "/usr/bin/df",
        &options("-x", "type = 'integer', min = -1, max = 1"),
        &[
            "f:3:20: warning: `commands.c.options.-x` may have values that begin with `-`, each in a word behind `-x`: a \
           program that can do without the value reads such a word as an option; with `glued = true` it cannot",
        ],
    );
    warned("/usr/bin/df", &options("-x", "type = 'integer', min = -1, max = 1, glued = true"), &[]);
    warned("/usr/bin/df", &options("--x", "type = 'integer', min = -1, max = 1"), &[]);
    warned(
        "/usr/bin/od",
        &options("-w", "type = 'name', glued = false"),
        &[
            "f:3:45: warning: `commands.c.options.-w.glued` makes the value of `-w` a word of its own, which od takes for \
           an operand",
        ],
    );
}

#[test]
fn a_value_reaches_its_program_in_the_form_that_is_safe_for_it() {
    for (program, option, keys, vector) in [
        ("/usr/bin/df", "--output", "", "--output=a"),
        ("/usr/bin/df", "--output", ", glued = true", "--output=a"),
        ("/usr/bin/df", "--output", ", glued = false", "--output a"),
        ("/usr/bin/df", "-t", "", "-t a"),
        ("/usr/bin/df", "-t", ", glued = true", "-ta"),
        ("/usr/bin/od", "-w", "", "-wa"),
        ("/usr/bin/date", "-I", "", "-Ia"),
        ("/usr/bin/date", "-d", "", "-d a"),
        ("/usr/bin/df", "--output", ", default = 'b'", "--output=a"),
    ] {
        let text = format!(
            "[commands.c]\nprogram = '{program}'\noptions = {{ '{option}' = {{ type = 'one_of', words = ['a', 'b']{keys} }} }}"
        );
        let policy = policy(&text);
        let command = policy.commands().get("c").expect("a command");
        for parameters in [
            vec![option.to_owned(), "a".to_owned()],
            vec![if option.starts_with("--") { format!("{option}=a") } else { format!("{option}a") }],
        ] {
            let arguments = command.invocation(&parameters).expect("allowed").arguments;
            assert_eq!(arguments.join(" "), vector, "{program} {parameters:?}");
            let rules = policy.rules();
            assert!((rules[0].check)(&arguments, &[]), "the launcher refuses {arguments:?}");
        }
    }
}
