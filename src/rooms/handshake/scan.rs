//! Reads the answer to a join while it arrives, event by event: it may be long, and is never held as a whole. What an event is, is
//! not known here.

use event::limits;

/// The lists whose elements are events.
const LISTS: [&str; 2] = ["state", "auth_chain"];
/// Bytes of any other member of the answer: the event that was handed in, the names of the servers in the room.
const VALUE_BYTES: usize = 4 << 20;
/// Bytes of a member's name.
const NAME_BYTES: usize = 1 << 10;

/// A part of the answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// An element of `state`.
    State(String),
    /// An element of `auth_chain`.
    Auth(String),
    /// Any other member of the answer.
    Other(String, String),
}

/// Where the reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the answer's brace.
    Start,
    /// Between members.
    Members,
    /// In a member's name.
    Name,
    /// After a member's name.
    Colon,
    /// Before a member's value.
    Value,
    /// In the value of a member that is no list of events.
    InValue,
    /// Between the elements of a list.
    Elements,
    /// In an element.
    InElement,
    /// After the answer.
    End,
}

/// Reads an answer, a few bytes at a time.
#[derive(Debug)]
pub(super) struct Scanner {
    at: At,
    name: Vec<u8>,
    buffer: Vec<u8>,
    depth: u32,
    in_string: bool,
    escaped: bool,
}

/// The answer is not what it should be.
type Wrong = &'static str;

impl Scanner {
    pub(super) fn new() -> Self {
        Self {
            at: At::Start,
            name: Vec::new(),
            buffer: Vec::new(),
            depth: 0,
            in_string: false,
            escaped: false,
        }
    }

    /// Takes in more of the answer; every part that is complete with it is added to `found`.
    pub(super) fn feed(&mut self, bytes: &[u8], found: &mut Vec<Part>) -> Result<(), Wrong> {
        for byte in bytes {
            self.step(*byte, found)?;
        }
        Ok(())
    }

    /// Whether the answer is complete.
    pub(super) fn finish(&self) -> Result<(), Wrong> {
        if self.at == At::End {
            Ok(())
        } else {
            Err("it breaks off")
        }
    }

    fn step(&mut self, byte: u8, found: &mut Vec<Part>) -> Result<(), Wrong> {
        let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match (self.at, byte) {
            (At::Name, _) => self.name(byte),
            (At::InValue | At::InElement, _) => self.inside(byte, found),
            _ if is_space => Ok(()),
            (At::Start, b'{') => self.go(At::Members),
            (At::Members, b'}') => self.go(At::End),
            (At::Members, b'"') => {
                self.name.clear();
                self.go(At::Name)
            }
            (At::Members | At::Elements, b',') => Ok(()),
            (At::Colon, b':') => self.go(At::Value),
            (At::Value, b'[') if self.is_list() => self.go(At::Elements),
            (At::Value, _) if self.is_list() => Err("one of its lists of events is none"),
            (At::Value, _) => {
                self.begin(At::InValue);
                self.inside(byte, found)
            }
            (At::Elements, b']') => self.go(At::Members),
            (At::Elements, b'{') => {
                self.begin(At::InElement);
                self.inside(byte, found)
            }
            _ => Err("it is no JSON object of lists of events"),
        }
    }

    fn go(&mut self, at: At) -> Result<(), Wrong> {
        self.at = at;
        Ok(())
    }

    fn begin(&mut self, at: At) {
        self.at = at;
        self.buffer.clear();
        (self.depth, self.in_string, self.escaped) = (0, false, false);
    }

    /// The names that matter have nothing in them that could be written in two ways, so none is unescaped.
    fn name(&mut self, byte: u8) -> Result<(), Wrong> {
        if byte == b'"' && self.name.last() != Some(&b'\\') {
            return self.go(At::Colon);
        }
        if self.name.len() >= NAME_BYTES {
            return Err("it has a member with an endless name");
        }
        self.name.push(byte);
        Ok(())
    }

    fn is_list(&self) -> bool {
        LISTS.iter().any(|list| list.as_bytes() == self.name)
    }

    fn inside(&mut self, byte: u8, found: &mut Vec<Part>) -> Result<(), Wrong> {
        let ends_scalar = self.depth == 0 && !self.in_string && matches!(byte, b',' | b'}');
        if ends_scalar && !self.buffer.is_empty() {
            self.complete(found)?;
            return self.step(byte, found);
        }
        let limit = if self.at == At::InElement {
            limits::RAW_EVENT_BYTES
        } else {
            VALUE_BYTES
        };
        if self.buffer.len() >= limit {
            return Err("a part of it is too large");
        }
        self.buffer.push(byte);
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return Ok(());
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    return self.complete(found);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn complete(&mut self, found: &mut Vec<Part>) -> Result<(), Wrong> {
        let text = |bytes: &mut Vec<u8>| {
            String::from_utf8(std::mem::take(bytes)).map_err(|_| "it is not UTF-8")
        };
        let value = text(&mut self.buffer)?;
        if self.at == At::InElement {
            let is_state = self.name == b"state";
            found.push(if is_state {
                Part::State(value)
            } else {
                Part::Auth(value)
            });
            return self.go(At::Elements);
        }
        let name = text(&mut self.name)?;
        found.push(Part::Other(name, value.trim_end().to_owned()));
        self.go(At::Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str, step: usize) -> Result<Vec<Part>, Wrong> {
        let mut scanner = Scanner::new();
        let mut found = Vec::new();
        for bytes in text.as_bytes().chunks(step) {
            scanner.feed(bytes, &mut found)?;
        }
        scanner.finish()?;
        Ok(found)
    }

    #[test]
    fn an_answer_is_read_the_same_in_whatever_pieces_it_arrives() {
        let text = r#" { "origin" : "a.b" , "n":1,"state": [ {"a":"}]\"\\"} ,{"b":[{}]}],"event":{"x":{}},"auth_chain":[],"t":true } "#;
        let whole = vec![
            Part::Other("origin".to_owned(), "\"a.b\"".to_owned()),
            Part::Other("n".to_owned(), "1".to_owned()),
            Part::State(r#"{"a":"}]\"\\"}"#.to_owned()),
            Part::State(r#"{"b":[{}]}"#.to_owned()),
            Part::Other("event".to_owned(), r#"{"x":{}}"#.to_owned()),
            Part::Other("t".to_owned(), "true".to_owned()),
        ];
        for step in [1, 2, 3, 7, 1000] {
            assert_eq!(scan(text, step).unwrap(), whole, "in steps of {step}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in [
            "",
            "[]",
            "{",
            "{\"state\":{}}",
            "{\"state\":[1]}",
            "{\"state\":[{}",
            "{\"a\":1}}",
            "{\"state\":[{\"a\":\"",
        ] {
            assert!(scan(text, 3).is_err(), "{text}");
        }
        let endless = format!(
            "{{\"state\":[{{\"a\":\"{}",
            "x".repeat(limits::RAW_EVENT_BYTES)
        );
        assert!(scan(&endless, 4096).is_err());
        let endless = format!("{{\"{}", "x".repeat(2 * NAME_BYTES));
        assert!(scan(&endless, 4096).is_err());
    }
}
