//! Which events of a room somebody gets to see as they are told what is new: those since they came, without asking; earlier ones as
//! `rooms::visibility` says; and of a room that they have left, nothing after they left but what became of themselves.

use std::cell::OnceCell;

use rooms::Stored;
use rooms::members::Standing;
use rooms::visibility;
use store::{Pos, RoomNo, Snapshot, StateKeyNo, UserNo};

use crate::client_form::{Stay, Viewer};
use crate::error::Result;

/// Somebody's sight of a room.
pub(crate) struct Sight<'s> {
    s: &'s Snapshot,
    room: RoomNo,
    user: UserNo,
    reach: Reach,
    /// Made when it is needed: most often it is not.
    viewer: OnceCell<visibility::Viewer<'s>>,
}

enum Reach {
    /// In the room, since then.
    Here(Option<Pos>),
    /// Out of the room, since then; and the name of one's own membership.
    Left(Pos, Option<StateKeyNo>),
}

impl<'s> Sight<'s> {
    /// Of a room that the user is in.
    pub(crate) fn here(s: &'s Snapshot, room: RoomNo, user: UserNo, standing: &Standing) -> Self {
        Self {
            s,
            room,
            user,
            reach: Reach::Here(standing.joined_at),
            viewer: OnceCell::new(),
        }
    }

    /// Of a room that the user left at `end`.
    pub(crate) fn left(
        s: &'s Snapshot,
        room: RoomNo,
        viewer: &Viewer,
        standing: &Standing,
        end: Pos,
    ) -> Result<Self> {
        let key = Stay::of(s, viewer, Some(standing))?.key;
        Ok(Self {
            s,
            room,
            user: viewer.user,
            reach: Reach::Left(end, key),
            viewer: OnceCell::new(),
        })
    }

    /// Whether the user sees an event of the room.
    pub(crate) fn sees(&self, event: &Stored) -> Result<bool> {
        match self.reach {
            Reach::Here(Some(stay)) if event.pos().is_some_and(|pos| pos >= stay) => Ok(true),
            Reach::Here(_) => self.asks(event),
            Reach::Left(_, key) if key.is_some() && event.state_key_no() == key => Ok(true),
            Reach::Left(end, _) => {
                Ok(event.pos().is_some_and(|pos| pos <= end) && self.asks(event)?)
            }
        }
    }

    fn asks(&self, event: &Stored) -> Result<bool> {
        if self.viewer.get().is_none() {
            let viewer = visibility::Viewer::new(self.s, self.room, Some(self.user))?;
            let _ = self.viewer.set(viewer);
        }
        let viewer = self.viewer.get();
        Ok(viewer.map_or(Ok(false), |viewer| viewer.sees(event))?)
    }
}
