//! What other servers may read of our rooms (server-server API, *Retrieving events*, *Backfilling and retrieving missing events*).
//!
//! Every answer begins at the same gate: the room is known here, its ACL lets the server in, and the server is in the room.
//! What of an event the server gets is decided by `visibility.rs`. Events are answered as they are stored, byte for byte.

mod event;
mod history;
mod moment;
mod state;

pub use event::{event, event_auth};
pub use history::{Missing, backfill, missing_events};
pub use moment::timestamp_to_event;
pub use state::{StateIds, StatePdus, state, state_ids};

use std::collections::HashSet;

use ::event::Rules;
use ruma::{EventId, OwnedRoomId, RoomId, ServerName};
use store::{EventNo, RoomNo, Snapshot};

use crate::error::{Error, Result};
use crate::stored::Stored;
use crate::visibility::ServerViewer;
use crate::{acl, members, servers, summary};

/// How many events an auth chain may have. Only power levels, join rules and memberships of those who act stand in one.
const AUTH_CHAIN: usize = 250_000;

/// A room that the asking server may ask about.
struct Gate<'s> {
    s: &'s Snapshot,
    room: RoomNo,
    room_id: OwnedRoomId,
    rules: &'static Rules,
    viewer: ServerViewer<'s>,
}

impl<'s> Gate<'s> {
    /// Lets a server ask about a room, if it may.
    fn enter(s: &'s Snapshot, origin: &ServerName, room_id: &RoomId) -> Result<Self> {
        let room = members::room(s, room_id)?;
        Self::enter_room(s, origin, room, room_id.to_owned())
    }

    fn enter_room(
        s: &'s Snapshot,
        origin: &ServerName,
        room: RoomNo,
        room_id: OwnedRoomId,
    ) -> Result<Self> {
        if !acl::allows(s, room, origin)? {
            return Err(Error::Forbidden(format!(
                "the room's access control list shuts {origin} out"
            )));
        }
        if !servers::is_in(s, room, origin)? {
            return Err(Error::Forbidden(format!("{origin} is not in the room")));
        }
        Ok(Self {
            s,
            room,
            room_id,
            rules: summary::basics(s, room)?.rules,
            viewer: ServerViewer::new(s, room, origin),
        })
    }

    /// An accepted event of the room.
    fn find(&self, event_id: &EventId) -> Result<Stored> {
        Stored::find(self.s, self.room, event_id)?.ok_or(Error::NoSuchEvent)
    }

    /// An event of the room before and after which we know the state.
    fn find_placed(&self, event_id: &EventId) -> Result<Stored> {
        let found = self.find(event_id)?;
        if found.is_outlier() {
            Err(Error::NoSuchEvent)
        } else {
            Ok(found)
        }
    }

    /// What the server gets of an event: all of it, or what a redaction would leave.
    fn show(&self, event: Stored) -> Result<String> {
        if self.viewer.sees(&event)? {
            Ok(event.into_row().json)
        } else {
            Ok(::event::redact::redact(event.json(), self.rules)?)
        }
    }

    /// The events behind some others in the auth graph, without those themselves unless links lead to them.
    fn auth_chain(&self, of: &[EventNo]) -> Result<Vec<Stored>> {
        let mut seen: HashSet<EventNo> = HashSet::new();
        let mut chain = Vec::new();
        let mut next = self.behind(&Stored::get_many(self.s, of)?)?;
        while !next.is_empty() {
            next.retain(|no| seen.insert(*no));
            if seen.len() > AUTH_CHAIN {
                return Err(Error::TooLarge(
                    "the auth chain has more events than an answer can hold".to_owned(),
                ));
            }
            let events = Stored::get_many(self.s, &next)?;
            next = self.behind(&events)?;
            chain.extend(events);
        }
        Ok(chain)
    }

    fn behind(&self, events: &[Stored]) -> Result<Vec<EventNo>> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for event in events {
            for id in event.pdu(&self.room_id)?.auth_events() {
                found.extend(self.s.event_no(id)?.filter(|no| seen.insert(*no)));
            }
        }
        Ok(found)
    }
}
