//! `POST /_matrix/client/v3/rooms/{roomId}/unban`

use ruma::api::client::membership::unban_user::v3::{Request, Response};
use web::{Authed, Matrix, Reply};

use crate::App;

/// Lifts a ban.
pub(crate) async fn post(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    actions::unban(&app.house, &who, &ask.room_id, &ask.user_id, ask.reason).await?;
    Ok(Response::new())
}
