//! What a parser keeps on its stack: operators that wait for their right operand, and open brackets.

use crate::error::Error;
use crate::limits;
use crate::program::{Binary, Comparison, Unary};

/// How tightly an operator binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// An open bracket or condition, which only its own end can close.
    Open,
    Conditional,
    Or,
    And,
    Not,
    Comparison,
    BitOr,
    BitXor,
    BitAnd,
    Shift,
    Sum,
    Product,
    Unary,
    Power,
}

/// What waits for its right operand or its end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pending {
    Paren {
        start: usize,
        role: Paren,
    },
    List {
        items: u32,
        start: usize,
    },
    Call(Call),
    /// `A if C`, until `else`. The code of `A` lies in `value..condition`.
    Condition {
        value: usize,
        condition: usize,
    },
    /// `A if C else B`: the jump over `B`, just before it.
    Otherwise {
        jump: usize,
    },
    Or {
        jump: usize,
    },
    And {
        jump: usize,
    },
    Not,
    /// `last_jump` is the comparison before it in a chain.
    Comparison {
        operator: Comparison,
        at: u32,
        last_jump: Option<usize>,
    },
    Binary {
        operator: Binary,
        at: u32,
    },
    Unary {
        operator: Unary,
        at: u32,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paren {
    Group,
    /// An argument starts here, so a comma makes a tuple.
    Argument,
    Tuple {
        items: u32,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) function: u16,
    pub(super) at: u32,
    pub(super) count: u32,
    /// How many arguments came before the first keyword.
    pub(super) positional: u32,
    /// Where the code of the present argument begins.
    pub(super) start: usize,
    /// The place of its keywords in the program, plus one; zero while it has none.
    pub(super) keywords: u32,
    pub(super) keyword_count: u32,
}

pub(super) fn level_of(operator: Binary) -> Level {
    match operator {
        Binary::Or => Level::BitOr,
        Binary::Xor => Level::BitXor,
        Binary::And => Level::BitAnd,
        Binary::ShiftLeft | Binary::ShiftRight => Level::Shift,
        Binary::Add | Binary::Subtract => Level::Sum,
        Binary::Multiply | Binary::Divide | Binary::FloorDivide | Binary::Modulo => Level::Product,
        Binary::Power => Level::Power,
    }
}

impl Pending {
    #[inline]
    pub(super) fn level(&self) -> Level {
        match self {
            Self::Paren { .. } | Self::List { .. } | Self::Call(_) | Self::Condition { .. } => Level::Open,
            Self::Otherwise { .. } => Level::Conditional,
            Self::Or { .. } => Level::Or,
            Self::And { .. } => Level::And,
            Self::Not => Level::Not,
            Self::Comparison { .. } => Level::Comparison,
            Self::Binary { operator, .. } => level_of(*operator),
            Self::Unary { .. } => Level::Unary,
        }
    }

    /// Whether it counts towards the depth: what Python's grammar nests rather than repeats.
    pub(super) fn is_nesting(&self) -> bool {
        match self {
            Self::Or { .. } | Self::And { .. } | Self::Comparison { .. } => false,
            Self::Binary { operator, .. } => *operator == Binary::Power,
            Self::Paren { .. }
            | Self::List { .. }
            | Self::Call(_)
            | Self::Condition { .. }
            | Self::Otherwise { .. }
            | Self::Not
            | Self::Unary { .. } => true,
        }
    }
}

impl Call {
    /// Counts the argument that ends here. Positional arguments may not follow keyword arguments.
    pub(super) fn end_argument(&mut self, next_start: usize) -> Result<(), Error> {
        self.count = self.count.saturating_add(1);
        self.start = next_start;
        if !self.has_all_values() {
            return Err(Error::syntax());
        }
        within_items(self.count)
    }

    /// Whether each keyword has its value, and nothing else came after the first keyword.
    pub(super) fn has_all_values(&self) -> bool {
        self.keyword_count == 0 || self.keyword_count.saturating_add(self.positional) == self.count
    }
}

pub(super) fn within_items(count: u32) -> Result<(), Error> {
    if count as usize > limits::ITEMS {
        return Err(Error::limit("MemoryError", "a list or call has more than 16384 items"));
    }
    Ok(())
}
