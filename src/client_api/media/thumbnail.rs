//! GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}

use media::{MediaRef, Method, ThumbnailRequest};
use ruma::UInt;
use ruma::api::client::authenticated_media::get_content_thumbnail::v1::Request;
use web::{Authed, Matrix, Plain, Reply};

use super::{LONGEST_WAIT, file};
use crate::App;

pub(crate) async fn get(_: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Plain> {
    let media = MediaRef::new(&ask.server_name, &ask.media_id)?;
    let method = match ask.method {
        Some(ruma::media::Method::Crop) => Method::Crop,
        _ => Method::Scale,
    };
    let ask_for = ThumbnailRequest {
        width: pixels(ask.width),
        height: pixels(ask.height),
        method,
    };
    let small = app
        .house
        .media
        .thumbnail(&media, ask_for, ask.timeout_ms.min(LONGEST_WAIT))
        .await?;
    Ok(Plain(file(small, None)))
}

/// Larger than anything we make is as good as the number itself.
fn pixels(wanted: UInt) -> u32 {
    u32::try_from(u64::from(wanted)).unwrap_or(u32::MAX)
}
