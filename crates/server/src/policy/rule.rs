//! From what a client wrote to the argument vector that runs.
//!
//! The client's parameters are parsed against the rules and the vector is built anew from what was understood, so
//! that a value can never become an option or another operand, and nothing passes that no rule names.

use std::borrow::Cow;

use jail::Variable;

use super::value::{Kind, Place, is_plain};
use super::{Command, StandardInput};

/// An option that a client may use.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionRule {
    /// As the program spells it, such as `-c` or `--count`.
    pub spelling: String,
    /// Its value, for an option that takes one.
    pub value: Option<OptionValue>,
    /// How often it may stand.
    pub repeat: usize,
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
    /// Whether it is a word of its own.
    pub attachment: Attachment,
}

/// How the program gets an option's value, however the client has written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// In one word with the option: `--count=4`, `-c4`. A program whose option may stand without a value reads only this
    /// form as a value (`optional_argument` of `getopt_long(3)`), and the other as an operand.
    Glued,
    /// In the next word: `-c`, `4`.
    Separate,
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
        Self { spelling: spelling.to_owned(), value: None, repeat: 1 }
    }

    /// An option with a value.
    pub fn with_value(spelling: &str, value: OptionValue) -> Self {
        Self { spelling: spelling.to_owned(), value: Some(value), repeat: 1 }
    }

    /// Puts the option with a value into the vector.
    fn push(&self, attachment: Attachment, text: Cow<'_, str>, arguments: &mut Vec<String>) {
        let spelling = &self.spelling;
        match attachment {
            Attachment::Glued if spelling.starts_with("--") => arguments.push(format!("{spelling}={text}")),
            Attachment::Glued => arguments.push(format!("{spelling}{text}")),
            Attachment::Separate => arguments.extend([spelling.clone(), text.into_owned()]),
        }
    }
}

impl OptionValue {
    /// A value that must be given, in the form that is safe for the spelling.
    pub fn new(spelling: &str, kind: Kind) -> Self {
        Self { kind, default: None, channel: Channel::Argument, attachment: Attachment::of(spelling) }
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        self.channel.place(Place::OptionValue)
    }
}

impl Attachment {
    /// What every program that follows `getopt_long(3)` reads as a value: `--count=4` is, whether the value is optional or
    /// not. For `-c` there is no form that all programs know.
    pub fn of(spelling: &str) -> Self {
        if spelling.starts_with("--") { Self::Glued } else { Self::Separate }
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
            let Some(value) = &option.value else {
                arguments.extend(given.iter().map(|_| option.spelling.clone()));
                continue;
            };
            let default = value.default.as_deref().filter(|_| given.is_empty()).map(Cow::Borrowed);
            for text in given.into_iter().chain(default) {
                match &value.channel {
                    Channel::Argument => option.push(value.attachment, text, &mut arguments),
                    Channel::Secret(variable) => secrets.push(Variable::new(variable, text)),
                }
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

    /// Where the value of an operand stands.
    pub fn place(&self, operand: &Operand) -> Place {
        let place = if self.separator { Place::BehindSeparator } else { Place::Operand };
        operand.channel.place(place)
    }

    /// Whether a client may have to send secrets to it.
    pub fn has_secrets(&self) -> bool {
        self.input == StandardInput::Secret || self.secrets().next().is_some()
    }

    /// Options may stand before or after operands; after `--` everything is an operand.
    fn parse<'p, P: AsRef<str>>(&self, parameters: &'p [P]) -> Result<Given<'p>, InvalidParameters> {
        let mut given = Given {
            options: vec![Vec::new(); self.options.len()],
            operands: Vec::new(),
            shown: Vec::with_capacity(parameters.len()),
        };
        let mut only_operands = false;
        let mut rest = parameters.iter().map(AsRef::as_ref);
        while let Some(parameter) = rest.next() {
            if parameter == "--" && !only_operands {
                only_operands = true;
                given.shown.push(parameter.to_owned());
            } else if parameter.starts_with('-') && parameter != "-" && !only_operands {
                self.take_option(parameter, &mut rest, &mut given)?;
            } else {
                self.take_operand(parameter, &mut given)?;
            }
        }
        let missing = self.operands.get(given.operands.len()..).unwrap_or_default();
        if let Some(operand) = missing.iter().find(|operand| operand.required) {
            let expectation = operand.kind.expectation(self.place(operand));
            return Err(wrong(format!("`{}` is missing: {expectation}", operand.name)));
        }
        Ok(given)
    }

