//! Replies: what the server says and what a client reads, one type for both.
//!
//! The first keys are those of the program that bidden replaces, so that its clients keep working: `status` with
//! `result` or `message`. Everything else stands behind them.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::code::ErrorCode;
use crate::json::{respell, untagged};
use crate::text::{Text, push_string};

/// The `state` of a job that has not ended.
const RUNNING: &str = "running";

/// The answer to one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply<'a> {
    /// The id that the client gave the request.
    pub id: Option<Cow<'a, str>>,
    /// The server's name for the execution of a command.
    pub job: Option<Cow<'a, str>>,
    /// From the request's arrival to its result; on the wire in milliseconds with three decimals.
    pub duration: Option<Duration>,
    /// The result or the error.
    pub verdict: Verdict<'a>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict<'a> {
    /// A value: that of an expression, or what the server was asked about itself.
    Value {
        /// The value as JSON text; that of an expression is spelled as the request's `numbers` asked.
        json: Cow<'a, str>,
        /// Its type. Of an expression Python's: `int`, `float`, `bool`, `complex`, `list` or `tuple`. Otherwise
        /// `description`, `jobs`, `job`, `metrics` or `history`; docs/protocol.md gives their keys.
        type_name: Cow<'a, str>,
    },
    /// An expression over columns has a column of values, which follows in a frame of little-endian doubles.
    Column {
        /// How many values it has.
        rows: u64,
    },
    /// A command ran to its end; `end` tells which.
    Finished {
        /// What it printed.
        output: Output<'a>,
        /// How it ended.
        end: End,
    },
    /// A command runs, and its reply is still to come; the reply's `job` names it.
    Running {
        /// What it has printed so far, where that was asked for.
        output: Option<Output<'a>>,
    },
    /// There is no result.
    Failed(Failure<'a>),
}

impl<'a> Verdict<'a> {
    /// What a command printed, where it is about one.
    pub fn output(&self) -> Option<&Output<'a>> {
        match self {
            Self::Finished { output, .. } => Some(output),
            Self::Failed(failure) => failure.output.as_ref(),
            Self::Running { output } => output.as_ref(),
            Self::Value { .. } | Self::Column { .. } => None,
        }
    }

    /// The type of a value.
    pub fn type_name(&self) -> Option<&str> {
        match self {
            Self::Value { type_name, .. } => Some(type_name),
            _ => None,
        }
    }

    /// The same with other output, where it is about a command that has printed.
    pub fn with_output<'b>(&'b self, other: Output<'b>) -> Verdict<'b> {
        match self {
            Self::Finished { end, .. } => Verdict::Finished { output: other, end: *end },
            Self::Failed(failure) if failure.output.is_some() => {
                Verdict::Failed(Failure { output: Some(other), ..failure.borrowed() })
            }
            Self::Failed(failure) => Verdict::Failed(failure.borrowed()),
            Self::Running { output } => Verdict::Running { output: output.is_some().then_some(other) },
            Self::Value { json, type_name } => {
                Verdict::Value { json: (&**json).into(), type_name: (&**type_name).into() }
            }
            Self::Column { rows } => Verdict::Column { rows: *rows },
        }
    }

    /// The same without what it borrows from elsewhere.
    pub fn into_owned(self) -> Verdict<'static> {
        match self {
            Self::Value { json, type_name } => {
                Verdict::Value { json: json.into_owned().into(), type_name: type_name.into_owned().into() }
            }
            Self::Column { rows } => Verdict::Column { rows },
            Self::Finished { output, end } => Verdict::Finished { output: output.into_owned(), end },
            Self::Running { output } => Verdict::Running { output: output.map(Output::into_owned) },
            Self::Failed(failure) => Verdict::Failed(Failure {
                code: failure.code,
                message: failure.message.into_owned().into(),
                class: failure.class.map(|class| class.into_owned().into()),
                column: failure.column,
                retry_after: failure.retry_after,
                output: failure.output.map(Output::into_owned),
            }),
        }
    }
}

