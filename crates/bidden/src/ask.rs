//! `bidden run`, `bidden compute` and `bidden send`: one request to a server, and its reply in the place where a
//! person or a program expects it.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use client::{
    Action, Answer, Client, ConnectError, Failure, NoAnswer, Numbers, Output, Request, Variable, Verdict,
};

use crate::arguments::{Compute, Run, Send, Server};
use crate::columns::{self, ColumnFile};
use crate::exit::Exit;
use crate::hosts;
use crate::terminal::{complain, inform, is_watched, pass_on};

/// After this time without a server a person is told that one is being looked for.
const QUIET_WAIT: Duration = Duration::from_secs(1);

pub(crate) async fn run(arguments: Run) -> anyhow::Result<Exit> {
    let mut words = arguments.words.into_iter();
    // The command line asks for one word at least.
    let command = words.next().unwrap_or_default();
    let action = Action::Os {
        command_name: command.into(),
        parameters: words.map(Into::into).collect(),
        stdin: if arguments.stdin { Some(standard_input()?.into()) } else { None },
        delivery: client::Delivery::Whole,
    };
    let answer = request(&arguments.server, action, vec![]).await?;
    if arguments.json {
        return print_raw(&answer);
    }
    match answer.reply()?.verdict {
        Verdict::Finished { output, end } => {
            print_output(&output)?;
            Ok(Exit::from_end(end))
        }
        Verdict::Failed(failure) => {
            if let Some(output) = &failure.output {
                print_output(output)?;
            }
            complain(&explanation(&failure));
            Ok(Exit::from_error(failure.code))
        }
        Verdict::Value { .. } | Verdict::Column { .. } | Verdict::Running { .. } => {
            anyhow::bail!("the server answered another request")
        }
    }
}

pub(crate) async fn compute(arguments: Compute) -> anyhow::Result<Exit> {
    let Some(expression) = &arguments.expression else { return list_functions() };
    let variable = |(name, number): &(String, String)| Variable {
        name: name.clone().into(),
        json: number.clone().into(),
    };
    let action = Action::Compute {
        expression: expression.as_str().into(),
        variables: arguments.variables.iter().map(variable).collect(),
        columns: arguments.columns.iter().map(|column| column.name.as_str().into()).collect(),
        numbers: if arguments.strict { Numbers::Strict } else { Numbers::Python },
    };
    let columns = arguments.columns.iter().map(ColumnFile::read).collect::<anyhow::Result<Vec<_>>>()?;
    if columns.iter().map(Bytes::len).sum::<usize>() > client::MAX_COLUMN_BYTES {
        anyhow::bail!("the columns have more than {} bytes, which no server takes", client::MAX_COLUMN_BYTES);
    }
    let answer = request(&arguments.server, action, columns).await?;
    if arguments.json {
        return print_raw(&answer);
    }
    match answer.reply()?.verdict {
        Verdict::Column { .. } => {
            let column = answer.column().context("the server sent no column")?;
            columns::print(column, arguments.raw).context("cannot print the result")?;
            Ok(Exit::Success)
        }
        Verdict::Value { json, .. } => {
            writeln!(io::stdout(), "{json}").context("cannot print the result")?;
            Ok(Exit::Success)
        }
        Verdict::Failed(failure) => {
            complain(&explanation(&failure));
            if let Some(place) = failure.column.and_then(|column| place(expression, column)) {
                inform(&place);
            }
            Ok(Exit::from_error(failure.code))
        }
        Verdict::Finished { .. } | Verdict::Running { .. } => {
            anyhow::bail!("the server answered another request")
        }
    }
}

pub(crate) async fn send(arguments: Send) -> anyhow::Result<Exit> {
    let frame = read(&arguments.file)?;
    let patience = arguments.server.timeout.unwrap_or(client::LONGEST_WAIT);
    match connect(&arguments.server).await?.exchange(frame, vec![], patience).await {
        Ok(answer) => print_raw(&answer),
        Err(late @ NoAnswer::Late(_)) => {
            complain(&late.to_string());
            Ok(Exit::TimedOut)
        }
        Err(lost) => Err(lost.into()),
    }
}

fn list_functions() -> anyhow::Result<Exit> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    calc::functions()
        .try_for_each(|function| {
            writeln!(stdout, "{}{}\n    {}", function.name, function.signature, function.doc)
        })
        .and_then(|()| stdout.flush())
        .context("cannot print")?;
    Ok(Exit::Success)
}

