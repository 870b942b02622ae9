//! `GET /_matrix/federation/v1/hierarchy/{roomId}`

use rooms::hierarchy;
use ruma::OwnedRoomId;
use serde::Deserialize;
use web::{FromServer, JsonBytes, Path, Query, Reply};

use crate::App;

#[derive(Deserialize)]
pub(crate) struct Ask {
    #[serde(default)]
    suggested_only: bool,
}

/// A space and its children, as far as somebody of the asking server may know of them.
pub(crate) async fn get(
    FromServer(origin): FromServer,
    Path((room_id,)): Path<(OwnedRoomId,)>,
    Query(ask): Query<Ask>,
    app: App,
) -> Reply<JsonBytes> {
    let told = app.read(move |s| {
        let room = rooms::members::room(s, &room_id)?;
        let told = hierarchy::for_server(s, room, &origin, ask.suggested_only);
        Ok(told?)
    });
    JsonBytes::of(&told.await?)
}
