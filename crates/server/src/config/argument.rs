//! The rules for arguments: options and operands with their types.

use std::collections::BTreeSet;

use wire::limits::MAX_PARAMETERS;

use super::problem::{Fault, shown, suggestion};
use super::secret::{self, Variables};
use super::section::{Item, Section};
use crate::policy::{Kind, Operand, OptionRule, OptionValue, Pattern, Root, is_invisible, is_name};

/// The types that a rule may name, and the keys that each has beside its own.
const TYPES: [(&str, &[&str]); 9] = [
    ("integer", &["min", "max"]),
    ("number", &["min", "max"]),
    ("host", &[]),
    ("address", &[]),
    ("name", &[]),
    ("one_of", &["words"]),
    ("pattern", &["pattern"]),
    ("path", &["root"]),
    ("text", &["min_length", "max_length"]),
];

/// Longest text, in characters, that a rule can allow.
const MAX_TEXT_LENGTH: i64 = 4096;

pub(super) fn options(item: &Item<'_>, variables: &mut Variables) -> Result<Vec<OptionRule>, Fault> {
    let mut rules: Vec<OptionRule> = Vec::new();
    for (key, item) in item.entries()? {
        if !is_option(key.text) {
            let message = format!("{} is not an option: write it as `-c` or `--count`", shown(key.text));
            return Err(Fault::new(key.at, message));
        }
        let rule = option(key.text, &item, variables)?;
        for other in &rules {
            if let Some((taker, option)) = swallows(other, &rule).or_else(|| swallows(&rule, other)) {
                let message =
                    format!("`{taker}` takes a value, so `{option}` could be read as `{taker}` with one");
                return Err(Fault::new(key.at, message));
            }
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn option(spelling: &str, item: &Item<'_>, variables: &mut Variables) -> Result<OptionRule, Fault> {
    if let Ok(text) = item.string() {
        return match text {
            "flag" => Ok(OptionRule::flag(spelling)),
            _ => Err(item.fault(format!(
                "must be \"flag\" or a table such as {{ type = \"host\" }}, not {}",
                shown(text)
            ))),
        };
    }
    let (section, kind_name) = typed(item, &[&["default"], &secret::KEYS[..]].concat(), &["flag"])?;
    if kind_name == "flag" {
        return match ["default", "secret", "environment"].into_iter().find_map(|key| section.get(key)) {
            None => Ok(OptionRule::flag(spelling)),
            Some(item) => Err(item.fault("has no meaning for a flag")),
        };
    }
    let kind = kind(&section, kind_name)?;
    let channel = variables.channel(&section)?;
    let default = section.optional("default", |item| default(item, &kind))?;
    Ok(OptionRule::with_value(spelling, OptionValue { kind, default, channel }))
}

fn default(item: &Item<'_>, kind: &Kind) -> Result<String, Fault> {
    let text = match item.string() {
        Ok(text) => text.to_owned(),
        Err(_) => match kind {
            Kind::Integer { .. } => item.integer(i64::MIN, i64::MAX)?.to_string(),
            Kind::Number { .. } => item.number()?.to_string(),
            _ => return Err(item.string().err().unwrap_or_else(|| item.fault("must be a string"))),
        },
    };
    let argument = kind.argument(&text).map(String::from);
    argument.ok_or_else(|| item.fault(format!("must be {}, not {}", kind.expectation(), shown(&text))))
}

pub(super) fn operands(item: &Item<'_>, variables: &mut Variables) -> Result<Vec<Operand>, Fault> {
    let items = item.list()?;
    let mut operands: Vec<Operand> = Vec::new();
    let mut names = BTreeSet::new();
    for item in &items {
        if operands.last().is_some_and(|last| last.repeat > 1) {
            return Err(item.fault("stands behind an operand with `repeat`, which must be the last"));
        }
        let operand = operand(item, variables)?;
        if operand.required && operands.last().is_some_and(|last| !last.required) {
            return Err(item.fault("is required and stands behind one that is not"));
        }
        if !names.insert(operand.name.clone()) {
            return Err(item.fault(format!("has the name `{}` a second time", operand.name)));
        }
        operands.push(operand);
    }
    Ok(operands)
}

fn operand(item: &Item<'_>, variables: &mut Variables) -> Result<Operand, Fault> {
    let (section, kind_name) =
        typed(item, &[&["name", "required", "repeat"], &secret::KEYS[..]].concat(), &[])?;
    let name = section.required("name")?;
    if !is_name(name.string()?) {
        return Err(name.fault("must be a word of letters, digits, `.`, `_` and `-`"));
    }
    let most = i64::try_from(MAX_PARAMETERS).unwrap_or(i64::MAX);
    let repeat = section.optional("repeat", |item| item.integer(1, most))?.unwrap_or(1);
    Ok(Operand {
        name: name.string()?.to_owned(),
        kind: kind(&section, kind_name)?,
        required: section.optional("required", Item::boolean)?.unwrap_or(true),
        repeat: usize::try_from(repeat).unwrap_or(1),
        channel: variables.channel(&section)?,
    })
}

/// A table with a `type` and the keys that belong to that type, beside these of its own.
fn typed<'d>(
    item: &Item<'d>,
    own_keys: &[&'static str],
    own_types: &[&'static str],
) -> Result<(Section<'d>, &'d str), Fault> {
    let entries = item.entries()?;
    let Some((_, type_item)) = entries.iter().find(|(key, _)| key.text == "type") else {
        // A misspelt `type` shall be called misspelt rather than missing.
        let all: Vec<&str> = TYPES.iter().flat_map(|(_, keys)| *keys).chain(own_keys).copied().collect();
        let section = item.section(&[&["type"], &all[..]].concat())?;
        return Err(section.fault(format!("`{}` lacks the key `type`", item.name)));
    };
    let name = type_item.string()?;
    let known = TYPES.iter().find(|(known, _)| *known == name).map(|(_, keys)| *keys);
    let keys = match known {
        Some(keys) => keys,
        None if own_types.contains(&name) => &[],
        None => {
            let hint =
                suggestion(name, TYPES.iter().map(|(known, _)| *known).chain(own_types.iter().copied()));
            return Err(type_item.fault(format!("is {}, which is no type{hint}", shown(name))));
        }
    };
    let section = item.section(&[&["type"], own_keys, keys].concat())?;
    Ok((section, name))
}

fn kind(section: &Section<'_>, name: &str) -> Result<Kind, Fault> {
    Ok(match name {
        "integer" => {
            // No value starts with `-`, so a bound below 0 would promise what cannot be given.
            let min = section.required("min")?.integer(0, i64::MAX)?;
            Kind::Integer { min, max: section.required("max")?.integer(min, i64::MAX)? }
        }
        "number" => {
            let (min, max) = (section.required("min")?.number()?, section.required("max")?);
            let bound = max.number()?;
            if bound < min {
                return Err(max.fault(format!("must be at least {min}")));
            }
            Kind::Number { min, max: bound }
        }
        "host" => Kind::Host,
        "address" => Kind::Address,
        "name" => Kind::Name,
        "one_of" => one_of(&section.required("words")?)?,
        "pattern" => {
            let item = section.required("pattern")?;
            Kind::Pattern(
                Pattern::new(item.string()?).map_err(|error| item.fault(format!("is wrong: {error}")))?,
            )
        }
        "path" => {
            let item = section.required("root")?;
            Kind::Path(Root::new(item.string()?.into()).map_err(|error| item.fault(error))?)
        }
        _ => {
            let min = section.optional("min_length", |item| item.integer(1, MAX_TEXT_LENGTH))?.unwrap_or(1);
            let max = section.required("max_length")?.integer(min, MAX_TEXT_LENGTH)?;
            let length = |bound| usize::try_from(bound).unwrap_or(usize::MAX);
            Kind::Text { min_length: length(min), max_length: length(max) }
        }
    })
}

fn one_of(item: &Item<'_>) -> Result<Kind, Fault> {
    let items = item.list()?;
    let mut words = Vec::new();
    for item in &items {
        let word = item.string()?.to_owned();
        if Kind::OneOf(vec![word.clone()]).argument(&word).is_none() {
            return Err(item.fault(format!("is {}, which no value may be", shown(&word))));
        }
        words.push(word);
    }
    if words.is_empty() {
        return Err(item.fault("must have at least one word"));
    }
    Ok(Kind::OneOf(words))
}

/// Arguments that the operator fixed: they may be options, and hold anything that a person can see.
pub(super) fn fixed(item: &Item<'_>) -> Result<Vec<String>, Fault> {
    let visible = |item: &Item<'_>| {
        let text = item.string()?;
        if text.chars().any(is_invisible) {
            return Err(item.fault("must not hold control or format characters"));
        }
        Ok(text.to_owned())
    };
    item.list()?.iter().map(visible).collect()
}

/// `-c`, `-name`, `--count`.
fn is_option(text: &str) -> bool {
    let name = text.strip_prefix("--").or_else(|| text.strip_prefix('-'));
    name.is_some_and(is_name)
}

/// Whether one takes a value that may be attached to it, and the other begins with the same letters.
fn swallows<'r>(one: &'r OptionRule, other: &'r OptionRule) -> Option<(&'r str, &'r str)> {
    let attaches = one.value.is_some() && !one.spelling.starts_with("--");
    let swallows = attaches && other.spelling.starts_with(&one.spelling);
    swallows.then_some((one.spelling.as_str(), other.spelling.as_str()))
}
