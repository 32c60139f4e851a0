//! Joins a sum, difference or product with the one that takes its result: a pass over a block is bound by its loads and
//! stores, and so two operations in one cost hardly more than one alone. Each still rounds by itself.

use super::operation::{Arithmetic, Binary, Operation, Outer, Source, place};

/// The same operations in fewer passes, and the place of the result among them.
pub(super) fn fuse(operations: &[Operation], result: Source) -> (Vec<Operation>, Source) {
    let mut uses = vec![0_usize; operations.len()];
    for source in operations.iter().flat_map(Operation::sources).chain([result]) {
        if let Source::Result(place) = source
            && let Some(uses) = uses.get_mut(place as usize)
        {
            *uses = uses.saturating_add(1);
        }
    }
    let mut fused: Vec<Operation> = Vec::with_capacity(operations.len());
    let mut new_places: Vec<u32> = Vec::with_capacity(operations.len());
    // Whether the last operation has no reader but the next one.
    let mut is_free = false;
    for (operation, uses) in operations.iter().zip(&uses) {
        let operation = operation.map_sources(|source| moved(source, &new_places));
        let last = place(fused.len().saturating_sub(1));
        match fused.last().and_then(|inner| join(inner, last, &operation)) {
            Some(both) if is_free => {
                fused.pop();
                fused.push(both);
            }
            _ => fused.push(operation),
        }
        new_places.push(place(fused.len().saturating_sub(1)));
        is_free = *uses == 1;
    }
    let result = moved(result, &new_places);
    (fused, result)
}

fn moved(source: Source, new_places: &[u32]) -> Source {
    match source {
        Source::Result(place) => Source::Result(new_places.get(place as usize).copied().unwrap_or(u32::MAX)),
        Source::Column(_) | Source::Constant(_) => source,
    }
}

/// Both operations as one, if the second takes the result of the first, which is at `place`.
fn join(first: &Operation, place: u32, second: &Operation) -> Option<Operation> {
    let Operation::Binary { operator: Binary::Arithmetic(inner), left, right } = *first else { return None };
    let Operation::Binary { operator: Binary::Arithmetic(outer), left: before, right: behind } = *second
    else {
        return None;
    };
    let inner_result = Source::Result(place);
    let (outer, other) = match (before == inner_result, behind == inner_result) {
        (true, false) => (
            match outer {
                Arithmetic::Add => Outer::Add,
                Arithmetic::Subtract => Outer::Subtract,
                Arithmetic::Multiply => Outer::Multiply,
            },
            behind,
        ),
        (false, true) => (
            match outer {
                Arithmetic::Add => Outer::Add,
                Arithmetic::Subtract => Outer::SubtractFrom,
                Arithmetic::Multiply => Outer::Multiply,
            },
            before,
        ),
        _ => return None,
    };
    Some(Operation::Fused { inner, left, right, outer, other })
}
