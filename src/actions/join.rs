//! Joining a room.

use rooms::handshake::JoinRemote;
use rooms::state::now;
use rooms::{Error as Refusal, Membership};
use ruma::{OwnedRoomId, OwnedRoomOrAliasId, OwnedServerName, RoomId};
use serde::Deserialize;
use serde_json::{Map, Value};
use users::Identity;

use crate::House;
use crate::carry_over::carry_over;
use crate::error::{Error, Result};
use crate::resolve::Found;
use crate::{member, policy, resolve};

/// Joins a room by its ID or an alias, here or through one of its servers; `via` are those that the user names. The membership says
/// what is in `content`, and name and avatar.
pub async fn join(
    house: &House,
    who: &Identity,
    room: OwnedRoomOrAliasId,
    via: Vec<OwnedServerName>,
    content: Map<String, Value>,
) -> Result<OwnedRoomId> {
    policy::may_act(who)?;
    let Found {
        room_id,
        mut servers,
    } = resolve(house, room).await?;
    servers.extend(via);
    if enter(house, who, &room_id, servers, content).await? {
        carry_over(house, &who.user_id, &room_id).await;
    }
    Ok(room_id)
}

/// Makes somebody a member of a room; false if they were one before.
async fn enter(
    house: &House,
    who: &Identity,
    room_id: &RoomId,
    via: Vec<OwnedServerName>,
    mut content: Map<String, Value>,
) -> Result<bool> {
    let user = &who.user_id;
    content.remove("membership");
    member::add_profile(house, user, &mut content)?;
    let ask = JoinRemote {
        room_id: room_id.to_owned(),
        user: user.clone(),
        via,
        content,
    };
    if house.rooms.is_elsewhere(room_id).await? {
        // Whether it lets guests in is known only once one is in it.
        if who.account.guest {
            return Err(Error::GuestsNotAllowed);
        }
        return through_others(house, ask).await;
    }
    if member::standing(house, room_id, user)
        .await?
        .is_some_and(|standing| standing.is_joined())
    {
        return Ok(false);
    }
    if who.account.guest && !lets_guests_in(house, room_id).await? {
        return Err(Error::GuestsNotAllowed);
    }
    let content = ask.content.clone();
    match member::change(house, room_id, (user, user), Membership::Join, content).await {
        Ok(_) => Ok(true),
        // Nobody here may let them in; elsewhere there may be somebody.
        Err(Error::Rooms(refusal @ (Refusal::UnableToAuthorise | Refusal::UnableToGrant))) => {
            match through_others(house, ask).await {
                Err(Error::Rooms(Refusal::NobodyToAsk)) => {
                    Err(Error::NotAllowed(refusal.to_string()))
                }
                settled => settled,
            }
        }
        Err(error) => Err(error),
    }
}

async fn through_others(house: &House, ask: JoinRemote) -> Result<bool> {
    match house.rooms.join_remote(ask).await {
        Ok(_) => Ok(true),
        Err(error @ (Refusal::UnableToAuthorise | Refusal::UnableToGrant)) => {
            Err(Error::NotAllowed(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
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
