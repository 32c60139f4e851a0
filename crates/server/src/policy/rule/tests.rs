//! What parameters come to, and what is said of those that no rule names.

use super::super::{Beneath, Command, Kind, Operand, OptionRule, Policy, Root};
use super::{Attachment, Channel, OptionValue};
use jail::Variable;

fn arguments(command: &str, parameters: &str) -> Result<String, String> {
    let policy = Policy::builtin();
    let parameters: Vec<_> = parameters.split_whitespace().collect();
    let command = policy.commands().get(command).expect("a built-in command");
    command
        .invocation(&parameters)
        .map(|invocation| invocation.arguments.join(" "))
        .map_err(|error| error.to_string())
}

#[track_caller]
fn runs(command: &str, parameters: &str, vector: &str) {
    assert_eq!(arguments(command, parameters), Ok(vector.to_owned()), "{command} {parameters}");
}

#[track_caller]
fn refused(command: &str, parameters: &str, words: &str) {
    let message = arguments(command, parameters).expect_err(parameters);
    assert!(message.contains(words), "`{message}` does not say `{words}`");
}

#[test]
fn the_vector_is_canonical() {
    runs("ping", "127.0.0.1", "-c 4 -- 127.0.0.1");
    runs("ping", "-c 1 example.org", "-c 1 -- example.org");
    runs("ping", "example.org -c 1", "-c 1 -- example.org");
    runs("ping", "-c1 -4 ::1", "-c 1 -4 -- ::1");
    runs("ping", "-4 -c 2 -- example.org", "-c 2 -4 -- example.org");
    runs("uname", "", "");
    runs("uname", "-r -s", "-r -s");
    runs("uname", "-s -r", "-r -s");
}

#[test]
fn what_no_rule_names_does_not_pass() {
    refused("ping", "-f 127.0.0.1", "`-f` is not allowed here; allowed: -c -4 -6 -n HOST");
    refused("ping", "-- -f", "`host` must be");
    refused("ping", "127.0.0.1 127.0.0.2", "`127.0.0.2` is not allowed");
    refused("ping", "-4c 1 127.0.0.1", "`-4c` is not allowed");
    refused("uname", "-sx", "`-sx` is not allowed");
    refused("date", "+%s", "takes no parameters");
    refused("date", "-f /etc/shadow", "takes no parameters");
    refused("hostname", "new-name", "takes no parameters");
    refused("df", "/root", "not allowed");
    refused("id", "root", "not allowed");
}

#[test]
fn what_is_missing_or_twice_is_said() {
    refused("ping", "", "`host` is missing");
    refused("ping", "-c", "the value of `-c` must be an integer from 1 to 20");
    refused("ping", "-c 1 -c 2 127.0.0.1", "`-c` stands twice");
    refused("ping", "-c 0 127.0.0.1", "from 1 to 20");
    refused("ping", "-c -1 127.0.0.1", "from 1 to 20");
    refused("uname", "-s -s", "`-s` stands twice");
}

#[test]
fn the_last_operand_may_repeat() {
    let files = Operand { repeat: 3, required: false, ..Operand::required("file", Kind::Name) };
    let command = Command {
        options: vec![OptionRule::flag("-l")],
        operands: vec![Operand::required("word", Kind::Name), files],
        separator: true,
        ..Command::new("/bin/true")
    };
    let vector = |parameters: &[&str]| {
        let invocation = command.invocation(parameters).map_err(|error| error.to_string())?;
        Ok::<_, String>(invocation.arguments)
    };
    assert_eq!(vector(&["w"]).as_deref(), Ok(&["--", "w"].map(str::to_owned)[..]));
    let four = ["--", "w", "a", "b", "c"].map(str::to_owned);
    assert_eq!(vector(&["w", "a", "b", "c"]).as_deref(), Ok(&four[..]));
    let error = vector(&["w", "a", "b", "c", "d"]).expect_err("one too many");
    assert_eq!(error, "`d` is not allowed here; allowed: -l WORD FILE...");
    assert!(vector(&["w", "a", "-x"]).is_err() && vector(&["w", "a", "b/c"]).is_err());
}

