//! `POST /_matrix/client/v3/rooms/{roomId}/upgrade`

use ruma::api::client::room::upgrade_room::v3::{Request, Response};
use web::{Authed, Matrix, Reply};

use crate::App;

/// Moves a room to another room version.
pub(crate) async fn post(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    let replacement = actions::upgrade_room(
        &app.house,
        &who,
        &ask.room_id,
        ask.new_version,
        ask.additional_creators,
    )
    .await?;
    Ok(Response::new(replacement))
}
