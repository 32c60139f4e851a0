//! What a configuration may say, and what is said of one that is wrong.

use std::time::Duration;

use super::{Configuration, ConfigurationError, Listener, Protection};
use crate::policy::{Grant, Policy, Right, StandardInput};
use jail::limits::MAX_SECRETS;
use transport::{KeyPair, write_certificates};
use wire::PublicKey;

const KEY: &str = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
const OTHER_KEY: &str = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";

mod accounts;
mod arguments;

fn parse(text: &str) -> Result<Configuration, String> {
    Configuration::parse("f", text).map_err(|error| error.to_string())
}

#[track_caller]
fn policy(text: &str) -> Policy {
    parse(text).unwrap_or_else(|error| panic!("{error}")).policy
}

/// The problems of a text, one a line.
#[track_caller]
fn wrong(text: &str, problems: &str) {
    assert_eq!(parse(text).expect_err(text), problems, "{text}");
}

/// A problem of a command whose rules these are, at this line and column of them.
#[track_caller]
fn wrong_rule(rule: &str, problem: &str) {
    wrong(&format!("[commands.c]\nprogram = \"/usr/bin/uname\"\n{rule}"), &format!("f:3:{problem}"));
}

#[test]
fn an_empty_file_allows_nothing_to_run() {
    let policy = policy("");
    assert!(policy.commands().is_empty());
    assert_eq!(policy.local().rights.keys().copied().collect::<Vec<_>>(), Right::ALL);
}

#[test]
fn a_command_is_read_with_its_rules_in_the_order_of_the_file() {
    let policy = policy(
        r#"
        [commands.ping]
        program = "/usr/bin/ping"
        arguments = ["-n"]
        options = { "-c" = { type = "integer", min = 1, max = 20, default = 4 }, "-4" = "flag", "-W" = { type = "number", min = 0.5, max = 5, default = "1.5" } }
        operands = [ { name = "host", type = "host" }, { name = "more", type = "host", required = false, repeat = 2 } ]
        timeout = "60s"
        [commands.uname]
        program = "/usr/bin/uname"
        "#,
    );
    let ping = policy.commands().get("ping").expect("a command");
    assert_eq!((ping.time_limit, ping.separator, ping.line), (Duration::from_mins(1), true, Some(2)));
    let spellings: Vec<_> = ping.options.iter().map(|option| option.spelling.as_str()).collect();
    assert_eq!(spellings, ["-c", "-4", "-W"]);
    let vector = ping.invocation(&["::1", "-4", "localhost"]).expect("allowed").arguments;
    assert_eq!(vector, ["-n", "-c", "4", "-4", "-W", "1.5", "--", "::1", "localhost"]);
    let uname = policy.commands().get("uname").expect("a command");
    assert_eq!((uname.separator, uname.time_limit), (false, Duration::from_secs(10)));
    assert!(uname.invocation(&["-a"]).is_err());
}

