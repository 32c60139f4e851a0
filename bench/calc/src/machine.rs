//! What the numbers were measured on, as far as a reader needs it to judge them. No host name, no user, no path.

use std::path::Path;
use std::process::Command;

const PROBE: &str = "import platform; print(platform.python_version())";

/// A line for each fact, in Markdown.
pub(crate) fn describe(python: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    format!(
        "- Date: {}\n- Processor: {}, {cores} cores\n- Rust: {}\n- Python: {}\n",
        said(Command::new("date").args(["-u", "+%F"])),
        model.map_or("unknown", |model| model.trim_start_matches([' ', '\t', ':'])),
        said(Command::new("rustc").arg("--version")),
        said(Command::new(python).args(["-c", PROBE])),
    )
}

fn said(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}
