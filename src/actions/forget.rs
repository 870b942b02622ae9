//! Forgetting a room.

use ruma::RoomId;
use users::Identity;

use crate::House;
use crate::error::Result;

/// Forgets a room that was left: it is not shown to the user again.
pub async fn forget(house: &House, who: &Identity, room: &RoomId) -> Result<()> {
    Ok(house.rooms.forget(room, &who.user_id).await?)
}