#[test]
fn unknown_keys_stop_the_start_wherever_they_stand() {
    wrong("[command.ping]", "f:1:2: unknown key `command`; did you mean `commands`?");
    wrong(
        "x = 1",
        "f:1:1: unknown key `x`; known are `server`, `listeners`, `limits`, `commands`, `roles`, `users`, `tests`",
    );
    wrong("[server]\nlogs = 'x'", "f:2:1: unknown key `logs` in `server`; did you mean `log`?");
    wrong(
        "[limits]\n commands = 1",
        "f:2:2: unknown key `commands` in `limits`; known are `requests_per_second`, `request_bytes_per_second`, `commands_at_once`, `commands_waiting`, `commands_by_user`, `computations_waiting`, `log_bytes`, `log_files`, `shutdown_grace`",
    );
    wrong("[roles.r]\nright = []", "f:2:1: unknown key `right` in `roles.r`; did you mean `rights`?");
    wrong(
        "[users.u]\nkey = ''",
        "f:2:1: unknown key `key` in `users.u`; known are `roles`, `public_key`, `certificate`, `uid`, `group`, `not_after`, `requests_per_second`",
    );
    wrong(
        "[commands.c]\nprogramm = '/usr/bin/uname'",
        "f:2:1: unknown key `programm` in `commands.c`; did you mean `program`?",
    );
    wrong_rule(
        "options = { '-c' = { typ = 'host' } }",
        "22: unknown key `typ` in `commands.c.options.-c`; did you mean `type`?",
    );
    wrong_rule(
        "options = { '-c' = { type = 'host', min = 1 } }",
        "37: unknown key `min` in `commands.c.options.-c`; known are `type`, `default`, `repeat`, `glued`, `secret`, `environment`",
    );
    wrong_rule(
        "operands = [{ name = 'x', type = 'integer', min = 1, mx = 2 }]",
        "54: unknown key `mx` in `commands.c.operands[1]`; did you mean `max`?",
    );
    wrong(
        "[[listeners]]\nendpoint = 'x'\nserver_key = 'x'",
        "f:3:1: unknown key `server_key` in `listeners[1]`; known are `endpoint`, `key`, `plain`, `mode`, `group`",
    );
    wrong("[[tests]]\nusr = 'x'", "f:2:1: unknown key `usr` in `tests[1]`; did you mean `user`?");
}

#[test]
fn a_value_of_the_wrong_type_is_shown() {
    wrong("commands = 1", "f:1:12: `commands` must be a table, not `1`");
    wrong("[commands]\nc = 'x'", "f:2:5: `commands.c` must be a table, not `x`");
    wrong("[commands.c]\nprogram = 1", "f:2:11: `commands.c.program` must be a string, not `1`");
    wrong("[commands.c]", "f:1:1: `commands.c` lacks the key `program`");
    wrong_rule("timeout = 60", "11: `commands.c.timeout` must be a string, not `60`");
    let duration =
        "`commands.c.timeout` must be a time such as \"500ms\", \"60s\", \"5m\" or \"1h\", at most 86400s";
    wrong_rule("timeout = '60'", &format!("11: {duration}, not `60`"));
    wrong_rule("timeout = '0s'", &format!("11: {duration}, not `0s`"));
    wrong_rule("timeout = '25h'", &format!("11: {duration}, not `25h`"));
    wrong_rule("arguments = '-a'", "13: `commands.c.arguments` must be a list, not `-a`");
    wrong_rule("arguments = [1]", "14: `commands.c.arguments[1]` must be a string, not `1`");
    wrong_rule(
        "arguments = ['a\\u0000b']".replace('\'', "\"").as_str(),
        "14: `commands.c.arguments[1]` must not hold control or format characters",
    );
    wrong_rule("separator = 'no'", "13: `commands.c.separator` must be true or false, not `no`");
    wrong_rule("operands = {}", "12: `commands.c.operands` must be a list, not a table");
    wrong(
        "[limits]\ncommands_at_once = 0",
        "f:2:20: `limits.commands_at_once` must be an integer from 1 to 1024, not `0`",
    );
    wrong(
        "[limits]\ncommands_at_once = 2000",
        "f:2:20: `limits.commands_at_once` must be an integer from 1 to 1024, not `2000`",
    );
}

#[test]
fn the_text_itself_is_checked() {
    assert!(parse("[commands.c\n").expect_err("wrong").starts_with("f:1:12: "));
    assert!(parse("a = 1\na = 2").expect_err("twice").starts_with("f:2:1: duplicate key"));
    assert!(parse("[commands.c]\n[commands.c]").expect_err("twice").starts_with("f:2:"));
    assert!(parse(&"[".repeat(100_000)).is_err());
    assert!(parse(&format!("a = {}", "[".repeat(100_000))).is_err());
}

