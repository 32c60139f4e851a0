//! Places that users share: whoever waits for one gets the next after each other user who waits, and a line that is full
//! sends away the one who came last of the user who has most in it. So no user can keep another from his turn.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Of so many places one is kept for users who have none.
const KEPT_FOR_OTHERS: usize = 8;

/// The places, and the line before them. Taken on one thread; a turn may end on any.
#[derive(Clone)]
pub(crate) struct Line(Arc<Mutex<State>>);

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// As many wait as may.
    Full,
    /// Nobody is let in any more.
    Closed,
}

/// A place among those who have their turn, or among those who wait for it.
pub(crate) struct Place {
    turn: Result<Turn, oneshot::Receiver<Result<Turn, NoPlace>>>,
}

/// A place that its user has, until this is dropped.
pub(crate) struct Turn {
    line: Line,
    user: Arc<str>,
}

/// How one who waits is called, or sent away.
type Call = oneshot::Sender<Result<Turn, NoPlace>>;

struct State {
    places: usize,
    waiting_at_most: usize,
    closed: bool,
    /// Turns of each user.
    turns: HashMap<Arc<str>, usize>,
    turns_in_all: usize,
    /// Who waits, by user; the user in front is the next.
    waiting: VecDeque<(Arc<str>, VecDeque<Call>)>,
}

impl Line {
    pub(crate) fn new(places: usize, waiting_at_most: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            places,
            waiting_at_most,
            closed: false,
            turns: HashMap::new(),
            turns_in_all: 0,
            waiting: VecDeque::new(),
        })))
    }

    /// A place for this user, at once or in the line.
    pub(crate) fn enter(&self, user: &str) -> Result<Place, NoPlace> {
        let mut state = self.state();
        if state.closed {
            return Err(NoPlace::Closed);
        }
        let user: Arc<str> = user.into();
        if state.waiting_of(&user) == 0 && state.has_place_for(&user) {
            state.begin(&user);
            return Ok(Place { turn: Ok(Turn { line: self.clone(), user }) });
        }
        state.make_room_for(&user)?;
        let (place, waits) = oneshot::channel();
        match state.waiting.iter_mut().find(|(of, _)| *of == user) {
            Some((_, of_user)) => of_user.push_back(place),
            None => state.waiting.push_back((user, VecDeque::from([place]))),
        }
        drop(state);
        Ok(Place { turn: Err(waits) })
    }

    /// Lets nobody in any more. Those who wait come to their turn.
    pub(crate) fn let_nobody_in(&self) {
        self.state().closed = true;
    }

    /// Lets nobody in any more, and sends away those who wait.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        for place in state.waiting.drain(..).flat_map(|(_, of_user)| of_user) {
            // Whoever is gone need not be told.
            drop(place.send(Err(NoPlace::Closed)));
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// How many have their turn, and how many wait for it.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.turns_in_all, state.waiting_in_all())
    }

    /// Gives free places to those who are next.
    fn call(&self) {
        loop {
            let mut state = self.state();
            let Some((user, place)) = state.next() else { return };
            state.begin(&user);
            drop(state);
            // One that is gone gives its place back by this, and the next is called.
            drop(place.send(Ok(Turn { line: self.clone(), user })));
        }
    }

    /// Every change is whole before anything can panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One user alone does not take all places: whoever comes next shall find one soon, however long turns are.
    fn has_place_for(&self, user: &str) -> bool {
        let kept = self.places.div_ceil(KEPT_FOR_OTHERS).min(self.places.saturating_sub(1));
        let own = self.turns.get(user).copied().unwrap_or(0);
        self.turns_in_all < self.places && own < self.places.saturating_sub(kept)
    }

    fn begin(&mut self, user: &Arc<str>) {
        let own = self.turns.entry(Arc::clone(user)).or_default();
        *own = own.saturating_add(1);
        self.turns_in_all = self.turns_in_all.saturating_add(1);
    }

    fn end(&mut self, user: &str) {
        self.turns_in_all = self.turns_in_all.saturating_sub(1);
        if let Some(own) = self.turns.get_mut(user) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.turns.remove(user);
            }
        }
    }

    /// Takes out of the line who is next, if there is a place for it. Its user goes to the end of the line.
    fn next(&mut self) -> Option<(Arc<str>, Call)> {
        self.forget_those_who_gave_up();
        let index = (0..self.waiting.len())
            .find(|index| self.waiting.get(*index).is_some_and(|(user, _)| self.has_place_for(user)))?;
        let (user, mut of_user) = self.waiting.remove(index)?;
        let place = of_user.pop_front()?;
        if !of_user.is_empty() {
            self.waiting.push_back((Arc::clone(&user), of_user));
        }
        Some((user, place))
    }

    /// Sees that the line has room for one more of this user.
    fn make_room_for(&mut self, user: &str) -> Result<(), NoPlace> {
        if self.waiting_in_all() >= self.waiting_at_most {
            self.forget_those_who_gave_up();
        }
        if self.waiting_in_all() < self.waiting_at_most {
            return Ok(());
        }
        let own = self.waiting_of(user);
        let greatest = self.waiting.iter_mut().max_by_key(|(_, of_user)| of_user.len());
        match greatest {
            Some((_, of_user)) if of_user.len() > own.saturating_add(1) => {
                if let Some(last) = of_user.pop_back() {
                    drop(last.send(Err(NoPlace::Full)));
                }
                Ok(())
            }
            _ => Err(NoPlace::Full),
        }
    }

    fn forget_those_who_gave_up(&mut self) {
        for (_, of_user) in &mut self.waiting {
            of_user.retain(|place| !place.is_closed());
        }
        self.waiting.retain(|(_, of_user)| !of_user.is_empty());
    }

    fn waiting_of(&self, user: &str) -> usize {
        self.waiting.iter().find(|(of, _)| **of == *user).map_or(0, |(_, of_user)| of_user.len())
    }

    fn waiting_in_all(&self) -> usize {
        self.waiting.iter().map(|(_, of_user)| of_user.len()).fold(0, usize::saturating_add)
    }
}

