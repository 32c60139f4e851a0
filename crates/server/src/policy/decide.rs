//! The decisions: one function for each thing that can be asked for. The server, `bidden policy explain` and
//! `bidden policy test` all ask here.

use super::{Command, Grant, InvalidParameters, Invocation, Policy, Right, User};

/// A command that may run, with the vector that its program gets.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Permitted<'p> {
    /// The command.
    pub command: &'p Command,
    /// What its program gets.
    pub invocation: Invocation,
    /// Why the user may.
    pub grant: &'p Grant,
}

/// Whose jobs, or whose part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The user's own.
    Own,
    /// Everybody's.
    All,
}

/// Why something may not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The policy has no command of that name.
    #[error("no such command in the policy")]
    NoSuchCommand,
    /// The command exists, and no role of the user names it.
    #[error("no role of the user `{user}` has this command")]
    NotTheUsers {
        /// The user.
        user: String,
    },
    /// No role of the user has the right.
    #[error("no role of the user `{user}` has the right `{}`", right.as_str())]
    NoRight {
        /// The user.
        user: String,
        /// What it would take.
        right: Right,
    },
    /// The user may run the command, but not so.
    #[error("{0}")]
    Parameters(InvalidParameters),
}

impl Policy {
    /// May this user run this command with these parameters? The parameters are looked at only when the user may run
    /// the command, and nothing in the way there depends on whether it exists.
    ///
    /// # Errors
    /// Why not.
    pub fn decide_command<'p, P: AsRef<str>>(
        &'p self,
        user: &'p User,
        name: &str,
        parameters: &[P],
    ) -> Result<Permitted<'p>, Denied> {
        count_question();
        let (command, grant) = match (self.commands.get(name), user.commands.get(name)) {
            (Some(command), Some(grant)) => (command, grant),
            (Some(_), None) => return Err(Denied::NotTheUsers { user: user.name.clone() }),
            (None, _) => return Err(Denied::NoSuchCommand),
        };
        let invocation = command.invocation(parameters).map_err(Denied::Parameters)?;
        Ok(Permitted { command, invocation, grant })
    }

    /// Whose affairs may this user see, or end? Everyone his own; those of others only with the right to it.
    pub fn decide_scope(&self, user: &User, right: Right) -> Scope {
        count_question();
        if user.rights.contains_key(&right) { Scope::All } else { Scope::Own }
    }

    /// Has this user this right?
    ///
    /// # Errors
    /// Why not.
    pub fn decide_right<'p>(&self, user: &'p User, right: Right) -> Result<&'p Grant, Denied> {
        count_question();
        user.rights.get(&right).ok_or_else(|| Denied::NoRight { user: user.name.clone(), right })
    }
}