#[test]
fn a_program_must_be_one_that_is_safe_to_name() {
    let program = |path: &str, rest: &str| format!("[commands.c]\nprogram = '{path}'\n{rest}");
    wrong(
        &program("ping", ""),
        "f:2:11: `commands.c.program` must be an absolute path: no search path is used",
    );
    wrong(
        &program("/nonexistent/ping", ""),
        "f:2:11: `commands.c.program` /nonexistent/ping cannot be found: No such file or directory (os error 2)",
    );
    wrong(
        &program("/usr/bin/env", ""),
        "f:2:11: `commands.c.program` is refused because env starts the program that its arguments name; if that is what you want, say `launcher = true`",
    );
    wrong(
        &program("/usr/bin/env", "launcher = false"),
        "f:2:11: `commands.c.program` is refused because env starts the program that its arguments name; if that is what you want, say `launcher = true`",
    );
    assert!(parse(&program("/usr/bin/env", "launcher = true")).is_ok());
}

#[test]
fn names_that_do_not_exist_are_refused_with_the_nearest() {
    let commands = "[commands.uptime]\nprogram = '/usr/bin/uname'\n";
    wrong(
        &format!("{commands}[roles.r]\ncommands = ['uptme']"),
        "f:4:13: `roles.r.commands[1]` names `uptme`, which is no command; did you mean `uptime`?",
    );
    wrong(
        "[roles.r]\nrights = ['compte']",
        "f:2:11: `roles.r.rights[1]` names `compte`, which is no right; did you mean `compute`?",
    );
    wrong(
        "[roles.r]\nrights = ['*']",
        "f:2:11: `roles.r.rights[1]` names `*`, which is no right; known are `compute`, `jobs`, `cancel`, `history`, `metrics`",
    );
    wrong(
        "[roles.reader]\n[users.local]\nroles = ['raeder']",
        "f:3:10: `users.local.roles[1]` names `raeder`, which is no role; did you mean `reader`?",
    );
    wrong(
        "[users.local]\nroles = ['r']",
        "f:2:10: `users.local.roles[1]` names `r`, which is no role; there is none yet",
    );
    wrong(
        "[commands.\"a b\"]\nprogram = '/usr/bin/uname'",
        "f:1:11: `a b` cannot name a command: a name must be 1 to 64 letters, digits, `.`, `_` and `-`, the first neither `.` nor `-`",
    );
    wrong(
        "[users.\"../x\"]",
        "f:1:8: `../x` cannot name a user: a name must be 1 to 64 letters, digits, `.`, `_` and `-`, the first neither `.` nor `-`",
    );
}

#[test]
fn several_problems_are_told_at_once() {
    wrong(
        "[commands.a]\nprogram = 'a'\n[commands.b]\nprogram = 'b'\n",
        "f:2:11: `commands.a.program` must be an absolute path: no search path is used\n\
         f:4:11: `commands.b.program` must be an absolute path: no search path is used",
    );
}

#[test]
fn roles_come_to_a_table_of_what_each_user_may_do() {
    let policy = policy(&format!(
        "[commands.a]\nprogram = '/usr/bin/uname'\n[commands.b]\nprogram = '/usr/bin/uname'\n\
         [roles.one]\ncommands = ['a']\n[roles.two]\ncommands = ['b']\nrights = ['compute']\n[roles.none]\n\
         [users.ann]\npublic_key = '{KEY}'\nroles = ['one', 'two']\nnot_after = 2030-01-01T00:00:00Z\n\
         [users.bob]\npublic_key = '{OTHER_KEY}'\nroles = ['none']\nnot_after = '2030-01-01T00:00:00+02:00'\n\
         [users.local]\nroles = []\n"
    ));
    let key = |text| PublicKey::parse(text).expect("a key");
    let ann = policy.user_of_key(&key(KEY)).expect("a user");
    assert_eq!(ann.commands.get("a"), Some(&Grant::Role { name: "one".into(), line: 6 }));
    assert_eq!(ann.commands.get("b"), Some(&Grant::Role { name: "two".into(), line: 8 }));
    assert!(ann.rights.contains_key(&Right::Compute));
    let at = |text: &str| text.parse::<jiff::Timestamp>().expect("a moment");
    assert!(!ann.has_expired(at("2029-12-31T23:59:59Z")) && ann.has_expired(at("2030-01-01T00:00:00Z")));
    let bob = policy.user_of_key(&key(OTHER_KEY)).expect("a user");
    assert!(bob.commands.is_empty() && bob.rights.is_empty(), "an empty role permits nothing");
    assert!(bob.has_expired(at("2029-12-31T22:00:00Z")));
    assert!(
        policy.local().commands.is_empty() && policy.local().rights.is_empty(),
        "no role is no permission"
    );
}

