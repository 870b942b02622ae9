//! `GET /_matrix/federation/v1/query/directory`

use ruma::OwnedRoomAliasId;
use serde::Deserialize;
use serde_json::json;
use web::{FromServer, JsonBytes, Query, Reply};

use crate::App;

#[derive(Deserialize)]
pub(crate) struct Ask {
    room_alias: OwnedRoomAliasId,
}

/// The room that an alias of ours points to, and servers by which it can be joined.
pub(crate) async fn get(_: FromServer, Query(ask): Query<Ask>, app: App) -> Reply<JsonBytes> {
    if ask.room_alias.server_name() != app.house.server_name() {
        return Err(rooms::Error::NoSuchAlias.into());
    }
    let found = actions::resolve(&app.house, ask.room_alias.into()).await?;
    JsonBytes::of(&json!({ "room_id": found.room_id, "servers": found.servers }))
}
