//! Schema versions: a newer database is refused, an older one is brought up, whatever happens in between.

use std::sync::Arc;

use crate::batch::Batch;
use crate::codec::KeyBuf;
use crate::engine::{Engine, KeyRange, Order, View};
use crate::memory::{Fault, Memory};
use crate::migrate::{Progress, SCHEMA, Step, migrate_with};
use crate::{Error, Hint, Store, Table, tables};

const OLD: Table<u64, u64> = Table::new("old", Hint::Append);
const NEW: Table<u64, u64> = Table::new("new", Hint::Append);

/// Moves rows from one table to another, three at a time, doubled.
fn double(view: &dyn View, from: &[u8], batch: &mut Batch) -> Result<Progress, Error> {
    let range = KeyRange {
        start: from.to_vec(),
        end: None,
    };
    let mut cursor = view.scan(OLD.id(), &range, Order::Forward)?;
    for _ in 0..3 {
        if !cursor.advance()? {
            return Ok(Progress::Done);
        }
        let mut key = KeyBuf::default();
        key.push(cursor.key());
        let value = <u64 as crate::Row>::decode(cursor.value()).unwrap();
        batch.put::<u64, _>(NEW.id(), &key, &(value * 2)).unwrap();
        batch.delete(OLD.id(), &key);
    }
    Ok(Progress::Continue([cursor.key(), &[0]].concat()))
}

const STEPS: [Step; 1] = [Step {
    about: "double",
    run: double,
}];

fn old_database() -> Memory {
    let memory = Arc::new(Memory::new());
    let store = Store::open(memory.clone()).unwrap();
    for number in 0..10 {
        store
            .write_blocking(|tx| tx.put(OLD, &number, &number))
            .unwrap();
    }
    drop(store);
    let version_one =
        |tx: &mut crate::Tx| tx.put(Table::<String, u64>::new("meta", Hint::Point), "schema", &1);
    Store::open(memory.clone())
        .unwrap()
        .write_blocking(version_one)
        .unwrap();
    memory.after_crash()
}

fn migrated(memory: &Arc<Memory>) -> Vec<(u64, u64)> {
    let view = memory.snapshot().unwrap();
    let mut cursor = view
        .scan(NEW.id(), &KeyRange::default(), Order::Forward)
        .unwrap();
    let mut rows = Vec::new();
    while cursor.advance().unwrap() {
        let key = crate::codec::decode_all(cursor.key()).unwrap();
        rows.push((key, <u64 as crate::Row>::decode(cursor.value()).unwrap()));
    }
    rows
}

fn open(memory: &Arc<Memory>) -> Arc<dyn Engine> {
    memory.clone()
}

#[test]
fn a_newer_database_is_refused_in_one_sentence() {
    let memory = Arc::new(Memory::new());
    let store = Store::open(memory.clone()).unwrap();
    let newer = Table::<String, u64>::new("meta", Hint::Point);
    store
        .write_blocking(|tx| tx.put(newer, "schema", &(SCHEMA + 1)))
        .unwrap();
    drop(store);
    let error = Store::open(memory).unwrap_err();
    assert!(
        matches!(error, Error::Newer { found, known } if found == SCHEMA + 1 && known == SCHEMA)
    );
    assert!(
        error
            .to_string()
            .starts_with("the database has schema version"),
        "{error}"
    );
}

#[test]
fn a_new_database_has_the_newest_version_and_runs_no_step() {
    let memory = Arc::new(Memory::new());
    migrate_with(&open(&memory), &STEPS).unwrap();
    let version = Table::<String, u64>::new("meta", Hint::Point);
    migrate_with(&open(&memory), &STEPS).unwrap();
    let mut seen = None;
    let key = KeyBuf::of::<String, str>("schema");
    let view = memory.snapshot().unwrap();
    view.get(version.id(), key.as_bytes(), &mut |bytes| {
        seen = Some(<u64 as crate::Row>::decode(bytes).unwrap());
    })
    .unwrap();
    assert_eq!(seen, Some(2));
}

#[test]
fn an_old_database_is_brought_up_though_killed_after_every_batch() {
    let wanted: Vec<(u64, u64)> = (0..10).map(|number| (number, number * 2)).collect();
    for kill_after in 0..6 {
        let memory = Arc::new(old_database());
        let dying: Arc<dyn Engine> = Arc::new(Dying::new(memory.clone(), kill_after));
        let _ = migrate_with(&dying, &STEPS);
        let revived = Arc::new(memory.after_crash());
        revived.inject(Fault::None);
        migrate_with(&open(&revived), &STEPS).unwrap();
        assert_eq!(
            migrated(&revived),
            wanted,
            "killed after {kill_after} batches"
        );
    }
}

#[test]
fn every_declared_table_of_the_store_can_be_opened_again() {
    let memory = Arc::new(Memory::new());
    drop(Store::open(memory.clone()).unwrap());
    let store = Store::open(memory).unwrap();
    assert_eq!(
        store.snapshot().get(tables::FOLLOWERS, "nobody").unwrap(),
        None
    );
}

/// An engine that dies after some commits.
struct Dying {
    memory: Arc<Memory>,
    left: std::sync::atomic::AtomicI64,
}

impl Dying {
    fn new(memory: Arc<Memory>, commits: i64) -> Self {
        Self {
            memory,
            left: commits.into(),
        }
    }
}

impl Engine for Dying {
    fn snapshot(&self) -> Result<Arc<dyn View>, crate::engine::EngineError> {
        self.memory.snapshot()
    }

    fn commit(&self, batches: &[&Batch], sync: bool) -> Result<(), crate::engine::EngineError> {
        if self.left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) <= 0 {
            self.memory.inject(Fault::Failed);
        }
        self.memory.commit(batches, sync)
    }

    fn sync(&self) -> Result<(), crate::engine::EngineError> {
        self.memory.sync()
    }

    fn checkpoint(&self, to: &std::path::Path) -> Result<(), crate::engine::EngineError> {
        self.memory.checkpoint(to)
    }

    fn recover(&self) -> Result<(), crate::engine::EngineError> {
        self.memory.recover()
    }

    fn statistics(&self) -> String {
        self.memory.statistics()
    }
}
