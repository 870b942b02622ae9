//! Setting a room's state.

use rooms::{Membership, SetState};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use users::Identity;

use crate::House;
use crate::error::{Error, Result};
use crate::{invite, member, policy};

/// A piece of state to be set.
#[derive(Debug)]
pub struct NewState {
    /// Of which room.
    pub room_id: OwnedRoomId,
    /// Its type.
    pub event_type: String,
    /// Its state key.
    pub state_key: String,
    /// Its content, an object.
    pub content: Box<RawValue>,
}

/// Sets a piece of state. Memberships can be set this way too, and mean the same as by their own verbs.
pub async fn set_state(house: &House, who: &Identity, state: NewState) -> Result<OwnedEventId> {
    if state.event_type == "m.room.member" {
        return set_membership(house, who, state).await;
    }
    policy::may_act(who)?;
    let set = SetState {
        room_id: state.room_id,
        sender: who.user_id.clone(),
        event_type: state.event_type,
        state_key: state.state_key,
        content: state.content,
        timestamp: None,
    };
    Ok(house.rooms.set_state(set).await?.event_id)
}

async fn set_membership(house: &House, who: &Identity, state: NewState) -> Result<OwnedEventId> {
    let mut content: Map<String, Value> = serde_json::from_str(state.content.get())
        .map_err(|error| Error::BadJson(error.to_string()))?;
    let membership = content
        .remove("membership")
        .ok_or(Error::MissingParameter("membership"))?;
    let membership = membership
        .as_str()
        .and_then(Membership::named)
        .ok_or_else(|| Error::BadJson("there is no such membership".to_owned()))?;
    let target = OwnedUserId::try_from(state.state_key.as_str())
        .map_err(|_| Error::BadJson("the state key of a membership is a user ID".to_owned()))?;
    if membership != Membership::Leave || target != who.user_id {
        policy::may_act(who)?;
    }
    match membership {
        Membership::Join | Membership::Knock => member::add_profile(house, &target, &mut content)?,
        Membership::Invite => {
            invite::accepts_invites(house, &target).await?;
            member::add_profile(house, &target, &mut content)?;
        }
        Membership::Leave | Membership::Ban => {}
    }
    let sent = member::change(
        house,
        &state.room_id,
        (&who.user_id, &target),
        membership,
        content,
    )
    .await?;
    Ok(sent.event_id)
}