#[test]
fn a_user_is_a_key_of_his_own() {
    wrong(
        "[users.ann]\nroles = []",
        "f:1:1: `users.ann` lacks what the user is known by: `public_key`, `certificate`, `uid` or `group`",
    );
    wrong(&format!("[users.ann]\npublic_key = '{KEY}'"), "f:1:1: `users.ann` lacks the key `roles`");
    wrong(
        "[users.ann]\nroles = []\npublic_key = 'abc'",
        "f:3:14: `users.ann.public_key` must be a public key: the 40 characters that stand in a certificate behind `public-key`",
    );
    wrong(
        &format!("[users.local]\nroles = []\npublic_key = '{KEY}'"),
        "f:3:14: `users.local.public_key` has no meaning: `local` is whoever connects in plain text from this machine",
    );
    wrong(
        &format!("[users.a]\nroles = []\npublic_key = '{KEY}'\n[users.b]\nroles = []\npublic_key = '{KEY}'"),
        "f:4:8: `b` has the key of `a`",
    );
    for moment in ["2030-01-01", "'tomorrow'", "2030-01-01T00:00:00", "1"] {
        let text = format!("[users.local]\nroles = []\nnot_after = {moment}");
        let error = parse(&text).expect_err(moment);
        assert!(error.starts_with("f:3:13: `users.local.not_after` must be a date and time"), "{error}");
    }
}

#[test]
fn a_date_can_be_as_late_as_its_spelling_goes() {
    for (moment, is_the_last) in [
        ("9999-12-31T23:59:59Z", true),
        ("'9999-12-31T23:59:59.999999999+00:00'", true),
        ("9999-12-31T00:00:00-23:00", true),
        ("9999-12-30T00:00:00Z", false),
        ("2100-02-28T23:59:60Z", false),
        ("2500-01-01T00:00:00+14:00", false),
        ("1969-12-31T23:59:59Z", false),
    ] {
        let text = format!("[users.local]\nroles = []\nnot_after = {moment}");
        let policy = parse(&text).unwrap_or_else(|error| panic!("{moment}: {error}")).policy;
        let not_after = policy.local().not_after.expect(moment);
        assert_eq!(not_after == jiff::Timestamp::MAX, is_the_last, "{moment}");
    }
    parse("[users.local]\nroles = []\nnot_after = '9999-12-31'").expect_err("no time");
    parse("[users.local]\nroles = []\nnot_after = '10000-01-01T00:00:00Z'").expect_err("no year");
}

#[test]
fn listeners_log_and_limits_are_read() {
    let text = "[server]\nlog = 'x/server.log'\nseal = '/var/seal'\n[[listeners]]\nendpoint = 'tcp://127.0.0.1:5556'\nplain = true\n\
                [limits]\ncommands_at_once = 7\ncomputations_waiting = 8\nshutdown_grace = '1m'";
    let read = Configuration::parse("/etc/bidden/bidden.toml", text).expect("correct");
    let plain = Listener { endpoint: "tcp://127.0.0.1:5556".into(), protection: Protection::Plain };
    assert_eq!(read.listeners, [plain]);
    assert_eq!(read.log.as_deref().and_then(|path| path.to_str()), Some("/etc/bidden/x/server.log"));
    assert_eq!(read.seal.as_deref().and_then(|path| path.to_str()), Some("/var/seal"));
    let limits = read.limits;
    assert_eq!((limits.commands_at_once, limits.computations_waiting), (7, 8));
    assert_eq!(limits.shutdown_grace, Duration::from_mins(1));
}

