//! The life of jobs beside a model of it: random operations of several users in any order, crashes and new files of the log at
//! any moment, and after each of them the jobs are as docs/protocol.md says. The model knows no more than that document;
//! records, bounds and restoring are the server's own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use futures_util::FutureExt as _;
use jail::{Stream, Variable};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use wire::{End, ErrorCode, Failure, RequestId, Verdict};

use super::{Bounds, Digest, Ended, ExecutedIds, Job, Jobs, Order, State, View, restore_from};
use crate::limits::{ID_MEMORY, ID_PERIOD, KEPT_AGE};
use crate::log::{Log, OpenError, Rotation, job_records};
use crate::moment::Moment;
use crate::record::record_end;

/// So small that they are reached.
const BOUNDS: Bounds = Bounds { kept_jobs: 5, kept_output_bytes: 1000, ids_by_user: 4, ids_unstored: 6 };

/// Of each user.
const IDS: u8 = 7;

const USERS: [&str; 3] = ["ann", "bob", "eve"];

/// What can be asked for: what the log may have of it, and a secret. The last two differ in that alone.
const BODIES: [(&str, &str); 4] = [("a", ""), ("b", ""), ("[secret]", "x"), ("[secret]", "y")];

#[derive(Clone, Copy, Debug)]
enum Operation {
    Ask {
        user: usize,
        id: Option<u8>,
        body: usize,
    },
    Start(usize),
    Run(usize),
    Print(usize, usize),
    Cancel(usize, usize),
    End(usize, Way),
    Look {
        user: usize,
        job: usize,
    },
    Pass(i64),
    Commit,
    NewFile,
    /// The used ids go to the disk.
    Store,
    Crash,
    /// And the file of used ids is lost.
    CrashWithoutIds,
}

/// How a job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Exit(u8),
    TimedOut,
    /// Its server died.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Starting,
    Running,
    Ended {
        way: Way,
        at: i64,
    },
    /// Its server died and left no trace of it.
    Vanished,
}

#[derive(Clone, Debug)]
struct ModelJob {
    name: String,
    user: usize,
    id: Option<u8>,
    body: usize,
    stage: Stage,
    printed: usize,
    cancelled_by: Option<usize>,
    /// It can be found.
    present: bool,
    /// It was executed.
    ran: bool,
}

/// What a record says.
#[derive(Clone, Copy, Debug)]
enum Fact {
    Started(usize),
    Ended(usize),
    /// The beginning of a new file.
    UnderWay(usize),
    AboutTheFile,
}

/// What an operation has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Job(usize),
    New(usize),
    No(ErrorCode),
    Changed(bool),
    Nothing,
}

/// An id that was used up.
#[derive(Clone, Copy, Debug)]
struct UsedId {
    job: usize,
    at: i64,
    /// It is in the file.
    stored: bool,
}

#[derive(Clone, Debug)]
struct Model {
    now: i64,
    /// The name of this server's jobs begins with this moment.
    started: i64,
    number: usize,
    jobs: Vec<ModelJob>,
    /// Those that have ended and can be found, in that order.
    kept: Vec<usize>,
    /// The jobs that are found by their ids, whose secrets are known if this server has heard them.
    ids: BTreeMap<(usize, u8), (usize, bool)>,
    /// The ids that were used up.
    used: BTreeMap<(usize, u8), UsedId>,
    /// How many there are of each user, by period.
    shares: BTreeMap<(i64, usize), u64>,
    /// The records of the log, and how many of them are on the disk.
    facts: Vec<Fact>,
    written: usize,
    /// Where each file of the log begins.
    files: Vec<usize>,
    /// How many records the file of used ids knows the ids of.
    stored: usize,
    answer: Answer,
}

fn milliseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).expect("short")
}

impl Model {
    fn pick(&self, job: usize) -> Option<usize> {
        job.checked_rem(self.jobs.len())
    }

    fn is_live(&self, job: usize) -> bool {
        matches!(self.jobs[job].stage, Stage::Waiting | Stage::Starting | Stage::Running)
    }

