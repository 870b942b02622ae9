//! A room as lists show it: in the directory, in a space, in a summary. The three have nearly the same keys.

use rooms::summary::{self, Summary};
use rooms::{RoomNo, Snapshot};
use ruma::OwnedRoomId;
use serde::Serialize;

use crate::reading::Result;

/// The keys that all lists have.
#[derive(Debug, Serialize)]
pub(crate) struct ShownRoom {
    pub(crate) room_id: OwnedRoomId,
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
#[derive(Debug, Serialize)]
pub(crate) struct Details {
    #[serde(flatten)]
    pub(crate) room: ShownRoom,
    pub(crate) room_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encryption: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) allowed_room_ids: Vec<String>,
}

impl ShownRoom {
    pub(crate) fn of(room_id: OwnedRoomId, summary: Summary) -> Self {
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
    pub(crate) fn of(
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
