//! Runs a plan over the rows, a block of them at a time, so that intermediate results stay in the nearest cache.
//! The loops are plain, for the compiler to vectorise; each operation rounds by itself, also where two share a loop.

#![allow(clippy::inline_always, reason = "all of it is compiled once for each instruction set")]

use super::operation::{Arithmetic, Binary, Operation, Outer, Source, Unary};
use super::registers::Plan;
use super::{Columns, modulo};
use crate::budget::Budget;
use crate::error::Error;
use crate::price;
use crate::program::Comparison;
use fearless_simd::{Level, dispatch};
use std::{iter, mem};

/// Rows a block: what keeps a few registers within 32 KiB.
const BLOCK: usize = 512;

/// The elements of one source in the present block.
#[derive(Clone, Copy)]
enum Lanes<'a> {
    Each(&'a [f64]),
    Same(f64),
}

/// Where the elements of a block go.
trait Target {
    fn put(&mut self, elements: impl Iterator<Item = f64>);
}

/// A register, as long as the block.
impl Target for [f64] {
    #[inline(always)]
    fn put(&mut self, elements: impl Iterator<Item = f64>) {
        for (place, element) in self.iter_mut().zip(elements) {
            *place = element;
        }
    }
}

/// The result, which grows by the block.
impl Target for Vec<f64> {
    #[inline(always)]
    fn put(&mut self, elements: impl Iterator<Item = f64>) {
        self.extend(elements);
    }
}

pub(super) fn run(plan: &Plan, columns: &Columns<'_>, budget: &mut Budget) -> Result<Vec<f64>, Error> {
    let rows = columns.rows();
    let operations = plan.steps.iter().map(|step| &step.operation).chain([&plan.last]);
    let cost = operations.map(Operation::cost).fold(price::column::ROW, u64::saturating_add);
    budget.spend(cost.saturating_mul(rows as u64))?;
    dispatch!(Level::new(), _simd => blocks(plan, columns, budget))
}

/// The whole loop, inlined once for each instruction set that the processor may have.
#[inline(always)]
fn blocks(plan: &Plan, columns: &Columns<'_>, budget: &mut Budget) -> Result<Vec<f64>, Error> {
    let rows = columns.rows();
    let mut registers = vec![vec![0.0; BLOCK.min(rows)]; plan.registers];
    let mut result = Vec::with_capacity(rows);
    for start in (0..rows).step_by(BLOCK) {
        let length = BLOCK.min(rows.saturating_sub(start));
        let block = Block { columns, start, length };
        for step in &plan.steps {
            let Some(register) = registers.get_mut(step.register) else { return Err(Error::broken()) };
            // Taken out, so that the others can be read; a step never reads what it writes.
            let mut values = mem::take(register);
            let out = values.get_mut(..length).unwrap_or_default();
            block.step(&step.operation, &registers, out, budget)?;
            if let Some(register) = registers.get_mut(step.register) {
                *register = values;
            }
        }
        block.step(&plan.last, &registers, &mut result, budget)?;
    }
    Ok(result)
}

struct Block<'a> {
    columns: &'a Columns<'a>,
    start: usize,
    length: usize,
}

