//! What real programs read in the vectors that the rules make: a C program with `getopt_long(3)`, Python's getopt and
//! argparse, and basename(1). None may find an option or an operand that the rules did not mean.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::super::{Command, Decimal, Kind, Operand, OptionRule, Pattern};
use super::{Attachment, OptionValue};

/// Prints what `getopt_long(3)` makes of its arguments behind the first two, which are the options of one letter and the
/// long ones with `required_argument` (1) or `optional_argument` (2).
const SOURCE: &str = r#"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int count, char **words) {
    static struct option longs[64];
    int known = 0;
    for (char *name = strtok(words[2], ","); name; name = strtok(NULL, ",")) {
        longs[known].has_arg = name[0] - '0';
        longs[known].name = name + 1;
        longs[known++].val = 256;
    }
    char *letters = words[1];
    words[2] = words[0];
    count -= 2; words += 2;
    int found, which = 0;
    while ((found = getopt_long(count, words, letters, longs, &which)) != -1) {
        if (found == '?') return 2;
        if (found == 256) printf("--%s", longs[which].name); else printf("-%c", found);
        printf("%c%s%c", 0, optarg ? optarg : "", 0);
    }
    for (; optind < count; optind++) printf("%c%s%c", 0, words[optind], 0);
    return 0;
}
"#;

/// Reads lines of JSON: letters, long options, arguments. Says for each what both modules make of them, or null.
const SCRIPT: &str = r#"
import argparse, getopt, json, sys
class Quiet(argparse.ArgumentParser):
    def error(self, message):
        raise ValueError(message)
for line in sys.stdin:
    letters, longs, arguments = json.loads(line)
    try:
        options, operands = getopt.gnu_getopt(arguments, "".join(f"{c}:" for c in letters), [f"{n}=" for n in longs])
        plain = [options, operands]
    except getopt.GetoptError:
        plain = None
    parser = Quiet(add_help=False, allow_abbrev=False)
    for name in [f"-{c}" for c in letters] + [f"--{n}" for n in longs]:
        parser.add_argument(name, action="append", dest=name)
    parser.add_argument("operands", nargs="*")
    try:
        found = vars(parser.parse_args(arguments))
        operands = found.pop("operands")
        strict = [{name: len(values) for name, values in found.items() if values}, operands]
    except ValueError:
        strict = None
    print(json.dumps([plain, strict]))
"#;

/// Options by their spelling with their values, and operands.
type Reading = (Vec<(String, String)>, Vec<String>);

/// How often each option stands, and operands.
type Counted = (BTreeMap<String, usize>, Vec<String>);

fn kinds() -> Vec<Kind> {
    let decimal = |text| Decimal::parse(text).expect("a number");
    let pattern = |source| Kind::Pattern(Pattern::new(source).expect("valid"));
    let words = ["-1h", "--since", "+%F", "@0", "now", "-", "-a", "--glued-0=x"];
    vec![
        Kind::Text { min_length: 1, max_length: 9 },
        Kind::OneOf(words.map(str::to_owned).to_vec()),
        Kind::integer(-9, 9),
        Kind::Number { min: decimal("-9"), max: decimal("9") },
        pattern("[+-]?[0-9.]+"),
        pattern("[@-]{0,2}[a-z0-9=]+"),
        pattern("(?s).+"),
        Kind::Name,
    ]
}

/// For each kind a short option with each attachment, `-a` to `-p`, and two long ones.
fn options() -> Vec<OptionRule> {
    let mut letters = 'a'..='p';
    let mut rules = Vec::new();
    for (number, kind) in kinds().into_iter().enumerate() {
        for (name, attachment) in [("glued", Attachment::Glued), ("apart", Attachment::Separate)] {
            let letter = letters.next().expect("enough letters");
            for spelling in [format!("-{letter}"), format!("--{name}-{number}")] {
                let value = OptionValue { attachment, ..OptionValue::new(&spelling, kind.clone()) };
                rules.push(OptionRule { repeat: 3, ..OptionRule::with_value(&spelling, value) });
            }
        }
    }
    rules
}