#[test]
fn a_listener_says_how_it_is_protected() {
    let text = "[[listeners]]\nendpoint = 'tcp://0.0.0.0:5555'\nkey = 'server.key_secret'\n\
                [[listeners]]\nendpoint = 'tcp://0.0.0.0:5556'\nkey = '/keys/new.key_secret'\n";
    let read = Configuration::parse("/etc/bidden/bidden.toml", text).expect("correct");
    let keys: Vec<_> = read.listeners.iter().map(|listener| &listener.protection).collect();
    let key = |path: &str| Protection::Key(path.into());
    assert_eq!(keys, [&key("/etc/bidden/server.key_secret"), &key("/keys/new.key_secret")]);
    for plain in ["", "plain = false"] {
        let error =
            parse(&format!("[[listeners]]\nendpoint = 'tcp://127.0.0.1:1'\n{plain}")).expect_err("no");
        assert!(error.starts_with("f:1:1: `listeners[1]` must name the server's `key`"), "{error}");
    }
    wrong(
        "[[listeners]]\nendpoint = 'tcp://127.0.0.1:1'\nplain = true\nkey = 'k'",
        "f:1:1: `listeners[1]` has a key and is plain",
    );
    wrong(
        "[[listeners]]\nendpoint = 'tcp://127.0.0.1:1'\nkey = ''",
        "f:3:7: `listeners[1].key` must name a file",
    );
    let many = "[[listeners]]\nendpoint = 'tcp://127.0.0.1:1'\nplain = true\n".repeat(9);
    assert!(parse(&many).expect_err("too many").starts_with("f:25:1: `listeners[9]` is one too many"));
}

#[test]
fn a_user_can_be_a_certificate() {
    let directory = tempfile::tempdir().expect("a directory");
    let pair = KeyPair::generate();
    write_certificates(&directory.path().join("ann"), &pair).expect("written");
    let file = directory.path().join("bidden.toml");
    let file = file.to_str().expect("UTF-8");
    let text = "[users.ann]\nroles = []\ncertificate = 'ann.key'";
    let policy = Configuration::parse(file, text).expect("correct").policy;
    assert_eq!(policy.user_of_key(&pair.public()).map(|user| user.name.as_str()), Some("ann"));
    let missing = parse("[users.ann]\nroles = []\ncertificate = 'nobody.key'").expect_err("missing");
    assert!(missing.starts_with("f:3:15: `users.ann.certificate` cannot be used: nobody.key: "), "{missing}");
    wrong(
        &format!("[users.ann]\nroles = []\ncertificate = 'ann.key'\npublic_key = '{KEY}'"),
        "f:3:15: `users.ann.certificate` stands beside a `public_key`; one of the two is enough",
    );
    wrong(
        "[users.local]\nroles = []\ncertificate = 'ann.key'",
        "f:3:15: `users.local.certificate` has no meaning: `local` is whoever connects in plain text from this machine",
    );
}

