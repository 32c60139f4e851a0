//! The price of every operation in fuel, decided from the sizes of its operands before it is done. A unit pays for at
//! most a nanosecond of the machine that docs/calc.md names. `make bench-fuel` measures every price and fails where one
//! is too low; no other file has a number of fuel.

use crate::number::{Integer, Value};
use crate::program::Binary;

/// A whole evaluation: its start, its end and the words of an error.
pub(crate) const EXPRESSION: u64 = 250;
/// A byte of text: lexing and parsing.
pub(crate) const BYTE: u64 = 8;
/// A number that is more than a few plain digits, beside its bytes.
pub(crate) const LONG_NUMBER: u64 = 64;
/// A step of the program, whether or not a jump leaves it out; also an argument and an item of a list.
pub(crate) const INSTRUCTION: u64 = 32;
/// A name that is looked up, among up to 1,024 variables.
pub(crate) const NAME: u64 = 64;
/// A column whose name is compared with that.
pub(crate) const COLUMN_NAME: u64 = 4;
/// A keyword that no function has, which is sorted among the others.
pub(crate) const UNKNOWN_KEYWORD: u64 = 100;
/// A float literal of more bytes than a machine word has digits; near the middle between two floats it takes longest.
pub(crate) const LONG_FLOAT: u64 = 2_500;
/// An instruction that a conditional expression moves behind another.
pub(crate) const MOVE: u64 = 2;
/// An item of a list that a function works on, beside what its arithmetic costs.
pub(crate) const ITEM: u64 = 32;
/// An operation on integers that takes memory, beside what grows with them.
const MEMORY: u64 = 48;

/// A function of a few machine instructions.
pub(crate) const QUICK: u64 = 24;
/// A function of the mathematical library.
pub(crate) const LIBM: u64 = 200;
/// A function that takes several of them.
pub(crate) const SLOW: u64 = 700;

/// Up to this many limbs products are made the simple way.
const SIMPLE_PRODUCT: u64 = 24;
/// Up to this many limbs quotients are made the simple way.
const SIMPLE_QUOTIENT: u64 = 32;

/// A call, beside what grows faster than its arguments. All of them are looked at.
#[inline]
pub(crate) fn call(price: u64, arguments: &[Value]) -> u64 {
    arguments.iter().fold(price, |sum, argument| sum.saturating_add(value(argument)))
}

/// A decimal place of a rounded float.
const PLACE: u64 = 24;

/// A float rounded to so many decimal places: it is written and read again.
pub(crate) fn rounded(places: u64) -> u64 {
    places.saturating_mul(PLACE).saturating_add(SLOW)
}

/// An item of an exact sum, in units of the least float, and its square where that is summed too.
pub(crate) fn exact_item(limbs: u64, is_squared: bool) -> u64 {
    let item = linear(limbs).saturating_mul(3);
    if is_squared {
        item.saturating_add(product(limbs, limbs)).saturating_add(linear(limbs.saturating_mul(2)))
    } else {
        item
    }
}

/// The numerator of a variance, from the sum of squares and the square of the sum.
pub(crate) fn variance(limbs: u64) -> u64 {
    product(limbs, limbs).saturating_add(linear(limbs).saturating_mul(8))
}

/// The root of a fraction in its lowest terms.
pub(crate) fn root_of_fraction(dividend: u64, divisor: u64) -> u64 {
    let reduction =
        self::divisor(dividend, divisor).saturating_add(quotient(dividend, divisor).saturating_mul(3));
    let looks = linear(dividend.saturating_add(divisor)).saturating_mul(20);
    reduction.saturating_add(looks).saturating_add(root(8))
}

/// The sort of so many items, the longest of so many limbs.
pub(crate) fn sort(items: u64, limbs: u64) -> u64 {
    let steps = u64::from(u64::BITS.saturating_sub(items.leading_zeros()));
    items
        .saturating_mul(steps)
        .saturating_mul(copy(limbs).div_euclid(2))
        .saturating_add(items.saturating_mul(ITEM))
}

/// The logarithm of an integer that no float holds.
pub(crate) fn logarithm(limbs: u64) -> u64 {
    linear(limbs).saturating_mul(4)
}

