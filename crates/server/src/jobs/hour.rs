//! What `bench ids` needs to see: jobs with ids, one after the other, as in many seconds of a busy server, in less time.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::runtime::Builder;
use wire::{End, Output, RequestId, Verdict};

use super::{Bounds, Digest, Ended, ExecutedIds, Jobs, Order};
use crate::moment::Moment;

/// What it took.
#[derive(Clone, Copy, Debug)]
pub struct UsedIds {
    /// Ids that are remembered at the end.
    pub remembered: u64,
    /// Time that the server's loop is held up by one id: to look for it, to take its job, and to end that.
    pub by_id: Duration,
    /// Time to write what one second has used, which holds up nobody.
    pub by_second: Duration,
    /// The longest of these.
    pub longest: Duration,
    /// Bytes of the file.
    pub file_bytes: u64,
}

/// Uses so many new ids a second for so long, by a clock that goes as fast as that is done, with the file in a directory
/// that holds no other.
///
/// # Errors
/// The file cannot be written, or an id is refused or known already.
pub fn use_ids(directory: &Path, a_second: u32, time: Duration) -> io::Result<UsedIds> {
    let runtime = Builder::new_current_thread().build()?;
    let log = directory.join("server.log");
    let (executed, _) = ExecutedIds::open(&log, Bounds::default()).map_err(io::Error::other)?;
    let jobs = Jobs::new(Timestamp::now(), Bounds::default(), executed);
    let (mut held_up, mut writing, mut longest) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut number: u64 = 0;
    let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    for second in 0..seconds {
        let now = Moment::new(Duration::from_secs(second.into()));
        let began = Instant::now();
        for _ in 0..a_second {
            number = number.saturating_add(1);
            use_id(&jobs, number, now)?;
        }
        held_up = held_up.saturating_add(began.elapsed());
        let began = Instant::now();
        runtime.block_on(jobs.executed().store(number, now)).map_err(io::Error::other)?;
        longest = longest.max(began.elapsed());
        writing = writing.saturating_add(began.elapsed());
    }
    let by = |time: Duration, count: u64| {
        time.checked_div(u32::try_from(count).unwrap_or(u32::MAX)).unwrap_or_default()
    };
    Ok(UsedIds {
        remembered: jobs.executed().count(Moment::new(time)),
        by_id: by(held_up, number),
        by_second: by(writing, seconds.into()),
        longest,
        file_bytes: log.with_extension("ids").metadata()?.len(),
    })
}

fn use_id(jobs: &Jobs, number: u64, now: Moment) -> io::Result<()> {
    let refused = |what: &str| io::Error::other(format!("id {number}: {what}"));
    let order = Order {
        user: "bench".into(),
        command: "true".to_owned(),
        parameters: vec![],
        // Not in any order, as the clients' own are.
        id: RequestId::parse(&format!("{:016x}-{number:x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
        digest: Digest::of::<&str>("true", &[], None, &[], None),
    };
    match jobs.known(&order, now) {
        Ok(None) => {}
        Ok(Some(_)) => return Err(refused("known already")),
        Err(refusal) => return Err(refused(&refusal.failure.message)),
    }
    let job =
        jobs.submit(order, Timestamp::now(), now).map_err(|refusal| refused(&refusal.failure.message))?;
    if !job.start() || !job.run() {
        return Err(refused("not started"));
    }
    let verdict = Verdict::Finished { output: Output::default(), end: End::Exit(0) };
    jobs.end(&job, Ended { verdict, reason: None, duration: None }, now, |_, _| {});
    Ok(())
}
