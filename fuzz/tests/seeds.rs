//! Holds each property against its seeds, which are the inputs that fuzzing starts from and those it once failed on.

use std::fs;
use std::path::Path;

fn check(property: fn(&[u8]), name: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let seeds: Vec<_> =
        fs::read_dir(directory).expect("seeds").map(|entry| entry.expect("a file").path()).collect();
    assert!(!seeds.is_empty());
    for seed in seeds {
        println!("{}", seed.display());
        property(&fs::read(seed).expect("a file"));
    }
}

#[test]
fn requests() {
    check(fuzz::request, "request");
}

#[test]
fn replies() {
    check(fuzz::reply, "reply");
}

#[test]
fn differences() {
    check(fuzz::differential, "differential");
}

#[test]
fn expressions() {
    check(fuzz::expression, "expression");
}

#[test]
fn messages() {
    check(fuzz::message, "message");
}

#[test]
fn records() {
    check(fuzz::record, "record");
}

#[test]
fn columns() {
    check(fuzz::columns, "columns");
}
