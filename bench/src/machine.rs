//! What the numbers were measured on, as far as a reader needs it to judge them. No host name, no user, no path.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const PROBE: &str = "import platform; print(platform.python_version())
try:
    import zmq; print(zmq.__version__, 'on libzmq', zmq.zmq_version())
except ImportError: pass";
const UNKNOWN: &str = "unknown";

/// A Python interpreter and what it has.
pub(crate) struct Python {
    pub(crate) program: PathBuf,
    pub(crate) version: String,
    /// The versions of pyzmq and libzmq, if it is installed.
    pub(crate) pyzmq: Option<String>,
}

impl Python {
    /// `BIDDEN_BENCH_PYTHON`, or `.venv` at the root of the repository, or the system's.
    pub(crate) fn find() -> Option<Self> {
        let program = std::env::var_os("BIDDEN_BENCH_PYTHON").map_or_else(
            || {
                let local = crate::package_file("../.venv/bin/python");
                if local.is_file() { local } else { PathBuf::from("python3") }
            },
            PathBuf::from,
        );
        let output = Command::new(&program).args(["-c", PROBE]).output().ok()?;
        let said = String::from_utf8(output.stdout).ok()?;
        let mut lines = said.lines().map(str::to_owned);
        Some(Self { program, version: lines.next()?, pyzmq: lines.next() })
    }
}

impl Python {
    /// The program itself, without links and search path.
    pub(crate) fn resolved(&self) -> Option<PathBuf> {
        let output =
            Command::new(&self.program).args(["-c", "import sys; print(sys.executable)"]).output().ok()?;
        PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()).canonicalize().ok()
    }
}

/// One sentence for each fact, in Markdown.
pub(crate) fn describe(python: Option<&Python>) -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let pyzmq = python.and_then(|python| python.pyzmq.as_deref());
    format!(
        "- Date: {}\n- Processor: {}, {cores} cores\n- Kernel: Linux {}\n- Rust: {}\n- Python: {}\n- pyzmq: {}\n",
        today(),
        cpu_model(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
        release_number(kernel.trim()),
        rustc_version(),
        python.map_or(UNKNOWN, |python| &python.version),
        pyzmq.unwrap_or("missing"),
    )
}

fn cpu_model(cpuinfo: &str) -> &str {
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    model.map_or(UNKNOWN, |model| model.trim_start_matches([' ', '\t', ':']))
}

/// The release without what a distributor or a host adds to it.
fn release_number(release: &str) -> &str {
    let end = release.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(release.len());
    release.get(..end).unwrap_or(UNKNOWN)
}

fn rustc_version() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let version = output.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    version.map_or_else(|| UNKNOWN.to_owned(), |version| version.trim().to_owned())
}

fn today() -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    date(since_epoch.as_secs() / 86_400)
}

/// The civil date of a day counted from 1970-01-01.
fn date(day: u64) -> String {
    // Years are taken from March, so that the leap day is their last one (Hinnant, "chrono-compatible low-level date
    // algorithms").
    let day = day + 719_468;
    let era = day / 146_097;
    let of_era = day % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{of_month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(19_782), "2024-02-29");
        assert_eq!(date(19_783), "2024-03-01");
        assert_eq!(date(20_454), "2026-01-01");
    }

    #[test]
    fn a_release_loses_its_suffix() {
        assert_eq!(release_number("6.1.0-13-amd64"), "6.1.0");
        assert_eq!(release_number("6.12.3"), "6.12.3");
    }

    #[test]
    fn the_model_is_found() {
        assert_eq!(cpu_model("vendor_id\t: x\nmodel name\t: Some CPU @ 3 GHz\n"), "Some CPU @ 3 GHz");
        assert_eq!(cpu_model(""), UNKNOWN);
    }
}
