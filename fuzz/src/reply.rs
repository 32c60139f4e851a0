//! The reply decoder, which a client points at whatever a server sends.

use std::time::Duration;

use wire::Reply;

/// Durations are written in whole microseconds, and read as a float, which is exact up to here.
const EXACT: Duration = Duration::from_hours(24 * 365);

/// What decodes comes back the same after encoding and decoding.
pub fn reply(frame: &[u8]) {
    let Ok(mut reply) = Reply::decode(frame) else { return };
    reply.duration = reply.duration.map(whole_microseconds).filter(|duration| *duration <= EXACT);
    assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
}

fn whole_microseconds(duration: Duration) -> Duration {
    Duration::new(duration.as_secs(), duration.subsec_micros() * 1000)
}
