//! That no operator works without its price. The lists are complete, or this file does not compile.

use crate::budget::Budget;
use crate::functions::{functions, price_of};
use crate::number::{self, Integer, Value};
use crate::program::{Binary, Comparison, Unary};
use dashu_int::IBig;

const BINARY: [Binary; 12] = [
    Binary::Add,
    Binary::Subtract,
    Binary::Multiply,
    Binary::Divide,
    Binary::FloorDivide,
    Binary::Modulo,
    Binary::Power,
    Binary::ShiftLeft,
    Binary::ShiftRight,
    Binary::And,
    Binary::Or,
    Binary::Xor,
];
const UNARY: [Unary; 3] = [Unary::Plus, Unary::Minus, Unary::Invert];
const COMPARISON: [Comparison; 6] = [
    Comparison::Less,
    Comparison::LessOrEqual,
    Comparison::Greater,
    Comparison::GreaterOrEqual,
    Comparison::Equal,
    Comparison::NotEqual,
];

/// The place of an operator in its list: a new one needs an arm here, and then its place in the list.
fn place(operator: Binary) -> usize {
    match operator {
        Binary::Add => 0,
        Binary::Subtract => 1,
        Binary::Multiply => 2,
        Binary::Divide => 3,
        Binary::FloorDivide => 4,
        Binary::Modulo => 5,
        Binary::Power => 6,
        Binary::ShiftLeft => 7,
        Binary::ShiftRight => 8,
        Binary::And => 9,
        Binary::Or => 10,
        Binary::Xor => 11,
    }
}

fn place_of_unary(operator: Unary) -> usize {
    match operator {
        Unary::Plus => 0,
        Unary::Minus => 1,
        Unary::Invert => 2,
    }
}

#[test]
fn the_lists_of_operators_are_complete() {
    assert!(BINARY.iter().enumerate().all(|(index, operator)| place(*operator) == index));
    assert!(UNARY.iter().enumerate().all(|(index, operator)| place_of_unary(*operator) == index));
}

/// An odd integer of so many limbs.
fn integer(limbs: usize) -> Value {
    Value::Int(Integer::from((IBig::from(1) << (limbs * 64 - 1)) - IBig::from(3)))
}

fn limbs(value: &Value) -> u64 {
    if let Value::Int(value) = value { value.limbs() } else { 0 }
}

/// The result, if there is one, and the fuel that was spent.
fn spend<T, E>(work: impl FnOnce(&mut Budget) -> Result<T, E>) -> (Option<T>, u64) {
    let mut budget = Budget::full();
    let result = work(&mut budget).ok();
    (result, crate::limits::FULL_FUEL - budget.fuel())
}

#[test]
fn every_operator_pays_for_the_size_of_its_operands_and_result() {
    for operator in BINARY {
        let mut longest = 0;
        for (left, right) in [(2, 2), (40, 2), (300, 300), (900, 2), (900, 890)] {
            let (left, mut right) = (integer(left), integer(right));
            if matches!(operator, Binary::Power | Binary::ShiftLeft | Binary::ShiftRight) {
                right = Value::Int(Integer::from(2));
            }
            let (result, fuel) = spend(|budget| number::binary(operator, &left, &right, budget));
            let Some(result) = result else { continue };
            let size = limbs(&left) + limbs(&right) + limbs(&result);
            assert!(fuel >= size / 3, "{operator:?} of {size} limbs costs {fuel}");
            longest = longest.max(size);
        }
        assert!(longest > 300, "{operator:?} was never tried on long integers");
        let mixed = [(Value::Float(2.5), Value::Float(1.5)), (Value::Complex(1.0, 2.0), Value::Float(0.5))];
        for (left, right) in mixed {
            let (result, fuel) = spend(|budget| number::binary(operator, &left, &right, budget));
            assert!(fuel > 0 || result.is_none(), "{operator:?} of {left:?} costs nothing");
        }
    }
    let operand = integer(900);
    for operator in UNARY {
        let (result, fuel) = spend(|budget| number::unary(operator, &operand, budget));
        assert!(result.is_some() && fuel >= 225, "{operator:?} costs {fuel}");
    }
    for operator in COMPARISON {
        let (result, fuel) = spend(|budget| number::compare(operator, &operand, &operand, budget));
        assert!(result.is_some() && fuel >= 225, "{operator:?} costs {fuel}");
    }
}

#[test]
fn no_function_is_free() {
    for name in functions().map(|function| function.name) {
        assert!(price_of(name) > 0, "{name} costs nothing");
    }
}
