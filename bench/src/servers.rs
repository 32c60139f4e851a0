//! Starting the servers to be measured as child processes, and ending them whatever happens: a `Server` that is
//! dropped is killed and waited for. A server that cannot be had on this machine is skipped with a reason.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::machine::Python;

const START_TIMEOUT: Duration = Duration::from_secs(10);
const TRUE: &str = "[commands.true]\nprogram = \"/bin/true\"\n";
const ENDPOINT_PREFIX: &str = "tcp://127.0.0.1:";

/// A server, or why there is none. The reason is printed and must name no path.
pub(crate) enum Start {
    Running(Server),
    Skipped(&'static str),
}

/// A running child process that listens on loopback.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts `command` and waits until it says on stderr where it listens.
    fn start(mut command: Command) -> Result<Self> {
        let name = PathBuf::from(command.get_program());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let child = child.with_context(|| format!("cannot start {}", name.display()))?;
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let stderr = server.child.stderr.take().context("stderr is a pipe")?;
        let (said, lines) = mpsc::channel();
        // This goes on reading when nobody listens any more: the server must never wait for its stderr.
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
        let port = wait_for_port(&lines).with_context(|| format!("{} does not serve", name.display()))?;
        server.address.set_port(port);
        Ok(server)
    }
}

impl Server {
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The old design, on the Python that has pyzmq.
pub(crate) fn spawn_old_design(python: Option<&Python>, log: &Path) -> Result<Start> {
    let Some(python) = python.filter(|python| python.pyzmq.is_some()) else {
        return Ok(Start::Skipped("pyzmq is missing"));
    };
    let mut command = Command::new(&python.program);
    command.arg(crate::package_file("old_design.py")).args(["--port", "0", "--log"]).arg(log);
    Server::start(command).map(Start::Running)
}

/// The bare echo: this program again. With the certificates of both sides it speaks CURVE.
pub(crate) fn spawn_echo(certificates: &[&Path]) -> Result<Start> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("echo").args(certificates);
    Server::start(command).map(Start::Running)
}

/// bidden with a policy that lets `true` run, which the built-in policy does not. It lies beside the log.
pub(crate) fn spawn_bidden_with_true(log: &Path) -> Result<Start> {
    let configuration = log.with_extension("toml");
    std::fs::write(&configuration, TRUE)?;
    spawn_bidden(log, Some(&configuration))
}

/// The same with a log that is sealed.
pub(crate) fn spawn_bidden_sealed(log: &Path) -> Result<Start> {
    let Some(program) = bidden() else {
        return Ok(Start::Skipped("no binary"));
    };
    let (configuration, state) = (log.with_extension("toml"), log.with_extension("seal"));
    std::fs::write(&configuration, format!("[server]\nseal = '{}'\n{TRUE}", state.display()))?;
    let keygen = Command::new(program).args(["log", "keygen"]).arg(&state).output()?;
    if !keygen.status.success() {
        bail!("bidden log keygen: {}", String::from_utf8_lossy(&keygen.stderr));
    }
    spawn_bidden(log, Some(&configuration))
}

/// bidden with everything on: `BIDDEN_BIN`, or the program beside this one, as `cargo build --release` leaves it. It
/// listens in plain text, or as its configuration says.
pub(crate) fn spawn_bidden(log: &Path, configuration: Option<&Path>) -> Result<Start> {
    let Some(program) = bidden() else {
        return Ok(Start::Skipped("no binary"));
    };
    let mut command = Command::new(program);
    command.args(["serve", "--listen", "tcp://127.0.0.1:0", "--log"]).arg(log).env_remove("BIDDEN_CONFIG");
    if let Some(configuration) = configuration {
        command.arg("--config").arg(configuration);
    }
    Server::start(command).map(Start::Running)
}

/// `BIDDEN_BIN`, or the program beside this one.
pub(crate) fn bidden() -> Option<PathBuf> {
    let beside = || std::env::current_exe().ok().map(|program| program.with_file_name("bidden"));
    let program = std::env::var_os("BIDDEN_BIN").map(PathBuf::from).or_else(beside);
    program.filter(|program| program.is_file())
}

fn wait_for_port(lines: &Receiver<String>) -> Result<u16> {
    let deadline = Instant::now() + START_TIMEOUT;
    let mut said = String::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if let Some(port) = port_in(&line) {
                    return Ok(port);
                }
                said.push_str(&line);
                said.push('\n');
            }
            Err(RecvTimeoutError::Timeout) => bail!("it did not say where it listens; it said: {said}"),
            Err(RecvTimeoutError::Disconnected) => bail!("it ended; it said: {said}"),
        }
    }
}

fn port_in(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once(ENDPOINT_PREFIX)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_found_in_a_sentence() {
        assert_eq!(port_in("listening on tcp://127.0.0.1:5555, log server.log"), Some(5555));
        assert_eq!(port_in("listening on tcp://127.0.0.1:0"), None);
        assert_eq!(port_in("ready"), None);
    }

    #[test]
    fn a_server_that_ends_is_reported_with_its_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo the address is in use >&2"]);
        let error = Server::start(command).err().map(|error| format!("{error:#}")).unwrap();
        assert!(error.contains("the address is in use"), "{error}");
    }
}
