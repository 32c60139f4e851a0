//! Who may have a large message on its way into the server. Each user has some loans of all that there are; without
//! one a connection holds little. Refuses to let one that goes on for too long keep others waiting.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::limits::{LARGE_MESSAGE_PATIENCE, LARGE_MESSAGES, LARGE_MESSAGES_A_USER, RECALL_INTERVAL};
use crate::peer::Share;

/// The loans of all listeners.
#[derive(Debug)]
pub(crate) struct Loans {
    all: Arc<Semaphore>,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    users: HashMap<Share, Weak<Semaphore>>,
    /// By number, so that the oldest comes first.
    lent: BTreeMap<u64, Lent>,
    next: u64,
}

#[derive(Debug)]
struct Lent {
    to: Share,
    since: Instant,
    cut: CancellationToken,
}

/// The right of one connection to hold a large message; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Loan {
    loans: Arc<Loans>,
    number: u64,
    _own: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Loans {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { all: Arc::new(Semaphore::new(LARGE_MESSAGES)), book: Mutex::default() })
    }

    /// Waits for a loan, in turn: first among those of its user, then among all.
    pub(crate) async fn borrow(self: Arc<Self>, to: Share, cut: CancellationToken) -> Loan {
        let own = self.wait(self.of(to), |lent| lent.to == to).await;
        let of_all = self.wait(Arc::clone(&self.all), |_| true).await;
        let number = {
            let mut book = self.book();
            let number = book.next;
            book.next = number.wrapping_add(1);
            book.lent.insert(number, Lent { to, since: Instant::now(), cut });
            number
        };
        Loan { loans: self, number, _own: own, _of_all: of_all }
    }

    async fn wait(
        &self,
        semaphore: Arc<Semaphore>,
        is_in_the_way: impl Fn(&Lent) -> bool,
    ) -> OwnedSemaphorePermit {
        let permit = semaphore.acquire_owned();
        tokio::pin!(permit);
        loop {
            match tokio::time::timeout(RECALL_INTERVAL, &mut permit).await {
                Ok(Ok(permit)) => return permit,
                // It is never closed.
                Ok(Err(_)) => std::future::pending().await,
                Err(_) => self.recall(&is_in_the_way, Instant::now()),
            }
        }
    }

    /// Ends the connection that has had its loan longest, if that is too long.
    fn recall(&self, is_in_the_way: impl Fn(&Lent) -> bool, now: Instant) {
        let book = self.book();
        let oldest = book.lent.values().find(|lent| is_in_the_way(lent));
        if let Some(lent) = oldest
            && now.saturating_duration_since(lent.since) >= LARGE_MESSAGE_PATIENCE
        {
            lent.cut.cancel();
        }
    }

    fn of(&self, user: Share) -> Arc<Semaphore> {
        let mut book = self.book();
        if let Some(own) = book.users.get(&user).and_then(Weak::upgrade) {
            return own;
        }
        // Those who have none are forgotten.
        book.users.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Semaphore::new(LARGE_MESSAGES_A_USER));
        book.users.insert(user, Arc::downgrade(&own));
        own
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // What a panic could leave half done here is an entry.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.loans.book().lent.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::{Loan, Loans};
    use crate::limits::{LARGE_MESSAGE_PATIENCE, LARGE_MESSAGES, LARGE_MESSAGES_A_USER};
    use crate::peer::Share;
    use futures_util::FutureExt as _;
    use std::sync::Arc;
    use std::time::Instant;
    use tokio_util::sync::CancellationToken;

    fn borrow(loans: &Arc<Loans>, user: u32) -> Option<Loan> {
        Arc::clone(loans).borrow(Share::Account(user), CancellationToken::new()).now_or_never()
    }

    #[tokio::test]
    async fn one_user_has_a_part_of_the_loans_and_others_have_the_rest() {
        let loans = Loans::new();
        let mut first: Vec<_> =
            (0..LARGE_MESSAGES_A_USER).map(|_| borrow(&loans, 1).expect("its part")).collect();
        assert!(borrow(&loans, 1).is_none());
        let others = LARGE_MESSAGES - LARGE_MESSAGES_A_USER;
        let others: Vec<_> =
            (0..others).map(|number| borrow(&loans, 2 + number as u32).expect("the rest")).collect();
        assert!(borrow(&loans, 99).is_none(), "all are lent");
        first.pop();
        let again = borrow(&loans, 99);
        assert!(again.is_some(), "what comes back is lent again");
        drop((first, others, again));
        assert!(loans.book().lent.is_empty());
        assert!(borrow(&loans, 1).is_some());
        assert!(loans.book().users.len() <= 2, "who has none is forgotten");
    }

    #[tokio::test]
    async fn who_has_it_longest_gives_way_to_those_who_wait() {
        let loans = Loans::new();
        let cut = [(); 2].map(|()| CancellationToken::new());
        let _first = Arc::clone(&loans).borrow(Share::Account(1), cut[0].clone()).await;
        let _second = Arc::clone(&loans).borrow(Share::Account(2), cut[1].clone()).await;
        loans.recall(|_| true, Instant::now());
        assert!(!cut[0].is_cancelled(), "it has its time");
        let later = Instant::now() + LARGE_MESSAGE_PATIENCE;
        loans.recall(|lent| lent.to == Share::Account(2), later);
        assert!(!cut[0].is_cancelled() && cut[1].is_cancelled(), "only its own are in a user's way");
        loans.recall(|_| true, later);
        assert!(cut[0].is_cancelled());
    }
}
