//! From what a client wrote to the argument vector that runs.
//!
//! The client's parameters are parsed against the rules and the vector is built anew from what was understood, so
//! that a value can never become an option and nothing passes that no rule names.

use std::borrow::Cow;

use jail::Variable;

use super::value::{Kind, is_plain_value};
use super::{Command, StandardInput};

/// An option that a client may use.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionRule {
    /// As the program spells it, such as `-c` or `--count`.
    pub spelling: String,
    /// Its value, for an option that takes one.
    pub value: Option<OptionValue>,
}

/// The value of an option.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionValue {
    /// Its type.
    pub kind: Kind,
    /// What stands there when the client leaves the option out.
    pub default: Option<String>,
    /// How it reaches the program.
    pub channel: Channel,
}

/// How a client's value reaches the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Channel {
    /// As an argument, which every process of the machine can read.
    #[default]
    Argument,
    /// In this variable of its environment, and nowhere else: it is a secret.
    Secret(String),
}

/// What a client's parameters come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The arguments behind the program's name.
    pub arguments: Vec<String>,
    /// The secrets, which are no arguments.
    pub secrets: Vec<Variable>,
    /// The parameters as the client wrote them, with [`CONCEALED`] in the place of each secret.
    pub shown: Vec<String>,
}

/// What stands in the place of a secret wherever people read.
pub const CONCEALED: &str = "[secret]";

/// A positional argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// Its name, for messages.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// Whether the client must give it.
    pub required: bool,
    /// How often it may stand; more than once only for the last operand.
    pub repeat: usize,
    /// How it reaches the program; only as an argument where it may stand more than once.
    pub channel: Channel,
}

/// What is wrong with a client's parameters, in words for a client who may run the command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidParameters(String);

impl OptionRule {
    /// An option without a value.
    pub fn flag(spelling: &str) -> Self {
        Self { spelling: spelling.to_owned(), value: None }
    }

    /// An option with a value.
    pub fn with_value(spelling: &str, value: OptionValue) -> Self {
        Self { spelling: spelling.to_owned(), value: Some(value) }
    }
}

impl Operand {
    /// An operand that must be given.
    pub fn required(name: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), kind, required: true, repeat: 1, channel: Channel::Argument }
    }
}

impl Command {
    /// What the program gets for a client's parameters: arguments, and secrets beside them.
    ///
    /// # Errors
    /// A parameter that no rule names, that stands twice, or whose value is not of its type; a missing operand.
    pub fn invocation<P: AsRef<str>>(&self, parameters: &[P]) -> Result<Invocation, InvalidParameters> {
        let given = self.parse(parameters)?;
        let mut arguments = self.fixed_arguments.clone();
        let mut secrets = Vec::new();
        for (option, given) in self.options.iter().zip(given.options) {
            match (&option.value, given) {
                (None, Some(_)) => arguments.push(option.spelling.clone()),
                (Some(OptionValue { channel: Channel::Secret(variable), .. }), Some(text)) => {
                    secrets.push(Variable::new(variable, text));
                }
                (Some(value), given) => {
                    if let Some(text) = given.or_else(|| value.default.as_deref().map(Cow::Borrowed)) {
                        arguments.push(option.spelling.clone());
                        arguments.push(text.into_owned());
                    }
                }
                (None, None) => {}
            }
        }
        let mut operands = Vec::new();
        for (rule, text) in self.each_operand().zip(given.operands) {
            match &rule.channel {
                Channel::Argument => operands.push(text.into_owned()),
                Channel::Secret(variable) => secrets.push(Variable::new(variable, text)),
            }
        }
        if self.separator && !operands.is_empty() {
            arguments.push("--".to_owned());
        }
        arguments.append(&mut operands);
        Ok(Invocation { arguments, secrets, shown: given.shown })
    }

