//! How a value is written in JSON: as Python's `json.dumps` does, or strictly, with tags for what plain JSON cannot
//! carry; and how a JSON number is read. Integers of more than 4,300 digits are refused both ways.

use crate::error::{Error, ErrorKind};
use crate::number::{Integer, Value, decimal};

/// Beyond this a JSON number may be rounded by its reader.
const SAFE_INTEGER: i64 = (1 << 53) - 1;

/// Python writes floats of these magnitudes without an exponent, and so does the library.
const PLAIN: std::ops::Range<f64> = 1e-4..1e16;

impl Value {
    /// Appends the value as `json.dumps` spells it: integers bare, floats as `repr`, `Infinity` and `NaN`. A complex
    /// number, which `json.dumps` refuses, becomes `{"$complex":[re,im]}`, a tuple an array.
    #[inline]
    pub fn write_json(&self, out: &mut String) -> Result<(), Error> {
        match self {
            Self::Int(value) => value.write_decimal(out),
            Self::Float(value) => {
                write_float(*value, out);
                Ok(())
            }
            Self::Bool(value) => {
                out.push_str(if *value { "true" } else { "false" });
                Ok(())
            }
            Self::Complex(real, imaginary) => {
                write_complex(*real, *imaginary, write_float, out);
                Ok(())
            }
            Self::List(items) | Self::Tuple(items) => write_items(items, out, Self::write_json),
        }
    }

    /// Appends the value as JSON that any reader takes without loss: `{"$int":"…"}` beyond ±(2^53−1),
    /// `{"$float":"inf|-inf|nan"}`, `{"$complex":[re,im]}`.
    pub fn write_strict(&self, out: &mut String) -> Result<(), Error> {
        match self {
            Self::Int(value) => {
                let is_safe =
                    value.to_i64().is_some_and(|value| value.unsigned_abs() <= SAFE_INTEGER.unsigned_abs());
                if is_safe {
                    return value.write_decimal(out);
                }
                out.push_str("{\"$int\":\"");
                value.write_decimal(out)?;
                out.push_str("\"}");
                Ok(())
            }
            Self::Float(value) => {
                write_strict_float(*value, out);
                Ok(())
            }
            Self::Complex(real, imaginary) => {
                write_complex(*real, *imaginary, write_strict_float, out);
                Ok(())
            }
            Self::Bool(_) => self.write_json(out),
            Self::List(items) | Self::Tuple(items) => write_items(items, out, Self::write_strict),
        }
    }

    /// Reads a number as Python's `json.loads` does: `-0` is the integer 0, `1e999` is infinity; `Infinity`,
    /// `-Infinity` and `NaN` are taken too.
    pub fn from_json_number(text: &str) -> Result<Self, Error> {
        match text {
            "Infinity" => return Ok(Self::Float(f64::INFINITY)),
            "-Infinity" => return Ok(Self::Float(f64::NEG_INFINITY)),
            "NaN" => return Ok(Self::Float(f64::NAN)),
            _ => {}
        }
        let refused = || Error::new(ErrorKind::Syntax, "ValueError", "not a JSON number");
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, rest) = split_digits(unsigned);
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
            return Err(refused());
        }
        if rest.is_empty() {
            let value = Integer::from_digits(whole, 10)?;
            if unsigned.len() == text.len() {
                return Ok(Self::Int(value));
            }
            return value.negate(&mut crate::Budget::full()).map(Self::Int);
        }
        let rest = match rest.strip_prefix('.') {
            Some(rest) => {
                let (fraction, rest) = split_digits(rest);
                if fraction.is_empty() {
                    return Err(refused());
                }
                rest
            }
            None => rest,
        };
        if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
            let (digits, rest) = split_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
            if digits.is_empty() || !rest.is_empty() {
                return Err(refused());
            }
        } else if !rest.is_empty() {
            return Err(refused());
        }
        Ok(Self::Float(decimal::parse_float(text)))
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn write_items(
    items: &[Value],
    out: &mut String,
    write: fn(&Value, &mut String) -> Result<(), Error>,
) -> Result<(), Error> {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write(item, out)?;
    }
    out.push(']');
    Ok(())
}

fn write_complex(real: f64, imaginary: f64, write: fn(f64, &mut String), out: &mut String) {
    out.push_str("{\"$complex\":[");
    write(real, out);
    out.push(',');
    write(imaginary, out);
    out.push_str("]}");
}

fn write_strict_float(value: f64, out: &mut String) {
    if value.is_finite() {
        return write_float(value, out);
    }
    out.push_str("{\"$float\":\"");
    out.push_str(if value.is_nan() {
        "nan"
    } else if value > 0.0 {
        "inf"
    } else {
        "-inf"
    });
    out.push_str("\"}");
}

/// The shortest digits that read back as the same float, spelled as Python's `repr`.
fn write_float(value: f64, out: &mut String) {
    if !value.is_finite() {
        out.push_str(if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        });
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    if value == 0.0 || PLAIN.contains(&value.abs()) {
        out.push_str(text);
        return;
    }
    match text.split_once('e') {
        // Python pads an exponent to two digits: 1e-05.
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent.trim_start_matches('+')),
            };
            out.push_str(digits.strip_suffix(".0").unwrap_or(digits));
            out.push('e');
            out.push(sign);
            if exponent.len() < 2 {
                out.push('0');
            }
            out.push_str(exponent);
        }
        None => write_plain(text, out),
    }
}

/// Python turns to an exponent below 0.0001, one digit before the library does.
fn write_plain(text: &str, out: &mut String) {
    let (sign, unsigned) = text.strip_prefix('-').map_or(("", text), |unsigned| ("-", unsigned));
    match unsigned.strip_prefix("0.0000").and_then(|digits| digits.split_at_checked(1)) {
        Some((first, rest)) if first != "0" => {
            out.push_str(sign);
            out.push_str(first);
            if !rest.is_empty() {
                out.push('.');
                out.push_str(rest);
            }
            out.push_str("e-05");
        }
        _ => out.push_str(text),
    }
}
