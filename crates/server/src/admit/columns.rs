//! The memory that columns take, and each user's part of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::{COLUMN_BYTES_AT_ONCE, COLUMN_BYTES_BY_USER};

const KIB: usize = 1024;

/// The KiB that columns of each user take. Given back on any thread.
#[derive(Clone, Default)]
pub(super) struct Columns(Arc<Mutex<HashMap<Arc<str>, usize>>>);

/// Room for columns, until this is dropped.
pub(crate) struct ColumnRoom {
    columns: Columns,
    user: Arc<str>,
    kib: usize,
}

impl Columns {
    /// None where the user has his part, or all is taken.
    pub(super) fn take(&self, user: &str, kib: usize) -> Option<ColumnRoom> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let in_all = taken.values().copied().fold(kib, usize::saturating_add);
        let own = taken.get(user).copied().unwrap_or(0).saturating_add(kib);
        if in_all > COLUMN_BYTES_AT_ONCE / KIB || own > COLUMN_BYTES_BY_USER / KIB {
            return None;
        }
        let user: Arc<str> = user.into();
        taken.insert(Arc::clone(&user), own);
        Some(ColumnRoom { columns: self.clone(), user, kib })
    }
}

impl Drop for ColumnRoom {
    fn drop(&mut self) {
        let mut taken = self.columns.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.user) {
            *own = own.saturating_sub(self.kib);
            if *own == 0 {
                taken.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Columns;
    use crate::limits::{COLUMN_BYTES_AT_ONCE, COLUMN_BYTES_BY_USER};

    #[test]
    fn nobody_takes_more_than_his_part_and_all_of_it_comes_back() {
        const PART: usize = COLUMN_BYTES_BY_USER / 1024;
        let columns = Columns::default();
        let eve = columns.take("eve", PART).expect("her part");
        assert!(columns.take("eve", 1).is_none());
        let others: Vec<_> = (1..COLUMN_BYTES_AT_ONCE / COLUMN_BYTES_BY_USER)
            .map(|number| columns.take(&number.to_string(), PART).expect("a part"))
            .collect();
        assert!(columns.take("ann", 1).is_none(), "all is taken");
        drop(eve);
        assert!(columns.take("ann", PART).is_some());
        drop(others);
        assert!(columns.0.lock().expect("no panic").is_empty());
    }
}
