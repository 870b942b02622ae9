//! Where a room's timeline has a hole: events that follow others which we do not have.

use store::{EventNo, Order, Pos, RoomNo, Snapshot, tables};

use crate::error::Result;

/// The last event after a position, up to another one, in front of which something is missing.
pub fn last_within(
    s: &Snapshot,
    room: RoomNo,
    after: Pos,
    upto: Pos,
) -> Result<Option<(Pos, EventNo)>> {
    let range = (room, after.next())..=(room, upto.min(Pos::MAX));
    let mut rows = s.scan(tables::GAPS, range, Order::Backward);
    match rows.next() {
        Some(row) => {
            let ((_, pos), event) = row?;
            Ok(Some((pos, event)))
        }
        None => Ok(None),
    }
}
