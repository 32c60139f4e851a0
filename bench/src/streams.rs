//! Output that comes while a command runs: how much of it there can be, beside a bare pipe, and what computations feel of
//! many such streams.

use std::fmt::Write as _;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use transport::{Connection, Security};
use wire::Event;

use crate::load::{Question, RoundTrips, round_trips};
use crate::machine::Python;

/// What the command of the throughput writes.
const BYTES: u64 = 256 * 1024 * 1024;

/// Streams beside which computations are timed.
pub(crate) const STREAMS: usize = 64;

const PATIENCE: Duration = Duration::from_mins(1);

/// A policy with a command that writes as fast as it can, and, where there is a Python, one that writes a line each 10
/// milliseconds.
pub(crate) fn policy(python: Option<&Python>) -> String {
    let mut text = format!(
        "[commands.flood]\nprogram = '/usr/bin/head'\narguments = ['-c', '{BYTES}', '/dev/zero']\n\
         timeout = '60s'\nmax_output = '1GiB'\n"
    );
    if let Some(program) = python.and_then(Python::resolved) {
        // Writing into memory cannot fail.
        let _ = write!(
            text,
            "[commands.lines]\nprogram = '{}'\nlauncher = true\nmax_output = '1GiB'\ntimeout = '60s'\n\
             arguments = ['-c', 'import time\\nwhile True: print(\"a line\", flush=True); time.sleep(0.01)']\n",
            program.display()
        );
    }
    text
}

/// Bytes a second from a command through a server to a client that reads as fast as it can.
pub(crate) fn through_server(address: SocketAddr) -> Result<f64> {
    block_on(async {
        let connection = connect(address).await?;
        let began = Instant::now();
        let received = stream(&connection, "flood").await?;
        ensure!(received == BYTES, "{received} bytes came of {BYTES}");
        Ok(rate(began))
    })
}

/// Bytes a second from the same command through a pipe.
pub(crate) fn through_pipe() -> Result<f64> {
    let began = Instant::now();
    let mut child = Command::new("/usr/bin/head")
        .args(["-c", &BYTES.to_string(), "/dev/zero"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut pipe = child.stdout.take().context("stdout is a pipe")?;
    let (mut buffer, mut received) = (vec![0; 64 * 1024], 0_u64);
    loop {
        match pipe.read(&mut buffer)? {
            0 => break,
            count => received += count as u64,
        }
    }
    ensure!(child.wait()?.success() && received == BYTES, "head did not write what it should");
    Ok(rate(began))
}

/// Round trips of computations while [`STREAMS`] commands write lines to clients of their own.
pub(crate) fn round_trips_beside_streams(address: SocketAddr, time: Duration) -> Result<RoundTrips> {
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (first, firsts) = std::sync::mpsc::channel();
    let streams = std::thread::spawn(move || {
        block_on(async {
            let mut connections = Vec::new();
            for _ in 0..STREAMS {
                let connection = connect(address).await?;
                connection.send(request("lines"), vec![]).await?;
                connections.push(connection);
            }
            let reading = connections.iter().map(|connection| async {
                let mut events = 0_u64;
                while let Ok(received) = connection.receive().await {
                    if Event::decode(&received.body).is_none() {
                        break;
                    }
                    events += 1;
                    if events == 2 {
                        let _ = first.send(());
                    }
                }
            });
            let mut stopped = stopped;
            tokio::select! {
                _ = futures_util::future::join_all(reading) => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            }
            Ok(())
        })
    });
    for _ in 0..STREAMS {
        firsts.recv_timeout(PATIENCE).context("a stream does not come")?;
    }
    let times = round_trips(address, None, &Question::computation(), time);
    stop.send_replace(true);
    streams.join().map_err(|_| anyhow::anyhow!("a reader of streams failed"))??;
    times
}

/// Where these loads find their policy; it lies beside the log.
pub(crate) fn write_policy(log: &Path, python: Option<&Python>) -> Result<std::path::PathBuf> {
    let path = log.with_extension("toml");
    std::fs::write(&path, policy(python))?;
    Ok(path)
}

fn request(command: &str) -> Vec<u8> {
    format!(r#"{{"command_type":"os","command_name":"{command}","stream":true}}"#).into_bytes()
}

/// Reads one stream to its reply and returns how many bytes came.
async fn stream(connection: &Connection, command: &str) -> Result<u64> {
    connection.send(request(command), vec![]).await?;
    let mut bytes = 0;
    loop {
        let received =
            tokio::time::timeout(PATIENCE, connection.receive()).await.context("a stream stands still")??;
        if Event::decode(&received.body).is_some() {
            bytes += received.attachment.map_or(0, |piece| piece.len() as u64);
            continue;
        }
        let reply = wire::Reply::decode(&received.body)?;
        ensure!(matches!(reply.verdict, wire::Verdict::Finished { .. }), "{:?}", reply.verdict);
        return Ok(bytes);
    }
}

async fn connect(address: SocketAddr) -> Result<Connection> {
    let endpoint = format!("tcp://{address}");
    Ok(Connection::open(&endpoint, &Security::Plain, Duration::from_secs(10)).await?)
}

fn rate(began: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let bytes = BYTES as f64;
    bytes / began.elapsed().as_secs_f64()
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, work)
}
