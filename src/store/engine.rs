//! The contract of an engine: ordered bytes in tables, consistent views, atomic batches, one sync for many of them.
//!
//! There is one writer, the committer: it has checked the assertions and filled the positions in before an engine
//! sees a batch. An engine never interprets keys or values. `suite.rs` says what every engine must prove.

use std::path::Path;
use std::sync::Arc;

use crate::batch::Batch;
use crate::table::TableId;

/// Why an engine did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Nothing was written: there is no room. Worth trying again after [`Engine::recover`].
    #[error("no space left for the database: {0}")]
    Full(String),
    /// Stored bytes fail their checksum or make no sense.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// Another process has the database open.
    #[error("{0}")]
    InUse(String),
    /// The operating system or the engine reported a failure. After a write, its fate is unknown.
    #[error("the database failed: {0}")]
    Failed(String),
    /// A table that the engine was not opened with.
    #[error("the database has no table {0}")]
    NoTable(&'static str),
}

/// Keys and values in tables, on disk or not.
pub trait Engine: Send + Sync + 'static {
    /// A consistent view of everything, as of now.
    fn snapshot(&self) -> Result<Arc<dyn View>, EngineError>;

    /// All writes of all batches, in order, or none of them. With `sync`, they and everything written before are on
    /// disk when this returns; without, they survive the death of the process but perhaps not of the machine.
    fn commit(&self, batches: &[&Batch], sync: bool) -> Result<(), EngineError>;

    /// Brings everything that was committed to disk.
    fn sync(&self) -> Result<(), EngineError>;

    /// A copy that could be opened elsewhere, taken while running. The folder must not exist yet.
    fn checkpoint(&self, to: &Path) -> Result<(), EngineError>;

    /// After [`EngineError::Full`]: makes writing possible again, if there is room now.
    fn recover(&self) -> Result<(), EngineError>;

    /// Before an orderly end: whatever makes the next start quick. No commit follows.
    fn settle(&self) -> Result<(), EngineError> {
        Ok(())
    }

    /// What the engine would like its operator to know, as text; the first line is its name and place.
    fn statistics(&self) -> String;
}

/// Everything, as of one moment.
pub trait View: Send + Sync {
    /// Shows the value of a key to `found`, if there is one, and says whether there is.
    fn get(
        &self,
        table: TableId,
        key: &[u8],
        found: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, EngineError>;

    /// Shows the values of many keys, with the place of the key in `keys`, in any order.
    fn get_many(
        &self,
        table: TableId,
        keys: &[&[u8]],
        found: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<(), EngineError>;

    /// Starts before the first row of a range.
    fn scan<'v>(
        &'v self,
        table: TableId,
        range: &KeyRange,
        order: Order,
    ) -> Result<Box<dyn Cursor + 'v>, EngineError>;
}

/// A walk over rows. [`Cursor::advance`] comes first.
pub trait Cursor {
    /// Goes to the next row; false when there is none.
    fn advance(&mut self) -> Result<bool, EngineError>;
    /// The row's key.
    fn key(&self) -> &[u8];
    /// The row's value.
    fn value(&self) -> &[u8];
}

/// In which direction to walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the smallest key on.
    Forward,
    /// From the largest key back.
    Backward,
}

/// The keys from `start` up to but not including `end`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyRange {
    /// The smallest key.
    pub start: Vec<u8>,
    /// The key after the largest one; none for the end of the table.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Whether no key can be in it.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether a key is in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start.as_slice() && self.end.as_ref().is_none_or(|end| key < end.as_slice())
    }
}
