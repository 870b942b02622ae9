//! What a server is sent that was not told of events for a while: what it missed, if that is little; else the newest events of each room, from which
//! it finds the way to the others by itself (server-server API, *Backfilling and retrieving missing events*).

use std::cmp::Reverse;

use rooms::{Stored, timeline};
use store::rows::outbox::OwedRow;
use store::{EventNo, Order, Pos, RoomNo, Snapshot, tables};

use super::Inner;
use super::transaction::{BYTES, stored};
use crate::error::Result;

/// Rooms looked at for one transaction.
const ROOMS: usize = 1_000;
/// A server that missed no more events of a room than this is sent all of them.
const ALL: usize = 50;
/// How many of the newest it is sent otherwise.
const NEWEST: usize = 20;
/// Entries of a timeline looked through for them.
const LOOK: usize = 5_000;
/// Events read at once.
const CHUNK: usize = 128;

/// What to send.
#[derive(Default)]
pub(super) struct Caught {
    pub(super) events: Vec<Stored>,
    /// The rooms, and up to where the server has been told once it has these events.
    pub(super) rooms: Vec<(RoomNo, Pos)>,
}

/// Up to `most` events that the server missed; rooms where something happened lately first.
pub(super) fn pick(inner: &Inner, s: &Snapshot, server: &str, most: usize) -> Result<Caught> {
    let owed = s.prefix(tables::OWED, &(server,), Order::Forward);
    let owed = owed.take(ROOMS).map(|row| {
        let ((_, room), row) = row?;
        Ok((room, row))
    });
    let mut owed: Vec<(RoomNo, OwedRow)> = owed.collect::<Result<_>>()?;
    owed.sort_by_key(|(_, row)| Reverse(row.newest));
    let (mut caught, mut bytes) = (Caught::default(), 0);
    for (room, row) in owed {
        let space = most.saturating_sub(caught.events.len());
        if space == 0 || bytes >= BYTES {
            break;
        }
        let missed = missed(inner, s, room, &row)?;
        let mut upto = row.newest;
        for (at, event) in stored(s, &missed)?.into_iter().enumerate() {
            if at == space || bytes >= BYTES {
                // The rest of this room comes with the next transaction.
                upto = event.pos().map_or(upto, Pos::previous);
                break;
            }
            bytes += event.json().len();
            caught.events.push(event);
        }
        caught.rooms.push((room, upto));
    }
    Ok(caught)
}

/// The events of ours in a stretch of a room's timeline, oldest first: all of them, or the newest of many.
fn missed(inner: &Inner, s: &Snapshot, room: RoomNo, row: &OwedRow) -> Result<Vec<EventNo>> {
    let backward = timeline::range(s, room, row.since.previous(), row.newest, Order::Backward);
    let mut entries = backward.take(LOOK);
    let mut found = Vec::new();
    loop {
        let chunk = entries.by_ref().take(CHUNK);
        let chunk: Vec<EventNo> = chunk
            .map(|entry| entry.map(|(_, event)| event))
            .collect::<rooms::Result<_>>()?;
        if chunk.is_empty() {
            break;
        }
        let events = stored(s, &chunk)?;
        for event in &events {
            if inner.is_ours(s, event)? {
                found.push(event.no());
            }
        }
        if found.len() > ALL {
            found.truncate(NEWEST);
            break;
        }
    }
    found.reverse();
    Ok(found)
}
