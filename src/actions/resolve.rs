//! From a room's name to the room.

use rooms::{aliases, servers};
use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedRoomOrAliasId, OwnedServerName};

use crate::House;
use crate::error::Result;

/// Servers that are told along with a room.
const SERVERS: usize = 50;

/// A room, and servers by which it can be joined.
#[derive(Debug, Clone)]
pub struct Found {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Servers that are likely to be in it.
    pub servers: Vec<OwnedServerName>,
}

/// The room that an ID or an alias means. Aliases of other servers are asked of them.
pub async fn resolve(house: &House, room: OwnedRoomOrAliasId) -> Result<Found> {
    let alias = match OwnedRoomId::try_from(room) {
        Ok(room_id) => {
            return Ok(Found {
                room_id,
                servers: Vec::new(),
            });
        }
        Err(alias) => alias,
    };
    if alias.server_name() != house.server_name() {
        let (room_id, servers) = house.rooms.ask_alias(&alias).await?;
        return Ok(Found { room_id, servers });
    }
    own_alias(house, alias).await
}

async fn own_alias(house: &House, alias: OwnedRoomAliasId) -> Result<Found> {
    let own = house.server_name().to_owned();
    let found = house.rooms.store().read(move |s| {
        let (room, room_id) = aliases::resolve(s, &alias)?.ok_or(rooms::Error::NoSuchAlias)?;
        let mut servers = servers::in_room(s, room)?;
        // We come first: whoever asked us for the alias can reach us.
        servers.retain(|server| *server != own);
        servers.insert(0, own);
        servers.truncate(SERVERS);
        Ok::<_, rooms::Error>(Found { room_id, servers })
    });
    Ok(found.await?)
}
