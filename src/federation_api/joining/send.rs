//! `PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}`, `/_matrix/federation/v2/send_leave/…` and `/_matrix/federation/v1/send_knock/…`

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use rooms::handshake::Offered;
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use serde_json::value::RawValue;
use web::{FromServer, Json, JsonBytes, Path, Plain, Query, Reply};

use crate::App;

#[derive(Deserialize)]
pub(crate) struct Ask {
    #[serde(default)]
    omit_members: bool,
}

type Place = Path<(OwnedRoomId, OwnedEventId)>;
type Event = Json<Box<RawValue>>;

/// Takes in a join, and answers with the room. The answer may be large, and is written as it is sent.
pub(crate) async fn join(
    FromServer(origin): FromServer,
    Path((room_id, event_id)): Place,
    Query(ask): Query<Ask>,
    Json(event): Event,
    app: App,
) -> Reply<Plain> {
    let offered = Offered {
        origin: &origin,
        room_id: &room_id,
        event_id: &event_id,
        event: &event,
    };
    let answer = app.house.rooms.send_join(offered, ask.omit_members).await?;
    let mut response = Response::new(Body::from_stream(answer.pieces()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(Plain(response))
}

/// Takes in a departure.
pub(crate) async fn leave(
    FromServer(origin): FromServer,
    Path((room_id, event_id)): Place,
    Json(event): Event,
    app: App,
) -> Reply<JsonBytes> {
    let offered = Offered {
        origin: &origin,
        room_id: &room_id,
        event_id: &event_id,
        event: &event,
    };
    app.house.rooms.send_leave(offered).await?;
    Ok(JsonBytes::from("{}"))
}

/// Takes in a knock, and answers with what outsiders may know of the room.
pub(crate) async fn knock(
    FromServer(origin): FromServer,
    Path((room_id, event_id)): Place,
    Json(event): Event,
    app: App,
) -> Reply<JsonBytes> {
    let offered = Offered {
        origin: &origin,
        room_id: &room_id,
        event_id: &event_id,
        event: &event,
    };
    let received = app.house.rooms.send_knock(offered).await?;
    Ok(JsonBytes::from(format!(
        "{{\"knock_room_state\":[{}]}}",
        received.room_state.join(",")
    )))
}
