//! Moving a room to another room version.

use rooms::Upgrade;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, RoomVersionId};
use serde_json::Map;
use users::Identity;

use crate::House;
use crate::carry_over::carry_over;
use crate::error::{Error, Result};
use crate::{member, policy};

/// Replaces a room by a new one of another version; answers the new one.
pub async fn upgrade_room(
    house: &House,
    who: &Identity,
    room: &RoomId,
    version: RoomVersionId,
    additional_creators: Vec<OwnedUserId>,
) -> Result<OwnedRoomId> {
    policy::may_act(who)?;
    if event::Rules::of(&version).is_none() {
        return Err(Error::UnsupportedRoomVersion(version.to_string()));
    }
    let mut creator_content = Map::new();
    member::add_profile(house, &who.user_id, &mut creator_content)?;
    let upgrade = Upgrade {
        room_id: room.to_owned(),
        sender: who.user_id.clone(),
        creator_content,
        version,
        additional_creators,
    };
    let new = house.rooms.upgrade(upgrade).await?.room_id;
    carry_over(house, &who.user_id, &new).await;
    Ok(new)
}
