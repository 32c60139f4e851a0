//! Jobs that have ended, kept for those who come for them later: so many, so much output, and so long.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::Bounds;
use super::job::Job;
use crate::limits::KEPT_AGE;
use crate::moment::Moment;

/// In the order of their ends.
pub(super) struct Kept {
    jobs: VecDeque<(Moment, Rc<Job>)>,
    output_bytes: usize,
    bounds: Bounds,
}

impl Kept {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { jobs: VecDeque::new(), output_bytes: 0, bounds }
    }

    pub(super) fn add(&mut self, job: &Rc<Job>, at: Moment) {
        self.output_bytes = self.output_bytes.saturating_add(job.output_bytes());
        self.jobs.push_back((at, Rc::clone(job)));
    }

    /// Lets go of what is too old and too much. Where it is too much, the user who has most loses the oldest.
    pub(super) fn make_room<T>(&mut self, now: Moment, mut remove: impl FnMut(&Job) -> T) {
        let is_old = |at: Moment| now.since(at) > KEPT_AGE;
        while let Some((_, job)) = self.jobs.pop_front_if(|(at, _)| is_old(*at)) {
            self.let_go(&job, &mut remove);
        }
        while self.jobs.len() > self.bounds.kept_jobs || self.output_bytes > self.bounds.kept_output_bytes {
            let by_bytes = self.output_bytes > self.bounds.kept_output_bytes;
            let Some((_, job)) =
                self.oldest_of_the_greatest(by_bytes).and_then(|index| self.jobs.remove(index))
            else {
                return;
            };
            self.let_go(&job, &mut remove);
        }
    }

    fn oldest_of_the_greatest(&self, by_bytes: bool) -> Option<usize> {
        let mut share: HashMap<&str, usize> = HashMap::new();
        for (_, job) in &self.jobs {
            let share = share.entry(&*job.order.user).or_default();
            *share = share.saturating_add(if by_bytes { job.output_bytes() } else { 1 });
        }
        let greatest = *share.values().max()?;
        // Of users with the same share the one whose job ended first.
        self.jobs.iter().position(|(_, job)| {
            share.get(&*job.order.user) == Some(&greatest) && (!by_bytes || job.output_bytes() > 0)
        })
    }

    fn let_go<T>(&mut self, job: &Job, remove: &mut impl FnMut(&Job) -> T) {
        self.output_bytes = self.output_bytes.saturating_sub(job.output_bytes());
        remove(job);
    }
}
