//! A snapshot as typed views: one consistent moment, in which nothing changes. How it is taken is in `commit.rs`.

use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use crate::codec::{Key, KeyBuf, KeyOf, PrefixOf, after_prefix, decode_all};

use crate::engine::{Cursor, EngineError, KeyRange, View};
use crate::error::{Error, Malformed, hex};
use crate::log::Pos;
use crate::numbers::Numbers;
use crate::row::Row;
use crate::shared::{Published, Shared};
use crate::table::{Table, TableId};

pub use crate::engine::Order;

/// Everything, as of one position of the log. Cheap to clone and to send elsewhere; holding one costs other people
/// nothing but the disk space of what has been overwritten since.
#[derive(Clone)]
pub struct Snapshot {
    published: Arc<Published>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("head", &self.head())
            .finish()
    }
}

impl Snapshot {
    pub(crate) fn new(published: Arc<Published>, shared: Arc<Shared>) -> Self {
        Self { published, shared }
    }

    /// The last position of the log that is part of it. Nothing after it is.
    pub fn head(&self) -> Pos {
        self.published.head
    }

    /// The value of a key.
    pub fn get<K, V: Row, Q: KeyOf<K> + ?Sized>(
        &self,
        table: Table<K, V>,
        key: &Q,
    ) -> Result<Option<V>, Error> {
        self.get_encoded(table, &KeyBuf::of(key))
    }

    /// Shows the bytes of a value, without copying them, and returns what `look` makes of them.
    pub fn with<K, V, Q: KeyOf<K> + ?Sized, T>(
        &self,
        table: Table<K, V>,
        key: &Q,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, Error> {
        self.with_encoded(table.id(), &KeyBuf::of(key), look)
    }

    /// The values of many keys, in the order of the keys. Cheaper than as many single reads.
    pub fn get_many<K, V: Row, Q: KeyOf<K>>(
        &self,
        table: Table<K, V>,
        keys: &[Q],
    ) -> Result<Vec<Option<V>>, Error> {
        let encoded: Vec<KeyBuf> = keys.iter().map(KeyBuf::of).collect();
        for key in &encoded {
            refuse_slots(key)?;
        }
        let bytes: Vec<&[u8]> = encoded.iter().map(KeyBuf::as_bytes).collect();
        let mut values: Vec<Option<Result<V, Malformed>>> = Vec::new();
        values.resize_with(keys.len(), || None);
        self.shared.count_call();
        self.view()
            .get_many(table.id(), &bytes, &mut |place, value| {
                if let Some(slot) = values.get_mut(place) {
                    *slot = Some(V::decode(value));
                }
            })?;
        let decoded = values.into_iter().zip(&encoded);
        decoded
            .map(|(value, key)| {
                value
                    .transpose()
                    .map_err(|why| corrupt(table.id(), key.as_bytes(), why))
            })
            .collect()
    }

    /// Whether a key holds anything.
    pub fn contains<K, V, Q: KeyOf<K> + ?Sized>(
        &self,
        table: Table<K, V>,
        key: &Q,
    ) -> Result<bool, Error> {
        self.with_encoded(table.id(), &KeyBuf::of(key), |_| ())
            .map(|found| found.is_some())
    }

    /// The rows in a range of whole keys.
    pub fn scan<K: Key, V: Row>(
        &self,
        table: Table<K, V>,
        range: impl RangeBounds<K>,
        order: Order,
    ) -> Scan<'_, K, V> {
        self.walk(table, &key_range(&range), order)
    }

