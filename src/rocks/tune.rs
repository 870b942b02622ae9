//! RocksDB's options: the database's own, and a column family's by its hint. Aims: nothing acknowledged is ever lost,
//! damage is noticed when it is read, little memory when there is little data, few bytes on disk.

use rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, DataBlockIndexType, LogLevel,
};
use store::Hint;

use crate::Options;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Bits per key of a Bloom filter: one absent key in a hundred is looked for in vain.
const FILTER_BITS: f64 = 10.0;

/// The options of the database as a whole.
pub(crate) fn database(options: &Options) -> rocksdb::Options {
    let mut db = rocksdb::Options::default();
    db.create_if_missing(true);
    db.create_missing_column_families(true);
    safety(&mut db);

    db.set_max_total_wal_size(options.log_bytes);
    db.set_db_write_buffer_size(options.write_buffer_bytes);
    db.set_max_background_jobs(options.background_threads.max(2).into());
    db.set_max_subcompactions(1);
    db.set_max_open_files(options.max_open_files.into());
    db.set_skip_stats_update_on_db_open(true);
    db.set_bytes_per_sync(MIB as u64);

    // One thread writes; what lets many do so at once would only cost.
    db.set_allow_concurrent_memtable_write(false);
    db.set_enable_write_thread_adaptive_yield(false);

    db.set_log_level(LogLevel::Warn);
    db.set_keep_log_file_num(3);
    db.set_max_log_file_size(4 * MIB);
    db.set_stats_dump_period_sec(0);
    db.set_stats_persist_period_sec(0);
    db
}

fn safety(db: &mut rocksdb::Options) {
    db.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    db.set_track_and_verify_wals_in_manifest(true);
    db.set_paranoid_checks(true);
    db.set_manual_wal_flush(false);
}

/// The options of a table that is used like this.
pub(crate) fn family(options: &Options, hint: Hint, cache: &Cache) -> rocksdb::Options {
    let mut family = rocksdb::Options::default();
    family.set_write_buffer_size(options.write_buffer_bytes / 2);
    // Every touched table holds at least one such block, and there are many tables.
    family.set_arena_block_size(64 * KIB);
    family.set_max_write_buffer_number(2);
    family.set_level_compaction_dynamic_level_bytes(true);
    family.set_max_bytes_for_level_base(64 * MIB as u64);
    family.set_target_file_size_base(32 * MIB as u64);

    // What is young is read often and rewritten soon; what is old stays, and should be small.
    family.set_compression_type(DBCompressionType::Lz4);
    family.set_bottommost_compression_type(DBCompressionType::Zstd);

    let mut blocks = BlockBasedOptions::default();
    blocks.set_format_version(6);
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_optimize_filters_for_memory(true);
    hinted(hint, &mut family, &mut blocks);
    family.set_block_based_table_factory(&blocks);
    family
}

fn hinted(hint: Hint, family: &mut rocksdb::Options, blocks: &mut BlockBasedOptions) {
    match hint {
        Hint::Point => {
            blocks.set_block_size(8 * KIB);
            blocks.set_bloom_filter(FILTER_BITS, false);
            blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        }
        Hint::Append => {
            blocks.set_block_size(16 * KIB);
            // Who looks for a row here knows that it exists: no filter for where nearly all rows are.
            blocks.set_bloom_filter(FILTER_BITS, false);
            family.set_optimize_filters_for_hits(true);
        }
        Hint::Queue => {
            blocks.set_block_size(8 * KIB);
            // Where half of what was written lately is gone again, tidy up before a reader walks over the graves.
            family.add_compact_on_deletion_collector_factory(1024, 512, 0.5);
        }
        Hint::Big => {
            blocks.set_block_size(32 * KIB);
            family.set_compression_type(DBCompressionType::Zstd);
            family.set_optimize_filters_for_hits(true);
        }
    }
}
