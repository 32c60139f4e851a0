//! The rules for arguments: options and operands with their types.

use std::collections::BTreeSet;

use wire::limits::MAX_PARAMETERS;

use super::problem::{Fault, shown, suggestion};
use super::secret::{self, Variables};
use super::section::{Item, Section};
use crate::policy::{
    Attachment, Beneath, Channel, Decimal, FileKind, Kind, Links, Operand, OptionRule, OptionValue, Pattern,
    Place, Root, is_invisible, is_name,
};

/// The types that a rule may name, and the keys that each has beside its own.
const TYPES: [(&str, &[&str]); 9] = [
    ("integer", &["min", "max"]),
    ("number", &["min", "max"]),
    ("host", &[]),
    ("address", &[]),
    ("name", &[]),
    ("one_of", &["words"]),
    ("pattern", &["pattern"]),
    ("path", &["root", "kind", "follow_links"]),
    ("text", &["min_length", "max_length"]),
];

/// Longest text, in characters, that a rule can allow.
const MAX_TEXT_LENGTH: i64 = 4096;

/// What the rules of one command have in common while they are read.
pub(super) struct Reader<'r> {
    /// The file name of its program.
    pub(super) program: String,
    /// Its variables.
    pub(super) variables: Variables,
    /// What is correct, and perhaps not what its writer wants.
    pub(super) warnings: &'r mut Vec<Fault>,
}

