//! Last stage: into the log, and only from there to the client.
//!
//! A [`Recorded`] holds a reply that the log knows. Nothing else can become a reply, and it does so only with the
//! log's word that everything up to it has been written.

use std::borrow::Cow;

use bytes::Bytes;
use transport::{Frame, ReturnPath};
use wire::{Output, Reply, RequestId, Verdict};

use crate::entry::Entry;
use crate::limits::MAX_LOGGED_OUTPUT_BYTES;
use crate::log::{Committed, Log, Unwritable};
use crate::outcome::Outcome;
use crate::refusal::Refusal;

/// A reply whose record is in the log.
pub(crate) struct Recorded {
    return_path: ReturnPath,
    id: Option<RequestId>,
    reply: Vec<u8>,
    column: Option<Bytes>,
}

impl Recorded {
    /// The reply, now that the log has been written.
    pub(crate) fn into_reply(self, _written: &Committed) -> (ReturnPath, Vec<u8>, Option<Bytes>) {
        (self.return_path, self.reply, self.column)
    }

    /// What the client is told when the log could not be written. The result stays untold.
    pub(crate) fn into_apology(self, _not_written: Unwritable) -> (ReturnPath, Vec<u8>, Option<Bytes>) {
        let Refusal { failure, .. } = Refusal::internal("");
        let id = self.id.as_ref().map(|id| id.as_str().into());
        let reply = Reply { id, job: None, duration: None, verdict: Verdict::Failed(*failure) };
        (self.return_path, reply.encode(), None)
    }
}

/// Writes what became of a request, whatever that was.
pub(crate) fn record(
    log: &Log,
    frame: &Frame,
    entry: &Entry<'_>,
    result: Result<Outcome, Refusal>,
) -> Recorded {
    let mut column = None;
    let (verdict, reason) = match result {
        Ok(Outcome::Column { rows, bytes, sha256 }) => {
            column = Some((bytes, sha256));
            (Verdict::Column { rows }, None)
        }
        Ok(Outcome::Value { json, type_name }) => {
            (Verdict::Value { json: json.into(), type_name: type_name.into() }, None)
        }
        Ok(Outcome::Ended { output, end }) => (Verdict::Finished { output, end }, None),
        Err(Refusal { failure, reason }) => (Verdict::Failed(*failure), reason),
    };
    let reply = Reply {
        id: entry.id.as_ref().map(|id| id.as_str().into()),
        job: entry.job.as_deref().map(Cow::Borrowed),
        duration: Some(entry.arrived.elapsed()),
        verdict,
    };
    let encoded = reply.encode();
    // While the log cannot be written its memory must not grow with every request that is turned away.
    if !log.is_broken() || entry.job.is_some() {
        log.append(|line| {
            line.text("event", "answered");
            entry.write(line);
            match shortened(&reply) {
                None => line.json("reply", &encoded),
                Some((short, bytes)) => {
                    line.json("reply", &short.encode());
                    line.number("output_bytes", bytes);
                }
            }
            if let Some((_, sha256)) = &column {
                line.hex("column_sha256", sha256);
            }
            if let Some(reason) = &reason {
                line.text("reason", reason);
            }
        });
    }
    Recorded {
        return_path: frame.return_path.clone(),
        id: entry.id.clone(),
        reply: encoded,
        column: column.map(|(bytes, _)| bytes),
    }
}

/// The reply as the log keeps it where a command printed more than the log takes, and how much it printed.
fn shortened<'r>(reply: &'r Reply<'_>) -> Option<(Reply<'r>, u64)> {
    let output = match &reply.verdict {
        Verdict::Finished { output, .. } => output,
        Verdict::Failed(failure) => failure.output.as_ref()?,
        Verdict::Value { .. } | Verdict::Column { .. } | Verdict::Running { .. } => return None,
    };
    let longest = output.stdout.len().max(output.stderr.len());
    if longest <= MAX_LOGGED_OUTPUT_BYTES {
        return None;
    }
    let bytes = output.stdout.len().saturating_add(output.stderr.len()) as u64;
    let short = Output {
        stdout: start(&output.stdout),
        stderr: start(&output.stderr),
        truncated: true,
        usage: output.usage,
        streamed: output.streamed,
    };
    let verdict = match &reply.verdict {
        Verdict::Finished { end, .. } => Verdict::Finished { output: short, end: *end },
        Verdict::Failed(failure) => Verdict::Failed(wire::Failure { output: Some(short), ..failure.clone() }),
        Verdict::Value { .. } | Verdict::Column { .. } | Verdict::Running { .. } => return None,
    };
    Some((Reply { verdict, ..reply.clone() }, bytes))
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
