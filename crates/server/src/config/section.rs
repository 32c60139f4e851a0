//! Reading TOML: tables whose keys are all known, and values of the type that is expected, each fault with its place.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::date;
use jiff::fmt::temporal::Pieces;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::files::Files;
use super::problem::{Fault, shown, suggestion};

/// A table of the file, every key of which is one that may stand there.
pub(super) struct Section<'d> {
    name: String,
    at: usize,
    table: &'d DeTable<'d>,
    files: &'d Files,
}

/// A value of the file, and what the file calls it.
#[derive(Clone)]
pub(super) struct Item<'d> {
    pub(super) name: String,
    value: &'d Spanned<DeValue<'d>>,
    /// What the file may name.
    pub(super) files: &'d Files,
}

/// A key of the file that its writer chose.
pub(super) struct Name<'d> {
    pub(super) text: &'d str,
    pub(super) at: usize,
}

impl<'d> Section<'d> {
    /// Refuses the first key that is not known.
    pub(super) fn open(
        name: &str,
        at: usize,
        table: &'d DeTable<'d>,
        files: &'d Files,
        known: &[&str],
    ) -> Result<Self, Fault> {
        let section = Self { name: name.to_owned(), at, table, files };
        for (key, _) in section.entries() {
            if !known.contains(&key.text) {
                let of = if name.is_empty() { String::new() } else { format!(" in `{name}`") };
                let hint = suggestion(key.text, known.iter().copied());
                return Err(Fault::new(key.at, format!("unknown key {}{of}{hint}", shown(key.text))));
            }
        }
        Ok(section)
    }

    /// Keys and values in the order of the file.
    fn entries(&self) -> Vec<(Name<'d>, Item<'d>)> {
        entries(&self.name, self.table, self.files)
    }

    pub(super) fn get(&self, key: &str) -> Option<Item<'d>> {
        self.entries().into_iter().find(|(name, _)| name.text == key).map(|(_, item)| item)
    }

    pub(super) fn required(&self, key: &str) -> Result<Item<'d>, Fault> {
        self.get(key).ok_or_else(|| Fault::new(self.at, format!("`{}` lacks the key `{key}`", self.name)))
    }

    /// Reads a key where it stands.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Item<'d>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        self.get(key).map(|item| read(&item)).transpose()
    }

    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(self.at, message)
    }
}

impl<'d> Item<'d> {
    pub(super) fn at(&self) -> usize {
        self.value.span().start
    }

    pub(super) fn fault(&self, message: impl std::fmt::Display) -> Fault {
        Fault::new(self.at(), format!("`{}` {message}", self.name))
    }

    fn expected(&self, what: &str) -> Fault {
        let found = match self.value.get_ref() {
            DeValue::String(text) => shown(text),
            DeValue::Integer(integer) => shown(integer.as_str()),
            DeValue::Float(float) => shown(float.as_str()),
            DeValue::Boolean(truth) => format!("`{truth}`"),
            DeValue::Datetime(datetime) => shown(&datetime.to_string()),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        self.fault(format!("must be {what}, not {found}"))
    }

    pub(super) fn value(&self) -> &'d DeValue<'d> {
        self.value.get_ref()
    }

    pub(super) fn string(&self) -> Result<&'d str, Fault> {
        self.value.get_ref().as_str().ok_or_else(|| self.expected("a string"))
    }

    pub(super) fn boolean(&self) -> Result<bool, Fault> {
        self.value.get_ref().as_bool().ok_or_else(|| self.expected("true or false"))
    }

    /// An integer within bounds.
    pub(super) fn integer(&self, min: i64, max: i64) -> Result<i64, Fault> {
        let value = self.value.get_ref().as_integer();
        value
            .and_then(|integer| i64::from_str_radix(integer.as_str(), integer.radix()).ok())
            .filter(|value| (min..=max).contains(value))
            .ok_or_else(|| match max {
                i64::MAX => self.expected(&format!("an integer from {min}")),
                _ => self.expected(&format!("an integer from {min} to {max}")),
            })
    }

    /// A number that is not negative.
    pub(super) fn number(&self) -> Result<f64, Fault> {
        let value: Option<f64> = match self.value.get_ref() {
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        };
        value
            .filter(|value| value.is_finite() && *value >= 0.0)
            .ok_or_else(|| self.expected("a number from 0"))
    }

