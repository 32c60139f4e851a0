//! Turns a program for one row into a plan for columns. What no column enters is computed here and now, exactly; the
//! rest becomes operations on registers. Both sides of a choice that depends on a column are planned. It refuses what
//! has no meaning element by element.

use super::elementwise::{self, Elementwise, NATURAL_LOGARITHM, POWER};
use super::fuse::fuse;
use super::operation::{Arithmetic, Binary, Operation, Source, Unary, place};
use super::registers::{Plan, allocate};
use crate::budget::Budget;
use crate::error::Error;
use crate::functions::{self, Arguments};
use crate::number::{self, Integer, Value};
use crate::price;
use crate::program::{self, Instruction, Program};
use crate::variables::Variables;

/// A value while planning: known now, or known for each row.
#[derive(Debug, Clone)]
enum Operand {
    Scalar(Value),
    Column(Column),
}

impl Operand {
    /// What to compute with row by row.
    fn column(&self) -> Result<Column, Error> {
        let value = match self {
            Self::Column(column) => return Ok(*column),
            Self::Scalar(value) => value,
        };
        let Some(constant) = value.as_float() else {
            let name = value.type_name();
            return Err(Error::type_error(format!("a column holds floats, and cannot meet '{name}'")));
        };
        Ok(Column { source: Source::Constant(constant?), is_truth: matches!(value, Value::Bool(_)) })
    }
}

#[derive(Debug, Clone, Copy)]
struct Column {
    source: Source,
    /// Holds only 1.0 and 0.0, as comparisons do, so that `&`, `|`, `^` and `~` have a meaning.
    is_truth: bool,
}

/// A choice that depends on a column, until its other side is planned.
enum Choice {
    /// `A or B`, `A and B`, and comparisons in a chain: at `landing`, `B` is on the stack.
    Either { landing: usize, first: Column, keep: Keep },
    /// `A if C else B`, while `A` is planned; the code of `B` begins at `otherwise`.
    Condition { otherwise: usize, condition: Column },
    /// The same while `B` is planned.
    Otherwise { landing: usize, condition: Column, yes: Operand },
}

/// For which elements the first operand of `and` or `or` is the value.
#[derive(Clone, Copy)]
enum Keep {
    False,
    True,
}

pub(super) fn plan(program: &Program, scalars: &Variables, budget: &mut Budget) -> Result<Plan, Error> {
    let mut planner =
        Planner { program, scalars, budget, stack: Vec::new(), choices: Vec::new(), operations: Vec::new() };
    let result = planner.run()?;
    let (operations, result) = fuse(&planner.operations, result);
    allocate(operations, result)
}

struct Planner<'a> {
    program: &'a Program,
    scalars: &'a Variables,
    budget: &'a mut Budget,
    stack: Vec<Operand>,
    choices: Vec<Choice>,
    operations: Vec<Operation>,
}

