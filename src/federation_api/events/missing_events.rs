//! `POST /_matrix/federation/v1/get_missing_events/{roomId}`

use rooms::answers::{self, Missing};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use web::{FromServer, Json, JsonBytes, Path, Reply};

use crate::App;

/// How many events are answered to who does not say.
const USUAL: usize = 10;

#[derive(Deserialize)]
pub(crate) struct Ask {
    earliest_events: Vec<OwnedEventId>,
    latest_events: Vec<OwnedEventId>,
    limit: Option<usize>,
    #[serde(default)]
    min_depth: u64,
}

/// The events between those that the asker has and those it heard of.
pub(crate) async fn post(
    FromServer(origin): FromServer,
    Path((room_id,)): Path<(OwnedRoomId,)>,
    Json(ask): Json<Ask>,
    app: App,
) -> Reply<JsonBytes> {
    let events = app.read(move |s| {
        let missing = Missing {
            latest: &ask.latest_events,
            earliest: &ask.earliest_events,
            limit: ask.limit.unwrap_or(USUAL),
            min_depth: ask.min_depth,
        };
        Ok(answers::missing_events(s, &origin, &room_id, &missing)?)
    });
    let events = events.await?.join(",");
    Ok(JsonBytes::from(format!("{{\"events\":[{events}]}}")))
}
