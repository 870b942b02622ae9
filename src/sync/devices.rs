//! Whose device lists a client has to fetch again, and whose it may forget.
//!
//! Client-server API, "Tracking the device list for a user" and "Extensions to /sync". Everybody one shares a room with counts,
//! encrypted or not: a client that is told too much fetches a list too many, one that is told too late encrypts to a stranger.

use std::collections::HashSet;

use rooms::Membership;
use rooms::members::{self, Standing};
use rooms::state::At;
use ruma::{OwnedUserId, UserId};
use store::{Pos, RoomNo, UserNo};
use users::device_lists;

use crate::Sync;
use crate::error::Result;
use crate::json::Writer;
use crate::token::Place;
use crate::view::View;

/// The rooms a user is in, once somebody has asked.
#[derive(Default)]
pub(crate) struct Neighbours {
    rooms: Option<HashSet<RoomNo>>,
}

impl Neighbours {
    /// Whether `user` shares a room with `other`.
    pub(crate) fn share(&mut self, view: &View<'_>, user: UserNo, other: UserNo) -> Result<bool> {
        let rooms = self.rooms(view, user)?;
        for entry in members::rooms(view.s, other) {
            let (room, standing) = entry?;
            if standing.is_joined() && rooms.contains(&room) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The rooms that `user` is in.
    pub(crate) fn rooms(&mut self, view: &View<'_>, user: UserNo) -> Result<&HashSet<RoomNo>> {
        let rooms = match self.rooms.take() {
            Some(rooms) => rooms,
            None => members::rooms_with(view.s, user, Membership::Join)?
                .into_iter()
                .collect(),
        };
        Ok(self.rooms.insert(rooms))
    }
}

/// Who came and who went, as the rooms of an answer are gone through.
#[derive(Default)]
pub(crate) struct Moves {
    /// Rooms that the user has come to.
    pub(crate) entered: Vec<RoomNo>,
    /// Rooms that the user has gone from.
    pub(crate) left: Vec<RoomNo>,
    /// Others who came to a room of the user's.
    pub(crate) came: HashSet<UserNo>,
    /// Others who went from one.
    pub(crate) went: HashSet<UserNo>,
}

impl Moves {
    /// Notes who came to a room and went from it since a place, the user among them.
    fn note(
        &mut self,
        view: &View<'_>,
        room: RoomNo,
        standing: &Standing,
        since: Pos,
    ) -> Result<()> {
        if standing.is_joined() {
            if standing.joined_at.is_none_or(|at| at > since) {
                self.entered.push(room);
            } else {
                let old = At::position(view.s, room, since)?;
                self.between(view, &old, &At::now(view.s, room)?)?;
            }
        } else if standing.left_at.is_some_and(|at| at > since) {
            self.left.push(room);
        }
        Ok(())
    }

    /// Notes who came and went between two states of a room.
    pub(crate) fn between(&mut self, view: &View<'_>, old: &At, new: &At) -> Result<()> {
        if old == new {
            return Ok(());
        }
        for difference in old.diff(view.s, new)? {
            let name = view.s.state_key(difference.key)?;
            if name.0 != "m.room.member" {
                continue;
            }
            let Ok(user) = <&ruma::UserId>::try_from(name.1.as_str()) else {
                continue;
            };
            let Some(user) = view.s.user_no(user)? else {
                continue;
            };
            let joined = |event: Option<store::EventNo>| -> Result<bool> {
                let event = event.map(|no| view.event(no)).transpose()?;
                Ok(event.is_some_and(|event| event.membership() == Some(Membership::Join)))
            };
            match (joined(difference.old)?, joined(difference.new)?) {
                (false, true) => self.came.insert(user),
                (true, false) => self.went.insert(user),
                _ => false,
            };
        }
        Ok(())
    }
}

/// What `device_lists` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DeviceLists {
    /// Whose devices have changed, or who is to be known from now on.
    pub(crate) changed: Vec<UserNo>,
    /// Who is not to be known any more.
    pub(crate) left: Vec<UserNo>,
}

/// Whose lists have changed after a position; `look` is false if it is known that nobody's has.
pub(crate) fn changes(
    view: &View<'_>,
    user: UserNo,
    since: Pos,
    moves: &Moves,
    neighbours: &mut Neighbours,
    look: bool,
) -> Result<DeviceLists> {
    let mut changed: HashSet<UserNo> = moves.came.clone();
    for room in &moves.entered {
        for member in members::list(view.s, *room, Membership::Join) {
            changed.insert(member?.user);
        }
    }
    changed.remove(&user);
    if look {
        for other in device_lists::changed_after(view.s, since) {
            let other = other?;
            if other == user
                || (!changed.contains(&other) && neighbours.share(view, user, other)?)
            {
                changed.insert(other);
            }
        }
    }
    let mut gone: HashSet<UserNo> = moves.went.clone();
    for room in &moves.left {
        for member in members::list(view.s, *room, Membership::Join) {
            gone.insert(member?.user);
        }
    }
    gone.remove(&user);
    let mut left = Vec::new();
    for other in gone {
        if !neighbours.share(view, user, other)? {
            changed.remove(&other);
            left.push(other);
        }
    }
    let mut changed: Vec<UserNo> = changed.into_iter().collect();
    changed.sort_unstable();
    left.sort_unstable();
    Ok(DeviceLists { changed, left })
}

impl Sync {
    /// Whose device lists changed since a place, and whom the user shares no room with any more: for a client that lost what its
    /// syncs told it. What has happened after `to` is told, too; telling more is allowed, telling less is not.
    pub async fn key_changes(
        &self,
        user: &UserId,
        from: &str,
        to: &str,
    ) -> Result<(Vec<OwnedUserId>, Vec<OwnedUserId>)> {
        let Place(since) = from.parse()?;
        let _: Place = to.parse()?;
        let (sync, user) = (self.clone(), self.user_no(user)?);
        self.inner()
            .store
            .read(move |s| {
                let view = sync.view(s);
                let moves = moves(&view, user, since)?;
                let lists = changes(&view, user, since, &moves, &mut Neighbours::default(), true)?;
                let named = |users: Vec<UserNo>| -> Result<Vec<OwnedUserId>> {
                    users.into_iter().map(|no| Ok(s.user_id(no)?)).collect()
                };
                Ok((named(lists.changed)?, named(lists.left)?))
            })
            .await
    }
}

/// Who came and went since a place, in all rooms that the user is or was in.
pub(crate) fn moves(view: &View<'_>, user: UserNo, since: Pos) -> Result<Moves> {
    let mut moves = Moves::default();
    for entry in members::rooms(view.s, user) {
        let (room, standing) = entry?;
        moves.note(view, room, &standing, since)?;
    }
    Ok(moves)
}

/// Who came and went since a place, in some rooms.
pub(crate) fn moves_in(
    view: &View<'_>,
    user: UserNo,
    since: Pos,
    rooms: impl Iterator<Item = RoomNo>,
) -> Result<Moves> {
    let mut moves = Moves::default();
    for room in rooms {
        if let Some(standing) = members::standing(view.s, room, user)? {
            moves.note(view, room, &standing, since)?;
        }
    }
    Ok(moves)
}

impl DeviceLists {
    /// Whether there is nothing to say.
    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.left.is_empty()
    }

    /// Writes `device_lists`.
    pub(crate) fn write(&self, view: &View<'_>, out: &mut Writer) -> Result<()> {
        out.key("device_lists");
        out.open();
        for (name, users) in [("changed", &self.changed), ("left", &self.left)] {
            out.key(name);
            out.open_list();
            for user in users {
                out.item();
                out.string(view.s.user_id(*user)?.as_str());
            }
            out.close_list();
        }
        out.close();
        Ok(())
    }
}
