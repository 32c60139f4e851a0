//! The launcher: this program again, in a mode that people do not use. It reads the policy for itself and is joined to the
//! server by its standard input.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use jail::{Launcher, StartedKeeper};
use server::config::Configuration;

use crate::arguments::Launch;

/// This program, also after its file was replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Starts it. Call this before this process has a second thread.
pub(crate) fn start(configuration: Option<&Path>) -> anyhow::Result<StartedKeeper> {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg0("bidden").arg("launch");
    if let Some(path) = configuration {
        command.arg("--config").arg(path);
    }
    Ok(StartedKeeper::start(command)?)
}

/// Has it read its policy.
pub(crate) async fn connect(keeper: StartedKeeper) -> anyhow::Result<Launcher> {
    Launcher::connect(keeper).await.context("no command could be started")
}

/// Is it. Call this before this process has a second thread.
pub(crate) fn launch(arguments: &Launch) -> ! {
    jail::keep(|| {
        let (configuration, document) = match &arguments.config {
            Some(path) => Configuration::read_with_document(path).map_err(|error| error.to_string())?,
            None => (Configuration::builtin(), vec![]),
        };
        Ok((configuration.policy.rules(), document))
    })
}
