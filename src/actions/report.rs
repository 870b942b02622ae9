//! Telling the administrators that something is wrong. Reports go to the server's log, where its administrators look.

use rooms::visibility::Viewer;
use rooms::{Stored, members};
use ruma::{EventId, RoomId, UserId};
use users::Identity;

use crate::House;
use crate::error::{Error, Result};

/// A longer reason is no reason but a load.
const LONGEST: usize = 2000;

/// Reports an event that one can see.
pub async fn event(
    house: &House,
    who: &Identity,
    room: &RoomId,
    event: &EventId,
    reason: &str,
) -> Result<()> {
    let (user, room_id, event_id) = (who.user_no(), room.to_owned(), event.to_owned());
    let sender = house.rooms.store().read(move |s| {
        let room = members::room(s, &room_id)?;
        let event = Stored::find(s, room, &event_id)?.ok_or(rooms::Error::NoSuchEvent)?;
        if !Viewer::new(s, room, Some(user))?.sees(&event)? {
            return Err(rooms::Error::NoSuchEvent);
        }
        Ok(event.sender().into_owned())
    });
    let sender = sender.await?;
    tracing::warn!(reporter = %who.user_id, %room, %event, %sender, reason = shortened(reason), "an event was reported");
    Ok(())
}

/// Reports a room that exists here.
pub async fn room(house: &House, who: &Identity, room: &RoomId, reason: &str) -> Result<()> {
    let room_id = room.to_owned();
    house
        .rooms
        .store()
        .read(move |s| members::room(s, &room_id))
        .await?;
    tracing::warn!(reporter = %who.user_id, %room, reason = shortened(reason), "a room was reported");
    Ok(())
}

/// Reports a user.
pub async fn user(house: &House, who: &Identity, user: &UserId, reason: &str) -> Result<()> {
    if house.is_local(user) && house.users.account(user).await?.is_none() {
        return Err(Error::NotFound("user"));
    }
    tracing::warn!(reporter = %who.user_id, %user, reason = shortened(reason), "a user was reported");
    Ok(())
}

fn shortened(reason: &str) -> String {
    reason.chars().take(LONGEST).collect()
}
