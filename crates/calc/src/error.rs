//! Why an expression has no value, with Python's exception class and message. It never quotes the expression.

use std::borrow::Cow;
use std::fmt;

/// The rough kinds of failure, one for each way in which a caller may react.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text is not an expression of the language.
    Syntax,
    /// A name is unknown, starts with an underscore or is used as what it is not.
    Name,
    /// The computation failed as it would in Python.
    Computation,
    /// A bound of [`crate::limits`] other than fuel was met; more budget would not help.
    Limit,
    /// The budget's fuel ran out; a larger budget may help.
    Fuel,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Report>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Report {
    kind: ErrorKind,
    class: &'static str,
    message: Cow<'static, str>,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Unknown,
    /// A byte offset, until the text is at hand.
    Offset(u32),
    Column(u32),
}

impl Error {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The name of Python's exception class, such as `ZeroDivisionError`.
    pub fn class(&self) -> &'static str {
        self.0.class
    }

    /// The message, without the class.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where in the text, counted in characters from 1, when it can be told.
    pub fn column(&self) -> Option<u32> {
        match self.0.place {
            Place::Column(column) => Some(column),
            Place::Unknown | Place::Offset(_) => None,
        }
    }

    #[cold]
    pub(crate) fn new(kind: ErrorKind, class: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Report { kind, class, message: message.into(), place: Place::Unknown }))
    }

    pub(crate) fn syntax() -> Self {
        Self::new(ErrorKind::Syntax, "SyntaxError", "Invalid expression syntax")
    }

    pub(crate) fn name() -> Self {
        Self::new(ErrorKind::Name, "NameError", "Invalid variable name in expression")
    }

    pub(crate) fn limit(class: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Limit, class, message)
    }

    pub(crate) fn fuel() -> Self {
        Self::new(ErrorKind::Fuel, "TimeoutError", "the expression needs too much computation")
    }

    pub(crate) fn integer_too_large() -> Self {
        Self::limit("OverflowError", "an integer would have more than 131072 bits")
    }

    pub(crate) fn too_many_digits() -> Self {
        Self::limit("ValueError", "an integer has more than 4300 digits")
    }

    pub(crate) fn type_error(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Computation, "TypeError", message)
    }

    pub(crate) fn value_error(message: &'static str) -> Self {
        Self::new(ErrorKind::Computation, "ValueError", message)
    }

    pub(crate) fn value_error_with(message: String) -> Self {
        Self::new(ErrorKind::Computation, "ValueError", message)
    }

    /// The parser makes no program that pops an empty stack; a broken one gets an error rather than a panic.
    #[cold]
    pub(crate) fn broken() -> Self {
        Self::new(ErrorKind::Computation, "SystemError", "broken program")
    }

    pub(crate) fn overflow(message: &'static str) -> Self {
        Self::new(ErrorKind::Computation, "OverflowError", message)
    }

    pub(crate) fn zero_division(message: &'static str) -> Self {
        Self::new(ErrorKind::Computation, "ZeroDivisionError", message)
    }

    pub(crate) fn statistics(message: &'static str) -> Self {
        Self::new(ErrorKind::Computation, "StatisticsError", message)
    }

    /// Names the byte offset, unless a place is known already.
    #[cold]
    pub(crate) fn at(mut self, offset: u32) -> Self {
        if self.0.place == Place::Unknown {
            self.0.place = Place::Offset(offset);
        }
        self
    }

    /// Turns the byte offset into a column of `text`.
    #[cold]
    pub(crate) fn in_text(mut self, text: &str) -> Self {
        if let Place::Offset(offset) = self.0.place {
            let before = text.char_indices().take_while(|(at, _)| *at < offset as usize).count();
            self.0.place = Place::Column(u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1));
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}

impl std::error::Error for Error {}
