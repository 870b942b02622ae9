//! Which servers are in a room: counted as memberships change, never searched for. A server is in a room while one of its
//! users has joined it; ours is no exception.

use std::collections::HashMap;

use ruma::{OwnedServerName, ServerName};
use store::{Order, RoomNo, Snapshot, Tx, tables};

use crate::error::Result;

/// The servers in a room, with ours if it is in it, in the order of their names.
pub fn in_room(s: &Snapshot, room: RoomNo) -> Result<Vec<OwnedServerName>> {
    let rows = s.prefix(tables::SERVERS, &(room,), Order::Forward).keys();
    let mut servers = Vec::new();
    for row in rows {
        let (_, server) = row?;
        // A user ID whose server is no server name is no address for anything.
        servers.extend(OwnedServerName::try_from(server).ok());
    }
    Ok(servers)
}

/// Whether a server is in a room.
pub fn is_in(s: &Snapshot, room: RoomNo, server: &ServerName) -> Result<bool> {
    Ok(s.contains(tables::SERVERS, &(room, server.as_str()))?)
}

/// Brings the counts of a room in step with its members.
pub(crate) fn count(tx: &mut Tx, room: RoomNo, changes: &HashMap<String, i64>) -> Result<()> {
    for (server, by) in changes.iter().filter(|(_, by)| **by != 0) {
        let key = (room, server.as_str());
        let users = tx.get(tables::SERVERS, &key)?.unwrap_or_default();
        match users.saturating_add_signed(*by) {
            0 => tx.delete(tables::SERVERS, &key),
            users => tx.put(tables::SERVERS, &key, &users)?,
        }
    }
    Ok(())
}
