//! `bidden jobs`, `result` and `cancel`: coming back to what was started before.

use std::fmt::Write as _;

use anyhow::Context as _;
use client::{Action, Request, Target, Verdict};
use serde_json::Value;

use crate::arguments::{Cancel, JobResult, Jobs};
use crate::ask::{another_answer, connect, explanation, print_output, print_raw, request, show};
use crate::exit::Exit;
use crate::follow::{AtSignal, Followed, Printed, follow};
use crate::run::end;
use crate::terminal::{complain, inform, is_watched, print};

pub(crate) async fn jobs(arguments: Jobs) -> anyhow::Result<Exit> {
    let text = |jobs: &Value| {
        let jobs = jobs.as_array().map(Vec::as_slice).unwrap_or_default();
        if jobs.is_empty() && is_watched() {
            inform("bidden: you have no jobs there");
        }
        table(jobs)
    };
    show(&arguments.server, arguments.json, Action::Jobs, text).await
}

pub(crate) async fn result(arguments: JobResult) -> anyhow::Result<Exit> {
    let JobResult { server, follow: waits, json, job } = arguments;
    if waits {
        let mut client = connect(&server).await?;
        let action = Action::Result { job: job.as_str().into(), stream: true };
        let mut ongoing = client.start(Request { id: None, timeout: server.timeout, action }, vec![]);
        let printed = if json { Printed::Ignored } else { Printed::Shown };
        match follow(&mut ongoing, AtSignal::Leave, printed).await? {
            Followed::Left(exit) => return Ok(exit),
            Followed::Answered(answer, _) if !json => return end(&answer),
            // The whole reply, with the output that was ignored.
            Followed::Answered(..) => {}
        }
    }
    let answer = request(&server, Action::Result { job: job.as_str().into(), stream: false }, vec![]).await?;
    let exit = match answer.reply()?.verdict {
        Verdict::Running { .. } => Exit::Own,
        Verdict::Finished { end, .. } => Exit::from_end(end),
        Verdict::Failed(failure) => Exit::from_error(failure.code),
        Verdict::Value { .. } | Verdict::Column { .. } => return Err(another_answer()),
    };
    if json {
        print_raw(&answer)?;
        return Ok(exit);
    }
    match answer.reply()?.verdict {
        Verdict::Running { output } => {
            print_output(&output.unwrap_or_default())?;
            complain("the command still runs; --follow waits for its end");
        }
        Verdict::Finished { output, .. } => print_output(&output)?,
        Verdict::Failed(failure) => {
            print_output(&failure.output.clone().unwrap_or_default())?;
            complain(&explanation(&failure));
        }
        Verdict::Value { .. } | Verdict::Column { .. } => {}
    }
    Ok(exit)
}

pub(crate) async fn cancel(arguments: Cancel) -> anyhow::Result<Exit> {
    let action = Action::Cancel(Target::Job(arguments.job.as_str().into()));
    let answer = request(&arguments.server, action, vec![]).await?;
    if arguments.json {
        return print_raw(&answer);
    }
    match answer.reply()?.verdict {
        Verdict::Value { json, .. } => {
            let job: Value = serde_json::from_str(&json).context("the server's answer is not JSON")?;
            print(&format!("{}: {}\n", arguments.job, state(&job)))?;
            Ok(Exit::Success)
        }
        Verdict::Failed(failure) => {
            complain(&explanation(&failure));
            Ok(Exit::from_error(failure.code))
        }
        _ => Err(another_answer()),
    }
}

/// The jobs, one a line, in columns.
fn table(jobs: &[Value]) -> String {
    let heading = ["JOB", "USER", "ASKED", "STATE", "TOOK", "COMMAND"].map(str::to_owned);
    let rows: Vec<[String; 6]> = jobs.iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let width = |column: usize| {
        let cells = [&heading].into_iter().chain(&rows).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let mut out = String::new();
    for row in [&heading].into_iter().chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn row(job: &Value) -> [String; 6] {
    let text = |key: &str| word(job[key].as_str().unwrap_or_default());
    let asked = job["asked"].as_str().unwrap_or_default();
    // To the second, as the log has it: in UTC.
    let asked = asked.split_once('.').map_or(asked.to_owned(), |(seconds, _)| format!("{seconds}Z"));
    let took = job["duration_ms"].as_f64().map_or_else(String::new, |ms| format!("{:.1} s", ms / 1000.0));
    let parameters = job["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut command = text("command_name");
    for parameter in parameters {
        let _ = write!(command, " {}", word(parameter.as_str().unwrap_or_default()));
    }
    [text("job"), text("user"), word(&asked), state(job), took, command]
}

/// Where a job stands, in a word or two.
fn state(job: &Value) -> String {
    if let Some(code) = job["exit_code"].as_i64() {
        format!("exit {code}")
    } else if let Some(signal) = job["signal"].as_i64() {
        format!("signal {signal}")
    } else {
        word(job["code"].as_str().or(job["state"].as_str()).unwrap_or_default())
    }
}

/// A word as it is, or in quotes where it could be read as something else.
fn word(text: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "-_./:=,+@%".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) { text.to_owned() } else { format!("{text:?}") }
}

#[cfg(test)]
mod tests {
    use super::table;
    use serde_json::json;

    #[test]
    fn jobs_stand_in_columns_and_cannot_break_out_of_them() {
        let jobs = [
            json!({"job": "19a-1", "user": "ann", "command_name": "ping", "parameters": ["-c", "4", "a b\n"],
                "asked": "2026-11-24T12:00:00.5Z", "state": "running"}),
            json!({"job": "19a-10", "user": "local", "command_name": "uname", "parameters": [],
                "asked": "2026-11-24T12:00:01Z", "state": "ended", "exit_code": 2, "duration_ms": 1234.5}),
        ];
        let expected = "\
JOB     USER   ASKED                 STATE    TOOK   COMMAND
19a-1   ann    2026-11-24T12:00:00Z  running         ping -c 4 \"a b\\n\"
19a-10  local  2026-11-24T12:00:01Z  exit 2   1.2 s  uname
";
        assert_eq!(table(&jobs), expected);
        assert_eq!(table(&[]), "");
    }
}
