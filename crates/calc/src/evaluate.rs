//! Runs a program on a stack of values. It does not recurse, and charges every step to the budget.

use crate::budget::Budget;
use crate::error::Error;
use crate::functions::{self, Arguments};
use crate::number::{self, Integer, Value};
use crate::price;
use crate::program::{Binary, Comparison, Instruction, Program, Unary};
use crate::variables::Variables;
use smallvec::SmallVec;
use std::iter;

type Stack = SmallVec<[Value; 8]>;

pub(crate) fn run(program: &Program, variables: &Variables, budget: &mut Budget) -> Result<Value, Error> {
    // Jumps only lead forwards, so that no instruction is run twice.
    budget.spend((program.code.len() as u64).saturating_mul(price::INSTRUCTION))?;
    if let [Instruction::Integer(value)] = program.code.as_slice() {
        // All of it was computed while parsing.
        return Ok(Value::Int(Integer::from(*value)));
    }
    let mut stack = Stack::new();
    let mut counter = 0_usize;
    while let Some(instruction) = program.code.get(counter) {
        counter = counter.wrapping_add(1);
        let jump = match *instruction {
            Instruction::Integer(value) => push(&mut stack, || Value::Int(Integer::from(value))),
            Instruction::Float(value) => push(&mut stack, || Value::Float(value)),
            Instruction::Boolean(value) => push(&mut stack, || Value::Bool(value)),
            Instruction::Imaginary(value) => push(&mut stack, || Value::Complex(0.0, value)),
            Instruction::Binary { operator, at } => {
                binary(&mut stack, operator, budget).map_err(|error| error.at(at))?
            }
            Instruction::BinaryInteger { operator, at, value } => {
                if !stack.last_mut().is_some_and(|left| is_done_in_place(left, operator, value)) {
                    stack.push(Value::Int(Integer::from(value)));
                    binary(&mut stack, operator, budget).map_err(|error| error.at(at))?;
                }
                0
            }
            Instruction::Unary { operator, at } => {
                unary(&mut stack, operator, budget).map_err(|error| error.at(at))?
            }
            Instruction::Compare { operator, at } => {
                let (holds, right) = compare(&mut stack, operator, budget).map_err(|error| error.at(at))?;
                release(&right, budget);
                push(&mut stack, || Value::Bool(holds))
            }
            Instruction::CompareChain { operator, at, jump } => {
                let (holds, right) = compare(&mut stack, operator, budget).map_err(|error| error.at(at))?;
                if holds {
                    push(&mut stack, || right)
                } else {
                    release(&right, budget);
                    push(&mut stack, || Value::Bool(false));
                    jump
                }
            }
            Instruction::Constant(index) => match program.constants.get(index as usize) {
                Some(value) => push_counted(&mut stack, value.clone(), budget)?,
                None => return Err(Error::broken()),
            },
            Instruction::Variable(index) => match variables.value(index) {
                Some(value) => push_counted(&mut stack, value.clone(), budget)?,
                None => return Err(Error::broken()),
            },
            Instruction::Column(_) => return Err(Error::broken()),
            Instruction::UnknownName { at } => return Err(Error::name().at(at)),
            Instruction::Not => {
                let value = pop(&mut stack)?;
                release(&value, budget);
                push(&mut stack, || Value::Bool(!value.is_true()))
            }
            Instruction::JumpIfFalseOrPop(jump) => keep_or_jump(&mut stack, false, jump, budget)?,
            Instruction::JumpIfTrueOrPop(jump) => keep_or_jump(&mut stack, true, jump, budget)?,
            Instruction::PopJumpIfFalse(jump) => {
                let value = pop(&mut stack)?;
                release(&value, budget);
                if value.is_true() { 0 } else { jump }
            }
            Instruction::Jump(jump) => jump,
            Instruction::List(count) => {
                let items = take(&mut stack, count, budget)?;
                push(&mut stack, || Value::List(items))
            }
            Instruction::Tuple(count) => {
                let items = take(&mut stack, count, budget)?;
                push(&mut stack, || Value::Tuple(items))
            }
            Instruction::Call { function, count, keywords, at } => {
                let names = program.keywords(keywords);
                call(&mut stack, function, count, names, budget).map_err(|error| error.at(at))?
            }
        };
        counter = counter.wrapping_add(jump as usize);
    }
    // Made anew where that is cheap: to move a value that was just written, as a whole, stalls the processor.
    let small = match stack.last() {
        Some(Value::Float(value)) => Some(Value::Float(*value)),
        Some(Value::Int(value)) => value.to_i64().map(|value| Value::Int(Integer::from(value))),
        _ => None,
    };
    if let Some(small) = small {
        return Ok(small);
    }
    let result = pop(&mut stack)?;
    result.charge_for_text(budget)?;
    Ok(result)
}

/// Makes the value in its place: to move one that was just written, as a whole, stalls the processor.
#[inline(never)]
fn push(stack: &mut Stack, make: impl FnOnce() -> Value) -> u32 {
    stack.extend(iter::once_with(make));
    0
}

