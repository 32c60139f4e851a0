//! The policy as the launcher holds it: programs with their confinement, and a check that a vector is one that the rules
//! produce. The launcher reads the policy itself, so a server that was taken over cannot have anything else started.

use std::path::PathBuf;

use jail::{Input, Rule, Variable};

use super::{Channel, Command, Kind, Place, Policy, StandardInput};

impl Policy {
    /// The rules for the launcher.
    pub fn rules(&self) -> Vec<Rule> {
        let rule = |(name, command): (&String, &Command)| {
            let mut confinement = command.confinement.clone();
            confinement.read.extend(command.roots());
            let check = command.check();
            Rule {
                name: name.clone(),
                program: command.program.clone(),
                time_limit: command.time_limit,
                input: match command.input {
                    StandardInput::None => Input::None,
                    StandardInput::Client | StandardInput::Secret => Input::Client,
                },
                confinement,
                check: Box::new(check),
            }
        };
        self.commands.iter().map(rule).collect()
    }
}

impl Command {
    /// Whether a vector and secrets are what these rules produce.
    fn check(&self) -> impl Fn(&[String], &[Variable]) -> bool + use<> {
        let (whole, mut without_secrets) = (self.clone(), self.clone());
        let is_argument = |channel: &Channel| *channel == Channel::Argument;
        without_secrets
            .options
            .retain(|option| option.value.as_ref().is_none_or(|value| is_argument(&value.channel)));
        without_secrets.operands.retain(|operand| is_argument(&operand.channel));
        move |vector, secrets| without_secrets.produces(vector) && whole.takes(secrets)
    }

    /// Whether a vector is one that these rules produce: parsed again, it comes out as it was.
    pub(super) fn produces(&self, vector: &[String]) -> bool {
        let Some(given) = vector.strip_prefix(self.fixed_arguments.as_slice()) else { return false };
        self.invocation(given).is_ok_and(|produced| produced.arguments == vector)
    }

    /// Whether secrets are some of those that these rules name, each once and in their order, and all that must be there.
    fn takes(&self, secrets: &[Variable]) -> bool {
        let mut given = secrets.iter().peekable();
        for (variable, kind, required) in self.secrets() {
            match given.next_if(|secret| secret.name == variable) {
                Some(secret)
                    if kind.argument(secret.reveal(), Place::Environment).as_deref()
                        == Ok(secret.reveal()) => {}
                None if !required => {}
                _ => return false,
            }
        }
        given.next().is_none()
    }

