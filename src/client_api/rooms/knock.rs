//! `POST /_matrix/client/v3/knock/{roomIdOrAlias}`

use ruma::api::client::knock::knock_room::v3::{Request, Response};
use web::{Authed, Matrix, Reply};

use crate::App;

/// Asks to be let into a room.
pub(crate) async fn post(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    let room_id =
        actions::knock(&app.house, &who, ask.room_id_or_alias, ask.via, ask.reason).await?;
    Ok(Response::new(room_id))
}