    /// Takes a job from one stage to the next, if it is there.
    fn advance(&mut self, job: usize, from: Stage, to: Stage) {
        let legal = self.jobs[job].stage == from;
        if legal {
            self.jobs[job].stage = to;
        }
        self.answer = Answer::Changed(legal);
    }

    /// What is said of an order whose id was used before.
    fn known(&self, user: usize, id: u8, body: usize) -> Option<Answer> {
        let (shown, secret) = BODIES[body];
        if let Some((job, secret_known)) = self.ids.get(&(user, id)) {
            let (was, was_secret) = BODIES[self.jobs[*job].body];
            return Some(if shown != was || (*secret_known && secret != was_secret) {
                Answer::No(ErrorCode::IdConflict)
            } else {
                Answer::Job(*job)
            });
        }
        let earlier = self.used.get(&(user, id)).filter(|earlier| is_remembered(earlier.at, self.now))?;
        let is_same = shown == BODIES[self.jobs[earlier.job].body].0;
        Some(Answer::No(if is_same { ErrorCode::Gone } else { ErrorCode::IdConflict }))
    }

    fn ask(&mut self, user: usize, id: Option<u8>, body: usize) -> Answer {
        self.make_room(self.now);
        if let Some(id) = id {
            if let Some(known) = self.known(user, id, body) {
                return known;
            }
            let unstored = self.used.values().filter(|used| !used.stored).count();
            let of_user =
                self.shares.iter().filter(|((at, of), _)| *of == user && is_remembered(*at, self.now));
            let count: u64 = of_user.map(|(_, count)| count).sum();
            if unstored >= BOUNDS.ids_unstored || count >= BOUNDS.ids_by_user {
                return Answer::No(ErrorCode::Busy);
            }
            self.ids.insert((user, id), (self.jobs.len(), true));
        }
        self.number += 1;
        self.jobs.push(ModelJob {
            name: format!("{:x}-{}", self.started, self.number),
            user,
            id,
            body,
            stage: Stage::Waiting,
            printed: 0,
            cancelled_by: None,
            present: true,
            ran: false,
        });
        Answer::New(self.jobs.len() - 1)
    }

    fn end(&mut self, job: usize, way: Way, at: i64) {
        self.jobs[job].stage = Stage::Ended { way, at };
        if !matches!(way, Way::Exit(_)) {
            self.jobs[job].printed = 0;
        }
        self.jobs[job].present = true;
        self.kept.push(job);
        self.make_room(at);
    }

    /// Lets go of what is too old, and then of the oldest of whoever has most until the rest is little enough.
    fn make_room(&mut self, now: i64) {
        let age = milliseconds(KEPT_AGE);
        let is_old = |job: &ModelJob| matches!(job.stage, Stage::Ended { at, .. } if now - at > age);
        let old: Vec<_> = self.kept.iter().copied().filter(|&job| is_old(&self.jobs[job])).collect();
        for job in old {
            self.let_go(job);
        }
        loop {
            let bytes = |jobs: &[usize]| jobs.iter().map(|&job| self.jobs[job].printed).sum::<usize>();
            let too_long = bytes(&self.kept) > BOUNDS.kept_output_bytes;
            if !too_long && self.kept.len() <= BOUNDS.kept_jobs {
                return;
            }
            let share = |job: usize| {
                let of_user = |&other: &usize| self.jobs[other].user == self.jobs[job].user;
                let jobs: Vec<_> = self.kept.iter().copied().filter(of_user).collect();
                if too_long { bytes(&jobs) } else { jobs.len() }
            };
            let most = self.kept.iter().map(|&job| share(job)).max().expect("a job");
            let goes = |&job: &usize| share(job) == most && (!too_long || self.jobs[job].printed > 0);
            let job = self.kept.iter().copied().find(goes).expect("a job");
            self.let_go(job);
        }
    }

    fn let_go(&mut self, job: usize) {
        self.kept.retain(|&kept| kept != job);
        self.jobs[job].present = false;
        self.ids.retain(|_, (of, _)| *of != job);
    }

