//! Requests: a closed JSON schema, decoded by hand so that each refusal names the key that is wrong.
//!
//! Unknown, duplicated and ill-typed keys are refused. The `id` is recovered even from a request that is refused
//! for another key, because a client with many requests under way must know which one the error answers.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::code::ErrorCode;
use crate::json::respell;
use crate::limits::{MAX_COLUMNS, MAX_ID_BYTES, MAX_PARAMETERS, MAX_REQUEST_BYTES, MAX_TIMEOUT};
use crate::text::Text;
use crate::variable::{Variable, Variables, shown};

mod encode;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    /// The client's own name for this request; the reply carries it back.
    pub id: Option<RequestId>,
    /// How long the client is willing to wait for the work, at most [`MAX_TIMEOUT`].
    pub timeout: Option<Duration>,
    /// The work itself.
    pub action: Action<'a>,
}

/// The kinds of work, one for each `command_type`.
#[derive(Clone, Debug, PartialEq)]
pub enum Action<'a> {
    /// `"os"`: run an allow-listed command.
    Os {
        /// The command's name in the policy.
        command_name: Cow<'a, str>,
        /// What the client wants as arguments; nothing of it is an argument before the policy says so.
        parameters: Vec<Cow<'a, str>>,
        /// What the command is to read from its standard input.
        stdin: Option<Cow<'a, str>>,
        /// How the client wants to have what comes of it.
        delivery: Delivery,
    },
    /// `"compute"`: evaluate an expression.
    Compute {
        /// The text of the expression.
        expression: Cow<'a, str>,
        /// Values for names in the expression.
        variables: Vec<Variable<'a>>,
        /// Names for the columns that follow the request: a frame of little-endian doubles for each, in this order.
        columns: Vec<Cow<'a, str>>,
        /// How numbers are spelled in the reply.
        numbers: Numbers,
    },
    /// `"describe"`: say what the one who asks may do.
    Describe,
    /// `"jobs"`: list the jobs that the one who asks may see.
    Jobs,
    /// `"status"`: say how it stands with one job.
    Status {
        /// The job's name.
        job: Cow<'a, str>,
    },
    /// `"result"`: the reply of a job that has ended, or what one that runs has printed so far.
    Result {
        /// The job's name.
        job: Cow<'a, str>,
        /// Send what it has printed and prints as events, and its reply when it has ended.
        stream: bool,
    },
    /// `"cancel"`: end a job; the reply says how it ended.
    Cancel(Target<'a>),
    /// `"metrics"`: how the server does.
    Metrics,
    /// `"history"`: what was asked for, and what came of it.
    History(History<'a>),
}

/// Which job is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// The one of this name.
    Job(Cow<'a, str>),
    /// The one that the asker's own request with this id came to: for clients that were not told its name.
    Request(RequestId),
}

/// How the result of a command reaches its client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// In the reply, when the command has ended.
    #[default]
    Whole,
    /// `"stream"`: as events while the command runs; then the reply, without what was sent already.
    Stream,
    /// `"detach"`: the reply comes at once and names the job, whose result can be fetched later.
    Detached,
}

/// Which records of the log a client wants to see. Those of others only if it may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History<'a> {
    /// Only what this user asked for.
    pub user: Option<Cow<'a, str>>,
    /// Only this command.
    pub command_name: Option<Cow<'a, str>>,
    /// Only what ended this long ago or less.
    pub since: Option<Duration>,
    /// Only what did not succeed.
    pub failed: bool,
}

impl Request<'_> {
    /// The same without what it borrows.
    pub fn into_owned(self) -> Request<'static> {
        Request { id: self.id, timeout: self.timeout, action: self.action.into_owned() }
    }
}

impl Action<'_> {
    /// The same without what it borrows.
    pub fn into_owned(self) -> Action<'static> {
        let text = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Os { command_name, parameters, stdin, delivery } => Action::Os {
                command_name: text(command_name),
                parameters: parameters.into_iter().map(text).collect(),
                stdin: stdin.map(text),
                delivery,
            },
            Self::Compute { expression, variables, columns, numbers } => Action::Compute {
                expression: text(expression),
                variables: variables.into_iter().map(Variable::into_owned).collect(),
                columns: columns.into_iter().map(text).collect(),
                numbers,
            },
            Self::Describe => Action::Describe,
            Self::Jobs => Action::Jobs,
            Self::Status { job } => Action::Status { job: text(job) },
            Self::Result { job, stream } => Action::Result { job: text(job), stream },
            Self::Cancel(Target::Job(job)) => Action::Cancel(Target::Job(text(job))),
            Self::Cancel(Target::Request(id)) => Action::Cancel(Target::Request(id)),
            Self::Metrics => Action::Metrics,
            Self::History(history) => Action::History(history.into_owned()),
        }
    }
}

