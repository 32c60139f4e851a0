//! The records of the log: written and read back by everything that reads them, and any bytes read as records.

use server::{check_any_log, check_every_reader};

/// What a record says is the same for every reader of the log, and no file makes one of them panic.
pub fn record(bytes: &[u8]) {
    let directory = tempfile::tempdir().expect("a directory");
    check_every_reader(&directory.path().join("written.log"), bytes);
    check_any_log(&directory.path().join("any.log"), bytes);
    // So most inputs get past the beginning of the line.
    let head = br#"{"seq":1,"time":"2026-11-24T12:00:00.000000Z","event":"answered","user":"ann","#;
    check_any_log(&directory.path().join("begun.log"), &[head, bytes, b"\n"].concat());
}
