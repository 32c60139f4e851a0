//! The one binary: it reads the command line, hands over to one of its modes, and turns how that ended into an exit
//! code. Nothing is decided here that the server or the client library should decide.
#![forbid(unsafe_code)]

mod arguments;
mod ask;
mod columns;
mod commands;
mod compute;
mod demo;
mod doctor;
mod exit;
mod follow;
mod history;
mod hosts;
mod init;
mod invitation;
mod jobs;
mod keygen;
mod launcher;
mod log;
mod log_place;
mod metrics;
mod policy;
mod run;
mod send;
mod serve;
mod terminal;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use crate::arguments::{Arguments, Mode};
use crate::exit::Exit;

fn main() -> ExitCode {
    let exit = match Arguments::try_parse() {
        Ok(arguments) => start(arguments.mode),
        Err(error) => {
            // Writing help or a usage error can only fail when nobody reads it.
            let _ = error.print();
            if error.use_stderr() { Exit::Own } else { Exit::Success }
        }
    };
    exit.into()
}

fn start(mode: Mode) -> Exit {
    let ended = match mode {
        // These two go on as something else than an ordinary process, and must have one thread.
        Mode::Launch(arguments) => launcher::launch(&arguments),
        Mode::Doctor(arguments) => doctor::doctor(&arguments),
        mode => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the event loop")
            .and_then(|runtime| {
                let ended = tokio::task::LocalSet::new().block_on(&runtime, dispatch(mode));
                // Neither a reader who pauses nor the reading of a long log keeps it from its end. What a server must
                // not leave undone it has waited for.
                runtime.shutdown_background();
                ended
            }),
    };
    ended.unwrap_or_else(|error| {
        terminal::complain(&terminal::with_causes(&error));
        match error.downcast_ref() {
            Some(client::ConnectError::KeyRefused { .. } | client::ConnectError::AccountRefused { .. }) => {
                Exit::Refused
            }
            _ => Exit::Own,
        }
    })
}

async fn dispatch(mode: Mode) -> anyhow::Result<Exit> {
    match mode {
        Mode::Serve(arguments) => serve::serve(arguments).await,
        Mode::Run(arguments) => run::run(arguments).await,
        Mode::Jobs(arguments) => jobs::jobs(arguments).await,
        Mode::Result(arguments) => jobs::result(arguments).await,
        Mode::Cancel(arguments) => jobs::cancel(arguments).await,
        Mode::Compute(arguments) => compute::compute(arguments).await,
        Mode::Commands(arguments) => commands::commands(arguments).await,
        Mode::Metrics(arguments) => metrics::metrics(arguments).await,
        Mode::Policy(arguments) => policy::policy(arguments),
        Mode::Send(arguments) => send::send(arguments).await,
        Mode::History(arguments) => history::history(arguments).await,
        Mode::Log(arguments) => log::log(arguments),
        Mode::Init(arguments) => init::init(&arguments),
        Mode::Invite(arguments) => invitation::invite(&arguments),
        Mode::Accept(arguments) => invitation::accept(&arguments),
        Mode::Keygen(arguments) => keygen::keygen(&arguments),
        Mode::Demo => demo::demo().await,
        Mode::Doctor(arguments) => doctor::doctor(&arguments),
        Mode::Launch(arguments) => launcher::launch(&arguments),
    }
}