    /// The id of a job that was started is used up.
    fn use_up(&mut self, job: usize) {
        let user = self.jobs[job].user;
        if let Some(id) = self.jobs[job].id {
            self.used.insert((user, id), UsedId { job, at: self.now, stored: false });
            *self.shares.entry((self.now, user)).or_default() += 1;
        }
    }

    fn store(&mut self) {
        self.used.values_mut().for_each(|used| used.stored = true);
        self.stored = self.facts.len();
    }

    /// The server is killed, and another begins with what is on the disk.
    fn crash(&mut self, ids_are_lost: bool) {
        for fact in self.facts.split_off(self.written) {
            if let Fact::Ended(job) = fact {
                self.jobs[job].stage = Stage::Vanished;
            }
        }
        self.stored = if ids_are_lost { 0 } else { self.stored.min(self.facts.len()) };
        // What was not stored is in the log.
        let unstored: Vec<_> =
            self.used.values().filter(|used| ids_are_lost || !used.stored).copied().collect();
        for UsedId { job, at, .. } in unstored {
            let user = self.jobs[job].user;
            self.used.retain(|_, used| used.job != job);
            *self.shares.get_mut(&(at, user)).expect("a share") -= 1;
        }
        if ids_are_lost {
            self.shares.clear();
        }
        let before = self.jobs.clone();
        self.kept.clear();
        self.ids.clear();
        for job in &mut self.jobs {
            job.present = false;
            job.cancelled_by = None;
            if !matches!(job.stage, Stage::Ended { .. }) {
                job.stage = Stage::Vanished;
            }
        }
        // From the file that has the first record which is not stored.
        let from = *self.files.iter().rev().find(|&&file| file <= self.stored).expect("the first");
        let mut open = Vec::new();
        for (number, fact) in self.facts.clone().into_iter().enumerate().skip(from) {
            match fact {
                Fact::Started(job) | Fact::UnderWay(job) => open.push(job),
                Fact::Ended(job) => {
                    let was_started = open.contains(&job);
                    open.retain(|&other| other != job);
                    let Stage::Ended { way, .. } = before[job].stage else { panic!("it was recorded") };
                    if was_started && number >= self.stored {
                        self.use_up(job);
                    }
                    self.restore(job, before[job].printed, way);
                }
                Fact::AboutTheFile => {}
            }
        }
        open.sort_by_key(|&job| self.jobs[job].name.clone());
        open.dedup();
        for job in open {
            self.use_up(job);
            self.restore(job, 0, Way::Unknown);
            self.facts.push(Fact::Ended(job));
        }
        self.written = self.facts.len();
        self.store();
        self.started = self.now;
        self.number = 0;
    }

    fn restore(&mut self, job: usize, printed: usize, way: Way) {
        self.jobs[job].printed = printed;
        if let Some(id) = self.jobs[job].id {
            self.ids.insert((self.jobs[job].user, id), (job, false));
        }
        self.end(job, way, self.now);
    }

    /// Another file of the log begins.
    fn new_file(&mut self) {
        self.files.push(self.facts.len());
        self.facts.push(Fact::AboutTheFile);
        let under_way = |&job: &usize| matches!(self.jobs[job].stage, Stage::Starting | Stage::Running);
        self.facts.extend((0..self.jobs.len()).filter(under_way).map(Fact::UnderWay));
        self.facts.push(Fact::AboutTheFile);
        self.written = self.facts.len();
    }
}