#[inline]
fn push_counted(stack: &mut Stack, value: Value, budget: &mut Budget) -> Result<u32, Error> {
    if let Some(bytes) = value.heap_bytes() {
        budget.spend(price::copy(bytes.div_euclid(8)))?;
        budget.hold(bytes)?;
    }
    stack.push(value);
    Ok(0)
}

#[inline]
fn pop(stack: &mut Stack) -> Result<Value, Error> {
    stack.pop().ok_or_else(Error::broken)
}

#[inline]
fn release(value: &Value, budget: &mut Budget) {
    if let Some(bytes) = value.heap_bytes() {
        budget.release(bytes);
    }
}

fn take(stack: &mut Stack, count: u32, budget: &mut Budget) -> Result<Box<[Value]>, Error> {
    budget.spend(u64::from(count).saturating_mul(price::INSTRUCTION))?;
    let start = stack.len().checked_sub(count as usize).ok_or_else(Error::broken)?;
    let items: Box<[Value]> = stack.drain(start..).collect();
    if items.iter().any(|item| matches!(item, Value::List(_) | Value::Tuple(_))) {
        return Err(Error::type_error("a list or tuple may not hold another"));
    }
    Ok(items)
}

#[inline]
fn keep_or_jump(stack: &mut Stack, jump_on: bool, jump: u32, budget: &mut Budget) -> Result<u32, Error> {
    if stack.last().ok_or_else(Error::broken)?.is_true() == jump_on {
        return Ok(jump);
    }
    release(&pop(stack)?, budget);
    Ok(0)
}

/// Does the common operators on a small integer or a float; anything else is left as it is.
#[inline]
// Python rounds the integer to a float just so.
#[allow(clippy::cast_precision_loss)]
fn is_done_in_place(left: &mut Value, operator: Binary, right: i64) -> bool {
    match left {
        Value::Int(left) => {
            let Some(result) = left.to_i64().and_then(|left| operator.of_small(left, right)) else {
                return false;
            };
            *left = Integer::from(result);
        }
        Value::Float(left) => match operator {
            Binary::Add => *left += right as f64,
            Binary::Subtract => *left -= right as f64,
            Binary::Multiply => *left *= right as f64,
            _ => return false,
        },
        _ => return false,
    }
    true
}

/// Works on the stack in place: to move a value that was just written, as a whole, stalls the processor.
#[inline]
fn binary(stack: &mut Stack, operator: Binary, budget: &mut Budget) -> Result<u32, Error> {
    let Some(([.., left], right)) = stack.split_last_mut().map(|(right, rest)| (rest, right)) else {
        return Err(Error::broken());
    };
    let fast = match (&*left, &*right) {
        (Value::Int(left), Value::Int(right)) => match (left.to_i64(), right.to_i64()) {
            (Some(left), Some(right)) => {
                operator.of_small(left, right).map(|value| Value::Int(Integer::from(value)))
            }
            _ => None,
        },
        (Value::Float(left), Value::Float(right)) => match operator {
            Binary::Add => Some(Value::Float(left + right)),
            Binary::Subtract => Some(Value::Float(left - right)),
            Binary::Multiply => Some(Value::Float(left * right)),
            _ => None,
        },
        _ => None,
    };
    if let Some(value) = fast {
        *left = value;
    } else {
        release(left, budget);
        release(right, budget);
        let value = number::binary(operator, left, right, budget)?;
        if let Some(bytes) = value.heap_bytes() {
            budget.hold(bytes)?;
        }
        *left = value;
    }
    stack.truncate(stack.len().saturating_sub(1));
    Ok(0)
}

fn unary(stack: &mut Stack, operator: Unary, budget: &mut Budget) -> Result<u32, Error> {
    let operand = stack.last_mut().ok_or_else(Error::broken)?;
    release(operand, budget);
    let value = number::unary(operator, operand, budget)?;
    if let Some(bytes) = value.heap_bytes() {
        budget.hold(bytes)?;
    }
    *operand = value;
    Ok(0)
}

#[inline]
fn compare(stack: &mut Stack, operator: Comparison, budget: &mut Budget) -> Result<(bool, Value), Error> {
    let right = pop(stack)?;
    let left = pop(stack)?;
    release(&left, budget);
    Ok((number::compare(operator, &left, &right, budget)?, right))
}

fn call(
    stack: &mut Stack,
    function: u16,
    count: u16,
    names: &[&'static str],
    budget: &mut Budget,
) -> Result<u32, Error> {
    budget.spend(u64::from(count).saturating_mul(price::INSTRUCTION))?;
    let start = stack.len().checked_sub(usize::from(count)).ok_or_else(Error::broken)?;
    let arguments = stack.get(start..).ok_or_else(Error::broken)?;
    let value = functions::call(function, Arguments::new(arguments, names), budget)?;
    for argument in arguments {
        release(argument, budget);
    }
    stack.truncate(start);
    push_counted(stack, value, budget)
}
