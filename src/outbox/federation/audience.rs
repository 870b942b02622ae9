//! Which other servers have somebody in a room, and since when: remembered, and kept in step with memberships, for the rooms in which something
//! happens.

use std::collections::{BTreeSet, HashMap};

use rooms::{Membership, members};
use ruma::OwnedServerName;
use store::{Pos, RoomNo, Snapshot, UserNo};

use crate::error::Result;

/// Members remembered over all rooms: about 16 MiB.
const REMEMBERED: usize = 400_000;

/// Other servers, and who of theirs is in a room.
type Audience = HashMap<OwnedServerName, Present>;

/// The users of one server in a room.
struct Present {
    /// Who, and since when.
    users: HashMap<UserNo, Pos>,
    /// Since when the first of them.
    since: Pos,
}

impl Default for Present {
    fn default() -> Self {
        Self {
            users: HashMap::new(),
            since: Pos::MAX,
        }
    }
}

impl Present {
    /// Somebody is there since a position. Whether that is news.
    fn insert(&mut self, user: UserNo, since: Pos) -> bool {
        let before = self.users.insert(user, since);
        if before.is_none_or(|before| before > self.since) {
            self.since = self.since.min(since);
        } else {
            self.recount();
        }
        before.is_none()
    }

    /// Somebody has gone. Whether they were there.
    fn remove(&mut self, user: UserNo) -> bool {
        let was = self.users.remove(&user);
        if was.is_some_and(|was| was <= self.since) {
            self.recount();
        }
        was.is_some()
    }

    fn recount(&mut self) {
        self.since = self.users.values().copied().min().unwrap_or(Pos::MAX);
    }
}

/// The servers of rooms.
#[derive(Default)]
pub(super) struct Audiences {
    rooms: HashMap<RoomNo, Audience>,
    total: usize,
}

impl Audiences {
    /// The other servers with somebody in a room who was there at a position already.
    pub(super) fn at(
        &mut self,
        s: &Snapshot,
        room: RoomNo,
        pos: Pos,
    ) -> Result<Vec<OwnedServerName>> {
        if !self.rooms.contains_key(&room) {
            self.read(s, room)?;
        }
        let known = self.rooms.get(&room).into_iter().flatten();
        let there = known.filter(|(_, present)| present.since <= pos);
        Ok(there.map(|(server, _)| server.clone()).collect())
    }

    /// The other servers with somebody in a room.
    pub(super) fn of(&mut self, s: &Snapshot, room: RoomNo) -> Result<Vec<OwnedServerName>> {
        self.at(s, room, Pos::MAX)
    }

    fn read(&mut self, s: &Snapshot, room: RoomNo) -> Result<()> {
        let mut audience = Audience::new();
        let mut total = 1;
        for member in members::joined_elsewhere(s, room) {
            let user = member?.user;
            let server = s.user_id(user)?.server_name().to_owned();
            let since = joined_at(s, room, user)?.unwrap_or_default();
            audience.entry(server).or_default().insert(user, since);
            total += 1;
        }
        if self.total + total > REMEMBERED {
            // Rooms are forgotten all at once: whichever is still of interest is read again.
            *self = Self::default();
        }
        self.total += total;
        self.rooms.insert(room, audience);
        Ok(())
    }

    /// The other servers that share a room with a user.
    pub(super) fn around(
        &mut self,
        s: &Snapshot,
        user: UserNo,
    ) -> Result<BTreeSet<OwnedServerName>> {
        let mut found = BTreeSet::new();
        for room in members::rooms_with(s, user, Membership::Join)? {
            found.extend(self.of(s, room)?);
        }
        Ok(found)
    }

    /// Notes how somebody of another server stands to a room now.
    pub(super) fn moved(
        &mut self,
        s: &Snapshot,
        room: RoomNo,
        server: &OwnedServerName,
        user: UserNo,
    ) -> Result<()> {
        let Some(audience) = self.rooms.get_mut(&room) else {
            return Ok(());
        };
        if let Some(since) = joined_at(s, room, user)? {
            let present = audience.entry(server.clone()).or_default();
            self.total += usize::from(present.insert(user, since));
        } else if let Some(present) = audience.get_mut(server) {
            self.total -= usize::from(present.remove(user));
            if present.users.is_empty() {
                audience.remove(server);
            }
        }
        Ok(())
    }
}

/// Since when somebody is in a room, if they are.
fn joined_at(s: &Snapshot, room: RoomNo, user: UserNo) -> Result<Option<Pos>> {
    let standing = members::standing(s, room, user)?;
    Ok(standing.and_then(|standing| standing.joined_at))
}
