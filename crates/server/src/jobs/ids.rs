//! The ids of requests: what each was used for, and by whom, so that no request is executed twice.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use jail::Variable;
use sha2::{Digest as _, Sha256};
use wire::RequestId;

use super::job::{Job, Order};

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

/// The ids of the jobs that are known by name: they run, or what they came to is kept.
#[derive(Default)]
pub(super) struct Ids(HashMap<Key, Rc<Job>>);

/// An id belongs to its user: another's is another.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) user: Rc<str>,
    pub(super) id: RequestId,
}

impl Key {
    /// That of an order, if it has one.
    pub(super) fn of(order: &Order) -> Option<Self> {
        Some(Self { user: Rc::clone(&order.user), id: order.id.clone()? })
    }
}

impl Ids {
    /// The job of an id.
    pub(super) fn get(&self, key: &Key) -> Option<&Rc<Job>> {
        self.0.get(key)
    }

    /// Takes the id of a job, if it has one.
    pub(super) fn add(&mut self, job: &Rc<Job>) {
        self.0.extend(Key::of(&job.order).map(|key| (key, Rc::clone(job))));
    }

    /// Lets go of the id of a job. Where another job has it by now it stays that one's.
    pub(super) fn remove(&mut self, job: &Job) {
        if let Some(key) = Key::of(&job.order)
            && self.0.get(&key).is_some_and(|known| known.name == job.name)
        {
            self.0.remove(&key);
        }
    }
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
