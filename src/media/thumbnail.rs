//! Small pictures of large ones (client-server API, "Thumbnails"): made when first asked for, off the async threads, and kept.

use std::io::Cursor;
use std::time::Duration;

use bytes::Bytes;
use fast_image_resize::images::Image;
use fast_image_resize::{IntoImageView, ResizeOptions, Resizer};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use store::{rows, tables};

use crate::blobs::BlobName;
use crate::download::Download;
use crate::{Error, Media, MediaRef};

/// How the small picture comes from the large one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The whole picture, no larger than asked in either direction.
    Scale,
    /// A part of the picture that has exactly the proportions asked for.
    Crop,
}

impl Method {
    const fn name(self) -> &'static str {
        match self {
            Self::Scale => "scale",
            Self::Crop => "crop",
        }
    }
}

/// What a client asks for.
#[derive(Debug, Clone, Copy)]
pub struct ThumbnailRequest {
    /// Wanted width in pixels.
    pub width: u32,
    /// Wanted height in pixels.
    pub height: u32,
    /// `scale` unless the client says otherwise.
    pub method: Method,
}

/// The sizes that are made: a request gets the smallest that is not smaller than it asks for.
const SIZES: [(u32, u32, Method); 5] = [
    (32, 32, Method::Crop),
    (96, 96, Method::Crop),
    (320, 240, Method::Scale),
    (640, 480, Method::Scale),
    (800, 600, Method::Scale),
];

/// JPEG quality: small files, no visible blocks.
const QUALITY: u8 = 80;

impl ThumbnailRequest {
    /// The size that is made for this request: the specification lets a server have a few and answer with the next larger one.
    fn made(self) -> Result<(u32, u32, Method), Error> {
        if self.width == 0 || self.height == 0 {
            return Err(Error::BadThumbnail(
                "width and height of a thumbnail are at least 1",
            ));
        }
        let mut of_method = SIZES.iter().filter(|(.., method)| *method == self.method);
        let enough = of_method
            .clone()
            .find(|(width, height, _)| *width >= self.width && *height >= self.height);
        enough
            .or_else(|| of_method.next_back())
            .copied()
            .ok_or(Error::Bug("a method without sizes"))
    }
}

impl Media {
    /// A thumbnail of the file; the file itself when it is already as small as that.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotYetUploaded`], [`Error::NoThumbnail`] for what is no picture (or one too large to decode),
    /// [`Error::BadThumbnail`], or a fault of disk or database.
    pub async fn thumbnail(
        &self,
        media: &MediaRef,
        ask: ThumbnailRequest,
        wait: Duration,
    ) -> Result<Download, Error> {
        let (width, height, method) = ask.made()?;
        let file = self.file_row(media, wait).await?;
        let name = BlobName::of(&[
            media.server.as_str(),
            &media.id,
            method.name(),
            &format!("{width}x{height}"),
        ]);
        let key = (
            media.server.to_string(),
            media.id.clone(),
            u64::from(width),
            method.name().to_owned(),
        );
        let lookup = key.clone();
        let known = self
            .0
            .store
            .read(move |s| Ok::<_, Error>(s.get(tables::THUMBNAILS, &lookup)?))
            .await?;
        if let Some(row) = known {
            return match row.size {
                Some(size) => {
                    let body = self.open_blob(&name).await?;
                    Ok(Download {
                        content_type: Some(row.content_type),
                        filename: Some("thumbnail".to_owned()),
                        size,
                        body,
                    })
                }
                None => self.download(media, Duration::ZERO).await,
            };
        }
        let small = self
            .scale(media, file.content_type.as_deref(), (width, height, method))
            .await?;
        let row = match small {
            None => rows::media::Thumbnail {
                content_type: String::new(),
                size: None,
            },
            Some(small) => {
                let writing = self.0.blobs.write(name, &*self.0.random);
                let content_type = small.content_type.to_owned();
                writing.push(Bytes::from(small.bytes)).await;
                let written = writing.finish().await?;
                rows::media::Thumbnail {
                    content_type,
                    size: Some(written.size),
                }
            }
        };
        let kept = row.clone();
        // Should the power fail, the thumbnail is simply made again.
        self.0
            .store
            .write_relaxed(move |tx| Ok::<_, Error>(tx.put(tables::THUMBNAILS, &key, &kept)?))
            .await?;
        match row.size {
            None => self.download(media, Duration::ZERO).await,
            Some(size) => {
                let body = self.open_blob(&name).await?;
                Ok(Download {
                    content_type: Some(row.content_type),
                    filename: Some("thumbnail".to_owned()),
                    size,
                    body,
                })
            }
        }
    }

