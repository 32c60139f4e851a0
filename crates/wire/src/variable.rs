//! Variables of a computation: what may stand as their value in a request. Numbers with tags are taken as
//! `"numbers":"strict"` writes them, so that every result can go back in.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::{depth, is_number, python_float};
use crate::limits::{MAX_VARIABLE_DEPTH, MAX_VARIABLES};
use crate::text::Text;

/// A named value of a computation, still in the JSON spelling of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable<'a> {
    /// The name in the expression.
    pub name: Cow<'a, str>,
    /// Its value: one JSON value, syntactically valid and otherwise unchecked.
    pub json: Cow<'a, str>,
}

/// What a variable holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Given<'v> {
    /// `true` or `false`.
    Bool(bool),
    /// An integer or a float as Python's `json` spells it.
    Number(Cow<'v, str>),
    /// A complex number from its parts.
    Complex(f64, f64),
    /// A column of floats.
    List(Vec<f64>),
}

/// A variable holds what no computation takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} in `variables` must be a number, true, false, a list of numbers, or a tagged number: {tags}", tags = TAGS)]
pub struct InvalidVariable {
    name: String,
}

const TAGS: &str = r#"{"$float":"inf"}, {"$int":"12"}, {"$complex":[0.0,1.0]}"#;

/// How much of a name a message quotes.
const SHOWN_NAME_CHARACTERS: usize = 40;

/// The object around a number that JSON cannot carry.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
enum Tagged<'j> {
    #[serde(rename = "$float", borrow)]
    Float(Text<'j>),
    #[serde(rename = "$int", borrow)]
    Int(Text<'j>),
    #[serde(rename = "$complex", borrow)]
    Complex([&'j RawValue; 2]),
}

impl Variable<'_> {
    /// The same without what it borrows.
    pub fn into_owned(self) -> Variable<'static> {
        Variable { name: self.name.into_owned().into(), json: self.json.into_owned().into() }
    }

    /// What it holds.
    ///
    /// # Errors
    /// Its JSON is no number, truth value or list of numbers.
    pub fn given(&self) -> Result<Given<'_>, InvalidVariable> {
        given(&self.json).ok_or_else(|| InvalidVariable { name: self.shown_name() })
    }

    /// Its name for a message: in backticks, shortened, and with everything escaped that is not plain ASCII.
    pub fn shown_name(&self) -> String {
        format!("`{}`", shown(&self.name))
    }
}

pub(crate) fn shown(name: &str) -> String {
    name.chars().take(SHOWN_NAME_CHARACTERS).flat_map(char::escape_default).collect()
}

fn given(json: &str) -> Option<Given<'_>> {
    match json.as_bytes() {
        b"true" => Some(Given::Bool(true)),
        b"false" => Some(Given::Bool(false)),
        [b'[', ..] => floats(json).map(Given::List),
        [b'{', ..] => match serde_json::from_str(json).ok()? {
            Tagged::Complex([real, imaginary]) => {
                Some(Given::Complex(float(real.get())?, float(imaginary.get())?))
            }
            tagged => tagged.into_number().map(Given::Number),
        },
        _ => is_python_number(json).then_some(Given::Number(Cow::Borrowed(json))),
    }
}

/// A list of them, most of which hold nothing but plain numbers.
fn floats(json: &str) -> Option<Vec<f64>> {
    if let Ok(floats) = serde_json::from_str(json) {
        return Some(floats);
    }
    let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    items.into_iter().map(|item| float(item.get())).collect()
}

/// One number as a double. An integer that none holds is not rounded to infinity.
fn float(json: &str) -> Option<f64> {
    let number = if json.starts_with('{') {
        serde_json::from_str::<Tagged<'_>>(json).ok()?.into_number()?
    } else {
        Cow::Borrowed(json)
    };
    let is_integer = number.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
    let is_number = is_python_number(&number);
    number.parse::<f64>().ok().filter(|float| is_number && (float.is_finite() || !is_integer))
}

fn is_python_number(text: &str) -> bool {
    matches!(text, "Infinity" | "-Infinity" | "NaN") || is_number(text)
}

impl<'j> Tagged<'j> {
    /// The number as Python's `json` spells it.
    fn into_number(self) -> Option<Cow<'j, str>> {
        match self {
            Self::Float(number) => python_float(&number.0).map(Cow::Borrowed),
            Self::Int(digits) => {
                let is_integer = digits.0.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
                (is_integer && is_number(&digits.0)).then_some(digits.0)
            }
            Self::Complex(_) => None,
        }
    }
}

/// The `variables` of a request.
pub(crate) struct Variables<'a>(pub(crate) Vec<Variable<'a>>);

impl<'de> Deserialize<'de> for Variables<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct VariablesVisitor;
        impl<'de> Visitor<'de> for VariablesVisitor {
            type Value = Variables<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Variables<'de>, M::Error> {
                let mut seen = std::collections::HashSet::new();
                let mut variables = Vec::new();
                while let Some((name, value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    if variables.len() == MAX_VARIABLES || !seen.insert(name.0.clone()) {
                        return Err(serde::de::Error::custom("too many names, or one name twice"));
                    }
                    if depth(value.get()) > MAX_VARIABLE_DEPTH {
                        return Err(serde::de::Error::custom("a value is too deep"));
                    }
                    variables.push(Variable { name: name.0, json: Cow::Borrowed(value.get()) });
                }
                Ok(Variables(variables))
            }
        }
        deserializer.deserialize_map(VariablesVisitor)
    }
}
