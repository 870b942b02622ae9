//! The surroundings of an event, and the event nearest to a moment (client-server API, *Event context*, *Jump to date*).

use store::{EventNo, Order, Pos, RoomNo, Snapshot, tables};

use crate::error::{Error, Result};
use crate::state::At;
use crate::stored::Stored;
use crate::timeline;
use crate::visibility::Viewer;

/// How many events are looked at for one that the viewer may see.
const LOOKED_AT: usize = 1_000;

/// An event and its surroundings.
#[derive(Debug, Clone)]
pub struct Context {
    /// The event.
    pub event: Stored,
    /// What comes before it, the nearest first.
    pub before: Vec<Stored>,
    /// What comes after it, the nearest first.
    pub after: Vec<Stored>,
    /// The place before all of them.
    pub start: Pos,
    /// The place after all of them.
    pub end: Pos,
    /// The state at the last of them.
    pub state: At,
}

/// An event with up to `limit` others around it, as far as the viewer may see them.
pub fn around(
    s: &Snapshot,
    viewer: &Viewer<'_>,
    room: RoomNo,
    event: Stored,
    limit: usize,
) -> Result<Context> {
    let pos = event.pos().ok_or(Error::NoSuchEvent)?;
    if !viewer.sees(&event)? {
        return Err(Error::NoSuchEvent);
    }
    let half = limit / 2;
    let before = timeline::page(s, room, pos.previous(), None, Order::Backward, limit - half)?;
    let after = timeline::page(s, room, pos, None, Order::Forward, half)?;
    let start = before.events.last().and_then(Stored::pos).unwrap_or(pos);
    let last = after.events.last().unwrap_or(&event);
    Ok(Context {
        start: start.previous(),
        end: last.pos().unwrap_or(pos),
        state: At::after(last),
        before: viewer.filter(before.events)?,
        after: viewer.filter(after.events)?,
        event,
    })
}

/// The event nearest to a moment: the first one at or after it, or the last one at or before it.
pub fn nearest(
    s: &Snapshot,
    viewer: &Viewer<'_>,
    room: RoomNo,
    ts: u64,
    order: Order,
) -> Result<Option<Stored>> {
    let (least, most) = (EventNo::new(0), EventNo::new(u64::MAX));
    let range = match order {
        Order::Forward => (room, ts, least)..=(room, u64::MAX, most),
        Order::Backward => (room, 0, least)..=(room, ts, most),
    };
    for row in s.scan(tables::TIMES, range, order).keys().take(LOOKED_AT) {
        let (_, _, event) = row?;
        let event = Stored::get(s, event)?;
        if viewer.sees(&event)? {
            return Ok(Some(event));
        }
    }
    Ok(None)
}
