//! What people notice about files: they come back as they went in, small pictures are small, and nothing half done is ever seen.

use std::convert::Infallible;
use std::io::Cursor;
use std::time::Duration;

use base::clock::ManualClock;
use base::config::{ByteSize, MediaConfig};
use base::random::SeededRandom;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use image::{ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use peers::Peers;
use peers::loopback::Network;
use ruma::{server_name, user_id};
use store::Store;

use crate::{Download, Error, Media, MediaRef, Method, ThumbnailRequest, Upload};

struct Setting {
    media: Media,
    clock: ManualClock,
    directory: tempfile::TempDir,
}

fn setting() -> Setting {
    setting_with(MediaConfig {
        max_upload: ByteSize::from_kib(64),
        reservations_per_user: 2,
        ..MediaConfig::default()
    })
}

fn setting_with(config: MediaConfig) -> Setting {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::plausible();
    let peers = Peers::for_tests(server_name!("example.org"), &Network::new());
    let media = Media::open(
        config,
        directory.path().into(),
        peers,
        Store::memory(),
        clock.shared(),
        SeededRandom::new(1).shared(),
    )
    .unwrap();
    Setting {
        media,
        clock,
        directory,
    }
}

fn body(
    bytes: &[u8],
) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    let pieces: Vec<_> = bytes
        .chunks(1000)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    stream::iter(pieces)
}

async fn all(download: Download) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut pieces = std::pin::pin!(download.body.into_stream());
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    bytes
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 128]))
        .write_to(&mut out, ImageFormat::Png)
        .unwrap();
    out.into_inner()
}

fn named(kind: &str) -> Upload {
    Upload {
        content_type: Some(kind.into()),
        filename: Some("a name".into()),
        length: None,
    }
}

fn files_in(directory: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { files_in(&path) } else { 1 })
        .sum()
}

