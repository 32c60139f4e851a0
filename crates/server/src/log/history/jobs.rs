//! From records to what became of each job and request. A job is one thing, however many records it has: `started`,
//! `ended`, and an `answered` for each request about it. Logs of the first servers have the end in `answered`.

use std::borrow::Cow;
use std::collections::HashMap;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::IgnoredAny;
use wire::json::{Respelled, read};

use super::HistoryFilter;
use super::row::{HistoryRow, RowState};
use crate::limits::LONG_RECORD_BYTES;

/// As `2026-11-24T12:00:00.000000Z` takes.
const TIME_BYTES: usize = 27;

/// What every record begins with, found by its place.
pub(super) struct Head<'l> {
    pub(super) sequence: u64,
    time: &'l [u8],
    event: &'l [u8],
    /// What follows the event.
    rest: &'l [u8],
}

/// A line that is no record: nothing of it is shown as anybody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRecord;

/// Something that makes a row.
pub(super) enum Found {
    /// Its records: the first, and the last if that is another.
    Records(Box<[u8]>, Option<Box<[u8]>>),
    /// The row itself, where it had to be made to see whether it is wanted.
    Row(Box<HistoryRow>),
}

/// Jobs that have begun and not ended, and the filter that all rows go through.
pub(super) struct Jobs {
    filter: HistoryFilter,
    /// As a record spells it.
    since: Option<String>,
    user: Option<Finder<'static>>,
    command: Option<Finder<'static>>,
    of_a_job: Finder<'static>,
    error: Finder<'static>,
    unended: HashMap<Box<str>, Started>,
    /// The log has records of ends: what is answered does not end a job.
    has_ends: bool,
}

struct Started {
    record: Box<[u8]>,
    state: RowState,
}

/// The name of a job where it stands in a record.
#[derive(Deserialize)]
struct Named<'l> {
    #[serde(borrow)]
    job: Option<Cow<'l, str>>,
    #[serde(borrow)]
    reply: Option<NamedReply<'l>>,
}

#[derive(Deserialize)]
struct NamedReply<'l> {
    #[serde(borrow)]
    job: Option<Cow<'l, str>>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    code: Option<IgnoredAny>,
}

impl<'l> Head<'l> {
    /// None where the line is no record.
    pub(super) fn read(line: &'l [u8]) -> Option<Self> {
        const TIME: &[u8] = b",\"time\":\"";
        const EVENT: &[u8] = b",\"event\":\"";
        let rest = line.strip_prefix(b"{\"seq\":")?;
        let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = rest.split_at_checked(digits)?;
        let sequence = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let (time, rest) = until_quote(rest.strip_prefix(TIME)?)?;
        // Of this form at least, or rows would have no time.
        if !matches!(time, [.., b'Z'] if time.len() == TIME_BYTES) {
            return None;
        }
        let (event, rest) = until_quote(rest.strip_prefix(EVENT)?)?;
        Some(Self { sequence, time, event, rest })
    }
}

/// What stands before the next quotation mark, and what behind it.
fn until_quote(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (before, behind) = text.split_at_checked(memchr::memchr(b'"', text)?)?;
    Some((before, behind.get(1..)?))
}

impl Jobs {
    pub(super) fn wanted(filter: HistoryFilter) -> Self {
        let quoted = |key: &str, text: &str| {
            let mut spelled = format!("\"{key}\":").into_bytes();
            super::super::escape::push_text(&mut spelled, text);
            Finder::new(&spelled).into_owned()
        };
        Self {
            since: filter.since.map(|since| since.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()),
            user: filter.user.as_deref().map(|user| quoted("user", user)),
            // A request may spell it with escapes, which only a parser reads.
            command: filter.command.as_deref().map(|command| Finder::new(command.as_bytes()).into_owned()),
            of_a_job: Finder::new(b"\"job\":").into_owned(),
            error: Finder::new(b"\"status\":\"error\"").into_owned(),
            unended: HashMap::new(),
            has_ends: false,
            filter,
        }
    }

