//! What an event is to everybody, found out once: flattened for push rules, its thread, whether it is something to read.

use std::sync::OnceLock;

use event::auth::levels::PowerLevels;
use event::push::{FlatEvent, Parts};
use rooms::state::now;
use rooms::{Stored, relations, summary};
use ruma::{EventId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use store::{EventNo, RoomNo, Snapshot, UserNo};

use super::Thread;
use crate::error::{Error, Result};
use crate::view::View;

/// An event, ready to be counted for anybody.
pub(crate) struct Prepared {
    pub(crate) flat: FlatEvent,
    pub(crate) room: RoomNo,
    pub(crate) sender: UserNo,
    pub(crate) thread: Thread,
    /// Whoever sends such an event has read what came before.
    pub(crate) is_speech: bool,
    /// Whether a person would want to read it (MSC2654).
    pub(crate) is_readable: bool,
    /// The event it redacts.
    pub(crate) redacts: Option<EventNo>,
    /// Whether the sender may notify the whole room, once somebody has asked.
    may_notify_room: OnceLock<bool>,
    /// How many were in the room when somebody first asked.
    pub(super) member_count: OnceLock<u64>,
}

impl Prepared {
    pub(crate) fn of(view: &View<'_>, event: &Stored) -> Result<Self> {
        let (event_type, sender) = (event.event_type(), event.sender());
        let content: &RawValue = serde_json::from_str(event.content_str())
            .map_err(|_| Error::Bug("a stored event whose content is no JSON"))?;
        let flat = FlatEvent::new(Parts {
            event_id: <&EventId>::try_from(event.event_id())
                .map_err(|_| Error::Bug("a stored event ID that is none"))?,
            room_id: &view.s.room_id(event.room())?,
            event_type: &event_type,
            sender: <&UserId>::try_from(&*sender)
                .map_err(|_| Error::Bug("a stored sender that is none"))?,
            state_key: event.state_key().as_deref(),
            origin_server_ts: event.origin_server_ts(),
            content,
        });
        let is_redaction = event_type == "m.room.redaction";
        let redacts = if is_redaction { event.redacts() } else { None };
        Ok(Self {
            flat,
            room: event.room(),
            sender: event.sender_no(),
            thread: relations::thread_of(view.s, event)?,
            is_speech: !event.is_state() && !is_redaction,
            is_readable: is_readable(event, &event_type),
            redacts: redacts
                .map(|id| view.s.event_no(&id))
                .transpose()?
                .flatten(),
            may_notify_room: OnceLock::new(),
            member_count: OnceLock::new(),
        })
    }

    /// Whether the sender has the level for this kind of notification. What cannot be read is not allowed.
    pub(crate) fn may_notify(&self, s: &Snapshot, kind: &str) -> bool {
        if kind == "room" {
            *self
                .may_notify_room
                .get_or_init(|| self.has_level(s, kind).unwrap_or(false))
        } else {
            self.has_level(s, kind).unwrap_or(false)
        }
    }

    fn has_level(&self, s: &Snapshot, kind: &str) -> Result<bool> {
        let (room_id, basics) = (s.room_id(self.room)?, summary::basics(s, self.room)?);
        let create = Stored::get(s, basics.create)?.pdu(&room_id)?;
        let levels = now::get(s, self.room, "m.room.power_levels", "")?
            .map(|event| event.pdu(&room_id))
            .transpose()?;
        let levels = PowerLevels::of(levels.as_ref(), &create, basics.rules);
        Ok(levels
            .user(self.flat.sender())
            .reaches(levels.notification(kind)))
    }
}

/// Facts about which events a person would call unread: words, ciphertext, and what changes how the room looks; not notices and
/// not edits.
fn is_readable(event: &Stored, event_type: &str) -> bool {
    #[derive(Deserialize)]
    struct Words {
        #[serde(default)]
        body: Option<serde_json::Value>,
        #[serde(default)]
        msgtype: Option<serde_json::Value>,
    }
    if event.is_state() {
        return matches!(
            event_type,
            "m.room.topic" | "m.room.name" | "m.room.avatar" | "m.room.tombstone"
        );
    }
    if event.rel_type() == Some("m.replace") {
        return false;
    }
    if event_type == "m.room.encrypted" {
        return true;
    }
    let Some(Words { body, msgtype }) = event.content() else {
        return false;
    };
    let is_notice =
        event_type == "m.room.message" && msgtype.is_some_and(|kind| kind == "m.notice");
    !is_notice && body.is_some_and(|body| body.as_str().is_some_and(|body| !body.is_empty()))
}
