//! A row of the history: what its records say, in one place.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wire::json::{Respelled, read};

use super::jobs::{Found, NoRecord};
use crate::log::escape::push_json;

/// How far something has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// It has ended, or was answered.
    #[default]
    Ended,
    /// It has started; it runs, or its end is not in the log yet.
    Running,
    /// It had started when its server died.
    Unknown,
}

/// One thing that was asked for: a job, or a request that was none.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct HistoryRow {
    /// The number of its first record.
    pub record: u64,
    /// When it began: the time of that record, RFC 3339 in UTC with microseconds.
    pub time: String,
    /// When it ended, for a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// How far it has come.
    pub state: RowState,
    /// Who asked; nobody, where it was a stranger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// By which account of the machine, where it came by a Unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The kind of the request, as it called itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_type: Option<String>,
    /// The command that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
    /// The expression that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// The beginning of a request that was not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_text: Option<String>,
    /// The job, or the one that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// `success` or `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The command's exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The code of an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What the client was told of an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the client was not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The value of an expression, as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Box<RawValue>>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
}

/// What of any record can matter to a row.
#[derive(Deserialize)]
struct Record {
    seq: u64,
    time: String,
    user: Option<String>,
    peer: Option<String>,
    uid: Option<u32>,
    request: Option<Box<RawValue>>,
    request_text: Option<String>,
    job: Option<String>,
    command: Option<String>,
    #[serde(default)]
    parameters: Vec<String>,
    reply: Option<Reply>,
    reason: Option<String>,
}

/// What the last record of a job adds to the first.
#[derive(Default)]
struct Last {
    time: Option<String>,
    user: Option<String>,
    peer: Option<String>,
    uid: Option<u32>,
    job: Option<String>,
    command: Option<String>,
    reply: Option<Reply>,
    reason: Option<String>,
}

impl From<Record> for Last {
    fn from(record: Record) -> Self {
        let Record { time, user, peer, uid, job, command, reply, reason, .. } = record;
        Self { time: Some(time), user, peer, uid, job, command, reply, reason }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reply {
    status: Option<String>,
    job: Option<String>,
    result: Option<Box<RawValue>>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    code: Option<String>,
    message: Option<String>,
    duration_ms: Option<f64>,
}

/// A request as far as it is one: those that were refused can hold anything.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    command_type: Option<String>,
    command_name: Option<String>,
    parameters: Vec<String>,
    expression: Option<String>,
    job: Option<String>,
}

impl HistoryRow {
    pub(super) fn from_found(found: &Found) -> Result<Self, NoRecord> {
        match found {
            Found::Row(row) => Ok(Self::clone(row)),
            Found::Records(first, last) => Self::from_records(first, last.as_deref()),
        }
    }

    /// From the first record and the last, where that is another.
    pub(super) fn from_records(first: &[u8], last: Option<&[u8]>) -> Result<Self, NoRecord> {
        let record = |line: &[u8]| read::<Record>(line, &mut Respelled::default()).map_err(|_| NoRecord);
        let (first, last) = (record(first)?, last.map(record).transpose()?);
        let is_job = last.is_some();
        let request =
            [Some(&first), last.as_ref()].into_iter().flatten().find_map(|record| record.request.as_deref());
        let request: Request =
            request.and_then(|request| serde_json::from_str(request.get()).ok()).unwrap_or_default();
        let Record {
            seq, time, user, peer, uid, request_text, job, command, parameters, reply, reason, ..
        } = first;
        let last = last.map(Last::from).unwrap_or_default();
        let reply = last.reply.or(reply).unwrap_or_default();
        let is_job = is_job || job.is_some();
        // There it is what to look for.
        let asked_for = request.command_name.filter(|_| request.command_type.as_deref() != Some("history"));
        Ok(Self {
            record: seq,
            time,
            ended: last.time,
            state: RowState::Ended,
            user: user.or(last.user),
            peer: peer.or(last.peer),
            uid: uid.or(last.uid),
            command_type: request.command_type,
            command: command.or(last.command).or(asked_for),
            parameters: if parameters.is_empty() { request.parameters } else { parameters },
            result: reply.result.filter(|_| !is_job && request.expression.is_some()),
            expression: request.expression,
            request_text,
            job: job.or(last.job).or(reply.job).or(request.job),
            status: reply.status,
            exit_code: reply.exit_code,
            signal: reply.signal,
            code: reply.code,
            message: reply.message,
            reason: last.reason.or(reason),
            duration_ms: reply.duration_ms,
        })
    }

    /// Whether it came to anything else than success, as far as is known.
    pub fn failed(&self) -> bool {
        match self.state {
            RowState::Running => false,
            RowState::Unknown => true,
            RowState::Ended => {
                self.status.as_deref() != Some("success")
                    || self.signal.is_some()
                    || self.exit_code.is_some_and(|code| code != 0)
            }
        }
    }

    /// One line of JSON in which nothing is left that a terminal would obey.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::new();
        // Neither a key nor a value of a row can be refused.
        let _ = serde_json::to_writer(&mut json, self);
        let mut line = Vec::with_capacity(json.len());
        push_json(&mut line, &json);
        line
    }
}
