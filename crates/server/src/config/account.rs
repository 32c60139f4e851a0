//! Users and groups by name or number, from /etc/passwd and /etc/group alone: no library of the name service is loaded
//! into a process that can become anybody.

use std::io;

use super::files::Files;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// A user with the group that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) user: u32,
    pub(super) group: Option<u32>,
}

/// The user of this name or number, if there is one. A number needs no entry.
pub(super) fn user(files: &Files, text: &str) -> io::Result<Option<Account>> {
    Ok(find_user(&files.text(PASSWD)?, text))
}

/// The group of this name or number.
pub(super) fn group(files: &Files, text: &str) -> io::Result<Option<u32>> {
    Ok(find_group(&files.text(GROUP)?, text))
}

/// The users whom /etc/group lists as members of this group, under whatever name it stands there.
pub(super) fn members(files: &Files, group: u32) -> io::Result<Vec<u32>> {
    Ok(find_members(&files.text(GROUP)?, &files.text(PASSWD)?, group))
}

/// `name:password:user:group:...` (passwd(5)).
fn find_user(passwd: &str, text: &str) -> Option<Account> {
    let number = text.parse().ok();
    let entries = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, user) = (fields.next()?, fields.nth(1)?.parse().ok()?);
        Some((name, Account { user, group: fields.next()?.parse().ok() }))
    });
    let mut found = entries.filter(|(name, account)| *name == text || Some(account.user) == number);
    found.next().map(|(_, account)| account).or(number.map(|user| Account { user, group: None }))
}

/// `name:password:group:...` (group(5)).
fn find_group(groups: &str, text: &str) -> Option<u32> {
    let mut entries = groups.lines().filter_map(|line| {
        let mut fields = line.split(':');
        Some((fields.next()?, fields.nth(1)?.parse().ok()?))
    });
    entries.find(|(name, _)| *name == text).map(|(_, group)| group).or_else(|| text.parse().ok())
}

/// `name:password:group:member,member` (group(5)).
fn find_members(groups: &str, passwd: &str, group: u32) -> Vec<u32> {
    let lists = groups.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(2);
        (fields.next()?.parse() == Ok(group)).then(|| fields.next()).flatten()
    });
    let names: Vec<&str> = lists.flat_map(|list| list.split(',')).filter(|name| !name.is_empty()).collect();
    let users = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        names.contains(&fields.next()?).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    users.collect()
}

#[cfg(test)]
mod tests {
    use super::{Account, find_group, find_members, find_user};

    #[test]
    fn members_of_a_group_are_those_that_the_file_lists() {
        let passwd = "root:x:0:0::/:/bin/sh\nann:x:1000:100::/:/bin/sh\nbob:x:1001:100::/:/bin/sh\n1002:x:7:7::/:/bin/sh\n";
        let groups =
            "root:x:0:\nops:x:50:ann,gone,bob\nbroken:x\nsame:x:50:1002\nempty:x:51:\nodd:x:52:,ann,\n";
        for (group, members) in
            [(50, vec![1000, 1001, 7]), (51, vec![]), (52, vec![1000]), (0, vec![]), (99, vec![])]
        {
            assert_eq!(find_members(groups, passwd, group), members, "{group}");
        }
    }

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbroken\nann:x:1000:100:Ann:/home/ann:/bin/sh\n";
        let ann = Some(Account { user: 1000, group: Some(100) });
        assert_eq!((find_user(passwd, "ann"), find_user(passwd, "1000")), (ann, ann));
        assert_eq!(find_user(passwd, "4000"), Some(Account { user: 4000, group: None }));
        assert_eq!(
            (find_user(passwd, "an"), find_user(passwd, ""), find_user(passwd, "-1")),
            (None, None, None)
        );
        let groups = "root:x:0:\nstaff:x:50:ann\n";
        assert_eq!(
            (find_group(groups, "staff"), find_group(groups, "7"), find_group(groups, "x")),
            (Some(50), Some(7), None)
        );
    }
}