    /// The rows whose keys begin with `prefix`: `(a,)`, `(a, b)`, …
    pub fn prefix<K: Key, V: Row, P: PrefixOf<K> + ?Sized>(
        &self,
        table: Table<K, V>,
        prefix: &P,
        order: Order,
    ) -> Scan<'_, K, V> {
        self.walk(table, &prefix_range(&KeyBuf::of_prefix(prefix)), order)
    }

    /// The rows in a range, as long as their keys begin with `prefix`. For walks that start in the middle of a prefix.
    pub fn prefix_range<K: Key, V: Row, P: PrefixOf<K> + ?Sized>(
        &self,
        table: Table<K, V>,
        prefix: &P,
        range: impl RangeBounds<K>,
        order: Order,
    ) -> Scan<'_, K, V> {
        let (whole, part) = (prefix_range(&KeyBuf::of_prefix(prefix)), key_range(&range));
        let end = match (whole.end, part.end) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.walk(
            table,
            &KeyRange {
                start: whole.start.max(part.start),
                end,
            },
            order,
        )
    }

    /// The rows of a table of texts whose keys begin with `text`.
    pub fn starting_with<V: Row>(
        &self,
        table: Table<String, V>,
        text: &str,
        order: Order,
    ) -> Scan<'_, String, V> {
        let mut key = KeyBuf::of::<String, str>(text).as_bytes().to_vec();
        key.pop(); // the terminator: what comes after it may be anything
        let end = after_prefix(&key);
        self.walk(table, &KeyRange { start: key, end }, order)
    }

    /// The first row of a range.
    pub fn first<K: Key, V: Row>(
        &self,
        table: Table<K, V>,
        range: impl RangeBounds<K>,
    ) -> Result<Option<(K, V)>, Error> {
        self.scan(table, range, Order::Forward).next().transpose()
    }

    /// The last row of a range.
    pub fn last<K: Key, V: Row>(
        &self,
        table: Table<K, V>,
        range: impl RangeBounds<K>,
    ) -> Result<Option<(K, V)>, Error> {
        self.scan(table, range, Order::Backward).next().transpose()
    }

    /// The last row before `key` whose key begins with `prefix`.
    pub fn last_before<K: Key, V: Row, P: PrefixOf<K> + ?Sized>(
        &self,
        table: Table<K, V>,
        prefix: &P,
        key: K,
    ) -> Result<Option<(K, V)>, Error> {
        self.prefix_range(table, prefix, ..key, Order::Backward)
            .next()
            .transpose()
    }

    pub(crate) fn get_encoded<K, V: Row>(
        &self,
        table: Table<K, V>,
        key: &KeyBuf,
    ) -> Result<Option<V>, Error> {
        let value = self.with_encoded(table.id(), key, V::decode)?;
        value
            .transpose()
            .map_err(|why| corrupt(table.id(), key.as_bytes(), why))
    }

    pub(crate) fn with_encoded<T>(
        &self,
        table: TableId,
        key: &KeyBuf,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, Error> {
        refuse_slots(key)?;
        self.shared.count_call();
        let (mut look, mut seen) = (Some(look), None);
        self.view().get(table, key.as_bytes(), &mut |value| {
            seen = look.take().map(|look| look(value));
        })?;
        Ok(seen)
    }

    pub(crate) fn walk<K, V>(
        &self,
        table: Table<K, V>,
        range: &KeyRange,
        order: Order,
    ) -> Scan<'_, K, V> {
        self.shared.count_call();
        let cursor = if range.is_empty() {
            Ok(None)
        } else {
            self.view().scan(table.id(), range, order).map(Some)
        };
        Scan {
            cursor,
            table: table.id(),
            types: PhantomData,
        }
    }

    pub(crate) fn view(&self) -> &dyn View {
        &*self.published.view
    }

    pub(crate) fn numbers(&self) -> &Arc<Numbers> {
        &self.shared.numbers
    }

    /// The newest snapshot there is.
    pub(crate) fn newest(&self) -> Self {
        Self::new(self.shared.published(), self.shared.clone())
    }
}

/// Rows, one after the other.
pub struct Scan<'s, K, V> {
    cursor: Result<Option<Box<dyn Cursor + 's>>, EngineError>,
    table: TableId,
    types: PhantomData<fn() -> (K, V)>,
}

impl<'s, K: Key, V> Scan<'s, K, V> {
    /// Only the keys; the values are not looked at.
    pub fn keys(self) -> Scan<'s, K, KeysOnly> {
        Scan {
            cursor: self.cursor,
            table: self.table,
            types: PhantomData,
        }
    }

    fn advance<T>(
        &mut self,
        read: impl FnOnce(&dyn Cursor) -> Result<T, Malformed>,
    ) -> Option<Result<T, Error>> {
        let cursor = match &mut self.cursor {
            Ok(Some(cursor)) => cursor,
            Ok(None) => return None,
            Err(error) => {
                let error = error.clone();
                self.cursor = Ok(None);
                return Some(Err(error.into()));
            }
        };
        match cursor.advance() {
            Ok(true) => Some(read(&**cursor).map_err(|why| corrupt(self.table, cursor.key(), why))),
            Ok(false) => {
                self.cursor = Ok(None);
                None
            }
            Err(error) => {
                self.cursor = Ok(None);
                Some(Err(error.into()))
            }
        }
    }
}

/// In place of a value that is not read.
#[derive(Debug)]
pub struct KeysOnly;

impl<K: Key, V: Row> Iterator for Scan<'_, K, V> {
    type Item = Result<(K, V), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance(|cursor| Ok((decode_all(cursor.key())?, V::decode(cursor.value())?)))
    }
}

impl<K: Key> Iterator for Scan<'_, K, KeysOnly> {
    type Item = Result<K, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance(|cursor| decode_all(cursor.key()))
    }
}

fn refuse_slots(key: &KeyBuf) -> Result<(), Error> {
    if key.holes().is_empty() {
        Ok(())
    } else {
        Err(Error::Bug(
            "a position that is not assigned yet was looked up",
        ))
    }
}

pub(crate) fn corrupt(table: TableId, key: &[u8], why: Malformed) -> Error {
    Error::Corrupt {
        table: table.name(),
        key: hex(key),
        why,
    }
}

pub(crate) fn prefix_range(prefix: &KeyBuf) -> KeyRange {
    KeyRange {
        start: prefix.as_bytes().to_vec(),
        end: after_prefix(prefix.as_bytes()),
    }
}

pub(crate) fn key_range<K: Key>(range: &impl RangeBounds<K>) -> KeyRange {
    let bytes = |key: &K| KeyBuf::of(key).as_bytes().to_vec();
    // No key is the beginning of another one, so a zero byte behind a key gives its successor.
    let after = |key: &K| [KeyBuf::of(key).as_bytes(), &[0]].concat();
    let start = match range.start_bound() {
        Bound::Included(key) => bytes(key),
        Bound::Excluded(key) => after(key),
        Bound::Unbounded => Vec::new(),
    };
    let end = match range.end_bound() {
        Bound::Included(key) => Some(after(key)),
        Bound::Excluded(key) => Some(bytes(key)),
        Bound::Unbounded => None,
    };
    KeyRange { start, end }
}