#[test]
fn the_tests_of_a_policy_are_asked_of_it() {
    let base = "[commands.ping]\nprogram = '/usr/bin/uname'\noptions = { '-c' = { type = 'integer', min = 1, max = 9, default = 4 } }\n\
                operands = [{ name = 'host', type = 'host' }]\n[commands.other]\nprogram = '/usr/bin/uname'\n\
                [roles.r]\ncommands = ['ping']\n[users.local]\nroles = ['r']\n";
    let check = |test: &str| {
        let read = parse(&format!("{base}[[tests]]\nuser = 'local'\n{test}"))
            .unwrap_or_else(|error| panic!("{error}"));
        let result = read.tests.first().expect("a test").check(&read.policy);
        result.map_err(|problem| problem.to_string())
    };
    for passing in [
        "command = ['ping', 'h']\nexpect = 'allowed'",
        "command = ['ping', 'h']\nexpect = 'allowed'\narguments = ['-c', '4', '--', 'h']",
        "command = ['ping', '-f']\nexpect = 'invalid_parameters'",
        "command = ['other']\nexpect = 'refused'",
        "command = ['unknown']\nexpect = 'refused'",
        "expression = '1'\nexpect = 'refused'",
        "request = { command_type = 'os', command_name = 'ping', parameters = ['h'] }\nexpect = 'allowed'",
        "request = { command_type = 'compute', expression = '1', timeout = 1.5 }\nexpect = 'refused'",
    ] {
        assert_eq!(check(passing), Ok(()), "{passing}");
    }
    for (failing, message) in [
        ("command = ['ping', 'h']\nexpect = 'refused'", "expected refused, the policy says allowed"),
        (
            "command = ['other']\nexpect = 'allowed'",
            "expected allowed, the policy says refused: no role of the user `local` has this command",
        ),
        (
            "command = ['ping', 'h']\nexpect = 'allowed'\narguments = ['h']",
            "the arguments are [\"-c\", \"4\", \"--\", \"h\"]",
        ),
    ] {
        assert_eq!(check(failing), Err(format!("f:11:1: this test fails: {message}")), "{failing}");
    }
    let test = |text: &str| format!("[[tests]]\n{text}");
    wrong(
        &test("user = 'loca'\ncommand = ['a']\nexpect = 'allowed'"),
        "f:2:8: `tests[1].user` names `loca`, who is no user; did you mean `local`?",
    );
    wrong(
        &test("user = 'local'\ncommand = ['a']\nexpect = 'alowed'"),
        "f:4:10: `tests[1].expect` is `alowed`, which is no answer of a policy; did you mean `allowed`?",
    );
    wrong(
        &test("user = 'local'\nexpect = 'allowed'"),
        "f:1:1: a test has one of `command`, `expression` and `request`",
    );
    wrong(
        &test("user = 'local'\nrequest = { command_type = 'os', shell = true }\nexpect = 'allowed'"),
        "f:3:11: `tests[1].request` is no request: unknown key `shell`",
    );
    wrong(
        &test("user = 'local'\ncommand = ['a']\nexpect = 'refused'\narguments = []"),
        "f:5:13: `tests[1].arguments` belongs to a command that is allowed",
    );
}

#[test]
fn a_file_is_read_only_if_it_can_be_trusted() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("bidden.toml");
    assert!(matches!(Configuration::read(&path), Err(ConfigurationError::Io { .. })));
    std::fs::write(&path, "[server]\n").expect("written");
    assert!(Configuration::read(&path).is_ok());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o646)).expect("permitted");
    assert!(matches!(Configuration::read(&path), Err(ConfigurationError::WritableByOthers { .. })));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("permitted");
    std::fs::write(&path, [0xff]).expect("written");
    assert!(matches!(Configuration::read(&path), Err(ConfigurationError::NotText(_))));
    std::fs::write(&path, "#".repeat(600_000)).expect("written");
    assert!(matches!(Configuration::read(&path), Err(ConfigurationError::TooLong(_))));
}

