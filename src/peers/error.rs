//! What can go wrong with our own key.

use std::io;
use std::path::PathBuf;

/// Why the server has no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Other users of the machine could read the key, and sign as this server.
    #[error(
        "the signing key {} can be read by others (mode {mode:04o}): make it private with `chmod 600 {}`, and if others may have read it, move it \
         away so that a new one is made",
        path.display(),
        path.display()
    )]
    Exposed {
        /// The key's file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file holds something else than a key.
    #[error("the signing key {} cannot be used: {why}", path.display())]
    Malformed {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file or its directory cannot be read or written.
    #[error("cannot {doing} {}: {error}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What came of it.
        error: io::Error,
    },
}
