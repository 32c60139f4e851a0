//! Last stage: into the log, and only from there to the client.
//!
//! A [`Recorded`] holds a reply that the log knows. Nothing else can become a reply, and it does so only with the
//! log's word that everything up to it has been written.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use transport::ReturnPath;
use wire::json::StrictJson;
use wire::{ErrorCode, Output, Reply, RequestId, Streamed, Verdict};

use crate::entry::Entry;
use crate::jobs::{Ended, Job, State};
use crate::limits::MAX_LOGGED_OUTPUT_BYTES;
use crate::log::{Committed, Line, Log, Unwritable};
use crate::outcome::Outcome;
use crate::pace::Told;
use crate::refusal::Refusal;
use crate::service::Service;

/// A reply whose record is in the log.
pub(crate) struct Recorded {
    return_path: ReturnPath,
    id: Option<RequestId>,
    reply: Vec<u8>,
    column: Option<Bytes>,
    /// It is told to nobody before the log has its record.
    needs_record: bool,
}

impl Recorded {
    /// The reply, now that the log has been written.
    pub(crate) fn into_reply(self, _written: &Committed) -> (ReturnPath, Vec<u8>, Option<Bytes>) {
        (self.return_path, self.reply, self.column)
    }

    /// What the client is told when the log could not be written. A result stays untold; what the server says of itself
    /// does not.
    pub(crate) fn into_unrecorded_reply(
        self,
        _not_written: Unwritable,
    ) -> (ReturnPath, Vec<u8>, Option<Bytes>) {
        if !self.needs_record {
            return (self.return_path, self.reply, None);
        }
        let Refusal { failure, .. } = Refusal::internal("");
        let id = self.id.as_ref().map(|id| id.as_str().into());
        let reply = Reply { id, job: None, duration: None, verdict: Verdict::Failed(*failure) };
        (self.return_path, reply.encode(), None)
    }
}

/// Writes what became of a request, whatever that was. The output of a job stands in the record of its end alone.
pub(crate) fn record(service: &Service, entry: Entry, result: Result<Outcome, Refusal>) -> Recorded {
    let Service { log, replies, refusals, .. } = service;
    let mut column = None;
    let mut was_told = false;
    let mut reply_needs_record = true;
    let mut of_job: Option<(Arc<Ended>, Option<Streamed>)> = None;
    let (verdict, reason) = match result {
        Ok(Outcome::Column { rows, bytes, sha256 }) => {
            column = Some((bytes, sha256));
            (Verdict::Column { rows }, None)
        }
        Ok(Outcome::Value { json, type_name }) => {
            (Verdict::Value { json: json.into(), type_name: type_name.into() }, None)
        }
        Ok(Outcome::Told { json, type_name, needs_record }) => {
            was_told = true;
            reply_needs_record = needs_record;
            (Verdict::Value { json: json.into(), type_name: type_name.into() }, None)
        }
        Ok(Outcome::Running { output }) => (Verdict::Running { output }, None),
        Ok(Outcome::Ended { ended, streamed }) => {
            of_job = Some((ended, streamed));
            (Verdict::Running { output: None }, None)
        }
        Err(Refusal { failure, reason }) => (Verdict::Failed(*failure), reason),
    };
    let verdict = match &of_job {
        Some((ended, streamed)) => sent(ended, *streamed),
        None => verdict,
    };
    let reply = Reply {
        id: entry.id.as_ref().map(|id| id.as_str().into()),
        job: entry.job.as_deref().map(Cow::Borrowed),
        duration: Some(entry.frame.arrived.elapsed()),
        verdict,
    };
    replies.count(&reply.verdict);
    let encoded = reply.encode();
    let told = if entry.admitted {
        Told::Record { unrecorded: 0 }
    } else {
        refusals.note(entry.user.as_ref().map(|user| user.name.as_str()), entry.frame.arrived)
    };
    // While the log cannot be written its memory must not grow with every request that is turned away.
    let has_room = !log.is_broken() || entry.job.is_some();
    if let (Told::Record { unrecorded }, true) = (told, has_room) {
        log.append(|line| {
            line.text("event", "answered");
            entry.write(line);
            if was_told {
                // It is as long as the log is, or the list of jobs, and says what stands there already.
                let type_name = reply.verdict.type_name().unwrap_or_default();
                let verdict = Verdict::Value { json: "null".into(), type_name: type_name.into() };
                log_reply(line, &Reply { verdict, ..reply.clone() }.encode());
            } else if entry.job.is_some() {
                log_reply(line, &reply.encode_without_output());
            } else {
                log_reply(line, &encoded);
            }
            if let Some((_, sha256)) = &column {
                line.hex("column_sha256", sha256);
            }
            if let Some(reason) = &reason {
                line.text("reason", reason);
            }
            if unrecorded > 0 {
                line.number("unrecorded", unrecorded);
            }
        });
    }
    Recorded {
        return_path: entry.frame.return_path.clone(),
        reply: encoded,
        column: column.map(|(bytes, _)| bytes),
        id: entry.id,
        needs_record: reply_needs_record,
    }
}

