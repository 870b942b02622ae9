//! The rooms of a user, the one with the latest activity first: kept in memory while somebody asks, and moved along by what the bells
//! have marks for, so that a question costs the rooms that changed. Whoever is forgotten is read anew.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use rooms::members::{self, Standing};
use rooms::{Membership, summary, timeline};
use ruma::{OwnedUserId, RoomId};
use store::{Pos, RoomNo, UserNo};
use users::account_data;

use crate::Sync;
use crate::error::Result;
use crate::scope::Scope;
use crate::view::View;

/// Rooms remembered over all users: about 60 MiB when full.
const ROOMS: u64 = 500_000;
/// Users remembered.
const USERS: usize = 20_000;

/// An index, with as much weight as it had when it was put there.
#[derive(Clone)]
struct Kept {
    index: Arc<Mutex<Index>>,
    rooms: u64,
}

#[derive(Clone)]
struct Size;

impl Weighter<UserNo, Kept> for Size {
    fn weight(&self, _: &UserNo, kept: &Kept) -> u64 {
        kept.rooms + 4
    }
}

/// All users' rooms.
pub(crate) struct Recency {
    users: Cache<UserNo, Kept, Size>,
}

impl Default for Recency {
    fn default() -> Self {
        Self {
            users: Cache::with_weighter(USERS, ROOMS, Size),
        }
    }
}

impl Recency {
    /// The rooms of a user, as far as they are remembered.
    pub(super) fn of(&self, user: UserNo) -> Arc<Mutex<Index>> {
        self.users
            .get(&user)
            .map(|kept| kept.index)
            .unwrap_or_default()
    }

    /// Whether a user's rooms are remembered, and nobody is busy with them.
    pub(super) fn is_at_hand(&self, user: UserNo) -> bool {
        let kept = self.users.get(&user);
        kept.is_some_and(|kept| kept.index.try_lock().is_ok())
    }

    /// Remembers a user's rooms, this many.
    pub(super) fn keep(&self, user: UserNo, index: &Arc<Mutex<Index>>, rooms: usize) {
        let rooms = rooms as u64;
        if self.users.get(&user).is_none_or(|kept| kept.rooms != rooms) {
            let index = index.clone();
            self.users.insert(user, Kept { index, rooms });
        }
    }
}

/// A room of a user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Join, invite or knock.
    pub(super) membership: Membership,
    /// Where the last activity was, and not before the user came or was invited.
    pub(super) stamp: Pos,
    pub(super) encrypted: bool,
    pub(super) room_type: Option<Box<str>>,
    /// Whether the invitation is to a direct chat.
    pub(super) is_direct: bool,
}

type Place = (Reverse<Pos>, RoomNo);

/// The rooms of a user at one moment.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// The moment; none if nothing has been read yet.
    upto: Option<Pos>,
    entries: HashMap<RoomNo, Entry>,
    order: BTreeSet<Place>,
    dms: HashSet<RoomNo>,
}

impl Index {
    pub(super) fn upto(&self) -> Option<Pos> {
        self.upto
    }

    /// How the user stands to a room, if it is one of theirs.
    pub(super) fn get(&self, room: RoomNo) -> Option<&Entry> {
        self.entries.get(&room)
    }

    /// Whether the user calls a room a direct chat, or was invited to it as one.
    pub(super) fn is_dm(&self, room: RoomNo) -> bool {
        self.dms.contains(&room)
            || self
                .get(room)
                .is_some_and(|it| it.is_direct && it.membership != Membership::Join)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The rooms, the latest first.
    pub(super) fn rooms(&self) -> impl Iterator<Item = (RoomNo, &Entry)> + '_ {
        let rooms = self.order.iter();
        rooms.filter_map(|(_, room)| Some((*room, self.entries.get(room)?)))
    }

