//! A real server that is killed at random moments under load: whatever a client was told is in the log, whatever ran was
//! recorded before, nothing runs twice, and the log is whole again at every start.
//!
//! `BIDDEN_KILLS` says how often (`make soak`), `BIDDEN_SECONDS` how long at most.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use transport::{Connection, Security};

use crate::daemon::{BIDDEN, Daemon, log_in};
use crate::jailed::permit;
use crate::printed;
use crate::served::ask;

const KILLS: u64 = 24;
const SECONDS: u64 = 18;
const CLIENTS: u64 = 6;

/// Of so many lives of a server one is long enough for its log to be sealed.
const A_LONG_LIFE_EVERY: u64 = 6;

/// After so many kills the log is verified while the server runs; after the first ones always.
const VERIFY_EVERY: u64 = 16;

/// What a client waits for a reply before it asks again with the same id.
const PATIENCE: Duration = Duration::from_secs(5);

/// Numbers that look random and are the same in every run; what the machine makes of them is not.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What all clients see.
#[derive(Default)]
struct World {
    /// Where the server is now.
    endpoint: Mutex<String>,
    is_over: AtomicBool,
    /// What was asked with each id, and every reply that came.
    remembered: Mutex<HashMap<String, (Value, Vec<Value>)>>,
    requests: AtomicU64,
}