#[test]
fn a_path_arrives_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("a.log"), "").expect("written");
    let root = directory.path().to_owned();
    let shown = root.join("a.log").to_str().expect("UTF-8").to_owned();
    let kind = Kind::Path(Beneath::new(Root::new(root).expect("a root")));
    let command = Command { operands: vec![Operand::required("file", kind)], ..Command::new("/bin/true") };
    let arguments = |parameter: &str| command.invocation(&[parameter]).map(|found| found.arguments);
    assert_eq!(arguments("a.log"), Ok(vec![shown.clone()]));
    assert_eq!(arguments(&shown), Ok(vec![shown.clone()]));
    assert!(arguments("../a.log").is_err() && arguments("b.log").is_err());
}

#[test]
fn hostile_text_is_not_echoed() {
    let policy = Policy::builtin();
    let uname = policy.commands().get("uname").expect("built in");
    for parameter in ["\u{1b}]52;c;AAAA\u{7}", "-\u{202e}", "\n", &"x".repeat(5000)] {
        let message = uname.invocation(&[parameter]).expect_err("refused").to_string();
        assert!(message.starts_with("a parameter is not allowed"), "{message:?}");
    }
}

/// `-p SECRET -v HOST [PIN]`, where the password and the number are secrets.
fn with_secrets() -> Command {
    let text = Kind::Text { min_length: 1, max_length: 20 };
    let secret = |variable: &str| Channel::Secret(variable.to_owned());
    let password = OptionValue { channel: secret("PASSWORD"), ..OptionValue::new("-p", text) };
    let pin = Kind::integer(0, 9999);
    Command {
        options: vec![
            OptionRule::with_value("-p", password.clone()),
            OptionRule::with_value("--pass", OptionValue { channel: secret("PASS"), ..password }),
            OptionRule::flag("-v"),
        ],
        operands: vec![
            Operand::required("host", Kind::Host),
            Operand { required: false, channel: secret("PIN"), ..Operand::required("pin", pin) },
        ],
        separator: true,
        ..Command::new("/bin/true")
    }
}

#[track_caller]
fn comes_to(command: &Command, parameters: &str, arguments: &str, secrets: &str, shown: &str) {
    let parameters: Vec<_> = parameters.split(' ').collect();
    let invocation = command.invocation(&parameters).expect("allowed");
    assert_eq!(invocation.arguments.join(" "), arguments);
    let pair = |secret: &Variable| format!("{}={}", secret.name, secret.reveal());
    assert_eq!(invocation.secrets.iter().map(pair).collect::<Vec<_>>().join(" "), secrets);
    assert_eq!(invocation.shown.join(" "), shown);
}

#[test]
fn a_secret_is_no_argument_however_it_is_written() {
    let command = with_secrets();
    comes_to(&command, "-p s3 h", "-- h", "PASSWORD=s3", "-p [secret] h");
    comes_to(&command, "h -ps3 -v", "-v -- h", "PASSWORD=s3", "h -p[secret] -v");
    comes_to(&command, "--pass=s=3 h", "-- h", "PASS=s=3", "--pass=[secret] h");
    comes_to(&command, "--pass s3 -- h 77", "-- h", "PASS=s3 PIN=77", "--pass [secret] -- h [secret]");
    comes_to(&command, "h 77 -p h", "-- h", "PASSWORD=h PIN=77", "h [secret] -p [secret]");
    comes_to(&command, "-v h", "-v -- h", "", "-v h");
    comes_to(&command, "-p -rf h", "-- h", "PASSWORD=-rf", "-p [secret] h");
    comes_to(&command, "--pass=@x h", "-- h", "PASS=@x", "--pass=[secret] h");
}

#[test]
fn no_message_quotes_a_parameter_where_there_are_secrets() {
    let command = with_secrets();
    for parameters in [
        "--pas=hunter2 h",
        "-Phunter2 h",
        "h 77 hunter2",
        "h hunter2",
        "-p h hunter2!",
        "-p hunter2hunter2hunter2hunter2 h",
        "-p hunter2 -p hunter2 h",
        "-p hunter2",
    ] {
        let parameters: Vec<_> = parameters.split(' ').collect();
        let message = command.invocation(&parameters).expect_err("refused").to_string();
        assert!(!message.contains("hunter2"), "{message}");
    }
}

