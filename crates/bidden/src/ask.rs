//! What everything that asks a server has in common: finding it, waiting for its answer without being silent about it,
//! and saying what is wrong.

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use client::{Action, Answer, Client, ConnectError, Failure, Output, Progress, Request, Stream, Verdict};
use serde_json::Value;

use crate::arguments::Server;
use crate::exit::Exit;
use crate::hosts;
use crate::terminal::{complain, inform, is_watched, pass_on, print};

/// After this time without a server a person is told that one is being looked for.
const QUIET_WAIT: Duration = Duration::from_secs(1);

pub(crate) async fn request(
    server: &Server,
    action: Action<'_>,
    columns: Vec<Bytes>,
) -> anyhow::Result<Answer> {
    let mut client = connect(server).await?;
    let mut ongoing = client.start(Request { id: None, timeout: server.timeout, action }, columns);
    loop {
        match ongoing.next().await? {
            Progress::Answered(answer) => return Ok(answer),
            progress => tell(&progress)?,
        }
    }
}

/// Says what happens to a request, as far as somebody should know: what is lost always, why it takes so long to a
/// person.
pub(crate) fn tell(progress: &Progress) -> anyhow::Result<()> {
    let to_a_person = |text: &str| {
        if is_watched() {
            inform(text);
        }
    };
    match progress {
        Progress::Lost => {
            to_a_person("bidden: the connection to the server was lost; looking for the server again");
        }
        Progress::Found => to_a_person("bidden: the server is there again"),
        Progress::Busy(pause) => {
            to_a_person(&format!("bidden: the server has no room; asking again in {} ms", pause.as_millis()));
        }
        Progress::Missing { stream, bytes } => {
            let stream = match stream {
                Stream::Stdout => "standard output",
                Stream::Stderr => "standard error",
            };
            complain(&format!(
                "{bytes} bytes of the command's {stream} are missing here: they did not come, and the server does not keep them"
            ));
        }
        Progress::NotCancelled(answer) => {
            if let Verdict::Failed(failure) = answer.reply()?.verdict {
                complain(&format!("the command could not be ended: {}", explanation(&failure)));
            }
        }
        Progress::Started { .. } | Progress::Printed { .. } | Progress::Answered(_) => {}
    }
    Ok(())
}

pub(crate) async fn connect(server: &Server) -> anyhow::Result<Client> {
    let (endpoint, security) = hosts::find(server.to.as_deref())?;
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
            ConnectError::Endpoint(_)
            | ConnectError::KeyRefused { .. }
            | ConnectError::AccountRefused { .. }
            | ConnectError::Permission(_)
            | ConnectError::NoKeys(_)
            | ConnectError::Disagreement { .. } => {
                anyhow::Error::new(error)
            }
        }),
        never = patience => never,
    }
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

pub(crate) fn explanation(failure: &Failure<'_>) -> String {
    match (&failure.class, failure.retry_after) {
        (Some(class), _) => format!("{class}: {}", failure.message),
        (None, Some(wait)) => format!("{}; try again in {} ms", failure.message, wait.as_millis()),
        (None, None) => failure.message.clone().into_owned(),
    }
}

/// What a command printed, each stream in its place.
pub(crate) fn print_output(output: &Output<'_>) -> anyhow::Result<()> {
    pass_on(&mut io::stdout(), &output.stdout).context("cannot print what the command printed")?;
    pass_on(&mut io::stderr(), &output.stderr).context("cannot print what the command printed")?;
    tell_cut(output);
    Ok(())
}

/// Says that a command printed more than there is.
pub(crate) fn tell_cut(output: &Output<'_>) {
    if output.truncated {
        complain("the command printed more than the server keeps; the rest is cut off");
    }
}

/// Asks a server about itself, and prints what it says: as it came, or as a person reads it.
pub(crate) async fn show(
    server: &Server,
    json: bool,
    action: Action<'_>,
    text: impl FnOnce(&Value) -> String,
) -> anyhow::Result<Exit> {
    let answer = request(server, action, vec![]).await?;
    if json {
        return print_raw(&answer);
    }
    match answer.reply()?.verdict {
        Verdict::Value { json, .. } => {
            print(&text(&serde_json::from_str(&json).context("the server's answer is not JSON")?))?;
            Ok(Exit::Success)
        }
        Verdict::Failed(failure) => {
            complain(&explanation(&failure));
            Ok(Exit::from_error(failure.code))
        }
        Verdict::Running { .. } | Verdict::Column { .. } | Verdict::Finished { .. } => Err(another_answer()),
    }
}

/// The server has misunderstood something, or is none of ours.
pub(crate) fn another_answer() -> anyhow::Error {
    anyhow::anyhow!("the server answered another request")
}
