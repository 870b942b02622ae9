//! `GET /_matrix/federation/v1/state_ids/{roomId}`

use rooms::answers;
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use serde_json::json;
use web::{FromServer, JsonBytes, Path, Query, Reply};

use crate::App;

#[derive(Deserialize)]
pub(crate) struct Ask {
    event_id: OwnedEventId,
}

/// The IDs of the state before an event, and of everything that authorises it.
pub(crate) async fn get(
    FromServer(origin): FromServer,
    Path((room_id,)): Path<(OwnedRoomId,)>,
    Query(ask): Query<Ask>,
    app: App,
) -> Reply<JsonBytes> {
    let ids = app.read(move |s| Ok(answers::state_ids(s, &origin, &room_id, &ask.event_id)?));
    let ids = ids.await?;
    JsonBytes::of(&json!({ "pdu_ids": ids.pdu_ids, "auth_chain_ids": ids.auth_chain_ids }))
}
