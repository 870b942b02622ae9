//! Canonical JSON (appendices, *Canonical JSON*): a strict parser into a sorted tree that borrows from its text, and its writer.
//!
//! What is hashed and signed passes through here. Rooms of the oldest versions hold JSON that canonical JSON cannot express; the
//! lax mode reads it and writes numbers as the servers of that time did, because their hashes depend on it.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

use crate::error::Error;
use crate::limits;
use crate::rules::Json;

mod number;
mod parse;

/// Any JSON value. Objects are sorted and know no key twice.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer; in strict JSON it lies between -(2^53)+1 and 2^53-1.
    Integer(i64),
    /// A number that is no `i64`, in its canonical spelling. Lax JSON only.
    Number(Box<str>),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// A JSON object: its members sorted by key, each key once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

/// Parses any JSON text.
pub fn parse(text: &str, json: Json) -> Result<Value<'_>, Error> {
    parse::document(text, json)
}

/// Parses a JSON text that must be an object.
pub fn parse_object(text: &str, json: Json) -> Result<Object<'_>, Error> {
    match parse(text, json)? {
        Value::Object(object) => Ok(object),
        _ => Err(Error::Json {
            at: 0,
            problem: "expected an object",
        }),
    }
}

/// The canonical spelling of a JSON text.
pub fn canonicalise(text: &str, json: Json) -> Result<String, Error> {
    let mut out = String::with_capacity(text.len());
    parse(text, json)?.write(&mut out);
    Ok(out)
}

/// Serialises as strict canonical JSON.
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    let text = serde_json::to_string(value).map_err(|_| Error::Json {
        at: 0,
        problem: "cannot be serialised",
    })?;
    canonicalise(&text, Json::Strict)
}

impl<'a> Value<'a> {
    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(string) => Some(string),
            _ => None,
        }
    }

    /// The object, if it is one.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The items, if it is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Value<'a>]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The integer, if it is one.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            _ => None,
        }
    }

    /// Appends the canonical spelling.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Integer(integer) => write_integer(*integer, out),
            Self::Number(number) => out.push_str(number),
            Self::String(string) => write_string(string, out),
            Self::Array(items) => write_array(items, out),
            Self::Object(object) => object.write(out),
        }
    }
}

impl<'a> Object<'a> {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        let at = self.find(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Takes a key and its value out.
    pub fn remove(&mut self, key: &str) -> Option<Value<'a>> {
        let at = self.find(key).ok()?;
        Some(self.0.remove(at).1)
    }

    /// Sets a key to a value; what it held before is given back.
    pub fn insert(&mut self, key: Cow<'a, str>, value: Value<'a>) -> Option<Value<'a>> {
        match self.find(&key) {
            Ok(at) => self
                .0
                .get_mut(at)
                .map(|(_, old)| std::mem::replace(old, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// The members in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends the canonical spelling.
    pub fn write(&self, out: &mut String) {
        self.write_some(out, |_| true);
    }

    /// Appends the canonical spelling of the members whose key is wanted.
    pub fn write_some(&self, out: &mut String, wanted: impl Fn(&str) -> bool) {
        let mut separator = '{';
        for (key, value) in self.iter().filter(|(key, _)| wanted(key)) {
            out.push(separator);
            separator = ',';
            write_string(key, out);
            out.push(':');
            value.write(out);
        }
        out.push_str(if separator == '{' { "{}" } else { "}" });
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| (**other).cmp(key))
    }
}

/// Appends an integer.
pub(crate) fn write_integer(integer: i64, out: &mut String) {
    if integer < 0 {
        out.push('-');
    }
    let (mut digits, mut count, mut rest) = ([b'0'; 20], 0, integer.unsigned_abs());
    for digit in digits.iter_mut().rev() {
        // What is left of a division by ten fits into a byte.
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        count += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend(
        digits
            .iter()
            .skip(20 - count)
            .map(|digit| char::from(*digit)),
    );
}

/// Appends a string with its quotes, escaping no more than it must.
pub(crate) fn write_string(string: &str, out: &mut String) {
    out.push('"');
    let mut rest = string;
    loop {
        let (plain, tail) = rest.split_at(plain_length(rest.as_bytes()));
        out.push_str(plain);
        // What must be escaped is ASCII, so the next character starts right behind it.
        let Some((found, tail)) = tail.split_at_checked(1) else {
            break;
        };
        write_escape(found, out);
        rest = tail;
    }
    out.push('"');
}

/// How many bytes stand for themselves in a string before the first that must be escaped. Looks at eight at a time.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    // The high bit of each byte that is below `limit`; exact up to the first one.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGHS;
    let (chunks, tail) = bytes.as_chunks::<8>();
    for (at, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = below(word, 0x20) | quote | backslash;
        if found != 0 {
            return at * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    let plain = tail
        .iter()
        .position(|byte| must_escape(*byte))
        .unwrap_or(tail.len());
    bytes.len() - tail.len() + plain
}

fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn write_escape(found: &str, out: &mut String) {
    match found {
        "\"" => out.push_str("\\\""),
        "\\" => out.push_str("\\\\"),
        "\u{8}" => out.push_str("\\b"),
        "\t" => out.push_str("\\t"),
        "\n" => out.push_str("\\n"),
        "\u{c}" => out.push_str("\\f"),
        "\r" => out.push_str("\\r"),
        control => {
            for byte in control.bytes() {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
}

fn write_array(items: &[Value<'_>], out: &mut String) {
    let mut separator = '[';
    for item in items {
        out.push(separator);
        separator = ',';
        item.write(out);
    }
    out.push_str(if separator == '[' { "[]" } else { "]" });
}

/// Whether an integer is one that strict canonical JSON can hold.
pub(crate) fn in_range(integer: i64) -> bool {
    (-limits::INTEGER_MAX..=limits::INTEGER_MAX).contains(&integer)
}

#[cfg(test)]
mod tests;
