//! `bidden demo`: a server and a client in one program, joined by a real socket, doing the two kinds of work.

use anyhow::Context as _;
use client::{Action, Client, Request, Verdict};
use server::config::Limits;
use server::policy::Policy;
use server::{Access, Config, Phase, Server};
use tokio::sync::watch;

use crate::exit::Exit;
use crate::launcher;
use crate::terminal::print;

pub(crate) async fn demo() -> anyhow::Result<Exit> {
    let directory = std::env::temp_dir().join(format!("bidden-demo-{}", std::process::id()));
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let log = directory.join("server.log");
    let config = Config {
        listeners: vec![("tcp://127.0.0.1:*".to_owned(), Access::Plain)],
        log: log.clone(),
        log_access: server::LogAccess::default(),
        sealer: None,
        policy: Policy::builtin(),
        limits: Limits::default(),
    };
    let launcher = launcher::connect(launcher::start(None)?).await?;
    let server = Server::bind(config, launcher).await?;
    let (endpoint, _) = server.endpoints().next().context("the server listens nowhere")?;
    let endpoint = endpoint.to_owned();
    print(&format!("server   {endpoint}\n"))?;

    let (wanted, phase) = watch::channel(Phase::Serve);
    let serving = tokio::task::spawn_local(server.serve(phase));
    let shown = show_both(&endpoint).await;
    wanted.send_replace(Phase::Drain);
    serving.await.context("the server failed")??;

    print(&format!("log      {}\n", log.display()))?;
    Ok(if shown? { Exit::Success } else { Exit::Own })
}

/// Sends the two examples; true if both succeeded.
async fn show_both(endpoint: &str) -> anyhow::Result<bool> {
    let mut client = Client::connect(endpoint).await?;
    let ping = Action::os("ping", ["127.0.0.1".into()]);
    let compute = Action::compute("(6 + 4) * 8");
    let mut all_succeeded = true;
    for action in [ping, compute] {
        let request = Request { id: None, timeout: None, action };
        print(&format!("\nrequest  {}\n", String::from_utf8_lossy(&request.encode())))?;
        let answer = client.request(&request, vec![]).await?;
        let text = match answer.reply()?.verdict {
            Verdict::Value { json, .. } => json.into_owned().into_bytes(),
            Verdict::Running { .. } => b"it runs".to_vec(),
            Verdict::Column { rows } => format!("{rows} rows").into_bytes(),
            Verdict::Finished { output, end } => {
                all_succeeded &= Exit::from_end(end) == Exit::Success;
                [output.stdout, output.stderr].concat()
            }
            Verdict::Failed(failure) => {
                all_succeeded = false;
                format!("{}: {}", failure.code.as_str(), failure.message).into_bytes()
            }
        };
        let text = String::from_utf8_lossy(&text);
        print(&format!("result   {}\n", text.trim_end().replace('\n', "\n         ")))?;
    }
    print("\n")?;
    Ok(all_succeeded)
}
