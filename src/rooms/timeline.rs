//! A room's timeline, in the order in which we accepted its events. Who may see which of them is in `visibility.rs`.
//!
//! A place between two events is named by the position of the earlier one: forward from a place come the events after that
//! position, backward come those up to it. That is all a pagination token has to hold.

use store::{EventNo, Order, Pos, RoomNo, Snapshot, tables};

use crate::error::Result;
use crate::stored::Stored;

/// The events after one position up to another, without reading them.
pub fn range(
    s: &Snapshot,
    room: RoomNo,
    after: Pos,
    upto: Pos,
    order: Order,
) -> impl Iterator<Item = Result<(Pos, EventNo)>> + '_ {
    let rows = s.scan(tables::TIMELINE, (room, after.next())..=(room, upto), order);
    rows.map(|row| {
        let ((_, pos), event) = row?;
        Ok((pos, event))
    })
}

/// The last event at or before a position.
pub fn last_upto(s: &Snapshot, room: RoomNo, upto: Pos) -> Result<Option<(Pos, EventNo)>> {
    range(s, room, Pos::ZERO, upto, Order::Backward)
        .next()
        .transpose()
}

/// The newest event.
pub fn last(s: &Snapshot, room: RoomNo) -> Result<Option<(Pos, EventNo)>> {
    last_upto(s, room, Pos::MAX)
}

/// The types of events that move a room up where rooms are sorted by activity (MSC4186), by their names before they were stable too.
const ACTIVITY: [&str; 9] = [
    "m.room.create",
    "m.room.message",
    "m.room.encrypted",
    "m.sticker",
    "m.call.invite",
    "m.poll.start",
    "org.matrix.msc3381.poll.start",
    "m.beacon_info",
    "org.matrix.msc3672.beacon_info",
];

/// Whether an event of this type moves its room up where rooms are sorted by activity.
pub(crate) fn is_activity(event_type: &str) -> bool {
    ACTIVITY.contains(&event_type)
}

/// Where the last events stand that moved these rooms up, in the order of the rooms; zero where there was none.
pub fn bumps(s: &Snapshot, rooms: &[RoomNo]) -> Result<Vec<Pos>> {
    let found = s.get_many(tables::BUMPS, rooms)?;
    Ok(found.into_iter().map(Option::unwrap_or_default).collect())
}

/// The events of a stretch of the timeline, and where to go on.
#[derive(Debug, Clone)]
pub struct Page {
    /// In the order asked for.
    pub events: Vec<Stored>,
    /// The place behind the last of them, in the direction asked for; none if the stretch ends there.
    pub next: Option<Pos>,
}

/// Up to `limit` events from a place on, in either direction, not going beyond `to`.
pub fn page(
    s: &Snapshot,
    room: RoomNo,
    from: Pos,
    to: Option<Pos>,
    order: Order,
    limit: usize,
) -> Result<Page> {
    let (after, upto) = match order {
        Order::Forward => (from, to.unwrap_or(Pos::MAX)),
        Order::Backward => (to.unwrap_or(Pos::ZERO), from),
    };
    let mut rows = range(s, room, after, upto, order);
    let found: Vec<(Pos, EventNo)> = rows.by_ref().take(limit).collect::<Result<_>>()?;
    let more = rows.next().transpose()?.is_some();
    let last = found.last().map(|(pos, _)| match order {
        Order::Forward => *pos,
        Order::Backward => pos.previous(),
    });
    let numbers: Vec<EventNo> = found.iter().map(|(_, event)| *event).collect();
    Ok(Page {
        events: Stored::get_many(s, &numbers)?,
        next: if more { last.or(Some(from)) } else { None },
    })
}
