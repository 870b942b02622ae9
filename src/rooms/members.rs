//! Who is in a room and in which rooms a user is, from the indexes that `intake/append.rs` keeps beside the state.

use ruma::{RoomId, UserId};
use store::rows::rooms::{MemberRow, MembershipRow};
use store::{EventNo, Json, Order, Pos, RoomNo, Snapshot, UserNo, tables};

use crate::error::{Error, Result};
use crate::membership::Membership;

/// How a user stands to a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// In which way.
    pub membership: Membership,
    /// The `m.room.member` event that says so.
    pub event: EventNo,
    /// Its position.
    pub since: Pos,
    /// Who sent it.
    pub by: UserNo,
    /// Where the user's present stay in the room began.
    pub joined_at: Option<Pos>,
    /// Where the user's last stay in the room ended, if it has.
    pub left_at: Option<Pos>,
    /// Whether the user wants to hear no more of the room.
    pub forgotten: bool,
    /// The display name in the room.
    pub display_name: Option<String>,
    /// The avatar in the room.
    pub avatar_url: Option<String>,
    /// Whether the invite was to a direct chat.
    pub is_direct: bool,
    /// Whether no state of the room here says so: an invitation or a knock from outside, or its end.
    pub is_outside: bool,
}

impl Standing {
    pub(crate) fn of(row: MembershipRow) -> Self {
        Self {
            membership: Membership::of_code(row.membership),
            event: row.event,
            since: row.since,
            by: row.by,
            joined_at: row.joined_at,
            left_at: row.left_at,
            forgotten: row.forgotten,
            display_name: row.display_name,
            avatar_url: row.avatar_url,
            is_direct: row.is_direct,
            is_outside: row.outside,
        }
    }

    /// Whether the user is in the room.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.membership == Membership::Join
    }
}

/// The number of a room that we have.
pub fn room(s: &Snapshot, room_id: &RoomId) -> Result<RoomNo> {
    let room = s.room_no(room_id)?.ok_or(Error::NoSuchRoom)?;
    if s.contains(tables::ROOMS, &room)? {
        Ok(room)
    } else {
        Err(Error::NoSuchRoom)
    }
}

/// How a user stands to a room, if they ever had to do with it.
pub fn standing(s: &Snapshot, room: RoomNo, user: UserNo) -> Result<Option<Standing>> {
    let row = s.get(tables::MEMBERSHIPS, &(user, room))?;
    Ok(row.map(Standing::of))
}

/// The same, by user ID.
pub fn standing_of(s: &Snapshot, room: RoomNo, user: &UserId) -> Result<Option<Standing>> {
    match s.user_no(user)? {
        Some(user) => standing(s, room, user),
        None => Ok(None),
    }
}

/// Whether a user is in a room.
pub fn is_joined(s: &Snapshot, room: RoomNo, user: UserNo) -> Result<bool> {
    Ok(standing(s, room, user)?.is_some_and(|standing| standing.is_joined()))
}

/// One entry of a list of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserNo,
    /// The `m.room.member` event.
    pub event: EventNo,
    /// The display name in the room.
    pub display_name: Option<String>,
    /// Whether it is a user of another server.
    pub remote: bool,
}

/// The users who stand to a room in this way.
pub fn list(
    s: &Snapshot,
    room: RoomNo,
    membership: Membership,
) -> impl Iterator<Item = Result<Member>> + '_ {
    let rows = s.prefix(tables::MEMBERS, &(room, membership.code()), Order::Forward);
    rows.map(member)
}

/// Our own users who are in a room.
pub fn joined_here(s: &Snapshot, room: RoomNo) -> impl Iterator<Item = Result<Member>> + '_ {
    let prefix = (room, Membership::Join.code(), false);
    s.prefix(tables::MEMBERS, &prefix, Order::Forward)
        .map(member)
}

/// Other servers' users who are in a room.
pub fn joined_elsewhere(s: &Snapshot, room: RoomNo) -> impl Iterator<Item = Result<Member>> + '_ {
    let prefix = (room, Membership::Join.code(), true);
    s.prefix(tables::MEMBERS, &prefix, Order::Forward)
        .map(member)
}

type MemberKey = (RoomNo, u8, bool, UserNo);

fn member(row: Result<(MemberKey, MemberRow), store::Error>) -> Result<Member> {
    let ((_, _, remote, user), row) = row?;
    Ok(Member {
        user,
        event: row.event,
        display_name: row.display_name,
        remote,
    })
}

/// Every room that a user ever had to do with, and how they stand to it.
pub fn rooms(s: &Snapshot, user: UserNo) -> impl Iterator<Item = Result<(RoomNo, Standing)>> + '_ {
    let rows = s.prefix(tables::MEMBERSHIPS, &(user,), Order::Forward);
    rows.map(|row| {
        let ((_, room), row) = row?;
        Ok((room, Standing::of(row)))
    })
}

/// The rooms to which a user stands in this way.
pub fn rooms_with(s: &Snapshot, user: UserNo, membership: Membership) -> Result<Vec<RoomNo>> {
    let all = rooms(s, user);
    let those = all.filter_map(|entry| match entry {
        Ok((room, standing)) => (standing.membership == membership).then_some(Ok(room)),
        Err(error) => Some(Err(error)),
    });
    those.collect()
}

/// The rooms in which both users are.
pub fn shared(s: &Snapshot, one: UserNo, other: UserNo) -> Result<Vec<RoomNo>> {
    let mut found = rooms_with(s, one, Membership::Join)?;
    let theirs: std::collections::HashSet<RoomNo> = rooms_with(s, other, Membership::Join)?
        .into_iter()
        .collect();
    found.retain(|room| theirs.contains(room));
    Ok(found)
}

/// Up to five users after whom a room without a name is called: joined and invited ones first, else those who were there.
pub fn heroes(s: &Snapshot, room: RoomNo, except: UserNo) -> Result<Vec<Member>> {
    const HEROES: usize = 5;
    let mut found = Vec::with_capacity(HEROES);
    for group in [
        &[Membership::Join, Membership::Invite][..],
        &[Membership::Leave, Membership::Ban],
    ] {
        for membership in group {
            for member in list(s, room, *membership) {
                let member = member?;
                if member.user != except {
                    found.push(member);
                }
                if found.len() == HEROES {
                    return Ok(found);
                }
            }
        }
        if !found.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// What an invited or knocking user may know of the room: a JSON list of stripped state events.
pub fn stripped(s: &Snapshot, room: RoomNo, user: UserNo) -> Result<Option<Json>> {
    Ok(s.get(tables::STRIPPED, &(user, room))?)
}
