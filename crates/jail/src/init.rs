//! The first process of a jail. It makes the jail ready before anyone asks for it, takes one order, holds it against
//! the policy, starts the one command, waits for its end, and ends everything that the command leaves behind.
//!
//! It listens to the server alone, by a socket that no command inherits; when the server closes it, the jail is over.

use std::ffi::{CStr, CString, c_char};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::ptr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use zeroize::Zeroize as _;

use crate::book::{Book, Entry};
use crate::child::{Child, Step};
use crate::confinement::{Exec, Network, Processes};
use crate::filesystem::{self, FileRules, Use};
use crate::groups::{Group, Watched};
use crate::limits::{REAP_TIME, TERMINATION_GRACE};
use crate::machine::{Feature, Privilege};
use crate::message::{FromJail, Order, ToJail};
use crate::outcome::{End, Usage};
use crate::prepared::{Preparation, Prepared};
use crate::processes::{Ended, Reaped, Status, clear_signals, leave, reap};
use crate::rule::Input;
use crate::socket;
use crate::users::TakenUser;

/// Everything of a jail, from its first moment to its last.
pub(crate) fn live(
    socket: &OwnedFd,
    book: &Book,
    number: u32,
    group: Option<&Group>,
    user: Option<&io::Result<TakenUser>>,
) -> ! {
    let mut prepared = Prepared::new(book, number, group);
    if let Some(answer) = serve(socket, book, &mut prepared, user) {
        // A server that is gone needs no answer.
        let _ = socket::send(socket, &answer.encode(), &[]);
    }
    // With a PID namespace's first process all others of it end. What is open and mounted goes after the answer.
    leave(0)
}

/// Waits for the order and carries it out. Nothing where the server is gone without one.
fn serve(
    socket: &OwnedFd,
    book: &Book,
    prepared: &mut Preparation,
    user: Option<&io::Result<TakenUser>>,
) -> Option<FromJail> {
    let received = wait_for(&[socket.as_fd()], None).and_then(|_| socket::receive_order(socket));
    let mut received = match received {
        Ok(received) if received.bytes.is_empty() => return None,
        Ok(received) => received,
        Err(error) => return Some(failed(Step::Order, &error)),
    };
    let order = Order::decode(&received.bytes);
    // They may hold secrets.
    received.bytes.zeroize();
    let Ok(order) = order else {
        return Some(FromJail::Refused("the order is malformed".to_owned()));
    };
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err((step, error)) => return Some(failed(*step, error)),
    };
    let Some(entry) = book.entries.get(&order.command) else {
        return Some(FromJail::Refused("the launcher's policy has no such command".to_owned()));
    };
    let mut descriptors = received.descriptors.iter().map(OwnedFd::as_fd);
    let (Some(stdout), Some(stderr), stdin) = (descriptors.next(), descriptors.next(), descriptors.next())
    else {
        return Some(FromJail::Refused("the order lacks descriptors".to_owned()));
    };
    if stdin.is_some() && entry.input == Input::None {
        return Some(FromJail::Refused("the command's rule permits no standard input".to_owned()));
    }
    let user = match user.filter(|_| entry.becoming.is_of_jail()) {
        Some(Err(error)) => return Some(failed(Step::JailUser, error)),
        Some(Ok(taken)) => Some(taken.user),
        None => None,
    };
    if let Ok(Some((user, group))) = entry.becoming.change(user) {
        for stream in [stdin, Some(stdout), Some(stderr)].into_iter().flatten() {
            // Pipes are files of the server's, and programs open /dev/stdout by its name. Without it that alone fails.
            let _ = rustix::fs::fchown(stream, Some(user), Some(group));
        }
    }
    let standard = [stdin.unwrap_or(book.null.as_fd()), stdout, stderr];
    let started = start(&order, entry, book, prepared, standard, socket, user);
    // Only the command shall hold its streams, and its secrets, from now on.
    drop((received, order));
    let group = prepared.group.as_mut().map(|group| &mut group.watched);
    match started {
        Ok(command) => Some(command.watch(socket, &prepared.signals, group)),
        Err(answer) => Some(answer),
    }
}

fn failed(step: Step, error: &io::Error) -> FromJail {
    FromJail::Failed(step, error.raw_os_error().unwrap_or(libc::EIO))
}

