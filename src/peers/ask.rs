//! A question to another server: what is asked, how long one waits for the answer, and how long it may be. Sending it is `asker.rs`.

use std::time::Duration;

use http::Method;

/// How long to wait for an answer, and how long it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the moment of asking to the last byte of the answer.
    pub time: Duration,
    /// The longest silence within an answer.
    pub idle: Duration,
    /// Bytes of the answer's body.
    pub bytes: usize,
}

impl Patience {
    /// For a question that somebody waits for: 10 seconds, 1 MiB.
    #[must_use]
    pub const fn quick() -> Self {
        Self {
            time: Duration::from_secs(10),
            idle: Duration::from_secs(10),
            bytes: 1 << 20,
        }
    }

    /// For answers that hold a whole room's state: 10 minutes, 128 MiB. Meant for answers that are read as a stream.
    #[must_use]
    pub const fn long() -> Self {
        Self {
            time: Duration::from_secs(600),
            idle: Duration::from_secs(60),
            bytes: 128 << 20,
        }
    }

    /// The same for as many bytes.
    #[must_use]
    pub const fn bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    /// The same for as long.
    #[must_use]
    pub const fn time(self, time: Duration) -> Self {
        Self { time, ..self }
    }
}

impl Default for Patience {
    /// For ordinary questions: 30 seconds, 16 MiB.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            bytes: 16 << 20,
        }
    }
}

/// A question to another server.
#[derive(Debug, Clone)]
pub struct Ask {
    pub(crate) method: Method,
    pub(crate) path_and_query: String,
    pub(crate) body: Option<String>,
    /// What the asker does not set is the configuration's.
    pub(crate) patience: Option<Patience>,
    pub(crate) insists: bool,
    pub(crate) signed: bool,
}

impl Ask {
    /// A `GET`. The path begins with `/_matrix/`; [`path`] makes one of segments.
    #[must_use]
    pub fn get(path_and_query: impl Into<String>) -> Self {
        Self::new(Method::GET, path_and_query.into(), None)
    }

    /// A `PUT` of JSON.
    #[must_use]
    pub fn put(path_and_query: impl Into<String>, body: impl Into<String>) -> Self {
        Self::new(Method::PUT, path_and_query.into(), Some(body.into()))
    }

    /// A `POST` of JSON.
    #[must_use]
    pub fn post(path_and_query: impl Into<String>, body: impl Into<String>) -> Self {
        Self::new(Method::POST, path_and_query.into(), Some(body.into()))
    }

    fn new(method: Method, path_and_query: String, body: Option<String>) -> Self {
        Self {
            method,
            path_and_query,
            body,
            patience: None,
            insists: false,
            signed: true,
        }
    }

    /// With more or less patience than usual.
    #[must_use]
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Asks even a server that has failed lately. For what cannot be asked later, such as claiming keys for a message that is about to be sent.
    #[must_use]
    pub fn insisting(mut self) -> Self {
        self.insists = true;
        self
    }

    /// Not signed: for the few endpoints that anybody may ask, such as those by which keys are found out.
    #[must_use]
    pub fn unsigned(mut self) -> Self {
        self.signed = false;
        self
    }
}

/// A path of these segments, each percent-encoded as a whole: a slash within a segment stays within it.
#[must_use]
pub fn path(segments: &[&str]) -> String {
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        encode(&mut path, segment);
    }
    path
}

/// A path of these segments, and a query of these pairs, percent-encoded.
#[must_use]
pub fn path_and_query(segments: &[&str], query: &[(&str, &str)]) -> String {
    let mut text = path(segments);
    for (at, (name, value)) in query.iter().enumerate() {
        text.push(if at == 0 { '?' } else { '&' });
        encode(&mut text, name);
        text.push('=');
        encode(&mut text, value);
    }
    text
}

/// Everything but RFC 3986's unreserved characters is encoded: nobody on the way can take it for something else.
fn encode(out: &mut String, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |nibble: u8| {
                DIGITS
                    .get(usize::from(nibble))
                    .copied()
                    .map_or('0', char::from)
            };
            out.push('%');
            out.push(digit(byte >> 4));
            out.push(digit(byte & 15));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_stays_one_whatever_it_holds() {
        assert_eq!(
            path(&["_matrix", "federation", "v1", "event", "$a/b+c?d#e:x"]),
            "/_matrix/federation/v1/event/%24a%2Fb%2Bc%3Fd%23e%3Ax"
        );
        assert_eq!(
            path_and_query(&["a"], &[("user_id", "@é:x"), ("v", "1&2")]),
            "/a?user_id=%40%C3%A9%3Ax&v=1%262"
        );
        assert_eq!(path_and_query(&["a"], &[]), "/a");
    }
}
