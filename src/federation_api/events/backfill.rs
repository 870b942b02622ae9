//! `GET /_matrix/federation/v1/backfill/{roomId}`

use rooms::answers;
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use web::{FromServer, JsonBytes, Path, Query, Reply};

use crate::App;

#[derive(Deserialize)]
pub(crate) struct Ask {
    #[serde(default)]
    v: Vec<OwnedEventId>,
    limit: usize,
}

/// Some events and those before them.
pub(crate) async fn get(
    FromServer(origin): FromServer,
    Path((room_id,)): Path<(OwnedRoomId,)>,
    Query(ask): Query<Ask>,
    app: App,
) -> Reply<JsonBytes> {
    let events = app.read(move |s| Ok(answers::backfill(s, &origin, &room_id, &ask.v, ask.limit)?));
    let events = events.await?;
    Ok(super::transaction(&app, &events))
}
