//! Taking along what a user has set for a room when they come into the one that replaces it: push rules and tags.
//!
//! The specification leaves this to servers. Who has muted a conversation, or keeps it among their favourites, means the conversation and
//! not its room version.

use rooms::state::now;
use ruma::{OwnedRoomId, RoomId, UserId};
use serde::Deserialize;
use tracing::warn;

use crate::House;
use crate::error::Result;

/// Takes along what a local user has set for the room that this one says it replaces. The user is in the room already, so a fault is
/// noted and goes no further.
pub(crate) async fn carry_over(house: &House, user: &UserId, room: &RoomId) {
    if let Err(error) = take_along(house, user, room).await {
        warn!(%user, %room, %error, "could not take along the settings of the replaced room");
    }
}

async fn take_along(house: &House, user: &UserId, room: &RoomId) -> Result<()> {
    if let Some(old) = predecessor(house, room).await? {
        house.users.inherit_push_rules(user, &old, room).await?;
        house.users.inherit_tags(user, &old, room).await?;
    }
    Ok(())
}

/// The room that a room's create event names as the one it replaces.
async fn predecessor(house: &House, room: &RoomId) -> Result<Option<OwnedRoomId>> {
    #[derive(Deserialize)]
    struct Content {
        predecessor: Option<Predecessor>,
    }
    #[derive(Deserialize)]
    struct Predecessor {
        room_id: OwnedRoomId,
    }
    let room = room.to_owned();
    let content = house.rooms.store().read(move |s| {
        let room = rooms::members::room(s, &room)?;
        let create = now::get(s, room, "m.room.create", "")?;
        Ok::<_, rooms::Error>(create.and_then(|create| create.content::<Content>()))
    });
    let content = content.await?;
    Ok(content
        .and_then(|content| content.predecessor)
        .map(|predecessor| predecessor.room_id))
}