impl Block<'_> {
    #[inline(always)]
    fn lanes<'a>(&'a self, source: Source, registers: &'a [Vec<f64>]) -> Lanes<'a> {
        let end = self.start.saturating_add(self.length);
        match source {
            Source::Constant(value) => Lanes::Same(value),
            Source::Column(index) => {
                Lanes::Each(self.columns.values(index).get(self.start..end).unwrap_or_default())
            }
            Source::Result(register) => {
                let values = registers.get(register as usize).and_then(|values| values.get(..self.length));
                Lanes::Each(values.unwrap_or_default())
            }
        }
    }

    #[inline(always)]
    fn step(
        &self,
        operation: &Operation,
        registers: &[Vec<f64>],
        out: &mut (impl Target + ?Sized),
        budget: &mut Budget,
    ) -> Result<(), Error> {
        let lanes = |source| self.lanes(source, registers);
        match *operation {
            Operation::Unary { operator, operand } => unary(operator, lanes(operand), self.length, out),
            Operation::Binary { operator, left, right } => {
                let operands = [lanes(left), lanes(right)];
                if let Binary::FloorDivide | Binary::Modulo | Binary::Fmod | Binary::Remainder = operator {
                    budget.spend(remainder_fuel(operands, self.length))?;
                }
                binary(operator, operands, self.length, out);
            }
            Operation::Fused { inner, left, right, outer, other } => {
                fused(inner, outer, [lanes(left), lanes(right), lanes(other)], self.length, out);
            }
            Operation::Select { condition, yes, no } => {
                let operands = [lanes(condition), lanes(yes), lanes(no)];
                let select = |condition, yes, no| if condition == 0.0 { no } else { yes };
                map3(operands, self.length, out, select);
            }
        }
        Ok(())
    }
}

#[inline(always)]
fn map(operand: Lanes<'_>, length: usize, out: &mut (impl Target + ?Sized), function: impl Fn(f64) -> f64) {
    match operand {
        Lanes::Each(values) => out.put(values.iter().map(|value| function(*value))),
        Lanes::Same(value) => out.put(iter::repeat_n(function(value), length)),
    }
}

