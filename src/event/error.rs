//! What can be wrong with an event before any authorisation rule is asked.

use ruma::{OwnedEventId, OwnedServerName};

/// Why an event, or a piece of JSON, was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not JSON.
    #[error("not valid JSON at byte {at}: {problem}")]
    Json {
        /// Where the parser stopped.
        at: usize,
        /// What it found there.
        problem: &'static str,
    },
    /// The text is JSON, but not one that canonical JSON can express.
    #[error("not canonical JSON at byte {at}: {problem}")]
    NotCanonical {
        /// Where the parser stopped.
        at: usize,
        /// What it found there.
        problem: &'static str,
    },
    /// A field is absent, or has the wrong type or form.
    #[error("`{field}` {problem}")]
    Field {
        /// The name of the field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Something exceeds its limit (see [`crate::limits`]).
    #[error("{what} is larger than {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The largest size allowed.
        limit: usize,
    },
    /// A server that had to sign did not, or only with algorithms nobody knows.
    #[error("{server} has not signed")]
    Unsigned {
        /// The server that should have signed.
        server: OwnedServerName,
    },
    /// None of the keys a server signed with is known and valid at the time of the event.
    #[error("no valid key of {server} is known for its signatures")]
    NoKey {
        /// The server that signed.
        server: OwnedServerName,
    },
    /// A signature does not match what was signed.
    #[error("signature of {server} with {key_id} is wrong")]
    BadSignature {
        /// The server that is said to have signed.
        server: OwnedServerName,
        /// The key that is said to have been used.
        key_id: String,
    },
    /// This room version names earlier events together with their hash, and the hash was not given.
    #[error("the reference hash of {0} is needed")]
    NoReferenceHash(OwnedEventId),
    /// Two copies of one event were expected, and two events given.
    #[error("{0} is another event")]
    OtherEvent(OwnedEventId),
    /// A key could not be read.
    #[error("not an ed25519 key: {0}")]
    Key(&'static str),
    /// A mistake of ours.
    #[error("bug: {0}")]
    Bug(&'static str),
}

impl Error {
    pub(crate) fn field(field: &'static str, problem: &'static str) -> Self {
        Self::Field { field, problem }
    }
}
