//! How long ago it was certain that the server still knew a request: it forgets an id some time after its job's end, and
//! would execute what comes after that as something new.
//!
//! Time counts here also while the machine sleeps or the program is stopped, and what arrived in the meantime may be old.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::limits::{LONGEST_UNWATCHED, RESEND_WITHIN};

/// The time since the machine was started.
pub(crate) fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or(Duration::MAX)
}

/// What is known of one request.
#[derive(Debug)]
pub(crate) struct Presence {
    /// When the server last knew the request, or had not got it yet.
    sure: Duration,
    /// Up to when the connection was watched without a gap.
    watched: Duration,
}

impl Presence {
    /// The request is sent, and was not sent before, or came to nothing.
    pub(crate) fn sent_first(now: Duration) -> Self {
        Self { sure: now, watched: now }
    }

    /// The request is sent again on a new connection, which says nothing of what became of it.
    pub(crate) fn sent_again(&mut self, now: Duration) {
        self.watched = now;
    }

    /// The connection has stood for a while without an answer: so the command is under way. After a gap that cannot be
    /// told any more of this connection.
    pub(crate) fn watch(&mut self, now: Duration) {
        if now.saturating_sub(self.watched) <= LONGEST_UNWATCHED {
            (self.sure, self.watched) = (now, now);
        }
    }

    /// Whether the server knows the request, if it ever got it.
    pub(crate) fn may_send_again(&self, now: Duration) -> bool {
        now.saturating_sub(self.sure) <= RESEND_WITHIN
    }

    /// As if all of it had been this much earlier.
    #[cfg(test)]
    pub(crate) fn age(&mut self, by: Duration) {
        let earlier = |time: Duration| time.saturating_sub(by);
        (self.sure, self.watched) = (earlier(self.sure), earlier(self.watched));
    }
}

#[cfg(test)]
mod tests {
    use super::{Presence, now};
    use crate::limits::{LONGEST_UNWATCHED, RESEND_WITHIN};
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_request_is_not_sent_again_when_its_id_may_be_forgotten() {
        let mut presence = Presence::sent_first(HOUR);
        assert!(presence.may_send_again(HOUR + RESEND_WITHIN));
        assert!(!presence.may_send_again(HOUR + RESEND_WITHIN + SECOND));
        // That it is sent again proves nothing: its job may have ended long before.
        presence.sent_again(HOUR + RESEND_WITHIN);
        assert!(!presence.may_send_again(HOUR + RESEND_WITHIN + SECOND));
    }

    #[test]
    fn a_long_command_that_is_watched_can_be_asked_for_again() {
        let mut presence = Presence::sent_first(HOUR);
        let mut time = HOUR;
        while time < 4 * HOUR {
            time += LONGEST_UNWATCHED;
            presence.watch(time);
        }
        assert!(presence.may_send_again(time + RESEND_WITHIN));
        assert!(!presence.may_send_again(time + RESEND_WITHIN + SECOND));
    }

    #[test]
    fn what_is_read_after_a_sleep_proves_nothing() {
        let mut presence = Presence::sent_first(HOUR);
        for second in 0..60 {
            presence.watch(3 * HOUR + second * SECOND);
        }
        assert!(!presence.may_send_again(3 * HOUR + 60 * SECOND));
    }

    #[test]
    fn the_clock_goes_on() {
        let before = now();
        assert!(before > Duration::ZERO && before <= now());
    }
}
