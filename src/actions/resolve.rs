//! From a room's name to the room.

use rooms::aliases;
use ruma::{OwnedRoomId, OwnedRoomOrAliasId};

use crate::House;
use crate::error::Result;

/// The room that an ID or an alias means.
pub async fn resolve(house: &House, room: OwnedRoomOrAliasId) -> Result<OwnedRoomId> {
    match OwnedRoomId::try_from(room) {
        Ok(room) => Ok(room),
        Err(alias) => {
            let found = house
                .rooms
                .store()
                .read(move |s| aliases::resolve(s, &alias));
            let (_, room) = found.await?.ok_or(rooms::Error::NoSuchAlias)?;
            Ok(room)
        }
    }
}
