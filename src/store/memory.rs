//! The engine for tests: everything in memory, with snapshots that hold, and with crashes.
//!
//! Each key keeps the values it had, newest last, as long as a snapshot or a possible crash may ask for them. It is
//! correct and quick enough for tests; it is not meant to hold a server's data.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use smallvec::SmallVec;

use crate::batch::{Batch, Write};
use crate::engine::{Cursor, Engine, EngineError, KeyRange, Order, View};
use crate::table::TableId;

type Bytes = Arc<[u8]>;
/// When a key was set, and to what (nothing: deleted).
type Versions = SmallVec<[(u64, Option<Bytes>); 1]>;
type Rows = BTreeMap<Bytes, Versions>;

/// Tables in memory. Tables come into being when they are first written.
#[derive(Default)]
pub struct Memory {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    state: RwLock<State>,
    /// Which moments snapshots look at, and how many of them each.
    live: Mutex<BTreeMap<u64, usize>>,
    fault: AtomicU8,
}

#[derive(Default)]
struct State {
    tables: HashMap<u64, Rows>,
    now: u64,
    synced: u64,
    /// Deleted keys, to be forgotten once nobody can see what they were.
    graves: VecDeque<(u64, u64, Bytes)>,
}

/// What the next write shall run into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// Nothing.
    None = 0,
    /// The disk is full, until told otherwise.
    Full = 1,
    /// The write or the sync fails, and nobody knows what has reached the disk.
    Failed = 2,
}

impl Memory {
    /// No tables yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a power cut leaves of it: everything up to the last sync, and nothing after.
    #[must_use]
    pub fn after_crash(&self) -> Self {
        let state = self.inner.state();
        let tables = state
            .tables
            .iter()
            .map(|(table, rows)| (*table, survivors(rows, state.synced)));
        let copy = State {
            tables: tables.collect(),
            now: state.synced,
            synced: state.synced,
            graves: VecDeque::new(),
        };
        Self {
            inner: Arc::new(Inner {
                state: RwLock::new(copy),
                ..Inner::default()
            }),
        }
    }

    /// Makes writes fail from now on, or work again.
    pub fn inject(&self, fault: Fault) {
        self.inner.fault.store(fault as u8, Ordering::SeqCst);
    }
}

fn survivors(rows: &Rows, upto: u64) -> Rows {
    let kept = rows.iter().filter_map(|(key, versions)| {
        let value = visible(versions, upto)?;
        Some((key.clone(), SmallVec::from_iter([(0, Some(value.clone()))])))
    });
    kept.collect()
}

fn visible(versions: &Versions, at: u64) -> Option<&Bytes> {
    versions
        .iter()
        .rev()
        .find(|(when, _)| *when <= at)
        .and_then(|(_, value)| value.as_ref())
}

impl Inner {
    fn state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<u64, usize>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_fault(&self) -> Result<(), EngineError> {
        match self.fault.load(Ordering::SeqCst) {
            1 => Err(EngineError::Full("injected".to_owned())),
            2 => Err(EngineError::Failed("injected".to_owned())),
            _ => Ok(()),
        }
    }
}

impl State {
    fn set(&mut self, table: TableId, key: &[u8], value: Option<&[u8]>, floor: u64) {
        let rows = self.tables.entry(table.hash()).or_default();
        let now = self.now;
        if let Some(versions) = rows.get_mut(key) {
            push(versions, now, value.map(Bytes::from), floor);
        } else if let Some(value) = value {
            rows.insert(
                Bytes::from(key),
                SmallVec::from_iter([(now, Some(Bytes::from(value)))]),
            );
        } else {
            return;
        }
        if value.is_none() {
            self.graves.push_back((now, table.hash(), Bytes::from(key)));
        }
    }

    fn delete_range(&mut self, table: TableId, range: &KeyRange, floor: u64) {
        let Some(rows) = self.tables.get(&table.hash()) else {
            return;
        };
        let keys: Vec<Bytes> = within(rows, range).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.set(table, &key, None, floor);
        }
    }

    fn sweep(&mut self, floor: u64) {
        while let Some((when, table, key)) = self.graves.front() {
            if *when > floor {
                return;
            }
            if let Some(rows) = self.tables.get_mut(table)
                && rows.get(key).is_some_and(
                    |versions| matches!(versions.as_slice(), [(at, None)] if at <= when),
                )
            {
                rows.remove(key);
            }
            self.graves.pop_front();
        }
    }
}

/// Adds the newest version and forgets those that nobody at or after `floor` can see.
fn push(versions: &mut Versions, now: u64, value: Option<Bytes>, floor: u64) {
    if versions.last().is_some_and(|(when, _)| *when == now) {
        versions.pop();
    }
    versions.push((now, value));
    let oldest_needed = versions
        .iter()
        .rposition(|(when, _)| *when <= floor)
        .unwrap_or(0);
    versions.drain(..oldest_needed);
}

