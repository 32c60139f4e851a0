//! `bidden run`: a command's output as it comes, and its end; or only the name of the job, to come back to later.

use std::io::{self, Read as _};

use anyhow::Context as _;
use client::{Action, Answer, Delivery, ErrorCode, Request, Verdict};

use crate::arguments::Run;
use crate::ask::{another_answer, connect, explanation, print_raw, tell_cut};
use crate::exit::Exit;
use crate::follow::{AtSignal, Followed, Printed, follow};
use crate::terminal::{complain, inform, is_watched, print};

pub(crate) async fn run(arguments: Run) -> anyhow::Result<Exit> {
    let mut words = arguments.words.into_iter();
    let delivery = match (arguments.detach, arguments.json) {
        (true, _) => Delivery::Detached,
        (false, true) => Delivery::Whole,
        (false, false) => Delivery::Stream,
    };
    let action = Action::Os {
        // The command line asks for one word at least.
        command_name: words.next().unwrap_or_default().into(),
        parameters: words.map(Into::into).collect(),
        stdin: if arguments.stdin { Some(standard_input()?.into()) } else { None },
        delivery,
    };
    let mut client = connect(&arguments.server).await?;
    let request = Request { id: arguments.id, timeout: arguments.server.timeout, action };
    let mut ongoing = client.start(request, vec![]);
    let at_signal = if delivery == Delivery::Detached { AtSignal::Leave } else { AtSignal::Cancel };
    match follow(&mut ongoing, at_signal, Printed::Shown).await? {
        Followed::Left(exit) => Ok(exit),
        Followed::Answered(answer, stopped) => {
            let exit = match (arguments.json, delivery) {
                (true, _) => print_raw(&answer)?,
                (false, Delivery::Detached) => name(&answer)?,
                (false, _) => end(&answer)?,
            };
            // After `busy` it was the waiting that ended.
            let is_stopped = matches!(
                answer.reply()?.verdict,
                Verdict::Failed(failure) if matches!(failure.code, ErrorCode::Cancelled | ErrorCode::Busy)
            );
            Ok(stopped.filter(|_| is_stopped).unwrap_or(exit))
        }
    }
}

/// How a command ended whose output has been shown.
pub(crate) fn end(answer: &Answer) -> anyhow::Result<Exit> {
    let reply = answer.reply()?;
    match reply.verdict {
        Verdict::Finished { output, end } => {
            tell_cut(&output);
            Ok(Exit::from_end(end))
        }
        Verdict::Failed(failure) => {
            if let Some(output) = &failure.output {
                tell_cut(output);
            }
            complain(&explanation(&failure));
            Ok(Exit::from_error(failure.code))
        }
        Verdict::Running { .. } => {
            let job = reply.job.unwrap_or_default();
            complain(&format!(
                "the time is over, and the command still runs; see `bidden result {job} --follow`"
            ));
            Ok(Exit::TimedOut)
        }
        Verdict::Value { .. } | Verdict::Column { .. } => Err(another_answer()),
    }
}

/// Prints the name of a job that goes on by itself, or that has come to its end since its request was sent first.
fn name(answer: &Answer) -> anyhow::Result<Exit> {
    let reply = answer.reply()?;
    if let Some(job) = reply.job {
        print(&format!("{job}\n"))?;
        if is_watched() {
            inform(&format!("bidden: `bidden result {job} --follow` shows what it prints"));
        }
        return Ok(Exit::Success);
    }
    match reply.verdict {
        Verdict::Failed(failure) => {
            complain(&explanation(&failure));
            Ok(Exit::from_error(failure.code))
        }
        _ => Err(another_answer()),
    }
}

/// The text on standard input, as far as a request can hold it.
fn standard_input() -> anyhow::Result<String> {
    let mut text = String::new();
    let bound = (client::MAX_REQUEST_BYTES as u64).saturating_add(1);
    io::stdin().take(bound).read_to_string(&mut text).context("cannot read standard input as UTF-8")?;
    Ok(text)
}
