//! Saying that one is typing.

use std::time::Duration;

use rooms::members;
use ruma::RoomId;
use users::Identity;

use crate::House;
use crate::error::Result;

/// Nobody types for longer than this without saying so again.
const LONGEST: Duration = Duration::from_secs(120);

/// Says that one types in a room for a while; without a time, that one has stopped.
pub async fn typing(
    house: &House,
    who: &Identity,
    room: &RoomId,
    timeout: Option<Duration>,
) -> Result<()> {
    let (user, room) = (who.user_no(), room.to_owned());
    let room = house.rooms.store().read(move |s| {
        let room = members::room(s, &room)?;
        if members::is_joined(s, room, user)? {
            Ok(room)
        } else {
            Err(rooms::Error::NotJoined)
        }
    });
    house.rooms.typing().set(
        room.await?,
        user,
        timeout.map(|timeout| timeout.min(LONGEST)),
    );
    Ok(())
}
