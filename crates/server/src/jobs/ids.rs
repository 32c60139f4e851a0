//! The ids of requests: what each was used for, and by whom, so that no request is executed twice.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use wire::RequestId;

use crate::limits::IDS_REMEMBERED;
use crate::refusal::Refusal;

/// What an order asks for, as far as it decides whether two are the same: command, parameters and standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(pub(crate) [u8; 32]);

impl Digest {
    pub(crate) fn of<P: AsRef<str>>(command: &str, parameters: &[P], stdin: Option<&str>) -> Self {
        let mut hash = Sha256::new();
        let parts = parameters.iter().map(AsRef::as_ref);
        // The lengths keep what belongs to one part from being read as another's.
        for part in [command].into_iter().chain(parts) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(stdin.map_or(u64::MAX, |stdin| stdin.len() as u64).to_le_bytes());
        hash.update(stdin.unwrap_or_default());
        Self(hash.finalize().into())
    }
}

/// All ids that are remembered.
#[derive(Default)]
pub(super) struct Ids {
    known: HashMap<Key, Known>,
    /// In the order of their ends.
    ended: VecDeque<(Timestamp, Key)>,
}

/// An id belongs to its user: another's is another.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) user: Rc<str>,
    pub(super) id: RequestId,
}

pub(super) struct Known {
    pub(super) digest: Digest,
    pub(super) job: Rc<str>,
    pub(super) ended: Option<Timestamp>,
}

impl Ids {
    /// The job that an order came to, if its id is known.
    ///
    /// # Errors
    /// The id was used for another order.
    pub(super) fn find(
        &self,
        user: &Rc<str>,
        id: &RequestId,
        digest: &Digest,
    ) -> Result<Option<Rc<str>>, Refusal> {
        match self.known.get(&key(user, id)) {
            None => Ok(None),
            Some(known) if known.digest == *digest => Ok(Some(Rc::clone(&known.job))),
            Some(_) => Err(Refusal::id_conflict()),
        }
    }

    /// Remembers an id from now on.
    ///
    /// # Errors
    /// As many are remembered as can be.
    pub(super) fn remember(
        &mut self,
        user: &Rc<str>,
        id: &RequestId,
        digest: Digest,
        job: &Rc<str>,
    ) -> Result<(), Refusal> {
        if self.known.len() >= IDS_REMEMBERED {
            return Err(Refusal::busy("too many ids are remembered"));
        }
        self.known.insert(key(user, id), Known { digest, job: Rc::clone(job), ended: None });
        Ok(())
    }

    /// From its end on the time runs for which an id is remembered.
    pub(super) fn note_end(&mut self, user: &Rc<str>, id: &RequestId, at: Timestamp) {
        let key = key(user, id);
        if let Some(known) = self.known.get_mut(&key) {
            known.ended = Some(at);
            self.ended.push_back((at, key));
        }
    }

    /// Forgets those whose jobs ended before this moment.
    pub(super) fn forget(&mut self, before: Timestamp) {
        while let Some((_, key)) = self.ended.pop_front_if(|(at, _)| *at < before) {
            if self.known.get(&key).is_some_and(|known| known.ended.is_some_and(|at| at < before)) {
                self.known.remove(&key);
            }
        }
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &Known)> {
        self.known.iter()
    }
}

fn key(user: &Rc<str>, id: &RequestId) -> Key {
    Key { user: Rc::clone(user), id: id.clone() }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn what_differs_has_another_digest() {
        let digests = [
            Digest::of::<&str>("a", &[], None),
            Digest::of::<&str>("a", &[], Some("")),
            Digest::of::<&str>("ab", &[], None),
            Digest::of("a", &["b"], None),
            Digest::of("a", &["b", ""], None),
            Digest::of("a", &["", "b"], None),
            Digest::of("a", &["b"], Some("b")),
        ];
        for (index, digest) in digests.iter().enumerate() {
            assert!(!digests[..index].contains(digest), "{index}");
        }
    }
}
