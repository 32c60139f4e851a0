//! Every bound of the evaluator, each a named constant. Past one of them an expression is refused; nothing is
//! cut short or rounded instead.

/// The longest expression, in bytes.
pub const TEXT_BYTES: usize = 64 * 1024;

/// The deepest nesting: parentheses, calls, brackets, unary operators, `not`, `**` and conditional expressions
/// that wait for their operand at once. `CPython` has the same limit for parentheses.
pub const DEPTH: usize = 200;

/// The most decimal digits of an integer literal, of an integer read from JSON and of one written, as in `CPython`.
pub const DECIMAL_DIGITS: usize = 4_300;

/// The most bits of the absolute value of any integer, decided before the operation that would make it.
pub const INTEGER_BITS: u64 = 1 << 17;

/// The most items of one list or tuple, and the most arguments of one call.
pub const ITEMS: usize = 16_384;

/// The most bytes that the big integers of one evaluation may hold at once.
pub const LIVE_BYTES: u64 = 16 * 1024 * 1024;

/// The most variables of one request.
pub const VARIABLES: usize = 1_024;

/// The longest name of a variable, in bytes.
pub const NAME_BYTES: usize = 128;

/// The most columns of one request.
pub const COLUMNS: usize = 64;

/// The most rows of a column, and so of a result of columns.
pub const ROWS: usize = 1 << 22;

/// The most bytes of all columns of one request together; the result has at most those of one column.
pub const COLUMN_BYTES: usize = 256 * 1024 * 1024;

/// The most intermediate columns that an expression may need at once. A block of 512 rows of each is in memory.
pub const COLUMN_REGISTERS: usize = 256;

/// The fuel of a whole evaluation. A unit pays for at most a nanosecond; `src/price.rs` says what costs how much.
pub const FULL_FUEL: u64 = 50_000_000;

/// The fuel of an evaluation of columns, which may spend no more than [`FULL_FUEL`] of it on parsing and scalars.
pub const COLUMN_FUEL: u64 = 1_000_000_000;

/// The fuel that a network loop may spend in place: at most 100 µs, also where it ends with too little.
pub const SMALL_FUEL: u64 = 50_000;
