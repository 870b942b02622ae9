//! The present state of a room, resolved. What it was before an event is in `at.rs`.

use store::{EventNo, Order, RoomNo, Snapshot, StateKeyNo, tables};

use crate::error::Result;
use crate::stored::Stored;

/// Memberships stand apart from other state, so that the few can be read without the many.
pub(crate) const OTHER: u8 = 0;
pub(crate) const MEMBER: u8 = 1;

pub(crate) fn shelf(event_type: &str) -> u8 {
    if event_type == "m.room.member" {
        MEMBER
    } else {
        OTHER
    }
}

/// The number of the event that the state has for a type and a key.
pub fn find(
    s: &Snapshot,
    room: RoomNo,
    event_type: &str,
    state_key: &str,
) -> Result<Option<EventNo>> {
    let Some(key) = s.state_key_no(event_type, state_key)? else {
        return Ok(None);
    };
    Ok(s.get(tables::STATE_NOW, &(room, shelf(event_type), key))?)
}

/// The event that the state has for a type and a key.
pub fn get(
    s: &Snapshot,
    room: RoomNo,
    event_type: &str,
    state_key: &str,
) -> Result<Option<Stored>> {
    find(s, room, event_type, state_key)?
        .map(|no| Stored::get(s, no))
        .transpose()
}

/// All state but the memberships.
pub fn without_members(s: &Snapshot, room: RoomNo) -> Result<Vec<(StateKeyNo, EventNo)>> {
    list(s, room, OTHER)
}

/// All memberships, of whatever kind.
pub fn members(s: &Snapshot, room: RoomNo) -> Result<Vec<(StateKeyNo, EventNo)>> {
    list(s, room, MEMBER)
}

/// All state.
pub fn all(s: &Snapshot, room: RoomNo) -> Result<Vec<(StateKeyNo, EventNo)>> {
    let mut found = without_members(s, room)?;
    found.extend(members(s, room)?);
    Ok(found)
}

/// All state of one type, whatever its key. Not for memberships, which `members.rs` lists.
pub fn of_type(s: &Snapshot, room: RoomNo, event_type: &str) -> Result<Vec<Stored>> {
    let mut found = Vec::new();
    for (key, event) in list(s, room, shelf(event_type))? {
        if s.state_key(key)?.0 == event_type {
            found.push(event);
        }
    }
    Stored::get_many(s, &found)
}

fn list(s: &Snapshot, room: RoomNo, shelf: u8) -> Result<Vec<(StateKeyNo, EventNo)>> {
    let rows = s.prefix(tables::STATE_NOW, &(room, shelf), Order::Forward);
    rows.map(|row| {
        let ((_, _, key), event) = row?;
        Ok((key, event))
    })
    .collect()
}
