//! `GET /_matrix/federation/v1/media/download/{mediaId}`

use serde::Deserialize;
use web::{FromServer, Path, Plain, Query, Reply};

use crate::App;

#[derive(Deserialize)]
pub(crate) struct Ask {
    timeout_ms: Option<u64>,
}

/// A file that was uploaded here.
pub(crate) async fn get(
    _: FromServer,
    Path((id,)): Path<(String,)>,
    Query(ask): Query<Ask>,
    app: App,
) -> Reply<Plain> {
    let media = super::own(&app, &id)?;
    let file = app
        .house
        .media
        .download(&media, super::wait(ask.timeout_ms))
        .await?;
    Ok(Plain(super::enveloped(&app, file)?))
}
