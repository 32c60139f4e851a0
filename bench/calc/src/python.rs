//! The rivals in Python, timed by `python.py` in a process of its own, once a round. Without Python, or without a
//! package, their rows say so.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::package_file;
use crate::table::Table;

/// `BIDDEN_BENCH_PYTHON`, or `.venv` at the root of the repository, or the system's.
pub(crate) fn find() -> PathBuf {
    std::env::var_os("BIDDEN_BENCH_PYTHON").map_or_else(
        || {
            let local = package_file("../../.venv/bin/python");
            if local.is_file() { local } else { PathBuf::from("python3") }
        },
        PathBuf::from,
    )
}

/// Adds one round of measurements.
pub(crate) fn measure(program: &PathBuf, texts: &[&str], column_text: &str, table: &mut Table) -> Result<()> {
    let mut command = Command::new(program);
    command.arg(package_file("python.py")).args(texts).arg(column_text).stderr(Stdio::inherit());
    let Ok(output) = command.output() else {
        table.skip("CPython");
        return Ok(());
    };
    ensure!(output.status.success(), "python.py failed");
    for line in String::from_utf8(output.stdout)?.lines() {
        match line.split('\t').collect::<Vec<_>>().as_slice() {
            [name, "skipped"] => table.skip(name),
            [name, index, nanoseconds] => table.add(name, index.parse()?, nanoseconds.parse()?),
            _ => return Err(anyhow::anyhow!("{line}")).context("python.py said what nobody expects"),
        }
    }
    Ok(())
}
