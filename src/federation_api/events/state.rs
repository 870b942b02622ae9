//! `GET /_matrix/federation/v1/state/{roomId}`

use rooms::answers;
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use web::{FromServer, JsonBytes, Path, Query, Reply};

use crate::App;

#[derive(Deserialize)]
pub(crate) struct Ask {
    event_id: OwnedEventId,
}

/// The state before an event, and everything that authorises it.
pub(crate) async fn get(
    FromServer(origin): FromServer,
    Path((room_id,)): Path<(OwnedRoomId,)>,
    Query(ask): Query<Ask>,
    app: App,
) -> Reply<JsonBytes> {
    let state = app.read(move |s| Ok(answers::state(s, &origin, &room_id, &ask.event_id)?));
    let state = state.await?;
    Ok(JsonBytes::from(format!(
        "{{\"auth_chain\":[{}],\"pdus\":[{}]}}",
        state.auth_chain.join(","),
        state.pdus.join(",")
    )))
}
