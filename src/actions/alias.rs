//! Naming rooms.

use rooms::SetState;
use rooms::state::now;
use ruma::{OwnedRoomId, RoomAliasId, RoomId};
use serde_json::value::to_raw_value;
use serde_json::{Map, Value};
use users::Identity;

use crate::House;
use crate::error::{Error, Result};
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
    let room = house
        .rooms
        .delete_alias(alias, &who.user_id, who.account.admin)
        .await?;
    unname(house, who, &room, alias).await?;
    Ok(room)
}

/// Takes a removed alias out of the names that its room calls itself by, if whoever removed it may say so.
async fn unname(house: &House, who: &Identity, room: &RoomId, alias: &RoomAliasId) -> Result<()> {
    let id = room.to_owned();
    let named = house.rooms.store().read(move |s| {
        let room = rooms::members::room(s, &id)?;
        let named = now::get(s, room, "m.room.canonical_alias", "")?;
        Ok::<_, rooms::Error>(named.and_then(|event| event.content::<Map<String, Value>>()))
    });
    let Some(rest) = named.await?.and_then(|named| without(named, alias)) else {
        return Ok(());
    };
    let set = SetState {
        room_id: room.to_owned(),
        sender: who.user_id.clone(),
        event_type: "m.room.canonical_alias".to_owned(),
        state_key: String::new(),
        content: to_raw_value(&rest).map_err(|error| Error::BadJson(error.to_string()))?,
        timestamp: None,
    };
    match house.rooms.set_state(set).await {
        Ok(_) | Err(rooms::Error::Forbidden(_) | rooms::Error::NotJoined) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A room's names without one of them; none if it is not among them.
fn without(mut named: Map<String, Value>, alias: &RoomAliasId) -> Option<Map<String, Value>> {
    let before = named.clone();
    named.retain(|key, value| key != "alias" || value.as_str() != Some(alias.as_str()));
    if let Some(Value::Array(others)) = named.get_mut("alt_aliases") {
        others.retain(|other| other.as_str() != Some(alias.as_str()));
        if others.is_empty() {
            named.remove("alt_aliases");
        }
    }
    (named != before).then_some(named)
}
