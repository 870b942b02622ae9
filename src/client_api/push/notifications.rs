//! `GET /_matrix/client/v3/notifications`

use ruma::api::client::push::get_notifications::v3::Request;
use sync::notifications::Params;
use web::{Authed, JsonBytes, Matrix, Reply};

use crate::App;

/// What the user was notified of.
pub(crate) async fn get(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let params = Params {
        from: ask.from,
        limit: ask
            .limit
            .map(|limit| usize::try_from(u64::from(limit)).unwrap_or(usize::MAX)),
        only_highlights: ask.only.as_deref() == Some("highlight"),
    };
    Ok(JsonBytes::from(
        app.sync.notifications(&who.user_id, params).await?,
    ))
}