impl Place {
    /// Waits for the turn.
    ///
    /// # Errors
    /// Another user needed the place in the line more, or nobody is let in any more.
    pub(crate) async fn turn(self) -> Result<Turn, NoPlace> {
        match self.turn {
            Ok(turn) => Ok(turn),
            Err(waits) => waits.await.unwrap_or(Err(NoPlace::Closed)),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.line.state().end(&self.user);
        self.line.call();
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, NoPlace, Place, Turn};
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    fn now(place: Place) -> Option<Turn> {
        place.turn().now_or_never().and_then(Result::ok)
    }

    #[test]
    fn whoever_comes_later_is_next_where_another_has_many_in_the_line() {
        let line = Line::new(1, 100);
        let running = now(line.enter("eve").expect("a place")).expect("at once");
        let mut eves: Vec<_> =
            (0..50).map(|_| Box::pin(line.enter("eve").expect("a place").turn())).collect();
        let mut ann = Box::pin(line.enter("ann").expect("a place").turn());
        assert!((&mut ann).now_or_never().is_none());
        drop(running);
        let eve = (&mut eves[0]).now_or_never().expect("she came first").expect("a turn");
        assert!((&mut ann).now_or_never().is_none());
        drop(eve);
        assert!((&mut ann).now_or_never().expect("ann is next").is_ok());
    }

    #[test]
    fn one_user_alone_leaves_a_place_and_several_take_all() {
        for (places, most) in [(1, 1), (2, 1), (3, 2), (8, 7), (128, 112)] {
            let line = Line::new(places, 0);
            let eves: Vec<_> = (0..places * 2).filter_map(|_| line.enter("eve").ok().and_then(now)).collect();
            assert_eq!(eves.len(), most, "of {places}");
            let anns: Vec<_> = (0..places).filter_map(|_| line.enter("ann").ok().and_then(now)).collect();
            assert_eq!(anns.len(), places - most);
        }
    }

    #[test]
    fn a_full_line_sends_away_the_last_of_whoever_has_most() {
        let line = Line::new(1, 4);
        let _running = now(line.enter("eve").expect("a place"));
        let mut eves: Vec<_> = (0..4).map(|_| Box::pin(line.enter("eve").expect("a place").turn())).collect();
        assert!(matches!(line.enter("eve"), Err(NoPlace::Full)), "she has most");
        let _anns: Vec<_> = (0..2).map(|_| line.enter("ann").expect("a place")).collect();
        assert!(matches!(line.enter("ann"), Err(NoPlace::Full)), "both have as many");
        let sent_away = eves
            .iter_mut()
            .map(futures_util::FutureExt::now_or_never)
            .map(|eve| matches!(eve, Some(Err(NoPlace::Full))));
        assert_eq!(sent_away.collect::<Vec<_>>(), [false, false, true, true]);
        assert!(matches!(line.enter("bob").map(|_| ()), Ok(())));
    }

    #[test]
    fn whoever_gives_up_holds_no_place_and_a_closed_line_lets_nobody_in() {
        let line = Line::new(1, 2);
        let running = now(line.enter("eve").expect("a place"));
        drop((line.enter("eve").expect("a place"), line.enter("eve").expect("a place")));
        let mut next = Box::pin(line.enter("eve").expect("they are gone").turn());
        drop(running);
        let turn = (&mut next).now_or_never().expect("it is her turn").expect("a turn");
        let mut last = Box::pin(line.enter("ann").expect("a place").turn());
        line.close();
        assert!(matches!((&mut last).now_or_never(), Some(Err(NoPlace::Closed))));
        assert!(matches!(line.enter("bob"), Err(NoPlace::Closed)));
        drop(turn);
        assert_eq!(line.counts(), (0, 0));
    }

    #[test]
    fn a_line_that_lets_nobody_in_serves_those_who_wait() {
        let line = Line::new(1, 2);
        let running = now(line.enter("eve").expect("a place"));
        let mut waits = Box::pin(line.enter("ann").expect("a place").turn());
        line.let_nobody_in();
        assert!(matches!(line.enter("bob"), Err(NoPlace::Closed)));
        drop(running);
        assert!(matches!((&mut waits).now_or_never(), Some(Ok(_))));
    }

    proptest! {
        #[test]
        fn no_place_is_lost_and_nobody_waits_beside_a_free_one(
            places in 1..5_usize,
            steps in prop::collection::vec((0..4_usize, 0..4_u8), 1..80),
        ) {
            let line = Line::new(places, 6);
            let (mut turns, mut waits): (Vec<Turn>, Vec<_>) = (vec![], vec![]);
            for (pick, step) in steps {
                match step {
                    0 | 1 => if let Ok(place) = line.enter(["ann", "bob", "eve", "joe"][pick]) {
                        waits.push(Box::pin(place.turn()));
                    },
                    2 if pick < turns.len() => drop(turns.swap_remove(pick)),
                    3 if pick < waits.len() => drop(waits.swap_remove(pick)),
                    _ => {}
                }
                waits.retain_mut(|wait| match wait.now_or_never() {
                    None => true,
                    Some(Ok(turn)) => { turns.push(turn); false }
                    Some(Err(_)) => false,
                });
                let (running, waiting) = line.counts();
                prop_assert_eq!(running, turns.len());
                prop_assert!(running <= places && waiting <= 6);
                // A user who waits while a place is free has his part.
                let free = running < places;
                prop_assert!(!free || waits.is_empty() || line.state().next().is_none());
            }
        }
    }
}
