//! `bidden log`: whether a log is as it was written, and what seals it.

use std::path::Path;

use anyhow::Context as _;
use server::{
    Evidence, Finding, SealedUpTo, VerificationKey, Verified, VerifyError, create_sealing_state,
    read_sealing_state, verify,
};

use crate::arguments::{KeygenLog, Log, VerifyLog};
use crate::exit::Exit;
use crate::terminal::{complain, inform, note_absence_of, print};

pub(crate) fn log(arguments: Log) -> anyhow::Result<Exit> {
    match arguments {
        Log::Verify(arguments) => check(arguments),
        Log::Keygen(arguments) => keygen(&arguments),
    }
}

fn keygen(arguments: &KeygenLog) -> anyhow::Result<Exit> {
    let key = create_sealing_state(&arguments.file)?;
    inform(&format!(
        "\
{} is what the server seals its log with; name it as `seal` in [server] of bidden.toml, or with --seal. It changes with
every seal: never copy it back from a backup. The key below is called {} in the log. `bidden log verify --key` finds
with it whatever was changed before somebody broke in. It is kept nowhere: put it away from this machine, now.",
        arguments.file.display(),
        key.name(),
    ));
    print(&format!("{}\n", *key.reveal()))?;
    Ok(Exit::Success)
}

fn check(arguments: VerifyLog) -> anyhow::Result<Exit> {
    let VerifyLog { json, mut keys, key_file, state, file } = arguments;
    if let Some(path) = key_file {
        keys.extend(read_keys(&path)?);
    }
    // Before the log is read: the server may go on meanwhile.
    let state = state.as_deref().map(read_sealing_state).transpose()?;
    let evidence = Evidence { keys, state };
    let (what, reason, findings) = match verify(&file, &evidence) {
        Ok(verified) => {
            print(&if json {
                format!("{}\n", as_json(&verified))
            } else {
                as_text(&file, &verified, &evidence)
            })?;
            note_absence_of(&file);
            return Ok(Exit::Success);
        }
        Err(VerifyError::Incomplete { findings, verified }) => {
            if !json {
                print(&as_text(&file, &verified, &evidence))?;
            }
            ("incomplete", None, findings)
        }
        Err(VerifyError::Broken { path, line, what, before }) => {
            let broken = VerifyError::Broken { path, line, what, before: vec![] };
            ("broken", Some(broken.to_string()), before)
        }
        Err(broken @ VerifyError::Unsealed { .. }) => ("broken", Some(broken.to_string()), vec![]),
        Err(error) => return Err(error.into()),
    };
    let missing = findings.iter().filter_map(Finding::missing);
    let missing: Vec<_> =
        missing.map(|(first, last)| serde_json::json!({ "first": first, "last": last })).collect();
    let reasons: Vec<_> = findings.iter().map(ToString::to_string).chain(reason).collect();
    if json {
        let told = serde_json::json!({ "unbroken": false, "reason": reasons.join("; "), "missing": missing });
        print(&format!("{told}\n"))?;
    } else {
        for reason in &reasons {
            complain(&format!("the log is {what}: {reason}"));
        }
    }
    Ok(Exit::BrokenLog)
}

fn read_keys(path: &Path) -> anyhow::Result<Vec<VerificationKey>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Option<Vec<_>> = lines.map(VerificationKey::parse).collect();
    keys.filter(|keys| !keys.is_empty()).with_context(|| {
        format!("{shown} holds something else than keys, one a line, as `bidden log keygen` prints them")
    })
}

fn as_json(verified: &Verified) -> serde_json::Value {
    let Verified { first, last, files, hash, sealed } = verified;
    let sealed = sealed.as_ref().map(|sealed| {
        let SealedUpTo { record, time, epoch, key, checked, complete } = sealed;
        serde_json::json!({
            "record": record, "time": time, "epoch": epoch, "sealing_key": key.to_string(),
            "checked": checked, "complete": *checked && *complete,
        })
    });
    serde_json::json!({
        "unbroken": true, "first": first, "last": last, "files": files, "hash": hash, "sealed": sealed,
    })
}

fn as_text(file: &Path, verified: &Verified, evidence: &Evidence) -> String {
    let Verified { first, last, files, hash, .. } = verified;
    let files = if *files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    let earlier = if *first > 1 { "; the records before them are not here" } else { "" };
    format!(
        "{}: records {first} to {last} in {files} are unbroken{earlier}\n{}last hash: {hash}\n",
        file.display(),
        about_seals(verified, evidence)
    )
}

/// What the seals prove, and what they do not.
fn about_seals(verified: &Verified, evidence: &Evidence) -> String {
    let Verified { first, last, sealed, .. } = verified;
    let Some(SealedUpTo { record, time, epoch, key, checked, complete }) = sealed else {
        return match evidence.state {
            Some(_) => "sealed: nothing yet\n".to_owned(),
            None => String::new(),
        };
    };
    if !checked {
        return format!(
            "sealed: records {first} to {record}, by seal {epoch} of the key {key}; --key with that key checks the seals\n"
        );
    }
    let after = if record < last {
        format!("not sealed: records {} to {last}\n", record.saturating_add(1))
    } else {
        String::new()
    };
    let end = if *complete {
        ""
    } else {
        "not checked: whether later records were cut off; --state with the server's sealing state tells\n"
    };
    format!(
        "sealed: records {first} to {record} are as they were written, unless somebody had broken in before seal {epoch} \
         was made at {time}\n{after}{end}"
    )
}