    pub(super) fn list(&self) -> Result<Vec<Item<'d>>, Fault> {
        let list = self.value.get_ref().as_array().ok_or_else(|| self.expected("a list"))?;
        let item =
            |(index, value)| Item { name: format!("{}[{index}]", self.name), value, files: self.files };
        Ok((1_u32..).zip(list.iter()).map(item).collect())
    }

    pub(super) fn strings(&self) -> Result<Vec<&'d str>, Fault> {
        self.list()?.iter().map(Item::string).collect()
    }

    /// A time such as `"60s"`, from 1 ms to `max`.
    pub(super) fn duration(&self, max: Duration) -> Result<Duration, Fault> {
        let text = self.string()?;
        duration(text).filter(|duration| !duration.is_zero() && *duration <= max).ok_or_else(|| {
            let max = max.as_secs();
            self.expected(&format!("a time such as \"500ms\", \"60s\", \"5m\" or \"1h\", at most {max}s"))
        })
    }

    /// A number of bytes such as `"64MiB"`, within bounds.
    pub(super) fn size(&self, min: u64, max: u64) -> Result<u64, Fault> {
        size(self.string()?).filter(|size| (min..=max).contains(size)).ok_or_else(|| {
            self.expected(&format!(
                "a size such as \"64KiB\", \"64MiB\" or \"2GiB\", from {min} to {max} bytes"
            ))
        })
    }

    /// The moment at which something ends: an RFC 3339 date and time with its offset from UTC.
    pub(super) fn moment(&self) -> Result<Timestamp, Fault> {
        let text = match self.value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(datetime) => datetime.to_string(),
            _ => String::new(),
        };
        let wrong = || self.expected("a date and time with its offset, such as 2030-12-31T23:59:59Z");
        text.parse().or_else(|_| last_days_of_time(&text).ok_or_else(wrong))
    }

    /// A table with these keys and no others.
    pub(super) fn section(&self, known: &[&str]) -> Result<Section<'d>, Fault> {
        Section::open(&self.name, self.at(), self.table()?, self.files, known)
    }

    /// A table whose keys its writer chose, in the order of the file.
    pub(super) fn entries(&self) -> Result<Vec<(Name<'d>, Item<'d>)>, Fault> {
        Ok(entries(&self.name, self.table()?, self.files))
    }

    fn table(&self) -> Result<&'d DeTable<'d>, Fault> {
        self.value.get_ref().as_table().ok_or_else(|| self.expected("a table"))
    }
}

/// The last moment there is, for the dates behind it that are written to mean "never": 9999-12-31 with any time.
fn last_days_of_time(text: &str) -> Option<Timestamp> {
    let pieces = Pieces::parse(text).ok()?;
    (pieces.offset().is_some() && pieces.time().is_some() && pieces.date() >= date(9999, 12, 30))
        .then_some(Timestamp::MAX)
}

fn entries<'d>(of: &str, table: &'d DeTable<'d>, files: &'d Files) -> Vec<(Name<'d>, Item<'d>)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| {
            let text: &str = key.get_ref();
            let name = if of.is_empty() { spelled(text) } else { format!("{of}.{}", spelled(text)) };
            (Name { text, at: key.span().start }, Item { name, value, files })
        })
        .collect();
    entries.sort_by_key(|(key, _)| key.at);
    entries
}

/// A key as TOML spells it in a dotted name.
fn spelled(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !key.is_empty() && key.bytes().all(bare) {
        key.to_owned()
    } else {
        format!("\"{}\"", key.escape_debug())
    }
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_lowercase());
    let unit = text.strip_prefix(digits)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u32 = digits.parse().ok()?;
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        _ => return None,
    };
    unit.checked_mul(count)
}

fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits)? {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::{duration, size};
    use std::time::Duration;

    #[test]
    fn sizes_are_a_number_and_a_unit() {
        for (text, bytes) in
            [("0B", 0), ("512B", 512), ("64KiB", 65_536), ("1MiB", 1_048_576), ("2GiB", 1 << 31)]
        {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in
            ["", "B", "64", "64MB", "64mib", "1.5GiB", "-1B", "+1B", "1 KiB", "99999999999999999999GiB"]
        {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, milliseconds) in [("500ms", 500), ("60s", 60_000), ("5m", 300_000), ("2h", 7_200_000)] {
            assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "60", "1.5s", "-1s", "+1s", "60 s", "1d", "60S", "1s1ms", "99999999999s", "ms5"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
