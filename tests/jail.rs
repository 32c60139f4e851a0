//! What a command finds around itself, how its end is told, what its rule may change, and that the built-in commands do
//! their work in the jail.

use std::path::Path;

use jail::ServerFiles;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::jailed::{RUN_IT, Workshop, permit, rule, shell, wait_until_gone};
use crate::served::{ask, with_keeper, with_policy};

fn run(script: &str, keys: &str) -> Value {
    Workshop::open().run(&shell(script, keys), RUN_IT)
}

fn told(reply: &Value) -> &str {
    reply["result"].as_str().unwrap_or_else(|| panic!("{reply:#}"))
}

#[test]
fn streams_and_exit_status_are_told_apart() {
    let reply = run("echo out; echo err >&2; exit 3", "");
    assert_eq!((told(&reply), &reply["stderr"], &reply["exit_code"]), ("out\n", &json!("err\n"), &json!(3)));
    assert_eq!(run("kill -USR1 $$", "")["signal"], Signal::USR1.as_raw());
}

#[test]
fn arguments_arrive_byte_for_byte() {
    let arguments = ["<%s>", "$(id)", "`id`", ";|&><*?[]{}~!#", "a b", "", "\\", "ü"];
    let reply = Workshop::open().run(&rule(Path::new("/usr/bin/printf"), &arguments, ""), RUN_IT);
    assert_eq!(told(&reply), format!("<{}>", arguments[1..].join("><")));
}

#[test]
fn the_environment_is_the_fixed_list() {
    let reply = run("/usr/bin/env | cut -d= -f1 | sort", "");
    assert_eq!(told(&reply), "HOME\nLANG\nPATH\nPWD\n", "PWD is the shell's own");
    let reply =
        run("echo $GREETING $LANG; ls -A $HOME", "environment = { GREETING = \"hello\", LANG = \"C\" }");
    assert_eq!(told(&reply), "hello C\n", "and HOME is empty");
}

#[test]
fn descriptors_are_three_and_stdin_is_empty() {
    // The shell itself opens the directory to list it; nothing else may be there.
    let reply = run("cat; cd /proc/self/fd; echo *; ulimit -n", "");
    let listed: Vec<_> = told(&reply).split_whitespace().collect();
    assert!(listed.starts_with(&["0", "1", "2"]) && listed.len() <= 5, "{listed:?}");
    assert_eq!(listed.last(), Some(&"1024"));
}

#[test]
fn the_command_leads_its_own_session() {
    let reply = run("cut -d' ' -f6 /proc/$$/stat; echo $$; umask; pwd", "");
    let lines: Vec<_> = told(&reply).lines().collect();
    assert_eq!((lines[0], &lines[2..]), (lines[1], &["0077", "/"][..]), "its session has its own number");
}

#[test]
fn what_the_client_sends_is_read_where_the_rule_permits_it() {
    let request =
        |stdin: &str| json!({"command_type": "os", "command_name": "it", "stdin": stdin}).to_string();
    let long = "line\n".repeat(5000);
    let reply = Workshop::open().run(&shell("wc -l; wc -c", "stdin = true"), &request(&long));
    assert_eq!(told(&reply), "5000\n0\n");
    let reply = Workshop::open().run(&shell("cat", ""), &request("x"));
    assert_eq!(
        (&reply["code"], &reply["message"]),
        (&json!("invalid_parameters"), &json!("this command takes no `stdin`"))
    );
}

#[test]
fn a_rule_says_where_and_how_a_command_works() {
    let keys = "working_directory = \"/usr/bin\"\numask = \"022\"\nmax_processes = 100\nmemory = \"512MiB\"";
    let reply = run("pwd; umask; ulimit -v; cat /proc/sys/kernel/pid_max", keys);
    assert_eq!(told(&reply), "/usr/bin\n0022\n524288\n400\n");
}

#[test]
fn a_rule_names_the_user_and_the_groups() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: a_rule_names_the_user_and_the_groups: only root can become someone else");
        return;
    }
    let script = "id -u; id -g; id -G; grep -E '^(Cap|NoNewPrivs)' /proc/self/status | tr -s '\\t\\n' '  '";
    let none = "CapInh: 0000000000000000 CapPrm: 0000000000000000 CapEff: 0000000000000000 CapBnd: 0000000000000000 \
                CapAmb: 0000000000000000 NoNewPrivs: 1 ";
    let reply = run(script, "");
    assert_eq!(told(&reply), format!("0\n0\n0\n{none}"), "root without any capability");
    let reply = run(script, "user = \"nobody\"\ngroups = [\"7\", \"8\"]");
    let group = std::fs::read_to_string("/etc/passwd").expect("text");
    let group =
        group.lines().find_map(|line| line.strip_prefix("nobody:")?.split(':').nth(2)).expect("a group");
    assert_eq!(told(&reply), format!("65534\n{group}\n{group} 7 8\n{none}"));
    let reply = run(script, "user = \"nobody\"\ncapabilities = [\"net_bind_service\"]");
    assert!(
        told(&reply).contains("CapEff: 0000000000000400 CapBnd: 0000000000000400 CapAmb: 0000000000000400"),
        "{reply:#}"
    );
}

