//! The command line: one struct for each mode, holding only what that mode uses.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::columns::ColumnFile;

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

Exit codes of run, compute, commands and send:
  the remote command's own; 128+n if signal n ended it; 124 out of time;
  126 refused; 1 the expression is wrong or has no value;
  125 anything of bidden's own, such as no server"
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
    /// Compute an expression with Python's arithmetic
    Compute(Compute),
    /// List what the server lets me run, with the rules for arguments
    Commands(Commands),
    /// Check, explain and test a configuration
    #[command(subcommand)]
    Policy(Policy),
    /// Send a request as it is and print the reply as it is
    Send(Send),
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

/// Where and how long, for every mode that asks a server.
#[derive(Args, Debug)]
pub(crate) struct Server {
    /// The server
    #[arg(long, value_name = "ENDPOINT", env = "BIDDEN_TO", default_value = DEFAULT_ENDPOINT)]
    pub(crate) to: String,
    /// How long the work may take, in seconds; the server's own limit still holds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// How long to look for the server, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    pub(crate) connect_timeout: Duration,
}

#[derive(Args, Debug)]
#[command(after_help = "\
What the command prints to stdout and stderr comes out at the same places here,
and its exit code is this program's. Options of bidden stand before the command.

Examples:
  bidden run ping 127.0.0.1
  bidden run --timeout 3 ping -c 10 example.org
  bidden run --json uptime")]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Send what stands on my standard input as the command's; its rule must permit it
    #[arg(long)]
    pub(crate) stdin: bool,
    /// Print the reply as JSON instead
    #[arg(long)]
    pub(crate) json: bool,
    /// The command's name in the server's policy, and its parameters
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_names = ["COMMAND", "PARAMETER"])]
    pub(crate) words: Vec<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  bidden compute '(6 + 4) * 8'
  bidden compute 'x ** 2 // 3' --var x=10
  bidden compute --json -- '-7 // 2'
  bidden compute 'price * 1.19' --column price=items.csv:price")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Compute {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Print the reply as JSON instead
    #[arg(long)]
    pub(crate) json: bool,
    /// A value for a name in the expression; may be given again for other names
    #[arg(long = "var", value_name = "NAME=NUMBER", value_parser = variable)]
    pub(crate) variables: Vec<(String, String)>,
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

pub(crate) const DEFAULT_ENDPOINT: &str = "tcp://127.0.0.1:5555";

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    if duration.is_zero() || duration > client::MAX_TIMEOUT {
        return Err(format!("must be above 0 and at most {}", client::MAX_TIMEOUT.as_secs()));
    }
    Ok(duration)
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=NUMBER, such as x=2.5")?;
    let value = value.trim();
    match serde_json::from_str(value) {
        Ok(serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("the value must be a number as JSON spells it, true or false".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
