//! `PUT /_matrix/federation/v1/exchange_third_party_invite/{roomId}` and `PUT /_matrix/federation/v1/3pid/onbind`

use actions::third_party::{self, Bound};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::value::RawValue;
use web::{Error, FromServer, Json, JsonBytes, Path, Reply};

use crate::App;

/// Most invitations that wait for one address.
const INVITES: usize = 50;

#[derive(Deserialize)]
pub(crate) struct OnBind {
    #[serde(default)]
    invites: Vec<Bound>,
}

/// Makes an invitation to an address one to the user to whom that address belongs.
pub(crate) async fn exchange(
    FromServer(origin): FromServer,
    Path((room_id,)): Path<(OwnedRoomId,)>,
    Json(event): Json<Box<RawValue>>,
    app: App,
) -> Reply<JsonBytes> {
    app.house
        .rooms
        .exchange_third_party_invite(&origin, &room_id, &event)
        .await?;
    Ok(JsonBytes::from("{}"))
}

/// An identity server says that an address belongs to a user of ours now, for whom invitations wait. Anybody could say so: what counts is what
/// the identity server has signed, which the rooms' servers check.
pub(crate) async fn on_bind(Json(told): Json<OnBind>, app: App) -> Reply<JsonBytes> {
    if told.invites.len() > INVITES {
        return Err(Error::too_large(format!(
            "These are more than {INVITES} invitations"
        )));
    }
    third_party::bound(&app.house, told.invites).await;
    Ok(JsonBytes::from("{}"))
}
