//! bidden's server with a policy that lets `true` run, which no default policy does.

use std::path::Path;

use anyhow::{Context as _, Result};
use server::config::Limits;
use server::policy::{Command, Policy};
use server::{Access, Config, Phase, Server};
use tokio::sync::watch;

/// Serves on a free port until it is killed.
pub(crate) fn serve(log: &Path) -> Result<()> {
    let policy = Policy::new([("true".to_owned(), Command::new("/bin/true"))]);
    let config = Config {
        listeners: vec![("tcp://127.0.0.1:0".to_owned(), Access::Plain)],
        log: log.to_owned(),
        policy,
        limits: Limits::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let (_wanted, phase) = watch::channel(Phase::Serve);
        let server = Server::bind(config).await?;
        let (endpoint, _) = server.endpoints().next().context("no listener")?;
        eprintln!("listening on {endpoint}");
        server.serve(phase).await.context("the server stopped")
    })
}
