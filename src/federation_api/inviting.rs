//! `PUT /_matrix/federation/v2/invite/{roomId}/{eventId}` and `PUT /_matrix/federation/v1/invite/{roomId}/{eventId}`

use rooms::handshake::Invitation;
use ruma::{OwnedEventId, OwnedRoomId, RoomVersionId};
use serde::Deserialize;
use serde_json::value::RawValue;
use web::{Error, FromServer, Json, JsonBytes, Path, Reply};

use crate::App;

#[derive(Deserialize)]
pub(crate) struct Invite {
    room_version: RoomVersionId,
    event: Box<RawValue>,
    #[serde(default)]
    invite_room_state: Vec<Box<RawValue>>,
}

/// What the first version of this endpoint has beside the event.
#[derive(Default, Deserialize)]
struct Beside {
    #[serde(default)]
    unsigned: Unsigned,
}

#[derive(Default, Deserialize)]
struct Unsigned {
    #[serde(default)]
    invite_room_state: Vec<Box<RawValue>>,
}

type Place = Path<(OwnedRoomId, OwnedEventId)>;

/// Invites a user of ours.
pub(crate) async fn v2(
    FromServer(origin): FromServer,
    Path((room_id, event_id)): Place,
    Json(invite): Json<Invite>,
    app: App,
) -> Reply<JsonBytes> {
    let invitation = Invitation {
        origin: &origin,
        room_id: &room_id,
        event_id: &event_id,
        version: &invite.room_version,
        event: &invite.event,
        room_state: &invite.invite_room_state,
    };
    let event = actions::invited(&app.house, invitation).await?;
    Ok(JsonBytes::from(format!("{{\"event\":{event}}}")))
}

/// Invites a user of ours into a room of the first versions, whose events name themselves. The answer is a list, as it was when the status was
/// part of it.
pub(crate) async fn v1(
    FromServer(origin): FromServer,
    Path((room_id, event_id)): Place,
    Json(event): Json<Box<RawValue>>,
    app: App,
) -> Reply<JsonBytes> {
    let beside: Beside =
        serde_json::from_str(event.get()).map_err(|error| Error::bad_json(error.to_string()))?;
    let first = event::Rules::all()
        .iter()
        .map(event::Rules::room_version)
        .next()
        .ok_or_else(|| Error::internal("no room version is known"))?;
    let invitation = Invitation {
        origin: &origin,
        room_id: &room_id,
        event_id: &event_id,
        version: &first,
        event: &event,
        room_state: &beside.unsigned.invite_room_state,
    };
    let event = actions::invited(&app.house, invitation).await?;
    Ok(JsonBytes::from(format!("[200,{{\"event\":{event}}}]")))
}
