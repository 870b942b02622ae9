//! The `[storage]` section.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::units::ByteSize;

/// Where everything is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageConfig {
    /// The data directory: the database, uploaded files, and the server's signing key. Made at the first start.
    pub path: PathBuf,
    /// Memory for what was read from the database lately. More makes a large server faster.
    pub cache: ByteSize,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::from("./data"),
            cache: ByteSize::from_mib(64),
        }
    }
}