impl History<'_> {
    /// The same without what it borrows.
    pub fn into_owned(self) -> History<'static> {
        History {
            user: self.user.map(|user| user.into_owned().into()),
            command_name: self.command_name.map(|name| name.into_owned().into()),
            since: self.since,
            failed: self.failed,
        }
    }
}

impl<'a> Action<'a> {
    /// Asks for a command.
    pub fn os(
        command_name: impl Into<Cow<'a, str>>,
        parameters: impl IntoIterator<Item = Cow<'a, str>>,
    ) -> Self {
        Self::Os {
            command_name: command_name.into(),
            parameters: parameters.into_iter().collect(),
            stdin: None,
            delivery: Delivery::Whole,
        }
    }

    /// Asks for the value of an expression without variables.
    pub fn compute(expression: impl Into<Cow<'a, str>>) -> Self {
        Self::Compute {
            expression: expression.into(),
            variables: Vec::new(),
            columns: Vec::new(),
            numbers: Numbers::Python,
        }
    }
}

/// The spelling of numbers in a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Numbers {
    /// As Python's `json.dumps` spells them.
    #[default]
    Python,
    /// `"strict"`: what JSON cannot carry exactly is tagged, such as `{"$int":"…"}`.
    Strict,
}

/// A client's name for a request: 1 to [`MAX_ID_BYTES`] of `A-Za-z0-9._-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(String);

impl RequestId {
    /// Checks the alphabet and the length.
    pub fn parse(text: &str) -> Option<Self> {
        let permitted = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let valid = (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(permitted);
        valid.then(|| Self(text.to_owned()))
    }

    /// The id as the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A request that was refused before anyone looked at what it asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidRequest {
    /// The request's id, where a valid one could be found.
    pub id: Option<RequestId>,
    /// [`ErrorCode::InvalidRequest`] or [`ErrorCode::LimitExceeded`].
    pub code: ErrorCode,
    /// What is wrong, in words for the client. Quotes no more of the request than the name of a key.
    pub message: String,
}

impl InvalidRequest {
    fn new(message: impl Into<String>) -> Self {
        Self { id: None, code: ErrorCode::InvalidRequest, message: message.into() }
    }
}

/// Reads one request from one frame.
///
/// # Errors
/// Everything that is not exactly the schema of `docs/protocol.md`.
pub fn decode_request(frame: &[u8]) -> Result<Request<'_>, InvalidRequest> {
    if frame.len() > MAX_REQUEST_BYTES {
        let message = format!("the request is longer than {MAX_REQUEST_BYTES} bytes");
        return Err(InvalidRequest { id: None, code: ErrorCode::LimitExceeded, message });
    }
    let text = std::str::from_utf8(frame).map_err(|error| {
        InvalidRequest::new(format!("the request is not UTF-8 at byte {}", error.valid_up_to()))
    })?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err(InvalidRequest::new("the request is not a JSON object"));
    }
    let error = match serde_json::from_str::<Keys<'_>>(text) {
        Ok(keys) => return keys.into_valid_request(),
        Err(error) => error,
    };
    // It may hold numbers that Python writes and JSON lacks.
    let Some(strict) = respell(frame) else {
        return Err(InvalidRequest::new(format!("the request is not JSON: {error}")));
    };
    let keys: Keys<'_> = serde_json::from_slice(&strict).map_err(|error| {
        // The place that it names is one of the respelled text.
        let error = error.to_string();
        let what = error.split_once(" at line ").map_or(&*error, |(what, _)| what);
        InvalidRequest::new(format!("the request is not JSON: {what}"))
    })?;
    keys.into_valid_request().map(Request::into_owned)
}

/// The keys of a request as they stood in the frame, each at most once and of its type, or the first problem.
#[derive(Default)]
struct Keys<'a> {
    command_type: Option<Cow<'a, str>>,
    command_name: Option<Cow<'a, str>>,
    parameters: Option<Vec<Cow<'a, str>>>,
    stdin: Option<Cow<'a, str>>,
    expression: Option<Cow<'a, str>>,
    variables: Option<Vec<Variable<'a>>>,
    columns: Option<Vec<Cow<'a, str>>>,
    numbers: Option<Numbers>,
    job: Option<Cow<'a, str>>,
    request_id: Option<RequestId>,
    stream: Option<bool>,
    detach: Option<bool>,
    user: Option<Cow<'a, str>>,
    since: Option<Duration>,
    failed: Option<bool>,
    id: Option<RequestId>,
    timeout: Option<Duration>,
    problem: Option<String>,
}

