//! The documents tell the truth: their examples run, every limit and every dependency is named.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::daemon::{BIDDEN, Daemon};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The blocks of a document that are fenced with this language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let parts = document.split(&fence).skip(1);
    parts.filter_map(|part| part.split("```").next()).map(str::to_owned).collect()
}

/// What a shell prints for a command, both streams together, as it would stand on a terminal.
fn shell(command: &str, daemon: &Daemon) -> String {
    let binaries = Path::new(BIDDEN).parent().expect("a directory");
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").expect("a search path"));
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1; {command}")])
        .env("PATH", path)
        .env("BIDDEN_TO", &daemon.endpoint)
        .current_dir(daemon.log().parent().expect("a directory"))
        .output()
        .expect("a shell");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// `...` at the end of a line stands for anything, also for further lines.
#[track_caller]
fn assert_shown(printed: &str, expected: &str, command: &str) {
    let mut rest = printed;
    for (index, part) in expected.split("...").enumerate() {
        let part = if index == 0 { part } else { part.trim_start_matches('\n') };
        let found = rest
            .find(part)
            .unwrap_or_else(|| panic!("`{command}` printed:\n{printed}\nand not:\n{expected}"));
        assert!(index > 0 || found == 0, "`{command}` printed:\n{printed}\nand not:\n{expected}");
        rest = rest.split_at(found).1.split_at(part.len()).1;
    }
}

#[test]
fn the_examples_print_what_the_documents_show() {
    let daemon = Daemon::start();
    let mut examples = 0;
    // The example stands where its document says, as `bidden.toml` in the directory that the shell is in.
    let here = daemon.log().with_file_name("bidden.toml");
    std::fs::copy(root().join("examples/bidden.toml"), here).expect("copied");
    for document in [
        "README.md",
        "docs/protocol.md",
        "docs/audit-log.md",
        "docs/policy.md",
        "docs/jail.md",
        "docs/operating.md",
    ] {
        for block in blocks(&read(document), "console") {
            for example in block.split("$ ").skip(1) {
                let (command, expected) = example.split_once('\n').expect("a command and its output");
                assert_shown(&shell(command, &daemon), expected, command);
                examples += 1;
            }
        }
    }
    assert!(examples >= 9, "{examples}");
}

#[test]
fn the_chain_can_be_checked_as_the_document_says() {
    let daemon = Daemon::start();
    shell("bidden compute 1", &daemon);
    let program = blocks(&read("docs/audit-log.md"), "python").concat();
    let check = |log: &Path| {
        let output = Command::new("python3")
            .args(["-c", &program])
            .current_dir(log.parent().expect("a directory"))
            .output();
        String::from_utf8(output.expect("python3").stdout).expect("UTF-8")
    };
    assert!(check(&daemon.log()).starts_with("unbroken up to "));
    let other = tempfile::tempdir().expect("a directory");
    let changed = std::fs::read_to_string(daemon.log())
        .expect("a log")
        .replace("\"expression\":\"1\"", "\"expression\":\"2\"");
    std::fs::write(other.path().join("server.log"), changed + "{\"seq\":3,\"prev\":\"\"}\n")
        .expect("written");
    assert_eq!(check(&other.path().join("server.log")), "");
}

#[test]
fn every_limit_is_documented() {
    let documented = read("docs/limits.md");
    let mut limits = 0;
    for name in ["wire", "calc", "server", "transport", "jail", "client"] {
        for line in read(&format!("crates/{name}/src/limits.rs")).lines() {
            if let Some(rest) = line.strip_prefix("pub const ") {
                let constant = rest.split(':').next().expect("a name");
                assert!(
                    documented.contains(&format!("`{constant}`")),
                    "docs/limits.md does not name {constant}"
                );
                limits += 1;
            }
        }
    }
    assert!(limits >= 30, "{limits}");
}

#[test]
fn every_dependency_is_argued_for() {
    let manifest = read("Cargo.toml");
    let architecture = read("ARCHITECTURE.md");
    let section = manifest.split("[workspace.dependencies]\n").nth(1).expect("dependencies");
    let mut dependencies = 0;
    for line in section.lines().take_while(|line| !line.is_empty()).filter(|line| !line.contains("path =")) {
        let name = line.split([' ', '=']).next().expect("a name");
        assert!(
            architecture.contains(&format!("`{name}`")),
            "ARCHITECTURE.md does not say why {name} is here"
        );
        dependencies += 1;
    }
    assert!(dependencies >= 15, "{dependencies}");
}

#[test]
fn the_promises_name_tests_that_exist() {
    let mut named = 0;
    let rows = read("SECURITY.md") + &read("docs/security-tests.md");
    for row in rows.lines().filter(|line| line.starts_with("| ")) {
        let mut file = String::new();
        for word in row.split('`').skip(1).step_by(2) {
            if word.contains('/') {
                assert!(root().join(word).exists(), "SECURITY.md names {word}");
                file = if root().join(word).is_file() { word.to_owned() } else { String::new() };
            } else if word.contains('_') && !file.is_empty() {
                assert!(read(&file).contains(&format!("fn {word}")), "SECURITY.md names {word} in {file}");
                named += 1;
            }
        }
    }
    assert!(named >= 10, "{named}");
}