fn start(
    order: &Order,
    entry: &Entry,
    book: &Book,
    prepared: &mut Prepared,
    standard: [BorrowedFd<'_>; 3],
    socket: &OwnedFd,
    user_of_jail: Option<u32>,
) -> Result<Command, FromJail> {
    let machine = book.machine;
    prepared.bring_up_to_date(book).map_err(|(step, error)| failed(step, &error))?;
    if machine.has(Feature::PrivateTmp) {
        filesystem::shrink_private_tmp(entry.memory).map_err(|error| failed(Step::Mounts, &error))?;
    }
    // First the rule's own files: a path among the arguments is looked for where the command will find it.
    filesystem::restore(&prepared.kept, &entry.kept, &entry.write)
        .map_err(|error| failed(Step::Mounts, &error))?;
    if !entry.check.allows(&order.arguments, &order.secrets) || order.time_limit > entry.time_limit {
        return Err(FromJail::Refused("the launcher's policy does not produce this plan".to_owned()));
    }
    if let Some(group) = &mut prepared.group {
        group
            .watched
            .begin(entry.memory, entry.process_count)
            .map_err(|error| failed(Step::ControlGroup, &error))?;
    }
    let program = entry.program.as_ref().map_err(|reason| FromJail::Missing(reason.clone()))?;
    let executable = program.executable().map_err(FromJail::Missing)?;
    if entry.processes == Processes::Machine
        && machine.has(Feature::ProcessNamespace)
        && machine.has(Feature::Proc)
    {
        filesystem::show_machine_proc().map_err(|error| failed(Step::Proc, &error))?;
    }
    if machine.has(Feature::Proc)
        && entry.becoming.may_be_root()
        && machine.privilege == Privilege::Administrator
    {
        filesystem::mask_kernel().map_err(|error| failed(Step::Proc, &error))?;
    }
    if machine.has(Feature::ProcessNamespace) {
        prepared.number_next_process(entry.processes);
    }
    let ruleset = match prepared.rules.take() {
        None => None,
        Some(rules) => {
            of_rule(rules, entry, book).map_err(|error| failed(Step::FileRules, &error))?.into_descriptor()
        }
    };
    let mut vector = program.first_arguments();
    for argument in &order.arguments {
        let argument = CString::new(argument.as_bytes());
        vector.push(argument.map_err(|_| FromJail::Refused("an argument holds a NUL".to_owned()))?);
    }
    let mut secrets = Vec::new();
    for secret in &order.secrets {
        let secret = secret.as_environment();
        secrets.push(secret.map_err(|_| FromJail::Refused("a secret holds a NUL".to_owned()))?);
    }
    let environment = entry.environment.iter().chain(&secrets).map(|variable| variable.as_c_str());
    let network = book.empty_network.as_ref().filter(|_| entry.network == Network::None);
    let child = Child {
        standard,
        program: executable.as_fd(),
        program_number: entry.program_number,
        working_directory: &entry.working_directory,
        umask: entry.umask,
        limits: &entry.limits,
        process_limit: prepared
            .process_limit
            .as_ref()
            .map(|limit| (limit.as_fd(), entry.process_limit.as_slice())),
        network: network.map(File::as_fd),
        becoming: &entry.becoming,
        user_of_jail,
        ruleset: ruleset.as_ref().map(OwnedFd::as_fd),
        filter: entry.filter.as_deref(),
        socket: socket.as_fd(),
        arguments: &pointers(vector.iter().map(CString::as_c_str)),
        environment: &pointers(environment),
    };
    let pid = match &mut prepared.group {
        Some(group) => group.start(|| child.start()),
        None => child.start(),
    };
    let pid = pid.map_err(|error| match error {
        (Step::Exec, Errno::NOENT | Errno::ACCESS | Errno::NOEXEC) => FromJail::Missing(
            "the system does not execute this file, or not as the command's user".to_owned(),
        ),
        (step, errno) => FromJail::Failed(step, errno.raw_os_error()),
    })?;
    Ok(Command {
        pid,
        tree: if machine.has(Feature::ProcessNamespace) { Tree::Namespace } else { Tree::Descendants },
        deadline: Instant::now().checked_add(order.time_limit),
        cpu_limit: entry.cpu_time,
        usage: Usage::default(),
    })
}

/// The rule's own paths, and what executing its program opens.
fn of_rule(mut rules: FileRules, entry: &Entry, book: &Book) -> io::Result<FileRules> {
    if let Ok(program) = &entry.program {
        for file in program.files() {
            rules = rules.allow(file, Use::ReadAndExecute)?;
        }
    }
    let read = if entry.exec == Exec::Allowed { Use::ReadAndExecute } else { Use::Read };
    if entry.exec == Exec::Allowed {
        rules = rules.exec(&book.system)?;
    }
    if entry.processes == Processes::Machine {
        rules = rules.allow_path(Path::new("/proc"), Use::Read)?;
    }
    for (paths, how) in [(&entry.read, read), (&entry.write, Use::ReadAndWrite)] {
        for path in paths {
            rules = rules.allow_path(path, how)?;
        }
    }
    Ok(rules)
}

/// As execve(2) takes them.
fn pointers<'s>(strings: impl Iterator<Item = &'s CStr>) -> Vec<*const c_char> {
    strings.map(CStr::as_ptr).chain([ptr::null()]).collect()
}

