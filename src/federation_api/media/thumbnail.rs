//! `GET /_matrix/federation/v1/media/thumbnail/{mediaId}`

use media::{Method, ThumbnailRequest};
use serde::Deserialize;
use web::{FromServer, Path, Plain, Query, Reply};

use crate::App;

#[derive(Deserialize)]
pub(crate) struct Ask {
    width: u32,
    height: u32,
    method: Option<String>,
    timeout_ms: Option<u64>,
}

/// A picture that was uploaded here, made smaller.
pub(crate) async fn get(
    _: FromServer,
    Path((id,)): Path<(String,)>,
    Query(ask): Query<Ask>,
    app: App,
) -> Reply<Plain> {
    let media = super::own(&app, &id)?;
    let wanted = ThumbnailRequest {
        width: ask.width,
        height: ask.height,
        method: match ask.method.as_deref() {
            Some("crop") => Method::Crop,
            _ => Method::Scale,
        },
    };
    let file = app
        .house
        .media
        .thumbnail(&media, wanted, super::wait(ask.timeout_ms))
        .await?;
    Ok(Plain(super::enveloped(&app, file)?))
}
