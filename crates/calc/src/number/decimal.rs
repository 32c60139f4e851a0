//! Decimal text to the nearest float. Rust's own reader takes up to 17 µs for a number of more digits than a machine
//! word holds that lies near the middle between two floats; this takes two.

// The operators of big integers cannot overflow or panic: the digits and the exponent are bounded.
#![allow(clippy::arithmetic_side_effects)]

use dashu_int::UBig;
use dashu_ratio::Relaxed;

/// So many digits always fit a machine word, and are read at once.
const WORD_DIGITS: usize = 19;
/// The middle between two floats has at most 767 digits; what follows them only says that the number is beyond it.
const MOST_DIGITS: usize = 768;
/// Powers of ten beyond this are not needed: no float is so large or so small.
const MOST_EXPONENT: i64 = 2_000;

/// Reads digits with at most one point and one exponent, whose form the caller has checked.
pub(crate) fn parse_float(text: &str) -> f64 {
    let plain = || text.parse().unwrap_or(f64::NAN);
    if text.len() <= WORD_DIGITS {
        return plain();
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => (-1.0, mantissa),
        None => (1.0, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = String::with_capacity(MOST_DIGITS + 1);
    let mut count = 0_usize;
    let mut is_more = false;
    for digit in whole.chars().chain(fraction.chars()).skip_while(|digit| *digit == '0') {
        count += 1;
        if count <= MOST_DIGITS {
            digits.push(digit);
        } else {
            is_more |= digit != '0';
        }
    }
    let Some((word, rest)) = digits.split_at_checked(WORD_DIGITS) else { return plain() };
    let (Ok(word), Ok(exponent)) = (word.parse::<u64>(), exponent.parse::<i64>()) else { return plain() };
    // The power of ten of the last digit of all.
    let last = exponent.saturating_sub(i64::try_from(fraction.len()).unwrap_or(i64::MAX));
    let dropped = |kept: usize| i64::try_from(count - kept).unwrap_or(i64::MAX);
    let of_word = last.saturating_add(dropped(WORD_DIGITS));
    let read = |word: u64| format!("{word}e{of_word}").parse::<f64>().unwrap_or(f64::NAN);
    let low = read(word);
    if rest.bytes().all(|digit| digit == b'0') && !is_more || low == read(word.saturating_add(1)) {
        return sign * low;
    }
    let mut power = last.saturating_add(dropped(digits.len()));
    if is_more {
        digits.push('1');
        power = power.saturating_sub(1);
    }
    if power.saturating_abs() > MOST_EXPONENT {
        return plain();
    }
    let Ok(digits) = UBig::from_str_radix(&digits, 10) else { return plain() };
    let scale = UBig::from(10_u8).pow(usize::try_from(power.unsigned_abs()).unwrap_or(0));
    let magnitude = if power >= 0 {
        (digits * scale).to_f64().value()
    } else {
        Relaxed::from_parts(digits.into(), scale).to_f64().value()
    };
    sign * magnitude
}

#[cfg(test)]
mod tests {
    use super::parse_float;
    use proptest::prelude::*;

    fn check(text: &str) {
        let expected: f64 = text.parse().unwrap_or(f64::NAN);
        assert_eq!(parse_float(text).to_bits(), expected.to_bits(), "{text}");
    }

    /// The exact text of the middle between a float and the next one, and of what lies just beside it.
    #[test]
    fn the_middle_between_two_floats_is_read_as_rust_reads_it() {
        for exponent in (0..0x7ff_u64).step_by(3) {
            for fraction in [0, 1, 0x000f_ffff_ffff_ffff, 0x0005_5555_5555_5555, 0x0008_0000_0000_0001] {
                let float = f64::from_bits(exponent << 52 | fraction);
                // In units of 2^-1075 the middle is an odd number of them, times a power of two.
                let unit = dashu_int::UBig::from(fraction * 2 + 1 + if exponent > 0 { 1 << 53 } else { 0 });
                let shift = usize::try_from(exponent.max(1) - 1).unwrap_or(0);
                let scaled = (unit << shift) * dashu_int::UBig::from(5_u8).pow(1075);
                let digits = scaled.to_string();
                for places in [18, 19, 20, 21, 25, 40, 200, 767, 768, 769, digits.len()] {
                    let Some((start, rest)) = digits.split_at_checked(places) else { continue };
                    let power = i64::try_from(rest.len()).unwrap_or(0) - 1075;
                    for end in ["", "0", "1", "9", "000000000000001"] {
                        let power = power - i64::try_from(end.len()).unwrap_or(0);
                        check(&format!("{start}{end}e{power}"));
                        check(&format!("-0.000{start}{end}e{power}"));
                    }
                }
                check(&format!("{float:.330}"));
            }
        }
        for text in [
            "1.7976931348623158079e308",
            "1.79769313486231580793728971405303415e308",
            "2.4703282292062327208e-324",
        ] {
            check(text);
        }
        check(&format!("0.{}", "9".repeat(60_000)));
        check(&format!("0.{}1", "0".repeat(60_000)));
        check(&format!("1{}e-60000", "0".repeat(60_000)));
        check(&format!("1.{}e99999999999999999999", "3".repeat(30)));
    }

    proptest! {
        #[test]
        fn decimal_text_is_read_as_rust_reads_it(text in "-?[0-9]{1,40}(\\.[0-9]{0,40})?([eE][-+]?[0-9]{1,3})?") {
            check(&text);
        }
    }
}
