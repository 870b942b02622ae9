//! POST /_matrix/media/v1/create

use ruma::api::client::media::create_mxc_uri::v1::{Request, Response};
use ruma::{MilliSecondsSinceUnixEpoch, UInt};
use web::{Authed, Matrix, Reply};

use crate::App;

pub(crate) async fn post(who: Authed, Matrix(_): Matrix<Request>, app: App) -> Reply<Response> {
    let reserved = app.house.media.reserve(&who.user_id).await?;
    let mut response = Response::new(reserved.media.uri().into());
    response.unused_expires_at = Some(MilliSecondsSinceUnixEpoch(UInt::new_saturating(
        reserved.expires_at,
    )));
    Ok(response)
}
