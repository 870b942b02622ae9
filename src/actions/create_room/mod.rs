//! Making a room.

mod plan;

use futures_util::StreamExt;
use rooms::{FirstState, Invitee, Membership, NewRoom};
use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomId, RoomVersionId, UserId};
use serde_json::{Map, Value, json};
use users::Identity;

use crate::House;
use crate::carry_over::carry_over;
use crate::error::{Error, Result};
use crate::{invite, member, policy};
use plan::{Plan, Version, plan};

/// How many servers are shown an invitation at once.
const AT_ONCE: usize = 8;

/// What somebody wants a new room to be like.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Extra keys of the create event.
    pub creation_content: Map<String, Value>,
    /// State that takes the place of what the preset would set.
    pub initial_state: Vec<InitialState>,
    /// Whom to invite.
    pub invite: Vec<OwnedUserId>,
    /// Is this a conversation of two (or a few) people?
    pub is_direct: bool,
    /// The room's name.
    pub name: Option<String>,
    /// Keys that override those of the power levels.
    pub power_levels: Map<String, Value>,
    /// The preset asked for.
    pub preset: Option<Preset>,
    /// The localpart of an alias for the room.
    pub alias: Option<String>,
    /// The room version; the configured one when absent.
    pub version: Option<RoomVersionId>,
    /// The room's topic.
    pub topic: Option<String>,
    /// Is the room listed in the directory?
    pub public: bool,
}

/// Makes a room as somebody wants it. It appears in one piece, with everything it begins with.
pub async fn create_room(house: &House, who: &Identity, ask: Ask) -> Result<OwnedRoomId> {
    policy::may_act(who)?;
    let id = ask
        .version
        .clone()
        .unwrap_or_else(|| house.rooms.default_version());
    let version = Version::of(&id).ok_or_else(|| Error::UnsupportedRoomVersion(id.to_string()))?;
    let alias = ask
        .alias
        .as_deref()
        .map(|localpart| local_alias(house, localpart))
        .transpose()?;
    let Plan {
        create,
        state,
        invite,
    } = plan(&ask, &who.user_id, alias.as_ref(), &version)?;

    let mut creator_content = Map::new();
    member::add_profile(house, &who.user_id, &mut creator_content)?;
    let invitees = invitees(house, invite, ask.is_direct).await?;
    let (here, elsewhere): (Vec<_>, Vec<_>) = invitees
        .into_iter()
        .partition(|invitee| house.is_local(&invitee.user));
    let new = NewRoom {
        creator: who.user_id.clone(),
        version: id,
        create,
        creator_content,
        state: state.into_iter().map(FirstState::from).collect(),
        invite: here,
        alias,
        listed: ask.public,
        timestamp: None,
    };
    let room_id = match house.rooms.create(new).await {
        Ok(created) => created.room_id,
        Err(rooms::Error::AliasInUse(alias)) => return Err(Error::AliasTaken(alias.to_string())),
        Err(error) => return Err(error.into()),
    };
    carry_over(house, &who.user_id, &room_id).await;
    invite_elsewhere(house, &who.user_id, &room_id, elsewhere).await;
    Ok(room_id)
}

/// Invites users of other servers, whose servers have to be asked. The room is there whether or not they answer; who could not be
/// invited can be invited again.
async fn invite_elsewhere(house: &House, inviter: &UserId, room: &RoomId, invitees: Vec<Invitee>) {
    let invite = |Invitee { user, content }: Invitee| async move {
        let people = (inviter, &*user);
        let invited = member::change(house, room, people, Membership::Invite, content).await;
        if let Err(error) = invited {
            tracing::warn!(%room, %user, %error, "somebody could not be invited into a new room");
        }
    };
    futures_util::stream::iter(invitees)
        .for_each_concurrent(AT_ONCE, invite)
        .await;
}

/// The alias of ours with this localpart.
fn local_alias(house: &House, localpart: &str) -> Result<OwnedRoomAliasId> {
    let alias = format!("#{localpart}:{}", house.server_name());
    let bad = || Error::InvalidParameter(format!("{alias} is not a room alias"));
    if localpart.is_empty()
        || localpart.contains([':', '\0'])
        || localpart.contains(char::is_whitespace)
    {
        return Err(bad());
    }
    OwnedRoomAliasId::try_from(alias.as_str()).map_err(|_| bad())
}

async fn invitees(house: &House, users: Vec<OwnedUserId>, is_direct: bool) -> Result<Vec<Invitee>> {
    let mut invitees = Vec::with_capacity(users.len());
    for user in users {
        invite::accepts_invites(house, &user).await?;
        let mut content = Map::new();
        if is_direct {
            content.insert("is_direct".to_owned(), json!(true));
        }
        member::add_profile(house, &user, &mut content)?;
        invitees.push(Invitee { user, content });
    }
    Ok(invitees)
}

impl From<InitialState> for FirstState {
    fn from(state: InitialState) -> Self {
        let InitialState {
            event_type,
            state_key,
            content,
        } = state;
        Self {
            event_type,
            state_key,
            content,
        }
    }
}

impl Ask {
    fn preset(&self) -> Preset {
        self.preset.unwrap_or(if self.public {
            Preset::PublicChat
        } else {
            Preset::PrivateChat
        })
    }
}

/// One piece of state of a new room.
#[derive(Debug, Clone)]
pub struct InitialState {
    /// Its type.
    pub event_type: String,
    /// Its state key.
    pub state_key: String,
    /// Its content: an object.
    pub content: Value,
}

impl InitialState {
    /// State of which a room has one piece, under the empty key.
    pub fn unkeyed(event_type: &str, content: Value) -> Self {
        Self {
            event_type: event_type.to_owned(),
            state_key: String::new(),
            content,
        }
    }
}

/// The three beginnings a room can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// By invitation.
    PrivateChat,
    /// By invitation, and everyone invited is an equal of the creator.
    TrustedPrivateChat,
    /// Open to all.
    PublicChat,
}

impl Preset {
    fn join_rule(self) -> &'static str {
        if self == Self::PublicChat {
            "public"
        } else {
            "invite"
        }
    }

    fn guest_access(self) -> &'static str {
        if self == Self::PublicChat {
            "forbidden"
        } else {
            "can_join"
        }
    }
}
