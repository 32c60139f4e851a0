//! The operations on columns, each with its price in fuel for one element. The list is closed.

use crate::price::column as price;
use crate::program::Comparison;

/// Where an operation takes its elements from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Source {
    /// A column of the request.
    Column(u32),
    /// The result of an earlier operation: first its place among them, in the end its register.
    Result(u32),
    /// The same for every row.
    Constant(f64),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Operation {
    Unary {
        operator: Unary,
        operand: Source,
    },
    Binary {
        operator: Binary,
        left: Source,
        right: Source,
    },
    /// Two operations in one pass: `inner` of `left` and `right`, then `outer` of that and `other`. Each rounds.
    Fused {
        inner: Arithmetic,
        left: Source,
        right: Source,
        outer: Outer,
        other: Source,
    },
    /// `yes` where `condition` is not zero, else `no`.
    Select {
        condition: Source,
        yes: Source,
        no: Source,
    },
}

/// An operation on one element.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unary {
    /// The element as it is, where the result is no operation of its own.
    Same,
    Negate,
    Absolute,
    SquareRoot,
    /// 1.0 for zero, else 0.0.
    Not,
    /// 0.0 for zero, else 1.0.
    Truth,
    IsNan,
    IsInfinite,
    IsFinite,
    Floor,
    Ceiling,
    Truncate,
    RoundHalfEven,
    /// A function of the mathematical library.
    Function {
        function: fn(f64) -> f64,
        cost: u64,
    },
}

/// An operation on two elements.
#[derive(Debug, Clone, Copy)]
pub(super) enum Binary {
    Arithmetic(Arithmetic),
    Divide,
    FloorDivide,
    Modulo,
    /// C's `fmod`.
    Fmod,
    /// IEEE 754's remainder.
    Remainder,
    Minimum,
    Maximum,
    CopySign,
    /// Of two truth values.
    ExclusiveOr,
    Compare(Comparison),
    /// A function of the mathematical library.
    Function {
        function: fn(f64, f64) -> f64,
        cost: u64,
    },
}

/// What takes the processor less time than to load and store the elements.
#[derive(Debug, Clone, Copy)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
}

/// What a second operation does with the result of the first one and another operand.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outer {
    Add,
    /// The result less the other operand.
    Subtract,
    /// The other operand less the result.
    SubtractFrom,
    Multiply,
}

impl Arithmetic {
    fn cost(self) -> u64 {
        match self {
            Self::Add | Self::Subtract => price::QUICK,
            Self::Multiply => price::MULTIPLY,
        }
    }
}

impl Outer {
    fn cost(self) -> u64 {
        match self {
            Self::Add | Self::Subtract | Self::SubtractFrom => price::QUICK,
            Self::Multiply => price::MULTIPLY,
        }
    }
}

impl Operation {
    /// Fuel for each element; for a remainder [`super::modulo`] charges what the elements themselves add.
    pub(super) fn cost(&self) -> u64 {
        match self {
            Self::Unary { operator, .. } => match operator {
                Unary::Same => 0,
                Unary::Negate
                | Unary::Absolute
                | Unary::Not
                | Unary::Truth
                | Unary::IsNan
                | Unary::IsInfinite
                | Unary::IsFinite => price::QUICK,
                Unary::SquareRoot => price::DIVIDE,
                Unary::Floor | Unary::Ceiling | Unary::Truncate | Unary::RoundHalfEven => price::ROUND,
                Unary::Function { cost, .. } => *cost,
            },
            Self::Binary { operator, .. } => match operator {
                Binary::Arithmetic(operator) => operator.cost(),
                Binary::Minimum
                | Binary::Maximum
                | Binary::CopySign
                | Binary::ExclusiveOr
                | Binary::Compare(_) => price::QUICK,
                Binary::Divide => price::DIVIDE,
                Binary::FloorDivide | Binary::Modulo => price::FLOOR_DIVIDE,
                Binary::Fmod => price::FMOD,
                Binary::Remainder => price::REMAINDER,
                Binary::Function { cost, .. } => *cost,
            },
            Self::Fused { inner, outer, .. } => inner.cost().saturating_add(outer.cost()),
            Self::Select { .. } => price::QUICK,
        }
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = Source> {
        match *self {
            Self::Unary { operand, .. } => [Some(operand), None, None],
            Self::Binary { left, right, .. } => [Some(left), Some(right), None],
            Self::Fused { left, right, other, .. } => [Some(left), Some(right), Some(other)],
            Self::Select { condition, yes, no } => [Some(condition), Some(yes), Some(no)],
        }
        .into_iter()
        .flatten()
    }

    /// The same operation with each source replaced.
    pub(super) fn map_sources(self, map: impl Fn(Source) -> Source) -> Self {
        match self {
            Self::Unary { operator, operand } => Self::Unary { operator, operand: map(operand) },
            Self::Binary { operator, left, right } => {
                Self::Binary { operator, left: map(left), right: map(right) }
            }
            Self::Fused { inner, left, right, outer, other } => {
                Self::Fused { inner, left: map(left), right: map(right), outer, other: map(other) }
            }
            Self::Select { condition, yes, no } => {
                Self::Select { condition: map(condition), yes: map(yes), no: map(no) }
            }
        }
    }
}

/// The place of an operation among the others, which is no more than the length of the text.
pub(super) fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
