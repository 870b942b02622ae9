//! GET /_matrix/client/v1/media/config and GET /_matrix/media/v3/config

use ruma::UInt;
use ruma::api::client::{authenticated_media, media};
use web::{Authed, Matrix, Reply};

use crate::App;

pub(crate) async fn get(
    _: Authed,
    Matrix(_): Matrix<authenticated_media::get_media_config::v1::Request>,
    app: App,
) -> Reply<authenticated_media::get_media_config::v1::Response> {
    Ok(authenticated_media::get_media_config::v1::Response::new(
        largest(&app),
    ))
}

#[expect(deprecated, reason = "clients older than Matrix 1.11 ask here")]
pub(crate) async fn get_legacy(
    _: Authed,
    Matrix(_): Matrix<media::get_media_config::v3::Request>,
    app: App,
) -> Reply<media::get_media_config::v3::Response> {
    Ok(media::get_media_config::v3::Response::new(largest(&app)))
}

fn largest(app: &App) -> UInt {
    UInt::new_saturating(app.house.media.max_upload())
}
