//! `GET /_matrix/federation/v1/event_auth/{roomId}/{eventId}`

use rooms::answers;
use ruma::{OwnedEventId, OwnedRoomId};
use web::{FromServer, JsonBytes, Path, Reply};

use crate::App;

/// Everything that authorises an event.
pub(crate) async fn get(
    FromServer(origin): FromServer,
    Path((room_id, event_id)): Path<(OwnedRoomId, OwnedEventId)>,
    app: App,
) -> Reply<JsonBytes> {
    let chain = app.read(move |s| Ok(answers::event_auth(s, &origin, &room_id, &event_id)?));
    let chain = chain.await?.join(",");
    Ok(JsonBytes::from(format!("{{\"auth_chain\":[{chain}]}}")))
}
