//! Bytes on disk, named by a hash of what they belong to, so that no id of anybody's ever becomes a path.
//!
//! A file is written under a temporary name, synced, renamed, and its folder synced; only then may a row speak of it. A crash leaves
//! at most a temporary file, which the next start removes.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base::random::Random;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

/// The directory of all files.
#[derive(Debug)]
pub(crate) struct Blobs {
    directory: PathBuf,
}

/// The name of a file: a SHA-256 over what it belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlobName([u8; 32]);

impl BlobName {
    /// The name that belongs to these words, in this order.
    pub(crate) fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What is known of a file once all of it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bytes.
    pub(crate) size: u64,
    /// Of the content.
    pub(crate) sha256: [u8; 32],
}

/// How many chunks of an upload may wait for the disk.
const WAITING_CHUNKS: usize = 8;

impl Blobs {
    pub(crate) fn open(directory: PathBuf) -> io::Result<Self> {
        let blobs = Self { directory };
        fs::create_dir_all(blobs.unfinished())?;
        for entry in fs::read_dir(blobs.unfinished())? {
            fs::remove_file(entry?.path())?;
        }
        Ok(blobs)
    }

    fn unfinished(&self) -> PathBuf {
        self.directory.join("unfinished")
    }

    /// Where the file of that name is. Two levels of folders keep each of them small.
    pub(crate) fn path(&self, name: &BlobName) -> PathBuf {
        let name = name.to_string();
        let (first, rest) = name.split_at(2);
        let (second, rest) = rest.split_at(2);
        self.directory.join(first).join(second).join(rest)
    }

    /// A file being written on the blocking pool, fed through the returned sender. Dropping the sender before [`Writing::finish`]
    /// was asked for abandons the file.
    pub(crate) fn write(&self, name: BlobName, random: &dyn Random) -> Writing {
        let temporary = self.unfinished().join(base::random::token(random, 24));
        let place = self.path(&name);
        let (chunks, mut incoming) = mpsc::channel::<Chunk>(WAITING_CHUNKS);
        let done = tokio::task::spawn_blocking(move || {
            let outcome = receive(&temporary, &place, &mut incoming);
            if !matches!(outcome, Ok(Some(_))) {
                let _ = fs::remove_file(&temporary);
            }
            outcome
        });
        Writing { chunks, done }
    }
}

enum Chunk {
    Bytes(Bytes),
    End,
}

/// The sending end of a file being written.
pub(crate) struct Writing {
    chunks: mpsc::Sender<Chunk>,
    done: tokio::task::JoinHandle<io::Result<Option<Written>>>,
}

impl Writing {
    /// Hands over the next bytes; waits when the disk is behind. An error is found out by [`Writing::finish`].
    pub(crate) async fn push(&self, bytes: Bytes) -> bool {
        self.chunks.send(Chunk::Bytes(bytes)).await.is_ok()
    }

    /// Waits until the whole file is on disk under its name.
    pub(crate) async fn finish(self) -> io::Result<Written> {
        let _ = self.chunks.send(Chunk::End).await;
        drop(self.chunks);
        match self.done.await {
            Ok(outcome) => outcome?.ok_or_else(|| io::Error::other("the file was abandoned")),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

/// Writes chunks until the end was announced. `None` when the sender went away before that.
fn receive(
    temporary: &Path,
    place: &Path,
    incoming: &mut mpsc::Receiver<Chunk>,
) -> io::Result<Option<Written>> {
    let mut file = File::create_new(temporary)?;
    let mut hash = Sha256::new();
    let mut size = 0_u64;
    loop {
        match incoming.blocking_recv() {
            Some(Chunk::Bytes(bytes)) => {
                file.write_all(&bytes)?;
                hash.update(&bytes);
                size += bytes.len() as u64;
            }
            Some(Chunk::End) => break,
            None => return Ok(None),
        }
    }
    file.sync_all()?;
    let folder = place.parent().unwrap_or(place);
    fs::create_dir_all(folder)?;
    fs::rename(temporary, place)?;
    // The new name, and the folders that may be new themselves.
    for folder in folder.ancestors().take(3) {
        File::open(folder)?.sync_all()?;
    }
    Ok(Some(Written {
        size,
        sha256: hash.finalize().into(),
    }))
}
