//! What a user may do, told to that user: the rules of the commands, and nothing of where their programs lie.

use serde_json::{Value, json};

use super::{Beneath, Channel, Command, Decimal, Kind, Links, Operand, OptionRule, Place, Policy, User};

impl Policy {
    /// A JSON object with the user's name, rights and commands. `docs/protocol.md` gives its keys.
    pub fn describe(&self, user: &User) -> String {
        super::decide::count_question();
        let permitted = |(name, command): (&String, &Command)| {
            user.commands.contains_key(name).then(|| describe_command(name, command))
        };
        let commands: Vec<_> = self.commands.iter().filter_map(permitted).collect();
        let rights: Vec<_> = user.rights.keys().map(|right| right.as_str()).collect();
        json!({ "user": user.name, "rights": rights, "commands": commands }).to_string()
    }
}

fn describe_command(name: &str, command: &Command) -> Value {
    let operands = command.operands.iter().map(|rule| describe_operand(rule, command.place(rule)));
    json!({
        "name": name,
        "options": command.options.iter().map(describe_option).collect::<Vec<_>>(),
        "operands": operands.collect::<Vec<_>>(),
        "timeout": command.time_limit.as_secs_f64(),
    })
}

fn describe_option(rule: &OptionRule) -> Value {
    let mut option = json!({ "name": rule.spelling });
    if let (2.., Some(object)) = (rule.repeat, option.as_object_mut()) {
        object.insert("repeat".into(), rule.repeat.into());
    }
    if let (Some(value), Some(object)) = (&rule.value, option.as_object_mut()) {
        object.insert("value".into(), describe_kind(&value.kind, value.place()));
        if let Some(default) = &value.default {
            object.insert("default".into(), default.as_str().into());
        }
        if value.channel != Channel::Argument {
            object.insert("secret".into(), true.into());
        }
    }
    option
}

fn describe_operand(rule: &Operand, place: Place) -> Value {
    let mut operand = json!({
        "name": rule.name,
        "required": rule.required,
        "repeat": rule.repeat,
        "value": describe_kind(&rule.kind, place),
    });
    if let (Channel::Secret(_), Some(object)) = (&rule.channel, operand.as_object_mut()) {
        object.insert("secret".into(), true.into());
    }
    operand
}

/// The type with its keys as the configuration spells them, and in words.
fn describe_kind(kind: &Kind, place: Place) -> Value {
    let words = kind.expectation(place);
    let bounds = |name: &str, min: &Decimal, max: &Decimal| json!({ "type": name, "min": describe_number(min), "max": describe_number(max), "must_be": words });
    match kind {
        Kind::Integer { min, max } => bounds("integer", min, max),
        Kind::Number { min, max } => bounds("number", min, max),
        Kind::Host => json!({ "type": "host", "must_be": words }),
        Kind::Address => json!({ "type": "address", "must_be": words }),
        Kind::Name => json!({ "type": "name", "must_be": words }),
        Kind::OneOf(list) => json!({ "type": "one_of", "words": list, "must_be": words }),
        Kind::Pattern(pattern) => {
            json!({ "type": "pattern", "pattern": pattern.to_string(), "must_be": words })
        }
        Kind::Path(Beneath { root, files, links }) => {
            let mut path = json!({ "type": "path", "root": root.to_string(), "must_be": words });
            if let Some(object) = path.as_object_mut() {
                if let Some(kind) = files.as_str() {
                    object.insert("kind".into(), kind.into());
                }
                if *links == Links::Followed {
                    object.insert("follow_links".into(), true.into());
                }
            }
            path
        }
        Kind::Text { min_length, max_length } => {
            json!({ "type": "text", "min_length": min_length, "max_length": max_length, "must_be": words })
        }
    }
}

/// A JSON number where a double holds it exactly, and otherwise a string: a reader must not see another bound.
fn describe_number(number: &Decimal) -> Value {
    let text = number.to_string();
    let double = || {
        let value: f64 = text.parse().ok()?;
        (Decimal::parse(&format!("{value:e}")).as_ref() == Some(number)).then(|| json!(value))
    };
    text.parse::<i64>().ok().map(Value::from).or_else(double).unwrap_or(Value::String(text.clone()))
}
