//! `POST /_matrix/client/v3/rooms/{roomId}/ban`

use ruma::api::client::membership::ban_user::v3::{Request, Response};
use web::{Authed, Matrix, Reply};

use crate::App;

/// Bans somebody from a room.
pub(crate) async fn post(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    actions::ban(&app.house, &who, &ask.room_id, &ask.user_id, ask.reason).await?;
    Ok(Response::new())
}
