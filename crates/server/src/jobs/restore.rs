//! What the log says of the jobs of earlier servers: read back at the start, so that nothing is executed twice and
//! results can still be fetched; written anew where another file of the log begins.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use wire::json::{Respelled, read};
use wire::{Reply, RequestId};

use super::Jobs;
use super::ids::Digest;
use super::job::{Ended, Job, Order, State};
use crate::log::{JOBS_KNOWN, Line, Log};
use crate::moment::Moment;

/// The events of jobs in the log.
pub(crate) const STARTED: &str = "started";
pub(crate) const ENDED: &str = "ended";
const KNOWN: &str = "job_known";

/// A job of an earlier server.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(super) name: Rc<str>,
    pub(super) order: Order,
    pub(super) asked: Timestamp,
    /// It has a record of its start: its id is used up.
    pub(super) started: bool,
    /// None where its server died before.
    pub(super) end: Option<RestoredEnd>,
}

/// The end of a job, as the log has it.
#[derive(Debug)]
pub(crate) struct RestoredEnd {
    /// The number of the record.
    pub(super) record: u64,
    /// None where the record cannot be read.
    pub(super) ended: Option<Ended>,
}

/// Takes what the records of a log say of jobs, which `read` hands over one after another, and has `record` record the end
/// of those that were under way when their server died.
///
/// # Errors
/// Those of `read`.
pub(crate) fn restore_from<E>(
    read: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), E>,
    jobs: &Jobs,
    now: Moment,
    record: impl Fn(&Job, &Ended),
) -> Result<(), E> {
    let mut restoring = Restoring::default();
    read(&mut |line| {
        restoring.take(line);
        jobs.restore(restoring.ended(), now);
    })?;
    for job in jobs.restore(restoring.open(), now) {
        if let State::Ended(ended) = job.state() {
            record(&job, &ended);
        }
    }
    Ok(())
}

/// Reads records one after another, and yields each job when its end is known; the rest at last.
#[derive(Default)]
struct Restoring {
    open: BTreeMap<Rc<str>, (Order, Timestamp)>,
    ended: Vec<Restored>,
}

#[derive(Deserialize)]
struct Record<'r> {
    seq: u64,
    event: &'r str,
    time: &'r str,
    #[serde(borrow)]
    user: Option<Cow<'r, str>>,
    job: Option<&'r str>,
    #[serde(borrow)]
    command: Option<Cow<'r, str>>,
    parameters: Option<Vec<String>>,
    id: Option<&'r str>,
    request_sha256: Option<&'r str>,
    asked: Option<&'r str>,
    ended: Option<&'r str>,
    #[serde(borrow)]
    reply: Option<&'r RawValue>,
    #[serde(borrow)]
    reason: Option<Cow<'r, str>>,
}

impl Record<'_> {
    /// What was asked for, where the record says so.
    fn order(&self) -> Option<Order> {
        Some(Order {
            user: self.user.as_deref()?.into(),
            command: self.command.as_deref()?.to_owned(),
            parameters: self.parameters.clone().unwrap_or_default(),
            id: self.id.and_then(RequestId::parse),
            digest: self.request_sha256.and_then(digest).unwrap_or(Digest::logged([0; 32])),
        })
    }
}

impl Restoring {
    /// Takes one record, if it is about a job; what it says only to this server's descendants is left alone.
    fn take(&mut self, line: &[u8]) {
        let mut respelled = Respelled::default();
        let Ok(record) = read::<Record<'_>>(line, &mut respelled) else { return };
        let (Some(name), Ok(time)) = (record.job, record.time.parse()) else { return };
        let asked = record.asked.and_then(|asked| asked.parse().ok()).unwrap_or(time);
        match record.event {
            ENDED => {
                // One that never started says for itself what it was.
                let of_itself = || Some((record.parameters.as_ref().and(record.order())?, asked));
                let open = self.open.remove(name);
                let started = open.is_some();
                let Some((order, asked)) = open.or_else(of_itself) else { return };
                let ended =
                    record.reply.and_then(|reply| Reply::decode(reply.get().as_bytes()).ok()).map(|reply| {
                        Ended {
                            duration: reply.duration,
                            reason: record.reason.map(Cow::into_owned),
                            verdict: reply.verdict.into_owned(),
                        }
                    });
                let end = Some(RestoredEnd { record: record.seq, ended });
                self.ended.push(Restored { name: name.into(), order, asked, started, end });
            }
            STARTED | KNOWN => {
                let Some(order) = record.order() else { return };
                if record.ended.is_some() {
                    // So the first servers kept the ids of what had ended.
                    let end = Some(RestoredEnd { record: record.seq, ended: None });
                    self.ended.push(Restored { name: name.into(), order, asked, started: true, end });
                } else {
                    self.open.insert(name.into(), (order, asked));
                }
            }
            _ => {}
        }
    }

    /// The jobs whose ends have been read since this was last asked.
    fn ended(&mut self) -> Vec<Restored> {
        std::mem::take(&mut self.ended)
    }

    /// Those that have no end.
    fn open(self) -> Vec<Restored> {
        let open = self.open.into_iter();
        let under_way = |(name, (order, asked))| Restored { name, order, asked, started: true, end: None };
        open.map(under_way).collect()
    }
}

/// Writes what a server that reads no earlier file of the log has to know.
pub(super) fn write<'j>(log: &Log, jobs: impl Iterator<Item = &'j Rc<Job>>) {
    let mut count: u64 = 0;
    for job in jobs.filter(|job| matches!(job.state(), State::Starting | State::Running)) {
        count = count.saturating_add(1);
        log.append(|line| {
            line.text("event", KNOWN);
            line.text("job", &job.name);
            line.text("asked", &job.asked().to_string());
            line.text("user", &job.order.user);
            job.order.write(line);
        });
    }
    log.append(|line| {
        line.text("event", JOBS_KNOWN);
        line.number("jobs", count);
    });
}

impl Order {
    /// Writes what a later server has to know of it, beside its user.
    pub(crate) fn write(&self, line: &mut Line<'_>) {
        line.text("command", &self.command);
        line.texts("parameters", &self.parameters);
        if let Some(id) = &self.id {
            line.text("id", id.as_str());
            line.hex("request_sha256", self.digest.shown());
        }
    }
}

fn digest(hex: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    let pairs = hex.as_bytes().chunks_exact(2);
    if hex.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Digest::logged(digest))
}