/// Whether what ended at a moment is remembered at another: whole periods are forgotten.
fn is_remembered(at: i64, now: i64) -> bool {
    let period = |moment: i64| moment.max(0) / milliseconds(ID_PERIOD);
    period(at) >= period(now - milliseconds(ID_MEMORY))
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Operation;

    fn init_state() -> BoxedStrategy<Self> {
        let now = 1_800_000_000_000;
        Just(Self {
            now,
            started: now,
            number: 0,
            jobs: vec![],
            kept: vec![],
            ids: BTreeMap::new(),
            used: BTreeMap::new(),
            shares: BTreeMap::new(),
            facts: vec![],
            written: 0,
            files: vec![0],
            stored: 0,
            answer: Answer::Nothing,
        })
        .boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Operation> {
        // Mostly the youngest jobs: the others have ended long ago.
        let jobs = state.jobs.len();
        let job = || prop_oneof![3 => jobs.saturating_sub(6)..jobs.max(1), 1 => 0..jobs.max(1)];
        let way = prop_oneof![any::<u8>().prop_map(Way::Exit), Just(Way::TimedOut)];
        let times = [1, 60_000, 1_800_000, 3_599_999, 3_600_000, 3_600_001, 7_200_000];
        prop_oneof![
            8 => (0..USERS.len(), prop::option::weighted(0.8, 0..IDS), 0..BODIES.len())
                .prop_map(|(user, id, body)| Operation::Ask { user, id, body }),
            6 => job().prop_map(Operation::Start),
            6 => job().prop_map(Operation::Run),
            4 => (job(), 0..500_usize).prop_map(|(job, bytes)| Operation::Print(job, bytes)),
            1 => (job(), 0..USERS.len()).prop_map(|(job, by)| Operation::Cancel(job, by)),
            6 => (job(), way).prop_map(|(job, way)| Operation::End(job, way)),
            2 => (0..USERS.len(), job()).prop_map(|(user, job)| Operation::Look { user, job }),
            2 => prop::sample::select(times.to_vec()).prop_map(Operation::Pass),
            3 => Just(Operation::Commit),
            1 => Just(Operation::NewFile),
            2 => Just(Operation::Store),
            1 => Just(Operation::Crash),
            1 => Just(Operation::CrashWithoutIds),
        ]
        .boxed()
    }

    fn apply(mut state: Self, operation: &Operation) -> Self {
        state.answer = Answer::Nothing;
        match *operation {
            Operation::Ask { user, id, body } => state.answer = state.ask(user, id, body),
            Operation::Pass(milliseconds) => state.now += milliseconds,
            Operation::Commit => state.written = state.facts.len(),
            Operation::NewFile => state.new_file(),
            Operation::Store => state.store(),
            Operation::Crash | Operation::CrashWithoutIds => {
                state.now += 1;
                state.crash(matches!(operation, Operation::CrashWithoutIds));
            }
            Operation::Start(job)
            | Operation::Run(job)
            | Operation::Print(job, _)
            | Operation::Cancel(job, _)
            | Operation::End(job, _)
            | Operation::Look { job, .. } => {
                if let Some(job) = state.pick(job) {
                    state.apply_to(job, operation);
                }
            }
        }
        state.make_room(state.now);
        state
    }
}

impl Model {
    fn apply_to(&mut self, job: usize, operation: &Operation) {
        if self.jobs[job].stage == Stage::Vanished {
            if let Operation::Look { .. } = operation {
                self.answer = Answer::No(ErrorCode::NotFound);
            }
            return;
        }
        match *operation {
            Operation::Start(_) => {
                self.advance(job, Stage::Waiting, Stage::Starting);
                if self.answer == Answer::Changed(true) {
                    self.facts.push(Fact::Started(job));
                }
            }
            Operation::Run(_) => {
                // The record is on the disk before the command runs.
                if self.jobs[job].stage == Stage::Starting {
                    self.written = self.facts.len();
                }
                self.advance(job, Stage::Starting, Stage::Running);
                self.jobs[job].ran |= self.answer == Answer::Changed(true);
            }
            Operation::Print(_, bytes) if self.jobs[job].stage == Stage::Running => {
                self.jobs[job].printed += bytes;
            }
            Operation::Cancel(_, by) => {
                self.jobs[job].cancelled_by.get_or_insert(by);
            }
            Operation::End(_, way) if self.is_live(job) => {
                self.facts.push(Fact::Ended(job));
                if self.jobs[job].stage != Stage::Waiting {
                    self.use_up(job);
                }
                self.end(job, way, self.now);
            }
            Operation::Look { user, .. } => {
                self.make_room(self.now);
                let may = self.jobs[job].user == user;
                self.answer = if self.jobs[job].present && may {
                    Answer::Job(job)
                } else {
                    Answer::No(ErrorCode::NotFound)
                };
            }
            _ => {}
        }
    }
}

/// The real jobs, with a real log.
struct Real {
    directory: tempfile::TempDir,
    log: Option<Log>,
    jobs: Jobs,
    /// By the model's numbers; none where this server knows nothing of it.
    handles: Vec<Option<Rc<Job>>>,
    /// How many files of the log are not written any more.
    earlier_files: usize,
    /// Executions, by user and id.
    runs: Vec<(usize, u8, usize)>,
}

fn moment(milliseconds: i64) -> Moment {
    Moment::new(std::time::Duration::from_millis(milliseconds.unsigned_abs()))
}

fn wall(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).expect("a moment")
}

