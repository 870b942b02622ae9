//! The parser: RFC 8259 without duplicate keys and without unpaired surrogates, at most [`limits::JSON_DEPTH`] deep.

use std::borrow::Cow;

use super::number;
use super::{Object, Value};
use crate::error::Error;
use crate::limits;
use crate::rules::Json;

pub(super) fn document(text: &str, json: Json) -> Result<Value<'_>, Error> {
    let mut parser = Parser { text, at: 0, json };
    let value = parser.value(0)?;
    parser.skip_space();
    if parser.at < text.len() {
        return parser.fail("more follows the value");
    }
    Ok(value)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    json: Json,
}

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Result<Value<'a>, Error> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => Ok(Value::Object(self.object(depth + 1)?)),
            Some(b'[') => Ok(Value::Array(self.array(depth + 1)?)),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Null),
            Some(_) => self.fail("expected a value"),
            None => self.fail("the text ends too soon"),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Object<'a>, Error> {
        let start = self.at;
        let mut members: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
        let mut sorted = true;
        if !self.open(depth, b'}')? {
            return Ok(Object(members));
        }
        members.reserve(if depth == 1 { 16 } else { 4 });
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return self.fail("expected a key");
            }
            let key = self.string()?;
            self.skip_space();
            self.expect(b':', "expected a colon")?;
            let value = self.value(depth)?;
            sorted = sorted && members.last().is_none_or(|(last, _)| *last < key);
            members.push((key, value));
            if !self.more(b'}')? {
                break;
            }
        }
        if !sorted {
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            if members
                .windows(2)
                .any(|pair| matches!(pair, [(a, _), (b, _)] if a == b))
            {
                return Err(Error::NotCanonical {
                    at: start,
                    problem: "a key stands twice in one object",
                });
            }
        }
        Ok(Object(members))
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value<'a>>, Error> {
        let mut items = Vec::new();
        if !self.open(depth, b']')? {
            return Ok(items);
        }
        loop {
            items.push(self.value(depth)?);
            if !self.more(b']')? {
                return Ok(items);
            }
        }
    }

    /// Steps into an array or object; says whether anything is in it.
    fn open(&mut self, depth: usize, close: u8) -> Result<bool, Error> {
        if depth > limits::JSON_DEPTH {
            return self.fail("nested too deeply");
        }
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        Ok(true)
    }

    /// Steps behind a member or item; says whether another one follows.
    fn more(&mut self, close: u8) -> Result<bool, Error> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => self.fail("expected a comma or the end"),
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Error> {
        self.at += 1;
        let start = self.at;
        self.skip_plain();
        if self.peek() == Some(b'"') {
            let plain = self.slice(start);
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut decoded = String::from(self.slice(start));
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(decoded));
                }
                Some(b'\\') => {
                    self.at += 1;
                    decoded.push(self.escape()?);
                }
                Some(_) => return self.fail("a control character must be escaped"),
                None => return self.fail("the text ends too soon"),
            }
            let start = self.at;
            self.skip_plain();
            decoded.push_str(self.slice(start));
        }
    }

    /// Steps over what stands for itself in a string.
    fn skip_plain(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += super::plain_length(rest);
    }

    fn escape(&mut self) -> Result<char, Error> {
        let Some(byte) = self.peek() else {
            return self.fail("the text ends too soon");
        };
        self.at += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return self.fail("unknown escape"),
        })
    }

    fn unicode_escape(&mut self) -> Result<char, Error> {
        let first = self.four_hex()?;
        let code = match first {
            0xD800..0xDC00 => {
                if self.text.as_bytes().get(self.at..self.at + 2) != Some(b"\\u") {
                    return self.fail("a surrogate stands alone");
                }
                self.at += 2;
                let second = self.four_hex()?;
                if !(0xDC00..0xE000).contains(&second) {
                    return self.fail("a surrogate stands alone");
                }
                0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            _ => first,
        };
        match char::from_u32(code) {
            Some(character) => Ok(character),
            None => self.fail("a surrogate stands alone"),
        }
    }

    fn four_hex(&mut self) -> Result<u32, Error> {
        let digits = self
            .text
            .as_bytes()
            .get(self.at..self.at + 4)
            .unwrap_or_default();
        let mut code = 0;
        for digit in digits {
            let Some(value) = char::from(*digit).to_digit(16) else {
                return self.fail("expected four hex digits");
            };
            code = code * 16 + value;
        }
        if digits.len() < 4 {
            return self.fail("the text ends too soon");
        }
        self.at += 4;
        Ok(code)
    }

    fn number(&mut self) -> Result<Value<'a>, Error> {
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        if let Some((integer, length)) = number::plain(rest) {
            self.at += length;
            return Ok(Value::Integer(integer));
        }
        let length = rest
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .unwrap_or(rest.len());
        self.at += length;
        match number::read(self.slice(start), self.json) {
            Ok(value) => Ok(value),
            Err(number::Problem::NotANumber) => Err(Error::Json {
                at: start,
                problem: "not a number",
            }),
            Err(number::Problem::NotCanonical(problem)) => {
                Err(Error::NotCanonical { at: start, problem })
            }
        }
    }

    fn literal(&mut self, literal: &str, value: Value<'a>) -> Result<Value<'a>, Error> {
        if self.text.as_bytes().get(self.at..self.at + literal.len()) != Some(literal.as_bytes()) {
            return self.fail("expected a value");
        }
        self.at += literal.len();
        Ok(value)
    }

    fn expect(&mut self, byte: u8, problem: &'static str) -> Result<(), Error> {
        if self.peek() != Some(byte) {
            return self.fail(problem);
        }
        self.at += 1;
        Ok(())
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The text from `start` to here. Both lie next to an ASCII character, so on a character boundary.
    fn slice(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn fail<T>(&self, problem: &'static str) -> Result<T, Error> {
        Err(Error::Json {
            at: self.at,
            problem,
        })
    }
}
