//! What RocksDB must do for us beyond the suite: reopen, survive kills, notice damage, say who is in the way.

mod crash;
mod damage;
mod figures;
mod full;
mod sharing;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use store::engine::{Engine, EngineError};
use store::suite::{self, Subject};
use store::{Error, Hint, Spec, Store, Table};
use tempfile::TempDir;

use crate::{Options, open, open_tables};

pub(super) const TEXTS: Table<u64, String> = Table::new("test_texts", Hint::Append);
const POINTS: Table<u64, u64> = Table::new("test_points", Hint::Point);

pub(super) fn specs() -> Vec<Spec> {
    [TEXTS.spec(), POINTS.spec()]
        .into_iter()
        .chain(store::tables::all())
        .collect()
}

pub(super) fn open_store(path: &Path) -> Result<Store, Error> {
    Store::open(open_tables(&Options::at(path), &specs())?)
}

/// An engine whose crash is a copy of its folder as it is on disk, opened while the first one knows nothing of it.
struct OnDisk {
    engine: Arc<dyn Engine>,
    tables: Vec<Spec>,
    folder: TempDir,
}

impl Subject for OnDisk {
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone()
    }

    fn crash(&mut self) -> Result<(), EngineError> {
        let copy = tempfile::tempdir().unwrap();
        copy_files(self.folder.path(), copy.path());
        self.engine = open_tables(&Options::at(copy.path()), &self.tables)?;
        self.folder = copy;
        Ok(())
    }
}

/// Copies a folder as it is at one moment: should the engine in it tidy up meanwhile, once more.
pub(super) fn copy_files(from: &Path, to: &Path) {
    loop {
        let before = files(from);
        let copied = before.keys().try_for_each(|name| {
            let copied = std::fs::copy(from.join(name), to.join(name));
            copied.map(drop)
        });
        if copied.is_ok() && files(from) == before {
            return;
        }
        for name in files(to).into_keys() {
            std::fs::remove_file(to.join(name)).unwrap();
        }
    }
}

pub(super) fn files(folder: &Path) -> BTreeMap<OsString, u64> {
    let files = std::fs::read_dir(folder).unwrap().flatten();
    files
        .filter_map(|file| Some((file.file_name(), file.metadata().ok()?.len())))
        .collect()
}

#[test]
fn rocksdb_passes_the_suite() {
    let make = |tables: &[Spec]| {
        let folder = tempfile::tempdir().unwrap();
        let engine = open_tables(&Options::at(folder.path()), tables)?;
        Ok(Box::new(OnDisk {
            engine,
            tables: tables.to_vec(),
            folder,
        }) as Box<dyn Subject>)
    };
    if let Err(failure) = suite::run(&make) {
        panic!("{failure}");
    }
}

fn put(store: &Store, key: u64, text: &str) {
    store
        .write_blocking(|tx| tx.put(TEXTS, &key, text))
        .unwrap();
}

#[test]
fn what_was_written_is_there_after_an_orderly_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).unwrap();
    put(&store, 1, "one");
    drop(store);
    let store = open_store(folder.path()).unwrap();
    assert_eq!(
        store.snapshot().get(TEXTS, &1).unwrap().as_deref(),
        Some("one")
    );
}

#[test]
fn an_orderly_end_leaves_little_log_to_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).unwrap();
    for key in 0..40 {
        put(&store, key, &"x".repeat(60_000));
    }
    drop(store);
    let logs = std::fs::read_dir(folder.path()).unwrap().flatten();
    let logs = logs.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
    let bytes: u64 = logs.map(|log| log.metadata().unwrap().len()).sum();
    assert!(bytes <= 1 << 20, "{bytes} bytes of log are left");
}

#[test]
fn a_database_in_use_is_named_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(&Options::at(folder.path())).unwrap();
    let Err(error) = open(&Options::at(folder.path())) else {
        panic!("two engines in one folder");
    };
    assert!(matches!(error, EngineError::InUse(_)), "{error}");
    let sentence = error.to_string();
    assert!(
        sentence.contains(&folder.path().display().to_string()),
        "{sentence}"
    );
    assert!(
        !sentence.contains('\n') && !sentence.contains("LOCK"),
        "{sentence}"
    );
}

#[test]
fn tables_come_and_go_without_losing_rows() {
    let folder = tempfile::tempdir().unwrap();
    let few: Vec<Spec> = store::tables::all().chain([TEXTS.spec()]).collect();
    let open_few = || Store::open(open_tables(&Options::at(folder.path()), &few).unwrap()).unwrap();
    put(&open_few(), 1, "kept");
    let store = open_store(folder.path()).unwrap();
    store.write_blocking(|tx| tx.put(POINTS, &1, &2)).unwrap();
    drop(store);
    let store = open_few();
    assert_eq!(
        store.snapshot().get(TEXTS, &1).unwrap().as_deref(),
        Some("kept")
    );
    let error = store.snapshot().get(POINTS, &1).unwrap_err();
    assert!(
        error.to_string().contains("no table test_points"),
        "{error}"
    );
    drop(store);
    let store = open_store(folder.path()).unwrap();
    assert_eq!(store.snapshot().get(POINTS, &1).unwrap(), Some(2));
}

#[test]
fn a_checkpoint_is_a_database_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(&folder.path().join("first")).unwrap();
    put(&store, 1, "before");
    let copy: PathBuf = folder.path().join("copy");
    store.checkpoint(&copy).unwrap();
    put(&store, 2, "after");
    let restored = open_store(&copy).unwrap();
    assert_eq!(
        restored.snapshot().get(TEXTS, &1).unwrap().as_deref(),
        Some("before")
    );
    assert_eq!(restored.snapshot().get(TEXTS, &2).unwrap(), None);
    assert_eq!(
        store.snapshot().get(TEXTS, &2).unwrap().as_deref(),
        Some("after")
    );
}

#[test]
fn statistics_begin_with_the_engine_and_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).unwrap();
    let text = store.statistics();
    assert!(
        text.starts_with(&format!("rocksdb {}\n", folder.path().display())),
        "{text}"
    );
    assert!(text.contains("log bytes "), "{text}");
}
