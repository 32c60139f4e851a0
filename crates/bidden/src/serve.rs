//! `bidden serve`: a server in the foreground, stopped by signals.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use server::policy::Policy;
use server::{Config, Phase, Server};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::arguments;
use crate::exit::Exit;
use crate::terminal::inform;

pub(crate) async fn serve(arguments: arguments::Serve) -> anyhow::Result<Exit> {
    let (wanted, phase) = watch::channel(Phase::Serve);
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let log = absolute(&arguments.log);
    let config = Config { listen: arguments.listen, log: arguments.log, policy: Policy::builtin() };
    let server = Server::bind(config).await?;
    inform(&format!(
        "bidden {} listens on {} (plain text, for this machine only)\nlog: {}\nCtrl-C stops it",
        env!("CARGO_PKG_VERSION"),
        server.endpoint(),
        log.display(),
    ));
    let signals = async {
        for phase in [Phase::Drain, Phase::End] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            inform(match phase {
                Phase::End => "bidden: ending what still runs",
                _ => "bidden: stopping when what runs has ended",
            });
            wanted.send_replace(phase);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = server.serve(phase) => ended?,
        () = signals => {}
    }
    inform("bidden: stopped");
    Ok(Exit::Success)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
