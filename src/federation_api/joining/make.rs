//! `GET /_matrix/federation/v1/make_join/{roomId}/{userId}`, `…/make_leave/…` and `…/make_knock/…`

use rooms::handshake::Template;
use ruma::{OwnedRoomId, OwnedUserId, RoomVersionId};
use serde::Deserialize;
use serde_json::json;
use web::{FromServer, JsonBytes, Path, Query, Reply};

use crate::App;

/// Most room versions that are looked at.
const VERSIONS: usize = 100;

#[derive(Deserialize)]
pub(crate) struct Ask {
    #[serde(default)]
    ver: Vec<RoomVersionId>,
}

type Place = Path<(OwnedRoomId, OwnedUserId)>;

/// What a server speaks that does not say: the first version.
fn versions(ask: Ask) -> Vec<RoomVersionId> {
    let mut versions = ask.ver;
    if versions.is_empty() {
        versions.extend(
            event::Rules::all()
                .iter()
                .map(event::Rules::room_version)
                .next(),
        );
    }
    versions.truncate(VERSIONS);
    versions
}

fn told(template: &Template) -> Reply<JsonBytes> {
    JsonBytes::of(&json!({ "room_version": template.room_version, "event": template.event }))
}

/// A template for joining.
pub(crate) async fn join(
    FromServer(origin): FromServer,
    Path((room_id, user)): Place,
    Query(ask): Query<Ask>,
    app: App,
) -> Reply<JsonBytes> {
    let versions = versions(ask);
    told(
        &app.house
            .rooms
            .make_join(&origin, &room_id, &user, versions)
            .await?,
    )
}

/// A template for knocking.
pub(crate) async fn knock(
    FromServer(origin): FromServer,
    Path((room_id, user)): Place,
    Query(ask): Query<Ask>,
    app: App,
) -> Reply<JsonBytes> {
    let versions = versions(ask);
    told(
        &app.house
            .rooms
            .make_knock(&origin, &room_id, &user, versions)
            .await?,
    )
}

/// A template for leaving, or turning an invitation down.
pub(crate) async fn leave(
    FromServer(origin): FromServer,
    Path((room_id, user)): Place,
    app: App,
) -> Reply<JsonBytes> {
    told(&app.house.rooms.make_leave(&origin, &room_id, &user).await?)
}
