//! The command line: one struct for each mode, holding only what that mode uses.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use client::{RequestId, Variable};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use server::VerificationKey;

use crate::columns::ColumnFile;
use crate::variable;

/// Runs that command or computes that formula on another machine, and nothing else.
#[derive(Debug, Parser)]
#[command(
    name = "bidden",
    version,
    arg_required_else_help = true,
    after_help = "\
Start here:
  bidden demo                      see both kinds of work done, through real sockets
  bidden serve                     serve this machine, in a terminal of its own
  bidden run ping 127.0.0.1        run an allow-listed command there
  bidden compute '(6 + 4) * 8'     compute an expression there
  bidden init DIR                  make keys and a configuration, for other machines

Exit codes of run, result, jobs, cancel, compute, commands and send:
  the remote command's own; 128+n if signal n ended it; 124 out of time;
  126 refused; 1 the expression is wrong or has no value;
  130 or 143 if Ctrl-C or SIGTERM ended the command or the waiting;
  125 anything else, with a message: no server, a command that was cancelled,
  one whose end is unknown because the server died, a job that does not exist"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) mode: Mode,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Serve requests until Ctrl-C or SIGTERM
    Serve(Serve),
    /// Run a command that the server allows
    Run(Run),
    /// List my jobs: the commands that run, and those that ended lately
    Jobs(Jobs),
    /// Show what a job has printed, and end as it did
    Result(JobResult),
    /// End a job, with all its processes
    Cancel(Cancel),
    /// Compute an expression with Python's arithmetic
    Compute(Compute),
    /// List what the server lets me run, with the rules for arguments
    Commands(Commands),
    /// Say how a server does, as a text file of metrics for Prometheus
    Metrics(Metrics),
    /// Check, explain and test a configuration
    #[command(subcommand)]
    Policy(Policy),
    /// Show who ran and computed what on this machine, when and with what result
    History(History),
    /// Check a log, or make what seals it
    #[command(subcommand)]
    Log(Log),
    /// Send a request as it is and print the reply as it is
    Send(Send),
    /// Make a configuration with keys, for the server and for yourself
    Init(Init),
    /// Invite somebody to a server: print what `bidden accept` needs
    Invite(Invite),
    /// Accept an invitation to a server
    Accept(Accept),
    /// Make a key pair, as files that every ZeroMQ program reads
    Keygen(Keygen),
    /// Say what this machine can do to confine commands, and what is missing
    #[command(after_help = "\
The exit code is 0 if the machine has all that `jail = \"required\"` demands, and 1 if not.")]
    Doctor(Doctor),
    /// Start commands for a server: what `serve` uses itself
    #[command(hide = true)]
    Launch(Launch),
    /// Start a server inside, send it two examples, and show what came back
    #[command(after_help = "The exit code is 0 only if both examples succeeded.")]
    Demo,
}

#[derive(Args, Debug)]
#[command(after_help = "\
The configuration is the file of --config, of $BIDDEN_CONFIG, or
/etc/bidden/bidden.toml; docs/policy.md explains it. SIGHUP reloads commands and
users. Without a configuration the server is reachable from this machine only and runs
a fixed list of harmless commands: date, df, free, hostname, id, ping, ps, uname,
uptime, whoami.

On Ctrl-C or SIGTERM it takes no new work, lets what runs come to its end for 10
seconds (or as long as the configuration says), answers everyone and exits 0. A second Ctrl-C ends at once what runs.

