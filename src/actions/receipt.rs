//! Saying up to where one has read.

use rooms::receipts::Kind;
use ruma::{EventId, RoomId};
use serde_json::json;
use users::Identity;

use crate::House;
use crate::error::{Error, Result};
use crate::member;

/// Which marker is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The receipt that others see.
    Read,
    /// The receipt that nobody else sees.
    ReadPrivate,
    /// The line above which everything was read in full.
    FullyRead,
}

/// Moves a marker to an event.
pub async fn receipt(
    house: &House,
    who: &Identity,
    room: &RoomId,
    mark: Mark,
    thread: Option<&str>,
    event: &EventId,
) -> Result<()> {
    let user = &who.user_id;
    match mark {
        Mark::Read => {
            house
                .rooms
                .receipt(room, user, Kind::Public, thread, event)
                .await?;
        }
        Mark::ReadPrivate => {
            house
                .rooms
                .receipt(room, user, Kind::Private, thread, event)
                .await?;
        }
        Mark::FullyRead => {
            if !member::standing(house, room, user)
                .await?
                .is_some_and(|standing| standing.is_joined())
            {
                return Err(rooms::Error::NotJoined.into());
            }
            let content = serde_json::value::to_raw_value(&json!({ "event_id": event }))
                .map_err(|_| Error::Bug("writing a read marker"))?;
            house.users.set_fully_read(user, room, &content).await?;
        }
    }
    Ok(())
}
