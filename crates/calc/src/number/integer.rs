//! Integers of any size within the bounds. Every operation that can grow one decides the size first, and pays for
//! its work first; the arithmetic itself is the library's.

// The operators of big integers cannot overflow or panic once the size and the divisor have been checked.
#![allow(clippy::arithmetic_side_effects)]

use crate::budget::Budget;
use crate::error::Error;
use crate::program::Binary;
use crate::{limits, price};
use dashu_base::{DivRem, Sign};
use dashu_int::{IBig, UBig};
use dashu_ratio::Relaxed;
use std::borrow::Cow;
use std::cmp::Ordering;

/// An integer; small ones take no memory of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integer(Repr);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Repr {
    Small(i64),
    /// Never within the range of `i64`, so that equal integers are equal in this form too.
    Big(Box<IBig>),
}

/// How far an estimate of a size may be above the true size of the result.
const ESTIMATE_SLACK: u64 = 64;
const BITS_PER_LIMB: u64 = 64;
/// Integers up to this are exact as floats.
const EXACT_AS_FLOAT: u64 = 1 << 53;
/// More bits than this are more than 4,300 digits.
const BITS_OF_MOST_DIGITS: u64 = 14_285;

impl From<i64> for Integer {
    #[inline]
    fn from(value: i64) -> Self {
        Self(Repr::Small(value))
    }
}

impl From<IBig> for Integer {
    fn from(value: IBig) -> Self {
        match i64::try_from(&value) {
            Ok(small) => Self(Repr::Small(small)),
            Err(_) => Self(Repr::Big(Box::new(value))),
        }
    }
}

impl Ord for Integer {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Repr::Small(left), Repr::Small(right)) => left.cmp(right),
            (Repr::Big(left), Repr::Big(right)) => left.cmp(right),
            (Repr::Big(left), Repr::Small(_)) => {
                if left.sign() == Sign::Negative {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (Repr::Small(_), Repr::Big(_)) => other.cmp(self).reverse(),
        }
    }
}

impl PartialOrd for Integer {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Refuses a result of about this many bits before it is made.
pub(crate) fn check_estimate(bits: u64) -> Result<(), Error> {
    if bits > limits::INTEGER_BITS.saturating_add(ESTIMATE_SLACK) {
        return Err(Error::integer_too_large());
    }
    Ok(())
}

/// Takes a result whose estimate was near the limit only if it is within it.
fn bounded(value: IBig) -> Result<Integer, Error> {
    let value = Integer::from(value);
    if value.bits() > limits::INTEGER_BITS {
        return Err(Error::integer_too_large());
    }
    Ok(value)
}

impl Integer {
    /// The value, if it fits.
    #[inline]
    pub fn to_i64(&self) -> Option<i64> {
        match &self.0 {
            Repr::Small(value) => Some(*value),
            Repr::Big(_) => None,
        }
    }

    pub(crate) fn to_big(&self) -> Cow<'_, IBig> {
        match &self.0 {
            Repr::Small(value) => Cow::Owned(IBig::from(*value)),
            Repr::Big(value) => Cow::Borrowed(value),
        }
    }

    pub(crate) fn magnitude(&self) -> UBig {
        self.to_big().into_owned().into_parts().1
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0 == Repr::Small(0)
    }

    pub(crate) fn is_negative(&self) -> bool {
        match &self.0 {
            Repr::Small(value) => *value < 0,
            Repr::Big(value) => value.sign() == Sign::Negative,
        }
    }

    /// The length of the absolute value in bits, never above [`limits::INTEGER_BITS`] in a result.
    pub fn bits(&self) -> u64 {
        match &self.0 {
            Repr::Small(value) => u64::from(64 - value.unsigned_abs().leading_zeros()),
            Repr::Big(value) => value.as_sign_words().1.last().map_or(0, |top| {
                let words = value.as_sign_words().1.len() as u64;
                words * BITS_PER_LIMB - u64::from(top.leading_zeros())
            }),
        }
    }

    /// The length in 64-bit limbs, which is what work is measured in.
    pub(crate) fn limbs(&self) -> u64 {
        match &self.0 {
            Repr::Small(_) => 1,
            Repr::Big(value) => value.as_sign_words().1.len() as u64,
        }
    }

    #[inline]
    pub(crate) fn heap_bytes(&self) -> Option<u64> {
        match &self.0 {
            Repr::Small(_) => None,
            Repr::Big(_) => Some(self.limbs() * 8),
        }
    }

    #[inline]
    pub(crate) fn charge_for_text(&self, budget: &mut Budget) -> Result<(), Error> {
        match &self.0 {
            Repr::Small(_) => Ok(()),
            // Of more digits none is written.
            Repr::Big(_) => {
                budget.spend(price::text(self.bits().min(BITS_OF_MOST_DIGITS).div_ceil(BITS_PER_LIMB)))
            }
        }
    }