Examples:
  bidden serve
  bidden serve --config bidden.toml
  bidden serve --listen 'tcp://127.0.0.1:*' --log /var/log/bidden/server.log")]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) source: Source,
    #[arg(
        long,
        value_name = "ENDPOINT",
        help = "Where to listen, whatever the configuration says; port 0 or * takes a free one [default: tcp://127.0.0.1:5555]"
    )]
    pub(crate) listen: Option<String>,
    /// The log, whatever the configuration says: one JSON record a line [default: server.log]
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// The state that seals the log, of `bidden log keygen`, whatever the configuration says
    #[arg(long, value_name = "FILE")]
    pub(crate) seal: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Print it as JSON instead
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Launch {
    /// The configuration; without it the built-in one
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Which configuration, for every mode that needs one.
#[derive(Args, Debug)]
pub(crate) struct Source {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "BIDDEN_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Say whether a configuration is correct, and if not, where and why
    #[command(after_help = "The exit code is 0 if it is correct and 1 if it is not.")]
    Check(PolicyFile),
    /// Say whether a user may run a command so, by which line, and what would run
    #[command(after_help = "\
The exit code is 0 for yes and 126 for no.

Examples:
  bidden policy explain -- ping -c 3 127.0.0.1
  bidden policy explain --config bidden.toml --user ann -- ping 127.0.0.1")]
    Explain(Explain),
    /// Run the tests that a configuration holds of itself
    #[command(after_help = "The exit code is 0 if every test passes and 1 if one fails.")]
    Test(PolicyFile),
}

#[derive(Args, Debug)]
pub(crate) struct PolicyFile {
    /// The configuration
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) source: Source,
    /// The user
    #[arg(long, value_name = "NAME", default_value = "local")]
    pub(crate) user: String,
    /// The command's name in the policy, and its parameters
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_names = ["COMMAND", "PARAMETER"])]
    pub(crate) words: Vec<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  bidden commands
  bidden commands --json --to tcp://127.0.0.1:5555")]
pub(crate) struct Commands {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Print the reply as JSON instead
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "\
The one who asks needs the right `metrics`.

Example, for the textfile collector of node_exporter:
  bidden metrics --to web1 > bidden.prom.new && mv bidden.prom.new /var/lib/node_exporter/bidden.prom")]
pub(crate) struct Metrics {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Print the reply as JSON instead
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where and how long, for every mode that asks a server.
#[derive(Args, Debug)]
pub(crate) struct Server {
    #[arg(
        long,
        value_name = "HOST",
        env = "BIDDEN_TO",
        help = "The server: a host of ~/.config/bidden/hosts.toml, or an endpoint of this machine [default: the Unix socket of its server, or else tcp://127.0.0.1:5555]"
    )]
    pub(crate) to: Option<String>,
    /// How long the work may take, in seconds; the server's own limit still holds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// How long to look for the server, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    pub(crate) connect_timeout: Duration,
}

impl Server {
    /// A server by its name alone.
    pub(crate) fn named(to: &str) -> Self {
        Self { to: Some(to.to_owned()), timeout: None, connect_timeout: client::CONNECT_TIMEOUT }
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
What the command prints to stdout and stderr comes out at the same places here, as it is
printed, and its exit code is this program's. Options of bidden stand before the command.

Ctrl-C ends the command and waits for its end; a second Ctrl-C leaves at once. So does
SIGTERM. A server that was lost is looked for again until the time is over, or for a
minute; the command does not run twice by that.

Exit codes: the command's own; 128+n if signal n ended it; 130 after Ctrl-C, 143 after
SIGTERM; 124 out of time; 126 refused; 125 anything else, with a message, such as
\"ended because the server is stopping\" (cancelled) or \"whether it came to its end is
unknown\" (unknown_outcome). --json has the code as a word.

Examples:
  bidden run ping 127.0.0.1
  bidden run --timeout 3 ping -c 10 example.org
  bidden run --detach ping -c 20 127.0.0.1
  bidden run --json uptime")]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Send what stands on my standard input as the command's; its rule must permit it
    #[arg(long)]
    pub(crate) stdin: bool,
    /// Print the reply as JSON instead, when the command has ended
    #[arg(long)]
    pub(crate) json: bool,
    /// Do not wait for the command: print the name of its job, for `bidden result`
    #[arg(long)]
    pub(crate) detach: bool,
    /// A name for this request, 1 to 64 of A-Z a-z 0-9 . _ -; with the same one the command does not run twice
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) id: Option<RequestId>,
    /// The command's name in the server's policy, and its parameters
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_names = ["COMMAND", "PARAMETER"])]
    pub(crate) words: Vec<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
ASKED is in UTC. STATE is waiting, running, or how the job ended: its exit code, its
signal, or the error code of docs/protocol.md.

Examples:
  bidden jobs
  bidden jobs --json --to web1")]
