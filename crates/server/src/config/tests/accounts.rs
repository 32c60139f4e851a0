//! Users and listeners that have to do with accounts of this machine.

use transport::{Account, SocketMode};
use wire::PublicKey;

use super::{KEY, parse, policy};
use crate::config::Protection;

#[test]
fn a_user_can_be_an_account_or_a_group_of_them() {
    let read = policy(&format!(
        "[users.ann]\nroles = []\nuid = 1000\npublic_key = '{KEY}'\n[users.ops]\nroles = []\ngroup = '4711'\n\
         [users.admins]\nroles = []\ngroup = 'root'\n"
    ));
    let name = |uid, gid| {
        let account = Account { uid, gid, pid: None };
        read.user_of_account(&account).map(|user| user.name.as_str())
    };
    assert_eq!(
        (name(1000, 1), name(1001, 4711), name(1001, 0), name(1001, 1)),
        (Some("ann"), Some("ops"), Some("admins"), None)
    );
    let key = PublicKey::parse(KEY).expect("a key");
    assert_eq!(read.user_of_key(&key).map(|user| user.name.as_str()), Some("ann"));
    for (users, problem) in [
        ("uid = -1", "f:3:7: `users.ann.uid` must be an integer from 0 to 4294967294"),
        ("uid = 4294967295", "f:3:7: `users.ann.uid` must be an integer from 0 to 4294967294"),
        ("uid = 'ann'", "f:3:7: `users.ann.uid` must be an integer"),
        ("uid = 65534", "f:3:7: `users.ann.uid` must not be 65534"),
        ("group = '65534'", "f:3:9: `users.ann.group` must not be 65534"),
        (
            "group = 'no such group'",
            "f:3:9: `users.ann.group` is `no such group`, which is not in /etc/group",
        ),
        (
            "group = 'root'\nuid = 0",
            "f:3:9: `users.ann.group` stands beside a `uid`; a user has one of the two",
        ),
        ("uid = 1\n[users.bob]\nroles = []\nuid = 1", "f:4:8: `bob` has the uid of `ann`"),
        ("group = '0'\n[users.bob]\nroles = []\ngroup = 'root'", "f:4:8: `bob` has the group of `ann`"),
    ] {
        let error = parse(&format!("[users.ann]\nroles = []\n{users}")).expect_err(users);
        assert!(error.starts_with(problem), "{error}");
    }
    for known_by in ["uid = 1", "group = 'root'"] {
        let error = parse(&format!("[users.local]\nroles = []\n{known_by}")).expect_err("local");
        assert!(error.contains("has no meaning: `local` is whoever connects"), "{error}");
    }
}

#[test]
fn a_unix_socket_has_permissions_and_neither_key_nor_plain_text() {
    let listener = |text: &str| parse(&format!("[[listeners]]\nendpoint = 'ipc:///run/b/b.sock'\n{text}"));
    for (text, mode, group) in [
        ("", 0o600, None),
        ("group = 'root'", 0o660, Some(0)),
        ("mode = '0666'", 0o666, None),
        ("mode = '0640'\ngroup = '4711'", 0o640, Some(4711)),
    ] {
        let read = listener(text).unwrap_or_else(|error| panic!("{error}"));
        let expected = Protection::Accounts(SocketMode { mode, group });
        assert_eq!(read.listeners.first().map(|listener| &listener.protection), Some(&expected), "{text}");
    }
    for (text, problem) in [
        ("plain = true", "has no meaning here: on a Unix socket the kernel says who connects"),
        ("key = 'k'", "has no meaning here: on a Unix socket the kernel says who connects"),
        ("mode = '660'", "must be permissions to read and write"),
        ("mode = '0777'", "must be permissions to read and write"),
        ("mode = '4660'", "must be permissions to read and write"),
        ("mode = '066x'", "must be permissions to read and write"),
        ("mode = 432", "must be a string"),
        ("group = 'no such group'", "which is not in /etc/group"),
    ] {
        let error = listener(text).expect_err(text);
        assert!(error.contains(problem), "{error}");
    }
    for endpoint in ["ipc://b.sock", "ipc://@b", "ipc:///a/../b", "ipc:/a"] {
        let error = parse(&format!("[[listeners]]\nendpoint = '{endpoint}'")).expect_err(endpoint);
        assert!(error.contains("must be `ipc:///PATH` with an absolute path"), "{error}");
    }
    for key in ["mode = '0660'", "group = 'root'"] {
        let error = parse(&format!("[[listeners]]\nendpoint = 'tcp://127.0.0.1:1'\nplain = true\n{key}"));
        assert!(error.expect_err(key).contains("only a Unix socket"));
    }
}
