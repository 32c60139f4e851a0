//! Decimal numbers as they are written, compared digit by digit: a double would take 5.0000000000000001 for 5.

use std::cmp::Ordering;
use std::fmt;

/// Longest spelling of a number, in bytes: as many digits as 2^128 has, and a sign.
pub const MAX_NUMBER_BYTES: usize = 40;

/// Largest exponent of a bound in the policy, with either sign: a double's.
pub const MAX_EXPONENT: i32 = 308;

/// A number with finitely many decimal digits. Two are equal if their values are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// Never of zero.
    negative: bool,
    /// The digits before the point, without leading zeros.
    whole: String,
    /// The digits behind the point, without trailing zeros.
    fraction: String,
}

impl Decimal {
    /// A number as TOML spells it: perhaps a sign, digits, perhaps a point and digits, perhaps an exponent.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_NUMBER_BYTES {
            return None;
        }
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || !(-MAX_EXPONENT..=MAX_EXPONENT).contains(&exponent) {
            return None;
        }
        let distance = usize::try_from(exponent.unsigned_abs()).ok()?;
        let zeros = "0".repeat(distance);
        let (whole, fraction) = if exponent < 0 {
            let all = format!("{zeros}{whole}");
            let (before, behind) = all.split_at_checked(all.len().checked_sub(distance)?)?;
            (before.to_owned(), format!("{behind}{fraction}"))
        } else {
            let all = format!("{fraction}{zeros}");
            let (before, behind) = all.split_at_checked(distance)?;
            (format!("{whole}{before}"), behind.to_owned())
        };
        Some(Self::new(negative, &whole, &fraction))
    }

    fn new(negative: bool, whole: &str, fraction: &str) -> Self {
        let whole = whole.trim_start_matches('0').to_owned();
        let fraction = fraction.trim_end_matches('0').to_owned();
        let is_zero = whole.is_empty() && fraction.is_empty();
        Self { negative: negative && !is_zero, whole, fraction }
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.whole.is_empty() && self.fraction.is_empty()
    }
}

impl From<i64> for Decimal {
    fn from(integer: i64) -> Self {
        Self::new(integer < 0, &integer.unsigned_abs().to_string(), "")
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = |one: &Self, other: &Self| {
            one.whole
                .len()
                .cmp(&other.whole.len())
                .then_with(|| one.whole.cmp(&other.whole))
                .then_with(|| one.fraction.cmp(&other.fraction))
        };
        match (self.negative, other.negative) {
            (false, false) => size(self, other),
            (true, true) => size(other, self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Without an exponent.
impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let whole = if self.whole.is_empty() { "0" } else { &self.whole };
        let point = if self.fraction.is_empty() { "" } else { "." };
        write!(formatter, "{sign}{whole}{point}{}", self.fraction)
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::Decimal;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text} is no number"))
    }

    #[test]
    fn a_number_is_as_large_as_its_digits_say() {
        for (one, order, other) in [
            ("5.0000000000000001", Ordering::Greater, "5"),
            ("4.9999999999999999", Ordering::Less, "5"),
            ("9007199254740993", Ordering::Greater, "9007199254740992"),
            (
                "340282366920938463463374607431768211455",
                Ordering::Less,
                "340282366920938463463374607431768211456",
            ),
            ("5.0", Ordering::Equal, "5"),
            ("007.500", Ordering::Equal, "7.5"),
            ("-0", Ordering::Equal, "0"),
            ("-0.0", Ordering::Equal, "+0"),
            ("-5.0000000000000001", Ordering::Less, "-5"),
            ("-1", Ordering::Less, "0.1"),
            ("10", Ordering::Greater, "9"),
            ("1e3", Ordering::Equal, "1000"),
            ("1.25E+1", Ordering::Equal, "12.5"),
            ("125e-3", Ordering::Equal, "0.125"),
            ("1e308", Ordering::Greater, "99999999999999999999"),
            ("1e-308", Ordering::Greater, "0"),
        ] {
            assert_eq!(decimal(one).cmp(&decimal(other)), order, "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_number_or_has_no_bound_is_refused() {
        for text in
            ["", "-", "+", ".", "1.", ".5", "1e", "e1", "inf", "nan", "0x1", "1_0", "--1", "1e309", "1e-309"]
        {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        assert_eq!(Decimal::parse("1e99999999999999999999"), None);
        assert_eq!(Decimal::parse(&"1".repeat(41)), None);
    }

    /// The value as a fraction over 10^40, which holds every number of these tests.
    fn over_a_power_of_ten(text: &str) -> dashu_int::IBig {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let exponent: i32 = exponent.parse().expect("an exponent");
        let behind = i32::try_from(fraction.len()).expect("short");
        let shift = 40_i32.strict_add(exponent).strict_sub(behind);
        let zeros = "0".repeat(usize::try_from(shift).expect("not below zero"));
        format!("{digits}{zeros}").parse().expect("digits")
    }

    proptest! {
        #[test]
        fn numbers_are_compared_as_exact_rationals_are(
            one in r"-?[0-9]{1,12}(\.[0-9]{1,12})?(e-?[0-9]|e1[0-9])?",
            other in r"-?[0-9]{1,12}(\.[0-9]{1,12})?(e-?[0-9]|e1[0-9])?",
            digits in 0_usize..20,
        ) {
            let order = over_a_power_of_ten(&one).cmp(&over_a_power_of_ten(&other));
            prop_assert_eq!(decimal(&one).cmp(&decimal(&other)), order);
            prop_assert_eq!(decimal(&one) == decimal(&other), order == Ordering::Equal);
            prop_assert_eq!(decimal(&decimal(&one).to_string()), decimal(&one));
            // One digit far behind the point decides.
            let mantissa = one.split('e').next().expect("a mantissa");
            let point = if mantissa.contains('.') { "" } else { "." };
            let longer = format!("{mantissa}{point}{}1", "0".repeat(digits.min(13)));
            let away_from_zero = if one.starts_with('-') { Ordering::Less } else { Ordering::Greater };
            if !decimal(mantissa).is_zero() {
                prop_assert_eq!(decimal(&longer).cmp(&decimal(mantissa)), away_from_zero);
            }
        }
    }
}
