//! `bidden serve`: a server in the foreground, stopped and reloaded by signals.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jail::{Feature, Machine, ServerFiles};
use server::config::{Configuration, Demand, Listener, Protection};
use server::policy::LOCAL;
use server::{Access, Config, Phase, Reloader, Sealer, Server, listening_address, socket_path};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::arguments::{self, DEFAULT_ENDPOINT, DEFAULT_LOG};
use crate::exit::Exit;
use crate::hosts;
use crate::launcher;
use crate::log_place::LogPlace;
use crate::policy::load;
use crate::terminal::{complain, inform};

pub(crate) async fn serve(arguments: arguments::Serve) -> anyhow::Result<Exit> {
    let (wanted, phase) = watch::channel(Phase::Serve);
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let (path, configuration) = load(&arguments.source)?;
    let listeners = listeners(&configuration, arguments.listen)?;
    let log = arguments.log.or_else(|| configuration.log.clone()).unwrap_or_else(|| DEFAULT_LOG.into());
    let seal = arguments.seal.or_else(|| configuration.seal.clone());
    let log = LogPlace::prepare(log, configuration.log_access.group)?;
    log.refuse_others(protected(path.as_deref(), &configuration, seal.as_deref())?)?;
    for listener in &listeners {
        listener.check()?;
    }
    let mut hangup = Hangup::watch(path.as_deref())?;
    // While this process has one thread: the launcher is started, and then this process can start nothing any more.
    let launcher = launcher::connect(launcher::start(path.as_deref())?).await?;
    let config = Config {
        // Opened here, because the server opens no file beyond its log's directory later, and binds no socket; and after
        // the launcher, which has no use for them.
        listeners: listeners.iter().map(Listener::open).collect::<Result<_, _>>()?,
        log: log.path().to_owned(),
        log_access: configuration.log_access,
        sealer: seal.as_deref().map(Sealer::open).transpose()?,
        policy: configuration.policy.clone(),
        limits: configuration.limits,
    };
    let demand = configuration.jail.unwrap_or(Demand::default_for(serve_this_machine(&config.listeners)));
    let remarks = check_jail(launcher.machine(), demand)?;
    let sockets = listeners.iter().filter_map(|listener| socket_path(&listener.endpoint));
    confine(log.directory(), sockets)?;
    let group = configuration.log_access.group;
    let renounce = || jail::irrevocably_renounce(group).and_then(|()| log.refuse_unwritable());
    let server = Server::bind_and(config, launcher, renounce).await?;
    for (endpoint, access) in server.endpoints() {
        let who = match access {
            Access::Plain => {
                format!("plain text, for this machine only: every account of it is the user `{LOCAL}`")
            }
            Access::Accounts(_) if configuration.policy.knows_accounts() => {
                "for the accounts of this machine that are users".to_owned()
            }
            Access::Accounts(_) => {
                format!("for your own account alone, as the user `{LOCAL}`: no user has a `uid` or `group`")
            }
            Access::Curve(key) => {
                format!("encrypted, for users with a key; the server's own is {}", key.public())
            }
        };
        inform(&format!("bidden {} listens on {endpoint} ({who})", env!("CARGO_PKG_VERSION")));
    }
    inform(&format!(
        "policy: {}\nlog: {}{}\nCtrl-C stops it",
        path.as_deref().map_or_else(|| "built in".to_owned(), |path| absolute(path).display().to_string()),
        absolute(log.path()).display(),
        seal.map_or_else(String::new, |seal| format!(", sealed by {}", absolute(&seal).display())),
    ));
    for remark in remarks {
        inform(&remark);
    }
    let reloader = server.reloader();
    let reloads = async {
        loop {
            let path = hangup.next().await;
            reloader.reopen_log();
            reload(path, &configuration, &reloader).await;
        }
    };
    let stops = async {
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
        () = stops => {}
        () = reloads => {}
    }
    inform("bidden: stopped");
    Ok(Exit::Success)
}

/// Where to listen: as the configuration says, or in plain text on this machine. An endpoint of the command line takes
/// the place of the one that there is, and nothing of how it is protected.
fn listeners(configuration: &Configuration, endpoint: Option<String>) -> anyhow::Result<Vec<Listener>> {
    let mut listeners = configuration.listeners.clone();
    if listeners.is_empty() {
        let endpoint = endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        return Ok(vec![Listener::unconfigured(endpoint)]);
    }
    match (endpoint, listeners.as_mut_slice()) {
        (None, _) => {}
        (Some(endpoint), [only]) => {
            let is_unix = matches!(only.protection, Protection::Accounts(_));
            anyhow::ensure!(
                is_unix == socket_path(&endpoint).is_some(),
                "--listen {endpoint} cannot take the place of {}: one is a Unix socket, the other is not",
                only.endpoint
            );
            only.endpoint = endpoint;
        }
        (Some(_), several) => {
            anyhow::bail!("the configuration has {} listeners, and --listen can only move one", several.len())
        }
    }
    Ok(listeners)
}