    fn take_option<'p>(
        &self,
        parameter: &'p str,
        rest: &mut impl Iterator<Item = &'p str>,
        given: &mut Given<'p>,
    ) -> Result<(), InvalidParameters> {
        let found = self.options.iter().zip(&mut given.options).find_map(|(option, taken)| {
            match option.read(parameter) {
                Spelling::Other => None,
                Spelling::Bare => Some((option, taken, None)),
                Spelling::WithValue(attached) => Some((option, taken, Some(attached))),
            }
        });
        let Some((option, taken, attached)) = found else { return self.take_flags(parameter, given) };
        option.has_room(taken)?;
        let Some(value) = &option.value else {
            given.shown.push(parameter.to_owned());
            taken.push(Cow::Borrowed(""));
            return Ok(());
        };
        let text = attached.or_else(|| rest.next()).unwrap_or_default();
        taken.push(value.kind.argument(text, value.place()).map_err(|expectation| {
            wrong(format!("the value of `{}` must be {expectation}", option.spelling))
        })?);
        let shown = value.channel.shown(text);
        if attached.is_some() {
            let before = parameter.strip_suffix(text).unwrap_or(&option.spelling);
            given.shown.push(format!("{before}{shown}"));
        } else {
            given.shown.extend([parameter.to_owned(), shown.to_owned()]);
        }
        Ok(())
    }

    /// Several flags of one letter in one word, such as `-hT` (POSIX utility syntax guideline 5).
    fn take_flags(&self, parameter: &str, given: &mut Given<'_>) -> Result<(), InvalidParameters> {
        let letters = parameter.strip_prefix('-').filter(|letters| letters.len() > 1);
        let letters = letters.ok_or_else(|| self.not_allowed(parameter))?;
        for letter in letters.chars() {
            let mut flags = self.options.iter().zip(&mut given.options);
            let (flag, taken) =
                flags.find(|(flag, _)| flag.is_letter(letter)).ok_or_else(|| self.not_allowed(parameter))?;
            flag.has_room(taken)?;
            taken.push(Cow::Borrowed(""));
        }
        given.shown.push(parameter.to_owned());
        Ok(())
    }

    fn take_operand<'p>(&self, parameter: &'p str, given: &mut Given<'p>) -> Result<(), InvalidParameters> {
        let Some(operand) = self.each_operand().nth(given.operands.len()) else {
            return Err(self.not_allowed(parameter));
        };
        let argument = operand.kind.argument(parameter, self.place(operand));
        given.operands.push(
            argument.map_err(|expectation| wrong(format!("`{}` must be {expectation}", operand.name)))?,
        );
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
        let dashes = self.operands.iter().any(|operand| operand.kind.takes_dashes(self.place(operand)));
        let hint = if dashes { "; write `--` before values that begin with `-`" } else { "" };
        wrong(format!("{what} is not allowed here; {}{hint}", self.allowed()))
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

    fn place(&self, argument: Place) -> Place {
        match self {
            Self::Argument => argument,
            Self::Secret(_) => Place::Environment,
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

    /// Whether this is the flag of one letter.
    fn is_letter(&self, letter: char) -> bool {
        let mut name = self.spelling.chars();
        self.value.is_none() && (name.next(), name.next(), name.next()) == (Some('-'), Some(letter), None)
    }

    /// Whether it may stand once more.
    fn has_room(&self, taken: &[Cow<'_, str>]) -> Result<(), InvalidParameters> {
        let Self { spelling, repeat, .. } = self;
        match repeat {
            _ if taken.len() < *repeat => Ok(()),
            1 => Err(wrong(format!("`{spelling}` stands twice"))),
            _ => Err(wrong(format!("`{spelling}` stands more than {repeat} times"))),
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

/// What the client gave: the values of each option in the order of the rules (one empty text for each time that a flag
/// stands), the operands, and all of it without secrets.
struct Given<'p> {
    options: Vec<Vec<Cow<'p, str>>>,
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
    if parameter.len() <= 40 && is_plain(parameter) {
        format!("`{parameter}`")
    } else {
        A_PARAMETER.to_owned()
    }
}

#[cfg(test)]
mod getopt;
#[cfg(test)]
mod tests;