#[inline(always)]
fn map2(
    operands: [Lanes<'_>; 2],
    length: usize,
    out: &mut (impl Target + ?Sized),
    function: impl Fn(f64, f64) -> f64,
) {
    match operands {
        [Lanes::Each(left), Lanes::Each(right)] => {
            out.put(left.iter().zip(right).map(|(left, right)| function(*left, *right)));
        }
        [left, Lanes::Same(right)] => map(left, length, out, move |left| function(left, right)),
        [Lanes::Same(left), right] => map(right, length, out, move |right| function(left, right)),
    }
}

#[inline(always)]
fn map3(
    operands: [Lanes<'_>; 3],
    length: usize,
    out: &mut (impl Target + ?Sized),
    function: impl Fn(f64, f64, f64) -> f64,
) {
    match operands {
        [Lanes::Each(first), Lanes::Each(second), Lanes::Each(third)] => {
            let rows = first.iter().zip(second).zip(third);
            out.put(rows.map(|((first, second), third)| function(*first, *second, *third)));
        }
        [first, second, Lanes::Same(third)] => {
            map2([first, second], length, out, move |first, second| function(first, second, third));
        }
        [first, Lanes::Same(second), third] => {
            map2([first, third], length, out, move |first, third| function(first, second, third));
        }
        [Lanes::Same(first), second, third] => {
            map2([second, third], length, out, move |second, third| function(first, second, third));
        }
    }
}

#[inline(always)]
fn truth(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

#[inline(always)]
fn unary(operator: Unary, operand: Lanes<'_>, length: usize, out: &mut (impl Target + ?Sized)) {
    match operator {
        Unary::Same => map(operand, length, out, |x| x),
        Unary::Negate => map(operand, length, out, |x| -x),
        Unary::Absolute => map(operand, length, out, f64::abs),
        Unary::SquareRoot => map(operand, length, out, f64::sqrt),
        Unary::Not => map(operand, length, out, |x| truth(x == 0.0)),
        Unary::Truth => map(operand, length, out, |x| truth(x != 0.0)),
        Unary::IsNan => map(operand, length, out, |x| truth(x.is_nan())),
        Unary::IsInfinite => map(operand, length, out, |x| truth(x.abs() == f64::INFINITY)),
        Unary::IsFinite => map(operand, length, out, |x| truth(x.abs() < f64::INFINITY)),
        Unary::Floor => map(operand, length, out, f64::floor),
        Unary::Ceiling => map(operand, length, out, f64::ceil),
        Unary::Truncate => map(operand, length, out, f64::trunc),
        Unary::RoundHalfEven => map(operand, length, out, f64::round_ties_even),
        Unary::Function { function, .. } => map(operand, length, out, function),
    }
}

#[inline(always)]
fn binary(operator: Binary, operands: [Lanes<'_>; 2], length: usize, out: &mut (impl Target + ?Sized)) {
    match operator {
        Binary::Arithmetic(operator) => match operator {
            Arithmetic::Add => map2(operands, length, out, |x, y| x + y),
            Arithmetic::Subtract => map2(operands, length, out, |x, y| x - y),
            Arithmetic::Multiply => map2(operands, length, out, |x, y| x * y),
        },
        Binary::Divide => map2(operands, length, out, |x, y| x / y),
        Binary::FloorDivide => map2(operands, length, out, modulo::floor_divide),
        Binary::Modulo => map2(operands, length, out, modulo::modulo),
        Binary::Fmod => map2(operands, length, out, |x, y| x % y),
        Binary::Remainder => map2(operands, length, out, modulo::remainder),
        Binary::Minimum => map2(operands, length, out, |x, y| if x <= y || x.is_nan() { x } else { y }),
        Binary::Maximum => map2(operands, length, out, |x, y| if x >= y || x.is_nan() { x } else { y }),
        Binary::CopySign => map2(operands, length, out, f64::copysign),
        Binary::ExclusiveOr => map2(operands, length, out, |x, y| truth(x != y)),
        Binary::Compare(comparison) => match comparison {
            Comparison::Less => map2(operands, length, out, |x, y| truth(x < y)),
            Comparison::LessOrEqual => map2(operands, length, out, |x, y| truth(x <= y)),
            Comparison::Greater => map2(operands, length, out, |x, y| truth(x > y)),
            Comparison::GreaterOrEqual => map2(operands, length, out, |x, y| truth(x >= y)),
            Comparison::Equal => map2(operands, length, out, |x, y| truth(x == y)),
            Comparison::NotEqual => map2(operands, length, out, |x, y| truth(x != y)),
        },
        Binary::Function { function, .. } => map2(operands, length, out, function),
    }
}

#[inline(always)]
fn fused(
    inner: Arithmetic,
    outer: Outer,
    operands: [Lanes<'_>; 3],
    length: usize,
    out: &mut (impl Target + ?Sized),
) {
    match inner {
        Arithmetic::Add => fused_with(|x, y| x + y, outer, operands, length, out),
        Arithmetic::Subtract => fused_with(|x, y| x - y, outer, operands, length, out),
        Arithmetic::Multiply => fused_with(|x, y| x * y, outer, operands, length, out),
    }
}

#[inline(always)]
fn fused_with(
    inner: impl Fn(f64, f64) -> f64,
    outer: Outer,
    operands: [Lanes<'_>; 3],
    length: usize,
    out: &mut (impl Target + ?Sized),
) {
    match outer {
        Outer::Add => map3(operands, length, out, |x, y, z| inner(x, y) + z),
        Outer::Subtract => map3(operands, length, out, |x, y, z| inner(x, y) - z),
        Outer::SubtractFrom => map3(operands, length, out, |x, y, z| z - inner(x, y)),
        Outer::Multiply => map3(operands, length, out, |x, y, z| inner(x, y) * z),
    }
}

#[inline(always)]
fn remainder_fuel(operands: [Lanes<'_>; 2], length: usize) -> u64 {
    match operands {
        [Lanes::Each(left), Lanes::Each(right)] => {
            modulo::charge(left.iter().copied().zip(right.iter().copied()))
        }
        [Lanes::Each(left), Lanes::Same(right)] => modulo::charge(left.iter().map(|left| (*left, right))),
        [Lanes::Same(left), Lanes::Each(right)] => modulo::charge(right.iter().map(|right| (left, *right))),
        [Lanes::Same(left), Lanes::Same(right)] => {
            modulo::charge(iter::once((left, right))).saturating_mul(length as u64)
        }
    }
}
