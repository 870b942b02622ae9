//! What RocksDB's messages mean for the store.

use std::path::Path;

use rocksdb::ErrorKind;
use store::engine::EngineError;

/// Sorts an error by what can be done about it.
pub(crate) fn failure(error: rocksdb::Error) -> EngineError {
    let kind = error.kind();
    let message = error.into_string();
    // RocksDB has a code for this, but its C interface passes only the text.
    if message.contains("No space left on device") || message.contains("NoSpace") {
        return EngineError::Full(message);
    }
    match kind {
        ErrorKind::Corruption => EngineError::Damaged(message),
        _ => EngineError::Failed(message),
    }
}

/// As `failure`, for opening: the commonest reason deserves a sentence of its own.
pub(crate) fn open_failure(error: rocksdb::Error, path: &Path) -> EngineError {
    if error.as_ref().contains("lock") && error.as_ref().contains("LOCK") {
        let path = path.display();
        return EngineError::InUse(format!(
            "another process has the database in {path} open: stop it first, or give this server a folder of its own"
        ));
    }
    match failure(error) {
        EngineError::Damaged(why) => EngineError::Damaged(format!(
            "{why} (in {}): restore a backup, or keep a copy of the folder and ask for help",
            path.display()
        )),
        other => other,
    }
}