pub(crate) struct Jobs {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Print the reply as JSON instead
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Without --follow it shows what there is now. With it Ctrl-C leaves, and the job goes on;
`bidden cancel` ends it.

Exit codes: what `bidden run` would have ended with; 125 also while the job runs, and if
there is no such job (any more).

Examples:
  bidden result 19a0c3f2b1e-2
  bidden result 19a0c3f2b1e-2 --follow")]
pub(crate) struct JobResult {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Show also what is still to come, and wait for the end
    #[arg(long)]
    pub(crate) follow: bool,
    /// Print the reply as JSON instead
    #[arg(long)]
    pub(crate) json: bool,
    /// The job, as `bidden jobs` or `bidden run --detach` names it
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Waits until nothing of the job is left, and prints how it ended; one that had ended
already stays as it was. The exit code is 0 then, 125 if there is no such job, and 126 if
you may not end it.

Examples:
  bidden cancel 19a0c3f2b1e-2")]
pub(crate) struct Cancel {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Print the reply as JSON instead
    #[arg(long)]
    pub(crate) json: bool,
    /// The job, as `bidden jobs` or `bidden run --detach` names it
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  bidden compute '(6 + 4) * 8'
  bidden compute 'x ** 2 // 3' --var x=10
  bidden compute 'abs(z)' --var z=3+4j
  bidden compute --json -- '-7 // 2'
  bidden compute 'price * 1.19' --column price=items.csv:price")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Compute {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Print the reply as JSON instead
    #[arg(long)]
    pub(crate) json: bool,
    /// A value for a name in the expression, as Python or JSON spells it, such as 2.5, 0x10, inf or 3j; may be given
    /// again for other names
    #[arg(long = "var", value_name = "NAME=NUMBER", value_parser = variable)]
    pub(crate) variables: Vec<Variable<'static>>,
    /// A column of numbers for a name: FILE holds raw little-endian doubles, or with :COLUMN is a CSV file with
    /// a column of this heading or number
    #[arg(long = "column", value_name = "NAME=FILE[:COLUMN]", value_parser = ColumnFile::parse)]
    pub(crate) columns: Vec<ColumnFile>,
    /// Print a resulting column as raw little-endian doubles instead of a number a line
    #[arg(long, requires = "columns", conflicts_with = "json")]
    pub(crate) raw: bool,
    /// Spell the result so that any JSON reader gets it exactly, such as {"$int":"…"}
    #[arg(long)]
    pub(crate) strict: bool,
    /// List the functions that an expression can call, and ask no server
    #[arg(long, conflicts_with = "expression")]
    pub(crate) functions: bool,
    /// The expression, as Python writes it
    #[arg(value_name = "EXPRESSION", allow_hyphen_values = true, required_unless_present = "functions")]
    pub(crate) expression: Option<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  echo '{\"command_type\":\"compute\",\"expression\":\"6*7\"}' | bidden send -
  bidden send request.json")]
pub(crate) struct Send {
    #[command(flatten)]
    pub(crate) server: Server,
    /// The file with the request, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Reads the log's files on this machine, rotated and compressed ones too. Each job and each other
request is one row, newest last; behind them what has not ended. Times are UTC.

The exit code is 0, also where there is nothing to show, and 125 if the log cannot be read.

Examples:
  bidden history --since 2h --failed
  bidden history --user ann --command ping --log /var/log/bidden/server.log
  bidden history --follow
  bidden history --json --since 2026-11-24 | jq .command")]
pub(crate) struct History {
    /// The log
    #[arg(long, value_name = "FILE", default_value = DEFAULT_LOG)]
    pub(crate) log: PathBuf,
    /// Ask a server for what its log says instead: a host, as `run` takes it
    #[arg(long, value_name = "HOST", conflicts_with_all = ["log", "follow", "max"])]
    pub(crate) to: Option<String>,
    /// Only what this user asked for
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Only this command
    #[arg(long, value_name = "NAME")]
    pub(crate) command: Option<String>,
    /// Only what began or ended since: 90s, 30m, 2h or 7d ago; a date, or an RFC 3339 time, of UTC
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    pub(crate) since: Option<Timestamp>,
    /// Only what was refused, went wrong or ended with another exit code than 0
    #[arg(long)]
    pub(crate) failed: bool,
    /// Go on showing what comes, until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
    /// Print each row as a JSON object instead, one a line
    #[arg(long)]
    pub(crate) json: bool,
    /// The newest so many rows
    #[arg(long, value_name = "ROWS", default_value_t = 1000)]
    pub(crate) max: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Say whether a log is as it was written, in all the files that it was rotated into
    #[command(after_help = "\
Looks for rotated files, compressed or not, beside FILE. The last hash that it prints is worth
keeping somewhere else: a log that was cut off or written anew has another one. Of a log that
is sealed, the verification key and the sealing state show more; docs/audit-log.md says what.

The exit code is 0 if the log is unbroken, 1 if it is broken or records are missing, 125 if it
cannot be read.

Examples:
  bidden log verify
  bidden log verify --key-file seal.key --state server.seal /var/log/bidden/server.log")]
    Verify(VerifyLog),
    /// Make what seals a log: a state for the server and a key to verify with
    #[command(after_help = "\
Writes FILE, which only its owner can read, and prints the verification key, which is kept
nowhere: put it where the server's machine cannot be made to forget or to tell it. Nothing is
overwritten.

Examples:
  bidden log keygen /etc/bidden/server.seal
  bidden serve --seal /etc/bidden/server.seal")]
    Keygen(KeygenLog),
}

#[derive(Args, Debug)]
pub(crate) struct VerifyLog {
    /// Print the result as JSON instead
    #[arg(long)]
    pub(crate) json: bool,
    /// The key that `bidden log keygen` printed; more than one for a log that several states have sealed
    #[arg(long = "key", value_name = "KEY", value_parser = verification_key)]
    pub(crate) keys: Vec<VerificationKey>,
    /// A file with such keys, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// The server's sealing state: tells whether the end was cut off
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// The log
    #[arg(value_name = "FILE", default_value = DEFAULT_LOG)]
    pub(crate) file: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct KeygenLog {
    /// The sealing state
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Writes DIR/bidden.toml with the built-in commands, and DIR/server.key_secret; adds the
server to ~/.config/bidden/hosts.toml, and makes your own key beside it if there is
none. Nothing is overwritten; keys that are there already are used.

With --local no keys are made: the server listens on a Unix socket, and the kernel
says which account connects. You, or whoever called sudo, may do everything.

Examples:
  bidden init ~/bidden
  bidden init /etc/bidden --listen tcp://0.0.0.0:5555 --host web1.example.org
  sudo bidden init --local /etc/bidden")]
pub(crate) struct Init {
    /// Where the configuration goes; made if it is not there
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Serve accounts of this machine alone, on a Unix socket, without keys
    #[arg(long, conflicts_with = "host")]
    pub(crate) local: bool,
    #[arg(
        long,
        value_name = "ENDPOINT",
        help = "Where the server listens [default: tcp://127.0.0.1:5555; with --local ipc:///run/bidden/bidden.sock, or $XDG_RUNTIME_DIR/bidden.sock if you are not root]"
    )]
    pub(crate) listen: Option<String>,
    #[arg(long, value_name = "NAME", help = "What you call the server [default: this machine's name]")]
    pub(crate) host: Option<String>,
    #[arg(
        long,
        value_name = "NAME",
        help = "Your name as a user [default: $USER, or else admin; with --local and sudo $SUDO_USER]"
    )]
    pub(crate) user: Option<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
The invitation names the server and its public key; it holds nothing secret. Whoever
gets it runs `bidden accept` and sends back a public key, for bidden.toml.

Examples:
  bidden invite ann --config /etc/bidden/bidden.toml > ann.invitation
  bidden invite ann --endpoint tcp://web1.example.org:5555")]
pub(crate) struct Invite {
    #[command(flatten)]
    pub(crate) source: Source,
    #[arg(long, value_name = "NAME", help = "What the server is called [default: this machine's name]")]
    pub(crate) host: Option<String>,
    #[arg(
        long,
        value_name = "ENDPOINT",
        help = "Where the invited reach it [default: that of the listener]"
    )]
    pub(crate) endpoint: Option<String>,
    #[arg(
        long,
        value_name = "FILE",
        help = "The certificate of the listener that they are invited to [default: that of the first with a key]"
    )]
    pub(crate) key: Option<PathBuf>,
    /// The user
    #[arg(value_name = "USER")]
    pub(crate) name: String,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Adds the server to ~/.config/bidden/hosts.toml, makes your own key beside it if there is