    /// The rules of its secrets, in the order in which the program gets them: variable, type, and whether it must be there.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (&str, &Kind, bool)> {
        let options = self.options.iter().filter_map(|option| {
            let value = option.value.as_ref()?;
            Some((value.channel.variable()?, &value.kind, false))
        });
        let operands = self
            .operands
            .iter()
            .filter_map(|rule| Some((rule.channel.variable()?, &rule.kind, rule.required)));
        options.chain(operands)
    }

    /// Whether a client may have to send secrets to it.
    pub fn has_secrets(&self) -> bool {
        self.input == StandardInput::Secret || self.secrets().next().is_some()
    }

    /// Options may stand before or after operands; after `--` everything is an operand.
    fn parse<'p, P: AsRef<str>>(&self, parameters: &'p [P]) -> Result<Given<'p>, InvalidParameters> {
        let mut given = Given {
            options: vec![None; self.options.len()],
            operands: Vec::new(),
            shown: Vec::with_capacity(parameters.len()),
        };
        let mut only_operands = false;
        let mut rest = parameters.iter().map(AsRef::as_ref);
        while let Some(parameter) = rest.next() {
            if parameter == "--" && !only_operands {
                only_operands = true;
                given.shown.push(parameter.to_owned());
            } else if parameter.starts_with('-') && !only_operands {
                self.take_option(parameter, &mut rest, &mut given)?;
            } else {
                self.take_operand(parameter, &mut given)?;
            }
        }
        let missing = self.operands.get(given.operands.len()..).unwrap_or_default();
        if let Some(operand) = missing.iter().find(|operand| operand.required) {
            return Err(wrong(format!("`{}` is missing: {}", operand.name, operand.kind.expectation())));
        }
        Ok(given)
    }

    fn take_option<'p>(
        &self,
        parameter: &'p str,
        rest: &mut impl Iterator<Item = &'p str>,
        given: &mut Given<'p>,
    ) -> Result<(), InvalidParameters> {
        let found = self.options.iter().zip(&mut given.options).find_map(|(option, slot)| {
            match option.read(parameter) {
                Spelling::Other => None,
                Spelling::Bare => Some((option, slot, None)),
                Spelling::WithValue(attached) => Some((option, slot, Some(attached))),
            }
        });
        let Some((option, slot, attached)) = found else {
            return Err(self.not_allowed(parameter));
        };
        let spelling = &option.spelling;
        if slot.is_some() {
            return Err(wrong(format!("`{spelling}` stands twice")));
        }
        let Some(value) = &option.value else {
            given.shown.push(parameter.to_owned());
            *slot = Some(Cow::Borrowed(""));
            return Ok(());
        };
        let text = attached.or_else(|| rest.next()).unwrap_or_default();
        *slot = Some(value.kind.argument(text).ok_or_else(|| {
            wrong(format!("the value of `{spelling}` must be {}", value.kind.expectation()))
        })?);
        let shown = value.channel.shown(text);
        if attached.is_some() {
            let before = parameter.strip_suffix(text).unwrap_or(spelling);
            given.shown.push(format!("{before}{shown}"));
        } else {
            given.shown.extend([parameter.to_owned(), shown.to_owned()]);
        }
        Ok(())
    }

    fn take_operand<'p>(&self, parameter: &'p str, given: &mut Given<'p>) -> Result<(), InvalidParameters> {
        let Some(operand) = self.each_operand().nth(given.operands.len()) else {
            return Err(self.not_allowed(parameter));
        };
        let argument = operand.kind.argument(parameter);
        given
            .operands
            .push(argument.ok_or_else(|| {
                wrong(format!("`{}` must be {}", operand.name, operand.kind.expectation()))
            })?);
        given.shown.push(operand.channel.shown(parameter).to_owned());
        Ok(())
    }

    /// The rule for each operand that may stand, where the last rule holds for as many as it may repeat.
    fn each_operand(&self) -> impl Iterator<Item = &Operand> {
        self.operands.iter().flat_map(|rule| std::iter::repeat_n(rule, rule.repeat))
    }

    /// Of a command that has secrets no parameter is quoted: a wrong one may be a secret in the wrong place.
    fn not_allowed(&self, parameter: &str) -> InvalidParameters {
        let what = if self.has_secrets() { A_PARAMETER.to_owned() } else { shown(parameter) };
        wrong(format!("{what} is not allowed here; {}", self.allowed()))
    }

    fn allowed(&self) -> String {
        let options = self.options.iter().map(|option| option.spelling.clone());
        let operands = self.operands.iter().map(|operand| match operand.repeat {
            1 => operand.name.to_uppercase(),
            _ => format!("{}...", operand.name.to_uppercase()),
        });
        let names: Vec<_> = options.chain(operands).collect();
        if names.is_empty() {
            "this command takes no parameters".to_owned()
        } else {
            format!("allowed: {}", names.join(" "))
        }
    }
}

impl Channel {
    /// The variable of a secret.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Argument => None,
            Self::Secret(variable) => Some(variable),
        }
    }

    /// The value, where people may read it.
    fn shown<'t>(&self, text: &'t str) -> &'t str {
        match self {
            Self::Argument => text,
            Self::Secret(_) => CONCEALED,
        }
    }
}

