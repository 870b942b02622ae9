//! Joining a room.

use rooms::Membership;
use rooms::state::now;
use ruma::{OwnedRoomId, OwnedRoomOrAliasId, RoomId};
use serde::Deserialize;
use serde_json::{Map, Value};
use users::Identity;

use crate::House;
use crate::carry_over::carry_over;
use crate::error::{Error, Result};
use crate::{member, policy, resolve};

/// Joins a room by its ID or an alias. The membership says what is in `content`, and name and avatar.
pub async fn join(
    house: &House,
    who: &Identity,
    room: OwnedRoomOrAliasId,
    mut content: Map<String, Value>,
) -> Result<OwnedRoomId> {
    policy::may_act(who)?;
    let room = resolve(house, room).await?;
    let user = &who.user_id;
    if member::standing(house, &room, user)
        .await?
        .is_some_and(|standing| standing.is_joined())
    {
        return Ok(room);
    }
    if who.account.guest && !lets_guests_in(house, &room).await? {
        return Err(Error::GuestsNotAllowed);
    }
    content.remove("membership");
    member::add_profile(house, user, &mut content)?;
    member::change(house, &room, (user, user), Membership::Join, content).await?;
    carry_over(house, user, &room).await;
    Ok(room)
}

/// Does `m.room.guest_access` let guests in?
async fn lets_guests_in(house: &House, room: &RoomId) -> Result<bool> {
    #[derive(Deserialize)]
    struct Content {
        guest_access: Option<String>,
    }
    let room = room.to_owned();
    let access = house.rooms.store().read(move |s| {
        let room = rooms::members::room(s, &room)?;
        let event = now::get(s, room, "m.room.guest_access", "")?;
        Ok::<_, rooms::Error>(
            event
                .and_then(|event| event.content::<Content>())
                .and_then(|content| content.guest_access),
        )
    });
    Ok(access.await?.as_deref() == Some("can_join"))
}
