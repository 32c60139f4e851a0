//! The rules as the launcher holds them: programs opened, users and filters made ready, once for all commands to come.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zeroize::Zeroizing;

use crate::confinement::{Confinement, Exec, Network, Processes, User};
use crate::filesystem::{SystemFiles, is_hidden};
use crate::identity::Becoming;
use crate::limits::{LOCKED_BYTES, NO_CORE, PROCESSES, QUEUE_BYTES, SIGNALS_PENDING};
use crate::machine::{Feature, Machine, Privilege, highest_process_number};
use crate::program::Program;
use crate::rule::{Input, Rule};
use crate::seccomp::{Filter, Subject};
use crate::users::Users;
use crate::variable::Variable;

/// The search path of every command.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Text is UTF-8, and messages are not translated.
const LANG: &str = "LANG=C.UTF-8";

/// Descriptors beyond a command's limit that the launcher needs while it starts one.
const DESCRIPTORS_BEYOND: u64 = 16;

/// The processes of one user that all commands together may have, where nothing limits those of one command.
const PROCESSES_OF_A_USER: u64 = 4096;

/// All that a launcher needs.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) machine: Machine,
    pub(crate) system: SystemFiles,
    /// Made by the launcher: it belongs to the launcher's user namespace.
    pub(crate) empty_network: Option<File>,
    pub(crate) null: File,
    pub(crate) entries: BTreeMap<String, Entry>,
    /// Paths of all rules that a jail would not see, or could not write to.
    pub(crate) kept: Vec<PathBuf>,
    /// Users for jails, where some rule wants one and the launcher may change users.
    pub(crate) users: Option<Users>,
}

/// One rule.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The program, or why there is none.
    pub(crate) program: Result<Program, String>,
    /// The number of the descriptor by which it is executed.
    pub(crate) program_number: i32,
    pub(crate) check: Checked,
    pub(crate) time_limit: Duration,
    pub(crate) input: Input,
    pub(crate) read: Vec<PathBuf>,
    pub(crate) write: Vec<PathBuf>,
    /// Those of them that a jail would not see, or could not write to.
    pub(crate) kept: Vec<PathBuf>,
    pub(crate) network: Network,
    pub(crate) exec: Exec,
    pub(crate) processes: Processes,
    /// What it may use up as a whole, where there are control groups.
    pub(crate) memory: u64,
    pub(crate) process_count: u32,
    /// What the limit of processes of its namespace is set to.
    pub(crate) process_limit: Vec<u8>,
    pub(crate) cpu_time: Duration,
    pub(crate) becoming: Becoming,
    pub(crate) environment: Vec<Zeroizing<CString>>,
    pub(crate) working_directory: CString,
    pub(crate) umask: Mode,
    pub(crate) limits: Vec<(Resource, Rlimit)>,
    pub(crate) filter: Option<Rc<Filter>>,
}

/// The rule, for its check.
#[derive(Debug)]
pub(crate) struct Checked(Rule);

impl Checked {
    pub(crate) fn allows(&self, arguments: &[String], secrets: &[Variable]) -> bool {
        (self.0.check)(arguments, secrets)
    }
}

impl Book {
    pub(crate) fn new(rules: Vec<Rule>, machine: Machine) -> std::io::Result<Self> {
        let mut filters = BTreeMap::new();
        let mut entries = BTreeMap::new();
        let range = rules.iter().find_map(|rule| match rule.confinement.user {
            User::OfJail(range) => Some(range),
            User::Server | User::Named(_) => None,
        });
        let users = range.filter(|_| machine.privilege == Privilege::Administrator).and_then(Users::of);
        for rule in rules {
            let entry = Entry::new(rule, machine, users.is_some(), &mut filters)?;
            entries.insert(entry.check.0.name.clone(), entry);
        }
        let mut kept: Vec<_> =
            entries.values().flat_map(|entry: &Entry| entry.kept.iter().cloned()).collect();
        kept.sort_unstable();
        kept.dedup();
        Ok(Self {
            machine,
            system: SystemFiles::open(),
            empty_network: None,
            null: File::options().read(true).write(true).open("/dev/null")?,
            entries,
            kept,
            users,
        })
    }
}