impl<'a> Keys<'a> {
    /// Takes one key; what is wrong with it is kept, and only the first problem counts.
    fn take(&mut self, key: &str, value: &'a RawValue) {
        let taken = match key {
            "command_type" => put(&mut self.command_type, key, value, string),
            "command_name" => put(&mut self.command_name, key, value, string),
            "parameters" => put(&mut self.parameters, key, value, strings),
            "stdin" => put(&mut self.stdin, key, value, string),
            "expression" => put(&mut self.expression, key, value, string),
            "variables" => put(&mut self.variables, key, value, variables),
            "columns" => put(&mut self.columns, key, value, columns),
            "numbers" => put(&mut self.numbers, key, value, numbers),
            "job" => put(&mut self.job, key, value, string),
            "request_id" => put(&mut self.request_id, key, value, id),
            "stream" => put(&mut self.stream, key, value, boolean),
            "detach" => put(&mut self.detach, key, value, boolean),
            "user" => put(&mut self.user, key, value, string),
            "since" => put(&mut self.since, key, value, since),
            "failed" => put(&mut self.failed, key, value, boolean),
            "id" => put(&mut self.id, key, value, id),
            "timeout" => put(&mut self.timeout, key, value, timeout),
            _ => Err(format!("unknown key {}", quoted(key))),
        };
        if let Err(problem) = taken {
            self.problem.get_or_insert(problem);
        }
    }

    fn into_valid_request(self) -> Result<Request<'a>, InvalidRequest> {
        let id = self.id.clone();
        self.into_request().map_err(|message| InvalidRequest { id, ..InvalidRequest::new(message) })
    }

    fn into_request(self) -> Result<Request<'a>, String> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let command_type = self.command_type.as_deref().ok_or("the key `command_type` is missing")?;
        if let Some(&(_, keys)) = KEYS_OF.iter().find(|(of, _)| *of == command_type) {
            self.only(keys, command_type)?;
        }
        let job = |job: Option<_>| job.ok_or("the key `job` is missing");
        let action = match command_type {
            "os" => Action::Os {
                command_name: self.command_name.ok_or("the key `command_name` is missing")?,
                parameters: self.parameters.unwrap_or_default(),
                stdin: self.stdin,
                delivery: match (self.stream.unwrap_or_default(), self.detach.unwrap_or_default()) {
                    (false, false) => Delivery::Whole,
                    (true, false) => Delivery::Stream,
                    (false, true) => Delivery::Detached,
                    (true, true) => return Err("`stream` and `detach` exclude each other".to_owned()),
                },
            },
            "compute" => Action::Compute {
                expression: self.expression.ok_or("the key `expression` is missing")?,
                variables: self.variables.unwrap_or_default(),
                columns: self.columns.unwrap_or_default(),
                numbers: self.numbers.unwrap_or_default(),
            },
            "describe" => Action::Describe,
            "jobs" => Action::Jobs,
            "status" => Action::Status { job: job(self.job)? },
            "result" => Action::Result { job: job(self.job)?, stream: self.stream.unwrap_or_default() },
            "cancel" => Action::Cancel(match (self.job, self.request_id) {
                (Some(job), None) => Target::Job(job),
                (None, Some(id)) => Target::Request(id),
                (None, None) => return Err("the key `job` or `request_id` is missing".to_owned()),
                (Some(_), Some(_)) => return Err("`job` and `request_id` exclude each other".to_owned()),
            }),
            "metrics" => Action::Metrics,
            "history" => Action::History(History {
                user: self.user,
                command_name: self.command_name,
                since: self.since,
                failed: self.failed.unwrap_or_default(),
            }),
            _ => return Err("Invalid command type".to_owned()),
        };
        Ok(Request { id: self.id, timeout: self.timeout, action })
    }

    /// Refuses a key that belongs to another type of request.
    fn only(&self, permitted: &[&str], command_type: &str) -> Result<(), String> {
        let present = [
            ("command_name", self.command_name.is_some()),
            ("parameters", self.parameters.is_some()),
            ("stdin", self.stdin.is_some()),
            ("expression", self.expression.is_some()),
            ("variables", self.variables.is_some()),
            ("columns", self.columns.is_some()),
            ("numbers", self.numbers.is_some()),
            ("job", self.job.is_some()),
            ("request_id", self.request_id.is_some()),
            ("stream", self.stream.is_some()),
            ("detach", self.detach.is_some()),
            ("user", self.user.is_some()),
            ("since", self.since.is_some()),
            ("failed", self.failed.is_some()),
        ];
        let foreign = present.into_iter().find(|(key, present)| *present && !permitted.contains(key));
        foreign.map_or(Ok(()), |(key, _)| {
            Err(format!("the key `{key}` does not belong to a request of type `{command_type}`"))
        })
    }
}

