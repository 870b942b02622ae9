//! Which servers a room shuts out (client-server API, *Server access control lists*). How a list is matched stands in
//! `event::acl`.

use event::acl::Acl;
use ruma::ServerName;
use store::{RoomNo, Snapshot};

use crate::error::Result;
use crate::state::now;

/// Whether a server may take part in a room. Rooms without a list let everybody in.
pub fn allows(s: &Snapshot, room: RoomNo, server: &ServerName) -> Result<bool> {
    let Some(event) = now::get(s, room, "m.room.server_acl", "")? else {
        return Ok(true);
    };
    Ok(Acl::parse(event.content_str()).allows(server))
}
