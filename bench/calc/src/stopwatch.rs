//! The time of one call: the best of several batches, each long enough for the clock.

use std::time::{Duration, Instant};

pub(crate) const BATCHES: u32 = 5;
const BATCH: Duration = Duration::from_millis(10);

/// Nanoseconds for one call.
pub(crate) fn best(mut call: impl FnMut()) -> f64 {
    let mut count = 1_u32;
    loop {
        let time = batch(&mut call, count);
        if time >= BATCH {
            break;
        }
        count = count.saturating_mul(if time * 8 < BATCH { 8 } else { 2 });
    }
    let times = (0..BATCHES).map(|_| batch(&mut call, count));
    times.min().unwrap_or_default().as_secs_f64() * 1e9 / f64::from(count)
}

fn batch(call: &mut impl FnMut(), count: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..count {
        call();
    }
    start.elapsed()
}
