//! Reading a room for somebody, at one moment: a snapshot, who looks, and what they may see. The functions of this folder's
//! handlers that read rooms all begin here, so none of them forgets to ask.

use rooms::state::At;
use rooms::visibility::Viewer as Eyes;
use rooms::{EventNo, Pos, RoomNo, Snapshot, StateKeyNo, Stored};
use ruma::{EventId, RoomId};
use serde_json::value::RawValue;
use sync::Sync;
use sync::client_form::Viewer;
use sync::filter::Events;
use sync::token::Place;

/// A room, as somebody reads it.
pub(crate) struct Reading<'s> {
    pub(crate) s: &'s Snapshot,
    pub(crate) room: RoomNo,
    /// What they may see.
    pub(crate) eyes: Eyes<'s>,
    /// Who they are, for what is told them alone.
    pub(crate) reader: &'s Viewer,
    sync: &'s Sync,
}

/// An error of reading, as a client is told it.
pub(crate) type Result<T> = std::result::Result<T, web::Error>;

impl<'s> Reading<'s> {
    /// Opens a room that must be known here.
    pub(crate) fn open(
        s: &'s Snapshot,
        sync: &'s Sync,
        reader: &'s Viewer,
        room_id: &RoomId,
    ) -> Result<Self> {
        // To somebody who may not look, a room that is not here looks like one they are not in.
        let room = rooms::members::room(s, room_id).map_err(|error| match error {
            rooms::Error::NoSuchRoom => rooms::Error::NotVisible("not in the room"),
            error => error,
        })?;
        let eyes = Eyes::new(s, room, Some(reader.user))?;
        Ok(Self {
            s,
            room,
            eyes,
            reader,
            sync,
        })
    }

    /// As [`Reading::open`], for those who may look at the room's past or present.
    pub(crate) fn enter(
        s: &'s Snapshot,
        sync: &'s Sync,
        reader: &'s Viewer,
        room_id: &RoomId,
    ) -> Result<Self> {
        let reading = Self::open(s, sync, reader, room_id)?;
        reading.eyes.enter()?;
        Ok(reading)
    }

    /// An event of this room that the reader may see. Any other does not exist.
    pub(crate) fn event(&self, event_id: &EventId) -> Result<Stored> {
        let event = Stored::find(self.s, self.room, event_id)?.ok_or(rooms::Error::NoSuchEvent)?;
        if self.eyes.sees(&event)? {
            Ok(event)
        } else {
            Err(rooms::Error::NoSuchEvent.into())
        }
    }

    /// Would this event be told: is it chosen by the filter, seen by the reader, and not by somebody whom they ignore?
    pub(crate) fn tells(&self, event: &Stored, filter: &Events) -> Result<bool> {
        Ok(filter.has_event(event) && !self.reader.ignores(event) && self.eyes.sees(event)?)
    }

    /// Events as this reader gets them.
    pub(crate) fn write(&self, events: &[EventNo]) -> Result<Vec<Box<RawValue>>> {
        Ok(self.sync.client_events(self.s, self.reader, events)?)
    }

    /// The state that the reader may read, whole.
    pub(crate) fn state(&self) -> Result<At> {
        Ok(self.eyes.state()?)
    }

    /// The place that a token names.
    pub(crate) fn place(token: &str) -> Result<Pos> {
        let Place(pos) = token.parse::<Place>()?;
        Ok(pos)
    }

    /// The memberships, in a state, of those who sent these events.
    pub(crate) fn senders(&self, at: &At, events: &[Stored]) -> Result<Vec<EventNo>> {
        let mut found: Vec<EventNo> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for event in events {
            if !seen.insert(event.sender_no()) {
                continue;
            }
            if let Some(member) = at.find(self.s, "m.room.member", &event.sender())? {
                found.push(member);
            }
        }
        Ok(found)
    }

    /// The events of a state that a filter chooses, in which members can be left to whoever is named apart.
    pub(crate) fn state_events(
        &self,
        at: &At,
        filter: &Events,
        without_members: bool,
    ) -> Result<Vec<EventNo>> {
        let mut chosen_ones = Vec::new();
        let candidates: Vec<(StateKeyNo, EventNo)> = at.all(self.s)?;
        for (key, event) in candidates {
            if without_members && self.s.state_key(key)?.0 == "m.room.member" {
                continue;
            }
            if filter.is_everything() || filter.has_event(&Stored::get(self.s, event)?) {
                chosen_ones.push(event);
            }
        }
        Ok(chosen_ones)
    }
}
