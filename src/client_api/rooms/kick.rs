//! `POST /_matrix/client/v3/rooms/{roomId}/kick`

use ruma::api::client::membership::kick_user::v3::{Request, Response};
use web::{Authed, Matrix, Reply};

use crate::App;

/// Puts somebody out of a room.
pub(crate) async fn post(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    actions::kick(&app.house, &who, &ask.room_id, &ask.user_id, ask.reason).await?;
    Ok(Response::new())
}