/// A reply as the log has it: what went out spelled as Python does is spelled strictly.
fn log_reply(line: &mut Line<'_>, encoded: &[u8]) {
    line.json("reply", &StrictJson::respelled(encoded));
}

/// What goes to the client of a job that has ended: without the output that went before.
fn sent(ended: &Ended, streamed: Option<Streamed>) -> Verdict<'_> {
    let Some(output) = ended.verdict.output() else { return ended.verdict.with_output(Output::default()) };
    match streamed {
        None => ended.verdict.with_output(output.borrowed()),
        Some(_) => ended.verdict.with_output(Output {
            stdout: Cow::Borrowed(&[]),
            stderr: Cow::Borrowed(&[]),
            streamed,
            usage: output.usage,
            // Cut is only what is kept; whoever was there from the beginning has seen all.
            truncated: streamed.is_some_and(|sent| {
                let all = output.usage.map_or(0, |usage| usage.output_bytes);
                sent.stdout.saturating_add(sent.stderr) < all
            }),
        }),
    }
}

/// Writes how many refusals had no record, where no other of their users has told it.
pub(crate) fn record_unrecorded(service: &Service) {
    for (user, count) in service.refusals.take_unrecorded() {
        service.log.append(|line| {
            line.text("event", "refused");
            if !user.is_empty() {
                line.text("user", &user);
            }
            line.number("unrecorded", count);
        });
    }
}

/// Writes what a job came to.
pub(crate) fn record_end(log: &Log, job: &Job, ended: &Ended) {
    let reply = |verdict| Reply { id: None, job: None, duration: ended.duration, verdict };
    log.append(|line| {
        line.text("event", "ended");
        line.text("user", &job.order.user);
        if says_what_was_asked(job, ended) {
            line.text("asked", &job.asked().to_string());
            job.order.write(line);
        } else {
            line.text("command", &job.order.command);
        }
        line.text("job", &job.name);
        match ended.verdict.output() {
            Some(output) => {
                log_reply(line, &reply(ended.verdict.with_output(shortened(output))).encode());
                note_length(line, output);
            }
            None => log_reply(line, &reply(ended.verdict.with_output(Output::default())).encode()),
        }
        if let Some(reason) = &ended.reason {
            line.text("reason", reason);
        }
    });
}

/// A job that never started has no other record that a later server could know it by. One that was turned away has not
/// used its id up.
fn says_what_was_asked(job: &Job, ended: &Ended) -> bool {
    let turned_away = matches!(&ended.verdict, Verdict::Failed(failure) if failure.code == ErrorCode::Busy);
    matches!(job.state(), State::Waiting) && !turned_away
}

/// The output as the log keeps it, where a command printed more than the log takes.
fn shortened<'o>(output: &'o Output<'_>) -> Output<'o> {
    if !is_long(output) {
        return output.borrowed();
    }
    Output {
        stdout: start(&output.stdout),
        stderr: start(&output.stderr),
        truncated: true,
        ..output.borrowed()
    }
}

/// How much was kept, where the log has less.
fn note_length(line: &mut Line<'_>, output: &Output<'_>) {
    if is_long(output) {
        line.number("output_bytes", output.stdout.len().saturating_add(output.stderr.len()) as u64);
    }
}

fn is_long(output: &Output<'_>) -> bool {
    output.stdout.len().max(output.stderr.len()) > MAX_LOGGED_OUTPUT_BYTES
}

fn start(bytes: &[u8]) -> Cow<'_, [u8]> {
    let cut = bytes.get(..MAX_LOGGED_OUTPUT_BYTES).unwrap_or(bytes);
    // Text stays text: a character that the cut went through goes as a whole.
    let whole = match std::str::from_utf8(cut) {
        Err(error) if error.error_len().is_none() => cut.get(..error.valid_up_to()).unwrap_or(cut),
        _ => cut,
    };
    Cow::Borrowed(whole)
}
