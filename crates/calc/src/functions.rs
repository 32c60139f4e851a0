//! The closed table of functions and constants. Adding a function is adding one row. Nothing outside the table can
//! be called.

use crate::budget::Budget;
use crate::error::Error;
use crate::number::Value;
use crate::program::Instruction;

/// What the table tells about a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionInfo {
    /// Its full name, such as `math.sqrt`.
    pub name: &'static str,
    /// Its arguments, in Python's notation.
    pub signature: &'static str,
    /// What it computes, in one line.
    pub doc: &'static str,
}

/// All functions that an expression can call.
pub fn functions() -> impl Iterator<Item = FunctionInfo> {
    std::iter::empty()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Module {
    Math,
    Cmath,
    Statistics,
}

pub(crate) const UNKNOWN: u16 = u16::MAX;
pub(crate) const UNKNOWN_KEYWORD: &str = "";

pub(crate) fn module(name: &str) -> Option<Module> {
    match name {
        "math" => Some(Module::Math),
        "cmath" => Some(Module::Cmath),
        "statistics" => Some(Module::Statistics),
        _ => None,
    }
}

pub(crate) fn constant(module: Option<Module>, name: &str) -> Option<Instruction> {
    match (module, name) {
        (None, "True") => Some(Instruction::Boolean(true)),
        (None, "False") => Some(Instruction::Boolean(false)),
        (None | Some(Module::Math | Module::Cmath), _) => {
            let value = match name {
                "pi" => std::f64::consts::PI,
                "e" => std::f64::consts::E,
                "tau" => std::f64::consts::TAU,
                "inf" => f64::INFINITY,
                "nan" => f64::NAN,
                "infj" if module == Some(Module::Cmath) => {
                    return Some(Instruction::Imaginary(f64::INFINITY));
                }
                "nanj" if module == Some(Module::Cmath) => return Some(Instruction::Imaginary(f64::NAN)),
                _ => return None,
            };
            Some(Instruction::Float(value))
        }
        (Some(Module::Statistics), _) => None,
    }
}

pub(crate) fn find(_module: Option<Module>, _name: &str) -> Option<u16> {
    None
}

pub(crate) fn keyword(_name: &str) -> &'static str {
    UNKNOWN_KEYWORD
}

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
}

pub(crate) fn call(_function: u16, _arguments: Arguments<'_>, _budget: &mut Budget) -> Result<Value, Error> {
    Err(Error::name())
}