impl Entry {
    fn new(
        rule: Rule,
        machine: Machine,
        users_of_jails: bool,
        filters: &mut BTreeMap<Subject, Rc<Filter>>,
    ) -> std::io::Result<Self> {
        let confinement = &rule.confinement;
        let program = Program::open(&rule.program);
        // What is not there is left out; its command will find it missing.
        let found = |paths: &[PathBuf]| -> Vec<_> {
            paths.iter().filter_map(|path| path.canonicalize().ok()).collect()
        };
        let (mut read, write) = (found(&confinement.read), found(&confinement.write));
        read.extend(program.as_ref().ok().and_then(Program::script).map(Path::to_owned));
        let kept = read.iter().filter(|path| is_hidden(path)).chain(&write).cloned().collect();
        let descriptors = descriptor_limit(u64::from(confinement.limits.descriptors));
        // The first that the command cannot have.
        let program_number = i32::try_from(descriptors).unwrap_or(i32::MAX);
        let becoming = Becoming::new(confinement, machine.privilege, users_of_jails);
        let counted = machine.has(Feature::ControlGroups);
        let subject = Subject::command(
            confinement.network,
            confinement.exec,
            counted,
            becoming.is_apart(),
            program_number.unsigned_abs(),
        );
        let filter = machine
            .has(Feature::Seccomp)
            .then(|| Rc::clone(filters.entry(subject).or_insert_with(|| Rc::new(Filter::new(subject)))));
        Ok(Self {
            program,
            program_number,
            time_limit: rule.time_limit,
            input: rule.input,
            read,
            write,
            kept,
            network: confinement.network,
            exec: confinement.exec,
            processes: confinement.processes,
            memory: confinement.limits.address_space,
            process_count: confinement.limits.processes,
            process_limit: highest_process_number(confinement.limits.processes),
            cpu_time: confinement.limits.cpu_time,
            limits: limits(confinement, machine, descriptors, becoming.is_of_jail()),
            becoming,
            environment: environment(confinement, machine)?,
            working_directory: CString::new(confinement.working_directory.as_os_str().as_bytes())?,
            umask: Mode::from_bits_truncate(confinement.umask),
            filter,
            check: Checked(rule),
        })
    }
}

/// The fixed list and what the rule adds; nothing of the server's is inherited.
fn environment(confinement: &Confinement, machine: Machine) -> std::io::Result<Vec<Zeroizing<CString>>> {
    // An empty directory that nobody else can put anything into, or none.
    let home = if machine.has(Feature::PrivateTmp) { "HOME=/tmp" } else { "HOME=/nonexistent" };
    let fixed = [PATH, LANG, home].into_iter().filter(|fixed| {
        let name = fixed.split('=').next();
        confinement.environment.iter().all(|added| Some(added.name.as_str()) != name)
    });
    let fixed = fixed.map(|fixed| CString::new(fixed).map(Zeroizing::new));
    let added = confinement.environment.iter().map(Variable::as_environment);
    Ok(fixed.chain(added).collect::<Result<_, _>>()?)
}

/// A command's limit of descriptors: as its rule says, and so that the launcher has some beyond it.
fn descriptor_limit(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    limit.current.map_or(wanted, |current| wanted.min(current.saturating_sub(DESCRIPTORS_BEYOND)))
}

/// Lets this process use all the descriptors that it may, so that the numbers beyond a command's limit exist.
pub(crate) fn raise_own_limit() -> std::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

fn limits(
    confinement: &Confinement,
    machine: Machine,
    descriptors: u64,
    user_of_jail: bool,
) -> Vec<(Resource, Rlimit)> {
    let limits = &confinement.limits;
    let seconds = limits.cpu_time.as_secs().max(1);
    let mut wanted = vec![
        // SIGXCPU at the first, SIGKILL a second later.
        (Resource::Cpu, seconds, seconds.saturating_add(1)),
        (Resource::As, limits.address_space, limits.address_space),
        (Resource::Nofile, descriptors, descriptors),
        (Resource::Fsize, limits.file_bytes, limits.file_bytes),
        (Resource::Core, NO_CORE, NO_CORE),
        // Counted by user, so the narrow ones are the command's own share of it.
        (Resource::Sigpending, SIGNALS_PENDING, SIGNALS_PENDING),
        (Resource::Memlock, LOCKED_BYTES, LOCKED_BYTES),
        (Resource::Msgqueue, QUEUE_BYTES, QUEUE_BYTES),
    ];
    if user_of_jail {
        // Nobody else has processes of this user.
        let processes = u64::from(limits.processes);
        wanted.push((Resource::Nproc, processes, processes));
    } else if !machine.has(Feature::ProcessLimit) {
        let processes = PROCESSES_OF_A_USER.max(u64::from(limits.processes.max(PROCESSES)));
        wanted.push((Resource::Nproc, processes, processes));
    }
    let within = |(resource, soft, hard)| {
        // What is lower already stays so.
        let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        (resource, Rlimit { current: Some(most.min(soft)), maximum: Some(most.min(hard)) })
    };
    wanted.into_iter().map(within).collect()
}

#[cfg(test)]
mod tests {
    use super::environment;
    use crate::confinement::Confinement;
    use crate::machine::{Feature, Machine};
    use crate::variable::Variable;

    #[test]
    fn the_environment_is_the_fixed_list_and_what_the_rule_adds() {
        let mut machine = Machine::default();
        machine.add(Feature::PrivateTmp);
        let strings = |environment_of: &Confinement| {
            let strings = environment(environment_of, machine).expect("strings");
            strings.iter().map(|string| string.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        let fixed = strings(&Confinement::default());
        assert!(fixed.ends_with("/bin LANG=C.UTF-8 HOME=/tmp"), "{fixed}");
        let added = Confinement {
            environment: vec![Variable::new("LANG", "de_DE.UTF-8"), Variable::new("A", "b=c")],
            ..Confinement::default()
        };
        assert!(strings(&added).ends_with("/bin HOME=/tmp LANG=de_DE.UTF-8 A=b=c"));
    }
}
