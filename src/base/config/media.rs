//! The `[media]` section.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::units::{ByteSize, Span};

/// Uploaded files.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct MediaConfig {
    /// Where files are kept, if not under the data directory.
    ///
    /// Example: `"/srv/myelin/media"`
    pub path: Option<PathBuf>,
    /// Whether files are also given to people who are not signed in, at the addresses that clients from before Matrix 1.11 know. Who knows a file's
    /// address can read it then.
    pub unauthenticated: bool,
    /// The largest file that can be uploaded.
    pub max_upload: ByteSize,
    /// The largest file that is fetched from another server.
    pub max_remote: ByteSize,
    /// The largest picture, in pixels, of which thumbnails are made.
    pub max_pixels: u64,
    /// How long a client that reserved an address for an upload has to send the file.
    pub reservation: Span,
    /// How many reserved addresses one user may hold at once.
    pub reservations_per_user: usize,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            path: None,
            unauthenticated: false,
            max_upload: ByteSize::from_mib(50),
            max_remote: ByteSize::from_mib(100),
            max_pixels: 32_000_000,
            reservation: Span::from_secs(86_400),
            reservations_per_user: 50,
        }
    }
}
