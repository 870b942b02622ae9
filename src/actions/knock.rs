//! Asking to be let into a room.

use rooms::Membership;
use ruma::{OwnedRoomId, OwnedRoomOrAliasId};
use users::Identity;

use crate::House;
use crate::error::Result;
use crate::{member, policy, resolve};

/// Knocks on a room, by its ID or an alias.
pub async fn knock(
    house: &House,
    who: &Identity,
    room: OwnedRoomOrAliasId,
    reason: Option<String>,
) -> Result<OwnedRoomId> {
    policy::may_act(who)?;
    let room = resolve(house, room).await?;
    let user = &who.user_id;
    let mut content = member::with_reason(reason);
    member::add_profile(house, user, &mut content)?;
    member::change(house, &room, (user, user), Membership::Knock, content).await?;
    Ok(room)
}
