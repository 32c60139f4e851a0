//! Runs a plan over the rows, a block of them at a time, so that intermediate results stay in the nearest cache.
//! The loops are plain, for the compiler to vectorise; none fuses a multiplication with an addition.

use super::operation::{Binary, Operation, Source, Unary};
use super::registers::Plan;
use super::{Columns, modulo};
use crate::budget::Budget;
use crate::error::Error;
use crate::program::Comparison;
use fearless_simd::{Level, dispatch};
use std::mem;

/// Rows a block: what keeps a few registers within 32 KiB.
const BLOCK: usize = 512;

/// The elements of one source in the present block.
#[derive(Clone, Copy)]
enum Lanes<'a> {
    Each(&'a [f64]),
    Same(f64),
}

pub(super) fn run(plan: &Plan, columns: &Columns<'_>, budget: &mut Budget) -> Result<Vec<f64>, Error> {
    let rows = columns.rows();
    let cost = plan.steps.iter().map(|step| step.operation.cost()).fold(1, u64::saturating_add);
    budget.spend(cost.saturating_mul(rows as u64))?;
    dispatch!(Level::new(), _simd => blocks(plan, columns, budget))
}

/// The whole loop, inlined once for each instruction set that the processor may have.
#[inline(always)]
#[allow(clippy::inline_always)]
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
            block.step(&step.operation, &registers, values.get_mut(..length).unwrap_or_default(), budget)?;
            if let Some(register) = registers.get_mut(step.register) {
                *register = values;
            }
        }
        match block.lanes(plan.result, &registers) {
            Lanes::Each(values) => result.extend_from_slice(values),
            Lanes::Same(value) => result.resize(start.saturating_add(length), value),
        }
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
    #[allow(clippy::inline_always)]
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
    #[allow(clippy::inline_always)]
    fn step(
        &self,
        operation: &Operation,
        registers: &[Vec<f64>],
        out: &mut [f64],
        budget: &mut Budget,
    ) -> Result<(), Error> {
        match *operation {
            Operation::Unary { operator, operand } => unary(operator, self.lanes(operand, registers), out),
            Operation::Binary { operator, left, right } => {
                let (left, right) = (self.lanes(left, registers), self.lanes(right, registers));
                if let Binary::FloorDivide | Binary::Modulo | Binary::Fmod | Binary::Remainder = operator {
                    budget.spend(remainder_fuel(left, right, out.len()))?;
                }
                binary(operator, left, right, out);
            }
            Operation::Select { condition, yes, no } => select(
                self.lanes(condition, registers),
                self.lanes(yes, registers),
                self.lanes(no, registers),
                out,
            ),
        }
        Ok(())
    }
}

#[inline(always)]
#[allow(clippy::inline_always)]
fn map(out: &mut [f64], operand: Lanes<'_>, function: impl Fn(f64) -> f64) {
    match operand {
        Lanes::Each(values) => {
            for (out, value) in out.iter_mut().zip(values) {
                *out = function(*value);
            }
        }
        Lanes::Same(value) => out.fill(function(value)),
    }
}

#[inline(always)]
#[allow(clippy::inline_always)]
fn map2(out: &mut [f64], left: Lanes<'_>, right: Lanes<'_>, function: impl Fn(f64, f64) -> f64) {
    match (left, right) {
        (Lanes::Each(left), Lanes::Each(right)) => {
            for ((out, left), right) in out.iter_mut().zip(left).zip(right) {
                *out = function(*left, *right);
            }
        }
        (Lanes::Each(left), Lanes::Same(right)) => {
            for (out, left) in out.iter_mut().zip(left) {
                *out = function(*left, right);
            }
        }
        (Lanes::Same(left), Lanes::Each(right)) => {
            for (out, right) in out.iter_mut().zip(right) {
                *out = function(left, *right);
            }
        }
        (Lanes::Same(left), Lanes::Same(right)) => out.fill(function(left, right)),
    }
}