/// Memory that stays in use: the first touch of a page of 512 limbs takes the system up to 1,700 ns.
pub(crate) fn held(bytes: u64) -> u64 {
    bytes.div_euclid(2)
}

/// A copy of an integer of so many limbs, or a look at each of them.
pub(crate) fn copy(limbs: u64) -> u64 {
    MEMORY.saturating_add(limbs.div_euclid(4))
}

/// A sum, difference, shift or bitwise operation. 2,047 limbs: 1,930 ns.
pub(crate) fn linear(limbs: u64) -> u64 {
    MEMORY.saturating_add(limbs)
}

/// A square of so many limbs: all pairs of limbs, from 25 on Karatsuba's three products of halves.
/// 24 limbs: 399 ns; 223: 16,900 ns; 2,047: 533,000 ns.
fn square(limbs: u64) -> u64 {
    let (mut limbs, mut products, mut sums) = (limbs, 1_u64, 0_u64);
    while limbs > SIMPLE_PRODUCT {
        sums = sums.saturating_add(products.saturating_mul(limbs).saturating_mul(2));
        products = products.saturating_mul(3);
        limbs = limbs.div_ceil(2);
    }
    products.saturating_mul(limbs).saturating_mul(limbs).saturating_add(sums)
}

/// A product without the memory for it.
fn plain_product(left: u64, right: u64) -> u64 {
    let (short, long) = (left.min(right).max(1), left.max(right));
    if short <= SIMPLE_PRODUCT {
        return short.saturating_mul(long);
    }
    square(short).saturating_mul(long.div_ceil(short))
}

/// A product: as many squares of the shorter factor as the longer one is longer. 64 by 2,047 limbs: 67,700 ns.
pub(crate) fn product(left: u64, right: u64) -> u64 {
    linear(left.saturating_add(right)).saturating_add(plain_product(left, right))
}

/// A quotient and remainder without the memory for them.
fn plain_quotient(dividend: u64, divisor: u64) -> u64 {
    let length = dividend.saturating_sub(divisor).saturating_add(1);
    let short = length.min(divisor);
    if short <= SIMPLE_QUOTIENT {
        let step = divisor.saturating_mul(7).div_ceil(4).saturating_add(8);
        return length.saturating_mul(step);
    }
    // Half as long again as two products; where the quotient is the shorter one, a product with the rest of the divisor.
    let halves = square(short).saturating_mul(5).div_euclid(2);
    if length >= divisor {
        halves.saturating_mul(length.div_ceil(divisor))
    } else {
        halves.saturating_add(plain_product(length, divisor.saturating_sub(length)))
    }
}

/// A quotient and remainder. 2,047 by 1 limbs: 11,300 ns, by 16: 60,200 ns, by 1,024: 425,000 ns.
pub(crate) fn quotient(dividend: u64, divisor: u64) -> u64 {
    linear(dividend.saturating_add(divisor))
        .saturating_add(plain_quotient(dividend, divisor))
        .saturating_add(MEMORY)
}

/// The quotient of two integers as a float, which takes no more than their leading limbs.
fn true_quotient(dividend: u64, divisor: u64) -> u64 {
    let looks = linear(dividend.saturating_add(divisor)).saturating_mul(6);
    looks.saturating_add(divisor.saturating_mul(4))
}

/// Lehmer's algorithm on two numbers of one length. 2 limbs: 240 ns; 256: 167,000 ns; 2,047: 4,400,000 ns.
fn lehmer(limbs: u64) -> u64 {
    let squares = limbs.saturating_mul(limbs).saturating_mul(5).div_euclid(4);
    limbs.saturating_mul(450).saturating_add(squares)
}

/// A greatest common divisor: the longer number is first divided by the shorter one.
pub(crate) fn divisor(left: u64, right: u64) -> u64 {
    let (short, long) = (left.min(right), left.max(right));
    if long <= 1 {
        return MEMORY.saturating_mul(3);
    }
    quotient(long, short).saturating_add(lehmer(short)).saturating_add(MEMORY)
}

