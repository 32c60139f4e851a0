//! `bidden send`: a request as it is, and the reply as it is. Sends nothing twice.

use std::io::{self, Read as _};
use std::path::Path;

use anyhow::Context as _;
use client::NoAnswer;

use crate::arguments::Send;
use crate::ask::{connect, print_raw};
use crate::exit::Exit;
use crate::terminal::{complain, pass_on};

pub(crate) async fn send(arguments: Send) -> anyhow::Result<Exit> {
    let frame = read(&arguments.file)?;
    let patience = arguments.server.timeout.unwrap_or(client::LONGEST_WAIT);
    let mut printed = Ok(());
    let event = |header: &[u8], bytes: &[u8]| {
        if printed.is_ok() {
            printed = print_event(header, bytes);
        }
    };
    let answer = connect(&arguments.server).await?.exchange(frame, vec![], patience, event).await;
    printed.context("cannot print an event")?;
    match answer {
        Ok(answer) => print_raw(&answer),
        Err(late @ NoAnswer::Late(_)) => {
            complain(&late.to_string());
            Ok(Exit::TimedOut)
        }
        Err(lost) => Err(lost.into()),
    }
}

/// Both frames of an event as they came: a line of JSON, and the output behind it.
fn print_event(header: &[u8], bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout();
    for part in [header, b"\n", bytes] {
        pass_on(&mut stdout, part)?;
    }
    Ok(())
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