    /// Goes on to the moment of `view`, which is not before the index's own.
    pub(super) fn go_on(
        &mut self,
        sync: &Sync,
        view: &View<'_>,
        user: UserNo,
        scope: &Scope,
    ) -> Result<()> {
        let ignored = sync.inner().users.ignored_by(user)?;
        let since = self.upto.unwrap_or_default();
        let marks = scope
            .marks()
            .filter(|marks| self.upto.is_some() && marks.own.rules <= since);
        // Should reading fail half-way, nothing of it counts.
        self.upto = None;
        match marks {
            None => self.read_all(view, user, &ignored)?,
            Some(marks) => {
                if marks.own.data > since {
                    self.dms = dms(view, user)?;
                }
                for (room, _) in marks.rooms.iter().filter(|(_, marks)| marks.event > since) {
                    let standing = members::standing(view.s, *room, user)?;
                    let entry = match standing {
                        Some(standing) => entry(view, *room, &standing, &ignored, None)?,
                        None => None,
                    };
                    self.set(*room, entry);
                }
            }
        }
        self.upto = Some(view.s.head());
        Ok(())
    }

    fn read_all(
        &mut self,
        view: &View<'_>,
        user: UserNo,
        ignored: &HashSet<OwnedUserId>,
    ) -> Result<()> {
        self.entries.clear();
        self.order.clear();
        let mut mine = Vec::new();
        for row in members::rooms(view.s, user) {
            let (room, standing) = row?;
            if is_of_interest(standing.membership) {
                mine.push((room, standing));
            }
        }
        let rooms: Vec<RoomNo> = mine.iter().map(|(room, _)| *room).collect();
        let bumps = timeline::bumps(view.s, &rooms)?;
        for ((room, standing), bump) in mine.into_iter().zip(bumps) {
            let entry = entry(view, room, &standing, ignored, Some(bump))?;
            self.set(room, entry);
        }
        self.dms = dms(view, user)?;
        Ok(())
    }

    fn set(&mut self, room: RoomNo, entry: Option<Entry>) {
        if let Some(old) = self.entries.remove(&room) {
            self.order.remove(&(Reverse(old.stamp), room));
        }
        if let Some(entry) = entry {
            self.order.insert((Reverse(entry.stamp), room));
            self.entries.insert(room, entry);
        }
    }
}

fn is_of_interest(membership: Membership) -> bool {
    matches!(
        membership,
        Membership::Join | Membership::Invite | Membership::Knock
    )
}

/// A room as its user's lists know it; none if it is in none of them.
fn entry(
    view: &View<'_>,
    room: RoomNo,
    standing: &Standing,
    ignored: &HashSet<OwnedUserId>,
    bump: Option<Pos>,
) -> Result<Option<Entry>> {
    let membership = standing.membership;
    if !is_of_interest(membership) {
        return Ok(None);
    }
    if membership == Membership::Invite
        && !ignored.is_empty()
        && ignored.contains(&view.s.user_id(standing.by)?)
    {
        return Ok(None);
    }
    let stamp = match (membership, bump) {
        (Membership::Join, Some(bump)) => bump.max(standing.joined_at.unwrap_or_default()),
        (Membership::Join, None) => {
            let bump = timeline::bumps(view.s, &[room])?.first().copied();
            bump.max(standing.joined_at).unwrap_or_default()
        }
        _ => standing.since,
    };
    let shown = summary::of(view.s, room)?;
    Ok(Some(Entry {
        membership,
        stamp,
        encrypted: shown.encryption.is_some(),
        room_type: shown.room_type.map(Into::into),
        is_direct: standing.is_direct,
    }))
}

/// The rooms that a user calls direct chats.
fn dms(view: &View<'_>, user: UserNo) -> Result<HashSet<RoomNo>> {
    let Some(content) = account_data::get(view.s, user, None, "m.direct")? else {
        return Ok(HashSet::new());
    };
    // A client wrote it; what does not have the shape is as if it were not there.
    let direct: BTreeMap<String, Vec<String>> = serde_json::from_str(&content).unwrap_or_default();
    let mut found = HashSet::new();
    for room in direct.values().flatten() {
        if let Ok(room) = <&RoomId>::try_from(room.as_str()) {
            found.extend(view.s.room_no(room)?);
        }
    }
    Ok(found)
}

pub(super) fn lock(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}
