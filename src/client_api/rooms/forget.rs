//! `POST /_matrix/client/v3/rooms/{roomId}/forget`

use ruma::api::client::membership::forget_room::v3::{Request, Response};
use web::{Authed, Matrix, Reply};

use crate::App;

/// Forgets a room that was left: it is not shown to the user again.
pub(crate) async fn post(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    actions::forget(&app.house, &who, &ask.room_id).await?;
    Ok(Response::new())
}
