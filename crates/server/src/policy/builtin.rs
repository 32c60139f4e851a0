//! The commands of a server without a configuration.
//!
//! Each is a program that the GTFOBins list does not know as a way to a file or a shell, or one that is stripped of
//! the options which would make it one (`date -f`, `hostname NAME`).

use std::time::Duration;

use jail::{Capability, Confinement, Network, Processes, User};

use super::{Command, Kind, Operand, OptionRule, OptionValue};

const PING_TIME_LIMIT: Duration = Duration::from_mins(1);

pub(super) fn commands() -> Vec<(String, Command)> {
    vec![
        (
            "ping".into(),
            Command {
                options: vec![
                    OptionRule::with_value(
                        "-c",
                        OptionValue {
                            default: Some("4".into()),
                            ..OptionValue::new("-c", Kind::integer(1, 20))
                        },
                    ),
                    OptionRule::flag("-4"),
                    OptionRule::flag("-6"),
                    OptionRule::flag("-n"),
                ],
                operands: vec![Operand::required("host", Kind::Host)],
                separator: true,
                time_limit: PING_TIME_LIMIT,
                confinement: Confinement {
                    network: Network::Machine,
                    // Where the server is root. Others ping by `net.ipv4.ping_group_range`.
                    capabilities: vec![Capability::NetRaw],
                    ..Confinement::default()
                },
                ..flags("/usr/bin/ping", &[])
            },
        ),
        ("date".into(), flags("/usr/bin/date", &[])),
        ("df".into(), flags("/usr/bin/df", &["-h", "-i", "-k", "-T"])),
        ("free".into(), flags("/usr/bin/free", &["-h", "-b", "-k", "-m", "-g", "-w"])),
        ("hostname".into(), flags("/usr/bin/hostname", &[])),
        ("id".into(), as_server("/usr/bin/id", &["-u", "-g", "-G", "-n"])),
        (
            "ps".into(),
            Command {
                confinement: Confinement { processes: Processes::Machine, ..Confinement::default() },
                ..flags("/usr/bin/ps", &["-A", "-e", "-f"])
            },
        ),
        ("uname".into(), flags("/usr/bin/uname", &["-a", "-m", "-n", "-r", "-s", "-v"])),
        ("uptime".into(), flags("/usr/bin/uptime", &["-p", "-s"])),
        ("whoami".into(), as_server("/usr/bin/whoami", &[])),
    ]
}

/// A program that tells who the server is, which a user of its jail's own would not.
fn as_server(program: &str, spellings: &[&str]) -> Command {
    let confinement = Confinement { user: User::Server, ..Confinement::default() };
    Command { confinement, ..flags(program, spellings) }
}

/// A program that takes these flags and nothing else.
fn flags(program: &str, spellings: &[&str]) -> Command {
    Command {
        options: spellings.iter().map(|spelling| OptionRule::flag(spelling)).collect(),
        ..Command::new(program)
    }
}
