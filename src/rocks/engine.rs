//! The engine: opening, committing, syncing, copying.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    Cache, ColumnFamilyDescriptor, DB, FlushOptions, WriteBatch, WriteOptions, properties,
};
use store::batch::{Batch, Write};
use store::engine::{Engine, EngineError, View};
use store::{Hint, Spec, TableId};

use crate::failure::{failure, open_failure};
use crate::view::{Database, Families, Moment};
use crate::{Options, exists, tune};

/// After an orderly end, the next start reads at most this much of the log again.
const SETTLED_LOG_BYTES: u64 = 1 << 20;
/// Beyond every key: no key of ours is that long with such bytes.
const END_OF_TABLE: [u8; 64] = [0xFF; 64];

/// A RocksDB database.
pub(crate) struct Rocks {
    database: Arc<Database>,
    path: PathBuf,
}

impl Rocks {
    pub(crate) fn open(options: &Options, tables: &[Spec]) -> Result<Self, EngineError> {
        let path = options.path.clone();
        make_folder(&path)?;
        // The other kind of cache, hyper-clock, was measured to forget hot blocks while it was far from full.
        let cache = Cache::new_lru_cache(options.cache_bytes);
        let families = descriptors(options, tables, &cache)?;
        let db = DB::open_cf_descriptors(&tune::database(options), &path, families);
        let db = db.map_err(|error| open_failure(error, &path))?;
        let ids: Vec<TableId> = tables.iter().map(|table| table.id).collect();
        let database = Arc::new(Database::new(db, |db| Families::of(db, &ids)));
        Ok(Self { database, path })
    }

    fn db(&self) -> &DB {
        self.database.borrow_owner()
    }

    fn families(&self) -> &Families<'_> {
        self.database.borrow_dependent()
    }

    fn add(&self, to: &mut WriteBatch, write: &Write<'_>) -> Result<(), EngineError> {
        match *write {
            Write::Put { table, key, value } => to.put_cf(self.families().get(table)?, key, value),
            Write::Delete { table, key } => to.delete_cf(self.families().get(table)?, key),
            Write::DeleteRange { table, start, end } => {
                let end = end.unwrap_or(&END_OF_TABLE);
                if start < end {
                    to.delete_range_cf(self.families().get(table)?, start, end);
                }
            }
        }
        Ok(())
    }

    fn property(&self, name: &properties::PropName) -> u64 {
        let values = self.families().all().into_iter().map(|family| {
            let value = self.db().property_int_value_cf(family, name);
            value.ok().flatten().unwrap_or(0)
        });
        values.sum()
    }

    /// How much of the log would be read at the next start.
    fn log_bytes(&self) -> u64 {
        let Ok(files) = std::fs::read_dir(&self.path) else {
            return 0;
        };
        let logs = files
            .flatten()
            .filter(|file| file.path().extension().is_some_and(|end| end == "log"));
        logs.map(|log| log.metadata().map_or(0, |meta| meta.len()))
            .sum()
    }
}

fn make_folder(path: &Path) -> Result<(), EngineError> {
    std::fs::create_dir_all(path).map_err(|error| {
        EngineError::Failed(format!(
            "the folder {} cannot be made: {error}",
            path.display()
        ))
    })
}

/// The tables asked for, and those that are there besides: RocksDB opens all or nothing.
fn descriptors(
    options: &Options,
    tables: &[Spec],
    cache: &Cache,
) -> Result<Vec<ColumnFamilyDescriptor>, EngineError> {
    let mut others = BTreeSet::from(["default".to_owned()]);
    if exists(&options.path) {
        let there = DB::list_cf(&rocksdb::Options::default(), &options.path);
        others.extend(there.map_err(|error| open_failure(error, &options.path))?);
    }
    for table in tables {
        others.remove(table.id.name());
    }
    let known = tables
        .iter()
        .map(|table| (table.id.name().to_owned(), table.hint));
    let unknown = others.into_iter().map(|name| (name, Hint::Point));
    let describe =
        |(name, hint)| ColumnFamilyDescriptor::new(name, tune::family(options, hint, cache));
    Ok(known.chain(unknown).map(describe).collect())
}

impl Engine for Rocks {
    fn snapshot(&self) -> Result<Arc<dyn View>, EngineError> {
        Ok(Arc::new(Moment::now(self.database.clone())))
    }

    fn commit(&self, batches: &[&Batch], sync: bool) -> Result<(), EngineError> {
        let bytes: usize = batches
            .iter()
            .map(|batch| batch.size() + 16 * batch.writes().len())
            .sum();
        let mut merged = WriteBatch::with_capacity_bytes(bytes);
        for write in batches.iter().flat_map(|batch| batch.writes()) {
            self.add(&mut merged, &write)?;
        }
        let mut how = WriteOptions::default();
        how.set_sync(sync);
        self.db().write_opt(merged, &how).map_err(failure)
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.db().flush_wal(true).map_err(failure)
    }

    fn checkpoint(&self, to: &Path) -> Result<(), EngineError> {
        let checkpoint = Checkpoint::new(self.db()).map_err(failure)?;
        checkpoint.create_checkpoint(to).map_err(failure)
    }

    /// RocksDB looks for room by itself and lets writes pass once it has found some; a write without keys tells.
    fn recover(&self) -> Result<(), EngineError> {
        let mut nothing = WriteBatch::default();
        nothing.put_log_data(b"is there room?");
        let mut how = WriteOptions::default();
        how.set_sync(true);
        self.db().write_opt(nothing, &how).map_err(failure)
    }

    fn settle(&self) -> Result<(), EngineError> {
        if self.log_bytes() <= SETTLED_LOG_BYTES {
            return Ok(());
        }
        let families = self.families().all();
        let families: Vec<&&rocksdb::ColumnFamily> = families.iter().collect();
        self.db()
            .flush_cfs_opt(&families, &FlushOptions::default())
            .map_err(failure)
    }

    fn statistics(&self) -> String {
        let mut text = format!("rocksdb {}\n", self.path.display());
        let cache = |name| {
            self.db()
                .property_int_value(name)
                .ok()
                .flatten()
                .unwrap_or(0)
        };
        let figures = [
            ("log bytes", self.log_bytes()),
            ("file bytes", self.property(properties::LIVE_SST_FILES_SIZE)),
            (
                "write buffer bytes",
                self.property(properties::CUR_SIZE_ALL_MEM_TABLES),
            ),
            ("cache bytes", cache(properties::BLOCK_CACHE_USAGE)),
            ("cache limit", cache(properties::BLOCK_CACHE_CAPACITY)),
            (
                "rows, estimated",
                self.property(properties::ESTIMATE_NUM_KEYS),
            ),
            (
                "bytes to compact",
                self.property(properties::ESTIMATE_PENDING_COMPACTION_BYTES),
            ),
            ("background errors", cache(properties::BACKGROUND_ERRORS)),
        ];
        for (name, figure) in figures {
            let _ = writeln!(text, "{name} {figure}");
        }
        text
    }
}
