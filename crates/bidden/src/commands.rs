//! `bidden commands`: what the server lets me do, as a person reads it.

use std::fmt::Write as _;

use client::Action;
use serde_json::Value;

use crate::arguments::Commands;
use crate::ask::show;
use crate::exit::Exit;

pub(crate) async fn commands(arguments: Commands) -> anyhow::Result<Exit> {
    show(&arguments.server, arguments.json, Action::Describe, text).await
}

/// What is missing from the description is left out of the text: a later server may describe more than this knows.
fn text(description: &Value) -> String {
    let mut out = String::new();
    for command in list(description, "commands") {
        describe(&mut out, command);
    }
    let rights: Vec<_> = list(description, "rights").iter().filter_map(Value::as_str).collect();
    let rights = if rights.is_empty() { "none".to_owned() } else { rights.join(", ") };
    let _ = writeln!(out, "user: {}; rights: {rights}", string(description, "user"));
    out
}

/// A line as a person would type the command, and a line for each value.
fn describe(out: &mut String, command: &Value) {
    let mut synopsis = string(command, "name").to_owned();
    let mut values = Vec::new();
    for option in list(command, "options") {
        let name = string(option, "name");
        let dots = if option["repeat"].as_u64().unwrap_or(1) > 1 { "..." } else { "" };
        match option.get("value") {
            None => {
                let _ = write!(synopsis, " [{name}]{dots}");
            }
            Some(value) => {
                let _ = write!(synopsis, " [{name} {}]{dots}", string(value, "type").to_uppercase());
                let default = option.get("default").and_then(Value::as_str);
                let default = default.map_or_else(String::new, |text| format!("; {text} if left out"));
                values.push(format!("{name}: {}{default}", string(value, "must_be")));
            }
        }
    }
    for operand in list(command, "operands") {
        let name = string(operand, "name").to_uppercase();
        let dots = if operand["repeat"].as_u64().unwrap_or(1) > 1 { "..." } else { "" };
        let _ = match operand["required"].as_bool() {
            Some(false) => write!(synopsis, " [{name}{dots}]"),
            _ => write!(synopsis, " {name}{dots}"),
        };
        values.push(format!("{name}: {}", string(&operand["value"], "must_be")));
    }
    let _ = writeln!(out, "{synopsis}");
    for value in values {
        let _ = writeln!(out, "    {value}");
    }
}

fn list<'v>(object: &'v Value, key: &str) -> &'v [Value] {
    object.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn string<'v>(object: &'v Value, key: &str) -> &'v str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}
