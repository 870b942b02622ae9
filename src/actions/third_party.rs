//! Invitations to addresses, once an address turns out to belong to a user of ours (SS "Third-party invites").

use futures_util::stream::{self, StreamExt};
use peers::{Ask, Patience};
use ruma::{OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::House;
use crate::error::{Error, Result};

/// How many servers are told at once.
const AT_ONCE: usize = 8;

/// An invitation that waited for an address to have an owner.
#[derive(Debug, Clone, Deserialize)]
pub struct Bound {
    /// The owner.
    mxid: OwnedUserId,
    /// The room.
    room_id: OwnedRoomId,
    /// Who invited.
    sender: OwnedUserId,
    /// What the identity server signed.
    signed: Value,
}

/// Has invitations made out to their owners, by the servers of those who invited. One that cannot be is left out: whoever invited can do it again.
pub async fn bound(house: &House, invites: Vec<Bound>) {
    stream::iter(invites)
        .for_each_concurrent(AT_ONCE, async |invite| {
            let (room, user) = (invite.room_id.clone(), invite.mxid.clone());
            if let Err(error) = exchange(house, invite).await {
                tracing::info!(%room, %user, %error, "an invitation to an address could not be made out");
            }
        })
        .await;
}

async fn exchange(house: &House, invite: Bound) -> Result<()> {
    let known = house.is_local(&invite.mxid) && house.users.account(&invite.mxid).await?.is_some();
    if !known {
        return Err(Error::NotFound("user"));
    }
    let event = json!({
        "type": "m.room.member",
        "room_id": invite.room_id,
        "sender": invite.sender,
        "state_key": invite.mxid,
        "content": {
            "membership": "invite",
            "third_party_invite": { "display_name": "", "signed": invite.signed },
        },
    })
    .to_string();
    if house.is_local(&invite.sender) {
        let event =
            RawValue::from_string(event).map_err(|_| Error::Bug("an event that is not JSON"))?;
        let rooms = &house.rooms;
        return Ok(rooms
            .exchange_third_party_invite(house.server_name(), &invite.room_id, &event)
            .await?);
    }
    let path = peers::path(&[
        "_matrix",
        "federation",
        "v1",
        "exchange_third_party_invite",
        invite.room_id.as_str(),
    ]);
    let ask = Ask::put(path, event).patience(Patience::quick());
    house.peers.ask(invite.sender.server_name(), ask).await?;
    Ok(())
}