impl Planner<'_> {
    fn run(&mut self) -> Result<Source, Error> {
        let mut counter = 0_usize;
        loop {
            self.land(counter)?;
            let Some(instruction) = self.program.code.get(counter) else { break };
            counter = counter.saturating_add(1);
            self.budget.spend(price::INSTRUCTION)?;
            let jump = self.instruction(instruction, counter)?;
            counter = counter.saturating_add(jump as usize);
        }
        let result = self.pop()?;
        result.column().map(|column| column.source)
    }

    /// Plans one instruction; the result is how far to jump from `next`, the place of the one behind it.
    fn instruction(&mut self, instruction: &Instruction, next: usize) -> Result<u32, Error> {
        match *instruction {
            Instruction::Integer(value) => self.push_scalar(Value::Int(Integer::from(value)))?,
            Instruction::Float(value) => self.push_scalar(Value::Float(value))?,
            Instruction::Boolean(value) => self.push_scalar(Value::Bool(value))?,
            Instruction::Imaginary(value) => self.push_scalar(Value::Complex(0.0, value))?,
            Instruction::Constant(index) => {
                let value = self.program.constants.get(index as usize).ok_or_else(Error::broken)?;
                self.push_scalar(value.clone())?;
            }
            Instruction::Variable(index) => {
                let value = self.scalars.value(index).ok_or_else(Error::broken)?;
                self.push_scalar(value.clone())?;
            }
            Instruction::Column(index) => {
                let column = Column { source: Source::Column(index), is_truth: false };
                self.stack.push(Operand::Column(column));
            }
            Instruction::UnknownName { at } => return Err(Error::name().at(at)),
            Instruction::Unary { operator, at } => self.unary(operator).map_err(|error| error.at(at))?,
            Instruction::Binary { operator, at } => self.binary(operator).map_err(|error| error.at(at))?,
            Instruction::BinaryInteger { operator, at, value } => {
                self.push_scalar(Value::Int(Integer::from(value)))?;
                self.binary(operator).map_err(|error| error.at(at))?;
            }
            Instruction::Compare { operator, at } => {
                let (right, left) = (self.pop()?, self.pop()?);
                let holds = self.compare(operator, &left, &right).map_err(|error| error.at(at))?;
                self.push(holds)?;
            }
            Instruction::CompareChain { operator, at, jump } => {
                let (right, left) = (self.pop()?, self.pop()?);
                match self.compare(operator, &left, &right).map_err(|error| error.at(at))? {
                    Operand::Scalar(holds) if holds.is_true() => self.push(right)?,
                    Operand::Scalar(holds) => {
                        self.push_scalar(holds)?;
                        return Ok(jump);
                    }
                    Operand::Column(first) => {
                        self.choices.push(Choice::Either {
                            landing: landing(next, jump),
                            first,
                            keep: Keep::False,
                        });
                        self.push(right)?;
                    }
                }
            }
            Instruction::Not => {
                let operand = self.pop()?;
                let value = match operand {
                    Operand::Scalar(value) => Operand::Scalar(Value::Bool(!value.is_true())),
                    Operand::Column(column) => self.apply(Unary::Not, column.source, true),
                };
                self.push(value)?;
            }
            Instruction::JumpIfFalseOrPop(jump) => return self.either(Keep::False, jump, next),
            Instruction::JumpIfTrueOrPop(jump) => return self.either(Keep::True, jump, next),
            Instruction::PopJumpIfFalse(jump) => match self.pop()? {
                Operand::Scalar(value) => return Ok(if value.is_true() { 0 } else { jump }),
                Operand::Column(condition) => {
                    self.choices.push(Choice::Condition { otherwise: landing(next, jump), condition });
                }
            },
            Instruction::Jump(jump) => return self.jump(jump, next),
            Instruction::List(count) => self.sequence(count, Value::List)?,
            Instruction::Tuple(count) => self.sequence(count, Value::Tuple)?,
            Instruction::Call { function, count, keywords, at } => {
                let names = self.program.keywords(keywords);
                self.call(function, count, names).map_err(|error| error.at(at))?;
            }
        }
        Ok(0)
    }

    fn push(&mut self, operand: Operand) -> Result<(), Error> {
        if let Operand::Scalar(value) = &operand
            && let Some(bytes) = value.heap_bytes()
        {
            self.budget.hold(bytes)?;
        }
        self.stack.push(operand);
        Ok(())
    }

    fn push_scalar(&mut self, value: Value) -> Result<(), Error> {
        self.push(Operand::Scalar(value))
    }

    fn pop(&mut self) -> Result<Operand, Error> {
        let operand = self.stack.pop().ok_or_else(Error::broken)?;
        if let Operand::Scalar(value) = &operand
            && let Some(bytes) = value.heap_bytes()
        {
            self.budget.release(bytes);
        }
        Ok(operand)
    }

    fn add(&mut self, operation: Operation, is_truth: bool) -> Operand {
        let place = place(self.operations.len());
        self.operations.push(operation);
        Operand::Column(Column { source: Source::Result(place), is_truth })
    }

    fn apply(&mut self, operator: Unary, operand: Source, is_truth: bool) -> Operand {
        self.add(Operation::Unary { operator, operand }, is_truth)
    }

    fn combine(&mut self, operator: Binary, left: Source, right: Source) -> Operand {
        self.add(Operation::Binary { operator, left, right }, false)
    }

    fn select(&mut self, condition: Column, yes: Column, no: Column) -> Operand {
        let operation = Operation::Select { condition: condition.source, yes: yes.source, no: no.source };
        self.add(operation, yes.is_truth && no.is_truth)
    }

    fn unary(&mut self, operator: program::Unary) -> Result<(), Error> {
        let operand = self.pop()?;
        let value = match &operand {
            Operand::Scalar(value) => Operand::Scalar(number::unary(operator, value, self.budget)?),
            Operand::Column(column) => match operator {
                program::Unary::Plus => Operand::Column(Column { is_truth: false, ..*column }),
                program::Unary::Minus => self.apply(Unary::Negate, column.source, false),
                program::Unary::Invert if column.is_truth => self.apply(Unary::Not, column.source, true),
                program::Unary::Invert => {
                    return Err(Error::type_error("bad operand type for unary ~: 'float'"));
                }
            },
        };
        self.push(value)
    }

    fn binary(&mut self, operator: program::Binary) -> Result<(), Error> {
        let (right, left) = (self.pop()?, self.pop()?);
        let value = if let (Operand::Scalar(left), Operand::Scalar(right)) = (&left, &right) {
            Operand::Scalar(number::binary(operator, left, right, self.budget)?)
        } else {
            let (left, right) = (left.column()?, right.column()?);
            self.binary_of_columns(operator, left, right)?
        };
        self.push(value)
    }

    fn binary_of_columns(
        &mut self,
        operator: program::Binary,
        left: Column,
        right: Column,
    ) -> Result<Operand, Error> {
        let are_truths = left.is_truth && right.is_truth;
        let operator = match operator {
            program::Binary::Add => Binary::Arithmetic(Arithmetic::Add),
            program::Binary::Subtract => Binary::Arithmetic(Arithmetic::Subtract),
            program::Binary::Multiply => MULTIPLY,
            program::Binary::Divide => Binary::Divide,
            program::Binary::FloorDivide => Binary::FloorDivide,
            program::Binary::Modulo => Binary::Modulo,
            program::Binary::Power => return Ok(self.power(left.source, right.source)),
            program::Binary::And if are_truths => return Ok(self.select(left, right, left)),
            program::Binary::Or if are_truths => return Ok(self.select(left, left, right)),
            program::Binary::Xor if are_truths => {
                let (left, right) = (left.source, right.source);
                return Ok(self.add(Operation::Binary { operator: Binary::ExclusiveOr, left, right }, true));
            }
            program::Binary::ShiftLeft
            | program::Binary::ShiftRight
            | program::Binary::And
            | program::Binary::Or
            | program::Binary::Xor => {
                let symbol = operator.symbol();
                return Err(Error::type_error(format!(
                    "unsupported operand type(s) for {symbol}: 'float' and 'float'"
                )));
            }
        };
        Ok(self.combine(operator, left.source, right.source))
    }

    /// `NumPy` computes these powers without the library's `pow`, and so gets other last bits for some.
    fn power(&mut self, base: Source, exponent: Source) -> Operand {
        match exponent {
            Source::Constant(0.0) => Operand::Scalar(Value::Float(1.0)),
            Source::Constant(1.0) => Operand::Column(Column { source: base, is_truth: false }),
            Source::Constant(2.0) => self.combine(MULTIPLY, base, base),
            Source::Constant(0.5) => self.apply(Unary::SquareRoot, base, false),
            Source::Constant(-1.0) => self.combine(Binary::Divide, Source::Constant(1.0), base),
            _ => self.combine(POWER, base, exponent),
        }
    }

    fn compare(
        &mut self,
        operator: program::Comparison,
        left: &Operand,
        right: &Operand,
    ) -> Result<Operand, Error> {
        if let (Operand::Scalar(left), Operand::Scalar(right)) = (left, right) {
            let holds = number::compare(operator, left, right, self.budget);
            return holds.map(|holds| Operand::Scalar(Value::Bool(holds)));
        }
        let (left, right) = (left.column()?.source, right.column()?.source);
        Ok(self.add(Operation::Binary { operator: Binary::Compare(operator), left, right }, true))
    }

    fn either(&mut self, keep: Keep, jump: u32, next: usize) -> Result<u32, Error> {
        match self.pop()? {
            Operand::Scalar(value) => {
                if value.is_true() == matches!(keep, Keep::True) {
                    self.push_scalar(value)?;
                    return Ok(jump);
                }
            }
            Operand::Column(first) => {
                self.choices.push(Choice::Either { landing: landing(next, jump), first, keep });
            }
        }
        Ok(0)
    }

    /// The jump from `A` over `B` in `A if C else B`, which is not taken when `C` is a column.
    fn jump(&mut self, jump: u32, next: usize) -> Result<u32, Error> {
        match self.choices.last() {
            Some(Choice::Condition { otherwise, condition }) if *otherwise == next => {
                let condition = *condition;
                self.choices.pop();
                let yes = self.pop()?;
                self.choices.push(Choice::Otherwise { landing: landing(next, jump), condition, yes });
                Ok(0)
            }
            _ => Ok(jump),
        }
    }

    /// Completes the choices whose sides have both been planned when `place` is reached.
    fn land(&mut self, place: usize) -> Result<(), Error> {
        loop {
            let value = match self.choices.last() {
                Some(Choice::Either { landing, first, keep }) if *landing == place => {
                    let (first, keep) = (*first, *keep);
                    let second = self.pop()?;
                    let second = second.column()?;
                    match keep {
                        Keep::False => self.select(first, second, first),
                        Keep::True => self.select(first, first, second),
                    }
                }
                Some(Choice::Otherwise { landing, condition, yes }) if *landing == place => {
                    let (condition, yes) = (*condition, yes.column()?);
                    let no = self.pop()?;
                    let no = no.column()?;
                    self.select(condition, yes, no)
                }
                _ => return Ok(()),
            };
            self.choices.pop();
            self.push(value)?;
        }
    }

    /// Takes operands off the stack if all are scalars.
    fn take_scalars(&mut self, count: usize) -> Result<Option<Vec<Value>>, Error> {
        self.budget.spend((count as u64).saturating_mul(price::INSTRUCTION))?;
        let start = self.stack.len().checked_sub(count).ok_or_else(Error::broken)?;
        if self.stack.iter().skip(start).any(|operand| matches!(operand, Operand::Column(_))) {
            return Ok(None);
        }
        let operands = self.stack.drain(start..);
        let values = operands.filter_map(|operand| match operand {
            Operand::Scalar(value) => Some(value),
            Operand::Column(_) => None,
        });
        Ok(Some(values.collect()))
    }

    fn release(&mut self, values: &[Value]) {
        for bytes in values.iter().filter_map(Value::heap_bytes) {
            self.budget.release(bytes);
        }
    }

    fn sequence(&mut self, count: u32, make: fn(Box<[Value]>) -> Value) -> Result<(), Error> {
        let Some(items) = self.take_scalars(count as usize)? else {
            return Err(Error::type_error("a column cannot be an item of a list or tuple"));
        };
        if items.iter().any(|item| matches!(item, Value::List(_) | Value::Tuple(_))) {
            return Err(Error::type_error("a list or tuple may not hold another"));
        }
        self.release(&items);
        self.push_scalar(make(items.into_boxed_slice()))
    }

    fn call(&mut self, function: u16, count: u16, names: &[&'static str]) -> Result<(), Error> {
        if let Some(values) = self.take_scalars(usize::from(count))? {
            let value = functions::call(function, Arguments::new(&values, names), self.budget)?;
            self.release(&values);
            return self.push_scalar(value);
        }
        let start = self.stack.len().saturating_sub(usize::from(count));
        let arguments: Vec<Operand> = self.stack.drain(start..).collect();
        let name = functions::full_name(function);
        let Some(meaning) = elementwise::find(name) else {
            return Err(Error::type_error(format!("{name}() has no meaning for the elements of a column")));
        };
        let value = self.call_of_columns(name, meaning, &arguments, names)?;
        self.push(value)
    }

    fn call_of_columns(
        &mut self,
        name: &str,
        meaning: Elementwise,
        arguments: &[Operand],
        names: &[&'static str],
    ) -> Result<Operand, Error> {
        let is_named_round = matches!(meaning, Elementwise::Round) && names == ["ndigits"];
        if !names.is_empty() && !is_named_round {
            return Err(Error::type_error(format!("{name}() takes no keyword arguments with columns")));
        }
        if let (Elementwise::Round, [number, digits]) = (meaning, arguments) {
            let number = number.column()?.source;
            return self.round(number, digits);
        }
        let columns = arguments.iter().map(Operand::column);
        let sources: Vec<Source> =
            columns.map(|column| column.map(|column| column.source)).collect::<Result<_, _>>()?;
        match (meaning, sources.as_slice()) {
            (Elementwise::Same, [source]) => Ok(Operand::Column(Column { source: *source, is_truth: false })),
            (Elementwise::Unary(operator), [operand]) => {
                let is_truth =
                    matches!(operator, Unary::Truth | Unary::IsNan | Unary::IsInfinite | Unary::IsFinite);
                Ok(self.apply(operator, *operand, is_truth))
            }
            (Elementwise::Binary(operator), [left, right]) => Ok(self.combine(operator, *left, *right)),
            (Elementwise::Fold(operator), [first, second, rest @ ..]) => {
                let mut value = self.combine(operator, *first, *second);
                for source in rest {
                    let left = value.column()?.source;
                    value = self.combine(operator, left, *source);
                }
                Ok(value)
            }
            (Elementwise::Fold(_), _) => Err(Error::type_error(format!(
                "{name}() of one column is no element; give it two or more arguments"
            ))),
            (Elementwise::Power, [base, exponent]) => Ok(self.power(*base, *exponent)),
            (Elementwise::Logarithm, [operand]) => Ok(self.apply(NATURAL_LOGARITHM, *operand, false)),
            (Elementwise::Logarithm, [operand, base]) => {
                let dividend = self.apply(NATURAL_LOGARITHM, *operand, false);
                let divisor = self.apply(NATURAL_LOGARITHM, *base, false);
                let (dividend, divisor) = (dividend.column()?, divisor.column()?);
                Ok(self.combine(Binary::Divide, dividend.source, divisor.source))
            }
            (Elementwise::Round, [operand]) => Ok(self.apply(Unary::RoundHalfEven, *operand, false)),
            _ => {
                let count = arguments.len();
                Err(Error::type_error(format!("{name}() does not take {count} arguments with columns")))
            }
        }
    }

    /// As `numpy.round`: scaled by a power of ten, rounded half to even, and scaled back.
    fn round(&mut self, number: Source, digits: &Operand) -> Result<Operand, Error> {
        let Operand::Scalar(Value::Int(digits)) = digits else {
            return Err(Error::type_error("ndigits must be an integer that is the same for every row"));
        };
        let digits = digits.to_i64().and_then(|digits| i32::try_from(digits).ok());
        let Some(digits) = digits.filter(|digits| digits.unsigned_abs() <= MOST_DIGITS) else {
            return Err(Error::value_error("ndigits is too large"));
        };
        let scale = Source::Constant(10.0_f64.powi(digits.abs()));
        let (before, after) =
            if digits < 0 { (Binary::Divide, MULTIPLY) } else { (MULTIPLY, Binary::Divide) };
        let scaled = self.combine(before, number, scale);
        let scaled = scaled.column()?.source;
        let rounded = self.apply(Unary::RoundHalfEven, scaled, false);
        let rounded = rounded.column()?.source;
        Ok(self.combine(after, rounded, scale))
    }
}

const MULTIPLY: Binary = Binary::Arithmetic(Arithmetic::Multiply);

/// Powers of ten up to this one are exact floats.
const MOST_DIGITS: u32 = 22;

fn landing(next: usize, jump: u32) -> usize {
    next.saturating_add(jump as usize)
}