/// `pow(a, exponent, modulus)`: a squaring for each bit of the exponent, and at most a product for every fourth, each
/// with a reduction. 1 limb: 12 ns a bit; 2: 31 ns; 8: 250 ns; 64: 9,400 ns; 512: 255,000 ns.
pub(crate) fn power_modulo(exponent: &Integer, modulus: u64) -> u64 {
    let step = match modulus {
        0 | 1 => 14,
        2 => 38,
        _ => {
            let once = plain_product(modulus, modulus)
                .saturating_add(plain_quotient(modulus.saturating_mul(2).saturating_sub(1), modulus));
            once.saturating_mul(5).div_euclid(4).saturating_add(MEMORY)
        }
    };
    let reduction = quotient(modulus.saturating_mul(2), modulus);
    exponent.bits().saturating_add(8).saturating_mul(step).saturating_add(reduction.saturating_mul(2))
}

/// A modular inverse. 1 limb: 525 ns; 2: 1,900 ns; 223: 219,000 ns; 2,047: 8,850,000 ns.
pub(crate) fn inverse(modulus: u64) -> u64 {
    lehmer(modulus).saturating_mul(2).saturating_add(600)
}

/// An integer square root. 2 limbs: 70 ns; 2,047: 265,000 ns.
pub(crate) fn root(limbs: u64) -> u64 {
    let half = limbs.div_ceil(2);
    linear(limbs.saturating_mul(4))
        .saturating_add(square(half).saturating_mul(3).div_euclid(2))
        .saturating_add(half.saturating_mul(20))
}

/// A power whose value has so many limbs: the last squaring costs half of it.
fn power(limbs: u64) -> u64 {
    linear(limbs).saturating_add(square(limbs)).saturating_add(MEMORY)
}

/// The decimal digits of an integer. 223 limbs, the most that is written: 44,100 ns.
pub(crate) fn text(limbs: u64) -> u64 {
    let squares = limbs.saturating_mul(limbs).saturating_mul(9).div_euclid(10);
    limbs.saturating_mul(115).saturating_add(squares).saturating_add(MEMORY)
}

/// A product of `count` factors of up to `factor` limbs, one by one in short runs and by halves above, that makes
/// up to `limbs`.
pub(crate) fn falling(factor: u64, count: u64, limbs: u64) -> u64 {
    let each = plain_product(factor.saturating_mul(count.min(8)), factor).saturating_add(MEMORY);
    count.saturating_mul(each).saturating_add(power(limbs))
}

/// A binomial coefficient in `steps`: each multiplies a result of up to `limbs` by `part` limbs and divides by as many.
pub(crate) fn choose(steps: u64, limbs: u64, part: u64) -> u64 {
    let wide = limbs.saturating_add(part);
    let step = product(limbs, part).saturating_add(quotient(wide, part));
    let whole = steps.saturating_mul(step);
    whole.saturating_add(MEMORY)
}

/// An operator on integers of so many limbs, or for a power or a shift to the left on one of that length of its result.
/// A new operator does not compile without its price here, in [`floats`] and in [`complex`].
pub(crate) fn integers(operator: Binary, left: u64, right: u64) -> u64 {
    match operator {
        Binary::Add | Binary::Subtract | Binary::And | Binary::Or | Binary::Xor | Binary::ShiftLeft => {
            linear(left.saturating_add(right))
        }
        Binary::ShiftRight => linear(left),
        Binary::Multiply => product(left, right),
        Binary::Divide => true_quotient(left, right),
        Binary::FloorDivide | Binary::Modulo => quotient(left, right),
        Binary::Power => power(left),
    }
}

/// An operator on floats. The remainder of a large number by a small one takes a step for each bit of their quotient.
pub(crate) fn floats(operator: Binary, left: f64, right: f64) -> u64 {
    match operator {
        Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide => 2 * QUICK,
        Binary::FloorDivide | Binary::Modulo => remainder(left, right),
        Binary::Power => LIBM,
        // Refused, with words.
        Binary::ShiftLeft | Binary::ShiftRight | Binary::And | Binary::Or | Binary::Xor => QUICK,
    }
}

/// A remainder of floats.
pub(crate) fn remainder(left: f64, right: f64) -> u64 {
    exponent(left).saturating_sub(exponent(right)).saturating_mul(REMAINDER_BIT).saturating_add(LIBM)
}