#[test]
fn a_change_of_user_that_fails_ends_the_start() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: a_change_of_user_that_fails_ends_the_start: only root can become someone else");
        return;
    }
    let workshop = Workshop::open();
    let mut keeper = std::process::Command::new(workshop.attack("refuse_user_change"));
    keeper.arg(crate::daemon::BIDDEN);
    let policy = shell("id", "user = \"nobody\"");
    with_keeper(keeper, workshop.directory, &policy, async |served| {
        let connection = served.connect().await;
        let reply = ask(&connection, RUN_IT).await;
        let records = served.stop().await;
        let reason = records.iter().find_map(|record| record["reason"].as_str()).expect("a reason");
        assert!(reason.contains("could not be confined: user: Resource temporarily unavailable"), "{reason}");
        assert_eq!(
            (&reply["code"], &reply["result"]),
            (&json!("failed_to_start"), &Value::Null),
            "{reply:#}"
        );
    });
}

#[test]
fn the_server_executes_nothing_and_opens_nothing() {
    // What the server does to itself, done to a thread of this test.
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("server.log");
    let files = ServerFiles { write: vec![directory.path().to_owned()], ..ServerFiles::default() };
    let confined = std::thread::spawn(move || {
        assert!(std::process::Command::new("/bin/true").status().is_ok(), "before, it can");
        std::fs::read("/etc/passwd").expect("before, it can");
        jail::irrevocably_confine_server(&files).expect("confined");
        let refused = std::process::Command::new("/bin/true").status().expect_err("after, it cannot");
        assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
        let refused = std::fs::read("/etc/passwd").expect_err("after, it cannot");
        assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
        std::fs::write(&log, "its own").expect("its own files it can write");
        std::thread::spawn(|| {}).join().expect("it can have threads");
    });
    confined.join().expect("a thread");
    // And the server has done it.
    let daemon = Daemon::start();
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.process())).expect("a process");
    assert!(status.contains("Seccomp:\t2\n") && status.contains("NoNewPrivs:\t1\n"), "{status}");
    daemon.stop();
}

#[test]
fn a_changed_program_is_refused_until_the_policy_is_read_again() {
    let workshop = Workshop::open();
    let program = workshop.directory.path().join("program");
    std::fs::write(&program, "#!/bin/sh\necho before\n").expect("written");
    permit(&program, 0o755);
    let policy = rule(&program, &[], "");
    with_policy(workshop.directory, &policy, async |served| {
        let connection = served.connect().await;
        assert_eq!(ask(&connection, RUN_IT).await["result"], "before\n");
        std::fs::write(&program, "#!/bin/sh\necho after\n").expect("written");
        assert_eq!(ask(&connection, RUN_IT).await["code"], "refused");
        let records = served.stop().await;
        let reason = records.iter().find_map(|record| record["reason"].as_str()).expect("a reason");
        assert!(reason.contains("has changed since the policy was loaded"), "{reason}");
    });
}

#[test]
fn usage_is_told_in_reply_and_log() {
    let workshop = Workshop::open();
    let policy = shell("echo 12345; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done", "");
    with_policy(workshop.directory, &policy, async |served| {
        let connection = served.connect().await;
        let reply = ask(&connection, RUN_IT).await;
        let usage = &reply["usage"];
        assert_eq!(usage["output_bytes"], 6);
        assert!(usage["cpu_ms"].as_f64().is_some_and(|used| used > 1.0), "{usage}");
        assert!(usage["peak_memory_bytes"].as_u64().is_some_and(|peak| peak > 500_000), "{usage}");
        let records = served.stop().await;
        assert_eq!(records[2]["reply"]["usage"], *usage);
    });
}