    /// Decodes and scales on the blocking pool. `None` when the picture is no larger than the thumbnail would be.
    async fn scale(
        &self,
        media: &MediaRef,
        content_type: Option<&str>,
        size: (u32, u32, Method),
    ) -> Result<Option<Small>, Error> {
        if content_type
            .is_some_and(|kind| !kind.starts_with("image/") && kind != "application/octet-stream")
        {
            return Err(Error::NoThumbnail);
        }
        let path = self
            .0
            .blobs
            .path(&BlobName::of(&[media.server.as_str(), &media.id]));
        let most = self.0.config.max_pixels;
        let _turn = self
            .0
            .scaling
            .acquire()
            .await
            .map_err(|_| Error::Bug("the scaling turns were closed"))?;
        tokio::task::spawn_blocking(move || {
            let decoded = decode(&path, most)?;
            shrink(&decoded, size)
        })
        .await
        .map_err(|_| Error::NoThumbnail)?
    }
}

/// A finished thumbnail.
struct Small {
    content_type: &'static str,
    bytes: Vec<u8>,
}

/// Decodes a picture after its header was found to be of a known kind and within bounds; what the file claims to be does not matter.
fn decode(path: &std::path::Path, most_pixels: u64) -> Result<DynamicImage, Error> {
    let mut reader = ImageReader::open(path)?.with_guessed_format()?;
    let known = [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::Gif,
        ImageFormat::WebP,
    ];
    if !reader
        .format()
        .is_some_and(|format| known.contains(&format))
    {
        return Err(Error::NoThumbnail);
    }
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(most_pixels.saturating_mul(8));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|_| Error::NoThumbnail)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > most_pixels {
        return Err(Error::NoThumbnail);
    }
    let orientation = decoder.orientation().map_err(|_| Error::NoThumbnail)?;
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(|_| Error::NoThumbnail)?;
    decoded.apply_orientation(orientation);
    Ok(decoded)
}

fn shrink(
    picture: &DynamicImage,
    (width, height, method): (u32, u32, Method),
) -> Result<Option<Small>, Error> {
    let (from_width, from_height) = (picture.width(), picture.height());
    if from_width <= width && from_height <= height {
        return Ok(None);
    }
    // Eight bits per channel: what thumbnails are made of.
    let (picture, alpha) = if picture.color().has_alpha() {
        (DynamicImage::ImageRgba8(picture.to_rgba8()), true)
    } else {
        (DynamicImage::ImageRgb8(picture.to_rgb8()), false)
    };
    let (width, height) = match method {
        Method::Crop => (width.min(from_width), height.min(from_height)),
        Method::Scale => fit((from_width, from_height), (width, height)),
    };
    let pixels = picture.pixel_type().ok_or(Error::NoThumbnail)?;
    let mut small = Image::new(width, height, pixels);
    let options = match method {
        Method::Crop => ResizeOptions::new().fit_into_destination(None),
        Method::Scale => ResizeOptions::new(),
    };
    Resizer::new()
        .resize(&picture, &mut small, &options)
        .map_err(|_| Error::NoThumbnail)?;
    encode(small.buffer(), (width, height), alpha).map(Some)
}

fn encode(pixels: &[u8], (width, height): (u32, u32), alpha: bool) -> Result<Small, Error> {
    let mut out = Cursor::new(Vec::new());
    let (content_type, done) = if alpha {
        let done = image::write_buffer_with_format(
            &mut out,
            pixels,
            width,
            height,
            image::ExtendedColorType::Rgba8,
            ImageFormat::Png,
        );
        ("image/png", done)
    } else {
        let done = JpegEncoder::new_with_quality(&mut out, QUALITY).encode(
            pixels,
            width,
            height,
            image::ExtendedColorType::Rgb8,
        );
        ("image/jpeg", done)
    };
    done.map_err(|_| Error::NoThumbnail)?;
    Ok(Small {
        content_type,
        bytes: out.into_inner(),
    })
}

/// The largest size with the proportions of `from` that fits into `into`.
fn fit(from: (u32, u32), into: (u32, u32)) -> (u32, u32) {
    let (from_width, from_height) = (u64::from(from.0), u64::from(from.1));
    let (width, height) = (u64::from(into.0), u64::from(into.1));
    let (width, height) = if width * from_height <= height * from_width {
        (width, (width * from_height / from_width.max(1)).max(1))
    } else {
        ((height * from_width / from_height.max(1)).max(1), height)
    };
    // Both are at most as large as `into`, whose parts were 32 bits wide.
    (
        u32::try_from(width).unwrap_or(into.0),
        u32::try_from(height).unwrap_or(into.1),
    )
}
