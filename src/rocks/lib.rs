//! The RocksDB engine: the only crate that names the rocksdb crate.
