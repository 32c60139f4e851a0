//! What a program printed, and how it ended.

use std::process::Output;

/// Fails unless it ended with this code and each stream holds this text, or nothing where none is given.
#[track_caller]
pub(crate) fn check(output: &Output, code: i32, stdout: &str, stderr: &str) {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    assert!(out.contains(stdout) && (!stdout.is_empty() || out.is_empty()), "stdout: {out}");
    assert!(err.contains(stderr) && (!stderr.is_empty() || err.is_empty()), "stderr: {err}");
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}