fn within<'r>(
    rows: &'r Rows,
    range: &KeyRange,
) -> impl DoubleEndedIterator<Item = (&'r Bytes, &'r Versions)> {
    let end = match &range.end {
        _ if range.is_empty() => Bound::Excluded(range.start.as_slice()),
        Some(end) => Bound::Excluded(end.as_slice()),
        None => Bound::Unbounded,
    };
    rows.range::<[u8], _>((Bound::Included(range.start.as_slice()), end))
}

impl Engine for Memory {
    fn snapshot(&self) -> Result<Arc<dyn View>, EngineError> {
        let state = self.inner.state();
        let at = state.now;
        *self.inner.live().entry(at).or_insert(0) += 1;
        Ok(Arc::new(Moment {
            inner: self.inner.clone(),
            at,
        }))
    }

    fn commit(&self, batches: &[&Batch], sync: bool) -> Result<(), EngineError> {
        self.inner.check_fault()?;
        let mut state = self
            .inner
            .state
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let oldest_snapshot = self.inner.live().keys().next().copied().unwrap_or(u64::MAX);
        let floor = oldest_snapshot.min(state.synced);
        state.now += 1;
        for write in batches.iter().flat_map(|batch| batch.writes()) {
            match write {
                Write::Put { table, key, value } => state.set(table, key, Some(value), floor),
                Write::Delete { table, key } => state.set(table, key, None, floor),
                Write::DeleteRange { table, start, end } => {
                    let range = KeyRange {
                        start: start.to_vec(),
                        end: end.map(<[u8]>::to_vec),
                    };
                    state.delete_range(table, &range, floor);
                }
            }
        }
        if sync {
            state.synced = state.now;
        }
        state.sweep(floor);
        Ok(())
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.inner.check_fault()?;
        let mut state = self
            .inner
            .state
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        state.synced = state.now;
        Ok(())
    }

    fn checkpoint(&self, _: &Path) -> Result<(), EngineError> {
        Err(EngineError::Failed(
            "memory cannot be copied to a folder".to_owned(),
        ))
    }

    fn recover(&self) -> Result<(), EngineError> {
        self.inner.check_fault()
    }

    fn statistics(&self) -> String {
        let state = self.inner.state();
        let rows: usize = state.tables.values().map(BTreeMap::len).sum();
        format!("memory\ntables {}\nrows {rows}\n", state.tables.len())
    }
}

struct Moment {
    inner: Arc<Inner>,
    at: u64,
}

impl Drop for Moment {
    fn drop(&mut self) {
        let mut live = self.inner.live();
        if let Some(count) = live.get_mut(&self.at) {
            *count -= 1;
            if *count == 0 {
                live.remove(&self.at);
            }
        }
    }
}

impl View for Moment {
    fn get(
        &self,
        table: TableId,
        key: &[u8],
        found: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, EngineError> {
        let value = {
            let state = self.inner.state();
            state
                .tables
                .get(&table.hash())
                .and_then(|rows| visible(rows.get(key)?, self.at))
                .cloned()
        };
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
        for (place, key) in keys.iter().enumerate() {
            self.get(table, key, &mut |value| found(place, value))?;
        }
        Ok(())
    }

    fn scan<'v>(
        &'v self,
        table: TableId,
        range: &KeyRange,
        order: Order,
    ) -> Result<Box<dyn Cursor + 'v>, EngineError> {
        Ok(Box::new(Walk {
            moment: self,
            table,
            left: range.clone(),
            order,
            fetched: VecDeque::new(),
            row: None,
        }))
    }
}

/// Fetches a few rows at a time, so that writers are not kept out while a reader walks.
struct Walk<'v> {
    moment: &'v Moment,
    table: TableId,
    left: KeyRange,
    order: Order,
    fetched: VecDeque<(Bytes, Bytes)>,
    row: Option<(Bytes, Bytes)>,
}

const FETCH: usize = 32;

impl Walk<'_> {
    fn fetch(&mut self) {
        let state = self.moment.inner.state();
        let Some(rows) = state.tables.get(&self.table.hash()) else {
            return;
        };
        let at = self.moment.at;
        let shown = |(key, versions): (&Bytes, &Versions)| {
            Some((key.clone(), visible(versions, at)?.clone()))
        };
        let rows = within(rows, &self.left);
        match self.order {
            Order::Forward => self.fetched.extend(rows.filter_map(shown).take(FETCH)),
            Order::Backward => self
                .fetched
                .extend(rows.rev().filter_map(shown).take(FETCH)),
        }
        let Some((last, _)) = self.fetched.back() else {
            return;
        };
        match self.order {
            Order::Forward => self.left.start = [last, [0].as_slice()].concat(),
            Order::Backward => self.left.end = Some(last.to_vec()),
        }
    }
}

impl Cursor for Walk<'_> {
    fn advance(&mut self) -> Result<bool, EngineError> {
        if self.fetched.is_empty() {
            self.fetch();
        }
        self.row = self.fetched.pop_front();
        Ok(self.row.is_some())
    }

    fn key(&self) -> &[u8] {
        self.row.as_ref().map(|(key, _)| &**key).unwrap_or_default()
    }

    fn value(&self) -> &[u8] {
        self.row
            .as_ref()
            .map(|(_, value)| &**value)
            .unwrap_or_default()
    }
}
