//! Turns tokens into a program by operator precedence, with a stack of its own instead of recursion, so that no
//! text can exhaust the thread's stack. It computes nothing but sums, differences and products of small integer
//! literals, which cannot fail. Lists and tuples are refused except as arguments.

mod names;
mod pending;
mod stack;

use crate::budget::Budget;
use crate::error::Error;
use crate::functions;
use crate::lex::{Lexer, Token};
use crate::limits;
use crate::number::{Integer, Value};
use crate::price;
use crate::program::{Binary, Comparison, Instruction, KeywordNames, Program, Unary};
pub(crate) use names::Names;
use pending::{Call, Level, Paren, Pending, level_of, within_items};
use stack::Stack;

struct Parser<'a> {
    lexer: Lexer<'a>,
    program: &'a mut Program,
    pending: Stack<Pending, 8>,
    depth: usize,
    /// The place to which a jump led last; code never grows shorter, so an earlier one does not matter.
    landing: usize,
    names: Names<'a>,
    /// A name that starts with an underscore is refused even where it would never be evaluated.
    first_private_name: Option<u32>,
    /// The keywords that no function has, each with the number of its call and its place.
    unknown_keywords: Vec<(u32, &'a str, u32)>,
}

/// Parses into an empty program, which the caller keeps where it is: it is large.
pub(crate) fn parse<'a>(
    text: &'a str,
    names: Names<'a>,
    budget: &'a mut Budget,
    program: &'a mut Program,
) -> Result<(), Error> {
    budget.start();
    if text.len() > limits::TEXT_BYTES {
        return Err(Error::limit("MemoryError", "the expression is longer than 65536 bytes"));
    }
    budget.spend((text.len() as u64).saturating_mul(price::BYTE).saturating_add(price::EXPRESSION))?;
    let mut parser = Parser {
        lexer: Lexer::new(text, budget),
        program,
        pending: Stack::new(Pending::Not),
        depth: 0,
        landing: 0,
        names,
        first_private_name: None,
        unknown_keywords: Vec::new(),
    };
    match parser.expression() {
        Ok(()) => {}
        Err(error) => return Err(error.at(parser.lexer.at).in_text(text)),
    }
    if !parser.unknown_keywords.is_empty() {
        check_repetition(&mut parser.unknown_keywords).map_err(|error| error.in_text(text))?;
    }
    match parser.first_private_name {
        Some(at) => Err(Error::name().at(at).in_text(text)),
        None => Ok(()),
    }
}

/// Refuses a keyword that is repeated in its call, even where no function has it. They are sorted, because there may be
/// very many of them.
fn check_repetition(keywords: &mut [(u32, &str, u32)]) -> Result<(), Error> {
    keywords.sort_unstable();
    let repeated = keywords.windows(2).filter_map(|pair| match pair {
        [(call, word, _), (next_call, next_word, at)] if call == next_call && word == next_word => Some(*at),
        _ => None,
    });
    repeated.min().map_or(Ok(()), |at| Err(Error::syntax().at(at)))
}

impl<'a> Parser<'a> {
    #[inline]
    fn advance(&mut self) -> Result<(), Error> {
        self.lexer.next()
    }

