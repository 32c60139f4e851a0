//! A parsed expression: a flat list of instructions for a stack of values. Jumps are relative, so that a block
//! can be moved as a whole. It holds no names: they are resolved while parsing.

use crate::number::Value;
use smallvec::SmallVec;

/// One step of a program. `at` is the byte offset of its operator or name, for errors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Instruction {
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Imaginary(f64),
    /// A constant that does not fit into an instruction.
    Constant(u32),
    Variable(u32),
    /// A column of the request; only an evaluation of columns has them.
    Column(u32),
    UnknownName {
        at: u32,
    },
    Unary {
        operator: Unary,
        at: u32,
    },
    Binary {
        operator: Binary,
        at: u32,
    },
    /// A binary operator whose right operand is this literal.
    BinaryInteger {
        operator: Binary,
        at: u32,
        value: i64,
    },
    Compare {
        operator: Comparison,
        at: u32,
    },
    /// Compares two values; where that holds it keeps the right one, else it leaves `False` and jumps.
    CompareChain {
        operator: Comparison,
        at: u32,
        jump: u32,
    },
    Not,
    JumpIfFalseOrPop(u32),
    JumpIfTrueOrPop(u32),
    PopJumpIfFalse(u32),
    Jump(u32),
    List(u32),
    Tuple(u32),
    Call {
        function: u16,
        count: u16,
        keywords: u32,
        at: u32,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unary {
    Plus,
    Minus,
    Invert,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Modulo,
    Power,
    ShiftLeft,
    ShiftRight,
    And,
    Or,
    Xor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

impl Unary {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Invert => "~",
        }
    }
}

impl Binary {
    /// The common operators on small integers; nothing where the result may not be small.
    #[inline]
    pub(crate) fn of_small(self, left: i64, right: i64) -> Option<i64> {
        match self {
            Self::Add => left.checked_add(right),
            Self::Subtract => left.checked_sub(right),
            Self::Multiply => left.checked_mul(right),
            _ => None,
        }
    }

    /// As Python's messages spell the operator.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::FloorDivide => "//",
            Self::Modulo => "%",
            Self::Power => "** or pow()",
            Self::ShiftLeft => "<<",
            Self::ShiftRight => ">>",
            Self::And => "&",
            Self::Or => "|",
            Self::Xor => "^",
        }
    }
}

impl Comparison {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
        }
    }
}

/// The names of the keyword arguments of one call, which are its last arguments.
pub(crate) type KeywordNames = SmallVec<[&'static str; 4]>;

#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) code: SmallVec<[Instruction; 24]>,
    pub(crate) constants: Vec<Value>,
    /// `Call::keywords` is an index into this, plus one; zero means none.
    pub(crate) keywords: Vec<KeywordNames>,
}

impl Program {
    /// The keywords of a call, by its number.
    pub(crate) fn keywords(&self, number: u32) -> &[&'static str] {
        let names = number.checked_sub(1).and_then(|index| self.keywords.get(index as usize));
        names.map_or(&[], |names| names)
    }

    pub(crate) fn keywords_mut(&mut self, number: u32) -> Option<&mut KeywordNames> {
        self.keywords.get_mut(number.checked_sub(1)? as usize)
    }
}