#[test]
fn every_built_in_command_does_its_work_in_the_jail() {
    let daemon = Daemon::start();
    let says: [(&str, &[&str], &str); 10] = [
        ("date", &[], "20"),
        ("df", &["-k"], "1K-blocks"),
        ("free", &["-b"], "Mem:"),
        ("hostname", &[], ""),
        ("id", &["-u"], ""),
        ("ps", &["-e"], "bidden"),
        ("uname", &["-s"], "Linux"),
        ("uptime", &[], "up"),
        ("whoami", &[], ""),
        ("ping", &["-c", "1", "127.0.0.1"], "1 packets transmitted, 1 received"),
    ];
    let policy = server::policy::Policy::builtin();
    assert!(policy.commands().keys().all(|name| says.iter().any(|(known, ..)| known == name)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let connection = transport::Connection::open(
            &daemon.endpoint,
            &transport::Security::Plain,
            std::time::Duration::from_secs(5),
        )
        .await;
        let connection = connection.expect("the server answers");
        for (name, parameters, words) in says {
            let request = json!({"command_type": "os", "command_name": name, "parameters": parameters});
            let reply = ask(&connection, &request.to_string()).await;
            assert_eq!((&reply["exit_code"], &reply["stderr"]), (&json!(0), &json!("")), "{name}: {reply:#}");
            assert!(told(&reply).contains(words) && !told(&reply).is_empty(), "{name}: {reply:#}");
        }
    });
    daemon.stop();
}

/// Programs tell their own packets from those of others by their process number.
#[test]
fn commands_that_run_side_by_side_have_different_process_numbers() {
    let workshop = Workshop::open();
    with_policy(workshop.directory, &shell("echo $$", ""), async |served| {
        let connection = served.connect().await;
        let mut numbers = std::collections::BTreeSet::new();
        for _ in 0..50 {
            let reply = ask(&connection, RUN_IT).await;
            numbers.insert(told(&reply).to_owned());
        }
        assert_eq!(numbers.len(), 50, "{numbers:?}");
        served.stop().await;
    });
}

#[test]
fn when_the_launcher_dies_the_server_says_so_and_has_another() {
    let mark = format!("7{:05}", std::process::id() % 100_000);
    let policy = "[commands.sleep]\nprogram = \"/bin/sleep\"\ntimeout = \"20s\"\noperands = [{ name = \"seconds\", type = \"integer\", min = 0, max = 1000000 }]\n";
    with_policy(tempfile::tempdir().expect("a directory"), policy, async |served| {
        let connection = served.connect().await;
        let request =
            |seconds: &str| json!({"command_type": "os", "command_name": "sleep", "parameters": [seconds]});
        assert_eq!(ask(&connection, &request("0").to_string()).await["exit_code"], 0);
        connection.send(request(&mark).to_string().into_bytes(), vec![]).await.expect("sent");
        while crate::jailed::processes_marked(&mark).is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let word = served.configuration().to_string_lossy().into_owned();
        let keeper = only_child(std::process::id(), &word);
        let launcher = only_child(keeper, &word);
        rustix::process::kill_process(pid(launcher), Signal::KILL).expect("alive");
        let lost = crate::served::receive(&connection).await;
        assert_eq!(lost["code"], "internal", "{lost:#}");
        wait_until_gone(&mark);
        let next = ask(&connection, &request("0").to_string()).await;
        assert_eq!(next["exit_code"], 0, "{next:#}");
        assert_ne!(only_child(keeper, &word), launcher);
        let records = served.stop().await;
        let events: Vec<_> = records.iter().filter_map(|record| record["event"].as_str()).collect();
        let told: Vec<_> = events.iter().filter(|event| event.starts_with("launcher")).collect();
        assert_eq!(told, [&"launcher_died", &"launcher_started"]);
    });
}

#[test]
fn without_the_keeper_the_server_ends_in_order_so_that_it_is_started_anew() {
    let mark = format!("9{:05}", std::process::id() % 100_000);
    let policy = "[commands.sleep]\nprogram = \"/bin/sleep\"\ntimeout = \"20s\"\noperands = [{ name = \"seconds\", type = \"integer\", min = 0, max = 1000000 }]\n";
    let mut daemon = Daemon::configured(policy);
    let request = daemon.configuration().with_file_name("request.json");
    let sleep = json!({"command_type": "os", "command_name": "sleep", "parameters": [mark]});
    std::fs::write(&request, sleep.to_string()).expect("written");
    let client = std::process::Command::new(crate::daemon::BIDDEN)
        .args(["send", "--to", &daemon.endpoint])
        .arg(&request)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("bidden starts");
    daemon.wait_for_start_of_command();
    let keeper = only_child(daemon.process(), &daemon.configuration().to_string_lossy());
    rustix::process::kill_process(pid(keeper), Signal::KILL).expect("alive");
    assert_eq!(daemon.wait().code(), Some(125), "so that a service manager starts it anew");
    let answered = client.wait_with_output().expect("ended").stdout;
    let reply: Value = serde_json::from_slice(&answered).expect("JSON");
    assert_eq!(reply["code"], "internal", "what ran is answered: {reply:#}");
    wait_until_gone(&mark);
    let records = crate::daemon::records(&daemon.log());
    let events: Vec<_> = records.iter().filter_map(|record| record["event"].as_str()).collect();
    assert!(events.contains(&"launcher_died") && events.contains(&"keeper_died"), "{events:?}");
    assert_eq!(events.last(), Some(&"server_stopped"));
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.try_into().expect("a process")).expect("a process")
}

