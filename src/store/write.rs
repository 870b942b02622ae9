//! A transaction: a snapshot to decide on, and the batch that the decision becomes. Committing is in `commit.rs`.

use std::collections::HashSet;
use std::ops::{Deref, RangeBounds};
use std::sync::Arc;

use crate::admit::unstorable;
use crate::batch::Batch;
use crate::codec::{Key, KeyBuf, KeyOf, PrefixOf};
use crate::error::Error;
use crate::log::{Change, Pos};
use crate::numbers::Pending;
use crate::read::{Snapshot, corrupt, key_range, prefix_range};
use crate::row::{Row, RowBuf, RowOf};
use crate::table::Table;

/// What a decision reads and what it wants written. Reads are those of its [`Snapshot`] and do not see its own
/// writes; the writes happen all together or not at all, when it is committed.
pub struct Tx {
    snapshot: Snapshot,
    batch: Batch,
    interned: HashSet<(u64, u64)>,
}

impl Deref for Tx {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx")
            .field("snapshot", &self.snapshot)
            .field("batch", &self.batch)
            .finish()
    }
}

impl Tx {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self {
            snapshot,
            batch: Batch::default(),
            interned: HashSet::new(),
        }
    }

    /// The snapshot, to be kept beyond the transaction.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Sets a key.
    pub fn put<K, V, Q, R>(&mut self, table: Table<K, V>, key: &Q, value: &R) -> Result<(), Error>
    where
        Q: KeyOf<K> + ?Sized,
        R: RowOf<V> + ?Sized,
    {
        let put = self.batch.put::<V, R>(table.id(), &KeyBuf::of(key), value);
        put.map_err(|why| unstorable(table.id(), why))
    }

    /// Removes a key, whether or not it is there.
    pub fn delete<K, V, Q: KeyOf<K> + ?Sized>(&mut self, table: Table<K, V>, key: &Q) {
        self.batch.delete(table.id(), &KeyBuf::of(key));
    }

    /// Removes every key that begins with `prefix`.
    pub fn delete_prefix<K: Key, V, P: PrefixOf<K> + ?Sized>(
        &mut self,
        table: Table<K, V>,
        prefix: &P,
    ) {
        let range = prefix_range(&KeyBuf::of_prefix(prefix));
        self.batch
            .delete_range(table.id(), &range.start, range.end.as_deref());
    }

    /// Removes every key in a range.
    pub fn delete_range<K: Key, V>(&mut self, table: Table<K, V>, range: impl RangeBounds<K>) {
        let range = key_range(&range);
        if !range.is_empty() {
            self.batch
                .delete_range(table.id(), &range.start, range.end.as_deref());
        }
    }

    /// Asserts that a key will hold this value, or nothing, just before the batch is written. Earlier batches that
    /// still wait to be written count.
    pub fn expect<K, V: Row, Q: KeyOf<K> + ?Sized>(
        &mut self,
        table: Table<K, V>,
        key: &Q,
        expected: Option<&V>,
    ) -> Result<(), Error> {
        let mut value = RowBuf::default();
        if let Some(expected) = expected {
            expected
                .encode(&mut value)
                .map_err(|why| unstorable(table.id(), why))?;
        }
        let key = KeyBuf::of(key);
        if !key.holes().is_empty() || !value.holes.is_empty() {
            return Err(Error::Bug(
                "an assertion about a position that is not assigned yet",
            ));
        }
        self.batch.claim(
            table.id(),
            key.as_bytes(),
            expected.map(|_| value.bytes.as_slice()),
        );
        Ok(())
    }

    /// Reads a key and asserts that nobody changes it before this is written.
    pub fn get_for_update<K, V: Row, Q: KeyOf<K> + ?Sized>(
        &mut self,
        table: Table<K, V>,
        key: &Q,
    ) -> Result<Option<V>, Error> {
        let key = KeyBuf::of(key);
        let batch = &mut self.batch;
        let found = self.snapshot.with_encoded(table.id(), &key, |bytes| {
            batch.claim(table.id(), key.as_bytes(), Some(bytes));
            V::decode(bytes)
        })?;
        if found.is_none() {
            self.batch.claim(table.id(), key.as_bytes(), None);
        }
        found
            .transpose()
            .map_err(|why| corrupt(table.id(), key.as_bytes(), why))
    }

    /// Appends a change to the log. The position is a slot: it may stand in keys and values of this transaction and
    /// becomes a number when it is committed.
    pub fn log(&mut self, change: Change) -> Pos {
        // More than four billion changes do not fit into memory first.
        let slot = u32::try_from(self.batch.changes.len()).unwrap_or(u32::MAX);
        self.batch.changes.push(change);
        Pos::of_slot(slot)
    }

    /// Leaves at least so many positions unused in front of its first one, for what will turn out to be older. Without a
    /// change in the log this does nothing.
    pub fn leave_room(&mut self, positions: u64) {
        self.batch.skipped = self.batch.skipped.max(positions);
    }

    /// How many changes it has appended to the log. Its positions are the last ones up to what the commit returns.
    pub fn logged(&self) -> usize {
        self.batch.changes.len()
    }

    /// How many bytes it would write.
    pub fn size(&self) -> usize {
        self.batch.size()
    }

    pub(crate) fn batch_mut(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// Whether this transaction has numbered that name itself; it will have, after this.
    pub(crate) fn holds(&mut self, pending: &Arc<Pending>) -> bool {
        !self.interned.insert(pending.place())
    }

    pub(crate) fn into_batch(self) -> Batch {
        self.batch
    }
}