fn jobs(directory: &tempfile::TempDir, now: i64, records: u64) -> Jobs {
    let (executed, complaint) =
        ExecutedIds::open(&directory.path().join("server.log"), BOUNDS).expect("the file of ids");
    assert_eq!(complaint, None);
    executed.log_ends_with(records);
    Jobs::new(wall(now), BOUNDS, executed)
}

fn open(directory: &tempfile::TempDir) -> Log {
    let rotation = Rotation { bytes: u64::MAX, keep: None };
    let path = directory.path().join("server.log");
    let began = std::time::Instant::now();
    loop {
        match Log::open(&path, rotation) {
            // A process that another test is just starting holds the lock until it executes its program.
            Err(OpenError::InUse(_)) if began.elapsed().as_secs() < 10 => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            opened => return opened.expect("a log").0,
        }
    }
}

fn order(user: usize, id: Option<u8>, body: usize) -> Order {
    let (shown, secret) = BODIES[body];
    let secrets = (!secret.is_empty()).then(|| Variable::new("SECRET", secret));
    Order {
        user: USERS[user].into(),
        command: "c".into(),
        parameters: vec![shown.into()],
        id: id.and_then(|id| RequestId::parse(&id.to_string())),
        digest: Digest::of("c", &[shown], None, secrets.as_slice(), None),
    }
}

fn ending(way: Way, job: &Job) -> Ended {
    let verdict = match way {
        Way::Exit(code) => Verdict::Finished { output: job.take_output(), end: End::Exit(code.into()) },
        Way::TimedOut => Verdict::Failed(Failure::new(ErrorCode::TimedOut, "late")),
        Way::Unknown => panic!("only a crash ends a job so"),
    };
    Ended { verdict, reason: None, duration: None }
}

impl Real {
    fn log(&self) -> &Log {
        self.log.as_ref().expect("open")
    }

