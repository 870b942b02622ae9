//! What lists of rooms show of a room, read in one row that `intake/append.rs` keeps up to date.

use event::Rules;
use ruma::RoomVersionId;
use store::rows::rooms::RoomRow;
use store::{EventNo, RoomNo, Snapshot, UserNo, tables};

use crate::error::{Error, Result};

pub use store::rows::rooms::SummaryRow as Summary;

/// What never changes about a room.
#[derive(Debug, Clone)]
pub struct Basics {
    /// The rules of its version.
    pub rules: &'static Rules,
    /// Its create event.
    pub create: EventNo,
    /// Who sent that.
    pub creator: UserNo,
}

impl Basics {
    pub(crate) fn of(row: &RoomRow) -> Result<Self> {
        Ok(Self {
            rules: Rules::named(&row.version)
                .ok_or(Error::Bug("a stored room of an unknown version"))?,
            create: row.create,
            creator: row.creator,
        })
    }

    /// The room version.
    #[must_use]
    pub fn version(&self) -> RoomVersionId {
        self.rules.room_version()
    }
}

/// What never changes about a room.
pub fn basics(s: &Snapshot, room: RoomNo) -> Result<Basics> {
    let row = s.get(tables::ROOMS, &room)?.ok_or(Error::NoSuchRoom)?;
    Basics::of(&row)
}

/// What lists of rooms show of a room.
pub fn of(s: &Snapshot, room: RoomNo) -> Result<Summary> {
    Ok(s.get(tables::SUMMARIES, &room)?.unwrap_or_default())
}

/// What lists show of every room there is.
pub fn all(s: &Snapshot) -> impl Iterator<Item = Result<(RoomNo, Summary)>> + '_ {
    s.scan(tables::SUMMARIES, .., store::Order::Forward)
        .map(|row| Ok(row?))
}