    /// Reads digits, perhaps with underscores, that the lexer has checked.
    pub(crate) fn from_digits(digits: &str, radix: u32) -> Result<Self, Error> {
        let mut plain = digits.to_owned();
        plain.retain(|character| character != '_');
        let significant = plain.trim_start_matches('0');
        if significant.is_empty() {
            return Ok(Self::from(0));
        }
        if radix == 10 && significant.len() > limits::DECIMAL_DIGITS {
            return Err(Error::too_many_digits());
        }
        check_estimate((significant.len() as u64) * u64::from(radix.ilog2()))?;
        UBig::from_str_radix(significant, radix)
            .map_or_else(|_| Err(Error::syntax()), |value| bounded(value.into()))
    }

    /// The decimal digits, unless there are more than 4,300.
    #[inline]
    pub(crate) fn write_decimal(&self, out: &mut String) -> Result<(), Error> {
        match &self.0 {
            Repr::Small(value) => out.push_str(itoa::Buffer::new().format(*value)),
            Repr::Big(value) => {
                if self.bits() > BITS_OF_MOST_DIGITS {
                    return Err(Error::too_many_digits());
                }
                let text = value.to_string();
                if text.trim_start_matches('-').len() > limits::DECIMAL_DIGITS {
                    return Err(Error::too_many_digits());
                }
                out.push_str(&text);
            }
        }
        Ok(())
    }