impl Output<'_> {
    /// The same, borrowed from this one.
    pub fn borrowed(&self) -> Output<'_> {
        Output {
            stdout: (&*self.stdout).into(),
            stderr: (&*self.stderr).into(),
            truncated: self.truncated,
            usage: self.usage,
            streamed: self.streamed,
        }
    }

    fn into_owned(self) -> Output<'static> {
        Output {
            stdout: self.stdout.into_owned().into(),
            stderr: self.stderr.into_owned().into(),
            truncated: self.truncated,
            usage: self.usage,
            streamed: self.streamed,
        }
    }
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure<'a> {
    /// The stable code.
    pub code: ErrorCode,
    /// A short sentence for a person.
    pub message: Cow<'a, str>,
    /// Python's exception class, for a computation.
    pub class: Option<Cow<'a, str>>,
    /// Where in the expression, in characters from 1.
    pub column: Option<u32>,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// What a command had printed before it was ended.
    pub output: Option<Output<'a>>,
}

impl<'a> Failure<'a> {
    /// A failure that is a code and a message and nothing else.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'a, str>>) -> Self {
        Self { code, message: message.into(), class: None, column: None, retry_after: None, output: None }
    }

    /// The same, borrowed from this one.
    fn borrowed(&self) -> Failure<'_> {
        Failure {
            code: self.code,
            message: (&*self.message).into(),
            class: self.class.as_deref().map(Into::into),
            column: self.column,
            retry_after: self.retry_after,
            output: self.output.as_ref().map(Output::borrowed),
        }
    }
}

/// What a command printed, as bytes, and what it used up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output<'a> {
    /// Its standard output.
    pub stdout: Cow<'a, [u8]>,
    /// Its standard error.
    pub stderr: Cow<'a, [u8]>,
    /// Whether either was longer than the limit and is cut there.
    pub truncated: bool,
    /// What it used up.
    pub usage: Option<Usage>,
    /// Bytes that were sent as events before this reply, which then has none of them itself.
    pub streamed: Option<Streamed>,
}

/// How much was sent of each stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streamed {
    /// Of standard output, in bytes.
    pub stdout: u64,
    /// Of standard error, in bytes.
    pub stderr: u64,
}

/// What a command used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on processors; on the wire in milliseconds with three decimals.
    pub cpu_time: Duration,
    /// The most memory that one of its processes held at once.
    pub peak_memory_bytes: u64,
    /// What it wrote to stdout and stderr together, also what is cut.
    pub output_bytes: u64,
}

/// How a process ended (wait(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this status.
    Exit(i32),
    /// This signal ended it.
    Signal(i32),
}

/// A reply that does not follow the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reply does not follow the protocol: {0}")]
pub struct InvalidReply(String);

