//! What is remembered of rooms that this server is not in: that one of ours was invited to one, knocks on one, or did so once. Such
//! memberships stand among all others (`members.rs`) and are marked; their events are stored, though they have no place in any
//! timeline here. All of it is gone as soon as the room itself says how the user stands to it.

use event::{Pdu, Rules};
use ruma::{OwnedServerName, RoomId, ServerName, UserId};
use store::rows::rooms::{MembershipRow, OutsideRow};
use store::{Change, EventNo, Json, RoomNo, Snapshot, Tx, UserNo, tables};

use crate::error::{Error, Result};
use crate::intake::append::Entry;
use crate::intake::members::Said;
use crate::members;
use crate::{Membership, Rooms, Stored, summary};

/// Servers that are remembered for a room.
const SERVERS: usize = 20;

/// How one of ours stands to a room that we are not in, as an event says.
#[derive(Debug, Clone)]
pub(super) struct News {
    /// The membership event.
    pub(super) pdu: Pdu,
    /// The rules of its room.
    pub(super) rules: &'static Rules,
    /// A JSON list of stripped state; none where there is nothing to see (any more).
    pub(super) stripped: Option<String>,
    /// Servers that are in the room.
    pub(super) servers: Vec<OwnedServerName>,
}

/// What is remembered of a room for one of ours.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    /// How they stand to it.
    pub(super) membership: Membership,
    /// The event that says so.
    pub(super) pdu: Pdu,
    /// The rules of the room.
    pub(super) rules: &'static Rules,
    /// Servers that are in it; the likeliest first.
    pub(super) servers: Vec<OwnedServerName>,
}

impl Rooms {
    /// Remembers how one of ours stands to a room from outside. Does nothing if we are in the room: then its own events tell.
    pub(super) async fn note_outside(
        &self,
        room_id: &RoomId,
        user: &UserId,
        news: News,
    ) -> Result<()> {
        let (rooms, room, user) = (self.clone(), room_id.to_owned(), user.to_owned());
        // In the lane, so that it comes before or after somebody's coming into the room, and not into the middle.
        let work = async move {
            let id = room.clone();
            let written = rooms
                .store()
                .write(move |tx| note(tx, &id, &user, &news))
                .await;
            rooms.lanes().drop_head(&room);
            written.map(drop)
        };
        self.lanes().lanes.run(room_id.to_owned(), work).await
    }

    /// Forgets a room that the user has only ever seen from outside. False if it is not such a room.
    pub(crate) async fn forget_outside(&self, room_id: &RoomId, user: &UserId) -> Result<bool> {
        let (rooms, room, user) = (self.clone(), room_id.to_owned(), user.to_owned());
        let work = async move {
            let forgotten = rooms.store().write(move |tx| forget(tx, &room, &user));
            Ok(forgotten.await?.0)
        };
        self.lanes().lanes.run(room_id.to_owned(), work).await
    }
}

/// What is remembered of a room for one of ours, if we are not in the room.
pub(super) fn remembered(
    s: &Snapshot,
    room_id: &RoomId,
    user: &UserId,
) -> Result<Option<Remembered>> {
    let (Some(room), Some(user)) = (s.room_no(room_id)?, s.user_no(user)?) else {
        return Ok(None);
    };
    let Some(row) = s.get(tables::OUTSIDE, &(room, user))? else {
        return Ok(None);
    };
    let Some(membership) = s.get(tables::MEMBERSHIPS, &(user, room))? else {
        return Ok(None);
    };
    let servers = row.servers.iter();
    Ok(Some(Remembered {
        membership: Membership::of_code(membership.membership),
        pdu: Stored::get(s, membership.event)?.pdu(room_id)?,
        rules: Rules::named(&row.version)
            .ok_or(Error::Bug("a remembered room of an unknown version"))?,
        servers: servers
            .filter_map(|name| <&ServerName>::try_from(name.as_str()).ok())
            .map(ToOwned::to_owned)
            .collect(),
    }))
}

/// Whether one of ours is in a room, which is what lets us speak for it.
pub(super) fn is_resident(s: &Snapshot, room_id: &RoomId) -> Result<bool> {
    match members::room(s, room_id) {
        Ok(room) => Ok(summary::of(s, room)?.joined_here > 0),
        Err(Error::NoSuchRoom) => Ok(false),
        Err(error) => Err(error),
    }
}

