//! `[[tests]]`: what the writer of a policy expects of it, asked of the same functions that decide about requests.

use std::borrow::Cow;
use std::fmt;

use toml::de::DeValue;
use wire::{Action, decode_request};

use super::problem::{Fault, Problem, Source, shown, suggestion};
use super::section::Item;
use crate::policy::{Denied, Permitted, Policy, Right};

/// One test of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    place: Problem,
    user: String,
    action: Action<'static>,
    expected: Answer,
    arguments: Option<Vec<String>>,
}

/// What a policy says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It would be done.
    Allowed,
    /// It is not available to the user.
    Refused,
    /// The user may run the command, but not so.
    InvalidParameters,
}

impl Answer {
    const ALL: [Self; 3] = [Self::Allowed, Self::Refused, Self::InvalidParameters];

    /// The spelling in a configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::InvalidParameters => "invalid_parameters",
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Expectation {
    /// Asks the policy; a disappointment comes back with its place.
    ///
    /// # Errors
    /// The policy answers something else.
    pub fn check(&self, policy: &Policy) -> Result<(), Problem> {
        let disappointed = |message: String| {
            Err(Problem { message: format!("this test fails: {message}"), ..self.place.clone() })
        };
        let Some(user) = policy.user_named(&self.user) else {
            return disappointed(format!("there is no user `{}`", self.user));
        };
        let (answer, why, arguments) = match &self.action {
            Action::Os { command_name, parameters, .. } => {
                match policy.decide_command(user, command_name, parameters) {
                    Ok(Permitted { invocation, .. }) => {
                        (Answer::Allowed, String::new(), Some(invocation.arguments))
                    }
                    Err(denied) => (Answer::from(&denied), format!(": {denied}"), None),
                }
            }
            Action::Compute { .. } => match policy.decide_right(user, Right::Compute) {
                Ok(_) => (Answer::Allowed, String::new(), None),
                Err(denied) => (Answer::from(&denied), format!(": {denied}"), None),
            },
            Action::Metrics => match policy.decide_right(user, Right::Metrics) {
                Ok(_) => (Answer::Allowed, String::new(), None),
                Err(denied) => (Answer::from(&denied), format!(": {denied}"), None),
            },
            // Everyone may ask what he may do, and for what is his own.
            Action::Describe
            | Action::Jobs
            | Action::Status { .. }
            | Action::Result { .. }
            | Action::Cancel(_)
            | Action::History(_) => (Answer::Allowed, String::new(), None),
        };
        if answer != self.expected {
            return disappointed(format!("expected {}, the policy says {answer}{why}", self.expected));
        }
        if self.arguments.is_some() && self.arguments != arguments {
            return disappointed(format!("the arguments are {:?}", arguments.unwrap_or_default()));
        }
        Ok(())
    }
}

impl From<&Denied> for Answer {
    fn from(denied: &Denied) -> Self {
        match denied {
            Denied::NoSuchCommand | Denied::NotTheUsers { .. } | Denied::NoRight { .. } => Self::Refused,
            Denied::Parameters(_) => Self::InvalidParameters,
        }
    }
}

pub(super) fn expectations(
    source: Source<'_>,
    item: &Item<'_>,
    policy: &Policy,
    faults: &mut Vec<Fault>,
) -> Result<Vec<Expectation>, Fault> {
    let mut expectations = Vec::new();
    for item in item.list()? {
        match expectation(source, &item, policy) {
            Ok(expectation) => expectations.push(expectation),
            Err(fault) => faults.push(fault),
        }
    }
    Ok(expectations)
}

fn expectation(source: Source<'_>, item: &Item<'_>, policy: &Policy) -> Result<Expectation, Fault> {
    let section = item.section(&["user", "command", "expression", "request", "expect", "arguments"])?;
    let user = section.required("user")?;
    if policy.user_named(user.string()?).is_none() {
        let hint = suggestion(user.string()?, policy.users().keys().map(String::as_str));
        return Err(user.fault(format!("names {}, who is no user{hint}", shown(user.string()?))));
    }
    let action = match (section.get("command"), section.get("expression"), section.get("request")) {
        (Some(command), None, None) => words(&command)?,
        (None, Some(expression), None) => Action::compute(expression.string()?.to_owned()),
        (None, None, Some(request)) => requested(&request)?,
        _ => return Err(section.fault("a test has one of `command`, `expression` and `request`")),
    };
    let expect = section.required("expect")?;
    let word = expect.string()?;
    let expected = Answer::ALL.into_iter().find(|answer| answer.as_str() == word).ok_or_else(|| {
        let hint = suggestion(word, Answer::ALL.map(Answer::as_str));
        expect.fault(format!("is {}, which is no answer of a policy{hint}", shown(word)))
    })?;
    let arguments = section.get("arguments");
    if let Some(arguments) = arguments.as_ref()
        && (expected != Answer::Allowed || !matches!(action, Action::Os { .. }))
    {
        return Err(arguments.fault("belongs to a command that is allowed"));
    }
    let strings = |item: Item<'_>| Ok(item.strings()?.into_iter().map(str::to_owned).collect());
    Ok(Expectation {
        place: source.problem(section.fault("")),
        user: user.string()?.to_owned(),
        action,
        expected,
        arguments: arguments.map(strings).transpose()?,
    })
}

/// `["ping", "-c", "3", "host"]`.
fn words(item: &Item<'_>) -> Result<Action<'static>, Fault> {
    let mut words = item.strings()?.into_iter().map(|word| Cow::Owned(word.to_owned()));
    let command_name = words.next().ok_or_else(|| item.fault("must begin with the command's name"))?;
    Ok(Action::os(command_name, words))
}

/// A whole request, read as if it had come by the wire.
fn requested(item: &Item<'_>) -> Result<Action<'static>, Fault> {
    item.entries()?;
    let json = json(item.value()).to_string();
    let request = decode_request(json.as_bytes())
        .map_err(|error| item.fault(format!("is no request: {}", error.message)))?;
    Ok(match request.action {
        Action::Os { command_name, parameters, .. } => Action::os(
            command_name.into_owned(),
            parameters.into_iter().map(|parameter| parameter.into_owned().into()),
        ),
        Action::Compute { expression, .. } => Action::compute(expression.into_owned()),
        Action::Describe => Action::Describe,
        Action::Metrics => Action::Metrics,
        Action::Jobs
        | Action::Status { .. }
        | Action::Result { .. }
        | Action::Cancel(_)
        | Action::History(_) => return Err(item.fault("is nothing that a policy decides about")),
    })
}

fn json(value: &DeValue<'_>) -> serde_json::Value {
    use serde_json::Value;
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).map_or(Value::Null, Value::from)
        }
        DeValue::Float(float) => float.as_str().parse::<f64>().map_or(Value::Null, Value::from),
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Datetime(datetime) => Value::String(datetime.to_string()),
        DeValue::Array(list) => Value::Array(list.iter().map(|item| json(item.get_ref())).collect()),
        DeValue::Table(table) => {
            let entry = |(key, value): (&toml::Spanned<Cow<'_, str>>, &toml::Spanned<DeValue<'_>>)| {
                (key.get_ref().to_string(), json(value.get_ref()))
            };
            Value::Object(table.iter().map(entry).collect())
        }
    }
}