impl World {
    fn endpoint(&self) -> String {
        self.endpoint.lock().expect("whole").clone()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// Asks one thing after the other, and again with the same id where no reply came, until the world is over.
async fn client(world: &World, number: u64) {
    let mut dice = Dice(0x9e37_79b9 + number);
    for count in 0_u64.. {
        if world.is_over() {
            return;
        }
        let id = format!("{number}-{count}");
        let request = if dice.below(3) == 0 {
            json!({"command_type": "compute", "expression": format!("{number} + {count}"), "id": id})
        } else {
            json!({"command_type": "os", "command_name": "mark", "parameters": [id], "id": id})
        };
        world.requests.fetch_add(1, Ordering::Relaxed);
        world.remembered.lock().expect("whole").insert(id.clone(), (request.clone(), Vec::new()));
        // One time in four it asks once more although it has its reply.
        let more = usize::from(dice.below(4) == 0);
        let mut replies = 0;
        while replies <= more && !world.is_over() {
            if let Some(reply) = attempt(world, &request).await {
                if reply["code"] == "busy" || reply["code"] == "internal" {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
                replies += 1;
                world.remembered.lock().expect("whole").get_mut(&id).expect("asked").1.push(reply);
            } else {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// One request on a connection of its own: what a retry after a lost connection is.
async fn attempt(world: &World, request: &Value) -> Option<Value> {
    let endpoint = world.endpoint();
    let connection = Connection::open(&endpoint, &Security::Plain, Duration::from_secs(1)).await.ok()?;
    connection.send(request.to_string().into_bytes(), vec![]).await.ok()?;
    let received = tokio::time::timeout(PATIENCE, connection.receive()).await.ok()?.ok()?;
    Some(serde_json::from_slice(&received.body).expect("JSON"))
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(otherwise)
}

/// A server with a command that leaves a mark, whose log is sealed, and everything to check it with.
struct Scene {
    /// Where commands leave their marks. A jail has a /tmp of its own, so it lies elsewhere.
    outside: TempDir,
    key: String,
    configuration: String,
}

impl Scene {
    /// The state lies beside the configuration, in `directory`.
    fn set(directory: &Path, limits: &str) -> Self {
        let outside = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        permit(outside.path(), 0o777);
        let keygen = Command::new(BIDDEN).args(["log", "keygen"]).arg(directory.join("server.seal")).output();
        let key = printed::text(&keygen.expect("bidden starts").stdout).trim().to_owned();
        let place = outside.path().to_str().expect("UTF-8");
        let configuration = format!(
            "[server]\nseal = 'server.seal'\n[[listeners]]\nendpoint = 'tcp://127.0.0.1:*'\nplain = true\n\
             [limits]\n{limits}\n[commands.mark]\nprogram = '/bin/sh'\nlauncher = true\nwrite = ['{place}']\n\
             arguments = ['-c', 'echo \"$1\" >> {place}/marks', 'sh']\nseparator = false\n\
             operands = [{{ name = 'mark', type = 'name' }}]\n"
        );
        Self { outside, key, configuration }
    }

    /// How often each mark was left.
    fn marks(&self) -> HashMap<String, usize> {
        let text = std::fs::read_to_string(self.outside.path().join("marks")).unwrap_or_default();
        let mut marks = HashMap::new();
        for mark in text.lines() {
            *marks.entry(mark.to_owned()).or_default() += 1;
        }
        marks
    }

    /// Lets bidden itself check chain and seals.
    fn verify(&self, log: &Path, state: &Path) {
        let mut command = Command::new(BIDDEN);
        command.args(["log", "verify", "--key", &self.key, "--state"]).arg(state).arg(log);
        let output = command.output().expect("bidden starts");
        assert!(output.status.success(), "{}", printed::text(&output.stderr));
    }
}

/// The records of a log in all its files, read without anything of bidden's.
fn all_records(log: &Path) -> Vec<Value> {
    let output = Command::new("sh")
        .args([
            "-c",
            "for file in server.log*; do case $file in *.tmp) ;; *) zcat -f \"$file\" ;; esac; done",
        ])
        .current_dir(log.parent().expect("a directory"))
        .output();
    let output = output.expect("a shell");
    let mut records = BTreeMap::new();
    for line in printed::text(&output.stdout).lines() {
        let record: Value = serde_json::from_str(line).expect("JSON");
        // A file that was being compressed is there twice.
        records.insert(record["seq"].as_u64().expect("a number"), record);
    }
    assert!(records.keys().copied().eq(1..=records.len() as u64), "no record is missing");
    records.into_values().collect()
}

#[test]
fn whatever_kills_the_server_nothing_is_lost_and_nothing_runs_twice() {
    let kills = from_environment("BIDDEN_KILLS", KILLS);
    let patience = Duration::from_secs(from_environment("BIDDEN_SECONDS", SECONDS));
    let directory = tempfile::tempdir().expect("a directory");
    let (log, state) = (log_in(directory.path()), directory.path().join("server.seal"));
    let scene = Scene::set(directory.path(), "log_bytes = 262144");
    let mut daemon = Daemon::in_directory(directory, &scene.configuration);
    let world = Arc::new(World::default());
    let go_to = |daemon: &Daemon| world.endpoint.lock().expect("whole").clone_from(&daemon.endpoint);
    go_to(&daemon);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let world = Arc::clone(&world);
            std::thread::spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                tokio::task::LocalSet::new().block_on(&runtime, client(&world, number));
            })
        })
        .collect();
    let mut dice = Dice(std::process::id().into());
    let began = Instant::now();
    let (mut done, mut torn) = (0, 0);
    while done < kills && began.elapsed() < patience {
        let life = if dice.below(A_LONG_LIFE_EVERY) == 0 { 950 + dice.below(300) } else { dice.below(150) };
        std::thread::sleep(Duration::from_millis(life));
        let directory = daemon.kill();
        torn += tear(&log, &mut dice);
        daemon = Daemon::again(directory);
        go_to(&daemon);
        // A long log takes its time: not after every kill then.
        if done < 2 * VERIFY_EVERY || done % VERIFY_EVERY == 0 {
            scene.verify(&log, &state);
        }
        done += 1;
    }
    world.is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("it ends");
    }
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().success());
    scene.verify(&log, &state);
    let records = all_records(&log);
    let removed: u64 = records.iter().filter_map(|record| record["torn_bytes_removed"].as_u64()).sum();
    assert_eq!(removed, torn, "what was torn is noted");
    let seen = check(&world, &records, &scene.marks());
    eprintln!("{done} kills in {:.1} s, {} records, {seen}", began.elapsed().as_secs_f64(), records.len());
    assert!(done >= 5 && world.requests.load(Ordering::Relaxed) > 50);
}

/// Now and then leaves a line that was cut short, as a crash of the machine would. Returns how many bytes the next server
/// has to remove.
fn tear(log: &Path, dice: &mut Dice) -> u64 {
    let Ok(mut file) = std::fs::File::options().append(true).open(log) else { return 0 };
    let text = std::fs::read(log).expect("a log");
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let torn = (text.len() - whole) as u64;
    if torn > 0 || dice.below(3) > 0 {
        return torn;
    }
    let line = b"{\"seq\":1234567,\"time\":\"2026-11-24T12:00:00.000000Z\",\"event\":\"answered\"";
    let length = 1 + dice.below(line.len() as u64 - 1);
    file.write_all(&line[..usize::try_from(length).expect("small")]).expect("written");
    length
}

/// Holds what the clients remember and what the commands left behind against the records, and says what there was.
fn check(world: &World, records: &[Value], marks: &HashMap<String, usize>) -> String {
    let of = |event: &str| records.iter().filter(|record| record["event"] == event).collect::<Vec<_>>();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut started: HashMap<String, usize> = HashMap::new();
    for record in of("started") {
        *started.entry(text(&record["request"]["id"])).or_default() += 1;
    }
    let mut answered: HashMap<String, usize> = HashMap::new();
    for record in of("answered") {
        *answered.entry(text(&record["reply"]["id"])).or_default() += 1;
    }
    let ended: HashMap<String, &Value> =
        of("ended").into_iter().map(|record| (text(&record["job"]), &record["reply"])).collect();
    for (mark, times) in marks {
        assert_eq!(*times, 1, "{mark} was executed once");
        assert_eq!(started.get(mark), Some(&1), "{mark} was recorded before it ran");
    }
    assert!(started.values().all(|times| *times == 1), "no id was started twice");
    let (mut replies, mut unknown, mut again) = (0, 0, 0);
    for (id, (request, told)) in world.remembered.lock().expect("whole").iter() {
        assert!(answered.get(id).copied().unwrap_or(0) >= told.len(), "{id}: a reply without a record");
        replies += told.len();
        again += told.len().saturating_sub(1);
        let mut was_told = false;
        for reply in told {
            assert_eq!(reply["id"], id.as_str());
            if request["command_type"] == "compute" {
                let (number, count) = id.split_once('-').expect("two numbers");
                let sum = number.parse::<u64>().expect("a number") + count.parse::<u64>().expect("a number");
                assert_eq!(reply["result"], sum, "{reply}");
                continue;
            }
            match reply["code"].as_str() {
                None => {
                    was_told = true;
                    assert_eq!((&reply["exit_code"], marks.get(id)), (&json!(0), Some(&1)), "{reply}");
                    assert_eq!(ended[&text(&reply["job"])]["exit_code"], 0);
                }
                Some("unknown_outcome") => {
                    unknown += 1;
                    assert!(!was_told, "{id} had an end, and has none any more");
                    assert_eq!(started.get(id), Some(&1));
                }
                // Its record is in an older file.
                Some("gone") => assert_eq!(started.get(id), Some(&1)),
                Some(_) => panic!("{request}: {reply}"),
            }
        }
    }
    format!("{replies} replies, {again} of them again, {unknown} unknown ends, {} commands", marks.len())
}

fn said(daemon: &Daemon) -> String {
    daemon.stderr().join("\n")
}

/// A small file system of its own, until it is dropped.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(place: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=512k,mode=755", "bidden-test"]).arg(place);
        let output = mount.output().ok()?;
        output.status.success().then(|| Self(place.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[tokio::test]
async fn a_full_disk_stops_the_work_is_told_and_leaves_no_gap() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(_disk) = SmallDisk::mount(directory.path()) else {
        eprintln!(
            "SKIPPED: a_full_disk_stops_the_work_is_told_and_leaves_no_gap: no file system can be mounted here"
        );
        return;
    };
    let path = directory.path().to_owned();
    let (log, state, filler) = (log_in(&path), path.join("server.seal"), path.join("filler"));
    let scene = Scene::set(&path, "commands_at_once = 8");
    std::fs::write(&filler, vec![b'x'; 64 * 1024]).expect("written");
    let mut daemon = Daemon::in_directory(directory, &scene.configuration);
    let connection = Connection::open(&daemon.endpoint, &Security::Plain, PATIENCE).await.expect("connected");
    let mut told = Vec::new();
    let mut count = 0;
    let mut compute = async || {
        count += 1;
        // Longer than a block of the disk, now and then, so that it takes a part of a line.
        let expression = format!("1{}", " + 0".repeat(if count % 7 == 0 { 1500 } else { 1 }));
        let id = count.to_string();
        let reply = ask(
            &connection,
            &json!({"command_type": "compute", "expression": expression, "id": id}).to_string(),
        )
        .await;
        match reply["code"].as_str() {
            None => told.push(id),
            code => assert_eq!(code, Some("internal"), "{reply}"),
        }
        reply["status"] == "success"
    };
    while compute().await {}
    for _ in 0..20 {
        assert!(!compute().await, "nothing is computed");
    }
    let mark =
        |mark: &str| json!({"command_type": "os", "command_name": "mark", "parameters": [mark]}).to_string();
    assert_eq!(ask(&connection, &mark("full")).await["code"], "internal");
    // What the server says of itself is what operators ask then.
    let metrics = ask(&connection, r#"{"command_type": "metrics"}"#).await;
    assert!(metrics["result"]["log"]["problem"].is_string(), "{metrics}");
    for question in ["jobs", "describe"] {
        let told = ask(&connection, &json!({"command_type": question}).to_string()).await;
        assert_eq!(told["status"], "success", "{told}");
    }
    let history = ask(&connection, r#"{"command_type": "history"}"#).await;
    assert_eq!(history["code"], "internal", "{history}");
    let text = std::fs::read_to_string(&log).expect("text");
    assert!(text.ends_with('\n'), "no part of a line stays");
    // Sealing waits too, and does not give up.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(said(&daemon).contains("cannot write the log: No space left on device"), "{}", said(&daemon));
    std::fs::remove_file(&filler).expect("removed");
    let began = Instant::now();
    while !compute().await {
        assert!(began.elapsed() < PATIENCE, "it goes on when there is room");
    }
    // It was said before the reply; whoever reads it here may still be on the way.
    while !said(&daemon).contains("the log can be written again") {
        assert!(began.elapsed() < PATIENCE, "{}", said(&daemon));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(ask(&connection, &mark("room")).await["exit_code"], 0);
    drop(connection);
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().success(), "{}", said(&daemon));
    assert_eq!(scene.marks().into_keys().collect::<Vec<_>>(), ["room"]);
    let records = crate::daemon::records(&log);
    for id in told {
        assert!(records.iter().any(|record| record["reply"]["id"] == id.as_str()), "{id} has a record");
    }
    scene.verify(&log, &state);
}
