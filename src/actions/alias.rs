//! Naming rooms.

use ruma::{OwnedRoomId, RoomAliasId, RoomId};
use users::Identity;

use crate::House;
use crate::error::Result;
use crate::policy;

/// Points an alias of ours to a room.
pub async fn create(
    house: &House,
    who: &Identity,
    alias: &RoomAliasId,
    room: &RoomId,
) -> Result<()> {
    policy::may_act(who)?;
    Ok(house.rooms.create_alias(alias, room, &who.user_id).await?)
}

/// Removes an alias: for who made it, for those with power in the room, and for administrators.
pub async fn delete(house: &House, who: &Identity, alias: &RoomAliasId) -> Result<OwnedRoomId> {
    policy::may_act(who)?;
    Ok(house
        .rooms
        .delete_alias(alias, &who.user_id, who.account.admin)
        .await?)
}