fn note(tx: &mut Tx, room_id: &RoomId, user_id: &UserId, news: &News) -> Result<()> {
    if is_resident(tx, room_id)? {
        return Ok(());
    }
    let room = tx.intern_room(room_id)?;
    let user = tx.intern_user(user_id)?;
    let by = tx.intern_user(news.pdu.sender())?;
    let key = (user, room);
    let old = tx.get_for_update(tables::MEMBERSHIPS, &key)?;
    if let Some(old) = old.as_ref().filter(|old| !old.outside) {
        // What the room's old state says of them is out of date.
        tx.delete(tables::MEMBERS, &(room, old.membership, false, user));
    }
    let event = store_event(tx, room, (user, user_id), by, &news.pdu)?;
    let said = Said::by(news.pdu.content_str());
    let new = said.membership.unwrap_or(Membership::Leave);
    let since = tx.log(Change::Invite { user, room });
    let is_over = matches!(new, Membership::Leave | Membership::Ban);
    let row = MembershipRow {
        membership: new.code(),
        event,
        since,
        by,
        left_at: old.as_ref().and_then(|old| old.left_at),
        forgotten: is_over && old.is_some_and(|old| old.forgotten),
        display_name: said.display_name,
        avatar_url: said.avatar_url,
        is_direct: said.is_direct,
        joined_at: None,
        outside: true,
    };
    tx.put(tables::MEMBERSHIPS, &key, &row)?;
    match &news.stripped {
        Some(stripped) => tx.put(tables::STRIPPED, &key, &Json::new(stripped.clone()))?,
        None => tx.delete(tables::STRIPPED, &key),
    }
    let mut servers: Vec<String> = news.servers.iter().map(ToString::to_string).collect();
    servers.truncate(SERVERS);
    let row = OutsideRow {
        version: news.rules.version.to_owned(),
        servers,
    };
    tx.put(tables::OUTSIDE, &(room, user), &row)?;
    Ok(())
}

fn store_event(
    tx: &mut Tx,
    room: RoomNo,
    (user, user_id): (UserNo, &UserId),
    by: UserNo,
    pdu: &Pdu,
) -> Result<EventNo> {
    if let Some(no) = tx.event_no(pdu.event_id())?
        && tx.contains(tables::EVENTS, &no)?
    {
        return Ok(no);
    }
    let state_key = tx.intern_state_key("m.room.member", user_id.as_str())?;
    let entry = Entry {
        room,
        pdu,
        sender: by,
        follows: &[],
        before: None,
        state_key: Some(state_key),
        replaces: None,
        member: Some(user),
        relates: None,
        redacted_by: None,
        early: true,
        txn: None,
    };
    entry.write_outlier(tx, None)
}

fn forget(tx: &mut Tx, room_id: &RoomId, user: &UserId) -> Result<bool> {
    let (Some(room), Some(user)) = (tx.room_no(room_id)?, tx.user_no(user)?) else {
        return Ok(false);
    };
    let key = (user, room);
    let Some(row) = tx.get_for_update(tables::MEMBERSHIPS, &key)? else {
        return Ok(false);
    };
    if !row.outside {
        return Ok(false);
    }
    if !matches!(
        Membership::of_code(row.membership),
        Membership::Leave | Membership::Ban
    ) {
        return Err(Error::StillJoined);
    }
    tx.delete(tables::OUTSIDE, &(room, user));
    tx.delete(tables::STRIPPED, &key);
    if row.left_at.is_some() {
        // They were in the room once, and what they saw then stays closed to them.
        let row = MembershipRow {
            forgotten: true,
            ..row
        };
        tx.put(tables::MEMBERSHIPS, &key, &row)?;
    } else {
        tx.delete(tables::MEMBERSHIPS, &key);
    }
    Ok(true)
}

/// Forgets what is known from outside of a room that we are in now. What its state says of the user has been written already.
pub(super) fn tidy(tx: &mut Tx, room_id: &RoomId) -> Result<()> {
    let Some(room) = tx.room_no(room_id)? else {
        return Ok(());
    };
    let rows = tx.prefix(tables::OUTSIDE, &(room,), store::Order::Forward);
    let users: Vec<UserNo> = rows
        .map(|row| Ok::<_, Error>(row?.0.1))
        .collect::<Result<_>>()?;
    for user in users {
        tx.delete(tables::OUTSIDE, &(room, user));
        let key = (user, room);
        if tx
            .get_for_update(tables::MEMBERSHIPS, &key)?
            .is_some_and(|row| row.outside)
        {
            tx.delete(tables::MEMBERSHIPS, &key);
            tx.delete(tables::STRIPPED, &key);
            tx.log(Change::Invite { user, room });
        }
    }
    Ok(())
}
