//! The RocksDB engine: the only crate that names the rocksdb crate.
//!
//! One column family per table, one write-ahead log for all of them, synced once per group of batches. What is in a
//! key or a value is not known here; the promises are those of `store::engine`, and `store::suite` checks them.

mod engine;
mod failure;
mod tune;
mod view;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use store::Spec;
use store::engine::{Engine, EngineError};

use crate::engine::Rocks;

/// Where a database is and what it may use.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder; made if it does not exist.
    pub path: PathBuf,
    /// Memory for blocks that have been read, with their indexes and filters.
    pub cache_bytes: usize,
    /// Memory for what has been written and is only in the log so far, all tables together.
    pub write_buffer_bytes: usize,
    /// How large the log may grow; what is in it has to be read again after a kill.
    pub log_bytes: u64,
    /// How many files may be open at once.
    pub max_open_files: u16,
    /// How many threads may flush and compact.
    pub background_threads: u8,
}

impl Options {
    /// What suits a small machine.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            cache_bytes: 64 << 20,
            write_buffer_bytes: 32 << 20,
            log_bytes: 64 << 20,
            max_open_files: 512,
            background_threads: 2,
        }
    }
}

/// Opens the house's database, or makes a new one.
pub fn open(options: &Options) -> Result<Arc<dyn Engine>, EngineError> {
    let tables: Vec<Spec> = store::tables::all().collect();
    open_tables(options, &tables)
}

/// Opens a database with these tables. Tables that it has besides are left as they are.
pub fn open_tables(options: &Options, tables: &[Spec]) -> Result<Arc<dyn Engine>, EngineError> {
    Ok(Arc::new(Rocks::open(options, tables)?))
}

/// Whether a folder holds a database.
pub fn exists(path: &Path) -> bool {
    path.join("CURRENT").exists()
}
