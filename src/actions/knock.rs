//! Asking to be let into a room.

use rooms::Membership;
use rooms::handshake::KnockRemote;
use ruma::{OwnedRoomId, OwnedRoomOrAliasId, OwnedServerName};
use users::Identity;

use crate::House;
use crate::error::Result;
use crate::resolve::Found;
use crate::{member, policy, resolve};

/// Knocks on a room, by its ID or an alias, here or through one of its servers; `via` are those that the user names.
pub async fn knock(
    house: &House,
    who: &Identity,
    room: OwnedRoomOrAliasId,
    via: Vec<OwnedServerName>,
    reason: Option<String>,
) -> Result<OwnedRoomId> {
    policy::may_act(who)?;
    let Found {
        room_id,
        mut servers,
    } = resolve(house, room).await?;
    servers.extend(via);
    let user = &who.user_id;
    let mut content = member::with_reason(reason);
    member::add_profile(house, user, &mut content)?;
    if house.rooms.is_elsewhere(&room_id).await? {
        let ask = KnockRemote {
            room_id: room_id.clone(),
            user: user.clone(),
            via: servers,
            content,
        };
        house.rooms.knock_remote(ask).await?;
        return Ok(room_id);
    }
    member::change(house, &room_id, (user, user), Membership::Knock, content).await?;
    Ok(room_id)
}