/// The letters and the long options as `getopt_long(3)` has them: a value that is glued may be optional for the program.
fn declared(rules: &[OptionRule]) -> (String, String) {
    let (mut letters, mut longs) = (String::new(), Vec::new());
    for rule in rules {
        let glued = rule.value.as_ref().is_some_and(|value| value.attachment == Attachment::Glued);
        if let Some(name) = rule.spelling.strip_prefix("--") {
            longs.push(format!("{}{name}", if glued { 2 } else { 1 }));
        } else {
            letters.push_str(&rule.spelling[1..]);
            letters.push_str(if glued { "::" } else { ":" });
        }
    }
    (letters, longs.join(","))
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        r"[-+@−–]{0,2}[a-z0-9=.]{0,4}",
        r"[-+]?[0-9](\.[0-9])?",
        prop::sample::select(vec!["-1h", "--since", "+%F", "@0", "now", "-", "-a", "--", "--glued-0=x"])
            .prop_map(str::to_owned),
    ]
}

/// One call of a client: options with whether the value is attached, the kind of the operands, operands, `separator`.
type Call = (Vec<(usize, String, bool)>, usize, Vec<String>, bool);

fn calls() -> impl Strategy<Value = Call> {
    let options = vec((0..options().len(), texts(), any::<bool>()), 0..4);
    (options, 0..kinds().len(), vec(texts(), 0..3), any::<bool>())
}

/// The vector of a call that the rules permit, and what it means.
fn meant((given, kind, operands, separator): &Call) -> Option<(Vec<String>, Reading)> {
    let rules = options();
    let kind = kinds().swap_remove(*kind);
    let command = Command {
        options: rules.clone(),
        operands: vec![Operand { repeat: 3, required: false, ..Operand::required("operand", kind) }],
        separator: *separator,
        ..Command::new("/bin/true")
    };
    let mut parameters = Vec::new();
    let mut meaning = BTreeMap::<usize, Vec<(String, String)>>::new();
    for (option, text, attached) in given {
        let spelling = &rules[*option].spelling;
        match (attached, spelling.starts_with("--")) {
            (true, true) => parameters.push(format!("{spelling}={text}")),
            // `-c` alone would take the next word.
            (true, false) if !text.is_empty() => parameters.push(format!("{spelling}{text}")),
            _ => parameters.extend([spelling.clone(), text.clone()]),
        }
        meaning.entry(*option).or_default().push((spelling.clone(), text.clone()));
    }
    parameters.push("--".to_owned());
    parameters.extend(operands.iter().cloned());
    let vector = command.invocation(&parameters).ok()?.arguments;
    assert!(command.produces(&vector), "the launcher refuses {vector:?}");
    Some((vector, (meaning.into_values().flatten().collect(), operands.clone())))
}

fn compile(directory: &Path) -> Option<PathBuf> {
    let (source, program) = (directory.join("read.c"), directory.join("read"));
    std::fs::write(&source, SOURCE).expect("written");
    match Program::new("cc").arg("-o").arg(&program).arg(&source).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(program)
        }
        Err(error) => {
            println!("SKIPPED: no C compiler here: {error}");
            None
        }
    }
}

