//! Consistent views: a database with its column families at hand, a snapshot of it, a walk over rows.
//!
//! A snapshot borrows its database, and a reader wants to carry it about; `self_cell` keeps the two together.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use rocksdb::{ColumnFamily, DB, DBRawIterator, ReadOptions, Snapshot};
use self_cell::self_cell;
use store::TableId;
use store::engine::{Cursor, EngineError, KeyRange, Order, View};

use crate::failure::failure;

/// Column families by the hash of their table's name.
pub(crate) struct Families<'d>(HashMap<u64, &'d ColumnFamily, BuildHasherDefault<AlreadyHashed>>);

impl<'d> Families<'d> {
    /// The families of these tables.
    pub(crate) fn of(db: &'d DB, tables: &[TableId]) -> Self {
        let family = |table: &TableId| Some((table.hash(), db.cf_handle(table.name())?));
        Self(tables.iter().filter_map(family).collect())
    }

    pub(crate) fn get(&self, table: TableId) -> Result<&'d ColumnFamily, EngineError> {
        let family = self.0.get(&table.hash()).copied();
        family.ok_or(EngineError::NoTable(table.name()))
    }

    pub(crate) fn all(&self) -> Vec<&'d ColumnFamily> {
        self.0.values().copied().collect()
    }
}

/// Table names are hashed at compile time.
#[derive(Default)]
pub(crate) struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

self_cell!(
    /// An open database with its column families.
    pub(crate) struct Database {
        owner: DB,
        #[covariant]
        dependent: Families,
    }
);

/// A snapshot, and the options by which single rows are read from it.
struct Held<'d> {
    options: ReadOptions,
    snapshot: Snapshot<'d>,
}

self_cell!(
    /// A database as of one moment.
    pub(crate) struct Moment {
        owner: Arc<Database>,
        #[covariant]
        dependent: Held,
    }
);

impl Moment {
    /// The present.
    pub(crate) fn now(database: Arc<Database>) -> Self {
        Self::new(database, |database| {
            let snapshot = database.borrow_owner().snapshot();
            let mut options = ReadOptions::default();
            options.set_snapshot(&snapshot);
            Held { options, snapshot }
        })
    }

    fn db(&self) -> &DB {
        self.borrow_owner().borrow_owner()
    }

    fn family(&self, table: TableId) -> Result<&ColumnFamily, EngineError> {
        self.borrow_owner().borrow_dependent().get(table)
    }
}

impl View for Moment {
    fn get(
        &self,
        table: TableId,
        key: &[u8],
        found: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, EngineError> {
        let options = &self.borrow_dependent().options;
        let value = self
            .db()
            .get_pinned_cf_opt(self.family(table)?, key, options);
        let value = value.map_err(failure)?;
        if let Some(value) = &value {
            found(value);
        }
        Ok(value.is_some())
    }

    fn get_many(
        &self,
        table: TableId,
        keys: &[&[u8]],
        found: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<(), EngineError> {
        let options = &self.borrow_dependent().options;
        let family = self.family(table)?;
        let sorted = keys.is_sorted();
        let values = self
            .db()
            .batched_multi_get_cf_opt(family, keys, sorted, options);
        for (place, value) in values.into_iter().enumerate() {
            if let Some(value) = value.map_err(failure)? {
                found(place, &value);
            }
        }
        Ok(())
    }

    fn scan<'v>(
        &'v self,
        table: TableId,
        range: &KeyRange,
        order: Order,
    ) -> Result<Box<dyn Cursor + 'v>, EngineError> {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.borrow_dependent().snapshot);
        if !range.start.is_empty() {
            options.set_iterate_lower_bound(range.start.as_slice());
        }
        if let Some(end) = &range.end {
            options.set_iterate_upper_bound(end.as_slice());
        }
        let rows = self.db().raw_iterator_cf_opt(self.family(table)?, options);
        // RocksDB does not say what bounds that are upside down mean.
        let at = if range.is_empty() { At::End } else { At::Start };
        Ok(Box::new(Walk { rows, order, at }))
    }
}

struct Walk<'v> {
    rows: DBRawIterator<'v>,
    order: Order,
    at: At,
}

#[derive(Clone, Copy)]
enum At {
    Start,
    Row,
    End,
}

impl Cursor for Walk<'_> {
    fn advance(&mut self) -> Result<bool, EngineError> {
        match (self.at, self.order) {
            (At::Start, Order::Forward) => self.rows.seek_to_first(),
            (At::Start, Order::Backward) => self.rows.seek_to_last(),
            (At::Row, Order::Forward) => self.rows.next(),
            (At::Row, Order::Backward) => self.rows.prev(),
            (At::End, _) => return Ok(false),
        }
        if self.rows.valid() {
            self.at = At::Row;
            return Ok(true);
        }
        self.at = At::End;
        self.rows.status().map_err(failure)?;
        Ok(false)
    }

    fn key(&self) -> &[u8] {
        self.rows.key().unwrap_or_default()
    }

    fn value(&self) -> &[u8] {
        self.rows.value().unwrap_or_default()
    }
}