impl Reply<'_> {
    /// The JSON frame that says this.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with(self.verdict.output())
    }

    /// The same without what a command has printed, for those who have it elsewhere.
    pub fn encode_without_output(&self) -> Vec<u8> {
        self.encode_with(None)
    }

    fn encode_with(&self, output: Option<&Output<'_>>) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        match &self.verdict {
            Verdict::Value { json, type_name } => {
                out.extend_from_slice(br#"{"status":"success","result":"#);
                out.extend_from_slice(json.as_bytes());
                out.extend_from_slice(br#","type":"#);
                push_string(&mut out, type_name);
            }
            Verdict::Column { rows } => {
                out.extend_from_slice(br#"{"status":"success","result":null,"type":"column""#);
                push_number(&mut out, "rows", *rows);
            }
            Verdict::Running { .. } => {
                out.extend_from_slice(br#"{"status":"success""#);
                if output.is_none() {
                    out.extend_from_slice(br#","result":null"#);
                }
                push_output(&mut out, output);
                push_text(&mut out, "state", RUNNING);
            }
            Verdict::Finished { end, .. } => {
                out.extend_from_slice(br#"{"status":"success""#);
                push_output(&mut out, output);
                let (key, number) = match end {
                    End::Exit(code) => ("exit_code", code),
                    End::Signal(signal) => ("signal", signal),
                };
                push_number(&mut out, key, *number);
            }
            Verdict::Failed(failure) => push_failure(&mut out, failure, output),
        }
        if let Some(id) = &self.id {
            push_text(&mut out, "id", id);
        }
        if let Some(job) = &self.job {
            push_text(&mut out, "job", job);
        }
        if let Some(duration) = self.duration {
            push_key(&mut out, "duration_ms");
            push_milliseconds(&mut out, duration);
        }
        out.push(b'}');
        out
    }

    /// Reads one reply from one frame. Keys that this version does not know are ignored, as old clients do.
    ///
    /// # Errors
    /// A frame that is no reply: not JSON, no `status`, or keys of the wrong type.
    pub fn decode(frame: &[u8]) -> Result<Reply<'_>, InvalidReply> {
        let decoded = Reply::decode_strict(frame);
        let Some(strict) = decoded.is_err().then(|| respell(frame)).flatten() else { return decoded };
        // It holds numbers that Python writes and JSON lacks: the value keeps them.
        let mut reply = Reply::decode_strict(&strict)?.into_owned();
        if let Verdict::Value { json, .. } = &mut reply.verdict {
            *json = untagged(json).into_owned().into();
        }
        Ok(reply)
    }

    fn decode_strict(frame: &[u8]) -> Result<Reply<'_>, InvalidReply> {
        let keys: Keys<'_> =
            serde_json::from_slice(frame).map_err(|error| InvalidReply(error.to_string()))?;
        keys.into_reply().map_err(|problem| InvalidReply(problem.to_owned()))
    }

    /// The same without what it borrows.
    pub fn into_owned(self) -> Reply<'static> {
        Reply {
            id: self.id.map(|id| id.into_owned().into()),
            job: self.job.map(|job| job.into_owned().into()),
            duration: self.duration,
            verdict: self.verdict.into_owned(),
        }
    }
}

fn push_failure(out: &mut Vec<u8>, failure: &Failure<'_>, output: Option<&Output<'_>>) {
    out.extend_from_slice(br#"{"status":"error","message":"#);
    push_string(out, &failure.message);
    push_text(out, "code", failure.code.as_str());
    if let Some(class) = &failure.class {
        push_text(out, "error", class);
    }
    if let Some(column) = failure.column {
        push_number(out, "column", column);
    }
    if let Some(retry_after) = failure.retry_after {
        push_number(out, "retry_after_ms", u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX));
    }
    push_output(out, output);
}

fn push_output(out: &mut Vec<u8>, output: Option<&Output<'_>>) {
    let Some(output) = output else { return };
    push_bytes(out, "result", "encoding", &output.stdout);
    push_bytes(out, "stderr", "stderr_encoding", &output.stderr);
    if output.truncated {
        out.extend_from_slice(br#","truncated":true"#);
    }
    if let Some(usage) = &output.usage {
        out.extend_from_slice(br#","usage":{"cpu_ms":"#);
        push_milliseconds(out, usage.cpu_time);
        push_number(out, "peak_memory_bytes", usage.peak_memory_bytes);
        push_number(out, "output_bytes", usage.output_bytes);
        out.push(b'}');
    }
    if let Some(streamed) = &output.streamed {
        out.extend_from_slice(br#","streamed":{"stdout":"#);
        out.extend_from_slice(itoa::Buffer::new().format(streamed.stdout).as_bytes());
        push_number(out, "stderr", streamed.stderr);
        out.push(b'}');
    }
}

/// With three decimals.
fn push_milliseconds(out: &mut Vec<u8>, duration: Duration) {
    let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    out.extend_from_slice(itoa::Buffer::new().format(microseconds / 1000).as_bytes());
    out.push(b'.');
    // A thousand more keeps the leading zeros.
    let digits = (microseconds % 1000).saturating_add(1000);
    out.extend(itoa::Buffer::new().format(digits).bytes().skip(1));
}

/// Text where the bytes are UTF-8; otherwise base64 (RFC 4648) and a key that says so.
fn push_bytes(out: &mut Vec<u8>, key: &str, encoding_key: &str, bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        push_text(out, key, text);
    } else {
        push_text(out, key, &BASE64.encode(bytes));
        push_text(out, encoding_key, "base64");
    }
}

pub(crate) fn push_key(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

pub(crate) fn push_text(out: &mut Vec<u8>, key: &str, value: &str) {
    push_key(out, key);
    push_string(out, value);
}

pub(crate) fn push_number(out: &mut Vec<u8>, key: &str, value: impl itoa::Integer) {
    push_key(out, key);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[derive(Deserialize)]
struct Keys<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    #[serde(borrow)]
    code: Option<Text<'a>>,
    #[serde(borrow)]
    error: Option<Text<'a>>,
    column: Option<u32>,
    retry_after_ms: Option<u64>,
    #[serde(borrow, rename = "type")]
    type_name: Option<Text<'a>>,
    #[serde(borrow)]
    encoding: Option<Text<'a>>,
    #[serde(borrow)]
    stderr: Option<Text<'a>>,
    #[serde(borrow)]
    stderr_encoding: Option<Text<'a>>,
    #[serde(default)]
    truncated: bool,
    rows: Option<u64>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    job: Option<Text<'a>>,
    duration_ms: Option<f64>,
    usage: Option<UsageKeys>,
    streamed: Option<StreamedKeys>,
    #[serde(borrow)]
    state: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct StreamedKeys {
    stdout: u64,
    stderr: u64,
}

#[derive(Deserialize)]
struct UsageKeys {
    cpu_ms: f64,
    peak_memory_bytes: u64,
    output_bytes: u64,
}

impl<'a> Keys<'a> {
    fn into_reply(mut self) -> Result<Reply<'a>, &'static str> {
        let id = self.id.take().map(|text| text.0);
        let job = self.job.take().map(|text| text.0);
        let duration = match self.duration_ms {
            Some(ms) => Some(milliseconds(ms).ok_or("`duration_ms` is no duration")?),
            None => None,
        };
        let verdict = match self.status.0.as_ref() {
            "success" => self.into_success()?,
            "error" => Verdict::Failed(self.into_failure()?),
            _ => return Err("`status` is neither `success` nor `error`"),
        };
        Ok(Reply { id, job, duration, verdict })
    }

    fn into_success(self) -> Result<Verdict<'a>, &'static str> {
        let end = match (self.exit_code, self.signal) {
            (Some(code), None) => End::Exit(code),
            (None, Some(signal)) => End::Signal(signal),
            (None, None) => {
                if let Some(rows) = self.rows {
                    return Ok(Verdict::Column { rows });
                }
                if let Some(state) = &self.state {
                    if state.0 != RUNNING {
                        return Err("`state` is not one that this client knows");
                    }
                    return Ok(Verdict::Running { output: self.into_output()? });
                }
                let json = self.result.ok_or("`result` is missing")?.get();
                let type_name = self.type_name.ok_or("`type` is missing")?.0;
                return Ok(Verdict::Value { json: Cow::Borrowed(json), type_name });
            }
            (Some(_), Some(_)) => return Err("`exit_code` and `signal` exclude each other"),
        };
        let output = self.into_output()?.ok_or("`result` is missing")?;
        Ok(Verdict::Finished { output, end })
    }

    fn into_failure(mut self) -> Result<Failure<'a>, &'static str> {
        let code = self.code.take().ok_or("`code` is missing")?;
        Ok(Failure {
            code: ErrorCode::parse(&code.0).ok_or("`code` is not one that this client knows")?,
            message: self.message.take().ok_or("`message` is missing")?.0,
            class: self.error.take().map(|text| text.0),
            column: self.column,
            retry_after: self.retry_after_ms.map(Duration::from_millis),
            output: self.into_output()?,
        })
    }

    fn into_output(self) -> Result<Option<Output<'a>>, &'static str> {
        let Some(result) = self.result else { return Ok(None) };
        let stdout: Text<'a> = serde_json::from_str(result.get()).map_err(|_| "`result` is not a string")?;
        let stderr = self.stderr.unwrap_or(Text(Cow::Borrowed("")));
        let usage = match self.usage {
            Some(keys) => Some(Usage {
                cpu_time: milliseconds(keys.cpu_ms).ok_or("`cpu_ms` is no duration")?,
                peak_memory_bytes: keys.peak_memory_bytes,
                output_bytes: keys.output_bytes,
            }),
            None => None,
        };
        Ok(Some(Output {
            stdout: into_bytes(stdout, self.encoding.as_ref())?,
            stderr: into_bytes(stderr, self.stderr_encoding.as_ref())?,
            truncated: self.truncated,
            usage,
            streamed: self.streamed.map(|keys| Streamed { stdout: keys.stdout, stderr: keys.stderr }),
        }))
    }
}

fn milliseconds(number: f64) -> Option<Duration> {
    // Rounded, because a binary fraction is seldom a whole number of microseconds.
    let duration = Duration::try_from_secs_f64(number / 1000.0).ok()?;
    let microseconds = duration.saturating_add(Duration::from_nanos(500)).as_micros();
    Some(Duration::from_micros(u64::try_from(microseconds).ok()?))
}

fn into_bytes<'a>(text: Text<'a>, encoding: Option<&Text<'_>>) -> Result<Cow<'a, [u8]>, &'static str> {
    match encoding.map(|name| name.0.as_ref()) {
        None => Ok(match text.0 {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }),
        Some("base64") => {
            BASE64.decode(text.0.as_bytes()).map(Cow::Owned).map_err(|_| "a stream is not base64")
        }
        Some(_) => Err("an `encoding` is not `base64`"),
    }
}
