//! The arguments of a call, read as what a function needs. It refuses wrong types with Python's messages.

use crate::error::Error;
use crate::number::{Integer, Value};

/// The arguments of a call; the last ones may have names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arguments<'a> {
    values: &'a [Value],
    names: &'a [&'static str],
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(values: &'a [Value], names: &'a [&'static str]) -> Self {
        Self { values, names }
    }

    /// The arguments, those with a name last.
    pub(super) fn all(&self) -> &'a [Value] {
        self.values
    }

    /// The arguments without a name.
    pub(super) fn positional(&self) -> &'a [Value] {
        let count = self.values.len().saturating_sub(self.names.len());
        self.values.get(..count).unwrap_or_default()
    }

    /// Refuses what no call of the function may have.
    #[inline]
    pub(super) fn check(
        &self,
        function: &str,
        (least, most): (u16, u16),
        positional: u16,
        keywords: &[(&str, u16)],
    ) -> Result<(), Error> {
        let count = self.values.len();
        if self.names.is_empty() && count >= usize::from(least) && count <= usize::from(positional) {
            return Ok(());
        }
        self.check_names(function, keywords)?;
        if count < usize::from(least)
            || count > usize::from(most)
            || self.positional().len() > usize::from(positional)
        {
            return Err(match (least, most) {
                (1, 1) => {
                    Error::type_error(format!("{function}() takes exactly one argument ({count} given)"))
                }
                _ if least == most => {
                    Error::type_error(format!("{function} expected {least} arguments, got {count}"))
                }
                _ if count < usize::from(least) => {
                    let plural = if least == 1 { "" } else { "s" };
                    Error::type_error(format!(
                        "{function} expected at least {least} argument{plural}, got {count}"
                    ))
                }
                _ => {
                    let plural = if positional == 1 { "" } else { "s" };
                    Error::type_error(format!(
                        "{function} expected at most {positional} argument{plural}, got {count}"
                    ))
                }
            });
        }
        Ok(())
    }

    #[cold]
    fn check_names(&self, function: &str, keywords: &[(&str, u16)]) -> Result<(), Error> {
        let given = self.positional().len();
        for name in self.names {
            match keywords.iter().find(|(keyword, _)| keyword == name) {
                None if keywords.is_empty() => {
                    return Err(Error::type_error(format!("{function}() takes no keyword arguments")));
                }
                None => {
                    return Err(Error::type_error(format!(
                        "{function}() got an unexpected keyword argument"
                    )));
                }
                Some((keyword, place)) if usize::from(*place) < given => {
                    let place = place.saturating_add(1);
                    return Err(Error::type_error(format!(
                        "argument for {function}() given by name ('{keyword}') and position ({place})"
                    )));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    pub(super) fn named(&self, name: &str) -> Option<&'a Value> {
        let named = self.values.get(self.positional().len()..)?;
        self.names.iter().zip(named).find(|(known, _)| **known == name).map(|(_, value)| value)
    }

    /// The argument at a place, or of a name.
    pub(super) fn get(&self, place: usize, name: &str) -> Option<&'a Value> {
        self.positional().get(place).or_else(|| self.named(name))
    }

    pub(super) fn need(&self, place: usize, name: &str) -> Result<&'a Value, Error> {
        let place_from_1 = place.saturating_add(1);
        self.get(place, name).ok_or_else(|| {
            Error::type_error(format!("missing required argument '{name}' (pos {place_from_1})"))
        })
    }

    #[inline]
    pub(super) fn at(&self, place: usize) -> Result<&'a Value, Error> {
        self.values.get(place).ok_or_else(|| Error::type_error("missing argument"))
    }

    pub(super) fn float(&self, place: usize) -> Result<f64, Error> {
        to_float(self.at(place)?)
    }

    pub(super) fn complex(&self, place: usize) -> Result<(f64, f64), Error> {
        to_complex(self.at(place)?)
    }

    pub(super) fn integer(&self, place: usize) -> Result<Integer, Error> {
        to_integer(self.at(place)?)
    }

    /// The items of a list or tuple.
    pub(super) fn items(&self, place: usize) -> Result<&'a [Value], Error> {
        to_items(self.at(place)?)
    }
}

pub(super) fn to_float(value: &Value) -> Result<f64, Error> {
    value
        .as_float()
        .unwrap_or_else(|| Err(Error::type_error(format!("must be real number, not {}", value.type_name()))))
}

pub(super) fn to_complex(value: &Value) -> Result<(f64, f64), Error> {
    value
        .as_complex()
        .unwrap_or_else(|| Err(Error::type_error(format!("must be real number, not {}", value.type_name()))))
}

pub(super) fn to_integer(value: &Value) -> Result<Integer, Error> {
    value.as_integer().ok_or_else(|| {
        Error::type_error(format!("'{}' object cannot be interpreted as an integer", value.type_name()))
    })
}

pub(super) fn to_items(value: &Value) -> Result<&[Value], Error> {
    match value {
        Value::List(items) | Value::Tuple(items) => Ok(items),
        _ => Err(Error::type_error(format!("'{}' object is not iterable", value.type_name()))),
    }
}