pub(super) fn options(item: &Item<'_>, reader: &mut Reader<'_>) -> Result<Vec<OptionRule>, Fault> {
    let mut rules: Vec<OptionRule> = Vec::new();
    for (key, item) in item.entries()? {
        if !is_option(key.text) {
            let message = format!("{} is not an option: write it as `-c` or `--count`", shown(key.text));
            return Err(Fault::new(key.at, message));
        }
        let rule = option(key.text, &item, reader)?;
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

fn option(spelling: &str, item: &Item<'_>, reader: &mut Reader<'_>) -> Result<OptionRule, Fault> {
    if let Ok(text) = item.string() {
        return match text {
            "flag" => Ok(OptionRule::flag(spelling)),
            _ => Err(item.fault(format!(
                "must be \"flag\" or a table such as {{ type = \"host\" }}, not {}",
                shown(text)
            ))),
        };
    }
    let own_keys = [&["default", "repeat", "glued"], &secret::KEYS[..]].concat();
    let (section, kind_name) = typed(item, &own_keys, &["flag"])?;
    let repeat = repeat(&section)?;
    if kind_name == "flag" {
        return match ["default", "glued", "secret", "environment"]
            .into_iter()
            .find_map(|key| section.get(key))
        {
            None => Ok(OptionRule { repeat, ..OptionRule::flag(spelling) }),
            Some(item) => Err(item.fault("has no meaning for a flag")),
        };
    }
    let channel = reader.variables.channel(&section)?;
    let attachment = attachment(spelling, &section, reader)?;
    let place = match channel {
        Channel::Argument => Place::OptionValue,
        Channel::Secret(_) => Place::Environment,
    };
    let kind = kind(&section, kind_name, place, reader)?;
    if attachment == Attachment::Separate && place == Place::OptionValue && kind.takes_dashes(place) {
        reader.warnings.push(item.fault(format!(
            "may have values that begin with `-`, each in a word behind `{spelling}`: a program that can do without the \
             value reads such a word as an option; with `glued = true` it cannot"
        )));
    }
    let default = section.optional("default", |item| default(item, &kind, place))?;
    let value = OptionValue { kind, default, channel, attachment };
    Ok(OptionRule { repeat, ..OptionRule::with_value(spelling, value) })
}

/// Whether the value is a word of its own, as the rule says or as is safe.
fn attachment(spelling: &str, section: &Section<'_>, reader: &mut Reader<'_>) -> Result<Attachment, Fault> {
    let known = has_optional_value(&reader.program, spelling);
    let Some(item) = section.get("glued") else {
        return Ok(if known { Attachment::Glued } else { Attachment::of(spelling) });
    };
    if section.get("secret").is_some_and(|secret| secret.boolean().unwrap_or(false)) {
        return Err(item.fault("has no meaning for a secret, which is no argument"));
    }
    if item.boolean()? {
        return Ok(Attachment::Glued);
    }
    let program = &reader.program;
    if known {
        reader.warnings.push(item.fault(format!(
            "makes the value of `{spelling}` a word of its own, which {program} takes for an operand"
        )));
    } else if Attachment::of(spelling) == Attachment::Glued {
        reader.warnings.push(item.fault(format!(
            "makes the value of `{spelling}` a word of its own: if {program} can do without the value, it takes the word \
             for an operand that no rule has checked"
        )));
    }
    Ok(Attachment::Separate)
}

/// Options of one letter that are known to take a value only in the same word, so that the next one is an operand.
const OPTIONAL_VALUES: [(&str, &[&str]); 12] = [
    ("7z", &["-o", "-p"]),
    ("7za", &["-o", "-p"]),
    ("7zr", &["-o", "-p"]),
    ("date", &["-I"]),
    ("gcc", &["-O", "-g"]),
    ("lscpu", &["-e", "-p"]),
    ("lsof", &["-F", "-T", "-i", "-s"]),
    ("mariadb", &["-p"]),
    ("mysql", &["-p"]),
    ("od", &["-w"]),
    ("pr", &["-e", "-i", "-n", "-s"]),
    ("sed", &["-i"]),
];

fn has_optional_value(program: &str, spelling: &str) -> bool {
    // mysqldump, mysqladmin, mariadb-dump and the like share their options.
    let family = |name: &&str| program.starts_with(*name);
    let name = ["mysql", "mariadb"].into_iter().find(family).unwrap_or(program);
    OPTIONAL_VALUES.iter().any(|(known, options)| *known == name && options.contains(&spelling))
}

fn repeat(section: &Section<'_>) -> Result<usize, Fault> {
    let most = i64::try_from(MAX_PARAMETERS).unwrap_or(i64::MAX);
    let repeat = section.optional("repeat", |item| item.integer(1, most))?.unwrap_or(1);
    Ok(usize::try_from(repeat).unwrap_or(1))
}

fn default(item: &Item<'_>, kind: &Kind, place: Place) -> Result<String, Fault> {
    let text = match (item.string(), kind) {
        (Ok(text), _) => text.to_owned(),
        (Err(_), Kind::Integer { .. } | Kind::Number { .. }) => item.decimal()?.to_string(),
        (Err(fault), _) => return Err(fault),
    };
    kind.argument(&text, place)
        .map(String::from)
        .map_err(|expectation| item.fault(format!("must be {expectation}, not {}", shown(&text))))
}

/// `separator` says whether `--` stands before them.
pub(super) fn operands(
    item: &Item<'_>,
    separator: bool,
    reader: &mut Reader<'_>,
) -> Result<Vec<Operand>, Fault> {
    let items = item.list()?;
    let mut operands: Vec<Operand> = Vec::new();
    let mut names = BTreeSet::new();
    for item in &items {
        if operands.last().is_some_and(|last| last.repeat > 1) {
            return Err(item.fault("stands behind an operand with `repeat`, which must be the last"));
        }
        let operand = operand(item, separator, reader)?;
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

fn operand(item: &Item<'_>, separator: bool, reader: &mut Reader<'_>) -> Result<Operand, Fault> {
    let (section, kind_name) =
        typed(item, &[&["name", "required", "repeat"], &secret::KEYS[..]].concat(), &[])?;
    let name = section.required("name")?;
    if !is_name(name.string()?) {
        return Err(name.fault("must be a word of letters, digits, `.`, `_` and `-`"));
    }
    let channel = reader.variables.channel(&section)?;
    let place = match (&channel, separator) {
        (Channel::Secret(_), _) => Place::Environment,
        (Channel::Argument, true) => Place::BehindSeparator,
        (Channel::Argument, false) => Place::Operand,
    };
    Ok(Operand {
        name: name.string()?.to_owned(),
        kind: kind(&section, kind_name, place, reader)?,
        required: section.optional("required", Item::boolean)?.unwrap_or(true),
        repeat: repeat(&section)?,
        channel,
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

fn kind(section: &Section<'_>, name: &str, place: Place, reader: &mut Reader<'_>) -> Result<Kind, Fault> {
    Ok(match name {
        "integer" => {
            let (min, max) = bounds(section, Item::whole)?;
            Kind::Integer { min, max }
        }
        "number" => {
            let (min, max) = bounds(section, Item::decimal)?;
            Kind::Number { min, max }
        }
        "host" => Kind::Host,
        "address" => Kind::Address,
        "name" => Kind::Name,
        "one_of" => one_of(&section.required("words")?, place)?,
        "pattern" => {
            let item = section.required("pattern")?;
            let pattern =
                Pattern::new(item.string()?).map_err(|error| item.fault(format!("is wrong: {error}")))?;
            let kind = Kind::Pattern(pattern);
            if !kind.has_values(place) {
                reader.warnings.push(item.fault(format!(
                    "lets no value pass: a value must be {}, and must be printable ASCII",
                    kind.expectation(place)
                )));
            }
            kind
        }
        "path" => {
            let root = section.required("root")?;
            let files = section.optional("kind", file_kind)?.unwrap_or_default();
            let follow = section.optional("follow_links", Item::boolean)?.unwrap_or(false);
            Kind::Path(Beneath {
                root: Root::new(root.string()?.into()).map_err(|error| root.fault(error))?,
                files,
                links: if follow { Links::Followed } else { Links::Refused },
            })
        }
        _ => {
            let min = section.optional("min_length", |item| item.integer(1, MAX_TEXT_LENGTH))?.unwrap_or(1);
            let max = section.required("max_length")?.integer(min, MAX_TEXT_LENGTH)?;
            let length = |bound| usize::try_from(bound).unwrap_or(usize::MAX);
            Kind::Text { min_length: length(min), max_length: length(max) }
        }
    })
}

/// `min` and `max`, in order.
fn bounds<'d>(
    section: &Section<'d>,
    read: impl Fn(&Item<'d>) -> Result<Decimal, Fault>,
) -> Result<(Decimal, Decimal), Fault> {
    let (min, max) = (read(&section.required("min")?)?, section.required("max")?);
    let bound = read(&max)?;
    if bound < min {
        return Err(max.fault(format!("must be at least {min}")));
    }
    Ok((min, bound))
}

fn file_kind(item: &Item<'_>) -> Result<FileKind, Fault> {
    let word = item.string()?;
    FileKind::named(word).ok_or_else(|| {
        item.fault(format!(
            "must be \"file\", \"directory\" or \"any\", not {}; without `kind` both files and directories pass",
            shown(word)
        ))
    })
}

fn one_of(item: &Item<'_>, place: Place) -> Result<Kind, Fault> {
    let items = item.list()?;
    let mut words = Vec::new();
    for item in &items {
        let word = item.string()?.to_owned();
        if Kind::OneOf(vec![word.clone()]).argument(&word, place).is_err() {
            let why = if place == Place::Operand && word.starts_with('-') {
                "without `separator` a program would read it as an option"
            } else {
                "no value may be so"
            };
            return Err(item.fault(format!("is {}: {why}", shown(&word))));
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
