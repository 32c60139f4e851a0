//! What a user may do, told to that user: the rules of the commands, and nothing of where their programs lie.

use serde_json::{Value, json};

use super::{Channel, Command, Kind, Operand, OptionRule, Policy, User};

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
    json!({
        "name": name,
        "options": command.options.iter().map(describe_option).collect::<Vec<_>>(),
        "operands": command.operands.iter().map(describe_operand).collect::<Vec<_>>(),
        "timeout": command.time_limit.as_secs_f64(),
    })
}

fn describe_option(rule: &OptionRule) -> Value {
    let mut option = json!({ "name": rule.spelling });
    if let (Some(value), Some(object)) = (&rule.value, option.as_object_mut()) {
        object.insert("value".into(), describe_kind(&value.kind));
        if let Some(default) = &value.default {
            object.insert("default".into(), default.as_str().into());
        }
        if value.channel != Channel::Argument {
            object.insert("secret".into(), true.into());
        }
    }
    option
}

fn describe_operand(rule: &Operand) -> Value {
    let mut operand = json!({
        "name": rule.name,
        "required": rule.required,
        "repeat": rule.repeat,
        "value": describe_kind(&rule.kind),
    });
    if let (Channel::Secret(_), Some(object)) = (&rule.channel, operand.as_object_mut()) {
        object.insert("secret".into(), true.into());
    }
    operand
}

/// The type with its keys as the configuration spells them, and in words.
fn describe_kind(kind: &Kind) -> Value {
    let words = kind.expectation();
    match kind {
        Kind::Integer { min, max } => json!({ "type": "integer", "min": min, "max": max, "must_be": words }),
        Kind::Number { min, max } => json!({ "type": "number", "min": min, "max": max, "must_be": words }),
        Kind::Host => json!({ "type": "host", "must_be": words }),
        Kind::Address => json!({ "type": "address", "must_be": words }),
        Kind::Name => json!({ "type": "name", "must_be": words }),
        Kind::OneOf(list) => json!({ "type": "one_of", "words": list, "must_be": words }),
        Kind::Pattern(pattern) => {
            json!({ "type": "pattern", "pattern": pattern.to_string(), "must_be": words })
        }
        Kind::Path(root) => json!({ "type": "path", "root": root.to_string(), "must_be": words }),
        Kind::Text { min_length, max_length } => {
            json!({ "type": "text", "min_length": min_length, "max_length": max_length, "must_be": words })
        }
    }
}
