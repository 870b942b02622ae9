//! Ending an account.

use rooms::{Membership, members};
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use serde_json::Map;

use crate::House;
use crate::error::Result;
use crate::member;

/// Ends an account for good: it leaves its rooms, turns down its invites, and can never be used again. With `erase`, its messages are hidden from those who join later.
pub async fn deactivate(house: &House, user: &UserId, erase: bool) -> Result<()> {
    // The sessions end first, so that nobody joins while we leave.
    house.users.deactivate(user, erase).await?;
    for room in present_in(house, user).await? {
        // A room that cannot be left must not keep the account alive.
        if let Err(error) = member::leave(house, &room, user, Map::new()).await {
            tracing::warn!(%user, %room, %error, "a deactivated user could not leave");
        }
    }
    Ok(())
}

/// The rooms that somebody is in, or was asked into, or asked to be let into.
async fn present_in(house: &House, user: &UserId) -> Result<Vec<OwnedRoomId>> {
    let user: OwnedUserId = user.to_owned();
    let rooms = house.rooms.store().read(move |s| {
        let Some(user) = s.user_no(&user)? else {
            return Ok(Vec::new());
        };
        let mut present = Vec::new();
        for membership in [Membership::Join, Membership::Invite, Membership::Knock] {
            for room in members::rooms_with(s, user, membership)? {
                present.push(s.room_id(room)?);
            }
        }
        Ok::<_, rooms::Error>(present)
    });
    Ok(rooms.await?)
}