    /// Takes a record, and returns what is complete with it and wanted.
    pub(super) fn take(&mut self, head: &Head<'_>, line: &[u8]) -> Result<Option<Found>, NoRecord> {
        match head.event {
            b"started" => {
                let mut respelled = Respelled::default();
                let job = named(line, &mut respelled)?.job.ok_or(NoRecord)?;
                let started = Started { record: line.into(), state: RowState::Running };
                self.unended.insert(job.into(), started);
                Ok(None)
            }
            b"ended" => {
                let mut respelled = Respelled::default();
                let job = named(line, &mut respelled)?.job.ok_or(NoRecord)?;
                self.has_ends = true;
                let started = self.unended.remove(&*job);
                self.complete(head, started, line)
            }
            b"answered" => {
                let mut respelled = Respelled::default();
                if self.of_a_job.find(head.rest).is_some()
                    && let Some(reply) = named(line, &mut respelled)?.reply
                    && let Some(job) = reply.job
                {
                    let ends = reply.exit_code.is_some() || reply.signal.is_some() || reply.code.is_some();
                    if self.has_ends || !ends {
                        return Ok(None);
                    }
                    let started = self.unended.remove(&*job);
                    return self.complete(head, started, line);
                }
                self.complete(head, None, line)
            }
            b"server_started" => {
                // Whatever an earlier server had under way ended with it.
                self.unended.values_mut().for_each(|started| started.state = RowState::Unknown);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// The rows of what has not ended and is wanted.
    pub(super) fn unended(&self) -> Vec<Result<HistoryRow, NoRecord>> {
        let row = |started: &Started| {
            let row = HistoryRow::from_records(&started.record, None)?;
            Ok(HistoryRow { state: started.state, ..row })
        };
        let is_wanted = |row: &HistoryRow| self.is_wanted(row) && self.is_recent(row);
        self.unended.values().map(row).filter(|row| row.as_ref().map_or(true, is_wanted)).collect()
    }

    /// Long records are made rows at once, which have no output: many of them would take a lot of memory.
    fn complete(
        &self,
        head: &Head<'_>,
        started: Option<Started>,
        line: &[u8],
    ) -> Result<Option<Found>, NoRecord> {
        Ok(match self.wanted_among(head, started, line)? {
            Some(found @ Found::Records(..)) if line.len() > LONG_RECORD_BYTES => {
                Some(Found::Row(Box::new(HistoryRow::from_found(&found)?)))
            }
            found => found,
        })
    }

    fn wanted_among(
        &self,
        head: &Head<'_>,
        started: Option<Started>,
        line: &[u8],
    ) -> Result<Option<Found>, NoRecord> {
        if !self.may_be_wanted(head) {
            return Ok(None);
        }
        let (first, last) = match started {
            Some(started) => (started.record, Some(line.into())),
            None => (line.into(), None),
        };
        if self.has_the_user(head) && self.command.is_none() && !self.filter.failed {
            return Ok(Some(Found::Records(first, last)));
        }
        let row = HistoryRow::from_records(&first, last.as_deref())?;
        Ok(self.is_wanted(&row).then(|| Found::Row(Box::new(row))))
    }

    /// Whether its user stands where a server writes it, or none is asked for.
    fn has_the_user(&self, head: &Head<'_>) -> bool {
        let text = head.rest.strip_prefix(b",").unwrap_or_default();
        self.user
            .as_ref()
            .is_none_or(|user| text.strip_prefix(user.needle()).is_some_and(|rest| rest.starts_with(b",")))
    }

    /// Whether it can be wanted by what its bytes say, without reading them.
    fn may_be_wanted(&self, head: &Head<'_>) -> bool {
        if self.since.as_ref().is_some_and(|since| head.time < since.as_bytes()) {
            return false;
        }
        if !self.has_the_user(head) && self.user.as_ref().is_some_and(|user| user.find(head.rest).is_none()) {
            return false;
        }
        if let Some(command) = &self.command
            && command.find(head.rest).is_none()
            && memchr::memmem::find(head.rest, b"\\u").is_none()
        {
            return false;
        }
        !(self.filter.failed && head.event == b"answered" && self.error.find(head.rest).is_none())
    }

    fn is_wanted(&self, row: &HistoryRow) -> bool {
        let HistoryFilter { user, command, failed, since: _ } = &self.filter;
        let is = |wanted: &Option<String>, value: &Option<String>| wanted.is_none() || wanted == value;
        is(user, &row.user) && is(command, &row.command) && (!failed || row.failed())
    }

    /// What runs is recent, however long it has been running.
    fn is_recent(&self, row: &HistoryRow) -> bool {
        row.state == RowState::Running || self.since.as_ref().is_none_or(|since| row.time >= *since)
    }
}

fn named<'l>(line: &'l [u8], respelled: &'l mut Respelled) -> Result<Named<'l>, NoRecord> {
    read(line, respelled).map_err(|_| NoRecord)
}