    fn code_length(&self) -> usize {
        self.program.code.len()
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn emit(&mut self, instruction: Instruction) {
        self.program.code.push(instruction);
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn push(&mut self, pending: Pending) -> Result<(), Error> {
        if pending.is_nesting() {
            self.depth = self.depth.wrapping_add(1);
            if self.depth > limits::DEPTH {
                return Err(match pending {
                    Pending::Paren { .. } | Pending::List { .. } | Pending::Call(_) => Error::syntax(),
                    _ => Error::limit("RecursionError", "the expression is nested more than 200 levels deep"),
                });
            }
        }
        self.pending.push(pending);
        Ok(())
    }

    #[inline]
    fn pop(&mut self) -> Option<Pending> {
        let pending = self.pending.pop()?;
        if pending.is_nesting() {
            self.depth = self.depth.wrapping_sub(1);
        }
        Some(pending)
    }

    fn expression(&mut self) -> Result<(), Error> {
        self.advance()?;
        loop {
            self.operand()?;
            if self.operators()? {
                return Ok(());
            }
        }
    }

    /// Reads up to the end of one operand, leaving the open brackets and prefix operators before it pending.
    fn operand(&mut self) -> Result<(), Error> {
        loop {
            let at = self.lexer.at;
            match self.lexer.token {
                Token::Integer(value) => {
                    self.emit(Instruction::Integer(value));
                    return self.advance();
                }
                Token::Float(value) => {
                    self.emit(Instruction::Float(value));
                    return self.advance();
                }
                Token::Imaginary(value) => {
                    self.emit(Instruction::Imaginary(value));
                    return self.advance();
                }
                Token::Digits { digits, radix } => {
                    let value = Integer::from_digits(digits, radix)?;
                    match value.to_i64() {
                        Some(small) => self.emit(Instruction::Integer(small)),
                        None => self.constant(Value::Int(value)),
                    }
                    return self.advance();
                }
                Token::Operator(Binary::Subtract) => {
                    self.push(Pending::Unary { operator: Unary::Minus, at })?;
                }
                Token::Operator(Binary::Add) => self.push(Pending::Unary { operator: Unary::Plus, at })?,
                Token::Tilde => self.push(Pending::Unary { operator: Unary::Invert, at })?,
                Token::Not => {
                    if self.pending.last().is_some_and(|pending| pending.level() > Level::Not) {
                        return Err(Error::syntax());
                    }
                    self.push(Pending::Not)?;
                }
                Token::Open => {
                    let role = if self.is_argument_start() { Paren::Argument } else { Paren::Group };
                    let start = self.code_length();
                    self.open(Pending::Paren { start, role })?;
                }
                Token::OpenBracket => {
                    if !self.is_argument_start() {
                        return Err(Error::syntax());
                    }
                    let start = self.code_length();
                    self.open(Pending::List { items: 0, start })?;
                }
                Token::Word(word) => {
                    if self.word(word)? {
                        return Ok(());
                    }
                    continue;
                }
                Token::Close | Token::CloseBracket => return self.close_without_operand(),
                _ => return Err(Error::syntax()),
            }
            self.advance()?;
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn open(&mut self, pending: Pending) -> Result<(), Error> {
        self.push(pending)?;
        self.lexer.brackets = self.lexer.brackets.wrapping_add(1);
        Ok(())
    }

    fn constant(&mut self, value: Value) {
        let index = u32::try_from(self.program.constants.len()).unwrap_or(u32::MAX);
        self.program.constants.push(value);
        self.emit(Instruction::Constant(index));
    }

    /// Whether the next operand is a whole argument as far as is read, so that it may be a list or tuple.
    fn is_argument_start(&self) -> bool {
        matches!(self.pending.last(), Some(Pending::Call(_) | Pending::Paren { role: Paren::Argument, .. }))
    }

    /// Reads a name: a constant or variable (then the operand is complete), the start of a call, or the name of a
    /// keyword argument (then an operand follows).
    fn word(&mut self, word: &'a str) -> Result<bool, Error> {
        let at = self.lexer.at;
        self.lexer.budget.spend(self.names.price())?;
        if word.starts_with('_') && self.first_private_name.is_none() {
            self.first_private_name = Some(at);
        }
        self.advance()?;
        if self.lexer.token == Token::Assign {
            self.keyword(word)?;
            self.advance()?;
            return Ok(false);
        }
        let mut module = None;
        let mut name = word;
        if self.lexer.token == Token::Dot {
            module = functions::module(word);
            self.advance()?;
            let Token::Word(member) = self.lexer.token else {
                return Err(Error::syntax());
            };
            if module.is_none() {
                return Err(Error::syntax());
            }
            name = member;
            self.advance()?;
        }
        if self.lexer.token == Token::Open {
            let Some(function) = functions::find(module, name) else {
                // The call of an unknown name: parsed to its end, for syntax errors come first.
                if module.is_some() {
                    return Err(Error::syntax().at(at));
                }
                return self.begin_call(functions::UNKNOWN, at);
            };
            return self.begin_call(function, at);
        }
        let instruction = match (module, self.names.find(name)) {
            (None, Some(instruction)) => instruction,
            _ => match functions::constant(module, name) {
                Some(instruction) => instruction,
                None if module.is_some() && functions::find(module, name).is_none() => {
                    return Err(Error::syntax().at(at));
                }
                None => Instruction::UnknownName { at },
            },
        };
        self.emit(instruction);
        Ok(true)
    }

    fn begin_call(&mut self, function: u16, at: u32) -> Result<bool, Error> {
        if function == functions::UNKNOWN {
            // Python looks the name up before it computes the arguments.
            self.emit(Instruction::UnknownName { at });
        }
        let start = self.code_length();
        let call = Call { function, at, count: 0, positional: 0, start, keywords: 0, keyword_count: 0 };
        self.open(Pending::Call(call))?;
        self.advance()?;
        Ok(false)
    }

    /// `name=` is only right at the start of an argument.
    fn keyword(&mut self, word: &'a str) -> Result<(), Error> {
        let name = functions::keyword(word);
        let Some(Pending::Call(call)) = self.pending.last_mut() else {
            return Err(Error::syntax());
        };
        if call.keywords == 0 {
            self.program.keywords.push(KeywordNames::new());
            call.keywords = u32::try_from(self.program.keywords.len()).unwrap_or(u32::MAX);
            call.positional = call.count;
        }
        let Some(names) = self.program.keywords_mut(call.keywords) else {
            return Err(Error::syntax());
        };
        let is_unknown = name == functions::UNKNOWN_KEYWORD;
        if is_unknown {
            self.lexer.budget.spend(price::UNKNOWN_KEYWORD)?;
            self.unknown_keywords.push((call.keywords, word, self.lexer.at));
        }
        let is_repeated = !is_unknown && names.contains(&name);
        if is_repeated || matches!(word, "True" | "False" | "None") {
            return Err(Error::syntax());
        }
        names.push(name);
        call.keyword_count = call.keyword_count.saturating_add(1);
        Ok(())
    }

    /// A closing bracket where an operand could be: `f()`, `f(1,)`, `()`, `[]`, `[1,]`.
    fn close_without_operand(&mut self) -> Result<(), Error> {
        match (self.lexer.token, self.pending.last()) {
            (Token::Close, Some(Pending::Call(call))) => {
                // `f(a=)` has a keyword without its value.
                if !call.has_all_values() {
                    return Err(Error::syntax());
                }
                self.end_call()
            }
            (Token::Close, Some(Pending::Paren { role: Paren::Argument, .. })) => {
                self.end_sequence(0, Instruction::Tuple)
            }
            (Token::Close, Some(Pending::Paren { role: Paren::Tuple { items }, .. })) => {
                let items = *items;
                self.end_sequence(items, Instruction::Tuple)
            }
            (Token::CloseBracket, Some(Pending::List { items, .. })) => {
                let items = *items;
                self.end_sequence(items, Instruction::List)
            }
            _ => Err(Error::syntax()),
        }
    }

    fn close_bracket(&mut self) -> Result<(), Error> {
        self.pop();
        self.lexer.brackets = self.lexer.brackets.wrapping_sub(1);
        self.advance()
    }

    /// Ends a list or tuple, after which only the rest of the call may follow.
    fn end_sequence(&mut self, items: u32, instruction: fn(u32) -> Instruction) -> Result<(), Error> {
        self.emit(instruction(items));
        self.close_bracket()?;
        loop {
            match (self.lexer.token, self.pending.last()) {
                (Token::Close, Some(Pending::Paren { role: Paren::Argument, .. })) => self.close_bracket()?,
                (Token::Close | Token::Comma, Some(Pending::Call(_))) => return Ok(()),
                _ => return Err(Error::syntax()),
            }
        }
    }

    fn end_call(&mut self) -> Result<(), Error> {
        if let Some(Pending::Call(call)) = self.pending.last_mut() {
            let count = u16::try_from(call.count).unwrap_or(u16::MAX);
            let (function, at, keywords) = (call.function, call.at, call.keywords);
            self.emit(Instruction::Call { function, count, keywords, at });
        }
        self.close_bracket()
    }

    /// Reads operators up to the next operand; true at the end of the text.
    #[inline]
    fn operators(&mut self) -> Result<bool, Error> {
        loop {
            let at = self.lexer.at;
            match self.lexer.token {
                Token::Operator(operator) => {
                    if operator != Binary::Power {
                        self.reduce(level_of(operator));
                    }
                    self.push(Pending::Binary { operator, at })?;
                    break;
                }
                Token::Comparison(operator) => {
                    self.reduce(Level::BitOr);
                    self.comparison(operator, at)?;
                    break;
                }
                Token::And => {
                    self.reduce(Level::And);
                    let jump = self.code_length();
                    self.emit(Instruction::JumpIfFalseOrPop(0));
                    self.push(Pending::And { jump })?;
                    break;
                }
                Token::Or => {
                    self.reduce(Level::Or);
                    let jump = self.code_length();
                    self.emit(Instruction::JumpIfTrueOrPop(0));
                    self.push(Pending::Or { jump })?;
                    break;
                }
                Token::If => {
                    self.condition()?;
                    break;
                }
                Token::Else => {
                    self.otherwise()?;
                    break;
                }
                Token::Comma => {
                    self.reduce(Level::Conditional);
                    self.comma()?;
                    break;
                }
                Token::Close => {
                    self.reduce(Level::Conditional);
                    self.close()?;
                }
                Token::CloseBracket => {
                    self.reduce(Level::Conditional);
                    let Some(Pending::List { items, .. }) = self.pending.last() else {
                        return Err(Error::syntax());
                    };
                    let items = items.saturating_add(1);
                    within_items(items)?;
                    self.end_sequence(items, Instruction::List)?;
                }
                Token::End => {
                    self.reduce(Level::Conditional);
                    return if self.pending.is_empty() { Ok(true) } else { Err(Error::syntax()) };
                }
                _ => return Err(Error::syntax()),
            }
        }
        self.advance()?;
        Ok(false)
    }

    fn close(&mut self) -> Result<(), Error> {
        match self.pending.last_mut() {
            Some(Pending::Paren { role: Paren::Tuple { items }, .. }) => {
                let items = items.saturating_add(1);
                within_items(items)?;
                self.end_sequence(items, Instruction::Tuple)
            }
            Some(Pending::Paren { .. }) => self.close_bracket(),
            Some(Pending::Call(call)) => {
                call.end_argument(0)?;
                self.end_call()
            }
            _ => Err(Error::syntax()),
        }
    }

    fn comma(&mut self) -> Result<(), Error> {
        let length = self.code_length();
        match self.pending.last_mut() {
            Some(Pending::Call(call)) => call.end_argument(length),
            Some(Pending::List { items, start }) => {
                *items = items.saturating_add(1);
                *start = length;
                within_items(*items)
            }
            Some(Pending::Paren { start, role }) => {
                let items = match role {
                    Paren::Group => return Err(Error::syntax()),
                    Paren::Argument => 1,
                    Paren::Tuple { items } => items.saturating_add(1),
                };
                *role = Paren::Tuple { items };
                *start = length;
                within_items(items)
            }
            _ => Err(Error::syntax()),
        }
    }

    fn comparison(&mut self, operator: Comparison, at: u32) -> Result<(), Error> {
        let mut last_jump = None;
        if let Some(Pending::Comparison { operator, at, last_jump: earlier }) = self.pending.last() {
            // Until the end of the chain is known, each jump holds the place of the one before it, plus one.
            let jump = earlier.map_or(0, |earlier| earlier.saturating_add(1));
            let jump = u32::try_from(jump).unwrap_or(u32::MAX);
            let instruction = Instruction::CompareChain { operator: *operator, at: *at, jump };
            last_jump = Some(self.code_length());
            self.emit(instruction);
            self.pop();
        }
        self.push(Pending::Comparison { operator, at, last_jump })
    }

    /// `A if`: what was read is `A`, whose code will be moved behind that of the condition.
    fn condition(&mut self) -> Result<(), Error> {
        self.reduce(Level::Or);
        let value = match self.pending.last() {
            None => 0,
            Some(Pending::Paren { start, .. } | Pending::List { start, .. }) => *start,
            Some(Pending::Call(call)) => call.start,
            Some(Pending::Otherwise { jump }) => jump.saturating_add(1),
            _ => return Err(Error::syntax()),
        };
        self.emit(Instruction::Jump(0));
        let condition = self.code_length();
        self.push(Pending::Condition { value, condition })
    }

    /// `A if C else`: turns the code `A, jump, C` into `C, jump if false, A, jump`.
    fn otherwise(&mut self) -> Result<(), Error> {
        self.reduce(Level::Or);
        let Some(Pending::Condition { value, condition }) = self.pop() else {
            return Err(Error::syntax());
        };
        self.emit(Instruction::PopJumpIfFalse(0));
        let length = self.code_length();
        self.lexer.budget.spend((length.saturating_sub(value) as u64).saturating_mul(price::MOVE))?;
        let moved = condition.saturating_sub(value);
        if let Some(code) = self.program.code.get_mut(value..) {
            code.rotate_left(moved);
        }
        let test = length.saturating_sub(moved).saturating_sub(1);
        self.land(test, length);
        self.push(Pending::Otherwise { jump: length.saturating_sub(1) })
    }

    /// Makes the jump at `from` lead to `to`.
    fn land(&mut self, from: usize, to: usize) {
        self.landing = to;
        let distance = u32::try_from(to.saturating_sub(from).saturating_sub(1)).unwrap_or(u32::MAX);
        if let Some(
            Instruction::Jump(jump)
            | Instruction::PopJumpIfFalse(jump)
            | Instruction::JumpIfFalseOrPop(jump)
            | Instruction::JumpIfTrueOrPop(jump)
            | Instruction::CompareChain { jump, .. },
        ) = self.program.code.get_mut(from)
        {
            *jump = distance;
        }
    }

    /// Completes what waits and binds at least as tightly as `level`.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn reduce(&mut self, level: Level) {
        while self.pending.last().is_some_and(|pending| pending.level() >= level) {
            self.reduce_last();
        }
    }

    fn reduce_last(&mut self) {
        match self.pop() {
            Some(Pending::Binary { operator, at }) => self.binary(operator, at),
            Some(Pending::Unary { operator, at }) => self.emit(Instruction::Unary { operator, at }),
            Some(Pending::Not) => self.emit(Instruction::Not),
            Some(Pending::Comparison { operator, at, last_jump }) => {
                self.emit(Instruction::Compare { operator, at });
                self.land_chain(last_jump);
            }
            Some(Pending::And { jump } | Pending::Or { jump } | Pending::Otherwise { jump }) => {
                let here = self.code_length();
                self.land(jump, here);
            }
            None
            | Some(
                Pending::Paren { .. } | Pending::List { .. } | Pending::Call(_) | Pending::Condition { .. },
            ) => {}
        }
    }

    /// Computes what two small literals give, or takes a literal right operand into the instruction, unless a jump
    /// leads to just behind an operand.
    #[inline]
    fn binary(&mut self, operator: Binary, at: u32) {
        let code = &mut self.program.code;
        let behind_landing = code.len().saturating_sub(self.landing);
        match code.as_mut_slice() {
            [.., Instruction::Integer(left), Instruction::Integer(right)]
                if behind_landing > 1
                    && let Some(value) = operator.of_small(*left, *right) =>
            {
                *left = value;
                code.truncate(code.len().saturating_sub(1));
            }
            [.., last @ Instruction::Integer(_)] if behind_landing > 0 => {
                if let Instruction::Integer(value) = *last {
                    *last = Instruction::BinaryInteger { operator, at, value };
                }
            }
            _ => code.push(Instruction::Binary { operator, at }),
        }
    }

    fn land_chain(&mut self, last_jump: Option<usize>) {
        let here = self.code_length();
        let mut next = last_jump;
        while let Some(from) = next {
            next = match self.program.code.get(from) {
                Some(Instruction::CompareChain { jump, .. }) => (*jump as usize).checked_sub(1),
                _ => None,
            };
            self.land(from, here);
        }
    }
}
