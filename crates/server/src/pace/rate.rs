//! How much each user may ask in a second: token buckets, each kept as the moment at which it would be full again (the generic
//! cell rate algorithm of ITU-T I.371).

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::limits::RATE_BURST;

/// The buckets of all users who have asked.
#[derive(Default)]
pub(super) struct Rates(RefCell<HashMap<String, Instant>>);

impl Rates {
    /// Takes so many tokens, of which there are so many a second.
    ///
    /// # Errors
    /// There are not as many; in so long there will be.
    pub(super) fn take(
        &self,
        user: &str,
        tokens: u64,
        per_second: u64,
        now: Instant,
    ) -> Result<(), Duration> {
        let mut buckets = self.0.borrow_mut();
        match buckets.get_mut(user) {
            Some(full) => take(full, tokens, per_second, now),
            None => take(buckets.entry(user.to_owned()).or_insert(now), tokens, per_second, now),
        }
    }
}

/// Takes tokens of one bucket.
pub(super) fn take(full: &mut Instant, tokens: u64, per_second: u64, now: Instant) -> Result<(), Duration> {
    let nanoseconds = u128::from(tokens).saturating_mul(1_000_000_000).checked_div(per_second.into());
    let cost =
        Duration::from_nanos(nanoseconds.and_then(|cost| u64::try_from(cost).ok()).unwrap_or(u64::MAX));
    let next = (*full).max(now).checked_add(cost).unwrap_or(now);
    let ahead = next.saturating_duration_since(now);
    // What costs more than a burst can still be had from a full bucket.
    match ahead.checked_sub(RATE_BURST.max(cost)) {
        None | Some(Duration::ZERO) => {
            *full = next;
            Ok(())
        }
        Some(wait) => Err(wait),
    }
}

#[cfg(test)]
mod tests {
    use super::Rates;
    use std::time::{Duration, Instant};

    #[test]
    fn a_second_is_as_many_as_it_says_and_each_user_has_his_own() {
        let (rates, start) = (Rates::default(), Instant::now());
        let taken = |user: &str, at: u64| {
            (0..100).filter(|_| rates.take(user, 1, 10, start + Duration::from_millis(at)).is_ok()).count()
        };
        assert_eq!(taken("ann", 0), 10);
        assert_eq!((taken("ann", 0), taken("bob", 0)), (0, 10));
        assert_eq!(taken("ann", 100), 1);
        assert_eq!(taken("ann", 10_000), 10, "no more than a second's worth is saved up");
        let wait = rates.take("ann", 1, 10, start + Duration::from_secs(10)).expect_err("none is left");
        assert_eq!(wait, Duration::from_millis(100));
        assert!(rates.take("ann", 1, 10, start + Duration::from_secs(10) + wait).is_ok());
    }

    #[test]
    fn what_costs_more_than_a_second_s_worth_is_paid_for_afterwards() {
        let (rates, start) = (Rates::default(), Instant::now());
        assert_eq!(rates.take("ann", 30, 10, start), Ok(()));
        assert_eq!(rates.take("ann", 1, 10, start + Duration::from_secs(2)), Err(Duration::from_millis(100)));
        assert_eq!(rates.take("ann", 1, 10, start + Duration::from_millis(2100)), Ok(()));
        assert_eq!(rates.take("bob", u64::MAX, 1, start), Ok(()), "nothing overflows");
        assert!(rates.take("bob", 1, 1, start + Duration::from_hours(1)).is_err());
    }
}
