//! `GET /_matrix/client/v3/keys/changes`

use ruma::api::client::keys::get_key_changes::v3::{Request, Response};
use web::{Authed, Matrix, Reply};

use crate::App;

/// Whose devices changed between two syncs, and with whom no room is shared any more.
pub(crate) async fn get(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    let (changed, left) = app
        .sync
        .key_changes(&who.user_id, &ask.from, &ask.to)
        .await?;
    Ok(Response::new(changed, left))
}
