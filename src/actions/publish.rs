//! Listing rooms in the directory.

use ruma::RoomId;
use users::Identity;

use crate::House;
use crate::error::Result;
use crate::policy;

/// Lists a room in the directory, or takes it out.
pub async fn publish(house: &House, who: &Identity, room: &RoomId, listed: bool) -> Result<()> {
    policy::may_act(who)?;
    Ok(house
        .rooms
        .publish(room, &who.user_id, listed, who.account.admin)
        .await?)
}
