//! The content repository: uploads, downloads and thumbnails (client-server API, "Content repository").
//!
//! Here lives what happens to a file between the moment its bytes arrive and the moment they are asked for. Files stream from and to
//! the disk, so memory stays flat whatever their size. What a browser may do with a file is decided in [`headers`]; HTTP itself is not
//! known here.

mod blobs;
mod download;
mod envelope;
mod error;
pub mod headers;
mod id;
mod remote;
mod thumbnail;
mod upload;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base::clock::SharedClock;
use base::config::MediaConfig;
use base::random::SharedRandom;
use peers::Peers;
use ruma::OwnedServerName;
use store::Store;
use tokio::sync::{Notify, Semaphore};

pub use download::{Download, MediaBody};
pub use envelope::Envelope;
pub use error::Error;
pub use id::MediaRef;
pub use thumbnail::{Method, ThumbnailRequest};
pub use upload::{Reserved, Upload};

/// The handle that everybody holds.
#[derive(Clone)]
pub struct Media(Arc<Inner>);

struct Inner {
    store: Store,
    clock: SharedClock,
    random: SharedRandom,
    server_name: OwnedServerName,
    config: MediaConfig,
    blobs: blobs::Blobs,
    peers: Peers,
    /// Files of other servers on their way here.
    fetching: remote::Fetching,
    /// Downloads that wait for a reserved address to be filled, by media id. An entry lives as long as somebody waits.
    awaited: Mutex<HashMap<String, Arc<Notify>>>,
    /// Pictures being scaled at this moment: decoding takes memory, so few at a time.
    scaling: Semaphore,
}

impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Media")
            .field("files", &self.0.blobs)
            .finish_non_exhaustive()
    }
}

/// How many pictures are scaled at once.
const SCALING: usize = 2;

impl Media {
    /// Opens the repository whose files are under `directory`, unless the configuration names another place. Files that an
    /// interrupted upload left behind are removed.
    ///
    /// # Errors
    /// When the directory cannot be made or listed.
    pub fn open(
        config: MediaConfig,
        directory: PathBuf,
        peers: Peers,
        store: Store,
        clock: SharedClock,
        random: SharedRandom,
    ) -> Result<Self, Error> {
        let directory = config.path.clone().unwrap_or(directory);
        let blobs = blobs::Blobs::open(directory)?;
        let (awaited, scaling) = (Mutex::default(), Semaphore::new(SCALING));
        Ok(Self(Arc::new(Inner {
            store,
            clock,
            random,
            server_name: peers.server_name().to_owned(),
            config,
            blobs,
            peers,
            fetching: remote::Fetching::new(),
            awaited,
            scaling,
        })))
    }

    /// Whether files are given to people who are not signed in.
    #[must_use]
    pub fn serves_anybody(&self) -> bool {
        self.0.config.unauthenticated
    }

    /// The largest upload, in bytes (`m.upload.size`).
    #[must_use]
    pub fn max_upload(&self) -> u64 {
        self.0.config.max_upload.bytes()
    }
}

#[cfg(test)]
mod tests;
