//! Writing JSON by hand: most of an answer is bytes that are stored already, and are copied, not parsed.

use std::fmt::Write;

use serde::Serialize;

/// JSON being written. Commas are its business, balance is the caller's.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    text: String,
}

impl Writer {
    /// Nothing written, room for `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            text: String::with_capacity(capacity),
        }
    }

    /// What has been written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.text.into_bytes()
    }

    /// What has been written.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// The text so far, to be appended to.
    pub(crate) fn text(&mut self) -> &mut String {
        &mut self.text
    }

    /// How much has been written.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Opens an object.
    pub(crate) fn open(&mut self) {
        self.text.push('{');
    }

    /// Closes an object.
    pub(crate) fn close(&mut self) {
        self.text.push('}');
    }

    /// Opens an array.
    pub(crate) fn open_list(&mut self) {
        self.text.push('[');
    }

    /// Closes an array.
    pub(crate) fn close_list(&mut self) {
        self.text.push(']');
    }

    /// Makes ready for one more element of an array.
    pub(crate) fn item(&mut self) {
        if !matches!(self.text.as_bytes().last(), None | Some(b'{' | b'[' | b':')) {
            self.text.push(',');
        }
    }

    /// Writes a key that needs no escapes.
    pub(crate) fn key(&mut self, key: &'static str) {
        self.item();
        self.text.push('"');
        self.text.push_str(key);
        self.text.push_str("\":");
    }

    /// Writes a key of any kind.
    pub(crate) fn any_key(&mut self, key: &str) {
        self.item();
        self.string(key);
        self.text.push(':');
    }

    /// Writes a string.
    pub(crate) fn string(&mut self, text: &str) {
        let plain = text
            .bytes()
            .all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
        if plain {
            self.text.push('"');
            self.text.push_str(text);
            self.text.push('"');
        } else {
            self.value(text);
        }
    }

    /// Writes a number.
    pub(crate) fn number(&mut self, number: impl Into<i128>) {
        // Writing to memory does not fail.
        let _ = write!(self.text, "{}", number.into());
    }

    /// Writes `true` or `false`.
    pub(crate) fn boolean(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    /// Copies JSON.
    pub(crate) fn raw(&mut self, json: &str) {
        self.text.push_str(json);
    }

    /// Writes a value through `serde`. What we pass are strings and trees of them, which cannot fail.
    pub(crate) fn value<T: Serialize + ?Sized>(&mut self, value: &T) {
        match serde_json::to_string(value) {
            Ok(json) => self.raw(&json),
            Err(_) => self.raw("null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_and_escapes_fall_into_place() {
        let mut out = Writer::default();
        out.open();
        out.key("a");
        out.open_list();
        for number in [1_u64, 2] {
            out.item();
            out.number(number);
        }
        out.close_list();
        out.any_key("\"q\\\n\u{1}é");
        out.open();
        out.close();
        out.key("b");
        out.boolean(false);
        out.close();
        let text = String::from_utf8(out.into_bytes()).unwrap();
        assert_eq!(
            text,
            "{\"a\":[1,2],\"\\\"q\\\\\\n\\u0001é\":{},\"b\":false}"
        );
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
}