/// `-n`, `-b` glued, `--since`, `--level` apart, `-v` thrice, `-h`, and two operands behind `--`.
fn with_every_form() -> Command {
    let value = |spelling: &str, kind| OptionRule::with_value(spelling, OptionValue::new(spelling, kind));
    let signed = || Kind::integer(-9, 9);
    let words = Kind::OneOf(["-1h", "+1h", "@0", "now"].map(str::to_owned).to_vec());
    let mut glued = value("-b", signed());
    let mut apart = value("--level", signed());
    glued.value.as_mut().expect("a value").attachment = Attachment::Glued;
    apart.value.as_mut().expect("a value").attachment = Attachment::Separate;
    let mut number = value("-n", signed());
    number.repeat = 3;
    number.value.as_mut().expect("a value").default = Some("0".to_owned());
    Command {
        options: vec![
            number,
            glued,
            value("--since", words),
            apart,
            OptionRule { repeat: 3, ..OptionRule::flag("-v") },
            OptionRule::flag("-h"),
            OptionRule::flag("--help"),
        ],
        operands: vec![Operand { repeat: 2, required: false, ..Operand::required("number", signed()) }],
        separator: true,
        ..Command::new("/bin/true")
    }
}

#[test]
fn an_option_has_its_value_in_the_form_of_the_rule_however_it_is_written() {
    let command = with_every_form();
    for (written, vector) in [
        ("", "-n 0"),
        ("-n 4", "-n 4"),
        ("-n4", "-n 4"),
        ("-n-4", "-n -4"),
        ("-n -4", "-n -4"),
        ("-n 1 -n2 -n -3", "-n 1 -n 2 -n -3"),
        ("-b 4", "-n 0 -b4"),
        ("-b-4", "-n 0 -b-4"),
        ("--since now", "-n 0 --since=now"),
        ("--since=-1h", "-n 0 --since=-1h"),
        ("--since -1h", "-n 0 --since=-1h"),
        ("--since=@0", "-n 0 --since=@0"),
        ("--level=-3", "-n 0 --level -3"),
        ("--level 3", "-n 0 --level 3"),
        ("-- -5 5", "-n 0 -- -5 5"),
        ("5 -n 1 -- -5", "-n 1 -- 5 -5"),
    ] {
        let parameters: Vec<_> = written.split_whitespace().collect();
        let vector = vector.to_owned();
        assert_eq!(
            command.invocation(&parameters).map(|found| found.arguments.join(" ")),
            Ok(vector),
            "{written}"
        );
    }
}

#[test]
fn options_stand_as_often_as_their_rule_says() {
    let command = with_every_form();
    for (written, message) in [
        ("-n 1 -n 1 -n 1 -n 1", "`-n` stands more than 3 times"),
        ("-v -v -vv", "`-v` stands more than 3 times"),
        ("-hh", "`-h` stands twice"),
        ("-b 1 -b 1", "`-b` stands twice"),
        ("-n -n 1", "the value of `-n` must be an integer from -9 to 9"),
    ] {
        let parameters: Vec<_> = written.split_whitespace().collect();
        let error = command.invocation(&parameters).expect_err(written).to_string();
        assert_eq!(error, message, "{written}");
    }
}

#[test]
fn flags_of_one_letter_may_share_a_word() {
    let command = with_every_form();
    for (written, vector) in
        [("-vh", "-n 0 -v -h"), ("-hvv -v", "-n 0 -v -v -v -h"), ("-vvv", "-n 0 -v -v -v")]
    {
        let parameters: Vec<_> = written.split_whitespace().collect();
        let vector = vector.to_owned();
        assert_eq!(
            command.invocation(&parameters).map(|found| found.arguments.join(" ")),
            Ok(vector),
            "{written}"
        );
    }
    let allowed = "is not allowed here; allowed: -n -b --since --level -v -h --help NUMBER...; write `--` before values \
                   that begin with `-`";
    for written in ["-vn", "-hb1", "-vx", "-v-", "-h-help", "-5", "--hv", "-vvö", "---"] {
        let message = command.invocation(&[written]).expect_err(written).to_string();
        assert!(message.ends_with(allowed), "{written}: {message}");
    }
    runs("uname", "-sr", "-r -s");
    runs("df", "-hT", "-h -T");
}
