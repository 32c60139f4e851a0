//! Ten times what a server can carry: one user asks for far too much, on many connections, and another asks politely.
//! Every request is to be answered or refused, the polite one to be served, and the server's memory to stay flat.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use transport::{Connection, KeyPair, Security, write_certificates};
use wire::{PublicKey, Reply, Verdict};

use crate::servers::{self, Start};
use crate::soak::resident_kib;

/// Connections of the greedy user, half of them for computations, half for commands.
const GREEDY: usize = 16;

/// Requests that each keeps under way: together far more than can run and wait.
const UNDER_WAY: usize = 128;

/// What the server may grow by once the load is there: what its queues hold.
const MOST_GROWTH_KIB: u64 = 16 * 1024;

/// Time for the load to be there, before memory counts.
const WARMING_UP: Duration = Duration::from_secs(5);

const PATIENCE: Duration = Duration::from_mins(1);

const COMPUTE: &str = r#"{"command_type":"compute","expression":"factorial(300) % 1000003"}"#;
const RUN: &str = r#"{"command_type":"os","command_name":"nap"}"#;

/// How often each answer came.
type Answers = Rc<RefCell<BTreeMap<String, u64>>>;

/// Asks for too much for so long, prints what came of it, and fails where a promise does not hold.
pub(crate) fn overload(time: Duration) -> Result<()> {
    let directory = std::env::current_exe()?.with_file_name(format!("overload-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let (server_key, greedy, polite) = (KeyPair::generate(), KeyPair::generate(), KeyPair::generate());
    write_certificates(&directory.join("server"), &server_key)?;
    let configuration = directory.join("bidden.toml");
    fs::write(&configuration, configuration_of(&greedy.public(), &polite.public()))?;
    let started = servers::spawn_bidden(&directory.join("server.log"), Some(&configuration))?;
    let Start::Running(server) = started else { bail!("there is no bidden beside this program") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let security = |key: &KeyPair| Security::Curve { key: key.clone(), server_key: server_key.public() };
    let load = load(server.address, server.process(), security(&greedy), security(&polite), time);
    let loaded = tokio::task::LocalSet::new().block_on(&runtime, load);
    drop(server);
    fs::remove_dir_all(&directory).context("cannot remove what this made")?;
    loaded
}

fn configuration_of(greedy: &PublicKey, polite: &PublicKey) -> String {
    format!(
        "[[listeners]]\nendpoint = 'tcp://127.0.0.1:0'\nkey = 'server.key_secret'\n\
         [commands.nap]\nprogram = '/bin/sleep'\narguments = ['0.2']\nseparator = false\n\
         [roles.all]\ncommands = ['nap']\nrights = ['compute']\n\
         [users.greedy]\npublic_key = '{greedy}'\nroles = ['all']\n\
         [users.polite]\npublic_key = '{polite}'\nroles = ['all']\n\
         [limits]\nlog_files = 1\n"
    )
}

async fn load(
    address: SocketAddr,
    server: u32,
    greedy: Security,
    polite: Security,
    time: Duration,
) -> Result<()> {
    let until = Instant::now() + WARMING_UP + time;
    let answers = [(); 3].map(|()| Answers::default());
    let mut tasks = Vec::new();
    for number in 0..GREEDY {
        let connection = connect(address, &greedy).await?;
        let (request, answers) =
            if number.is_multiple_of(2) { (COMPUTE, &answers[0]) } else { (RUN, &answers[1]) };
        tasks.push(tokio::task::spawn_local(ask_too_much(connection, request, Rc::clone(answers), until)));
    }
    let connection = connect(address, &polite).await?;
    let polite = tokio::task::spawn_local(ask_politely(connection, Rc::clone(&answers[2]), until));
    tokio::time::sleep(WARMING_UP).await;
    let before = resident_kib(server)?;
    let mut most = before;
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(500)).await;
        most = most.max(resident_kib(server)?);
    }
    for task in tasks {
        task.await??;
    }
    let mut waits = polite.await??;
    waits.sort_unstable();
    let wait = |percent: usize| {
        let index = (waits.len() * percent / 100).min(waits.len().saturating_sub(1));
        waits.get(index).copied().unwrap_or_default()
    };
    for (who, answers) in ["greedy, computations", "greedy, commands", "polite"].iter().zip(&answers) {
        println!("{who}: {:?}", answers.borrow());
    }
    println!("polite, waits: p50 {:?}, p99 {:?}, longest {:?}", wait(50), wait(99), wait(100));
    println!("server: {before} KiB at the beginning, {most} KiB at most");
    let polite = answers[2].borrow();
    ensure!(polite.keys().all(|answer| answer == "success"), "a polite request was refused: {polite:?}");
    ensure!(most <= before + MOST_GROWTH_KIB, "the server grew from {before} to {most} KiB");
    println!("every request was answered, the polite user was served, and memory stayed flat");
    Ok(())
}

/// Keeps many requests under way, comes again at once whatever the answer is, and waits for all answers at the end.
async fn ask_too_much(
    connection: Connection,
    request: &'static str,
    answers: Answers,
    until: Instant,
) -> Result<()> {
    let mut under_way = 0_usize;
    loop {
        while under_way < UNDER_WAY && Instant::now() < until {
            connection.send(request.into(), vec![]).await?;
            under_way += 1;
        }
        if under_way == 0 {
            return Ok(());
        }
        count(&connection, &answers).await?;
        under_way -= 1;
    }
}

/// One request after the other: a computation, and now and then a command. How long each took.
async fn ask_politely(connection: Connection, answers: Answers, until: Instant) -> Result<Vec<Duration>> {
    let mut waits = Vec::new();
    while Instant::now() < until {
        for (request, takes) in [(COMPUTE, Duration::ZERO), (RUN, Duration::from_millis(200))] {
            let asked = Instant::now();
            connection.send(request.into(), vec![]).await?;
            count(&connection, &answers).await?;
            waits.push(asked.elapsed().saturating_sub(takes));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(waits)
}

async fn count(connection: &Connection, answers: &Answers) -> Result<()> {
    let received = tokio::time::timeout(PATIENCE, connection.receive()).await.context("no answer came")??;
    let answer = match Reply::decode(&received.body)?.verdict {
        Verdict::Failed(failure) => failure.code.as_str().to_owned(),
        Verdict::Value { .. }
        | Verdict::Column { .. }
        | Verdict::Finished { .. }
        | Verdict::Running { .. } => "success".to_owned(),
    };
    *answers.borrow_mut().entry(answer).or_default() += 1;
    Ok(())
}

async fn connect(address: SocketAddr, security: &Security) -> Result<Connection> {
    Ok(Connection::open(&format!("tcp://{address}"), security, Duration::from_secs(10)).await?)
}
