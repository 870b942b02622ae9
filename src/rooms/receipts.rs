//! Read receipts: public and private, for the whole room, its main timeline or a thread (client-server API, *Receipts*).
//! The fully-read marker is account data and does not live here.

use ruma::{EventId, OwnedEventId, RoomId, UserId};
use store::rows::rooms::{ReceiptMoveRow, ReceiptRow};
use store::{Change, Order, Pos, RoomNo, Snapshot, Tx, UserNo, tables};

use crate::Rooms;
use crate::error::{Error, Result};
use crate::members;

/// Whether others may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// `m.read`.
    Public = 0,
    /// `m.read.private`.
    Private = 1,
}

/// How far somebody has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Who.
    pub user: UserNo,
    /// Whether others may know.
    pub kind: Kind,
    /// Of which thread: none, `main`, or the root's ID.
    pub thread: Option<String>,
    /// Up to which event.
    pub event_id: String,
    /// Where that event stands, if we know it.
    pub at: Option<Pos>,
    /// When, in milliseconds.
    pub ts: u64,
    /// The receipt's own position.
    pub pos: Pos,
}

impl Receipt {
    fn of(user: UserNo, kind: u8, thread: String, row: ReceiptRow) -> Self {
        Self {
            user,
            kind: if kind == Kind::Private as u8 {
                Kind::Private
            } else {
                Kind::Public
            },
            thread: (!thread.is_empty()).then_some(thread),
            event_id: row.event_id,
            at: row.at,
            ts: row.ts,
            pos: row.pos,
        }
    }

    /// Whether `viewer` may know of it.
    #[must_use]
    pub fn is_for(&self, viewer: UserNo) -> bool {
        self.kind == Kind::Public || self.user == viewer
    }
}

/// Every receipt in a room.
pub fn all(s: &Snapshot, room: RoomNo) -> Result<Vec<Receipt>> {
    let rows = s.prefix(tables::RECEIPTS, &(room,), Order::Forward);
    rows.map(|row| {
        let ((_, user, kind, thread), row) = row?;
        Ok(Receipt::of(user, kind, thread, row))
    })
    .collect()
}

/// The receipts of a room that moved after one position, up to another.
pub fn moved(s: &Snapshot, room: RoomNo, after: Pos, upto: Pos) -> Result<Vec<Receipt>> {
    let range = (room, after.next())..=(room, upto);
    let mut found = Vec::new();
    for row in s.scan(tables::RECEIPT_MOVES, range, Order::Forward) {
        let (_, moved) = row?;
        let key = (room, moved.user, moved.kind, moved.thread);
        if let Some(row) = s.get(tables::RECEIPTS, &key)? {
            found.push(Receipt::of(key.1, key.2, key.3, row));
        }
    }
    Ok(found)
}

/// The receipts of one user in a room.
pub fn of_user(s: &Snapshot, room: RoomNo, user: UserNo) -> Result<Vec<Receipt>> {
    let rows = s.prefix(tables::RECEIPTS, &(room, user), Order::Forward);
    rows.map(|row| {
        let ((_, user, kind, thread), row) = row?;
        Ok(Receipt::of(user, kind, thread, row))
    })
    .collect()
}

impl Rooms {
    /// Moves a user's receipt to an event. One that would move back stays where it is. It may be lost when the power fails
    /// within the next second.
    pub async fn receipt(
        &self,
        room_id: &RoomId,
        user: &UserId,
        kind: Kind,
        thread: Option<&str>,
        event_id: &EventId,
    ) -> Result<()> {
        let (room_id, user): (ruma::OwnedRoomId, ruma::OwnedUserId) =
            (room_id.to_owned(), user.to_owned());
        let (thread, event_id) = (thread.unwrap_or_default().to_owned(), event_id.to_owned());
        let ts = self.now();
        let moved = move |tx: &mut Tx| {
            let room = members::room(tx, &room_id)?;
            let user = tx.user_no(&user)?.ok_or(Error::NotJoined)?;
            if !members::is_joined(tx, room, user)? {
                return Err(Error::NotJoined);
            }
            set(tx, &(room, user, kind as u8, thread.clone()), &event_id, ts)
        };
        self.store().write_relaxed(moved).await?;
        Ok(())
    }
}

fn set(
    tx: &mut Tx,
    key: &(RoomNo, UserNo, u8, String),
    event_id: &OwnedEventId,
    ts: u64,
) -> Result<()> {
    let room = &key.0;
    let event = crate::stored::Stored::find(tx, *room, event_id)?.ok_or(Error::NoSuchEvent)?;
    let old = tx.get_for_update(tables::RECEIPTS, key)?;
    if let Some(old) = &old
        && old.at.is_some()
        && old.at >= event.pos()
    {
        return Ok(());
    }
    put(tx, key, old.as_ref(), (event_id, event.pos()), ts)
}

/// Moves the receipt of another server's user to an event that we may not have yet; then its time tells whether it moves back.
pub(crate) fn set_remote(
    tx: &mut Tx,
    key: &(RoomNo, UserNo, u8, String),
    (event_id, at): (OwnedEventId, Option<Pos>),
    ts: u64,
) -> Result<()> {
    let old = tx.get_for_update(tables::RECEIPTS, key)?;
    let stays = old.as_ref().is_some_and(|old| match (old.at, at) {
        (Some(old), Some(new)) => old >= new,
        _ => old.ts > ts || old.event_id == event_id.as_str(),
    });
    if stays {
        return Ok(());
    }
    put(tx, key, old.as_ref(), (&event_id, at), ts)
}

fn put(
    tx: &mut Tx,
    key: &(RoomNo, UserNo, u8, String),
    old: Option<&ReceiptRow>,
    (event_id, at): (&OwnedEventId, Option<Pos>),
    ts: u64,
) -> Result<()> {
    let (room, user, kind, thread) = key;
    if let Some(old) = old {
        tx.delete(tables::RECEIPT_MOVES, &(*room, old.pos));
    }
    let pos = tx.log(Change::Receipt {
        room: *room,
        user: *user,
        private: *kind == Kind::Private as u8,
    });
    let row = ReceiptRow {
        event_id: event_id.to_string(),
        at,
        ts,
        pos,
    };
    let moved = ReceiptMoveRow {
        user: *user,
        kind: *kind,
        thread: thread.clone(),
    };
    tx.put(tables::RECEIPTS, key, &row)?;
    tx.put(tables::RECEIPT_MOVES, &(*room, pos), &moved)?;
    Ok(())
}
