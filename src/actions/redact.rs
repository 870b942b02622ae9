//! Taking back what was said.

use rooms::Redact;
use ruma::{EventId, OwnedEventId, RoomId, TransactionId};
use users::Identity;

use crate::House;
use crate::error::{Error, Result};
use crate::{member, send};

/// Takes the content of an event back. Suspended users can do so with what they said themselves.
pub async fn redact(
    house: &House,
    who: &Identity,
    room: &RoomId,
    event: &EventId,
    reason: Option<String>,
    txn_id: &TransactionId,
) -> Result<OwnedEventId> {
    if who.account.suspended && !is_own(house, who, room, event).await? {
        return Err(Error::Suspended);
    }
    let redact = Redact {
        room_id: room.to_owned(),
        sender: who.user_id.clone(),
        event_id: event.to_owned(),
        content: member::with_reason(reason),
        timestamp: None,
    };
    let txn = send::txn(who, event.to_string(), txn_id);
    Ok(house.rooms.redact(redact, Some(txn)).await?.event_id)
}

async fn is_own(house: &House, who: &Identity, room: &RoomId, event: &EventId) -> Result<bool> {
    let (user, room, event) = (who.user_no(), room.to_owned(), event.to_owned());
    let own = house.rooms.store().read(move |s| {
        let room = rooms::members::room(s, &room)?;
        Ok::<_, rooms::Error>(
            rooms::Stored::find(s, room, &event)?.is_some_and(|event| event.sender_no() == user),
        )
    });
    Ok(own.await?)
}
