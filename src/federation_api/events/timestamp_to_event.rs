//! `GET /_matrix/federation/v1/timestamp_to_event/{roomId}`

use rooms::{Order, answers};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::json;
use web::{FromServer, JsonBytes, Path, Query, Reply};

use crate::App;

#[derive(Deserialize)]
pub(crate) struct Ask {
    ts: u64,
    dir: Direction,
}

#[derive(Clone, Copy, Deserialize)]
enum Direction {
    #[serde(rename = "f")]
    Forward,
    #[serde(rename = "b")]
    Backward,
}

/// The event nearest to a moment, in one direction.
pub(crate) async fn get(
    FromServer(origin): FromServer,
    Path((room_id,)): Path<(OwnedRoomId,)>,
    Query(ask): Query<Ask>,
    app: App,
) -> Reply<JsonBytes> {
    let order = match ask.dir {
        Direction::Forward => Order::Forward,
        Direction::Backward => Order::Backward,
    };
    let found = app.read(move |s| {
        let found = answers::timestamp_to_event(s, &origin, &room_id, ask.ts, order);
        Ok(found?)
    });
    let (event_id, time) = found.await?;
    JsonBytes::of(&json!({ "event_id": event_id, "origin_server_ts": time }))
}
