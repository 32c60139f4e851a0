//! What users are known by: a key, an account of this machine, or a group of accounts. Refuses to guess: whoever is none
//! of these is nobody.

use std::collections::HashMap;
use std::sync::Arc;

use transport::Account;
use wire::PublicKey;

use super::User;

/// The uid and the gid that the kernel shows for those that have none where it is asked, as in a user namespace. Anyone
/// can be behind it.
pub(crate) const OVERFLOW_ID: u32 = 65_534;

/// How one user is recognised. Both may be set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KnownBy {
    /// On listeners with keys.
    pub(crate) key: Option<PublicKey>,
    /// On Unix sockets.
    pub(crate) account: Option<AccountRule>,
}

/// Accounts of this machine that are one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AccountRule {
    /// The one with this uid.
    Uid(u32),
    /// Those whose process has this group, or that /etc/group lists as its members.
    Group {
        /// The group.
        gid: u32,
        /// The uids of its members.
        members: Vec<u32>,
    },
}

/// The users by what they are known by.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    keys: HashMap<PublicKey, Arc<User>>,
    uids: HashMap<u32, Arc<User>>,
    /// In the order of the configuration: the first that fits counts.
    groups: Vec<(u32, Vec<u32>, Arc<User>)>,
}

impl Known {
    pub(super) fn add(&mut self, known_by: KnownBy, user: &Arc<User>) {
        if let Some(key) = known_by.key {
            self.keys.insert(key, Arc::clone(user));
        }
        match known_by.account {
            Some(AccountRule::Uid(uid)) => drop(self.uids.insert(uid, Arc::clone(user))),
            Some(AccountRule::Group { gid, members }) => self.groups.push((gid, members, Arc::clone(user))),
            None => {}
        }
    }

    pub(super) fn by_key(&self, key: &PublicKey) -> Option<&Arc<User>> {
        self.keys.get(key)
    }

    /// A user of this uid goes before one of a group.
    pub(super) fn by_account(&self, account: &Account) -> Option<&Arc<User>> {
        self.uids.get(&account.uid).or_else(|| {
            let belongs = |(gid, members, _): &&(u32, Vec<u32>, _)| {
                *gid == account.gid || members.contains(&account.uid)
            };
            self.groups.iter().find(belongs).map(|(_, _, user)| user)
        })
    }

    /// Whether any user is known by an account.
    pub(super) fn has_accounts(&self) -> bool {
        !self.uids.is_empty() || !self.groups.is_empty()
    }
}
