//! `bidden log`: what the log's own records say of it.

use std::path::Path;

use server::{Verified, VerifyError, verify};

use crate::arguments::{Log, VerifyLog};
use crate::exit::Exit;
use crate::terminal::{complain, print};

pub(crate) fn log(arguments: &Log) -> anyhow::Result<Exit> {
    match arguments {
        Log::Verify(arguments) => check(arguments),
    }
}

fn check(arguments: &VerifyLog) -> anyhow::Result<Exit> {
    let file = &arguments.file;
    match (verify(file), arguments.json) {
        (Ok(verified), true) => print(&format!("{}\n", as_json(&verified)))?,
        (Ok(verified), false) => print(&as_text(file, &verified))?,
        (Err(broken @ VerifyError::Broken { .. }), json) => {
            if json {
                print(&format!(
                    "{}\n",
                    serde_json::json!({ "unbroken": false, "reason": broken.to_string() })
                ))?;
            } else {
                complain(&format!("the log is broken: {broken}"));
            }
            return Ok(Exit::BrokenLog);
        }
        (Err(error), _) => return Err(error.into()),
    }
    Ok(Exit::Success)
}

fn as_json(verified: &Verified) -> serde_json::Value {
    let Verified { first, last, files, hash } = verified;
    serde_json::json!({ "unbroken": true, "first": first, "last": last, "files": files, "hash": hash })
}

fn as_text(file: &Path, verified: &Verified) -> String {
    let Verified { first, last, files, hash } = verified;
    let files = if *files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    let earlier = if *first > 1 { "; the records before them are not here" } else { "" };
    format!(
        "{}: records {first} to {last} in {files} are unbroken{earlier}\nlast hash: {hash}\n",
        file.display()
    )
}
