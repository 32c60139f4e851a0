//! How many refused requests of each user the log takes: the others are counted, and the next record says how many there were.
//! So what is refused fills no disk, however fast it comes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Instant;

use super::rate::take;
use crate::limits::REFUSALS_RECORDED;

/// The counts of all users, and of those who are none.
#[derive(Default)]
pub(crate) struct Refusals(RefCell<HashMap<String, Count>>);

struct Count {
    full: Instant,
    unrecorded: u64,
}

/// What the log is told of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// All of it, and how many were only counted before.
    Record { unrecorded: u64 },
    /// Nothing now.
    Counted,
}

impl Refusals {
    pub(crate) fn note(&self, user: Option<&str>, now: Instant) -> Told {
        let user = user.unwrap_or_default();
        let mut counts = self.0.borrow_mut();
        if !counts.contains_key(user) {
            counts.insert(user.to_owned(), Count { full: now, unrecorded: 0 });
        }
        let Some(count) = counts.get_mut(user) else { return Told::Record { unrecorded: 0 } };
        if take(&mut count.full, 1, REFUSALS_RECORDED, now).is_ok() {
            return Told::Record { unrecorded: std::mem::take(&mut count.unrecorded) };
        }
        count.unrecorded = count.unrecorded.saturating_add(1);
        Told::Counted
    }

    /// What was only counted, and of whom: told once.
    pub(crate) fn take_unrecorded(&self) -> Vec<(String, u64)> {
        let mut counts = self.0.borrow_mut();
        let unrecorded =
            counts.iter_mut().map(|(user, count)| (user.clone(), std::mem::take(&mut count.unrecorded)));
        unrecorded.filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Refusals, Told};
    use crate::limits::REFUSALS_RECORDED;
    use std::time::{Duration, Instant};

    #[test]
    fn what_is_not_recorded_is_counted_and_told_with_the_next() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        for _ in 0..REFUSALS_RECORDED {
            assert_eq!(refusals.note(Some("eve"), start), Told::Record { unrecorded: 0 });
        }
        for _ in 0..1000 {
            assert_eq!(refusals.note(Some("eve"), start), Told::Counted);
        }
        assert_eq!(refusals.note(Some("ann"), start), Told::Record { unrecorded: 0 });
        assert_eq!(refusals.note(None, start), Told::Record { unrecorded: 0 });
        let later = start + Duration::from_secs(1);
        assert_eq!(refusals.note(Some("eve"), later), Told::Record { unrecorded: 1000 });
        assert_eq!(refusals.take_unrecorded(), []);
        (0..2 * REFUSALS_RECORDED)
            .for_each(|_| assert_ne!(refusals.note(Some("eve"), later), Told::Record { unrecorded: 1 }));
        assert_eq!(refusals.take_unrecorded(), [("eve".to_owned(), REFUSALS_RECORDED + 1)]);
        assert_eq!(refusals.take_unrecorded(), []);
    }
}
