//! GET /_matrix/client/v1/media/download/{serverName}/{mediaId} and …/{fileName}

use media::MediaRef;
use ruma::api::client::authenticated_media::{get_content, get_content_as_filename};
use web::{Authed, Matrix, Plain, Reply};

use super::{LONGEST_WAIT, file};
use crate::App;

pub(crate) async fn get(
    _: Authed,
    Matrix(ask): Matrix<get_content::v1::Request>,
    app: App,
) -> Reply<Plain> {
    let media = MediaRef::new(&ask.server_name, &ask.media_id)?;
    let download = app
        .house
        .media
        .download(&media, ask.timeout_ms.min(LONGEST_WAIT))
        .await?;
    Ok(Plain(file(download, None)))
}

pub(crate) async fn get_named(
    _: Authed,
    Matrix(ask): Matrix<get_content_as_filename::v1::Request>,
    app: App,
) -> Reply<Plain> {
    let media = MediaRef::new(&ask.server_name, &ask.media_id)?;
    let download = app
        .house
        .media
        .download(&media, ask.timeout_ms.min(LONGEST_WAIT))
        .await?;
    Ok(Plain(file(download, Some(&ask.filename))))
}