#[tokio::test]
async fn a_file_comes_back_as_it_went_in() {
    let set = setting();
    let bytes: Vec<u8> = (0..50_000_u32).map(|n| (n * 7) as u8).collect();
    let media = set
        .media
        .upload(user_id!("@a:example.org"), named("x/y"), body(&bytes))
        .await
        .unwrap();
    let download = set.media.download(&media, Duration::ZERO).await.unwrap();
    assert_eq!(
        (
            download.content_type.as_deref(),
            download.filename.as_deref(),
            download.size
        ),
        (Some("x/y"), Some("a name"), 50_000)
    );
    assert_eq!(all(download).await, bytes);
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_leaves_nothing() {
    let set = setting();
    let who = user_id!("@a:example.org");
    let said = Upload {
        length: Some(65_537),
        ..Upload::default()
    };
    assert!(matches!(
        set.media.upload(who, said, body(b"x")).await,
        Err(Error::TooLarge(65_536))
    ));
    let silent = set
        .media
        .upload(who, Upload::default(), body(&[0; 65_537]))
        .await;
    assert!(matches!(silent, Err(Error::TooLarge(65_536))));
    set.media
        .upload(who, Upload::default(), body(&[0; 65_536]))
        .await
        .unwrap();
    // The abandoned file is removed by its writer; opening again removes what a crash would have left.
    drop(set.media);
    crate::blobs::Blobs::open(set.directory.path().into()).unwrap();
    assert_eq!(files_in(set.directory.path()), 1);
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_no_file() {
    let set = setting();
    let broken = stream::iter([Ok(Bytes::from_static(b"half")), Err("connection lost")]);
    let outcome = set
        .media
        .upload(user_id!("@a:example.org"), Upload::default(), broken)
        .await;
    assert!(matches!(outcome, Err(Error::BrokenUpload(_))));
}

#[tokio::test]
async fn a_reserved_address_can_be_awaited_and_filled_once_by_its_owner() {
    let set = setting();
    let (alice, bob) = (user_id!("@a:example.org"), user_id!("@b:example.org"));
    let reserved = set.media.reserve(alice).await.unwrap().media;
    assert!(matches!(
        set.media.download(&reserved, Duration::ZERO).await,
        Err(Error::NotYetUploaded)
    ));
    assert!(matches!(
        set.media
            .fill(bob, &reserved, Upload::default(), body(b"hi"))
            .await,
        Err(Error::NotYours)
    ));

    let waiting = set.media.download(&reserved, Duration::from_secs(30));
    let filling = async {
        tokio::task::yield_now().await;
        set.media
            .fill(alice, &reserved, Upload::default(), body(b"hi"))
            .await
    };
    let (download, filled) = tokio::join!(waiting, filling);
    filled.unwrap();
    assert_eq!(all(download.unwrap()).await, b"hi");
    assert!(matches!(
        set.media
            .fill(alice, &reserved, Upload::default(), body(b"ho"))
            .await,
        Err(Error::AlreadyUploaded)
    ));
}

#[tokio::test]
async fn reservations_are_few_and_lapse() {
    let set = setting();
    let who = user_id!("@a:example.org");
    let first = set.media.reserve(who).await.unwrap().media;
    set.media.reserve(who).await.unwrap();
    assert!(matches!(
        set.media.reserve(who).await,
        Err(Error::TooManyReserved)
    ));
    set.clock.advance(Duration::from_secs(86_401));
    assert!(matches!(
        set.media
            .fill(who, &first, Upload::default(), body(b"late"))
            .await,
        Err(Error::NotFound)
    ));
    set.media.reserve(who).await.unwrap();
}

#[tokio::test]
async fn thumbnails_have_the_size_asked_for() {
    let set = setting_with(MediaConfig::default());
    let media = set
        .media
        .upload(
            user_id!("@a:example.org"),
            named("image/png"),
            body(&png(1600, 1200)),
        )
        .await
        .unwrap();
    for (width, height, method, expected) in [
        (320, 240, Method::Scale, (320, 240)),
        (300, 100, Method::Scale, (320, 240)),
        (5000, 5000, Method::Scale, (800, 600)),
        (30, 30, Method::Crop, (32, 32)),
        (96, 40, Method::Crop, (96, 96)),
    ] {
        // Twice: made, then kept.
        for _ in 0..2 {
            let small = set
                .media
                .thumbnail(
                    &media,
                    ThumbnailRequest {
                        width,
                        height,
                        method,
                    },
                    Duration::ZERO,
                )
                .await
                .unwrap();
            assert_eq!(small.content_type.as_deref(), Some("image/jpeg"));
            let decoded = image::load_from_memory(&all(small).await).unwrap();
            assert_eq!(
                (decoded.width(), decoded.height()),
                expected,
                "{width}x{height} {method:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_transparent_picture_stays_transparent_and_a_small_one_stays_itself() {
    let set = setting();
    let who = user_id!("@a:example.org");
    let mut clear = Cursor::new(Vec::new());
    RgbaImage::from_pixel(400, 100, Rgba([0, 0, 0, 0]))
        .write_to(&mut clear, ImageFormat::Png)
        .unwrap();
    let clear = set
        .media
        .upload(who, named("image/png"), body(&clear.into_inner()))
        .await
        .unwrap();
    let ask = ThumbnailRequest {
        width: 320,
        height: 240,
        method: Method::Scale,
    };
    let small = all(set
        .media
        .thumbnail(&clear, ask, Duration::ZERO)
        .await
        .unwrap())
    .await;
    let small = image::load_from_memory(&small).unwrap();
    assert_eq!(
        (
            small.width(),
            small.height(),
            small.to_rgba8().get_pixel(5, 5).0[3]
        ),
        (320, 80, 0)
    );

    let tiny = png(20, 20);
    let media = set
        .media
        .upload(who, named("image/png"), body(&tiny))
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(
            all(set
                .media
                .thumbnail(&media, ask, Duration::ZERO)
                .await
                .unwrap())
            .await,
            tiny
        );
    }
}

#[tokio::test]
async fn no_thumbnail_of_what_is_no_picture_or_too_large_a_one() {
    let set = setting_with(MediaConfig {
        max_pixels: 10_000,
        ..MediaConfig::default()
    });
    let who = user_id!("@a:example.org");
    let ask = ThumbnailRequest {
        width: 32,
        height: 32,
        method: Method::Crop,
    };
    for (kind, bytes) in [
        ("text/html", b"<svg/>".to_vec()),
        (
            "image/svg+xml",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(),
        ),
        ("image/png", b"\x89PNG\r\n\x1a\nbroken".to_vec()),
        ("image/png", png(101, 100)),
    ] {
        let media = set
            .media
            .upload(who, named(kind), body(&bytes))
            .await
            .unwrap();
        assert!(
            matches!(
                set.media.thumbnail(&media, ask, Duration::ZERO).await,
                Err(Error::NoThumbnail)
            ),
            "{kind}"
        );
    }
    let nothing = ThumbnailRequest { width: 0, ..ask };
    let media = set
        .media
        .upload(who, named("image/png"), body(&png(10, 10)))
        .await
        .unwrap();
    assert!(matches!(
        set.media.thumbnail(&media, nothing, Duration::ZERO).await,
        Err(Error::BadThumbnail(_))
    ));
}

#[test]
fn ids_that_could_be_paths_are_refused() {
    for bad in ["", "..", "a/b", "a%2fb", "a\0", &"x".repeat(4096)] {
        assert!(
            MediaRef::new(server_name!("example.org"), bad).is_err(),
            "{bad:?}"
        );
    }
    assert_eq!(
        MediaRef::new(server_name!("example.org"), "a-B_9")
            .unwrap()
            .uri(),
        "mxc://example.org/a-B_9"
    );
}

#[tokio::test]
async fn unknown_files_are_not_found_and_servers_that_do_not_answer_are_named() {
    let set = setting();
    let download = async |server| {
        let media = MediaRef::new(server, "nothing").unwrap();
        set.media.download(&media, Duration::ZERO).await
    };
    let here = download(server_name!("example.org")).await;
    assert!(matches!(here, Err(Error::NotFound)));
    let there = download(server_name!("elsewhere.org")).await;
    let Err(Error::Peers(error)) = there else {
        panic!("a file of a server that cannot be reached");
    };
    assert!(error.to_string().contains("elsewhere.org"), "{error}");
}
