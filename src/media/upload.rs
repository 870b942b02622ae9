//! Taking a file: at once, or in two steps with the address first (`POST /create`, then `PUT /upload/…`).

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use ruma::UserId;
use store::{Order, Snapshot, Tx, rows, tables};

use crate::blobs::BlobName;
use crate::{Error, Media, MediaRef};

/// Letters in a new media id: 140 bits, so that an address cannot be guessed.
const ID_LENGTH: usize = 24;
/// The longest content type and file name that are kept, in bytes.
const LONGEST_NAME: usize = 255;

/// What a client says about the file that it uploads.
#[derive(Debug, Clone, Default)]
pub struct Upload {
    /// The `Content-Type`, as sent.
    pub content_type: Option<String>,
    /// The file's name.
    pub filename: Option<String>,
    /// The `Content-Length`, if there was one: a file that says itself that it is too large is refused before it is read.
    pub length: Option<u64>,
}

/// A reserved address.
#[derive(Debug, Clone)]
pub struct Reserved {
    /// The address.
    pub media: MediaRef,
    /// When it lapses if no file arrives, in milliseconds since 1970.
    pub expires_at: u64,
}

/// How a file is kept.
pub(crate) struct Keep {
    /// The most bytes that it may have.
    pub(crate) most: u64,
    /// Who uploaded it; nobody, if it is another server's.
    pub(crate) uploader: Option<String>,
    /// Whose reservation it uses up.
    pub(crate) reserved: Option<String>,
}

impl Media {
    /// Stores a file that arrives as a stream and gives its address. The file is on disk when this returns.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::BrokenUpload`], or a fault of disk or database.
    pub async fn upload<E: std::fmt::Display>(
        &self,
        who: &UserId,
        about: Upload,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<MediaRef, Error> {
        let media = self.new_address()?;
        let kept = Keep {
            most: self.max_upload(),
            uploader: Some(who.to_string()),
            reserved: None,
        };
        self.receive(&media, about, body, kept).await?;
        Ok(media)
    }

    /// Reserves an address to be filled by [`Media::fill`].
    ///
    /// # Errors
    /// [`Error::TooManyReserved`], or a fault of the database.
    pub async fn reserve(&self, who: &UserId) -> Result<Reserved, Error> {
        let media = self.new_address()?;
        let now = self.0.clock.now();
        let expires_at = now.plus(self.0.config.reservation.duration()).millis();
        let (most, who, key) = (
            self.0.config.reservations_per_user,
            who.to_string(),
            media.id.clone(),
        );
        let now = now.millis();
        let reserve = move |tx: &mut Tx| {
            let mut held = 0;
            for id in reserved_by(tx.snapshot(), &who)? {
                match tx.get(tables::MEDIA_RESERVED, &id)? {
                    Some(reservation) if reservation.until > now => held += 1,
                    _ => forget(tx, &who, &id),
                }
            }
            if held >= most {
                return Err(Error::TooManyReserved);
            }
            let row = rows::media::Reservation {
                user: who.clone(),
                until: expires_at,
            };
            tx.put(tables::MEDIA_RESERVED, &key, &row)?;
            tx.put(
                tables::MEDIA_RESERVED_BY,
                &(who.as_str(), key.as_str()),
                &(),
            )?;
            Ok(())
        };
        self.0.store.write(reserve).await?;
        Ok(Reserved { media, expires_at })
    }

    /// Stores the file of an address that the same user reserved before.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing is reserved under it (any more), [`Error::AlreadyUploaded`], and as [`Media::upload`].
    pub async fn fill<E: std::fmt::Display>(
        &self,
        who: &UserId,
        media: &MediaRef,
        about: Upload,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<(), Error> {
        let key = media.clone();
        let look = move |s: &Snapshot| {
            let file = s.get(tables::MEDIA, &key.key())?;
            Ok::<_, Error>((file, s.get(tables::MEDIA_RESERVED, &key.id)?))
        };
        let (file, reservation) = self.0.store.read(look).await?;
        if media.server != self.0.server_name {
            return Err(Error::NotFound);
        }
        if file.is_some() {
            return Err(Error::AlreadyUploaded);
        }
        match reservation {
            Some(reservation) if reservation.user != who.as_str() => return Err(Error::NotYours),
            Some(reservation) if reservation.until > self.0.clock.now().millis() => {}
            _ => return Err(Error::NotFound),
        }
        let kept = Keep {
            most: self.max_upload(),
            uploader: Some(who.to_string()),
            reserved: Some(who.to_string()),
        };
        self.receive(media, about, body, kept).await?;
        self.announce(&media.id);
        Ok(())
    }

    fn new_address(&self) -> Result<MediaRef, Error> {
        MediaRef::new(
            &self.0.server_name,
            &base::random::token(&*self.0.random, ID_LENGTH),
        )
    }

    /// Streams the body to disk, then writes the row that makes it a file.
    pub(crate) async fn receive<E: std::fmt::Display>(
        &self,
        media: &MediaRef,
        about: Upload,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
        kept: Keep,
    ) -> Result<(), Error> {
        let Keep {
            most,
            uploader,
            reserved,
        } = kept;
        if about.length.is_some_and(|length| length > most) {
            return Err(Error::TooLarge(most));
        }
        let name = BlobName::of(&[media.server.as_str(), &media.id]);
        let writing = self.0.blobs.write(name, &*self.0.random);
        let mut body = std::pin::pin!(body);
        let mut size = 0_u64;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| Error::BrokenUpload(error.to_string()))?;
            size += chunk.len() as u64;
            if size > most {
                return Err(Error::TooLarge(most));
            }
            if !writing.push(chunk).await {
                break;
            }
        }
        let written = writing.finish().await?;
        let row = rows::media::MediaFile {
            content_type: about.content_type.filter(|name| name.len() <= LONGEST_NAME),
            filename: about.filename.filter(|name| name.len() <= LONGEST_NAME),
            size: written.size,
            sha256: written.sha256.to_vec(),
            uploader,
            uploaded: self.0.clock.now().millis(),
        };
        let media = media.clone();
        let put = move |tx: &mut Tx| {
            if let Some(user) = &reserved {
                // Two uploads to one address at once: the first one to get here has it.
                if tx
                    .get_for_update(tables::MEDIA_RESERVED, &media.id)?
                    .is_none()
                {
                    return Err(Error::AlreadyUploaded);
                }
                forget(tx, user, &media.id);
            }
            tx.put(tables::MEDIA, &media.key(), &row)?;
            Ok(())
        };
        self.0.store.write(put).await?;
        Ok(())
    }
}

/// The addresses that this user has reserved, lapsed ones too.
fn reserved_by(s: &Snapshot, user: &str) -> Result<Vec<String>, store::Error> {
    let rows = s.prefix(tables::MEDIA_RESERVED_BY, &(user,), Order::Forward);
    rows.map(|row| row.map(|((_, id), ())| id)).collect()
}

fn forget(tx: &mut Tx, user: &str, id: &str) {
    tx.delete(tables::MEDIA_RESERVED, id);
    tx.delete(tables::MEDIA_RESERVED_BY, &(user, id));
}