pub(crate) async fn request(
    server: &Server,
    action: Action<'_>,
    columns: Vec<Bytes>,
) -> anyhow::Result<Answer> {
    let request = Request { id: None, timeout: server.timeout, action };
    Ok(connect(server).await?.request(&request, columns).await?)
}

async fn connect(server: &Server) -> anyhow::Result<Client> {
    let (endpoint, security) = hosts::find(&server.to)?;
    let connecting = Client::connect_with(&endpoint, &security, server.connect_timeout);
    let patience = async {
        tokio::time::sleep(QUIET_WAIT).await;
        if is_watched() {
            let seconds = server.connect_timeout.as_secs_f32();
            inform(&format!("bidden: looking for a server at {endpoint} for up to {seconds} s"));
        }
        std::future::pending().await
    };
    tokio::select! {
        connected = connecting => connected.map_err(|error| match error {
            ConnectError::Unreachable { .. } => {
                anyhow::anyhow!("{error}; start one there with `bidden serve`, or name another with --to")
            }
            ConnectError::NotLoopback(_) => {
                anyhow::anyhow!("{error}: name a host of your hosts.toml, where `bidden accept` and `bidden init` write them")
            }
            ConnectError::Endpoint(_) | ConnectError::KeyRefused { .. } | ConnectError::Disagreement { .. } => {
                anyhow::Error::new(error)
            }
        }),
        never = patience => never,
    }
}

/// The text on standard input, as far as a request can hold it.
fn standard_input() -> anyhow::Result<String> {
    let mut text = String::new();
    let bound = (client::MAX_REQUEST_BYTES as u64).saturating_add(1);
    io::stdin().take(bound).read_to_string(&mut text).context("cannot read standard input as UTF-8")?;
    Ok(text)
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    // One byte more than any request may have: the server shall see that it is too long, and say so.
    let bound = (client::MAX_REQUEST_BYTES as u64).saturating_add(1);
    let mut frame = Vec::new();
    if file == Path::new("-") {
        io::stdin().take(bound).read_to_end(&mut frame).context("cannot read standard input")?;
    } else {
        let mut open = || std::fs::File::open(file)?.take(bound).read_to_end(&mut frame);
        open().with_context(|| format!("cannot read {}", file.display()))?;
    }
    Ok(frame)
}

/// The reply as it came, on one line; the exit code says the same as it does without `--json`.
pub(crate) fn print_raw(answer: &Answer) -> anyhow::Result<Exit> {
    let mut stdout = io::stdout();
    pass_on(&mut stdout, answer.as_bytes())
        .and_then(|()| stdout.write_all(b"\n"))
        .context("cannot print the reply")?;
    Ok(match answer.reply()?.verdict {
        Verdict::Value { .. } | Verdict::Column { .. } | Verdict::Running { .. } => Exit::Success,
        Verdict::Finished { end, .. } => Exit::from_end(end),
        Verdict::Failed(failure) => Exit::from_error(failure.code),
    })
}

fn print_output(output: &Output<'_>) -> anyhow::Result<()> {
    pass_on(&mut io::stdout(), &output.stdout).context("cannot print what the command printed")?;
    pass_on(&mut io::stderr(), &output.stderr).context("cannot print what the command printed")?;
    if output.truncated {
        complain("the command printed more than the server keeps; the rest is cut off");
    }
    Ok(())
}

pub(crate) fn explanation(failure: &Failure<'_>) -> String {
    match (&failure.class, failure.retry_after) {
        (Some(class), _) => format!("{class}: {}", failure.message),
        (None, Some(wait)) => format!("{}; try again in {} ms", failure.message, wait.as_millis()),
        (None, None) => failure.message.clone().into_owned(),
    }
}

/// The line of the expression in which a column lies, and a mark below it.
fn place(expression: &str, column: u32) -> Option<String> {
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let before: Vec<char> = expression.chars().take(column).collect();
    let in_line = before.iter().rev().take_while(|&&character| character != '\n').count();
    let line_start = column.checked_sub(in_line)?;
    let line: String =
        expression.chars().skip(line_start).take_while(|&character| character != '\n').collect();
    Some(format!("  {line}\n  {}^", " ".repeat(in_line)))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn the_mark_stands_below_the_place() {
        assert_eq!(place("1/0", 2).as_deref(), Some("  1/0\n   ^"));
        assert_eq!(place("(1 +\n2 $)", 8).as_deref(), Some("  2 $)\n    ^"));
        assert_eq!(place("1", 2).as_deref(), Some("  1\n   ^"));
        assert_eq!(place("1", 0), None);
    }
}