#[test]
fn a_secret_names_the_variable_that_holds_it() {
    let option = |keys: &str| format!("options = {{ '-p' = {{ type = 'text', max_length = 9, {keys} }} }}");
    let rule = |rule: &str| format!("[commands.c]\nprogram = '/usr/bin/uname'\n{rule}");
    let read = policy(&rule(&format!(
        "stdin = 'secret'\n{}\noperands = [{{ name = 'pin', type = 'integer', min = 0, max = 9, secret = true, environment = 'PIN' }}]",
        option("secret = true, environment = 'DB_PASSWORD'")
    )));
    let command = read.commands().get("c").expect("a command");
    let variables: Vec<_> = command.secrets().map(|(variable, _, _)| variable).collect();
    assert_eq!(variables, ["DB_PASSWORD", "PIN"]);
    assert_eq!(command.input, StandardInput::Secret);
    assert!(read.has_secrets() && !policy(&rule("stdin = true")).has_secrets());
    wrong_rule(
        &option("secret = true"),
        "62: `commands.c.options.-p.secret` needs `environment`: the variable in which the program gets the secret",
    );
    wrong_rule(
        &option("environment = 'A'"),
        "67: `commands.c.options.-p.environment` has no meaning without `secret = true`",
    );
    wrong_rule(
        &option("secret = true, environment = 'A', default = 'x'"),
        "97: `commands.c.options.-p.default` has no meaning for a secret: it would stand here for all to read",
    );
    wrong_rule(
        "operands = [{ name = 'a', type = 'name', repeat = 2, secret = true, environment = 'A' }]",
        "51: `commands.c.operands[1].repeat` has no meaning for a secret: its variable holds one value",
    );
    wrong_rule(
        "options = { '-p' = { type = 'flag', secret = true, environment = 'A' } }",
        "46: `commands.c.options.-p.secret` has no meaning for a flag",
    );
    let of_variable = |name: &str| option(&format!("secret = true, environment = '{name}'"));
    for name in ["A B", "", "1A", "A=B", "Ä"] {
        let error = parse(&rule(&of_variable(name))).expect_err(name);
        assert!(error.ends_with("which cannot name a variable"), "{error}");
    }
    for name in ["PATH", "HOME", "LANG"] {
        let error = parse(&rule(&of_variable(name))).expect_err(name);
        assert!(error.ends_with("which every command has"), "{error}");
    }
    for name in [
        "LD_PRELOAD",
        "BASH_ENV",
        "IFS",
        "PYTHONPATH",
        "PERL5LIB",
        "RUBYOPT",
        "NODE_OPTIONS",
        "GIT_SSH_COMMAND",
        "https_proxy",
        "TMPDIR",
    ] {
        let error = parse(&rule(&of_variable(name))).expect_err(name);
        assert!(error.contains("by which a client could change what programs load or do"), "{error}");
    }
    let taken = format!("{}\nenvironment = {{ A = 'x' }}", of_variable("A"));
    assert!(parse(&rule(&taken)).expect_err("taken").contains("is `A`, which has a value already"));
    let many: Vec<_> = (0..=MAX_SECRETS)
        .map(|index| format!("'--p{index}' = {{ type = 'name', secret = true, environment = 'A{index}' }}"))
        .collect();
    let error = parse(&rule(&format!("options.{}", many.join("\noptions.")))).expect_err("too many");
    assert!(error.contains("is one too many: a command has at most 16 secrets"), "{error}");
    wrong_rule("stdin = 'yes'", "9: `commands.c.stdin` must be true, false or \"secret\"");
}

/// Variables that the operator sets often hold tokens, and what is wrong is told on stderr and in the log.
#[test]
fn no_message_quotes_the_environment() {
    for environment in [
        "'TOKEN=hunter2'",
        "['TOKEN=hunter2']",
        "{ TOKEN = ['hunter2'] }",
        "{ TOKEN = { value = 'hunter2' } }",
        "{ 'TOKEN=hunter2' = '' }",
        "{ TOKEN = \"hunter2\\u0007\" }",
        "{ TOKEN = 'hunter2",
        "{ TOKEN = hunter2 }",
        "{ TOKEN = 'hunter2' 'hunter2' }",
        "{ TOKEN = 'hunter2', TOKEN = 'hunter2' }",
        "{ TOKEN = \"hunter2\\q\" }",
        "{ TOKEN = 2222-22-22 }",
        "{ TOKEN = 222222 }",
    ] {
        let text = format!("[commands.c]\nprogram = '/usr/bin/uname'\nenvironment = {environment}");
        let error = parse(&text).expect_err(environment);
        assert!(error.starts_with("f:3:"), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("222"), "{error}");
    }
    let read = policy("[commands.c]\nprogram = '/usr/bin/uname'\nenvironment = { TOKEN = 'hunter2' }");
    assert!(!format!("{read:?}").contains("hunter2"));
    assert!(!read.describe(read.local()).contains("hunter2"));
}
