//! Splits an expression into tokens by Python's lexical rules. It refuses strings, non-ASCII names and every
//! sign that arithmetic does not need.

use crate::budget::Budget;
use crate::error::Error;
use crate::number::decimal;
use crate::price;
use crate::program::{Binary, Comparison};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token<'a> {
    Integer(i64),
    /// An integer literal too long for 64 bits, with its underscores, without its prefix.
    Digits {
        digits: &'a str,
        radix: u32,
    },
    Float(f64),
    Imaginary(f64),
    Word(&'a str),
    Operator(Binary),
    Comparison(Comparison),
    Tilde,
    And,
    Or,
    Not,
    If,
    Else,
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    Comma,
    Dot,
    Assign,
    End,
}

/// So many decimal digits always fit 64 bits.
const MOST_PLAIN_DIGITS: usize = 18;

#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    pub(crate) budget: &'a mut Budget,
    position: usize,
    /// Open brackets; inside them a newline is only space. The parser keeps the count.
    pub(crate) brackets: usize,
    /// The present token, and the byte offset at which it starts. Before the first one it is `End`.
    pub(crate) token: Token<'a>,
    pub(crate) at: u32,
}

/// Whether Python reserves the word and the language has no use for it as a name.
pub(crate) fn is_keyword(word: &str) -> bool {
    matches!(
        word,
        "and"
            | "as"
            | "assert"
            | "async"
            | "await"
            | "break"
            | "class"
            | "continue"
            | "def"
            | "del"
            | "elif"
            | "else"
            | "except"
            | "finally"
            | "for"
            | "from"
            | "global"
            | "if"
            | "import"
            | "in"
            | "is"
            | "lambda"
            | "nonlocal"
            | "not"
            | "or"
            | "pass"
            | "raise"
            | "return"
            | "try"
            | "while"
            | "with"
            | "yield"
    )
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str, budget: &'a mut Budget) -> Self {
        let position = text.bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        Self { text, budget, position, brackets: 0, token: Token::End, at: 0 }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    #[inline]
    fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.position.saturating_add(ahead)).copied()
    }

    #[inline]
    fn advance(&mut self, bytes: usize) {
        self.position = self.position.saturating_add(bytes);
    }

    fn slice(&self, start: usize) -> &'a str {
        self.text.get(start..self.position).unwrap_or_default()
    }

    #[cold]
    fn fail<T>(&self) -> Result<T, Error> {
        Err(Error::syntax().at(offset(self.position)))
    }

    /// Goes to the next token. The position is read and written once: each time costs what several instructions do.
    pub(crate) fn next(&mut self) -> Result<(), Error> {
        let bytes = self.text.as_bytes();
        let mut at = self.position;
        if bytes.get(at) == Some(&b' ') {
            at = at.wrapping_add(1);
        }
        self.at = offset(at);
        match bytes.get(at) {
            Some(byte) => self.token(at, *byte),
            None => self.take(at, 0, Token::End),
        }
    }

    /// What is neither one space nor a token.
    #[cold]
    #[inline(never)]
    fn token_behind_space(&mut self, at: usize) -> Result<(), Error> {
        self.position = at;
        self.skip_space()?;
        self.at = offset(self.position);
        match self.peek() {
            Some(byte) => self.token(self.position, byte),
            None => self.take(self.position, 0, Token::End),
        }
    }

    fn skip_space(&mut self) -> Result<(), Error> {
        if self.token == Token::End {
            self.skip_start_of_text()?;
        }
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | 0x0c => self.advance(1),
                b'#' => self.skip_comment(),
                b'\n' | b'\r' if self.brackets > 0 => self.advance(1),
                b'\n' | b'\r' => {
                    if !self.is_blank_to_next_line()? {
                        return self.fail();
                    }
                }
                b'\\' => self.continue_line()?,
                _ => break,
            }
        }
        Ok(())
    }

    /// Before the first line spaces and tabs may stand, but what stands behind a form feed indents it, and a line of
    /// code may not be indented.
    fn skip_start_of_text(&mut self) -> Result<(), Error> {
        let start = self.position;
        self.skip_blanks();
        let is_indented = self.slice(start).contains('\x0c') && is_indentation(self.slice(start));
        match self.peek() {
            None | Some(b'#' | b'\n' | b'\r') => Ok(()),
            Some(_) if is_indented => self.fail(),
            Some(_) => Ok(()),
        }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | 0x0c)) {
            self.advance(1);
        }
    }

    fn skip_comment(&mut self) {
        // CPython takes no NUL byte, not even in a comment; the token that starts with it is refused.
        while !matches!(self.peek(), None | Some(b'\n' | b'\r' | 0)) {
            self.advance(1);
        }
    }

    /// Takes blank lines and comments outside brackets. Before the expression a further line may hold it,
    /// unless that line is indented; after the expression nothing may follow.
    fn is_blank_to_next_line(&mut self) -> Result<bool, Error> {
        loop {
            self.advance(1);
            let line = self.position;
            self.skip_blanks();
            let is_indented = is_indentation(self.slice(line));
            if self.peek() == Some(b'#') {
                self.skip_comment();
                if self.peek().is_none() {
                    return Ok(true);
                }
            }
            match self.peek() {
                Some(b'\n' | b'\r') => {}
                None => return Ok(!is_indented),
                Some(_) if is_indented => return self.fail(),
                Some(_) => return Ok(self.token == Token::End),
            }
        }
    }

    fn continue_line(&mut self) -> Result<(), Error> {
        match (self.peek_at(1), self.peek_at(2)) {
            (Some(b'\r'), Some(b'\n')) => self.advance(3),
            (Some(b'\n' | b'\r'), _) => self.advance(2),
            _ => return self.fail(),
        }
        if self.peek().is_none() {
            return self.fail();
        }
        if self.token == Token::End && self.brackets == 0 {
            return self.skip_start_of_line();
        }
        Ok(())
    }

    /// Before the first token a line that is continued is still the start of the code, and may not be indented.
    fn skip_start_of_line(&mut self) -> Result<(), Error> {
        let start = self.position;
        self.skip_blanks();
        match self.peek() {
            None | Some(b'#' | b'\n' | b'\r') => Ok(()),
            Some(_) if is_indentation(self.slice(start)) => self.fail(),
            Some(_) => Ok(()),
        }
    }

    #[inline]
    fn token(&mut self, at: usize, byte: u8) -> Result<(), Error> {
        let next = self.text.as_bytes().get(at.wrapping_add(1)).copied();
        match byte {
            b' ' | b'\t' | 0x0c | b'#' | b'\n' | b'\r' | b'\\' => self.token_behind_space(at),
            b'0'..=b'9' => self.number(at),
            b'.' if next.is_some_and(|next| next.is_ascii_digit()) => self.long_number(at),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(at),
            b'(' => self.take(at, 1, Token::Open),
            b')' => self.take(at, 1, Token::Close),
            b'[' => self.take(at, 1, Token::OpenBracket),
            b']' => self.take(at, 1, Token::CloseBracket),
            b',' => self.take(at, 1, Token::Comma),
            b'.' => self.take(at, 1, Token::Dot),
            b'~' => self.take(at, 1, Token::Tilde),
            b'+' => self.take(at, 1, Token::Operator(Binary::Add)),
            b'-' => self.take(at, 1, Token::Operator(Binary::Subtract)),
            b'*' if next == Some(b'*') => self.take(at, 2, Token::Operator(Binary::Power)),
            b'*' => self.take(at, 1, Token::Operator(Binary::Multiply)),
            b'/' if next == Some(b'/') => self.take(at, 2, Token::Operator(Binary::FloorDivide)),
            b'/' => self.take(at, 1, Token::Operator(Binary::Divide)),
            b'%' => self.take(at, 1, Token::Operator(Binary::Modulo)),
            b'&' => self.take(at, 1, Token::Operator(Binary::And)),
            b'|' => self.take(at, 1, Token::Operator(Binary::Or)),
            b'^' => self.take(at, 1, Token::Operator(Binary::Xor)),
            b'<' if next == Some(b'<') => self.take(at, 2, Token::Operator(Binary::ShiftLeft)),
            b'<' if next == Some(b'=') => self.take(at, 2, Token::Comparison(Comparison::LessOrEqual)),
            b'<' => self.take(at, 1, Token::Comparison(Comparison::Less)),
            b'>' if next == Some(b'>') => self.take(at, 2, Token::Operator(Binary::ShiftRight)),
            b'>' if next == Some(b'=') => self.take(at, 2, Token::Comparison(Comparison::GreaterOrEqual)),
            b'>' => self.take(at, 1, Token::Comparison(Comparison::Greater)),
            b'=' if next == Some(b'=') => self.take(at, 2, Token::Comparison(Comparison::Equal)),
            b'=' => self.take(at, 1, Token::Assign),
            b'!' if next == Some(b'=') => self.take(at, 2, Token::Comparison(Comparison::NotEqual)),
            _ => Err(Error::syntax()),
        }
    }

    /// Sets the token in place; to return it through a `Result` costs several times as much.
    #[inline(always)]
    #[allow(clippy::inline_always, clippy::unnecessary_wraps)]
    fn take(&mut self, at: usize, length: usize, token: Token<'a>) -> Result<(), Error> {
        self.position = at.wrapping_add(length);
        self.token = token;
        Ok(())
    }

    #[inline(never)]
    fn word(&mut self, start: usize) -> Result<(), Error> {
        self.position = start;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            self.advance(1);
        }
        if self.peek().is_some_and(|byte| !byte.is_ascii()) {
            return self.fail();
        }
        let word = self.slice(start);
        self.token = match word {
            "and" => Token::And,
            "or" => Token::Or,
            "not" => Token::Not,
            "if" => Token::If,
            "else" => Token::Else,
            _ if is_keyword(word) => {
                self.position = start;
                return self.fail();
            }
            _ => Token::Word(word),
        };
        Ok(())
    }

    /// Takes an integer of few plain digits; what else starts like a number is read from its start again.
    #[inline(never)]
    fn number(&mut self, at: usize) -> Result<(), Error> {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        let mut value: i64 = 0;
        let mut length = 0_usize;
        for byte in rest {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                if byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | 0x80..) {
                    return self.long_number(at);
                }
                break;
            }
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
            length = length.wrapping_add(1);
        }
        if length > 1 && (length > MOST_PLAIN_DIGITS || rest.first() == Some(&b'0')) {
            return self.long_number(at);
        }
        self.take(at, length, Token::Integer(value))
    }

    /// A number that is more than a few plain digits.
    #[inline(never)]
    fn long_number(&mut self, start: usize) -> Result<(), Error> {
        self.position = start;
        self.budget.spend(price::LONG_NUMBER)?;
        let prefix = self.peek_at(1).map(|byte| byte.to_ascii_lowercase());
        if self.peek() == Some(b'0') {
            let radix = match prefix {
                Some(b'x') => 16,
                Some(b'o') => 8,
                Some(b'b') => 2,
                _ => 10,
            };
            if radix != 10 {
                return self.radix_number(radix);
            }
        }
        self.digits()?;
        let mut is_float = false;
        if self.peek() == Some(b'.') {
            is_float = true;
            self.advance(1);
            if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                self.digits()?;
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.peek_at(1), Some(b'+' | b'-')));
            if self.peek_at(sign.saturating_add(1)).is_some_and(|byte| byte.is_ascii_digit()) {
                is_float = true;
                self.advance(sign.saturating_add(1));
                self.digits()?;
            } else if sign > 0 {
                return self.fail();
            }
        }
        let text = self.slice(start);
        if text.len() > MOST_PLAIN_DIGITS {
            self.budget.spend(price::LONG_FLOAT)?;
        }
        if matches!(self.peek(), Some(b'j' | b'J')) {
            self.advance(1);
            self.end_of_number()?;
            return self.take(self.position, 0, Token::Imaginary(parse_float(text)));
        }
        self.end_of_number()?;
        if is_float {
            return self.take(self.position, 0, Token::Float(parse_float(text)));
        }
        if text.starts_with('0') && text.bytes().any(|byte| !matches!(byte, b'0' | b'_')) {
            self.position = start;
            return self.fail();
        }
        self.take(self.position, 0, Token::Digits { digits: text, radix: 10 })
    }

    fn radix_number(&mut self, radix: u32) -> Result<(), Error> {
        self.advance(2);
        let start = self.position;
        loop {
            if self.peek() == Some(b'_') {
                self.advance(1);
            }
            let before = self.position;
            while self.peek().is_some_and(|byte| char::from(byte).is_digit(radix)) {
                self.advance(1);
            }
            if before == self.position {
                return self.fail();
            }
            if self.peek() != Some(b'_') {
                break;
            }
        }
        let digits = self.slice(start);
        if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.fail();
        }
        self.end_of_number()?;
        self.take(self.position, 0, Token::Digits { digits, radix })
    }

    /// Digits with single underscores between them; none at all before a fraction such as `.5`.
    fn digits(&mut self) -> Result<(), Error> {
        if self.peek() == Some(b'.') {
            return Ok(());
        }
        loop {
            while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                self.advance(1);
            }
            if self.peek() != Some(b'_') {
                return Ok(());
            }
            self.advance(1);
            if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                return self.fail();
            }
        }
    }

    /// As in `CPython`, a keyword may follow a number without a space between them (`1if x else 2`), a name may not.
    fn end_of_number(&self) -> Result<(), Error> {
        let rest = self.text.as_bytes().get(self.position..).unwrap_or_default();
        let Some(first) = rest.first() else {
            return Ok(());
        };
        if !(first.is_ascii_alphanumeric() || *first == b'_' || *first >= 0x80) {
            return Ok(());
        }
        let keywords: [&[u8]; 8] = [b"and", b"else", b"for", b"if", b"in", b"is", b"or", b"not"];
        if keywords.iter().any(|keyword| rest.starts_with(keyword)) { Ok(()) } else { self.fail() }
    }
}

fn offset(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// The text has been checked by the lexer, so it always parses.
fn parse_float(text: &str) -> f64 {
    if text.contains('_') {
        return decimal::parse_float(&text.replace('_', ""));
    }
    decimal::parse_float(text)
}

/// Whether blanks at the start of a line indent it: a form feed takes back what stands before it.
fn is_indentation(blanks: &str) -> bool {
    !blanks.ends_with('\x0c') && !blanks.is_empty()
}
