//! `POST /_matrix/client/v3/rooms/{roomId}/join` and `POST /_matrix/client/v3/join/{roomIdOrAlias}`

use ruma::api::client::membership::{join_room_by_id, join_room_by_id_or_alias};
use serde_json::{Map, Value};
use web::{Asked, Guest, Matrix, Reply};

use crate::{App, json};

/// Joins a room that this server knows, or that one of the room's own servers does.
pub(crate) async fn by_id(
    who: Guest,
    asked: Asked,
    Matrix(ask): Matrix<join_room_by_id::v3::Request>,
    app: App,
) -> Reply<join_room_by_id::v3::Response> {
    let extra = extra_content(json::body(&asked.body)?);
    let room_id = actions::join(&app.house, &who, ask.room_id.into(), Vec::new(), extra).await?;
    Ok(join_room_by_id::v3::Response::new(room_id))
}

/// Joins a room by its ID or one of its aliases.
pub(crate) async fn by_id_or_alias(
    who: Guest,
    asked: Asked,
    Matrix(ask): Matrix<join_room_by_id_or_alias::v3::Request>,
    app: App,
) -> Reply<join_room_by_id_or_alias::v3::Response> {
    let extra = extra_content(json::body(&asked.body)?);
    let room_id = actions::join(&app.house, &who, ask.room_id_or_alias, ask.via, extra).await?;
    Ok(join_room_by_id_or_alias::v3::Response::new(room_id))
}

/// Clients may put keys of their own into their membership: bots and games do.
fn extra_content(mut body: Map<String, Value>) -> Map<String, Value> {
    body.remove("third_party_signed");
    body
}
