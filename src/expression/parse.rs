//! The language of formulas: text to a program in reverse Polish notation.
//!
//! Precedence and literals are Python's: from tight to loose `^` (or `**`, to the right), signs, `* / %`, `+ -`, and last
//! `min`, `max`, `atan2` between values. A name that is followed by `(` is a function, any other a channel, then a constant.
//! A parser of our own: exmex binds signs before powers and treats a channel named like a function as the function,
//! meval and fasteval had their last releases in 2018 and 2020, evalexpr is under the AGPL.

use std::f64::consts::{E, PI, TAU};

use costate_base::names::{nearest, suggestion};

/// Maximum nesting: the parser recurses per level, and its stack must not overflow.
const DEEPEST: usize = 200;

/// One instruction on a stack of numbers.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// Pushes a number.
    Number(f64),
    /// Pushes the value of a channel.
    Channel(usize),
    /// Replaces the top.
    One(fn(f64) -> f64),
    /// Replaces the two on top, the left one pushed first.
    Two(fn(f64, f64) -> f64),
}

/// A fault and its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Characters from 1.
    pub column: usize,
    /// The fault.
    pub what: What,
}

/// Kinds of fault.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// An unknown name.
    Unknown(String),
    /// Anything else, as text.
    Said(String),
}

type One = (&'static str, fn(f64) -> f64);
type Two = (&'static str, fn(f64, f64) -> f64);

/// Functions of one value.
const ONE: [One; 24] = [
    ("abs", f64::abs),
    ("signum", f64::signum),
    ("sin", f64::sin),
    ("cos", f64::cos),
    ("tan", f64::tan),
    ("asin", f64::asin),
    ("acos", f64::acos),
    ("atan", f64::atan),
    ("sinh", f64::sinh),
    ("cosh", f64::cosh),
    ("tanh", f64::tanh),
    ("asinh", f64::asinh),
    ("acosh", f64::acosh),
    ("atanh", f64::atanh),
    ("floor", f64::floor),
    ("round", f64::round),
    ("ceil", f64::ceil),
    ("trunc", f64::trunc),
    ("fract", f64::fract),
    ("exp", f64::exp),
    ("sqrt", f64::sqrt),
    ("cbrt", f64::cbrt),
    ("ln", f64::ln),
    ("log", f64::ln),
];
const MORE_OF_ONE: [One; 2] = [("log2", f64::log2), ("log10", f64::log10)];

/// Functions of two values; `min` and `max` take more as well.
const TWO: [Two; 3] = [("min", f64::min), ("max", f64::max), ("atan2", f64::atan2)];

const CONSTANTS: [(&str, f64); 8] = [
    ("PI", PI),
    ("pi", PI),
    ("π", PI),
    ("E", E),
    ("e", E),
    ("TAU", TAU),
    ("tau", TAU),
    ("τ", TAU),
];

fn one_of(name: &str) -> Option<fn(f64) -> f64> {
    let mut all = ONE.iter().chain(&MORE_OF_ONE);
    all.find(|(n, _)| *n == name).map(|(_, f)| *f)
}

fn two_of(name: &str) -> Option<fn(f64, f64) -> f64> {
    TWO.iter().find(|(n, _)| *n == name).map(|(_, f)| *f)
}

fn functions() -> impl Iterator<Item = &'static str> {
    let one = ONE.iter().chain(&MORE_OF_ONE).map(|(n, _)| *n);
    one.chain(TWO.iter().map(|(n, _)| *n))
}

/// The remainder of a division rounded down, which has the divisor's sign.
fn modulo(a: f64, b: f64) -> f64 {
    a - b * (a / b).floor()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind<'a> {
    Number(f64),
    /// A plain name.
    Name(&'a str),
    /// A name in braces: a channel, whatever it is called.
    Braced(&'a str),
    /// An operator, a parenthesis or a comma.
    Sign(&'static str),
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind<'a>,
    text: &'a str,
    column: usize,
}

fn said<T>(column: usize, words: impl Into<String>) -> Result<T, Fault> {
    Err(Fault {
        column,
        what: What::Said(words.into()),
    })
}

/// End of a run of characters that satisfy `is`.
fn span(text: &str, is: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is(c)).unwrap_or(text.len())
}

fn in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of a number as Python writes it: `12`, `1_000`, `1.`, `.5`, `1e-3`.
fn number_length(text: &str) -> usize {
    let digit = |c: char| c.is_ascii_digit() || c == '_';
    let mut end = span(text, digit);
    if text[end..].starts_with('.') {
        end += 1;
        end += span(&text[end..], digit);
    }
    if let Some(rest) = text[end..].strip_prefix(['e', 'E']) {
        let sign = usize::from(rest.starts_with(['+', '-']));
        let digits = span(&rest[sign..], |c| c.is_ascii_digit());
        if digits > 0 {
            end += 1 + sign + digits;
        }
    }
    end
}

fn number(text: &str, rest: &str, column: usize) -> Result<f64, Fault> {
    if rest.starts_with(|c: char| in_name(c) || c == '.') {
        let end = span(rest, |c| in_name(c) || c == '.');
        return said(
            column,
            format!(
                "`{text}{}` is not a number; a product is written `{text}*…`",
                &rest[..end]
            ),
        );
    }
    // An underscore stands between digits.
    let lone = text.split('.').any(|part| {
        part.starts_with('_') || part.ends_with('_') || part.contains("__") || part.contains("_e")
    });
    match text.replace('_', "").parse::<f64>() {
        Ok(v) if v.is_finite() && !lone => Ok(v),
        Ok(v) if !v.is_finite() => said(column, format!("`{text}` is too large for a number")),
        _ => said(column, format!("`{text}` is not a number")),
    }
}

const SIGNS: [(&str, &str); 12] = [
    ("**", "^"),
    ("^", "^"),
    ("+", "+"),
    ("-", "-"),
    // As printed by text processors and this project's pages.
    ("−", "-"),
    ("*", "*"),
    ("·", "*"),
    ("/", "/"),
    ("%", "%"),
    ("(", "("),
    (")", ")"),
    (",", ","),
];

fn tokens(text: &str) -> Result<Vec<Token<'_>>, Fault> {
    let mut found = Vec::new();
    let (mut at, mut column) = (0, 1);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c.is_whitespace() {
            at += c.len_utf8();
            column += 1;
            continue;
        }
        let sign = SIGNS.iter().find(|(s, _)| rest.starts_with(s));
        let starts_number = |s: &str| s.starts_with(|c: char| c.is_ascii_digit());
        let (kind, length) =
            if starts_number(rest) || rest.strip_prefix('.').is_some_and(starts_number) {
                let length = number_length(rest);
                let value = number(&rest[..length], &rest[length..], column)?;
                (Kind::Number(value), length)
            } else if c.is_alphabetic() || c == '_' {
                let length = span(rest, in_name);
                (Kind::Name(&rest[..length]), length)
            } else if let Some(inner) = rest.strip_prefix('{') {
                let Some(end) = inner.find('}') else {
                    return said(column, "`{` is never closed by `}`");
                };
                (Kind::Braced(inner[..end].trim()), end + 2)
            } else if let Some((written, meant)) = sign {
                (Kind::Sign(meant), written.len())
            } else {
                return said(column, format!("unknown character `{}`", c.escape_debug()));
            };
        let text = &rest[..length];
        found.push(Token { kind, text, column });
        at += length;
        column += text.chars().count();
    }
    Ok(found)
}

/// Left and right binding power of an operator, and its instruction.
struct Infix {
    left: u8,
    right: u8,
    op: Op,
}

/// Binding power of a sign: tighter than a product, looser than a power.
const SIGN_POWER: u8 = 7;
/// Binding power of a function without parentheses: only the next value.
const FUNCTION_POWER: u8 = 11;

fn infix(kind: Kind) -> Option<Infix> {
    let (left, right, op): (u8, u8, fn(f64, f64) -> f64) = match kind {
        Kind::Sign("+") => (3, 4, |a, b| a + b),
        Kind::Sign("-") => (3, 4, |a, b| a - b),
        Kind::Sign("*") => (5, 6, |a, b| a * b),
        Kind::Sign("/") => (5, 6, |a, b| a / b),
        Kind::Sign("%") => (5, 6, modulo),
        Kind::Sign("^") => (10, 9, f64::powf),
        Kind::Name(name) => (1, 2, two_of(name)?),
        _ => return None,
    };
    Some(Infix {
        left,
        right,
        op: Op::Two(op),
    })
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    depth: usize,
    end: usize,
    channel: &'a dyn Fn(&str) -> Option<usize>,
    program: Vec<Op>,
}

/// The program of a formula whose channels are found by `channel`.
pub fn parse(text: &str, channel: &dyn Fn(&str) -> Option<usize>) -> Result<Vec<Op>, Fault> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
        end: text.chars().count() + 1,
        channel,
        program: Vec::new(),
    };
    parser.expression(0)?;
    match parser.peek() {
        None => Ok(parser.program),
        Some(token) if token.kind == Kind::Sign(")") => {
            said(token.column, "`)` has no matching `(`")
        }
        Some(token) => said(
            token.column,
            format!(
                "expected an operator before `{}`; a product is written with `*`",
                token.text
            ),
        ),
    }
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.next).copied()
    }

    fn take(&mut self) -> Option<Token<'a>> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn follows(&self, sign: &str) -> bool {
        self.peek()
            .is_some_and(|t| matches!(t.kind, Kind::Sign(s) if s == sign))
    }

    /// A value with the following operators of binding power at least `least`.
    fn expression(&mut self, least: u8) -> Result<(), Fault> {
        if self.depth == DEEPEST {
            let column = self.peek().map_or(self.end, |t| t.column);
            return said(column, format!("nested deeper than {DEEPEST} levels"));
        }
        self.depth += 1;
        self.value()?;
        while let Some(found) = self.peek().and_then(|t| infix(t.kind)) {
            if found.left < least {
                break;
            }
            self.next += 1;
            self.expression(found.right)?;
            self.program.push(found.op);
        }
        self.depth -= 1;
        Ok(())
    }

    fn value(&mut self) -> Result<(), Fault> {
        let Some(token) = self.take() else {
            return said(self.end, "expected a value, found the end");
        };
        let op = match token.kind {
            Kind::Number(v) => Op::Number(v),
            Kind::Braced(name) => match (self.channel)(name) {
                Some(i) => Op::Channel(i),
                None => return unknown(token, name),
            },
            Kind::Name(name) if self.follows("(") => return self.call(name, token),
            Kind::Name(name) => match (self.channel)(name) {
                Some(i) => Op::Channel(i),
                None => return self.bare(name, token),
            },
            Kind::Sign("+") => return self.expression(SIGN_POWER),
            Kind::Sign("-") => {
                self.expression(SIGN_POWER)?;
                Op::One(|v| -v)
            }
            Kind::Sign("(") => {
                self.expression(0)?;
                return self.close(token);
            }
            Kind::Sign(_) => {
                return said(
                    token.column,
                    format!("expected a value, found `{}`", token.text),
                );
            }
        };
        self.program.push(op);
        Ok(())
    }

    /// A name that is not a channel and not followed by `(`: a constant, or a function before a single value.
    fn bare(&mut self, name: &str, token: Token) -> Result<(), Fault> {
        if let Some((_, v)) = CONSTANTS.iter().find(|(n, _)| *n == name) {
            self.program.push(Op::Number(*v));
            return Ok(());
        }
        let single = matches!(
            self.peek().map(|t| t.kind),
            Some(Kind::Number(_) | Kind::Name(_) | Kind::Braced(_))
        );
        match one_of(name) {
            Some(function) if single => {
                self.expression(FUNCTION_POWER)?;
                self.program.push(Op::One(function));
                Ok(())
            }
            None if two_of(name).is_none() => unknown(token, name),
            _ => said(
                token.column,
                format!("`{name}` is a function, write `{name}(…)`"),
            ),
        }
    }

    /// A function with its arguments in parentheses.
    fn call(&mut self, name: &str, token: Token) -> Result<(), Fault> {
        let (one, two) = (one_of(name), two_of(name));
        if one.is_none() && two.is_none() {
            let constant = CONSTANTS.iter().any(|(n, _)| *n == name);
            if constant || (self.channel)(name).is_some() {
                return said(
                    token.column,
                    format!("`{name}` is not a function; a product is written `{name}*(…)`"),
                );
            }
            let hint = suggestion(nearest(name, functions()));
            let all: Vec<&str> = functions().collect();
            return said(
                token.column,
                format!(
                    "there is no function `{name}`{hint}; available: {}",
                    all.join(", ")
                ),
            );
        }
        let Some(open) = self.take() else {
            return said(self.end, "expected `(`");
        };
        let mut count = 0;
        if !self.follows(")") {
            loop {
                self.expression(0)?;
                count += 1;
                if let Some(two) = two.filter(|_| count > 1) {
                    self.program.push(Op::Two(two));
                }
                if !self.follows(",") {
                    break;
                }
                self.next += 1;
            }
        }
        self.close(open)?;
        let expected = match (one, name) {
            (Some(_), _) if count == 1 => "",
            (None, "atan2") if count == 2 => "",
            (None, "min" | "max") if count >= 2 => "",
            (Some(_), _) => "one value",
            (None, "atan2") => "two values, y and x",
            (None, _) => "at least two values",
        };
        if !expected.is_empty() {
            return said(
                token.column,
                format!("`{name}` takes {expected}, got {count}"),
            );
        }
        if let Some(one) = one {
            self.program.push(Op::One(one));
        }
        Ok(())
    }

    fn close(&mut self, open: Token) -> Result<(), Fault> {
        match self.take() {
            Some(token) if token.kind == Kind::Sign(")") => Ok(()),
            None => said(open.column, "`(` is never closed by `)`"),
            Some(token) => said(
                token.column,
                format!(
                    "expected an operator or `)` before `{}`; a product is written with `*`",
                    token.text
                ),
            ),
        }
    }
}

fn unknown<T>(token: Token, name: &str) -> Result<T, Fault> {
    Err(Fault {
        column: token.column,
        what: What::Unknown(name.into()),
    })
}
