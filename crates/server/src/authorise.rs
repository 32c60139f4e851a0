//! Fourth stage: may this user have this?
//!
//! The one place where a request becomes something that can be executed, and the only one that asks the policy.

use std::borrow::Cow;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jail::Plan;
use wire::{Action, Delivery, ErrorCode, History, Numbers, RequestId, Target, Variable};
use zeroize::Zeroizing;

use crate::decode::{Column, Decoded};
use crate::entry::{self, Entry, Shown, Stdin};
use crate::jobs::{Digest, Order, View};
use crate::policy::{Command, Denied, Invocation, Permitted, Policy, Right, Scope, StandardInput, User};
use crate::refusal::Refusal;

/// Work that its user may have done.
pub(crate) struct Authorised<'f> {
    user: Arc<User>,
    work: Work<'f>,
}

/// The closed set of things that bidden does.
pub(crate) enum Work<'f> {
    /// Run a program.
    Os(Box<Execution>),
    /// Evaluate an expression.
    Compute(Computation<'f>),
    /// Say something about this server.
    Tell(Question),
}

/// A command with everything that starting it takes.
pub(crate) struct Execution {
    pub(crate) order: Order,
    /// What the log says of it; the launcher knows for itself.
    pub(crate) program: PathBuf,
    pub(crate) plan: Plan,
    /// The client's time for all of it.
    pub(crate) timeout: Option<Duration>,
    /// How many of this command may run or wait at once.
    pub(crate) concurrency: Option<usize>,
    pub(crate) delivery: Delivery,
}

/// An expression with what it needs.
pub(crate) struct Computation<'f> {
    pub(crate) expression: Cow<'f, str>,
    pub(crate) variables: Vec<Variable<'f>>,
    pub(crate) columns: Vec<Column<'f>>,
    pub(crate) numbers: Numbers,
    pub(crate) timeout: Option<Duration>,
}

/// What can be asked of the server itself, with how much of it the one who asks may see.
pub(crate) enum Question {
    /// What the user may do: the JSON that says it.
    Describe(String),
    /// Which jobs there are.
    Jobs(View),
    /// How it stands with one job.
    Status { job: String, view: View },
    /// What came of it, or what it has printed so far.
    Result { job: String, view: View, stream: bool, timeout: Option<Duration> },
    /// How the server does.
    Metrics,
    /// What the log says.
    History { asked: History<'static>, view: View, timeout: Option<Duration> },
    /// End it, in the name of a user.
    Cancel { job: Named, view: View, by: Rc<str>, timeout: Option<Duration> },
}

impl Question {
    /// Whether it is answered also while the log cannot be written, because that is when operators ask it. Nothing is done
    /// for it, and nothing told that a record has.
    pub(crate) fn needs_no_record(&self) -> bool {
        match self {
            Self::Describe(_) | Self::Jobs(_) | Self::Status { .. } | Self::Metrics => true,
            Self::Result { .. } | Self::History { .. } | Self::Cancel { .. } => false,
        }
    }
}

/// Which job is meant.
pub(crate) enum Named {
    /// The one of this name.
    Job(String),
    /// The one that a request of the asker's own, with this id, came to.
    Request(RequestId),
}

impl<'f> Authorised<'f> {
    pub(crate) fn into_parts(self) -> (Arc<User>, Work<'f>) {
        (self.user, self.work)
    }
}

/// Holds the request against the policy, which is asked exactly once.
pub(crate) fn authorise<'f>(
    decoded: Decoded<'f>,
    policy: &Policy,
    entry: &mut Entry,
) -> Result<Authorised<'f>, Refusal> {
    let (user, request, columns) = decoded.into_parts();
    let timeout = request.timeout;
    let view = |right| match policy.decide_scope(&user, right) {
        Scope::Own => View::Own(name(&user)),
        Scope::All => View::All,
    };
    let work = match request.action {
        Action::Os { command_name, parameters, stdin, delivery } => {
            let answer = policy.decide_command(&user, &command_name, &parameters);
            reveal(&mut entry.asked, policy, &command_name, &answer);
            let permitted = answer.map_err(denied)?;
            let asked = Asked { user: &user, id: request.id, stdin, timeout, delivery };
            Work::Os(Box::new(execution(&command_name, permitted, asked)?))
        }
        Action::Compute { expression, variables, numbers, columns: _ } => {
            policy.decide_right(&user, Right::Compute).map_err(denied)?;
            Work::Compute(Computation { expression, variables, columns, numbers, timeout })
        }
        // Everyone may know what he may do.
        Action::Describe => Work::Tell(Question::Describe(policy.describe(&user))),
        Action::Jobs => Work::Tell(Question::Jobs(view(Right::Jobs))),
        Action::Status { job } => {
            Work::Tell(Question::Status { job: job.into_owned(), view: view(Right::Jobs) })
        }
        Action::Result { job, stream } => {
            Work::Tell(Question::Result { job: job.into_owned(), view: view(Right::Jobs), stream, timeout })
        }
        Action::Cancel(target) => {
            let (view, by) = (view(Right::Cancel), name(&user));
            let job = match target {
                Target::Job(job) => Named::Job(job.into_owned()),
                Target::Request(id) => Named::Request(id),
            };
            Work::Tell(Question::Cancel { job, view, by, timeout })
        }
        Action::Metrics => {
            policy.decide_right(&user, Right::Metrics).map_err(denied)?;
            Work::Tell(Question::Metrics)
        }
        Action::History(asked) => {
            let view = view(Right::History);
            if let (View::Own(own), Some(of)) = (&view, &asked.user)
                && **own != **of
            {
                return Err(denied(Denied::NoRight { user: user.name.clone(), right: Right::History }));
            }
            Work::Tell(Question::History { asked: asked.into_owned(), view, timeout })
        }
    };
    Ok(Authorised { user, work })
}

