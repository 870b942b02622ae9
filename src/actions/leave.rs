//! Leaving a room.

use ruma::RoomId;
use users::Identity;

use crate::House;
use crate::error::Result;
use crate::member;

/// Leaves a room, or turns down an invite, or takes a knock back. Open to everybody, suspended or not.
pub async fn leave(
    house: &House,
    who: &Identity,
    room: &RoomId,
    reason: Option<String>,
) -> Result<()> {
    member::leave(house, room, &who.user_id, member::with_reason(reason)).await
}
