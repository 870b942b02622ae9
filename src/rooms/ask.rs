//! What can be asked of a room, as values: the arguments and answers of the verbs in `lib.rs`.

use ruma::{OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomVersionId};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use store::{EventNo, Pos, RoomNo};

use crate::membership::Membership;

/// A request that a device may repeat without it being done twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Txn {
    /// The device; for those without one, whatever tells their sessions apart.
    pub device: String,
    /// What was asked for beside the room: the event type, or the redacted event.
    pub scope: String,
    /// The transaction ID.
    pub id: String,
}

/// An event that is in its room now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its ID.
    pub event_id: OwnedEventId,
    /// Its number.
    pub event: EventNo,
    /// A position at which it is visible.
    pub pos: Pos,
    /// Whether it was there already: a repeated transaction, or state that would not have changed.
    pub repeated: bool,
}

/// A message-like event to be sent.
#[derive(Debug, Clone)]
pub struct Say {
    /// To which room.
    pub room_id: OwnedRoomId,
    /// By whom.
    pub sender: OwnedUserId,
    /// Its type.
    pub event_type: String,
    /// Its content, an object.
    pub content: Box<RawValue>,
    /// Its time in milliseconds, for those who may choose it; now for all others.
    pub timestamp: Option<u64>,
}

/// A state event to be sent. Memberships go through [`Change`].
#[derive(Debug, Clone)]
pub struct SetState {
    /// To which room.
    pub room_id: OwnedRoomId,
    /// By whom.
    pub sender: OwnedUserId,
    /// Its type.
    pub event_type: String,
    /// Its state key.
    pub state_key: String,
    /// Its content, an object.
    pub content: Box<RawValue>,
    /// Its time in milliseconds, for those who may choose it; now for all others.
    pub timestamp: Option<u64>,
}

/// An event to be redacted.
#[derive(Debug, Clone)]
pub struct Redact {
    /// In which room.
    pub room_id: OwnedRoomId,
    /// By whom.
    pub sender: OwnedUserId,
    /// Which event.
    pub event_id: OwnedEventId,
    /// What the redaction says beside that, `reason` most likely.
    pub content: Map<String, Value>,
    /// Its time in milliseconds, for those who may choose it; now for all others.
    pub timestamp: Option<u64>,
}

/// A membership to be changed.
#[derive(Debug, Clone)]
pub struct Change {
    /// In which room.
    pub room_id: OwnedRoomId,
    /// By whom.
    pub sender: OwnedUserId,
    /// Whose.
    pub target: OwnedUserId,
    /// To what.
    pub membership: Membership,
    /// What it has to be now, if that matters: an unban is no kick, though both end in `leave`.
    pub only_from: &'static [Membership],
    /// What the event says beside that: `displayname`, `avatar_url`, `reason`, `is_direct`, …
    pub content: Map<String, Value>,
    /// Its time in milliseconds, for those who may choose it; now for all others.
    pub timestamp: Option<u64>,
}

/// Somebody to be invited into a new room.
#[derive(Debug, Clone)]
pub struct Invitee {
    /// Who.
    pub user: OwnedUserId,
    /// What their membership says beside `invite`: `displayname`, `avatar_url`, `is_direct`.
    pub content: Map<String, Value>,
}

/// A piece of state of a new room.
#[derive(Debug, Clone)]
pub struct FirstState {
    /// Its type.
    pub event_type: String,
    /// Its state key.
    pub state_key: String,
    /// Its content.
    pub content: Value,
}

/// A room to be made. What it begins with has been decided; it is judged like everything else.
#[derive(Debug, Clone)]
pub struct NewRoom {
    /// By whom.
    pub creator: OwnedUserId,
    /// Its version.
    pub version: RoomVersionId,
    /// The content of the create event; `room_version` and, where it belongs there, `creator` are set here.
    pub create: Map<String, Value>,
    /// What the creator's membership says beside `join`.
    pub creator_content: Map<String, Value>,
    /// The state after that, in the order in which it is sent.
    pub state: Vec<FirstState>,
    /// Whom to invite.
    pub invite: Vec<Invitee>,
    /// An alias that is to point to it.
    pub alias: Option<OwnedRoomAliasId>,
    /// Whether it is listed in the directory.
    pub listed: bool,
    /// The time of its events in milliseconds, for those who may choose it; now for all others.
    pub timestamp: Option<u64>,
}

/// A room that has been made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its ID.
    pub room_id: OwnedRoomId,
    /// Its number.
    pub room: RoomNo,
    /// The position at which it is visible.
    pub pos: Pos,
}

/// A room to be replaced.
#[derive(Debug, Clone)]
pub struct Upgrade {
    /// Which.
    pub room_id: OwnedRoomId,
    /// By whom.
    pub sender: OwnedUserId,
    /// What their membership of the new room says beside `join`.
    pub creator_content: Map<String, Value>,
    /// The version of the new one.
    pub version: RoomVersionId,
    /// Who is to be as powerful as the sender, where the version knows that.
    pub additional_creators: Vec<OwnedUserId>,
}

/// A room that has been replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    /// The new room.
    pub room_id: OwnedRoomId,
    /// Its number.
    pub room: RoomNo,
    /// The position at which both it and the tombstone are visible.
    pub pos: Pos,
}
