//! The policy as the launcher holds it: programs with their confinement, and a check that a vector is one that the rules
//! produce. The launcher reads the policy itself, so a server that was taken over cannot have anything else started.

use std::path::PathBuf;
use std::sync::Arc;

use jail::Rule;

use super::{Command, Kind, Policy};

impl Policy {
    /// The rules for the launcher.
    pub fn rules(&self) -> Vec<Rule> {
        let rule = |(name, command): (&String, &Command)| {
            let mut confinement = command.confinement.clone();
            confinement.read.extend(command.roots());
            let command = Arc::new(command.clone());
            Rule {
                name: name.clone(),
                program: command.program.clone(),
                time_limit: command.time_limit,
                input: command.input,
                confinement,
                check: Box::new(move |vector| command.produces(vector)),
            }
        };
        self.commands.iter().map(rule).collect()
    }
}

impl Command {
    /// Whether a vector is one that these rules produce: parsed again, it comes out as it was.
    fn produces(&self, vector: &[String]) -> bool {
        let Some(given) = vector.strip_prefix(self.fixed_arguments.as_slice()) else { return false };
        self.arguments(given).is_ok_and(|produced| produced == vector)
    }

    /// The directories beneath which its arguments may name files: it has to read what it is asked for.
    fn roots(&self) -> impl Iterator<Item = PathBuf> {
        let options = self.options.iter().filter_map(|option| option.value.as_ref()).map(|value| &value.kind);
        let kinds = options.chain(self.operands.iter().map(|operand| &operand.kind));
        kinds.filter_map(|kind| match kind {
            Kind::Path(root) => Some(PathBuf::from(root.to_string())),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Command, Kind, Operand, OptionRule, Policy};

    fn vector(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    #[track_caller]
    fn check(command: &str, words: &str, produced: bool) {
        let policy = Policy::builtin();
        let rule = policy.rules().into_iter().find(|rule| rule.name == command).expect("a built-in command");
        assert_eq!((rule.check)(&vector(words)), produced, "{command} {words}");
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
        check("uname", "-r x", false);
        check("date", "-s tomorrow", false);
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

    #[test]
    fn the_roots_of_paths_can_be_read() {
        let kind = Kind::Path(super::super::Root::new("/usr".into()).expect("a directory"));
        let command = Command { operands: vec![Operand::required("file", kind)], ..Command::new("/bin/cat") };
        let policy = Policy::new([("cat".to_owned(), command)]);
        assert_eq!(policy.rules()[0].confinement.read, [std::path::PathBuf::from("/usr")]);
    }
}
