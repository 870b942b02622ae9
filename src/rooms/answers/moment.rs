//! The event nearest to a moment, for a server whose own part of a room does not reach so far.

use ruma::{OwnedEventId, RoomId, ServerName};
use store::{EventNo, Order, Snapshot, tables};

use super::Gate;
use crate::error::{Error, Result};
use crate::stored::Stored;

/// How many events are looked at for one that the server may see.
const LOOKED_AT: usize = 1_000;

/// The first event at or after a moment, or the last one at or before it, with its time.
///
/// # Errors
/// [`Error::NoSuchEvent`] if there is none that the server may see.
pub fn timestamp_to_event(
    s: &Snapshot,
    origin: &ServerName,
    room_id: &RoomId,
    ts: u64,
    order: Order,
) -> Result<(OwnedEventId, u64)> {
    let gate = Gate::enter(s, origin, room_id)?;
    let (least, most) = (EventNo::new(0), EventNo::new(u64::MAX));
    let range = match order {
        Order::Forward => (gate.room, ts, least)..=(gate.room, u64::MAX, most),
        Order::Backward => (gate.room, 0, least)..=(gate.room, ts, most),
    };
    for row in s.scan(tables::TIMES, range, order).keys().take(LOOKED_AT) {
        let (_, _, event) = row?;
        let event = Stored::get(s, event)?;
        if gate.viewer.sees(&event)? {
            return Ok((event.owned_event_id()?, event.origin_server_ts()));
        }
    }
    Err(Error::NoSuchEvent)
}
