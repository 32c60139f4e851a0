//! CPython as the judge: what the evaluator answers, CPython 3.11 answers too.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use calc::{Budget, Error, ErrorKind, Value, Variables, evaluate};

/// Answers a line with the JSON of its value or the class of its exception; shared with calc's own tests.
const ORACLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/calc/tests/differential/oracle.py");

/// A value has the same text in CPython, and a failed computation the same exception class. Texts that the language
/// leaves out, and those that meet one of our bounds, say nothing about CPython.
pub fn differential(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let result = evaluate(text, &Variables::new(), &mut Budget::full()).and_then(|value| spelled(&value));
    let ours = match &result {
        Ok(text) => text.clone(),
        Err(error) if error.kind() == ErrorKind::Computation => format!("! {}", error.class()),
        Err(_) => return,
    };
    let Some(python) =
        ORACLE_PROCESS.with_borrow_mut(|oracle| oracle.as_mut().map(|oracle| oracle.ask(text)))
    else {
        return;
    };
    assert!(ours == python || is_declared(text, &ours, &python), "{text:?}: ours {ours}, python {python}");
}

/// The differences that docs/calc.md declares and that random texts meet.
fn is_declared(text: &str, ours: &str, python: &str) -> bool {
    let lists_or_tuples =
        ["frexp", "modf", "polar", "divmod", "[", ","].iter().any(|part| text.contains(part));
    python == "! MemoryError"
        || (python == "! OverflowError" && text.contains("abs("))
        || (ours == "! TypeError" && lists_or_tuples)
        || text.contains("cbrt")
}

fn spelled(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    if let Value::Complex(real, imaginary) = value {
        let part = |part: f64| {
            let mut text = String::new();
            Value::Float(part).write_json(&mut text)?;
            Ok::<_, Error>(text.replace("Infinity", "inf").replace("NaN", "nan"))
        };
        return Ok(format!("complex({}, {})", part(*real)?, part(*imaginary)?));
    }
    value.write_json(&mut out)?;
    Ok(out)
}

thread_local! {
    static ORACLE_PROCESS: RefCell<Option<Oracle>> = RefCell::new(Oracle::start());
}

struct Oracle {
    _process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    fn start() -> Option<Self> {
        let python = std::env::var("BIDDEN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut process =
            Command::new(python).arg(ORACLE).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let questions = process.stdin.take()?;
        let answers = BufReader::new(process.stdout.take()?);
        let mut oracle = Self { _process: process, questions, answers };
        let version = oracle.read();
        if version != "3 11" {
            eprintln!("SKIPPED: the oracle must be CPython 3.11, this is {version}");
            return None;
        }
        Some(oracle)
    }

    fn ask(&mut self, text: &str) -> String {
        let line = serde_json::to_string(text).expect("text is JSON");
        // The empty text makes the oracle flush its answers.
        writeln!(self.questions, "{line}\n\"\"").expect("the oracle listens");
        let answer = self.read();
        self.read();
        answer
    }

    fn read(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the oracle answers");
        line.trim_end_matches('\n').to_owned()
    }
}
