//! Giving a file: straight from disk, piece by piece.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use store::{rows, tables};
use tokio::fs::File;
use tokio::sync::Notify;
use tokio_util::io::ReaderStream;

use crate::blobs::BlobName;
use crate::{Error, Media, MediaRef};

/// Bytes read from disk at a time.
const PIECE: usize = 256 * 1024;

/// A file on its way out.
#[derive(Debug)]
pub struct Download {
    /// Its type, as the uploader said; never to be believed by a browser (see [`crate::headers`]).
    pub content_type: Option<String>,
    /// Its name.
    pub filename: Option<String>,
    /// Its size in bytes.
    pub size: u64,
    /// Its bytes.
    pub body: MediaBody,
}

/// The bytes of a file, read as they are asked for.
#[derive(Debug)]
pub struct MediaBody(File);

impl MediaBody {
    /// The bytes, in pieces.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        ReaderStream::with_capacity(self.0, PIECE).map(|piece| piece)
    }
}

impl Media {
    /// Opens a file. An address that is reserved but still empty is waited for, no longer than `wait`. Another server's file is fetched, and kept.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotYetUploaded`], or a fault of disk or database.
    pub async fn download(&self, media: &MediaRef, wait: Duration) -> Result<Download, Error> {
        let row = self.file_row(media, wait).await?;
        let body = self
            .open_blob(&BlobName::of(&[media.server.as_str(), &media.id]))
            .await?;
        Ok(Download {
            content_type: row.content_type,
            filename: row.filename,
            size: row.size,
            body,
        })
    }

    pub(crate) async fn open_blob(&self, name: &BlobName) -> Result<MediaBody, Error> {
        let mut file = File::open(self.0.blobs.path(name)).await?;
        file.set_max_buf_size(PIECE);
        Ok(MediaBody(file))
    }

    /// The row of a file, waiting for it if its address is reserved.
    pub(crate) async fn file_row(
        &self,
        media: &MediaRef,
        wait: Duration,
    ) -> Result<rows::media::MediaFile, Error> {
        if let Some(row) = self.present_row(media).await? {
            return Ok(row);
        }
        if media.server != self.0.server_name {
            return self.fetch(media, wait).await;
        }
        if !self.is_reserved(media).await? {
            return Err(Error::NotFound);
        }
        // Listen before looking again, so that a file which arrives in between is not missed.
        let arrival = self.await_arrival(&media.id);
        let heard = arrival.notified();
        let mut row = self.present_row(media).await?;
        if row.is_none() {
            let _ = tokio::time::timeout(wait, heard).await;
            row = self.present_row(media).await?;
        }
        self.forget_arrival(&media.id, &arrival);
        row.ok_or(Error::NotYetUploaded)
    }

    pub(crate) async fn present_row(
        &self,
        media: &MediaRef,
    ) -> Result<Option<rows::media::MediaFile>, Error> {
        let media = media.clone();
        self.0
            .store
            .read(move |s| Ok(s.get(tables::MEDIA, &media.key())?))
            .await
    }

    async fn is_reserved(&self, media: &MediaRef) -> Result<bool, Error> {
        let (id, now) = (media.id.clone(), self.0.clock.now().millis());
        let reserved = self
            .0
            .store
            .read(move |s| Ok::<_, Error>(s.get(tables::MEDIA_RESERVED, &id)?))
            .await?;
        Ok(reserved.is_some_and(|reserved| reserved.until > now))
    }

    fn await_arrival(&self, id: &str) -> Arc<Notify> {
        let mut awaited = self
            .0
            .awaited
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        awaited.entry(id.to_owned()).or_default().clone()
    }

    /// Forgets whom nobody else waits for: the map's own handle and the caller's are the last two.
    fn forget_arrival(&self, id: &str, arrival: &Arc<Notify>) {
        let mut awaited = self
            .0
            .awaited
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if Arc::strong_count(arrival) <= 2 {
            awaited.remove(id);
        }
    }

    /// Tells those who wait for this id that its file is there.
    pub(crate) fn announce(&self, id: &str) {
        let awaited = self
            .0
            .awaited
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(notify) = awaited.get(id) {
            notify.notify_waiters();
        }
    }
}
