//! Ends that no command brings about itself: each is told by its own name.

use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde_json::json;

use crate::jailed::{RUN_IT, Workshop, processes_marked, shell};
use crate::served::{ask, with_policy};

/// The parent of a process.
fn parent(process: i32) -> Pid {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let number = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok());
    Pid::from_raw(number.expect("a number")).expect("a parent")
}

/// What is done to the init of a jail, or to its launcher, from outside, and what the log says then.
#[test]
fn what_ends_a_jail_from_outside_is_told_by_its_name() {
    let mark = format!("end-{}", std::process::id());
    let kill = |pid: Pid| kill_process(pid, Signal::KILL).expect("there");
    // With fewer descriptors than it waits for, the init cannot wait any more.
    let starve = |pid: Pid| {
        let maximum = getrlimit(Resource::Nofile).maximum;
        prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(1), maximum }).expect("set");
    };
    let to_launcher = |pid: Pid| kill(parent(pid.as_raw_nonzero().get()));
    let cases: [(&dyn Fn(Pid), &str); 3] = [
        (&kill, "the command's jail was killed"),
        (
            &starve,
            "the command was ended because its jail could not watch it: waiting for the command failed: Invalid \
             argument (os error 22)",
        ),
        (&to_launcher, "the launcher died while the command ran"),
    ];
    for (action, reason) in cases {
        // What has lost its parent and ends wakes the init.
        let script = format!("(sleep 1 &); sh -c 'sleep 5; :' {mark}");
        let workshop = Workshop::open();
        with_policy(workshop.directory, &shell(&script, ""), async |served| {
            let connection = served.connect().await;
            let act = async {
                let marked = loop {
                    // The shell in the shell.
                    let marked = processes_marked(&mark);
                    if let Some(process) = marked.first() {
                        break *process;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                };
                let init = parent(parent(marked).as_raw_nonzero().get());
                action(init);
            };
            let (reply, ()) = tokio::join!(ask(&connection, RUN_IT), act);
            assert_eq!(reply["code"], "internal", "{reason}: {reply:#}");
            let records = served.end().await;
            let told = records.iter().any(|record| record["reason"] == json!(reason));
            assert!(told, "{reason}: {records:#?}");
            assert!(processes_marked(&mark).is_empty(), "nothing of it is left");
        });
    }
}
