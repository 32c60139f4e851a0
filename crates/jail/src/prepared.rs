//! A jail made ready before anyone asks for it: its mounts, its rules for files, its control group. It is brought up to
//! date when the order comes.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use crate::book::Book;
use crate::child::{NotExecuted, Step};
use crate::confinement::Processes;
use crate::filesystem::{self, FileRules, Kept, Outside, SystemFiles};
use crate::groups::{Group, Watched};
use crate::machine::{Feature, process_number};
use crate::namespaces;
use crate::processes::take_signals;

/// What does not depend on the command.
pub(crate) struct Prepared {
    pub(crate) signals: OwnedFd,
    pub(crate) rules: Option<FileRules>,
    pub(crate) kept: Vec<Kept>,
    /// Where the jail has mounts of its own: those of the machine.
    outside: Option<Outside>,
    /// The system's files, where those of the book were replaced.
    system: Option<SystemFiles>,
    pub(crate) process_limit: Option<File>,
    pub(crate) group: Option<Grouped>,
    /// Where the number of the next process is set.
    last_number: Option<File>,
    number: u32,
}

impl Prepared {
    /// Gives the next process of this PID namespace a number that no other jail's command has: programs such as ping tell
    /// their own packets from those of others by it. One that sees the machine's processes looks for itself among them,
    /// and shall find this process.
    pub(crate) fn number_next_process(&self, processes: Processes) {
        let number = match processes {
            Processes::Own => Some(self.number),
            Processes::Machine => filesystem::own_number_in_proc(),
        };
        if let (Some(mut file), Some(number)) = (self.last_number.as_ref(), number) {
            // A kernel that cannot do so leaves it as it is.
            let _ = file.write_all(number.saturating_sub(1).to_string().as_bytes());
        }
    }
}

/// The control group of a jail, where it has one.
pub(crate) struct Grouped {
    pub(crate) watched: Watched,
    /// Where it is set how soon this process is ended when memory is short, and what was there.
    preference: File,
    own_preference: String,
}

/// Before any other, for want of memory (`proc_pid_oom_score_adj(5)`).
const FIRST_TO_GO: &[u8] = b"1000";

impl Grouped {
    fn new(group: &Group) -> io::Result<Self> {
        let (preference, own_preference) = filesystem::open_preference_out_of_memory()?;
        Ok(Self { watched: group.watch()?, preference, own_preference })
    }

    /// Starts the command, which inherits that it is ended before this process is.
    pub(crate) fn start(
        &mut self,
        start: impl FnOnce() -> Result<Pid, NotExecuted>,
    ) -> Result<Pid, NotExecuted> {
        let failed = |error: io::Error| (Step::ControlGroup, errno(&error));
        self.preference.write_all(FIRST_TO_GO).map_err(failed)?;
        let started = start();
        self.preference.write_all(self.own_preference.as_bytes()).map_err(failed)?;
        started
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// A jail that is ready, or what failed.
pub(crate) type Preparation = Result<Prepared, (Step, io::Error)>;

impl Prepared {
    pub(crate) fn new(book: &Book, number: u32, group: Option<&Group>) -> Preparation {
        let failed = |step| move |error: io::Error| (step, error);
        let machine = book.machine;
        // With the launcher the jail ends. If it has ended already, so has the server's side of the socket, or will.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|errno| (Step::Signals, errno.into()))?;
        let signals = take_signals().map_err(failed(Step::Signals))?;
        let last_number = filesystem::open_last_process_number();
        let group = group.map(Grouped::new).transpose().map_err(failed(Step::ControlGroup))?;
        if !machine.has(Feature::ProcessNamespace) {
            // What loses its parent becomes a child of this process, where it can be found.
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
                .map_err(|errno| (Step::Namespaces, errno.into()))?;
        }
        rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o022));
        let process_limit = if machine.has(Feature::ProcessLimit) {
            Some(filesystem::open_process_limit().map_err(failed(Step::ProcessLimit))?)
        } else {
            None
        };
        let outside =
            machine.has(Feature::Namespaces).then(Outside::open).transpose().map_err(failed(Step::Mounts))?;
        let mut prepared = Self {
            signals,
            rules: None,
            kept: vec![],
            outside,
            system: None,
            process_limit,
            group,
            last_number,
            number: process_number(number),
        };
        prepared.enclose(book)?;
        prepared.write_rules(book).map_err(failed(Step::FileRules))?;
        Ok(prepared)
    }

    /// The jail's own view of the files, on top of the mounts that this process sees.
    fn enclose(&mut self, book: &Book) -> Result<(), (Step, io::Error)> {
        let failed = |step| move |error: io::Error| (step, error);
        let machine = book.machine;
        if machine.has(Feature::Namespaces) {
            namespaces::separate().map_err(failed(Step::Namespaces))?;
            if machine.has(Feature::PrivateTmp) {
                self.kept = filesystem::seal(&book.kept).map_err(failed(Step::Mounts))?;
            }
            if machine.has(Feature::ProcessNamespace) && machine.has(Feature::Proc) {
                filesystem::mount_proc().map_err(failed(Step::Proc))?;
            }
        }
        Ok(())
    }

    /// The rules for the system's files, as they are now.
    fn write_rules(&mut self, book: &Book) -> io::Result<()> {
        if !book.machine.has(Feature::Landlock) {
            return Ok(());
        }
        self.system = (!book.system.is_current()).then(SystemFiles::open);
        let rules = FileRules::system(self.system.as_ref().unwrap_or(&book.system))?;
        let has_tmp = book.machine.has(Feature::PrivateTmp);
        self.rules = Some(if has_tmp { rules.private_tmp()? } else { rules });
        Ok(())
    }

    /// Makes good for what was mounted or replaced on the machine since the jail was made ready. From now on nothing more
    /// appears in it.
    pub(crate) fn bring_up_to_date(&mut self, book: &Book) -> Result<(), (Step, io::Error)> {
        let failed = |step| move |error: io::Error| (step, error);
        let mut remade = false;
        if let Some(outside) = &self.outside {
            filesystem::close_to_mounts().map_err(failed(Step::Mounts))?;
            if outside.has_changed().map_err(failed(Step::Mounts))? {
                remade = outside.enter().map_err(failed(Step::Mounts))?;
                if remade {
                    self.kept = vec![];
                    self.enclose(book)?;
                    filesystem::close_to_mounts().map_err(failed(Step::Mounts))?;
                } else if book.machine.has(Feature::PrivateTmp) {
                    filesystem::seal_again().map_err(failed(Step::Mounts))?;
                }
            }
        }
        if remade || !self.system.as_ref().unwrap_or(&book.system).is_current() {
            self.write_rules(book).map_err(failed(Step::FileRules))?;
        }
        Ok(())
    }
}