#[cfg(test)]
thread_local! {
    /// How often a policy was asked on this thread.
    pub(crate) static QUESTIONS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Tests want to know that each request asks once; nothing else counts.
pub(super) fn count_question() {
    #[cfg(test)]
    QUESTIONS.set(QUESTIONS.get().saturating_add(1));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{AccountRule, Command, Grant, KnownBy, LOCAL, OVERFLOW_ID, Policy, Right, User};
    use super::{Denied, Scope};
    use transport::Account;
    use wire::PublicKey;

    fn user(name: &str, commands: &[&str]) -> User {
        let grant = Grant::Role { name: "role".into(), line: 1 };
        let commands = commands.iter().map(|name| ((*name).to_owned(), grant.clone())).collect();
        User {
            name: name.into(),
            commands,
            rights: BTreeMap::new(),
            not_after: None,
            requests_per_second: None,
            line: None,
        }
    }

    fn policy(users: Vec<(User, KnownBy)>) -> Policy {
        let commands = ["a", "b"].map(|name| (name.to_owned(), Command::new("/bin/true")));
        Policy::with_users(commands.into(), users)
    }

    #[test]
    fn a_user_gets_what_the_roles_name_and_nothing_else() {
        let policy = policy(vec![]);
        let (some, none) = (user("some", &["a", "gone"]), user("none", &[]));
        assert!(policy.decide_command::<&str>(&some, "a", &[]).is_ok());
        let denied = |user, name| policy.decide_command::<&str>(user, name, &[]).expect_err("denied");
        assert_eq!(denied(&some, "b"), Denied::NotTheUsers { user: "some".into() });
        assert_eq!(denied(&some, "gone"), Denied::NoSuchCommand);
        assert_eq!(denied(&none, "a"), Denied::NotTheUsers { user: "none".into() });
        assert!(policy.decide_right(&none, Right::Compute).is_err());
        assert_eq!(policy.decide_scope(&none, Right::Jobs), Scope::Own);
        assert_eq!(policy.decide_scope(policy.local(), Right::Jobs), Scope::All);
        assert!(matches!(policy.decide_command(&some, "a", &["x"]), Err(Denied::Parameters(_))));
        assert_eq!(
            policy.decide_command(&none, "a", &["x"]),
            Err(Denied::NotTheUsers { user: "none".into() }),
            "the parameters of a forbidden command are not looked at"
        );
    }

    #[test]
    fn an_unnarrowed_local_user_may_do_everything_and_a_narrowed_one_what_is_named() {
        let open = policy(vec![]);
        assert!(open.decide_command::<&str>(open.local(), "b", &[]).is_ok());
        assert!(open.decide_right(open.local(), Right::Compute).is_ok());
        let narrow = policy(vec![(user(LOCAL, &["a"]), KnownBy::default())]);
        assert!(narrow.decide_command::<&str>(narrow.local(), "a", &[]).is_ok());
        assert!(narrow.decide_command::<&str>(narrow.local(), "b", &[]).is_err());
        assert!(narrow.decide_right(narrow.local(), Right::Compute).is_err());
    }

    #[test]
    fn a_key_is_one_user_or_nobody() {
        let key = |byte| PublicKey([byte; 32]);
        let known = |byte| KnownBy { key: Some(key(byte)), account: None };
        let policy = policy(vec![(user("ann", &["a"]), known(1)), (user("bob", &["b"]), known(2))]);
        let name = |byte| policy.user_of_key(&key(byte)).map(|user| user.name.as_str());
        assert_eq!((name(1), name(2), name(3), name(0)), (Some("ann"), Some("bob"), None, None));
    }

    #[test]
    fn an_account_is_the_user_of_its_uid_then_of_its_group_or_nobody() {
        let account = |uid, gid| Account { uid, gid, pid: None };
        let known = |account| KnownBy { key: None, account: Some(account) };
        let name = |policy: &Policy, uid, gid| {
            policy.user_of_account(&account(uid, gid)).map(|user| user.name.clone())
        };
        let policy_of_two = policy(vec![
            (user("ops", &["a"]), known(AccountRule::Group { gid: 50, members: vec![1002, 1001] })),
            (user("ann", &["a"]), known(AccountRule::Uid(1001))),
            (user("late", &["a"]), known(AccountRule::Group { gid: 60, members: vec![1002] })),
        ]);
        let own = rustix::process::geteuid().as_raw();
        for (uid, gid, expected) in [
            (1001, 7, Some("ann")),
            (1001, 50, Some("ann")),
            (1002, 7, Some("ops")),
            (1002, 60, Some("ops")),
            (1003, 50, Some("ops")),
            (1003, 60, Some("late")),
            (1003, 7, None),
            (50, 1001, None),
            (own, 4_000_000, None),
        ] {
            assert_eq!(name(&policy_of_two, uid, gid).as_deref(), expected, "{uid} {gid}");
        }
        let without = policy(vec![(user("ann", &["a"]), KnownBy::default())]);
        assert_eq!(name(&without, own, 7).as_deref(), (own != OVERFLOW_ID).then_some(LOCAL));
        assert_eq!(name(&without, own.wrapping_add(1), 7), None);
    }
}