/// The processes of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tree {
    /// All of this PID namespace but this process.
    Namespace,
    /// All children of this process, and theirs, which become its own when they lose their parent.
    Descendants,
}

/// A command that runs.
struct Command {
    pid: Pid,
    tree: Tree,
    deadline: Option<Instant>,
    cpu_limit: Duration,
    usage: Usage,
}

impl Command {
    /// Waits for its end, or ends it when its time is over or the server says so.
    fn watch(mut self, socket: &OwnedFd, signals: &OwnedFd, mut group: Option<&mut Watched>) -> FromJail {
        let why = loop {
            if let Some(status) = self.reap_until_own_end() {
                break Why::Ended(status);
            }
            let events = group.as_ref().map(|group| (group.events(), PollFlags::PRI));
            let events = events.unwrap_or((signals.as_fd(), PollFlags::empty()));
            let wait = wait_for_each(
                &[(socket.as_fd(), PollFlags::IN), (signals.as_fd(), PollFlags::IN), events],
                self.deadline,
            );
            clear_signals(signals);
            match wait {
                Ok(Wait::TimedOut) => break Why::Ending(End::TimedOut),
                Ok(Wait::Ready([_, _, true])) if ran_out_of_memory(&mut group) => {
                    break Why::Ending(End::OutOfMemory);
                }
                Ok(Wait::Ready([true, ..])) => match received(socket) {
                    Ok(None) => {}
                    Ok(Some(ToJail::Cancel)) => break Why::Ending(End::Cancelled),
                    Ok(Some(ToJail::OutputLimit)) => break Why::Ending(End::OutputLimit),
                    Ok(Some(ToJail::Go)) => break Why::Lost("the server said to begin twice".to_owned()),
                    Err(reason) => break Why::Lost(reason),
                },
                Ok(Wait::Ready(_)) => {}
                Err(error) => break Why::Lost(format!("waiting for the command failed: {error}")),
            }
        };
        let end = match why {
            // Whichever of its processes it was.
            Why::Ended(_) if ran_out_of_memory(&mut group) => End::OutOfMemory,
            Why::Ended(status) => self.end_of(status),
            Why::Ending(End::OutOfMemory) => End::OutOfMemory,
            Why::Ending(end) => {
                self.terminate(signals);
                end
            }
            Why::Lost(reason) => {
                self.kill_what_is_left(signals);
                return FromJail::Lost(reason);
            }
        };
        self.kill_what_is_left(signals);
        let peak = group.and_then(Watched::peak).unwrap_or(0);
        self.usage.peak_memory_bytes = self.usage.peak_memory_bytes.max(peak);
        FromJail::Ended(end, self.usage)
    }

    /// SIGTERM for everyone, and some time to obey.
    fn terminate(&mut self, signals: &OwnedFd) {
        self.signal(Signal::TERM);
        // What is stopped cannot obey.
        self.signal(Signal::CONT);
        let until = Instant::now().checked_add(TERMINATION_GRACE);
        while self.reap_until_own_end().is_none() {
            match wait_for(&[signals.as_fd()], until) {
                Ok(Wait::Ready(_)) => clear_signals(signals),
                Ok(Wait::TimedOut) | Err(_) => return,
            }
        }
    }

    /// SIGKILL for everyone, until there is nobody.
    fn kill_what_is_left(&mut self, signals: &OwnedFd) {
        let until = Instant::now().checked_add(REAP_TIME);
        loop {
            self.signal(Signal::KILL);
            if self.reap_all() {
                return;
            }
            match wait_for(&[signals.as_fd()], until) {
                Ok(Wait::Ready(_)) => clear_signals(signals),
                Ok(Wait::TimedOut) | Err(_) => return,
            }
        }
    }

