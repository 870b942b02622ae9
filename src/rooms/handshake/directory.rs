//! Aliases of other servers: their own server says which room they mean (server-server API, *GET /query/directory*).

use peers::{Ask, Patience};
use ruma::{OwnedRoomId, OwnedServerName, RoomAliasId};
use serde::Deserialize;

use super::asking::told;
use crate::Rooms;
use crate::error::{Error, Result};

/// Servers that are taken over from an answer.
const SERVERS: usize = 50;

#[derive(Deserialize)]
struct Answer {
    room_id: OwnedRoomId,
    /// Names that are none spoil nothing but themselves.
    servers: Vec<String>,
}

impl Rooms {
    /// The room that an alias of another server means, and servers by which it can be joined.
    ///
    /// # Errors
    /// [`Error::NoSuchAlias`] if its server does not know it.
    pub async fn ask_alias(
        &self,
        alias: &RoomAliasId,
    ) -> Result<(OwnedRoomId, Vec<OwnedServerName>)> {
        let server = alias.server_name();
        let path = peers::path_and_query(
            &["_matrix", "federation", "v1", "query", "directory"],
            &[("room_alias", alias.as_str())],
        );
        let ask = Ask::get(path).patience(Patience::quick());
        let answer: Answer = match self.peers().ask_json(server, ask).await.map_err(told) {
            Err(Error::Refused { status: 404, .. }) => return Err(Error::NoSuchAlias),
            other => other?,
        };
        let mut servers: Vec<OwnedServerName> = answer
            .servers
            .into_iter()
            .filter_map(|name| OwnedServerName::try_from(name).ok())
            .take(SERVERS)
            .collect();
        if !servers.iter().any(|name| name == server) {
            servers.push(server.to_owned());
        }
        Ok((answer.room_id, servers))
    }
}
