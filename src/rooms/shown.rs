//! A room as lists show it, to clients and to other servers alike: in the directory, in a space, in a summary. They all have nearly the same keys.

use ruma::OwnedRoomId;
use serde::Serialize;
use serde_json::value::RawValue;
use store::{RoomNo, Snapshot};

use crate::Stored;
use crate::error::{Error, Result};
use crate::hierarchy::Node;
use crate::summary::{self, Summary};

/// The keys that all lists have.
#[derive(Debug, Clone, Serialize)]
pub struct ShownRoom {
    /// Its ID.
    pub room_id: OwnedRoomId,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical_alias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
    num_joined_members: u64,
    join_rule: String,
    guest_can_join: bool,
    world_readable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_type: Option<String>,
}

/// What summaries and spaces tell beyond that (added in 1.15).
#[derive(Debug, Clone, Serialize)]
pub struct Details {
    #[serde(flatten)]
    /// The keys that all lists have.
    pub room: ShownRoom,
    /// Its version.
    pub room_version: String,
    /// How its messages are encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    /// The rooms whose members it lets in, if it is restricted to those.
    pub allowed_room_ids: Vec<String>,
}

impl ShownRoom {
    /// What lists show of a room.
    #[must_use]
    pub fn of(room_id: OwnedRoomId, summary: Summary) -> Self {
        Self {
            room_id,
            name: summary.name,
            topic: summary.topic,
            canonical_alias: summary.canonical_alias,
            avatar_url: summary.avatar_url,
            num_joined_members: summary.joined,
            // A room without a rule lets in whom it invites.
            join_rule: summary.join_rule.unwrap_or_else(|| "invite".to_owned()),
            guest_can_join: summary.guests_can_join,
            world_readable: summary.history_visibility.as_deref() == Some("world_readable"),
            room_type: summary.room_type,
        }
    }
}

impl Details {
    /// What summaries and spaces show of a room.
    pub fn of(
        s: &Snapshot,
        room: RoomNo,
        room_id: OwnedRoomId,
        mut summary: Summary,
    ) -> Result<Self> {
        let encryption = summary.encryption.take();
        let restricted = matches!(
            summary.join_rule.as_deref(),
            Some("restricted" | "knock_restricted")
        );
        let allowed = std::mem::take(&mut summary.allowed_rooms);
        Ok(Self {
            room: ShownRoom::of(room_id, summary),
            room_version: summary::basics(s, room)?.version().to_string(),
            encryption,
            allowed_room_ids: if restricted { allowed } else { Vec::new() },
        })
    }
}

/// A child of a space: a stripped event, with its time, by which children are put in order.
#[derive(Debug, Clone, Serialize)]
pub struct Child {
    #[serde(rename = "type")]
    event_type: String,
    state_key: String,
    sender: String,
    origin_server_ts: u64,
    content: Box<RawValue>,
}

impl Child {
    /// What an `m.space.child` event shows.
    pub fn of(event: &Stored) -> Result<Self> {
        Ok(Self {
            event_type: event.event_type().into_owned(),
            state_key: event.state_key().unwrap_or_default().into_owned(),
            sender: event.sender().into_owned(),
            origin_server_ts: event.origin_server_ts(),
            content: RawValue::from_string(event.content_str().to_owned())
                .map_err(|_| Error::Bug("a stored event that is not JSON"))?,
        })
    }
}

/// A room of a space, with its children.
#[derive(Debug, Clone, Serialize)]
pub struct SpaceRoom {
    #[serde(flatten)]
    details: Details,
    children_state: Vec<Child>,
}

impl SpaceRoom {
    /// What a space shows of one of its rooms.
    pub fn of(s: &Snapshot, node: Node) -> Result<Self> {
        Ok(Self {
            children_state: node.children.iter().map(Child::of).collect::<Result<_>>()?,
            details: Details::of(s, node.room, node.room_id, node.summary)?,
        })
    }
}
