//! `POST /_matrix/client/v3/rooms/{roomId}/leave`

use ruma::api::client::membership::leave_room::v3::{Request, Response};
use web::{Guest, Matrix, Reply};

use crate::App;

/// Leaves a room, or turns an invite or a knock down.
pub(crate) async fn post(who: Guest, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    actions::leave(&app.house, &who, &ask.room_id, ask.reason).await?;
    Ok(Response::new())
}