fn read_by(program: &Path, vector: &[String]) -> Option<Reading> {
    let (letters, longs) = declared(&options());
    let output = Program::new(program).arg(letters).arg(longs).args(vector).output().expect("it starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let fields: Vec<_> = text.split_terminator('\0').map(str::to_owned).collect();
    let mut reading = Reading::default();
    for pair in fields.chunks(2) {
        match pair {
            [name, operand] if name.is_empty() => reading.1.push(operand.clone()),
            [name, value] => reading.0.push((name.clone(), value.clone())),
            _ => panic!("{text:?}"),
        }
    }
    output.status.success().then_some(reading)
}

#[test]
fn getopt_long_reads_every_vector_as_the_rules_mean_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(program) = compile(directory.path()) else { return };
    let mut runner = TestRunner::new(Config { cases: 3000, failure_persistence: None, ..Config::default() });
    let (permitted, with_signs) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    runner
        .run(&calls(), |call| {
            let Some((vector, meaning)) = meant(&call) else { return Ok(()) };
            permitted.set(permitted.get() + 1);
            let mut texts = meaning.0.iter().map(|(_, value)| value).chain(&meaning.1);
            if texts.any(|text| text.starts_with(['-', '+', '@'])) {
                with_signs.set(with_signs.get() + 1);
            }
            let reading = read_by(&program, &vector);
            if reading.as_ref() != Some(&meaning) {
                return Err(TestCaseError::fail(format!("{vector:?} is read as {reading:?}")));
            }
            let operands = &meaning.1;
            if !operands.is_empty() && operands.iter().all(|operand| !operand.contains('/')) {
                let separator = if call.3 { &["--"][..] } else { &[] };
                let output =
                    Program::new("basename").args(["-a", "-z"]).args(separator).args(operands).output();
                let output = String::from_utf8(output.expect("it starts").stdout).expect("UTF-8");
                let names: Vec<_> = output.split_terminator('\0').collect();
                prop_assert_eq!(&names, operands);
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let (permitted, with_signs) = (permitted.get(), with_signs.get());
    assert!(
        permitted > 100 && with_signs > 50,
        "{permitted} calls were permitted, {with_signs} of them with signs"
    );
}

#[test]
fn what_would_be_read_otherwise_shows_in_this_test() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(program) = compile(directory.path()) else { return };
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let read = |text: &str| read_by(&program, &words(text));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(read("--glued-0 x"), Some((vec![pair("--glued-0", "")], words("x"))), "an optional value");
    assert_eq!(read("-a x"), Some((vec![pair("-a", "")], words("x"))));
    assert_eq!(read("--glued-0=x -ax"), Some((vec![pair("--glued-0", "x"), pair("-a", "x")], vec![])));
    assert_eq!(read("x -ay"), Some((vec![pair("-a", "y")], words("x"))), "an option behind an operand");
    assert_eq!(read("-Z"), None);
}

#[test]
fn python_finds_no_option_that_the_rules_do_not_mean() {
    let letters: String = ('a'..='p').collect();
    let longs: Vec<_> =
        options().iter().filter_map(|rule| rule.spelling.strip_prefix("--").map(str::to_owned)).collect();
    let mut runner = TestRunner::deterministic();
    let mut meanings = Vec::new();
    while meanings.len() < 1000 {
        let call = calls().new_tree(&mut runner).expect("a call").current();
        meanings.extend(meant(&call));
    }
    let child =
        Program::new("python3").args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return println!("SKIPPED: no python3 here: {error}"),
    };
    let mut input = child.stdin.take().expect("a pipe");
    let lines: Vec<_> = meanings
        .iter()
        .map(|(vector, _)| serde_json::json!([letters, longs, vector]).to_string() + "\n")
        .collect();
    let writer = std::thread::spawn(move || input.write_all(lines.concat().as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("written");
    let answers = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(answers.lines().count(), meanings.len());
    let mut strict_readings = 0;
    for ((vector, meaning), answer) in meanings.iter().zip(answers.lines()) {
        let (plain, strict): (Option<Reading>, Option<Counted>) = serde_json::from_str(answer).expect("JSON");
        assert_eq!(plain.as_ref(), Some(meaning), "{vector:?}");
        // argparse refuses a value behind `-c` that begins with a dash, which is no harm.
        let Some((options, operands)) = strict else { continue };
        strict_readings += 1;
        let mut counted = BTreeMap::new();
        for (name, _) in &meaning.0 {
            *counted.entry(name.clone()).or_insert(0) += 1;
        }
        assert_eq!((options, operands), (counted, meaning.1.clone()), "{vector:?}");
    }
    assert!(strict_readings > 300, "{strict_readings}");
}