    /// The nearest float, ties to even; fails beyond the range of floats.
    // The cast rounds as Python does.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn to_f64(&self) -> Result<f64, Error> {
        match &self.0 {
            Repr::Small(value) => Ok(*value as f64),
            Repr::Big(value) => {
                let float = value.to_f64().value();
                if float.is_infinite() {
                    return Err(Error::overflow("int too large to convert to float"));
                }
                Ok(float)
            }
        }
    }

    /// The integer part of a float.
    // Within the range that is tested the cast cannot lose anything but the fraction.
    #[allow(clippy::cast_possible_truncation)]
    pub(crate) fn from_f64(value: f64) -> Result<Self, Error> {
        if value.abs() < 9.2e18 {
            return Ok(Self::from(value as i64));
        }
        if value.is_nan() {
            return Err(Error::value_error("cannot convert float NaN to integer"));
        }
        IBig::try_from(value).map_or_else(
            |_| Err(Error::overflow("cannot convert float infinity to integer")),
            |value| Ok(Self::from(value)),
        )
    }

    /// Compares exactly, without rounding the integer.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn compare_f64(&self, other: f64) -> Option<Ordering> {
        if let Repr::Small(value) = &self.0
            && value.unsigned_abs() <= EXACT_AS_FLOAT
        {
            return (*value as f64).partial_cmp(&other);
        }
        if other.is_nan() {
            return None;
        }
        match Self::from_f64(other) {
            Ok(whole) => Some(self.cmp(&whole).then_with(|| {
                let fraction = other - other.trunc();
                0.0.partial_cmp(&fraction).unwrap_or(Ordering::Equal)
            })),
            Err(_) if other > 0.0 => Some(Ordering::Less),
            Err(_) => Some(Ordering::Greater),
        }
    }

    pub(crate) fn add(&self, other: &Self, budget: &mut Budget) -> Result<Self, Error> {
        if let (Repr::Small(left), Repr::Small(right)) = (&self.0, &other.0)
            && let Some(sum) = left.checked_add(*right)
        {
            return Ok(Self::from(sum));
        }
        budget.spend(price::integers(Binary::Add, self.limbs(), other.limbs()))?;
        bounded(&*self.to_big() + &*other.to_big())
    }

    pub(crate) fn subtract(&self, other: &Self, budget: &mut Budget) -> Result<Self, Error> {
        if let (Repr::Small(left), Repr::Small(right)) = (&self.0, &other.0)
            && let Some(difference) = left.checked_sub(*right)
        {
            return Ok(Self::from(difference));
        }
        budget.spend(price::integers(Binary::Subtract, self.limbs(), other.limbs()))?;
        bounded(&*self.to_big() - &*other.to_big())
    }

    pub(crate) fn multiply(&self, other: &Self, budget: &mut Budget) -> Result<Self, Error> {
        if let (Repr::Small(left), Repr::Small(right)) = (&self.0, &other.0)
            && let Some(product) = left.checked_mul(*right)
        {
            return Ok(Self::from(product));
        }
        check_estimate(self.bits() + other.bits())?;
        budget.spend(price::integers(Binary::Multiply, self.limbs(), other.limbs()))?;
        bounded(&*self.to_big() * &*other.to_big())
    }

    /// The floor of the quotient, and the remainder with the divisor's sign. The caller excludes a zero divisor.
    fn divide_big(&self, divisor: &Self, budget: &mut Budget) -> Result<(IBig, IBig), Error> {
        budget.spend(price::integers(Binary::FloorDivide, self.limbs(), divisor.limbs()))?;
        let (left, right) = (self.to_big(), divisor.to_big());
        let (quotient, remainder) = (&*left).div_rem(&*right);
        if remainder.is_zero() || remainder.sign() == right.sign() {
            Ok((quotient, remainder))
        } else {
            Ok((quotient - IBig::from(1), remainder + &*right))
        }
    }

    fn divide_small(&self, divisor: &Self) -> Option<(i64, i64)> {
        let (Repr::Small(left), Repr::Small(right)) = (&self.0, &divisor.0) else { return None };
        let (quotient, remainder) = (left.checked_div(*right)?, left.checked_rem(*right)?);
        if remainder == 0 || (remainder < 0) == (*right < 0) {
            Some((quotient, remainder))
        } else {
            Some((quotient - 1, remainder + right))
        }
    }

    pub(crate) fn divide_modulo(&self, divisor: &Self, budget: &mut Budget) -> Result<(Self, Self), Error> {
        if divisor.is_zero() {
            return Err(Error::zero_division("integer division or modulo by zero"));
        }
        if let Some((quotient, remainder)) = self.divide_small(divisor) {
            return Ok((Self::from(quotient), Self::from(remainder)));
        }
        let (quotient, remainder) = self.divide_big(divisor, budget)?;
        Ok((Self::from(quotient), Self::from(remainder)))
    }

    pub(crate) fn floor_divide(&self, divisor: &Self, budget: &mut Budget) -> Result<Self, Error> {
        Ok(self.divide_modulo(divisor, budget)?.0)
    }

    pub(crate) fn modulo(&self, divisor: &Self, budget: &mut Budget) -> Result<Self, Error> {
        if divisor.is_zero() {
            return Err(Error::zero_division("integer modulo by zero"));
        }
        Ok(self.divide_modulo(divisor, budget)?.1)
    }

    /// The quotient correctly rounded, however large the operands.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn true_divide(&self, divisor: &Self, budget: &mut Budget) -> Result<f64, Error> {
        if divisor.is_zero() {
            return Err(Error::zero_division("division by zero"));
        }
        if let (Repr::Small(left), Repr::Small(right)) = (&self.0, &divisor.0)
            && left.unsigned_abs() <= EXACT_AS_FLOAT
            && right.unsigned_abs() <= EXACT_AS_FLOAT
        {
            return Ok(*left as f64 / *right as f64);
        }
        if self.is_zero() {
            return Ok(if divisor.is_negative() { -0.0 } else { 0.0 });
        }
        budget.spend(price::integers(Binary::Divide, self.limbs(), divisor.limbs()))?;
        let quotient = Relaxed::from_parts_signed(self.to_big().into_owned(), divisor.to_big().into_owned());
        let float = quotient.to_f64().value();
        if float.is_infinite() {
            return Err(Error::overflow("integer division result too large for a float"));
        }
        Ok(float)
    }

    /// `self ** exponent` for an exponent that is not negative.
    // The estimate needs no more than the leading digits.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(crate) fn power(&self, exponent: &Self, budget: &mut Budget) -> Result<Self, Error> {
        match &self.0 {
            _ if exponent.is_zero() => return Ok(Self::from(1)),
            Repr::Small(0 | 1) => return Ok(self.clone()),
            Repr::Small(-1) => {
                let is_odd = exponent.to_big().as_sign_words().1.first().is_some_and(|word| word & 1 == 1);
                return Ok(Self::from(if is_odd { -1 } else { 1 }));
            }
            _ => {}
        }
        let Some(exponent) = exponent.to_i64().and_then(|exponent| u32::try_from(exponent).ok()) else {
            return Err(Error::integer_too_large());
        };
        if let Repr::Small(base) = &self.0
            && let Some(power) = base.checked_pow(exponent)
        {
            return Ok(Self::from(power));
        }
        let bits = (self.log2() * f64::from(exponent)).min(u64::MAX as f64) as u64;
        check_estimate(bits)?;
        let limbs = bits / BITS_PER_LIMB + 1;
        budget.spend(price::integers(Binary::Power, limbs, 0))?;
        bounded(self.to_big().pow(exponent as usize))
    }

    /// The binary logarithm of the absolute value, good to about 50 bits.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn log2(&self) -> f64 {
        match &self.0 {
            Repr::Small(value) => (value.unsigned_abs() as f64).log2(),
            Repr::Big(_) => {
                let shift = self.bits().saturating_sub(BITS_PER_LIMB);
                let top = self.magnitude() >> usize::try_from(shift).unwrap_or(usize::MAX);
                top.to_f64().value().log2() + shift as f64
            }
        }
    }

    /// The absolute value as `m * 2**e` with `0.5 <= m < 1`, rounded to a float's precision.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn mantissa_and_exponent(&self) -> (f64, f64) {
        let bits = self.bits();
        let shift = usize::try_from(bits.saturating_sub(BITS_PER_LIMB)).unwrap_or(0);
        let magnitude = self.magnitude();
        let mut top = &magnitude >> shift;
        // A bit that stands for all those cut off keeps ties apart.
        if (&top << shift) != magnitude {
            top |= UBig::from(1_u8);
        }
        let top_bits = bits - shift as u64;
        let mantissa = top.to_f64().value() / 2.0_f64.powi(i32::try_from(top_bits).unwrap_or(0));
        if mantissa >= 1.0 { (0.5, bits as f64 + 1.0) } else { (mantissa, bits as f64) }
    }

    pub(crate) fn shift_left(&self, count: &Self, budget: &mut Budget) -> Result<Self, Error> {
        if count.is_negative() {
            return Err(Error::value_error("negative shift count"));
        }
        if self.is_zero() {
            return Ok(Self::from(0));
        }
        let count = count.to_i64().and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
        check_estimate(self.bits().saturating_add(count as u64))?;
        budget.spend(price::integers(Binary::ShiftLeft, self.limbs(), count as u64 / BITS_PER_LIMB))?;
        bounded(&*self.to_big() << count)
    }

    pub(crate) fn shift_right(&self, count: &Self, budget: &mut Budget) -> Result<Self, Error> {
        if count.is_negative() {
            return Err(Error::value_error("negative shift count"));
        }
        let count = count.to_i64().and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
        if count as u64 >= self.bits() {
            return Ok(Self::from(if self.is_negative() { -1 } else { 0 }));
        }
        budget.spend(price::integers(Binary::ShiftRight, self.limbs(), 0))?;
        Ok(Self::from(&*self.to_big() >> count))
    }

    pub(crate) fn bit_and(&self, other: &Self, budget: &mut Budget) -> Result<Self, Error> {
        if let (Repr::Small(left), Repr::Small(right)) = (&self.0, &other.0) {
            return Ok(Self::from(left & right));
        }
        budget.spend(price::integers(Binary::And, self.limbs(), other.limbs()))?;
        bounded(&*self.to_big() & &*other.to_big())
    }

    pub(crate) fn bit_or(&self, other: &Self, budget: &mut Budget) -> Result<Self, Error> {
        if let (Repr::Small(left), Repr::Small(right)) = (&self.0, &other.0) {
            return Ok(Self::from(left | right));
        }
        budget.spend(price::integers(Binary::Or, self.limbs(), other.limbs()))?;
        bounded(&*self.to_big() | &*other.to_big())
    }

    pub(crate) fn bit_xor(&self, other: &Self, budget: &mut Budget) -> Result<Self, Error> {
        if let (Repr::Small(left), Repr::Small(right)) = (&self.0, &other.0) {
            return Ok(Self::from(left ^ right));
        }
        budget.spend(price::integers(Binary::Xor, self.limbs(), other.limbs()))?;
        bounded(&*self.to_big() ^ &*other.to_big())
    }

    pub(crate) fn negate(&self, budget: &mut Budget) -> Result<Self, Error> {
        if let Repr::Small(value) = &self.0
            && let Some(negative) = value.checked_neg()
        {
            return Ok(Self::from(negative));
        }
        budget.spend(price::linear(self.limbs()))?;
        Ok(Self::from(-&*self.to_big()))
    }

    pub(crate) fn absolute(&self, budget: &mut Budget) -> Result<Self, Error> {
        if self.is_negative() { self.negate(budget) } else { self.copy(budget) }
    }

    /// The same integer once more.
    pub(crate) fn copy(&self, budget: &mut Budget) -> Result<Self, Error> {
        if let Repr::Big(_) = self.0 {
            budget.spend(price::copy(self.limbs()))?;
        }
        Ok(self.clone())
    }

    pub(crate) fn invert(&self, budget: &mut Budget) -> Result<Self, Error> {
        if let Repr::Small(value) = &self.0 {
            return Ok(Self::from(!value));
        }
        budget.spend(price::linear(self.limbs()))?;
        bounded(!self.to_big().into_owned())
    }
}
