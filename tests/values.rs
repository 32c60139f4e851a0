//! Values on their way to real programs in the jail: none becomes an operand or an option that no rule means, and a path
//! that was exchanged after its check leads nowhere.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::daemon::BIDDEN;
use crate::jailed::{Workshop, permit};
use crate::served::{ask, with_policy};

fn request(name: &str, parameters: &[&str]) -> String {
    json!({"command_type": "os", "command_name": name, "parameters": parameters}).to_string()
}

#[test]
fn real_programs_read_values_as_the_rule_means_them() {
    let workshop = Workshop::open();
    let root = workshop.outside().join("root");
    std::fs::create_dir_all(root.join("pods")).expect("created");
    std::fs::create_dir(root.join("containers")).expect("created");
    for directory in [&root, &root.join("pods"), &root.join("containers")] {
        permit(directory, 0o755);
    }
    std::fs::write(root.join("pods/0.log"), "one\ntwo\nthree\n").expect("written");
    permit(&root.join("pods/0.log"), 0o644);
    symlink(root.join("pods/0.log"), root.join("containers/app.log")).expect("linked");
    symlink("/etc/hosts", root.join("containers/out.log")).expect("linked");
    mknodat(CWD, root.join("pipe"), FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    let policy = format!(
        r#"
[commands.df]
program = "/usr/bin/df"
options = {{ "--output" = {{ type = "one_of", words = ["target", "fstype"] }}, "-h" = "flag", "-T" = "flag" }}
operands = [ {{ name = "place", type = "path", root = "/", kind = "directory" }} ]

[commands.date]
program = "/usr/bin/date"
options = {{ "-u" = "flag", "--date" = {{ type = "pattern", pattern = "[+-][0-9]+ days|@[0-9]+" }} }}
operands = [ {{ name = "format", type = "one_of", words = ["+%F", "+%s"] }} ]

[commands.tail]
program = "/usr/bin/tail"
options = {{ "-n" = {{ type = "pattern", pattern = "\\+?[0-9]+" }}, "--follow" = {{ type = "text", max_length = 100 }} }}
operands = [ {{ name = "file", type = "path", root = {root:?}, follow_links = true }} ]
timeout = "2s"

[commands.tail0]
program = "/usr/bin/tail"
operands = [ {{ name = "file", type = "path", root = {root:?} }} ]

[commands.printf]
program = "/usr/bin/printf"
arguments = ["<%s>"]
operands = [ {{ name = "word", type = "one_of", words = ["@x", "+x"], repeat = 2 }} ]
separator = false

[commands.seq]
program = "/usr/bin/seq"
options = {{ "-s" = {{ type = "one_of", words = ["-", "+", ","] }} }}
operands = [ {{ name = "number", type = "integer", min = -9, max = 9, repeat = 2 }} ]
"#
    );
    with_policy(tempfile::tempdir().expect("a directory"), &policy, async |served| {
        let connection = served.connect().await;
        let reply =
            async |name: &str, parameters: &[&str]| ask(&connection, &request(name, parameters)).await;
        for (name, parameters, printed) in [
            ("df", &["--output=target", "/"][..], "Mounted on\n/\n"),
            ("df", &["--output", "target", "/"], "Mounted on\n/\n"),
            ("date", &["-u", "--date=@0", "+%F"], "1970-01-01\n"),
            ("date", &["+%s", "--date", "@5"], "5\n"),
            ("tail", &["-n", "+3", "pods/0.log"], "three\n"),
            ("tail", &["-n1", "containers/app.log"], "three\n"),
            ("tail0", &["pods/0.log"], "one\ntwo\nthree\n"),
            ("printf", &["@x", "+x"], "<@x><+x>"),
            ("seq", &["--", "-1", "1"], "-1\n0\n1\n"),
            ("seq", &["-s", "-", "1", "3"], "1-2-3\n"),
        ] {
            let reply = reply(name, parameters).await;
            assert_eq!(reply["result"], printed, "{name} {parameters:?}: {reply:#}");
        }
        let shown = reply("df", &["-hT", "/"]).await;
        assert!(shown["result"].as_str().is_some_and(|text| text.contains("Type")), "{shown:#}");
        for (name, parameters, message) in [
            ("df", &["-hh", "/"][..], "`-h` stands twice".to_owned()),
            ("tail", &["containers/out.log"], format!("`file` must be a file or a directory beneath {} (a symbolic link in its path leads out of that directory)", root.display())),
            ("tail0", &["containers/app.log"], format!("`file` must be a file or a directory beneath {} (a symbolic link is in its path, which this rule does not follow)", root.display())),
            ("tail0", &["pipe"], format!("`file` must be a file or a directory beneath {} (it is of another kind)", root.display())),
            ("seq", &["-1"], "`-1` is not allowed here; allowed: -s NUMBER...; write `--` before values that begin with `-`".to_owned()),
        ] {
            let reply = reply(name, parameters).await;
            assert_eq!((&reply["code"], &reply["message"]), (&json!("invalid_parameters"), &Value::from(message)));
        }
        // Two words would be a file that no rule has checked.
        for parameters in
            [&["--follow=/etc/hosts", "pods/0.log"][..], &["--follow", "/etc/hosts", "pods/0.log"]]
        {
            let reply = reply("tail", parameters).await;
            let stderr = reply["stderr"].as_str().unwrap_or_default();
            assert!(stderr.contains("invalid argument") && stderr.contains("/etc/hosts"), "{reply:#}");
            assert_eq!((&reply["exit_code"], &reply["result"]), (&json!(1), &json!("")), "{reply:#}");
        }
        served.stop().await;
    });
}

#[test]
fn a_path_exchanged_after_its_check_does_not_lead_out_of_what_the_jail_shows() {
    let workshop = Workshop::open();
    let (root, hidden) = (workshop.outside().join("root"), workshop.outside().join("hidden"));
    for directory in [root.join("sub"), hidden.clone()] {
        std::fs::create_dir_all(&directory).expect("created");
        permit(&directory, 0o755);
    }
    permit(&root, 0o755);
    for (file, text) in [(root.join("sub/file"), "shown"), (hidden.join("file"), "hidden")] {
        std::fs::write(&file, text).expect("written");
        permit(&file, 0o644);
    }
    for (links, exchanged) in [("", true), ("follow_links = true, ", true), ("", false)] {
        // Reads its argument as late as it is told to.
        let script = format!("until [ -e {0}/go ]; do sleep 0.02; done; cat \"$1\"", root.display());
        let policy = format!(
            "[commands.late]\nprogram = \"/bin/sh\"\nlauncher = true\nmay_exec = true\ntimeout = \"20s\"\n\
             arguments = [\"-c\", {script:?}, \"sh\"]\nseparator = false\n\
             operands = [{{ name = \"file\", type = \"path\", {links}root = {root:?} }}]\n"
        );
        let (root, hidden) = (root.clone(), hidden.clone());
        with_policy(tempfile::tempdir().expect("a directory"), &policy, async |served| {
            let connection = served.connect().await;
            let body = request("late", &["sub/file"]).into_bytes();
            connection.send(body, vec![]).await.expect("sent");
            let started =
                || std::fs::read_to_string(served.log()).is_ok_and(|log| log.contains("\"started\""));
            let deadline = Instant::now() + Duration::from_secs(10);
            while !started() {
                assert!(Instant::now() < deadline, "it does not start");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            if exchanged {
                std::fs::rename(root.join("sub"), root.join("old")).expect("renamed");
                symlink(&hidden, root.join("sub")).expect("linked");
            }
            std::fs::write(root.join("go"), "").expect("written");
            let reply = crate::served::receive(&connection).await;
            if exchanged {
                assert!(reply["exit_code"] == 1 && !reply.to_string().contains("\"hidden\""), "{reply:#}");
                std::fs::remove_file(root.join("sub")).expect("removed");
                std::fs::rename(root.join("old"), root.join("sub")).expect("renamed");
            } else {
                assert_eq!(reply["result"], "shown");
            }
            std::fs::remove_file(root.join("go")).expect("removed");
            served.stop().await;
        });
    }
}

#[test]
fn policy_check_warns_of_what_is_correct_and_perhaps_not_wanted() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("bidden.toml");
    let text = "[commands.df]\nprogram = \"/usr/bin/df\"\n\
                options = { \"--output\" = { type = \"name\", glued = false }, \"-t\" = { type = \"pattern\", pattern = \"ä\" } }\n";
    std::fs::write(&file, text).expect("written");
    let output = Command::new(BIDDEN)
        .args(["policy", "check"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    let warnings: Vec<_> = stderr.lines().collect();
    assert!(output.status.success(), "{stderr}");
    assert_eq!(warnings.len(), 2, "{stderr}");
    assert!(
        warnings[0].contains(":3:51: warning: ") && warnings[0].contains("a word of its own"),
        "{stderr}"
    );
    assert!(warnings[1].contains("lets no value pass"), "{stderr}");
}

#[test]
fn every_recipe_of_the_documents_is_a_correct_rule() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.md");
    let document = std::fs::read_to_string(path).expect("a document");
    let section =
        document.split("### Recipes\n").nth(1).expect("recipes").split("\n## ").next().expect("its end");
    let mut recipes = 0;
    for row in section.lines().filter(|line| line.starts_with("| ") && line.contains(" = ")) {
        let rule = row.split(" | ").nth(1).expect("a rule");
        let keys: Vec<_> = rule.split('`').skip(1).step_by(2).collect();
        let text = format!("[commands.it]\nprogram = \"/usr/bin/df\"\n{}\n", keys.join("\n"));
        let read = server::config::Configuration::parse("recipe", &text);
        let read = read.unwrap_or_else(|error| panic!("{row}: {error}"));
        assert!(read.warnings.is_empty(), "{row}: {:?}", read.warnings);
        recipes += 1;
    }
    assert!(recipes >= 10, "{recipes}");
}
