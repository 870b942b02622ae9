//! Making a room.

mod plan;

use ruma::{OwnedUserId, RoomVersionId};
use serde_json::{Map, Value};

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