/// Whether no other machine can connect.
fn serve_this_machine(listeners: &[(String, Access)]) -> bool {
    listeners.iter().all(|(endpoint, access)| {
        matches!(access, Access::Accounts(_))
            || listening_address(endpoint, false).is_ok_and(|address| address.ip().is_loopback())
    })
}

/// Refuses to serve where the machine lacks what is demanded, and says what else it lacks.
fn check_jail(machine: Machine, demand: Demand) -> anyhow::Result<Vec<String>> {
    let names = |required| {
        let missing = machine.missing().filter(|feature| feature.is_required() == required);
        missing.map(Feature::as_str).collect::<Vec<_>>().join(", ")
    };
    let (names, others) = (names(true), names(false));
    let mut remarks = Vec::new();
    if !others.is_empty() {
        remarks
            .push(format!("bidden: the jail does without {others} here; `bidden doctor` says what that is"));
    }
    if names.is_empty() {
        return Ok(remarks);
    }
    match demand {
        Demand::Required => anyhow::bail!(
            "this machine cannot confine commands as is demanded (`jail = \"required\"`): it lacks {names}; \
             `bidden doctor` says what to do"
        ),
        Demand::BestEffort => remarks.push(format!(
            "bidden: commands are not fully confined, because this machine lacks {names}; `bidden doctor` says what to do"
        )),
    }
    Ok(remarks)
}

/// What decides what may run, and who may ask for it: nothing of it may lie where the server writes.
fn protected(
    path: Option<&Path>,
    configuration: &Configuration,
    seal: Option<&Path>,
) -> anyhow::Result<Vec<PathBuf>> {
    let keys = configuration.listeners.iter().filter_map(|listener| match &listener.protection {
        Protection::Key(path) => Some(path.clone()),
        Protection::Plain | Protection::Accounts(_) => None,
    });
    let certificates = match path {
        Some(path) => Configuration::certificates_named_in(path)?,
        None => vec![],
    };
    let programs = configuration.policy.commands().values().map(|command| command.program.clone());
    let accounts = ["/etc/passwd", "/etc/group"].map(PathBuf::from);
    let own = std::env::current_exe().ok();
    let given = path.into_iter().chain(seal).map(Path::to_owned);
    let all = given.chain(keys).chain(certificates).chain(programs).chain(accounts).chain(own);
    Ok(all.chain(hosts::own_file()).collect())
}

/// From now on this process opens its own files alone, and executes nothing.
fn confine<'s>(logs: &Path, sockets: impl Iterator<Item = &'s Path>) -> anyhow::Result<()> {
    // Where there is anything else, the file of the socket is left to the next start.
    let is_alone = |directory: &PathBuf| std::fs::read_dir(directory).is_ok_and(|files| files.count() == 1);
    let files = ServerFiles {
        // What a reload needs the keeper reads.
        read: vec![],
        remove: sockets.filter_map(Path::parent).map(Path::to_owned).filter(is_alone).collect(),
        // The log says for itself what is wrong with a directory that is not there.
        write: if logs.is_dir() { vec![logs.to_owned()] } else { vec![] },
    };
    jail::irrevocably_confine_server(&files).context("the server cannot confine itself")
}

/// SIGHUP, where there is a file to reload. Without one it ends the server, as when its terminal is closed.
struct Hangup<'p>(Option<(Signal, &'p Path)>);

impl<'p> Hangup<'p> {
    fn watch(path: Option<&'p Path>) -> anyhow::Result<Self> {
        let watch = |path| signal(SignalKind::hangup()).map(|signal| (signal, path));
        Ok(Self(path.map(watch).transpose().context("cannot watch for SIGHUP")?))
    }

    async fn next(&mut self) -> &'p Path {
        let Some((signal, path)) = &mut self.0 else { return std::future::pending().await };
        match signal.recv().await {
            Some(()) => path,
            None => std::future::pending().await,
        }
    }
}

/// Takes commands and users of the file as a whole, or keeps the ones there are and says why.
async fn reload(path: &Path, started_with: &Configuration, reloader: &Reloader) {
    match reloader.load().await {
        Ok(configuration) => {
            let settled = |read: &Configuration| {
                (read.listeners.clone(), read.log.clone(), read.log_access, read.seal.clone(), read.limits)
            };
            if settled(&configuration) != settled(started_with) {
                inform("bidden: listeners, log and limits stay as they are until the next start");
            }
            inform(&format!("bidden: commands and users are those of {} now", path.display()));
        }
        Err(error) => refuse(&error.to_string(), reloader),
    }
}

fn refuse(reason: &str, reloader: &Reloader) {
    reloader.refuse(reason);
    complain(&format!("the configuration is not taken, the one before stays:\n{reason}"));
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
