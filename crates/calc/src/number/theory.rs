//! Functions of integers: rounding, modular powers, divisors, roots, factorials. Each bounds its result before the
//! work and pays for the work first.

// The operators of big integers cannot overflow or panic once the size and the divisor have been checked.
#![allow(clippy::arithmetic_side_effects)]

use super::integer::{Integer, check_estimate};
use crate::budget::Budget;
use crate::error::Error;
use crate::price;
use dashu_base::{Gcd, SquareRoot};
use dashu_int::fast_div::ConstDivisor;
use dashu_int::{IBig, UBig};

/// How many factors a binomial coefficient takes in one step.
const FACTORS_AT_ONCE: u64 = 256;
/// Ranges up to this length are multiplied one by one.
const SHORT_PRODUCT: u64 = 8;

impl Integer {
    /// Python's `round(self, digits)`: to a multiple of a power of ten when `digits` is negative, halves to even.
    pub(crate) fn round(&self, digits: &Self, budget: &mut Budget) -> Result<Self, Error> {
        self.round_with_fraction(digits, 0.0, budget)
    }

    /// Rounds the number whose integer part is `self`.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn round_with_fraction(
        &self,
        digits: &Self,
        fraction: f64,
        budget: &mut Budget,
    ) -> Result<Self, Error> {
        if !digits.is_negative() {
            return self.copy(budget);
        }
        let places = digits.to_i64().map_or(u64::MAX, i64::unsigned_abs);
        // Here the power of ten is more than twice the number.
        if places as f64 * std::f64::consts::LOG2_10 > self.bits() as f64 + 4.0 {
            return Ok(Self::from(0));
        }
        let exponent = Self::from(i64::try_from(places).unwrap_or(i64::MAX));
        let unit = Self::from(10).power(&exponent, budget)?;
        let (quotient, remainder) = self.absolute(budget)?.divide_modulo(&unit, budget)?;
        let twice = remainder.add(&remainder, budget)?;
        let is_up = match twice.cmp(&unit) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => fraction != 0.0 || quotient.is_odd(),
        };
        let quotient = if is_up { quotient.add(&Self::from(1), budget)? } else { quotient };
        let rounded = quotient.multiply(&unit, budget)?;
        if self.is_negative() { rounded.negate(budget) } else { Ok(rounded) }
    }

    /// `pow(self, exponent, modulus)`, with the sign of the modulus.
    pub(crate) fn power_modulo(
        &self,
        exponent: &Self,
        modulus: &Self,
        budget: &mut Budget,
    ) -> Result<Self, Error> {
        if modulus.is_zero() {
            return Err(Error::value_error("pow() 3rd argument cannot be 0"));
        }
        let size = modulus.absolute(budget)?;
        if size == Self::from(1) {
            return Ok(Self::from(0));
        }
        let base = self.modulo(&size, budget)?;
        let limbs = size.limbs();
        budget.spend(price::power_modulo(exponent, limbs))?;
        let ring = ConstDivisor::new(size.magnitude());
        let mut reduced = ring.reduce(base.magnitude());
        if exponent.is_negative() {
            budget.spend(price::inverse(limbs))?;
            reduced = reduced
                .inv()
                .ok_or_else(|| Error::value_error("base is not invertible for the given modulus"))?;
        }
        let power = Self::from(IBig::from(reduced.pow(&exponent.magnitude()).residue()));
        if modulus.is_negative() && !power.is_zero() { power.add(modulus, budget) } else { Ok(power) }
    }

    pub(crate) fn gcd(&self, other: &Self, budget: &mut Budget) -> Result<Self, Error> {
        if other.is_zero() {
            return self.absolute(budget);
        }
        if self.is_zero() {
            return other.absolute(budget);
        }
        budget.spend(price::divisor(self.limbs(), other.limbs()))?;
        Ok(Self::from(IBig::from(self.magnitude().gcd(other.magnitude()))))
    }

    pub(crate) fn lcm(&self, other: &Self, budget: &mut Budget) -> Result<Self, Error> {
        if self.is_zero() || other.is_zero() {
            return Ok(Self::from(0));
        }
        let divisor = self.gcd(other, budget)?;
        self.absolute(budget)?.floor_divide(&divisor, budget)?.multiply(&other.absolute(budget)?, budget)
    }

    /// The integer part of the square root; the caller excludes negative numbers.
    pub(crate) fn square_root(&self, budget: &mut Budget) -> Result<Self, Error> {
        budget.spend(price::root(self.limbs()))?;
        Ok(Self::from(IBig::from(self.magnitude().sqrt())))
    }

    pub(crate) fn factorial(&self, budget: &mut Budget) -> Result<Self, Error> {
        let Some(n) = self.to_i64() else {
            return Err(Error::integer_too_large());
        };
        falling(self, u64::try_from(n).unwrap_or(0), budget)
    }

    /// `self * (self - 1) * …`, `count` factors; the caller sees that none is negative.
    pub(crate) fn permutations(&self, count: &Self, budget: &mut Budget) -> Result<Self, Error> {
        let Some(count) = count.to_i64() else {
            return Err(Error::integer_too_large());
        };
        falling(self, u64::try_from(count).unwrap_or(0), budget)
    }

    /// The binomial coefficient; `0 <= count <= self / 2` is up to the caller.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn combinations(&self, count: &Self, budget: &mut Budget) -> Result<Self, Error> {
        let Some(k) = count.to_i64().and_then(|count| u64::try_from(count).ok()) else {
            return Err(Error::integer_too_large());
        };
        if k == 0 {
            return Ok(Self::from(1));
        }
        // (n/k)^k <= C(n, k) <= (e·n/k)^k, and n/k >= 2.
        let least_bits = k as f64 * (self.log2() - (k as f64).log2());
        check_estimate(to_bits(least_bits))?;
        // Every factor is multiplied to the result so far and its counterpart divided out.
        let limbs = to_bits(least_bits) / 64 + self.limbs() + 1;
        let (factors, part) =
            (k.min(FACTORS_AT_ONCE), k.min(FACTORS_AT_ONCE).saturating_mul(self.bits()) / 64 + 1);
        let steps = k.div_ceil(FACTORS_AT_ONCE);
        let both = price::falling(self.limbs(), factors, part).saturating_mul(2);
        budget.spend(price::choose(steps, limbs, part).saturating_add(both.saturating_mul(steps)))?;
        check_exact(choose(&self.magnitude(), k))
    }

    fn is_odd(&self) -> bool {
        self.to_big().as_sign_words().1.first().is_some_and(|word| word & 1 == 1)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn to_bits(bits: f64) -> u64 {
    bits.max(0.0) as u64
}

fn check_exact(value: UBig) -> Result<Integer, Error> {
    let value = Integer::from(IBig::from(value));
    if value.bits() > crate::limits::INTEGER_BITS {
        return Err(Error::integer_too_large());
    }
    Ok(value)
}

/// The product of `count` factors from `top` downwards.
#[allow(clippy::cast_precision_loss)]
fn falling(top: &Integer, count: u64, budget: &mut Budget) -> Result<Integer, Error> {
    let (count_bits, top_bits) = ((count as f64).log2(), top.log2());
    // Either every factor is at least half of the first, or all make more than count!, by Stirling.
    let bits_per_factor =
        if count_bits + 1.0 <= top_bits { top_bits - 1.0 } else { count_bits - std::f64::consts::LOG2_E };
    check_estimate(to_bits(count as f64 * bits_per_factor))?;
    let limbs = to_bits(count as f64 * top_bits) / 64 + 1;
    budget.spend(price::falling(top.limbs(), count, limbs))?;
    check_exact(product(top.magnitude(), count))
}

/// Halves the range, so that the factors of each product are of about equal size; 2^64 factors would be 64 deep.
fn product(top: UBig, count: u64) -> UBig {
    if count <= SHORT_PRODUCT {
        let mut result = UBig::from(1_u8);
        let mut factor = top;
        for _ in 0..count {
            result *= &factor;
            factor -= UBig::from(1_u8);
        }
        return result;
    }
    let half = count / 2;
    let lower = &top - UBig::from(half);
    product(top, half) * product(lower, count - half)
}

/// `C(n, j + m)` from `C(n, j)`, some factors at a time: every step divides exactly, and nothing is much larger than
/// the result.
fn choose(top: &UBig, k: u64) -> UBig {
    let mut chosen = UBig::from(1_u8);
    let mut done = 0;
    while done < k {
        let next = (done + FACTORS_AT_ONCE).min(k);
        let factors = product(top - UBig::from(done), next - done);
        chosen = chosen * factors / product(UBig::from(next), next - done);
        done = next;
    }
    chosen
}