impl OptionRule {
    /// Whether a parameter is this option.
    fn read<'p>(&self, parameter: &'p str) -> Spelling<'p> {
        let attached = match parameter.strip_prefix(self.spelling.as_str()) {
            Some("") => return Spelling::Bare,
            Some(rest) if self.spelling.starts_with("--") => rest.strip_prefix('='),
            rest => rest,
        };
        match (attached, &self.value) {
            (Some(value), Some(_)) => Spelling::WithValue(value),
            _ => Spelling::Other,
        }
    }
}

/// How a parameter spells an option.
enum Spelling<'p> {
    /// It does not.
    Other,
    /// By itself; its value, if it takes one, is the next parameter.
    Bare,
    /// With the value attached: `-c4`, `--count=4`.
    WithValue(&'p str),
}

/// What the client gave: a slot for each option in the order of the rules, the operands, and all of it without secrets.
struct Given<'p> {
    options: Vec<Option<Cow<'p, str>>>,
    operands: Vec<Cow<'p, str>>,
    shown: Vec<String>,
}

fn wrong(message: String) -> InvalidParameters {
    InvalidParameters(message)
}

/// One that is not quoted.
const A_PARAMETER: &str = "a parameter";

/// A parameter as it may stand in a message.
fn shown(parameter: &str) -> String {
    if parameter.len() <= 40 && is_plain_value(parameter.trim_start_matches('-')) {
        format!("`{parameter}`")
    } else {
        A_PARAMETER.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Command, Kind, Operand, OptionRule, Policy, Root};
    use super::{Channel, OptionValue};
    use jail::Variable;

    fn arguments(command: &str, parameters: &str) -> Result<String, String> {
        let policy = Policy::builtin();
        let parameters: Vec<_> = parameters.split_whitespace().collect();
        let command = policy.commands().get(command).expect("a built-in command");
        command
            .invocation(&parameters)
            .map(|invocation| invocation.arguments.join(" "))
            .map_err(|error| error.to_string())
    }

    #[track_caller]
    fn runs(command: &str, parameters: &str, vector: &str) {
        assert_eq!(arguments(command, parameters), Ok(vector.to_owned()), "{command} {parameters}");
    }

    #[track_caller]
    fn refused(command: &str, parameters: &str, words: &str) {
        let message = arguments(command, parameters).expect_err(parameters);
        assert!(message.contains(words), "`{message}` does not say `{words}`");
    }

    #[test]
    fn the_vector_is_canonical() {
        runs("ping", "127.0.0.1", "-c 4 -- 127.0.0.1");
        runs("ping", "-c 1 example.org", "-c 1 -- example.org");
        runs("ping", "example.org -c 1", "-c 1 -- example.org");
        runs("ping", "-c1 -4 ::1", "-c 1 -4 -- ::1");
        runs("ping", "-4 -c 2 -- example.org", "-c 2 -4 -- example.org");
        runs("uname", "", "");
        runs("uname", "-r -s", "-r -s");
        runs("uname", "-s -r", "-r -s");
    }

    #[test]
    fn what_no_rule_names_does_not_pass() {
        refused("ping", "-f 127.0.0.1", "`-f` is not allowed here; allowed: -c -4 -6 -n HOST");
        refused("ping", "-- -f", "`host` must be");
        refused("ping", "127.0.0.1 127.0.0.2", "`127.0.0.2` is not allowed");
        refused("ping", "-4c 1 127.0.0.1", "`-4c` is not allowed");
        refused("uname", "-sr", "`-sr` is not allowed");
        refused("date", "+%s", "takes no parameters");
        refused("date", "-f /etc/shadow", "takes no parameters");
        refused("hostname", "new-name", "takes no parameters");
        refused("df", "/root", "not allowed");
        refused("id", "root", "not allowed");
    }

    #[test]
    fn what_is_missing_or_twice_is_said() {
        refused("ping", "", "`host` is missing");
        refused("ping", "-c", "the value of `-c` must be an integer from 1 to 20");
        refused("ping", "-c 1 -c 2 127.0.0.1", "`-c` stands twice");
        refused("ping", "-c 0 127.0.0.1", "from 1 to 20");
        refused("ping", "-c -1 127.0.0.1", "from 1 to 20");
        refused("uname", "-s -s", "`-s` stands twice");
    }

    #[test]
    fn the_last_operand_may_repeat() {
        let files = Operand { repeat: 3, required: false, ..Operand::required("file", Kind::Name) };
        let command = Command {
            options: vec![OptionRule::flag("-l")],
            operands: vec![Operand::required("word", Kind::Name), files],
            separator: true,
            ..Command::new("/bin/true")
        };
        let vector = |parameters: &[&str]| {
            let invocation = command.invocation(parameters).map_err(|error| error.to_string())?;
            Ok::<_, String>(invocation.arguments)
        };
        assert_eq!(vector(&["w"]).as_deref(), Ok(&["--", "w"].map(str::to_owned)[..]));
        let four = ["--", "w", "a", "b", "c"].map(str::to_owned);
        assert_eq!(vector(&["w", "a", "b", "c"]).as_deref(), Ok(&four[..]));
        let error = vector(&["w", "a", "b", "c", "d"]).expect_err("one too many");
        assert_eq!(error, "`d` is not allowed here; allowed: -l WORD FILE...");
        assert!(vector(&["w", "a", "-x"]).is_err() && vector(&["w", "a", "b/c"]).is_err());
    }

    #[test]
    fn a_path_arrives_whole() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("a.log"), "").expect("written");
        let root = directory.path().to_owned();
        let shown = root.join("a.log").to_str().expect("UTF-8").to_owned();
        let kind = Kind::Path(Root::new(root).expect("a root"));
        let command =
            Command { operands: vec![Operand::required("file", kind)], ..Command::new("/bin/true") };
        let arguments = |parameter: &str| command.invocation(&[parameter]).map(|found| found.arguments);
        assert_eq!(arguments("a.log"), Ok(vec![shown.clone()]));
        assert_eq!(arguments(&shown), Ok(vec![shown.clone()]));
        assert!(arguments("../a.log").is_err() && arguments("b.log").is_err());
    }

    #[test]
    fn hostile_text_is_not_echoed() {
        let policy = Policy::builtin();
        let uname = policy.commands().get("uname").expect("built in");
        for parameter in ["\u{1b}]52;c;AAAA\u{7}", "-\u{202e}", "\n", &"x".repeat(5000)] {
            let message = uname.invocation(&[parameter]).expect_err("refused").to_string();
            assert!(message.starts_with("a parameter is not allowed"), "{message:?}");
        }
    }

    /// `-p SECRET -v HOST [PIN]`, where the password and the number are secrets.
    fn with_secrets() -> Command {
        let text = Kind::Text { min_length: 1, max_length: 20 };
        let secret = |variable: &str| Channel::Secret(variable.to_owned());
        let password = OptionValue { kind: text, default: None, channel: secret("PASSWORD") };
        let pin = Kind::Integer { min: 0, max: 9999 };
        Command {
            options: vec![
                OptionRule::with_value("-p", password.clone()),
                OptionRule::with_value("--pass", OptionValue { channel: secret("PASS"), ..password }),
                OptionRule::flag("-v"),
            ],
            operands: vec![
                Operand::required("host", Kind::Host),
                Operand { required: false, channel: secret("PIN"), ..Operand::required("pin", pin) },
            ],
            separator: true,
            ..Command::new("/bin/true")
        }
    }

    #[track_caller]
    fn comes_to(command: &Command, parameters: &str, arguments: &str, secrets: &str, shown: &str) {
        let parameters: Vec<_> = parameters.split(' ').collect();
        let invocation = command.invocation(&parameters).expect("allowed");
        assert_eq!(invocation.arguments.join(" "), arguments);
        let pair = |secret: &Variable| format!("{}={}", secret.name, secret.reveal());
        assert_eq!(invocation.secrets.iter().map(pair).collect::<Vec<_>>().join(" "), secrets);
        assert_eq!(invocation.shown.join(" "), shown);
    }

    #[test]
    fn a_secret_is_no_argument_however_it_is_written() {
        let command = with_secrets();
        comes_to(&command, "-p s3 h", "-- h", "PASSWORD=s3", "-p [secret] h");
        comes_to(&command, "h -ps3 -v", "-v -- h", "PASSWORD=s3", "h -p[secret] -v");
        comes_to(&command, "--pass=s=3 h", "-- h", "PASS=s=3", "--pass=[secret] h");
        comes_to(&command, "--pass s3 -- h 77", "-- h", "PASS=s3 PIN=77", "--pass [secret] -- h [secret]");
        comes_to(&command, "h 77 -p h", "-- h", "PASSWORD=h PIN=77", "h [secret] -p [secret]");
        comes_to(&command, "-v h", "-v -- h", "", "-v h");
    }

    #[test]
    fn no_message_quotes_a_parameter_where_there_are_secrets() {
        let command = with_secrets();
        for parameters in [
            "--pas=hunter2 h",
            "-Phunter2 h",
            "h 77 hunter2",
            "h hunter2",
            "-p h hunter2!",
            "-p hunter2hunter2hunter2hunter2 h",
            "-p hunter2 -p hunter2 h",
            "-p hunter2",
        ] {
            let parameters: Vec<_> = parameters.split(' ').collect();
            let message = command.invocation(&parameters).expect_err("refused").to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
