//! Clocks that steps of the wall clock do not fool: one for what must be remembered so long and not shorter, which goes on
//! while the machine sleeps and from one server to the next, and one for dates.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
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

/// What is held against dates, such as a user's `not_after`: the wall clock, as long as it does not go back behind the time
/// that has passed. So a clock that is put back lets nobody in again, and one that is put right later is believed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DateClock {
    wall: fn() -> Timestamp,
    since_boot: fn() -> Duration,
    started: Timestamp,
    started_since_boot: Duration,
}

impl DateClock {
    pub(crate) fn new() -> Self {
        Self::of(Timestamp::now, since_boot)
    }

    /// The same with another wall clock.
    #[cfg(test)]
    pub(crate) fn by(wall: fn() -> Timestamp) -> Self {
        Self::of(wall, since_boot)
    }

    fn of(wall: fn() -> Timestamp, since_boot: fn() -> Duration) -> Self {
        Self { wall, since_boot, started: wall(), started_since_boot: since_boot() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let passed = (self.since_boot)().saturating_sub(self.started_since_boot);
        let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        (self.wall)().max(self.started.saturating_add(passed).unwrap_or(Timestamp::MAX))
    }
}

/// The time since the boot, asleep or awake (`CLOCK_BOOTTIME` of `clock_gettime(2)`).
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
    use super::{ClockState, DateClock, MemoryClock, Moment, boot};
    use jiff::{SignedDuration, Timestamp};
    use std::cell::Cell;
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

    thread_local! {
        static WALL_SECONDS: Cell<i64> = const { Cell::new(0) };
        static SECONDS_SINCE_BOOT: Cell<u64> = const { Cell::new(0) };
    }

    #[test]
    fn a_wall_clock_that_is_put_back_undoes_no_date_and_one_that_is_put_right_is_believed() {
        const START: i64 = 4_200_000_000;
        let set = |wall, since_boot| {
            WALL_SECONDS.set(wall);
            SECONDS_SINCE_BOOT.set(since_boot);
        };
        let wall = || Timestamp::from_second(WALL_SECONDS.get()).expect("a time");
        set(START, 100);
        let clock = DateClock::of(wall, || Duration::from_secs(SECONDS_SINCE_BOOT.get()));
        let passed = || clock.now().duration_since(Timestamp::from_second(START).expect("a time"));
        for (wall, since_boot, seconds) in [
            (START, 100, 0),
            (START + 10, 110, 10),
            // Put back, once and again: time goes on.
            (START - 7200, 120, 20),
            (0, 130, 30),
            // Put forward, and back again: it was wrong in between.
            (START + 7200, 140, 7200),
            (START + 50, 150, 50),
            // It was wrong from the start on.
            (START + 3_000_000_000, 160, 3_000_000_000),
        ] {
            set(wall, since_boot);
            assert_eq!(passed(), SignedDuration::from_secs(seconds));
        }
    }

    #[test]
    fn the_kernel_says_which_boot_this_is() {
        assert_ne!(boot(), 0);
        let clock = MemoryClock::after(ClockState::default());
        assert!(clock.now() > Moment::default() && clock.now() <= clock.now());
    }
}