#[inline(always)]
#[allow(clippy::inline_always)]
fn truth(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

#[inline(always)]
#[allow(clippy::inline_always)]
fn unary(operator: Unary, operand: Lanes<'_>, out: &mut [f64]) {
    match operator {
        Unary::Negate => map(out, operand, |x| -x),
        Unary::Absolute => map(out, operand, f64::abs),
        Unary::SquareRoot => map(out, operand, f64::sqrt),
        Unary::Not => map(out, operand, |x| truth(x == 0.0)),
        Unary::Truth => map(out, operand, |x| truth(x != 0.0)),
        Unary::IsNan => map(out, operand, |x| truth(x.is_nan())),
        Unary::IsInfinite => map(out, operand, |x| truth(x.abs() == f64::INFINITY)),
        Unary::IsFinite => map(out, operand, |x| truth(x.abs() < f64::INFINITY)),
        Unary::Floor => map(out, operand, f64::floor),
        Unary::Ceiling => map(out, operand, f64::ceil),
        Unary::Truncate => map(out, operand, f64::trunc),
        Unary::RoundHalfEven => map(out, operand, f64::round_ties_even),
        Unary::Function { function, .. } => map(out, operand, function),
    }
}

#[inline(always)]
#[allow(clippy::inline_always)]
fn binary(operator: Binary, left: Lanes<'_>, right: Lanes<'_>, out: &mut [f64]) {
    match operator {
        Binary::Add => map2(out, left, right, |x, y| x + y),
        Binary::Subtract => map2(out, left, right, |x, y| x - y),
        Binary::Multiply => map2(out, left, right, |x, y| x * y),
        Binary::Divide => map2(out, left, right, |x, y| x / y),
        Binary::FloorDivide => map2(out, left, right, modulo::floor_divide),
        Binary::Modulo => map2(out, left, right, modulo::modulo),
        Binary::Fmod => map2(out, left, right, |x, y| x % y),
        Binary::Remainder => map2(out, left, right, modulo::remainder),
        Binary::Minimum => map2(out, left, right, |x, y| if x <= y || x.is_nan() { x } else { y }),
        Binary::Maximum => map2(out, left, right, |x, y| if x >= y || x.is_nan() { x } else { y }),
        Binary::CopySign => map2(out, left, right, f64::copysign),
        Binary::ExclusiveOr => map2(out, left, right, |x, y| truth(x != y)),
        Binary::Compare(comparison) => match comparison {
            Comparison::Less => map2(out, left, right, |x, y| truth(x < y)),
            Comparison::LessOrEqual => map2(out, left, right, |x, y| truth(x <= y)),
            Comparison::Greater => map2(out, left, right, |x, y| truth(x > y)),
            Comparison::GreaterOrEqual => map2(out, left, right, |x, y| truth(x >= y)),
            Comparison::Equal => map2(out, left, right, |x, y| truth(x == y)),
            Comparison::NotEqual => map2(out, left, right, |x, y| truth(x != y)),
        },
        Binary::Function { function, .. } => map2(out, left, right, function),
    }
}

#[inline(always)]
#[allow(clippy::inline_always)]
fn select(condition: Lanes<'_>, yes: Lanes<'_>, no: Lanes<'_>, out: &mut [f64]) {
    let condition = match condition {
        Lanes::Each(condition) => condition,
        Lanes::Same(condition) => return map(out, if condition == 0.0 { no } else { yes }, |x| x),
    };
    let rows = out.iter_mut().zip(condition);
    match (yes, no) {
        (Lanes::Each(yes), Lanes::Each(no)) => {
            for (((out, condition), yes), no) in rows.zip(yes).zip(no) {
                *out = if *condition == 0.0 { *no } else { *yes };
            }
        }
        (Lanes::Each(yes), Lanes::Same(no)) => {
            for ((out, condition), yes) in rows.zip(yes) {
                *out = if *condition == 0.0 { no } else { *yes };
            }
        }
        (Lanes::Same(yes), Lanes::Each(no)) => {
            for ((out, condition), no) in rows.zip(no) {
                *out = if *condition == 0.0 { *no } else { yes };
            }
        }
        (Lanes::Same(yes), Lanes::Same(no)) => {
            for (out, condition) in rows {
                *out = if *condition == 0.0 { no } else { yes };
            }
        }
    }
}

#[inline(always)]
#[allow(clippy::inline_always)]
fn remainder_fuel(left: Lanes<'_>, right: Lanes<'_>, length: usize) -> u64 {
    match (left, right) {
        (Lanes::Each(left), Lanes::Each(right)) => {
            modulo::charge(left.iter().copied().zip(right.iter().copied()))
        }
        (Lanes::Each(left), Lanes::Same(right)) => modulo::charge(left.iter().map(|left| (*left, right))),
        (Lanes::Same(left), Lanes::Each(right)) => modulo::charge(right.iter().map(|right| (left, *right))),
        (Lanes::Same(left), Lanes::Same(right)) => {
            modulo::charge(std::iter::once((left, right))).saturating_mul(length as u64)
        }
    }
}