/// The child of a process that has this word in its command line; tests of this program run side by side.
fn only_child(parent: u32, word: &str) -> u32 {
    let mut found = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{parent}/task")).expect("a process").flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    found.retain(|child| {
        let line = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        line.split(|&byte| byte == 0).any(|part| part == word.as_bytes())
    });
    *found.first().expect("a child")
}

#[test]
fn with_the_server_everything_ends() {
    let mark = format!("8{:05}", std::process::id() % 100_000);
    let policy = "[commands.sleep]\nprogram = \"/bin/sleep\"\ntimeout = \"1h\"\noperands = [{ name = \"seconds\", type = \"integer\", min = 0, max = 1000000 }]\n";
    let mut daemon = Daemon::configured(policy);
    let mut client = std::process::Command::new(crate::daemon::BIDDEN)
        .args(["run", "--to", &daemon.endpoint, "sleep", &mark])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("bidden starts");
    while crate::jailed::processes_marked(&mark).len() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    daemon.signal(Signal::KILL);
    daemon.wait();
    // It would look for its server again.
    client.kill().expect("killed");
    client.wait().expect("ended");
    wait_until_gone(&mark);
    let configuration = daemon.configuration().to_string_lossy().into_owned();
    wait_until_gone(&configuration);
}

/// Runs a shell script in a network of its own as root, for tests that set what belongs to a network.
fn in_own_network(script: &str) -> Option<std::process::Output> {
    let output = std::process::Command::new("unshare").args(["--net", "sh", "-c", script]).output().ok()?;
    (output.status.code() != Some(127)).then_some(output)
}

#[test]
fn an_ordinary_user_s_commands_are_jailed_too_and_ping_says_what_it_lacks() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: an_ordinary_user_s_commands_are_jailed_too: only root can become one for a test");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    permit(directory.path(), 0o755);
    let bidden = directory.path().join("bidden");
    std::fs::hard_link(crate::daemon::BIDDEN, &bidden)
        .or_else(|_| std::fs::copy(crate::daemon::BIDDEN, &bidden).map(drop))
        .expect("copied");
    let as_nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    let bidden = bidden.to_str().expect("UTF-8");
    let run = |range: &str, mode: &str| {
        let script = format!(
            "ip link set lo up && echo '{range}' > /proc/sys/net/ipv4/ping_group_range && exec {as_nobody} {bidden} {mode}"
        );
        in_own_network(&script).map(|output| {
            let streams =
                [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            streams.concat()
        })
    };
    let Some(doctor) = run("1 0", "doctor --json") else {
        eprintln!("SKIPPED: an_ordinary_user_s_commands_are_jailed_too: there is no unshare, ip or setpriv");
        return;
    };
    let report: Value = serde_json::from_str(&doctor).unwrap_or_else(|_| panic!("{doctor}"));
    assert_eq!(
        (&report["privilege"], &report["complete"], &report["ping"]),
        (&json!("user_namespace"), &json!(true), &json!("no")),
        "{report:#}"
    );
    let refused = run("1 0", "demo").expect("a demo");
    assert!(refused.contains("missing cap_net_raw"), "{refused}");
    let pinged = run("0 65534", "demo").expect("a demo");
    assert!(pinged.contains("4 packets transmitted, 4 received"), "{pinged}");
}

#[test]
fn what_is_demanded_of_the_jail_is_had_or_the_server_does_not_start() {
    let (directory, other) =
        (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let path = directory.path().join("bidden.toml");
    std::fs::write(&path, "[server]\njail = \"required\"\n").expect("written");
    let mut serve = std::process::Command::new(crate::daemon::BIDDEN);
    serve.args(["serve", "--listen", "tcp://127.0.0.1:*", "--log"]).arg(crate::daemon::log_in(other.path()));
    serve.arg("--config").arg(&path).stderr(std::process::Stdio::piped()).stdin(std::process::Stdio::null());
    let doctor = std::process::Command::new(crate::daemon::BIDDEN)
        .args(["doctor", "--json"])
        .output()
        .expect("it starts");
    let report: Value = serde_json::from_slice(&doctor.stdout).expect("JSON");
    assert_eq!(doctor.status.success(), report["complete"] == true);
    let mut server = serve.spawn().expect("it starts");
    let mut first = String::new();
    let stderr = server.stderr.take().expect("stderr");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stderr), &mut first).expect("text");
    if report["complete"] == true {
        assert!(first.contains(" listens on "), "{first}");
    } else {
        assert!(first.contains("cannot confine commands as is demanded"), "{first}");
    }
    let _ = server.kill();
    server.wait().expect("it was started");
}