none, and prints the lines that the server's operator needs. Your secret key stays here.

Examples:
  bidden accept ann.invitation
  bidden accept --host web1 -")]
pub(crate) struct Accept {
    #[arg(long, value_name = "NAME", help = "What you call the server [default: the invitation's name]")]
    pub(crate) host: Option<String>,
    /// Let the server take the place of another of that name, as after a change of its key
    #[arg(long)]
    pub(crate) replace: bool,
    /// The invitation, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Writes NAME.key, for others, and NAME.key_secret, which only its owner can read, in the
format of pyzmq's zmq.auth.create_certificates. Nothing is overwritten. Prints the public
key.

Examples:
  bidden keygen ~/.config/bidden/laptop
  bidden keygen --rotate /etc/bidden/server")]
pub(crate) struct Keygen {
    /// Make the successor of a server's key, and explain how to change from one to the other
    #[arg(long)]
    pub(crate) rotate: bool,
    /// The files' name without its ending
    #[arg(value_name = "NAME")]
    pub(crate) name: PathBuf,
}

pub(crate) const DEFAULT_LOG: &str = "server.log";

pub(crate) const DEFAULT_ENDPOINT: &str = "tcp://127.0.0.1:5555";

fn verification_key(text: &str) -> Result<VerificationKey, String> {
    VerificationKey::parse(text.trim())
        .ok_or_else(|| "it has 64 digits 0 to 9 and a to f, as `bidden log keygen` prints it".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    if duration.is_zero() || duration > client::MAX_TIMEOUT {
        return Err(format!("must be above 0 and at most {}", client::MAX_TIMEOUT.as_secs()));
    }
    Ok(duration)
}

fn id(text: &str) -> Result<RequestId, String> {
    RequestId::parse(text).ok_or_else(|| "must be 1 to 64 characters of A-Z a-z 0-9 . _ -".to_owned())
}

/// A moment: so long ago, or a date or time.
fn moment(text: &str) -> Result<Timestamp, String> {
    let wrong = || "write it as 90s, 30m, 2h, 7d, 2026-11-24 or 2026-11-24T08:00:00Z".to_owned();
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    if let Ok(date) = text.parse::<Date>() {
        return TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).map_err(|error| error.to_string());
    }
    let digits = text.trim_end_matches(|character: char| character.is_ascii_lowercase());
    let count: i64 = digits.parse().ok().filter(|count| *count >= 0).ok_or_else(wrong)?;
    let unit = match text.strip_prefix(digits) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 60 * 60,
        Some("d") => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let ago = count.checked_mul(unit).map(SignedDuration::from_secs).ok_or_else(wrong)?;
    // Longer ago than there are times is since ever.
    Ok(Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::MIN))
}

fn variable(text: &str) -> Result<Variable<'static>, String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=NUMBER, such as x=2.5")?;
    variable::read(name, value)
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Timestamp, moment};
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_moment_is_a_date_or_so_long_ago() {
        for (text, expected) in [
            ("2026-11-24", "2026-11-24T00:00:00Z"),
            ("2026-11-24T08:00:00Z", "2026-11-24T08:00:00Z"),
            ("2026-11-24T08:00:00.5+01:00", "2026-11-24T07:00:00.5Z"),
        ] {
            assert_eq!(moment(text).expect(text).to_string(), expected);
        }
        for (text, seconds) in [("0s", 0_i64), ("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604_800)] {
            let moment = moment(text).expect(text);
            let ago = Timestamp::now().duration_since(moment).as_secs();
            assert!((seconds..seconds.saturating_add(5)).contains(&ago), "{text}: {ago}");
        }
        assert_eq!(moment("9999999999d").expect("long ago"), Timestamp::MIN);
        for text in
            ["", "2", "h", "-2h", "2w", "2H", "1.5h", "yesterday", "2026-13-01", "99999999999999999999s"]
        {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
