//! Gives the operations of a plan registers, and takes a register back after the last operation that reads it. It
//! refuses an expression that needs too many at once.

use super::operation::{Operation, Source, Unary, place};
use crate::error::Error;
use crate::limits;
use smallvec::SmallVec;

/// What to do for each block of rows.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// How many registers the steps use.
    pub(super) registers: usize,
    /// What makes the result from the registers.
    pub(super) last: Operation,
}

#[derive(Debug)]
pub(super) struct Step {
    pub(super) operation: Operation,
    /// Where the result goes; never a register that the operation reads.
    pub(super) register: usize,
}

pub(super) fn allocate(mut operations: Vec<Operation>, result: Source) -> Result<Plan, Error> {
    let last = match operations.pop() {
        Some(last) if result == Source::Result(place(operations.len())) => last,
        other => {
            operations.extend(other);
            Operation::Unary { operator: Unary::Same, operand: result }
        }
    };
    let mut last_use = vec![0_usize; operations.len()];
    let mut note = |source: Source, place: usize| {
        if let Source::Result(index) = source
            && let Some(last) = last_use.get_mut(index as usize)
        {
            *last = place;
        }
    };
    for (place, operation) in operations.iter().enumerate() {
        operation.sources().for_each(|source| note(source, place));
    }
    last.sources().for_each(|source| note(source, usize::MAX));
    let mut register_of: Vec<u32> = Vec::with_capacity(operations.len());
    let mut free: Vec<u32> = Vec::new();
    let mut registers = 0_u32;
    let mut steps = Vec::with_capacity(operations.len());
    for (place, operation) in operations.into_iter().enumerate() {
        let register = free.pop().unwrap_or_else(|| {
            registers = registers.saturating_add(1);
            registers.saturating_sub(1)
        });
        let read = operation.map_sources(|source| in_register(source, &register_of));
        steps.push(Step { operation: read, register: register as usize });
        register_of.push(register);
        let mut ended: SmallVec<[u32; 3]> = operation
            .sources()
            .filter_map(|source| match source {
                Source::Result(index) if last_use.get(index as usize) == Some(&place) => Some(index),
                _ => None,
            })
            .collect();
        ended.sort_unstable();
        ended.dedup();
        free.extend(ended.iter().filter_map(|index| register_of.get(*index as usize)));
    }
    let registers = registers as usize;
    if registers > limits::COLUMN_REGISTERS {
        return Err(Error::limit("MemoryError", "the expression keeps too many columns at once"));
    }
    Ok(Plan { last: last.map_sources(|source| in_register(source, &register_of)), steps, registers })
}

fn in_register(source: Source, register_of: &[u32]) -> Source {
    match source {
        Source::Result(index) => Source::Result(register_of.get(index as usize).copied().unwrap_or(u32::MAX)),
        Source::Column(_) | Source::Constant(_) => source,
    }
}
