//! The ids of requests: what each was used for, and by whom, so that no request is executed twice.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::rc::Rc;

use jail::Variable;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use wire::RequestId;

use super::Bounds;
use crate::refusal::Refusal;

/// What an order asks for, as far as it decides whether two are the same: command, parameters and standard input.
///
/// A short secret could be found by trying whatever is kept on a disk, unless that needs a key, which would have to be kept
/// there too. So the log gets the digest of all but the secrets, and theirs stays in memory: an order that differs from an
/// earlier one in its secret alone is told from it as long as the server lives, and no longer.
#[derive(Clone, Copy)]
pub(crate) struct Digest {
    shown: [u8; 32],
    /// `None` for an order that is known from the log.
    secret: Option<[u8; 32]>,
}

impl Digest {
    /// Of what people may read of an order, and of its secrets.
    pub(crate) fn of<P: AsRef<str>>(
        command: &str,
        parameters: &[P],
        stdin: Option<&str>,
        secrets: &[Variable],
        secret_stdin: Option<&str>,
    ) -> Self {
        let parts = [command].into_iter().chain(parameters.iter().map(AsRef::as_ref));
        let secrets = secrets.iter().flat_map(|secret| [secret.name.as_str(), secret.reveal()]);
        Self { shown: hash(parts, stdin), secret: Some(hash(secrets, secret_stdin)) }
    }

    /// What the log says of it.
    pub(crate) fn logged(shown: [u8; 32]) -> Self {
        Self { shown, secret: None }
    }

    /// What the log may say of it.
    pub(crate) fn shown(&self) -> &[u8; 32] {
        &self.shown
    }

    /// Whether the orders are the same, as far as is known.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let unknown = self.secret.is_none() || other.secret.is_none();
        self.shown == other.shown && (unknown || self.secret == other.secret)
    }
}

/// Only what may be shown.
impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Digest").field(&self.shown).finish()
    }
}

fn hash<'p>(parts: impl Iterator<Item = &'p str>, stdin: Option<&str>) -> [u8; 32] {
    let mut hash = Sha256::new();
    // The lengths keep what belongs to one part from being read as another's.
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(stdin.map_or(u64::MAX, |stdin| stdin.len() as u64).to_le_bytes());
    hash.update(stdin.unwrap_or_default());
    hash.finalize().into()
}

/// All ids that are remembered.
pub(super) struct Ids {
    known: HashMap<Key, Known>,
    /// In the order of their ends.
    ended: VecDeque<(Timestamp, Key)>,
    bounds: Bounds,
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
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { known: HashMap::new(), ended: VecDeque::new(), bounds }
    }

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
            Some(known) if known.digest.is_same(digest) => Ok(Some(Rc::clone(&known.job))),
            Some(_) => Err(Refusal::id_conflict()),
        }
    }

    /// The job that an id came to, whatever was asked.
    pub(super) fn job(&self, user: &Rc<str>, id: &RequestId) -> Option<Rc<str>> {
        self.known.get(&key(user, id)).map(|known| Rc::clone(&known.job))
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
        if self.known.len() >= self.bounds.ids {
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

    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// Those whose jobs have ended. Whoever takes them again in this order forgets them in this order.
    pub(super) fn in_order_of_their_ends(&self) -> Vec<(Timestamp, &Key, &Known)> {
        let ended = self.known.iter().filter_map(|(key, known)| Some((known.ended?, key, known)));
        let mut ended: Vec<_> = ended.collect();
        ended.sort_unstable_by_key(|(at, ..)| *at);
        ended
    }
}

fn key(user: &Rc<str>, id: &RequestId) -> Key {
    Key { user: Rc::clone(user), id: id.clone() }
}

#[cfg(test)]
mod tests {
    use super::Digest;
    use jail::Variable;

    #[test]
    fn what_differs_has_another_digest() {
        let of = |command, parameters: &[&str], stdin| Digest::of(command, parameters, stdin, &[], None);
        let secret = |name: &str, value: &str, stdin| {
            Digest::of("a", &["b"], None, &[Variable::new(name, value)], stdin)
        };
        let digests = [
            of("a", &[], None),
            of("a", &[], Some("")),
            of("ab", &[], None),
            of("a", &["b"], None),
            of("a", &["b", ""], None),
            of("a", &["", "b"], None),
            of("a", &["b"], Some("b")),
            secret("A", "1", None),
            secret("A", "2", None),
            secret("B", "1", None),
            secret("A", "1", Some("1")),
        ];
        for (index, digest) in digests.iter().enumerate() {
            assert!(!digests[..index].iter().any(|other| other.is_same(digest)), "{index}");
            assert!(digest.is_same(&digest.clone()));
        }
    }

    #[test]
    fn a_secret_changes_nothing_that_is_logged_and_is_not_told_apart_by_what_was() {
        let of = |value| Digest::of("a", &["-p", "[secret]"], None, &[Variable::new("A", value)], None);
        let (one, other) = (of("1"), of("2"));
        assert_eq!(one.shown(), other.shown());
        assert!(!one.is_same(&other));
        let logged = Digest::logged(*one.shown());
        assert!(logged.is_same(&one) && logged.is_same(&other));
        assert!(!logged.is_same(&Digest::of("a", &["-q"], None, &[], None)));
    }
}
