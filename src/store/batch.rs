//! A batch: what one transaction wants written, and what must still be true for it. Plain bytes, one buffer.

use std::sync::Arc;

use crate::codec::{Hole, KeyBuf};
use crate::error::Malformed;
use crate::log::{Change, Pos};
use crate::numbers::{Pending, Used};
use crate::row::{RowBuf, RowOf};
use crate::table::TableId;

/// One write, as an engine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write<'b> {
    /// Sets a key.
    Put {
        /// In which table.
        table: TableId,
        /// The key.
        key: &'b [u8],
        /// The value.
        value: &'b [u8],
    },
    /// Removes a key, whether or not it is there.
    Delete {
        /// From which table.
        table: TableId,
        /// The key.
        key: &'b [u8],
    },
    /// Removes every key in a range.
    DeleteRange {
        /// From which table.
        table: TableId,
        /// The first key.
        start: &'b [u8],
        /// The key after the last one; none for the end of the table.
        end: Option<&'b [u8]>,
    },
}

impl<'b> Write<'b> {
    /// Whether it decides what a key holds.
    pub(crate) fn covers(&self, in_table: TableId, at: &[u8]) -> bool {
        match *self {
            Self::Put { table, key, .. } | Self::Delete { table, key } => {
                table == in_table && key == at
            }
            Self::DeleteRange { table, start, end } => {
                table == in_table && at >= start && end.is_none_or(|end| at < end)
            }
        }
    }

    /// What it leaves at the keys it covers.
    pub(crate) fn value(&self) -> Option<&'b [u8]> {
        match *self {
            Self::Put { value, .. } => Some(value),
            Self::Delete { .. } | Self::DeleteRange { .. } => None,
        }
    }
}

/// What a batch wants written and what must still be true for it.
#[derive(Debug, Default)]
pub struct Batch {
    buf: RowBuf,
    ops: Vec<Op>,
    assertions: Vec<Assertion>,
    /// What goes into the log; slot `n` is the position of the n-th of these.
    pub(crate) changes: Vec<Change>,
    /// How many positions stay unused in front of the first of these.
    pub(crate) skipped: u64,
    /// Names given a number by this batch; held so that others use the same number meanwhile.
    pub(crate) interned: Vec<Arc<Pending>>,
    /// The highest numbers used by this batch.
    pub(crate) used: Used,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

#[derive(Debug)]
enum Op {
    Put {
        table: TableId,
        key: Span,
        value: Span,
    },
    Delete {
        table: TableId,
        key: Span,
    },
    DeleteRange {
        table: TableId,
        start: Span,
        end: Option<Span>,
    },
}

#[derive(Debug)]
struct Assertion {
    table: TableId,
    key: Span,
    expected: Option<Span>,
    or_absent: bool,
}

/// What a key must hold for a batch to be written.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'b> {
    /// In which table.
    pub table: TableId,
    /// The key.
    pub key: &'b [u8],
    expected: Option<&'b [u8]>,
    or_absent: bool,
}

impl Claim<'_> {
    /// Whether the claim is true of a key that holds `found`.
    pub fn holds(&self, found: Option<&[u8]>) -> bool {
        found == self.expected || (self.or_absent && found.is_none())
    }
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// How many bytes of keys and values it holds.
    pub fn size(&self) -> usize {
        self.buf.bytes.len()
    }

    /// The writes, in the order in which they take effect.
    pub fn writes(&self) -> impl DoubleEndedIterator<Item = Write<'_>> + ExactSizeIterator {
        self.ops.iter().map(|op| match *op {
            Op::Put { table, key, value } => Write::Put {
                table,
                key: self.slice(key),
                value: self.slice(value),
            },
            Op::Delete { table, key } => Write::Delete {
                table,
                key: self.slice(key),
            },
            Op::DeleteRange { table, start, end } => Write::DeleteRange {
                table,
                start: self.slice(start),
                end: end.map(|end| self.slice(end)),
            },
        })
    }

    /// What must still be true.
    pub fn claims(&self) -> impl ExactSizeIterator<Item = Claim<'_>> {
        self.assertions.iter().map(|assertion| Claim {
            table: assertion.table,
            key: self.slice(assertion.key),
            expected: assertion.expected.map(|expected| self.slice(expected)),
            or_absent: assertion.or_absent,
        })
    }

    /// Sets a key to a value.
    pub fn put<V, R: RowOf<V> + ?Sized>(
        &mut self,
        table: TableId,
        key: &KeyBuf,
        value: &R,
    ) -> Result<(), Malformed> {
        let (bytes, holes) = (self.buf.bytes.len(), self.buf.holes.len());
        let key = self.append_key(key);
        let start = self.buf.bytes.len();
        if let Err(why) = value.encode(&mut self.buf) {
            self.buf.bytes.truncate(bytes);
            self.buf.holes.truncate(holes);
            return Err(why);
        }
        let value = Span {
            start,
            end: self.buf.bytes.len(),
        };
        self.ops.push(Op::Put { table, key, value });
        Ok(())
    }

    /// Removes a key.
    pub fn delete(&mut self, table: TableId, key: &KeyBuf) {
        let key = self.append_key(key);
        self.ops.push(Op::Delete { table, key });
    }

    /// Removes every key from `start` up to but not including `end`.
    pub fn delete_range(&mut self, table: TableId, start: &[u8], end: Option<&[u8]>) {
        let start = self.append(start);
        let end = end.map(|end| self.append(end));
        self.ops.push(Op::DeleteRange { table, start, end });
    }

    /// Asserts that a key holds exactly these bytes, or nothing.
    pub fn claim(&mut self, table: TableId, key: &[u8], expected: Option<&[u8]>) {
        let key = self.append(key);
        let expected = expected.map(|expected| self.append(expected));
        self.assertions.push(Assertion {
            table,
            key,
            expected,
            or_absent: false,
        });
    }

    /// Asserts that a key holds exactly these bytes, if it holds anything.
    pub fn claim_if_present(&mut self, table: TableId, key: &[u8], expected: &[u8]) {
        let key = self.append(key);
        let expected = Some(self.append(expected));
        self.assertions.push(Assertion {
            table,
            key,
            expected,
            or_absent: true,
        });
    }

    /// Fills the positions in: slot 0 becomes `first`, the others follow it.
    pub(crate) fn fill(&mut self, first: Pos) {
        for hole in self.buf.holes.drain(..) {
            let number = first.get() + u64::from(hole.slot);
            if let Some(bytes) = self.buf.bytes.get_mut(hole.at..hole.at + 8) {
                bytes.copy_from_slice(&number.to_be_bytes());
            }
        }
    }

    fn append_key(&mut self, key: &KeyBuf) -> Span {
        let span = self.append(key.as_bytes());
        let moved = key.holes().iter().map(|hole| Hole {
            at: hole.at + span.start,
            slot: hole.slot,
        });
        self.buf.holes.extend(moved);
        span
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.buf.bytes.len();
        self.buf.push(bytes);
        Span {
            start,
            end: self.buf.bytes.len(),
        }
    }

    fn slice(&self, span: Span) -> &[u8] {
        self.buf.bytes.get(span.start..span.end).unwrap_or_default()
    }
}
