//! What other servers tell of their users that is no event: who types, and up to where they have read (server-server API, *EDUs*).
//! A server speaks for its own users only, of rooms that let it in, and of those who are in the room; anything else is dropped
//! without a word, as everything of this kind may be.

use std::time::Duration;

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId};
use store::{RoomNo, Snapshot, Tx, UserNo};

use crate::Rooms;
use crate::error::{Error, Result};
use crate::stored::Stored;
use crate::{acl, members, receipts};

/// For how long somebody of another server is believed to type; their server says so again if they still do.
const TYPING: Duration = Duration::from_secs(30);
/// How many events one receipt may name; all but the last are older.
const EVENTS: usize = 10;

/// A public receipt of another server's user.
#[derive(Debug, Clone)]
pub struct ReceiptEdu {
    /// In which room.
    pub room_id: OwnedRoomId,
    /// Whose.
    pub user: OwnedUserId,
    /// Up to which event; the newest last.
    pub event_ids: Vec<OwnedEventId>,
    /// Of which thread: none, `main`, or the root's ID.
    pub thread: Option<String>,
    /// When, in milliseconds.
    pub ts: u64,
}

impl Rooms {
    /// A user of another server types, or has stopped. Whether that was believed.
    pub async fn edu_typing(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        user: &UserId,
        types: bool,
    ) -> Result<bool> {
        let (origin, room_id) = (origin.to_owned(), room_id.to_owned());
        let user = user.to_owned();
        let member = self
            .store()
            .read(move |s| member(s, &origin, &room_id, &user));
        let Some((room, user)) = member.await? else {
            return Ok(false);
        };
        self.typing().set(room, user, types.then_some(TYPING));
        Ok(true)
    }

    /// A user of another server has read something. Whether that was believed. It may be lost when the power fails within the
    /// next second.
    pub async fn edu_receipt(&self, origin: &ServerName, receipt: ReceiptEdu) -> Result<bool> {
        let origin = origin.to_owned();
        let now = self.now();
        let moved = move |tx: &mut Tx| {
            let Some((room, user)) = member(tx, &origin, &receipt.room_id, &receipt.user)? else {
                return Ok(false);
            };
            if !is_thread(tx, room, receipt.thread.as_deref())? {
                return Ok(false);
            }
            let mut newest = None;
            for id in receipt.event_ids.iter().rev().take(EVENTS) {
                let event = Stored::find(tx, room, id)?.filter(|event| event.pos().is_some());
                if let Some(event) = event
                    && newest
                        .as_ref()
                        .is_none_or(|old: &Stored| old.pos() < event.pos())
                {
                    newest = Some(event);
                }
            }
            let place = match &newest {
                Some(event) => (event.owned_event_id()?, event.pos()),
                // The event itself may still be on its way.
                None => match receipt.event_ids.last() {
                    Some(id) => (id.clone(), None),
                    None => return Ok(false),
                },
            };
            let thread = receipt.thread.clone().unwrap_or_default();
            let key = (room, user, receipts::Kind::Public as u8, thread);
            receipts::set_remote(tx, &key, place, receipt.ts.min(now))?;
            Ok::<_, Error>(true)
        };
        Ok(self.store().write_relaxed(moved).await?.0)
    }
}

/// The room and the user, if the server may speak of them.
fn member(
    s: &Snapshot,
    origin: &ServerName,
    room_id: &RoomId,
    user: &UserId,
) -> Result<Option<(RoomNo, UserNo)>> {
    if user.server_name() != origin {
        return Ok(None);
    }
    let room = match members::room(s, room_id) {
        Ok(room) => room,
        Err(Error::NoSuchRoom) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(user) = s.user_no(user)? else {
        return Ok(None);
    };
    let allowed = acl::allows(s, room, origin)? && members::is_joined(s, room, user)?;
    Ok(allowed.then_some((room, user)))
}

/// Whether there is such a thread: nobody can fill the disk with receipts of invented ones.
fn is_thread(s: &Snapshot, room: RoomNo, thread: Option<&str>) -> Result<bool> {
    let Some(root) = thread.filter(|thread| *thread != "main") else {
        return Ok(true);
    };
    match <&ruma::EventId>::try_from(root) {
        Ok(root) => Ok(Stored::find(s, room, root)?.is_some()),
        Err(_) => Ok(false),
    }
}
