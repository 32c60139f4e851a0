//! How often each user may ask: a token bucket, kept as the moment at which it would be full again (the generic cell
//! rate algorithm of ITU-T I.371).

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::limits::RATE_BURST;

/// The buckets of all users who have a rate.
#[derive(Default)]
pub(super) struct Rates(RefCell<HashMap<String, Instant>>);

impl Rates {
    /// Takes a token.
    ///
    /// # Errors
    /// There is none; in so long there will be.
    pub(super) fn take(&self, user: &str, per_second: u32, now: Instant) -> Result<(), Duration> {
        let interval = Duration::from_secs(1).checked_div(per_second).unwrap_or(Duration::from_secs(1));
        let mut buckets = self.0.borrow_mut();
        let Some(full) = buckets.get_mut(user) else {
            buckets.insert(user.to_owned(), now.checked_add(interval).unwrap_or(now));
            return Ok(());
        };
        let next = (*full).max(now).checked_add(interval).unwrap_or(now);
        let ahead = next.saturating_duration_since(now);
        // At a rate of less than one in the burst's time there is always room for one.
        match ahead.checked_sub(RATE_BURST.max(interval)) {
            None | Some(Duration::ZERO) => {
                *full = next;
                Ok(())
            }
            Some(wait) => Err(wait),
        }
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
            (0..100).filter(|_| rates.take(user, 10, start + Duration::from_millis(at)).is_ok()).count()
        };
        assert_eq!(taken("ann", 0), 10);
        assert_eq!((taken("ann", 0), taken("bob", 0)), (0, 10));
        assert_eq!(taken("ann", 100), 1);
        assert_eq!(taken("ann", 10_000), 10, "no more than a second's worth is saved up");
        let wait = rates.take("ann", 10, start + Duration::from_secs(10)).expect_err("none is left");
        assert_eq!(wait, Duration::from_millis(100));
        assert!(rates.take("ann", 10, start + Duration::from_secs(10) + wait).is_ok());
    }
}