    fn commit(&self) {
        assert!(self.log().commit().is_ok());
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    fn known(&self, order: &Order, now: Moment) -> Option<Answer> {
        match self.jobs.known(order, now) {
            Ok(None) => None,
            Err(refusal) => Some(Answer::No(refusal.failure.code)),
            Ok(Some(job)) => {
                let is_it =
                    |handle: &Option<Rc<Job>>| handle.as_ref().is_some_and(|handle| Rc::ptr_eq(handle, &job));
                Some(Answer::Job(self.handles.iter().position(is_it).expect("a job of the model")))
            }
        }
    }

    fn ask(&mut self, model: &Model, order: Order) -> Answer {
        let now = moment(model.now);
        if let Some(known) = self.known(&order, now) {
            return known;
        }
        match self.jobs.submit(order, wall(model.now), now) {
            Err(refusal) => Answer::No(refusal.failure.code),
            Ok(job) => {
                self.handles.push(Some(job));
                Answer::New(self.handles.len() - 1)
            }
        }
    }

    fn start(&self, job: &Job) -> Answer {
        let started = job.start();
        if started {
            self.log().append(|line| {
                line.text("event", "started");
                line.text("user", &job.order.user);
                line.text("job", &job.name);
                job.order.write(line);
            });
        }
        Answer::Changed(started)
    }

    /// Everything that the log and the file of used ids do not say is forgotten.
    fn crash(&mut self, model: &Model, ids_are_lost: bool) {
        self.log = None;
        // A file can be open once.
        let elsewhere = tempfile::tempdir().expect("a directory");
        self.jobs = jobs(&elsewhere, 0, 0);
        if ids_are_lost {
            std::fs::remove_file(self.directory.path().join("server.ids")).expect("removed");
        }
        self.log = Some(open(&self.directory));
        let now = moment(model.now);
        self.jobs = jobs(&self.directory, model.now, self.log().records());
        let stored = self.jobs.executed().stored_through();
        let read = |take: &mut dyn FnMut(&[u8])| job_records(&self.path(), stored, take);
        restore_from(read, &self.jobs, now, |job, ended| record_end(self.log(), job, ended)).expect("read");
        self.commit();
        self.store(model);
        self.handles = model.jobs.iter().map(|job| self.jobs.find(&job.name, &View::All, now).ok()).collect();
    }

    fn new_file(&mut self) {
        self.commit();
        self.earlier_files += 1;
        let moved = self.path().with_extension(format!("log.{}", self.earlier_files));
        std::fs::rename(self.path(), moved).expect("moved");
        self.log().reopen();
        self.log().carry_over(|log| self.jobs.write_known(log));
    }

    fn store(&self, model: &Model) {
        // No other task: the runtime is here for its threads, where files are written.
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let stored = self.jobs.executed().store(self.log().records(), moment(model.now));
        runtime.block_on(stored).expect("stored");
    }

    fn apply_to(&mut self, model: &Model, number: usize, job: &Rc<Job>, operation: Operation) -> Answer {
        match operation {
            Operation::Start(_) => return self.start(job),
            Operation::Run(_) => {
                if matches!(job.state(), State::Starting) {
                    self.commit();
                }
                let runs = job.run();
                if let (true, Some(id)) = (runs, model.jobs[number].id) {
                    self.runs.push((model.jobs[number].user, id, number));
                }
                return Answer::Changed(runs);
            }
            Operation::Print(_, bytes) if matches!(job.state(), State::Running) => {
                job.print(Stream::Stdout, &vec![b'x'; bytes]).now_or_never().expect("nobody reads slowly");
            }
            Operation::Cancel(_, by) => job.cancel(&USERS[by].into()),
            Operation::End(_, way) => {
                let record = |job: &Job, ended: &Ended| record_end(self.log(), job, ended);
                self.jobs.end(job, ending(way, job), moment(model.now), record);
            }
            _ => {}
        }
        Answer::Nothing
    }

    /// What somebody sees of all jobs, by name.
    fn seen(&self, view: &View, now: Moment) -> BTreeMap<String, String> {
        let row = |job: Rc<Job>| {
            let described = job.describe();
            let word = |key: &str| described.get(key).map(ToString::to_string).unwrap_or_default();
            (
                job.name.to_string(),
                [word("state"), word("exit_code"), word("code")].join(" ").trim().to_owned(),
            )
        };
        self.jobs.list(view, now).into_iter().map(row).collect()
    }
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(model: &Model) -> Self {
        // In memory: it is not the disk that is tried here.
        let directory = tempfile::tempdir_in("/dev/shm").expect("a directory");
        Self {
            log: Some(open(&directory)),
            jobs: jobs(&directory, model.now, 0),
            directory,
            handles: vec![],
            earlier_files: 0,
            runs: vec![],
        }
    }

    fn apply(mut real: Self, model: &Model, operation: Operation) -> Self {
        let number = match operation {
            Operation::Start(job)
            | Operation::Run(job)
            | Operation::Print(job, _)
            | Operation::Cancel(job, _)
            | Operation::End(job, _) => model.pick(job),
            _ => None,
        };
        let handle = number.and_then(|number| real.handles[number].clone());
        let answer = match operation {
            Operation::Ask { user, id, body } => real.ask(model, order(user, id, body)),
            Operation::Look { user, job } => match model.pick(job) {
                None => Answer::Nothing,
                Some(job) => {
                    let view = View::Own(USERS[user].into());
                    match real.jobs.find(&model.jobs[job].name, &view, moment(model.now)) {
                        Ok(_) => Answer::Job(job),
                        Err(refusal) => Answer::No(refusal.failure.code),
                    }
                }
            },
            Operation::Pass(_) => Answer::Nothing,
            Operation::Commit => {
                real.commit();
                Answer::Nothing
            }
            Operation::NewFile => {
                real.new_file();
                Answer::Nothing
            }
            Operation::Store => {
                real.store(model);
                Answer::Nothing
            }
            Operation::Crash | Operation::CrashWithoutIds => {
                real.crash(model, matches!(operation, Operation::CrashWithoutIds));
                Answer::Nothing
            }
            _ => match (number, handle) {
                (Some(number), Some(job)) => real.apply_to(model, number, &job, operation),
                _ => model.answer,
            },
        };
        assert_eq!(answer, model.answer, "{operation:?}");
        real
    }

    fn check_invariants(real: &Self, model: &Model) {
        let live = (0..model.jobs.len()).filter(|&job| model.is_live(job)).count();
        assert_eq!(real.jobs.live(), live);
        let now = moment(model.now);
        let row = |job: &ModelJob| {
            let state = match job.stage {
                Stage::Waiting => "\"waiting\"".to_owned(),
                Stage::Starting | Stage::Running => "\"running\"".to_owned(),
                Stage::Ended { way: Way::Exit(code), .. } => format!("\"ended\" {code}"),
                Stage::Ended { way: Way::TimedOut, .. } => "\"ended\"  \"timed_out\"".to_owned(),
                Stage::Ended { way: Way::Unknown, .. } => "\"ended\"  \"unknown_outcome\"".to_owned(),
                Stage::Vanished => panic!("it is not present"),
            };
            (job.name.clone(), state)
        };
        let present = || model.jobs.iter().filter(|job| job.present);
        assert_eq!(real.seen(&View::All, now), present().map(row).collect());
        for (number, name) in USERS.iter().enumerate() {
            let own = present().filter(|job| job.user == number).map(row).collect();
            assert_eq!(real.seen(&View::Own((*name).into()), now), own, "{name}");
        }
        let ended: Vec<_> =
            real.jobs.list(&View::All, now).into_iter().filter(|job| job.has_ended()).collect();
        assert!(ended.len() <= BOUNDS.kept_jobs);
        assert!(ended.iter().map(|job| job.output_bytes()).sum::<usize>() <= BOUNDS.kept_output_bytes);
        for (user, id) in (0..USERS.len()).flat_map(|user| (0..IDS).map(move |id| (user, id))) {
            let order = order(user, Some(id), 0);
            assert_eq!(real.known(&order, now), model.known(user, id, 0), "id {id} of {}", USERS[user]);
        }
        for (handle, job) in real.handles.iter().zip(&model.jobs) {
            let Some(handle) = handle else { continue };
            assert_eq!(handle.cancelled_by().as_deref(), job.cancelled_by.map(|by| USERS[by]));
        }
        // Whatever happened: never twice within the memory of an id.
        for (index, (user, id, later)) in real.runs.iter().enumerate() {
            for (_, _, earlier) in real.runs[..index].iter().filter(|run| (run.0, run.1) == (*user, *id)) {
                assert_ne!(later, earlier, "one job ran twice");
                let Stage::Ended { at, .. } = model.jobs[*earlier].stage else {
                    panic!("two jobs of one id run at once")
                };
                assert!(model.now > at + milliseconds(ID_MEMORY), "an id was executed twice");
            }
        }
    }

    fn teardown(real: Self, _model: Model) {
        real.commit();
        let mut count: BTreeMap<(String, String), usize> = BTreeMap::new();
        job_records(&real.path(), 0, |line| {
            let record: serde_json::Value = serde_json::from_slice(line).expect("JSON");
            let word = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
            *count.entry((word("event"), word("job"))).or_default() += 1;
        })
        .expect("read");
        for ((event, job), times) in count {
            assert!(times == 1 || !matches!(event.as_str(), "started" | "ended"), "{times} {event} of {job}");
        }
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn the_life_of_jobs_is_as_the_model_says(sequential 1..120 => Real);
}