fn name(user: &User) -> Rc<str> {
    user.name.as_str().into()
}

/// Shows in the log what is no secret of a request: all of it where the command has none, nothing where nobody knows.
fn reveal(
    asked: &mut entry::Asked,
    policy: &Policy,
    command_name: &str,
    answer: &Result<Permitted<'_>, Denied>,
) {
    let has_secrets = || policy.commands().get(command_name).is_none_or(Command::has_secrets);
    match (&asked, answer) {
        (entry::Asked::Concealed, Ok(permitted)) if permitted.command.has_secrets() => {
            *asked = entry::Asked::Redacted(Rc::new(Shown {
                parameters: permitted.invocation.shown.clone(),
                stdin: if permitted.command.input == StandardInput::Secret {
                    Stdin::Concealed
                } else {
                    Stdin::Shown
                },
            }));
        }
        (entry::Asked::Concealed, Ok(_)) => *asked = entry::Asked::Json,
        (entry::Asked::Concealed, Err(Denied::Parameters(_))) if !has_secrets() => {
            *asked = entry::Asked::Json;
        }
        _ => {}
    }
}

/// What a request says of a command beside its name.
struct Asked<'r> {
    user: &'r Arc<User>,
    id: Option<RequestId>,
    stdin: Option<Cow<'r, str>>,
    timeout: Option<Duration>,
    delivery: Delivery,
}

/// What to start. A program that is gone is found missing here, before a client could tell it from a forbidden one.
fn execution(command_name: &str, permitted: Permitted<'_>, asked: Asked<'_>) -> Result<Execution, Refusal> {
    let Permitted { command, invocation, .. } = permitted;
    let Invocation { arguments, secrets, shown } = invocation;
    let Asked { user, id, stdin, timeout, delivery } = asked;
    if stdin.is_some() && command.input == StandardInput::None {
        return Err(Refusal::open(ErrorCode::InvalidParameters, "this command takes no `stdin`"));
    }
    let executable = rustix::fs::access(&command.program, rustix::fs::Access::EXEC_OK);
    executable.map_err(|error| Refusal::refused(format!("the program cannot be executed: {error}")))?;
    Ok(Execution {
        order: Order {
            user: name(user),
            command: command_name.to_owned(),
            digest: match command.input {
                StandardInput::Secret => Digest::of(command_name, &shown, None, &secrets, stdin.as_deref()),
                _ => Digest::of(command_name, &shown, stdin.as_deref(), &secrets, None),
            },
            parameters: shown,
            id,
        },
        program: command.program.clone(),
        plan: Plan {
            command: command_name.to_owned(),
            arguments,
            secrets,
            time_limit: command.time_limit,
            output_bytes: command.confinement.limits.output_bytes,
            stdin: stdin.map(|text| Zeroizing::new(text.into_owned().into_bytes())),
        },
        timeout,
        concurrency: command.concurrency,
        delivery,
    })
}

/// The client learns what is wrong with the parameters of a command that it may run, and nothing else.
fn denied(denied: Denied) -> Refusal {
    match denied {
        Denied::NoSuchCommand | Denied::NotTheUsers { .. } => Refusal::refused(denied.to_string()),
        Denied::NoRight { right, .. } => {
            let message = match right {
                Right::Compute => "computations are not available to you",
                Right::Jobs | Right::Cancel | Right::History | Right::Metrics => {
                    "this is not available to you"
                }
            };
            Refusal::closed(ErrorCode::Refused, message, denied.to_string())
        }
        Denied::Parameters(error) => Refusal::open(ErrorCode::InvalidParameters, error.to_string()),
    }
}
