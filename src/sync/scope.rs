//! What has to be looked at to find out what changed: the marks of a bell, a stretch of the log, or everything.

use store::{Change, Pos, UserNo};

use crate::Sync;
use crate::bells::{Bell, Marks, RoomMarks, UserMarks};
use crate::ringer::of_one_user;

/// Changes that are looked through, whosever they are.
const STRETCH: usize = 512;

/// What has to be looked at.
#[derive(Debug)]
pub(crate) enum Scope {
    /// All rooms and all of the user's own.
    Everything,
    /// What is marked. Rooms that the user has nothing to do with may be among it.
    Marked(Marks),
}

impl Scope {
    /// What memory knows of the time from `since` to `head`; everything if there is no earlier time.
    pub(crate) fn of(
        sync: &Sync,
        user: UserNo,
        since: Option<Pos>,
        bell: &Bell,
        head: Pos,
    ) -> Self {
        let Some(since) = since else {
            return Self::Everything;
        };
        // How far the bells have been rung comes first: what is rung for meanwhile is seen twice, and not never.
        let rung = sync.inner().bells.rung();
        let (mut marks, from) = match bell.marks(since) {
            Some(marks) => (marks, rung.max(since)),
            None => {
                let marks = Marks {
                    reach: since,
                    ..Marks::default()
                };
                (marks, since)
            }
        };
        if from < head {
            match sync.inner().store.recent_changes(from, head, STRETCH) {
                Some(changes) if changes.len() < STRETCH => note_all(&mut marks, user, &changes),
                _ => return Self::Everything,
            }
        }
        Self::Marked(marks)
    }

    /// Finds out more from the log on disk, if the time from `since` to `head` is short.
    pub(crate) fn narrow(
        self,
        sync: &Sync,
        user: UserNo,
        since: Option<Pos>,
        head: Pos,
    ) -> crate::Result<Self> {
        let Some(since) = since else {
            return Ok(self);
        };
        let near = head.get() - since.get() < STRETCH as u64;
        if matches!(self, Self::Marked(_)) || !near {
            return Ok(self);
        }
        let changes = sync.inner().store.changes(since, head, STRETCH)?;
        let mut marks = Marks {
            reach: since,
            ..Marks::default()
        };
        note_all(&mut marks, user, &changes);
        Ok(Self::Marked(marks))
    }

    /// Whether it is so little that it is read in no time.
    pub(crate) fn is_at_hand(&self, rooms: usize) -> bool {
        matches!(self, Self::Marked(marks) if marks.rooms.len() <= rooms)
    }

    /// What is marked; nothing if everything is.
    pub(crate) fn marks(&self) -> Option<&Marks> {
        match self {
            Self::Everything => None,
            Self::Marked(marks) => Some(marks),
        }
    }
}

fn note_all(marks: &mut Marks, user: UserNo, changes: &[(Pos, Change)]) {
    for (pos, change) in changes {
        note(marks, user, *pos, change);
    }
}

/// Marks what a change may mean for the one who asks.
fn note(marks: &mut Marks, asking: UserNo, pos: Pos, change: &Change) {
    match change {
        Change::Event { room, member, .. } => {
            marks.mark(
                *room,
                RoomMarks {
                    event: pos,
                    ..RoomMarks::default()
                },
            );
            if *member == Some(asking) {
                marks.own.merge(UserMarks {
                    membership: pos,
                    ..UserMarks::default()
                });
            }
        }
        Change::Receipt {
            room,
            user,
            private,
        } if !private || *user == asking => {
            marks.mark(
                *room,
                RoomMarks {
                    receipt: pos,
                    ..RoomMarks::default()
                },
            );
        }
        Change::DeviceList { .. } => marks.own.merge(UserMarks {
            device_lists: pos,
            ..UserMarks::default()
        }),
        Change::Presence { .. } => marks.own.merge(UserMarks {
            presence: pos,
            ..UserMarks::default()
        }),
        other => {
            if let Some((user, room, own)) = of_one_user(pos, other)
                && user == asking
            {
                marks.own.merge(own);
                if let Some((room, room_marks)) = room {
                    marks.mark(room, room_marks);
                }
            }
        }
    }
}
