//! How long ago it was certain that the server still knew a request: it forgets an id some time after its job's end, and
//! would execute what comes after that as something new.
//!
//! Time counts here also while the machine sleeps or the program is stopped, and what arrived in the meantime may be old.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::limits::{LONGEST_UNWATCHED, RESEND_WITHIN};

/// A moment, counted from the start of the machine. There is no way to an earlier one: before the start there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(Duration);

impl Moment {
    fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Tells the time to one request. A test makes a request older by setting its clock ahead.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead: Duration,
}

impl Clock {
    pub(crate) fn now(&self) -> Moment {
        let since_start = Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or(Duration::MAX);
        Moment(since_start.saturating_add(self.ahead))
    }

    #[cfg(test)]
    pub(crate) fn set_ahead(&mut self, by: Duration) {
        self.ahead = self.ahead.saturating_add(by);
    }
}

/// What is known of one request.
#[derive(Debug)]
pub(crate) struct Presence {
    /// When the server last knew the request, or had not got it yet.
    sure: Moment,
    /// Up to when the connection was watched without a gap.
    watched: Moment,
}

impl Presence {
    /// The request is sent, and was not sent before, or came to nothing.
    pub(crate) fn sent_first(now: Moment) -> Self {
        Self { sure: now, watched: now }
    }

    /// The request is sent again on a new connection, which says nothing of what became of it.
    pub(crate) fn sent_again(&mut self, now: Moment) {
        self.watched = now;
    }

    /// The connection has stood for a while without an answer: so the command is under way. After a gap that cannot be
    /// told any more of this connection.
    pub(crate) fn watch(&mut self, now: Moment) {
        if now.since(self.watched) <= LONGEST_UNWATCHED {
            (self.sure, self.watched) = (now, now);
        }
    }

    /// Whether the server knows the request, if it ever got it.
    pub(crate) fn may_send_again(&self, now: Moment) -> bool {
        now.since(self.sure) <= RESEND_WITHIN
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, Moment, Presence};
    use crate::limits::{LONGEST_UNWATCHED, RESEND_WITHIN};
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_hours(1);

    /// Requests that are sent at the start of the machine, soon after, and long after.
    fn starts() -> [Duration; 4] {
        [Duration::ZERO, SECOND, RESEND_WITHIN, Duration::from_hours(1000)]
    }

    #[test]
    fn a_request_is_not_sent_again_when_its_id_may_be_forgotten() {
        for start in starts() {
            let at = |time| Moment(start + time);
            let mut presence = Presence::sent_first(at(Duration::ZERO));
            assert!(presence.may_send_again(at(RESEND_WITHIN)));
            assert!(!presence.may_send_again(at(RESEND_WITHIN + SECOND)));
            // That it is sent again proves nothing: its job may have ended long before.
            presence.sent_again(at(RESEND_WITHIN));
            assert!(!presence.may_send_again(at(RESEND_WITHIN + SECOND)));
        }
    }

    #[test]
    fn a_long_command_that_is_watched_can_be_asked_for_again() {
        for start in starts() {
            let at = |time| Moment(start + time);
            let mut presence = Presence::sent_first(at(Duration::ZERO));
            let mut time = Duration::ZERO;
            while time < 4 * HOUR {
                time += LONGEST_UNWATCHED;
                presence.watch(at(time));
            }
            assert!(presence.may_send_again(at(time + RESEND_WITHIN)));
            assert!(!presence.may_send_again(at(time + RESEND_WITHIN + SECOND)));
        }
    }

    #[test]
    fn what_is_read_after_a_sleep_proves_nothing() {
        for start in starts() {
            let at = |time| Moment(start + time);
            let mut presence = Presence::sent_first(at(Duration::ZERO));
            for second in 0..60 {
                presence.watch(at(2 * HOUR + second * SECOND));
            }
            assert!(!presence.may_send_again(at(2 * HOUR + 60 * SECOND)));
        }
    }

    #[test]
    fn the_clock_goes_on_and_can_be_set_ahead_however_young_the_machine_is() {
        let mut clock = Clock::default();
        let before = clock.now();
        assert!(before <= clock.now());
        clock.set_ahead(1000 * HOUR);
        assert!(clock.now().since(before) >= 1000 * HOUR);
        assert_eq!(before.since(clock.now()), Duration::ZERO);
    }
}