    /// The directories beneath which its arguments may name files: it has to read what it is asked for.
    fn roots(&self) -> impl Iterator<Item = PathBuf> {
        let options = self.options.iter().filter_map(|option| option.value.as_ref()).map(|value| &value.kind);
        let kinds = options.chain(self.operands.iter().map(|operand| &operand.kind));
        kinds.filter_map(|kind| match kind {
            Kind::Path(beneath) => Some(PathBuf::from(beneath.root.to_string())),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Beneath, Channel, Command, Kind, Operand, OptionRule, OptionValue, Policy, Root};
    use jail::Variable;

    fn vector(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    #[track_caller]
    fn check(command: &str, words: &str, produced: bool) {
        let policy = Policy::builtin();
        let rule = policy.rules().into_iter().find(|rule| rule.name == command).expect("a built-in command");
        assert_eq!((rule.check)(&vector(words), &[]), produced, "{command} {words}");
    }

    #[test]
    fn only_what_the_rules_produce_passes_the_launcher() {
        check("ping", "-c 4 -- 127.0.0.1", true);
        check("ping", "-c 1 -4 -- example.org", true);
        check("ping", "-4 -c 1 -- example.org", false);
        check("ping", "-c4 -- 127.0.0.1", false);
        check("ping", "127.0.0.1", false);
        check("ping", "-c 4 -- -f", false);
        check("ping", "-c 4 -f -- 127.0.0.1", false);
        check("ping", "-c 4 -- 127.0.0.1 127.0.0.2", false);
        check("ping", "-c 0 -- 127.0.0.1", false);
        check("uname", "", true);
        check("uname", "-r -s", true);
        check("uname", "-s -r", false);
        check("uname", "-rs", false);
        check("uname", "-r x", false);
        check("date", "-s tomorrow", false);
    }

    #[test]
    fn a_value_passes_the_launcher_in_the_form_of_its_rule_alone() {
        let words = || Kind::OneOf(vec!["source".to_owned(), "-1".to_owned()]);
        let option = |spelling: &str| OptionRule {
            repeat: 2,
            ..OptionRule::with_value(spelling, OptionValue::new(spelling, words()))
        };
        let command = Command {
            options: vec![option("--output"), option("-o"), OptionRule::flag("-a"), OptionRule::flag("-b")],
            ..Command::new("/bin/true")
        };
        for (words, produced) in [
            ("--output=source", true),
            ("--output source", false),
            ("--output=source --output=-1 -o source -o -1", true),
            ("--output=source --output=-1 --output=-1", false),
            ("-osource", false),
            ("-a -b", true),
            ("-ab", false),
            ("--output", false),
            ("source", false),
        ] {
            assert_eq!(command.produces(&vector(words)), produced, "{words}");
        }
    }

    #[test]
    fn fixed_arguments_must_stand_first_and_whole() {
        let command = Command {
            fixed_arguments: vector("restart -q"),
            options: vec![OptionRule::flag("-v")],
            operands: vec![Operand::required("unit", Kind::Name)],
            separator: true,
            ..Command::new("/bin/true")
        };
        assert!(command.produces(&vector("restart -q -v -- nginx")));
        for wrong in
            ["-v -- nginx", "restart -v -- nginx", "stop -q -- nginx", "restart -q", "restart -q -- nginx -v"]
        {
            assert!(!command.produces(&vector(wrong)), "{wrong}");
        }
    }

    #[track_caller]
    fn passes(check: impl Fn(&[String], &[Variable]) -> bool, words: &str, secrets: &str, passes: bool) {
        let variable = |word: &str| {
            word.split_once('=').map(|(name, value)| Variable::new(name, value)).expect("a variable")
        };
        let secrets: Vec<_> = secrets.split_whitespace().map(variable).collect();
        assert_eq!(check(&vector(words), &secrets), passes, "{words} {secrets:?}");
    }

    #[test]
    fn only_the_secrets_that_the_rules_name_pass_the_launcher() {
        let kind = || Kind::Text { min_length: 3, max_length: 9 };
        let secret = |variable: &str| Channel::Secret(variable.to_owned());
        let password = OptionValue { channel: secret("PASSWORD"), ..OptionValue::new("-p", kind()) };
        let command = Command {
            options: vec![OptionRule::with_value("-p", password), OptionRule::flag("-v")],
            operands: vec![
                Operand { channel: secret("PIN"), ..Operand::required("pin", kind()) },
                Operand::required("host", Kind::Host),
            ],
            separator: true,
            ..Command::new("/bin/true")
        };
        let invocation = command.invocation(&["-p", "abc", "1234", "h"]).expect("allowed");
        let check = command.check();
        assert!(check(&invocation.arguments, &invocation.secrets));
        passes(&check, "-v -- h", "PIN=1234", true);
        passes(&check, "-- h", "PASSWORD=abc PIN=1234", true);
        passes(&check, "-- h", "PIN=1234 PASSWORD=abc", false);
        passes(&check, "-- h", "", false);
        passes(&check, "-- h", "PASSWORD=abc", false);
        passes(&check, "-- h", "PASSWORD=ab PIN=1234", false);
        passes(&check, "-- h", "PIN=1234 PIN=1234", false);
        passes(&check, "-- h", "PIN=1234 LD_PRELOAD=/tmp/x", false);
        passes(&check, "-- h", "PIN=-1234", true);
        passes(&check, "-- h", "PIN=-1\u{7}234", false);
        passes(&check, "-- 1234 h", "PIN=1234", false);
        passes(&check, "-p abc -- h", "PIN=1234", false);
    }

    #[test]
    fn the_roots_of_paths_can_be_read() {
        let root = Root::new("/usr".into()).expect("a directory");
        let kind = Kind::Path(Beneath::new(root));
        let command = Command { operands: vec![Operand::required("file", kind)], ..Command::new("/bin/cat") };
        let policy = Policy::new([("cat".to_owned(), command)]);
        assert_eq!(policy.rules()[0].confinement.read, [std::path::PathBuf::from("/usr")]);
    }
}
