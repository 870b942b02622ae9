//! The state of a room at an event: before it or after it. Every event row names the tree of the state before it, so this costs
//! a few lookups, however long ago the event was.

use std::collections::HashMap;

use store::{EventNo, Pos, RoomNo, Snapshot, StateKeyNo, tables};

use super::trie::{self, Difference, Root};
use crate::error::{Error, Result};
use crate::stored::Stored;
use crate::timeline;

/// A state that a room has or had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    root: Root,
    /// What the event itself set, on top of that.
    plus: Option<(StateKeyNo, EventNo)>,
}

impl At {
    /// No state at all: before the create event.
    pub const EMPTY: Self = Self {
        root: None,
        plus: None,
    };

    /// The state before an event.
    #[must_use]
    pub fn before(event: &Stored) -> Self {
        Self {
            root: event.before(),
            plus: None,
        }
    }

    /// The state after an event.
    #[must_use]
    pub fn after(event: &Stored) -> Self {
        Self {
            root: event.before(),
            // A rejected event never sets anything; one that failed softly does, for those that follow it.
            plus: event
                .state_key_no()
                .filter(|_| !event.is_rejected())
                .map(|key| (key, event.no())),
        }
    }

    pub(crate) fn parts(&self) -> (Root, Option<(StateKeyNo, EventNo)>) {
        (self.root, self.plus)
    }

    /// The present state.
    pub fn now(s: &Snapshot, room: RoomNo) -> Result<Self> {
        let head = s.get(tables::ROOM_HEADS, &room)?.ok_or(Error::NoSuchRoom)?;
        Ok(Self {
            root: head.root,
            plus: None,
        })
    }

    /// The state after the last event at or before a position; empty if there was none yet.
    pub fn position(s: &Snapshot, room: RoomNo, pos: Pos) -> Result<Self> {
        match timeline::last_upto(s, room, pos)? {
            Some((_, event)) => Ok(Self::after(&Stored::get(s, event)?)),
            None => Ok(Self::EMPTY),
        }
    }

    /// The number of the event that it has for a key.
    pub fn find_key(&self, s: &Snapshot, key: StateKeyNo) -> Result<Option<EventNo>> {
        match self.plus {
            Some((own, event)) if own == key => Ok(Some(event)),
            _ => trie::get(s, self.root, key),
        }
    }

    /// The number of the event that it has for a type and a key.
    pub fn find(&self, s: &Snapshot, event_type: &str, state_key: &str) -> Result<Option<EventNo>> {
        match s.state_key_no(event_type, state_key)? {
            Some(key) => self.find_key(s, key),
            None => Ok(None),
        }
    }

    /// The event that it has for a type and a key.
    pub fn get(&self, s: &Snapshot, event_type: &str, state_key: &str) -> Result<Option<Stored>> {
        let found = self.find(s, event_type, state_key)?;
        found.map(|no| Stored::get(s, no)).transpose()
    }

    /// Everything in it.
    pub fn all(&self, s: &Snapshot) -> Result<Vec<(StateKeyNo, EventNo)>> {
        let mut found = trie::all(s, self.root)?;
        if let Some((key, event)) = self.plus {
            match found.iter_mut().find(|(own, _)| *own == key) {
                Some(entry) => entry.1 = event,
                None => found.push((key, event)),
            }
        }
        Ok(found)
    }

    /// What must change to get from this state to another one. Costs what differs.
    pub fn diff(&self, s: &Snapshot, other: &Self) -> Result<Vec<Difference>> {
        let mut found: HashMap<StateKeyNo, Difference> = trie::diff(s, self.root, other.root)?
            .into_iter()
            .map(|difference| (difference.key, difference))
            .collect();
        for key in [self.plus, other.plus]
            .into_iter()
            .flatten()
            .map(|(key, _)| key)
        {
            let (old, new) = (self.find_key(s, key)?, other.find_key(s, key)?);
            if old == new {
                found.remove(&key);
            } else {
                found.insert(key, Difference { key, old, new });
            }
        }
        Ok(found.into_values().collect())
    }
}