/// The binary exponent of a float, plus 1,023.
pub(crate) fn exponent(value: f64) -> u64 {
    (value.to_bits() >> 52) & 0x7ff
}

/// A bit by which the dividend is longer than the divisor.
pub(crate) const REMAINDER_BIT: u64 = 4;

/// An operator on complex numbers.
pub(crate) fn complex(operator: Binary) -> u64 {
    match operator {
        // Of subnormal numbers each product takes the processor 50 ns.
        Binary::Multiply | Binary::Divide => LIBM,
        Binary::Power => SLOW,
        Binary::Add
        | Binary::Subtract
        | Binary::FloorDivide
        | Binary::Modulo
        | Binary::ShiftLeft
        | Binary::ShiftRight
        | Binary::And
        | Binary::Or
        | Binary::Xor => QUICK,
    }
}

/// A comparison, which may look at all limbs of an integer and all items of a list.
#[inline]
pub(crate) fn comparison(left: &Value, right: &Value) -> u64 {
    match (left, right) {
        (Value::Float(_), Value::Float(_)) => 0,
        // The float becomes an integer.
        (Value::Float(_), Value::Int(other)) | (Value::Int(other), Value::Float(_)) => {
            other.to_i64().map_or(linear(17), |_| MEMORY)
        }
        _ => value(left).saturating_add(value(right)),
    }
}

/// A look at a value: all limbs of an integer, and each item of a list.
pub(crate) fn value(value: &Value) -> u64 {
    match value {
        Value::Int(value) => value.to_i64().map_or_else(|| copy(value.limbs()), |_| 0),
        Value::Float(_) | Value::Bool(_) | Value::Complex(..) => 0,
        Value::List(items) | Value::Tuple(items) => items
            .iter()
            .fold(0, |sum: u64, item| sum.saturating_add(INSTRUCTION).saturating_add(self::value(item))),
    }
}

/// What one element of a column costs, at the arguments at which it takes longest. Those are mostly subnormal numbers,
/// for which a processor takes a hundred times as long: whether there are any is not known before, so all pay for it.
pub(crate) mod column {
    /// The result, or a part of it that is kept: memory that is touched for the first time. 1.2 ns.
    pub(crate) const ROW: u64 = 2;
    /// A few machine instructions for several elements at once. 0.3 ns.
    pub(crate) const QUICK: u64 = 1;
    /// A product. Ordinary: 0.3 ns; subnormal: 18 ns.
    pub(crate) const MULTIPLY: u64 = 19;
    /// A quotient or square root. Ordinary: 1 ns; subnormal: 7 ns.
    pub(crate) const DIVIDE: u64 = 8;
    /// Rounding to an integer. Without SSE4.1 the C library rounds each element by a call.
    pub(crate) const ROUND: u64 = 6;
    /// C's remainder, beside what the bits of the quotient cost. 10 ns.
    pub(crate) const FMOD: u64 = 24;
    /// Python's floor division or remainder, the same. Subnormal: 50 ns.
    pub(crate) const FLOOR_DIVIDE: u64 = 60;
    /// IEEE 754's remainder, the same. Subnormal: 117 ns.
    pub(crate) const REMAINDER: u64 = 135;
    /// A bit by which the dividend of a remainder is longer than the divisor. 0.4 ns.
    pub(crate) const REMAINDER_BIT: u64 = 1;
    /// A function of the mathematical library that takes at most 15 ns.
    pub(crate) const FAST: u64 = 20;
    /// One that takes at most 40 ns: sine, tangent, exponential, degrees.
    pub(crate) const LIBM: u64 = 48;
    /// Logarithms and gamma: 59 ns.
    pub(crate) const SLOW: u64 = 75;
    /// Powers, the angle of a point, the error function. Ordinary: 10 ns; subnormal: 113 ns.
    pub(crate) const SLOWER: u64 = 130;
    /// The length of a vector. Ordinary: 5 ns; subnormal: 170 ns.
    pub(crate) const HYPOT: u64 = 195;
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "sizes of test values are small")]
mod tests;
