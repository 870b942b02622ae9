//! Why an event stands where it does, or why it does not: for an administrator who asks. The reason of every verdict is stored
//! with the event; here it is read and put into order.

use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomId};
use store::{Order, RoomNo, Snapshot, tables};

use crate::error::{Error, Result};
use crate::stored::Stored;
use crate::{members, servers, summary};

/// How many of the events that wait or were given up are told of one room.
const LISTED: usize = 100;

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is part of the room's timeline.
    Accepted,
    /// It is known because others name it; nothing is known of what came before it.
    Outlier,
    /// It was allowed where it stands, but not by what was the present state when it came.
    SoftFailed(String),
    /// It was never allowed.
    Rejected(String),
    /// It waits for what it builds on.
    Waiting {
        /// Who sent it to us.
        origin: String,
        /// How often that was asked for in vain.
        attempts: u32,
        /// When it is tried again, in milliseconds.
        not_before: u64,
    },
    /// It was given up before it could be judged.
    Dropped {
        /// Who sent it to us.
        origin: String,
        /// What was wrong or missing.
        reason: String,
        /// When, in milliseconds.
        at: u64,
    },
}

/// What is known of an event.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The event.
    pub event_id: OwnedEventId,
    /// Its room.
    pub room_id: OwnedRoomId,
    /// What became of it.
    pub fate: Fate,
    /// The event as it is kept, if it is.
    pub json: Option<String>,
    /// Those of the events it follows, and of those that authorise it, that are not here.
    pub missing: Vec<OwnedEventId>,
}

/// What is known of a room that is hard to see from outside.
#[derive(Debug, Clone)]
pub struct RoomExplained {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub version: String,
    /// The ends of its graph.
    pub tips: Vec<OwnedEventId>,
    /// The greatest depth among them.
    pub depth: u64,
    /// How many users have joined, and how many of them are ours.
    pub joined: (u64, u64),
    /// The servers in it.
    pub servers: Vec<String>,
    /// In front of how many events something is missing.
    pub holes: usize,
    /// Events that wait.
    pub waiting: Vec<(String, Fate)>,
    /// Events that were given up.
    pub dropped: Vec<(String, Fate)>,
}

/// What became of an event, in whatever room it is.
///
/// # Errors
/// [`Error::NoSuchEvent`] if nothing is known of it.
pub fn event(s: &Snapshot, event_id: &EventId) -> Result<Explained> {
    let stored = match s.event_no(event_id)? {
        Some(no) => s.get(tables::EVENTS, &no)?.map(|row| Stored::new(no, row)),
        None => None,
    };
    if let Some(stored) = stored {
        return explain_stored(s, stored);
    }
    for room in s.scan(tables::ROOMS, .., Order::Forward).keys() {
        let room = room?;
        let fate = match waiting(s, room, event_id)? {
            Some(fate) => Some(fate),
            None => s
                .get(tables::DROPPED, &(room, event_id.as_str()))?
                .map(dropped_fate),
        };
        if let Some(fate) = fate {
            return Ok(Explained {
                event_id: event_id.to_owned(),
                room_id: s.room_id(room)?,
                fate,
                json: None,
                missing: Vec::new(),
            });
        }
    }
    Err(Error::NoSuchEvent)
}

fn explain_stored(s: &Snapshot, stored: Stored) -> Result<Explained> {
    let room_id = s.room_id(stored.room())?;
    let fate = match stored.refusal() {
        Some((true, reason)) => Fate::SoftFailed(reason.to_owned()),
        Some((false, reason)) => Fate::Rejected(reason.to_owned()),
        None if stored.is_outlier() => Fate::Outlier,
        None => Fate::Accepted,
    };
    let pdu = stored.pdu(&room_id)?;
    let mut missing = Vec::new();
    for id in pdu.prev_events().iter().chain(pdu.auth_events()) {
        if Stored::find_any(s, stored.room(), id)?.is_none() && !missing.contains(id) {
            missing.push(id.clone());
        }
    }
    Ok(Explained {
        event_id: stored.owned_event_id()?,
        room_id,
        fate,
        missing,
        json: Some(stored.into_row().json),
    })
}

fn waiting(s: &Snapshot, room: RoomNo, event_id: &EventId) -> Result<Option<Fate>> {
    let Some(arrival) = s.get(tables::INBOX_IDS, &(room, event_id.as_str()))? else {
        return Ok(None);
    };
    let row = s.get(tables::INBOX, &(room, arrival))?;
    Ok(row.map(waiting_fate))
}

fn waiting_fate(row: store::rows::rooms::InboxRow) -> Fate {
    Fate::Waiting {
        origin: row.origin,
        attempts: row.attempts,
        not_before: row.not_before,
    }
}

fn dropped_fate(row: store::rows::rooms::DroppedRow) -> Fate {
    Fate::Dropped {
        origin: row.origin,
        reason: row.reason,
        at: row.at,
    }
}

/// What is known of a room.
pub fn room(s: &Snapshot, room_id: &RoomId) -> Result<RoomExplained> {
    let room = members::room(s, room_id)?;
    let head = s.get(tables::ROOM_HEADS, &room)?.ok_or(Error::NoSuchRoom)?;
    let summary = summary::of(s, room)?;
    let tips = head.tips.iter().map(|tip| Ok(s.event_id(*tip)?));
    let waiting = s
        .prefix(tables::INBOX, &(room,), Order::Forward)
        .take(LISTED)
        .map(|row| {
            let (_, row) = row?;
            Ok((row.event_id.clone(), waiting_fate(row)))
        });
    let dropped = s
        .prefix(tables::DROPPED, &(room,), Order::Forward)
        .take(LISTED)
        .map(|row| {
            let ((_, id), row) = row?;
            Ok((id, dropped_fate(row)))
        });
    Ok(RoomExplained {
        room_id: room_id.to_owned(),
        version: summary::basics(s, room)?.version().to_string(),
        tips: tips.collect::<Result<_>>()?,
        depth: head.depth,
        joined: (summary.joined, summary.joined_here),
        servers: servers::in_room(s, room)?
            .into_iter()
            .map(|server| server.to_string())
            .collect(),
        holes: s.prefix(tables::GAPS, &(room,), Order::Forward).count(),
        waiting: waiting.collect::<Result<_>>()?,
        dropped: dropped.collect::<Result<_>>()?,
    })
}
