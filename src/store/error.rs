//! What can go wrong with the store, in its own words.

use crate::engine::EngineError;

/// Bytes that are not what their table says they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl Malformed {
    /// Says what was wrong.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Why a read or a write did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// An assertion no longer holds: somebody else wrote first. Nothing was written.
    #[error("a row of table {table} changed meanwhile")]
    Conflict {
        /// The table of the first assertion that failed.
        table: &'static str,
    },
    /// A stored row cannot be read back.
    #[error("table {table} holds a damaged row at key {key}: {why}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The key, in hexadecimal.
        key: String,
        /// What was wrong with it.
        why: Malformed,
    },
    /// A value cannot be stored.
    #[error("a value for table {table} cannot be encoded: {why}")]
    Unstorable {
        /// The table.
        table: &'static str,
        /// What was wrong with it.
        why: Malformed,
    },
    /// The engine failed to answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The disk has no room. Reads go on; writes resume once there is room again.
    #[error("the disk that holds the database is full; nothing was saved")]
    Full,
    /// A write failed in a way that leaves its fate unknown, so no further write is accepted until a restart.
    #[error("the database stopped accepting writes: {0}")]
    ReadOnly(String),
    /// More changes wait to be written than memory should hold.
    #[error("the database is too busy; nothing was saved")]
    Busy,
    /// The store has been closed.
    #[error("the database is closed")]
    Closed,
    /// The database was written by a newer version.
    #[error(
        "the database has schema version {found}, but this version of the server knows only {known}: start the newer version again, or restore a backup made before the upgrade"
    )]
    Newer {
        /// The version that stands in the database.
        found: u64,
        /// The newest version we know.
        known: u64,
    },
    /// A number or a name that must exist does not.
    #[error("no {kind} has the number {number}")]
    UnknownNumber {
        /// Which kind of number.
        kind: &'static str,
        /// The number.
        number: u64,
    },
    /// A closure given to the store panicked.
    #[error("a storage task panicked: {0}")]
    Panicked(String),
    /// Something that cannot happen, with its place.
    #[error("bug in the store: {0}")]
    Bug(&'static str),
}

impl Error {
    /// Whether running the same decision again on a newer snapshot may succeed.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }
}

/// A key as people read it in an error.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}