/// The keys of each type of request, beside those that all have.
const KEYS_OF: [(&str, &[&str]); 9] = [
    ("os", &["command_name", "parameters", "stdin", "stream", "detach"]),
    ("compute", &["expression", "variables", "columns", "numbers"]),
    ("describe", &[]),
    ("jobs", &[]),
    ("status", &["job"]),
    ("result", &["job", "stream"]),
    ("cancel", &["job", "request_id"]),
    ("metrics", &[]),
    ("history", &["user", "command_name", "since", "failed"]),
];

impl<'de> Deserialize<'de> for Keys<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;
        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = Keys<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Keys<'de>, M::Error> {
                let mut keys = Keys::default();
                while let Some((key, value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    keys.take(&key.0, value);
                }
                Ok(keys)
            }
        }
        deserializer.deserialize_map(KeysVisitor)
    }
}

fn put<'a, T>(
    slot: &mut Option<T>,
    key: &str,
    value: &'a RawValue,
    read: fn(&'a str) -> Result<T, &'static str>,
) -> Result<(), String> {
    if slot.is_some() {
        return Err(format!("the key `{key}` stands twice"));
    }
    *slot = Some(read(value.get()).map_err(|expected| format!("the key `{key}` must be {expected}"))?);
    Ok(())
}

fn string(json: &str) -> Result<Cow<'_, str>, &'static str> {
    serde_json::from_str::<Text<'_>>(json).map(|text| text.0).map_err(|_| "a string of Unicode text")
}

fn strings(json: &str) -> Result<Vec<Cow<'_, str>>, &'static str> {
    let expected = "a list of at most 256 strings";
    let texts: Vec<Text<'_>> = serde_json::from_str(json).map_err(|_| expected)?;
    if texts.len() > MAX_PARAMETERS {
        return Err(expected);
    }
    Ok(texts.into_iter().map(|text| text.0).collect())
}

fn columns(json: &str) -> Result<Vec<Cow<'_, str>>, &'static str> {
    let expected = "a list of at most 64 different names";
    let names = strings(json).map_err(|_| expected)?;
    let mut seen = std::collections::HashSet::new();
    if names.len() > MAX_COLUMNS || !names.iter().all(|name| seen.insert(name)) {
        return Err(expected);
    }
    Ok(names)
}

fn variables(json: &str) -> Result<Vec<Variable<'_>>, &'static str> {
    let variables: Variables<'_> = serde_json::from_str(json)
        .map_err(|_| "an object of at most 1024 different names and their values, nested at most 4 deep")?;
    Ok(variables.0)
}

fn numbers(json: &str) -> Result<Numbers, &'static str> {
    match json {
        r#""strict""# => Ok(Numbers::Strict),
        r#""python""# => Ok(Numbers::Python),
        _ => Err("`strict` or `python`"),
    }
}

fn boolean(json: &str) -> Result<bool, &'static str> {
    serde_json::from_str(json).map_err(|_| "true or false")
}

fn since(json: &str) -> Result<Duration, &'static str> {
    let expected = "a number of seconds, 0 or more";
    let seconds: f64 = serde_json::from_str(json).map_err(|_| expected)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| expected)
}

fn id(json: &str) -> Result<RequestId, &'static str> {
    let expected = "1 to 64 characters of A-Z a-z 0-9 . _ -";
    RequestId::parse(&string(json).map_err(|_| expected)?).ok_or(expected)
}

fn timeout(json: &str) -> Result<Duration, &'static str> {
    let expected = "a number of seconds above 0 and at most 86400";
    let seconds: f64 = serde_json::from_str(json).map_err(|_| expected)?;
    let timeout = Duration::try_from_secs_f64(seconds).map_err(|_| expected)?;
    if timeout.is_zero() || timeout > MAX_TIMEOUT {
        return Err(expected);
    }
    Ok(timeout)
}

/// The name of a key, shortened and with everything escaped that is not plain ASCII.
fn quoted(key: &str) -> String {
    format!("`{}`", shown(key))
}
