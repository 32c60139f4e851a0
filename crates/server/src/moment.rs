//! A clock for what must be remembered so long and not shorter: it goes on while the machine sleeps, no step of the wall
//! clock moves it, and a server that is started anew goes on where the one before it was.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Where the kernel says which boot this is, as a UUID.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A moment of the clock, counted from when its first server began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(Duration);

impl Moment {
    pub(crate) const fn new(since_the_first: Duration) -> Self {
        Self(since_the_first)
    }

    pub(crate) const fn since_the_first(self) -> Duration {
        self.0
    }

    /// How long ago another moment was; nothing where it is still to come.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// What a server leaves for the next, so that its clock goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClockState {
    /// The boot that the server ran in; 0 where that is unknown.
    pub(crate) boot: u128,
    /// What its clock was ahead of the time since that boot.
    pub(crate) ahead: Duration,
    /// The last moment that is known to have been.
    pub(crate) last: Moment,
}

/// The clock of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryClock {
    boot: u128,
    ahead: Duration,
    since_boot: fn() -> Duration,
}

impl MemoryClock {
    /// Goes on where the server before was. Of the time between two boots nothing is known but that the machine has been up
    /// since the second: only that counts, so that nothing is forgotten too early.
    pub(crate) fn after(state: ClockState) -> Self {
        Self::at(state, boot(), since_boot)
    }

    fn at(state: ClockState, boot: u128, since_boot: fn() -> Duration) -> Self {
        let clock = Self { boot, ahead: state.ahead, since_boot };
        let goes_on = boot != 0 && boot == state.boot && clock.now() >= state.last;
        if goes_on { clock } else { Self { ahead: state.last.since_the_first(), ..clock } }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment((self.since_boot)().saturating_add(self.ahead))
    }

    /// What to leave for the next server, which must be done now and then.
    pub(crate) fn state(&self, now: Moment) -> ClockState {
        ClockState { boot: self.boot, ahead: self.ahead, last: now }
    }
}

/// CLOCK_BOOTTIME of clock_gettime(2).
fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

/// Which boot this is; 0 where the kernel does not say.
fn boot() -> u128 {
    let text = std::fs::read_to_string(BOOT_ID).unwrap_or_default();
    u128::from_str_radix(&text.trim().replace('-', ""), 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{ClockState, MemoryClock, Moment, boot};
    use std::time::Duration;

    const HOUR: Duration = Duration::from_hours(1);
    const MINUTE: Duration = Duration::from_mins(1);

    fn state(boot: u128, ahead: Duration, last: Duration) -> ClockState {
        ClockState { boot, ahead, last: Moment::new(last) }
    }

    #[track_caller]
    fn check(before: ClockState, boot: u128, since_boot: fn() -> Duration, expected: Duration) {
        assert_eq!(MemoryClock::at(before, boot, since_boot).now().since_the_first(), expected);
    }

    #[test]
    fn a_new_server_goes_on_where_the_one_before_was_whatever_the_wall_clock_says() {
        // The same boot: the time between two servers counts.
        check(state(7, MINUTE, 2 * MINUTE), 7, || HOUR, HOUR + MINUTE);
        // Another boot: of the time between nothing is known but how long the machine is up.
        check(state(7, HOUR, 9 * HOUR), 8, || MINUTE, 9 * HOUR + MINUTE);
        // The kernel does not say which boot it is, or its clock was put back (time_namespaces(7)).
        check(state(0, HOUR, 9 * HOUR), 0, || MINUTE, 9 * HOUR + MINUTE);
        check(state(7, Duration::ZERO, 9 * HOUR), 7, || HOUR, 10 * HOUR);
        // The first server.
        check(ClockState::default(), 7, || HOUR, HOUR);
    }

    #[test]
    fn the_clock_never_goes_back_from_server_to_server() {
        let mut state = ClockState::default();
        let mut last = Moment::default();
        for (boot, since_boot) in [
            (1, (|| HOUR) as fn() -> Duration),
            (1, || 2 * HOUR),
            (2, || MINUTE),
            (2, || HOUR),
            (1, || MINUTE),
        ] {
            let clock = MemoryClock::at(state, boot, since_boot);
            assert!(clock.now() >= last);
            last = clock.now();
            state = clock.state(last);
        }
    }

    #[test]
    fn the_kernel_says_which_boot_this_is() {
        assert_ne!(boot(), 0);
        let clock = MemoryClock::after(ClockState::default());
        assert!(clock.now() > Moment::default() && clock.now() <= clock.now());
    }
}