    fn signal(&self, signal: Signal) {
        match self.tree {
            // In its own namespace this process is not among those that it signals. Nobody left is what is wanted.
            Tree::Namespace => {
                let _ = signal_everyone(signal);
            }
            Tree::Descendants => {
                let _ = rustix::process::kill_process_group(self.pid, signal);
                for child in children_of_this_process() {
                    let _ = rustix::process::kill_process(child, signal);
                }
            }
        }
    }

    /// Reaps what has ended; the command's own status, if it is among them.
    fn reap_until_own_end(&mut self) -> Option<Status> {
        while let Reaped::One(ended) = reap() {
            self.count(ended);
            if ended.pid == self.pid {
                return Some(ended.status);
            }
        }
        None
    }

    /// Whether there are no children any more.
    fn reap_all(&mut self) -> bool {
        loop {
            match reap() {
                Reaped::One(ended) => self.count(ended),
                Reaped::None => return false,
                Reaped::NoChildren => return true,
            }
        }
    }

    fn count(&mut self, ended: Ended) {
        self.usage.cpu_time = self.usage.cpu_time.saturating_add(ended.cpu_time);
        self.usage.peak_memory_bytes = self.usage.peak_memory_bytes.max(ended.peak_memory_bytes);
    }

    fn end_of(&self, status: Status) -> End {
        match status {
            Status::Exit(code) => End::Exit(code),
            // The limit counts ticks of the clock, which may run ahead of the time that is told at the end.
            Status::Signal(libc::SIGXCPU)
                if self.usage.cpu_time >= self.cpu_limit.checked_div(2).unwrap_or_default() =>
            {
                End::CpuLimit
            }
            Status::Signal(libc::SIGKILL) if self.usage.cpu_time >= self.cpu_limit => End::CpuLimit,
            Status::Signal(signal) => End::Signal(signal),
        }
    }
}

fn ran_out_of_memory(group: &mut Option<&mut Watched>) -> bool {
    group.as_mut().is_some_and(|group| group.ran_out_of_memory())
}

enum Why {
    Ended(Status),
    Ending(End),
    /// It cannot be watched any more.
    Lost(String),
}

/// The server's next word, if there is one, or why there will be none.
fn received(socket: &OwnedFd) -> Result<Option<ToJail>, String> {
    match socket::receive(socket) {
        Ok(message) if message.bytes.is_empty() => Err("the server is gone".to_owned()),
        Ok(message) => ToJail::decode(&message.bytes).map(Some).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(format!("the server cannot be heard: {error}")),
    }
}

/// Signals every process of this namespace but this one (kill(2) with -1).
fn signal_everyone(signal: Signal) -> Result<(), Errno> {
    if !rustix::process::getpid().is_init() {
        return Err(Errno::SRCH);
    }
    #[expect(unsafe_code, reason = "the wrapper has no word for everyone")]
    // SAFETY: kill(2) takes integers. This process is the first of its PID namespace, so "everyone" are the processes of
    // the jail.
    let result = unsafe { libc::kill(-1, signal.as_raw()) };
    if result == 0 { Ok(()) } else { Err(Errno::SRCH) }
}

/// The children of this process (`proc_pid_children(5)`); none where the kernel does not tell.
fn children_of_this_process() -> Vec<Pid> {
    let text = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).filter_map(Pid::from_raw).collect()
}

enum Wait<const N: usize> {
    /// Which of them can be read.
    Ready([bool; N]),
    TimedOut,
}

fn wait_for<const N: usize>(
    descriptors: &[BorrowedFd<'_>; N],
    until: Option<Instant>,
) -> io::Result<Wait<N>> {
    wait_for_each(&descriptors.map(|descriptor| (descriptor, PollFlags::IN)), until)
}

fn wait_for_each<const N: usize>(
    descriptors: &[(BorrowedFd<'_>, PollFlags); N],
    until: Option<Instant>,
) -> io::Result<Wait<N>> {
    let mut polled = descriptors.map(|(descriptor, events)| PollFd::from_borrowed_fd(descriptor, events));
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        match poll(&mut polled, timeout.as_ref()) {
            Ok(0) => return Ok(Wait::TimedOut),
            Ok(_) => return Ok(Wait::Ready(polled.each_ref().map(|polled| !polled.revents().is_empty()))),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
