//! Inviting users of other servers: their server sees the invitation first and signs it, then it becomes part of the room.

use event::rules::EventIds;
use event::{Pdu, Rules, UncheckedPdu};
use peers::{Ask, Patience};
use ruma::{ServerName, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::asking::told;
use super::preview;
use crate::ask::{Change, Sent};
use crate::compose::Composer;
use crate::error::{Error, Result};
use crate::intake::Taken;
use crate::{Membership, Rooms};

/// An invitation on its way.
#[derive(Debug, Clone)]
struct Outgoing {
    pdu: Pdu,
    rules: &'static Rules,
    room_state: Vec<Pdu>,
}

impl Rooms {
    /// Invites a user of another server.
    ///
    /// # Errors
    /// [`Error::Refused`] if their server does not want it, [`Error::Unreachable`] if it does not answer; then nothing has
    /// happened in the room.
    pub(crate) async fn invite_remote(&self, change: Change) -> Result<Sent> {
        let (room_id, target) = (change.room_id.clone(), change.target.clone());
        let settled = self
            .thoroughly(&room_id, move |composer| composer.outgoing(&change))
            .await?;
        let outgoing = settled.outcome;
        let signed = self.deliver_invite(target.server_name(), &outgoing).await?;
        let event_id = signed.event_id().to_owned();
        let (taken, pos) = self.take_in(signed).await?;
        match taken {
            Taken::Accepted(event) => Ok(Sent {
                event_id,
                event,
                pos: pos.unwrap_or_else(|| self.store().head()),
                repeated: false,
            }),
            Taken::SoftFailed(reason) | Taken::Rejected(reason) => Err(Error::Forbidden(reason)),
            Taken::Known => Err(Error::Bug(
                "an invitation that was there before it was made",
            )),
        }
    }

    /// Shows an invitation to the server of the invited user, and takes over its signature.
    async fn deliver_invite(&self, server: &ServerName, outgoing: &Outgoing) -> Result<Pdu> {
        let copy = match self.put_invite(server, outgoing).await {
            // Servers that know only the first version of this know only the first room versions.
            Err(Error::Refused {
                status: 400 | 404, ..
            }) if outgoing.rules.event_ids == EventIds::Chosen => {
                self.put_invite_v1(server, outgoing).await?
            }
            other => other?,
        };
        let misbehaved = |error: event::Error| Error::Misbehaved {
            server: server.to_owned(),
            why: format!("the invitation came back wrong: {error}"),
        };
        let copy = UncheckedPdu::parse(copy.get(), outgoing.rules).map_err(misbehaved)?;
        let ring = self.ring_of(&copy, server).await;
        copy.lend_signature(&outgoing.pdu, server, &ring)
            .map_err(misbehaved)
    }

    async fn put_invite(&self, server: &ServerName, outgoing: &Outgoing) -> Result<Box<RawValue>> {
        #[derive(Deserialize)]
        struct Answer {
            event: Box<RawValue>,
        }
        let mut body = String::from("{\"event\":");
        body.push_str(outgoing.pdu.json());
        body.push_str(",\"invite_room_state\":");
        body.push_str(&list(&outgoing.room_state));
        body.push_str(",\"room_version\":");
        body.push_str(&Value::from(outgoing.rules.version).to_string());
        body.push('}');
        let ask = Ask::put(path("v2", &outgoing.pdu), body).patience(Patience::quick());
        let answer: Answer = self.peers().ask_json(server, ask).await.map_err(told)?;
        Ok(answer.event)
    }

    async fn put_invite_v1(
        &self,
        server: &ServerName,
        outgoing: &Outgoing,
    ) -> Result<Box<RawValue>> {
        #[derive(Deserialize)]
        struct Event {
            event: Box<RawValue>,
        }
        let json = outgoing.pdu.json();
        let mut body = json.strip_suffix('}').unwrap_or(json).to_owned();
        body.push_str(",\"unsigned\":{\"invite_room_state\":");
        body.push_str(&list(&outgoing.room_state));
        body.push_str("}}");
        let ask = Ask::put(path("v1", &outgoing.pdu), body).patience(Patience::quick());
        let (_, answer): (u16, Event) = self.peers().ask_json(server, ask).await.map_err(told)?;
        Ok(answer.event)
    }

    /// Redeems an invitation that was made to an e-mail address or a telephone number: its token, signed, comes from the
    /// server of the user to whom that belongs now (server-server API, *Third-party invites*).
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the room knows no such invitation of one of ours, or its key did not sign.
    pub async fn exchange_third_party_invite(
        &self,
        origin: &ServerName,
        room_id: &ruma::RoomId,
        event: &RawValue,
    ) -> Result<()> {
        let exchange: Exchange = serde_json::from_str(event.get())
            .map_err(|error| Error::BadEvent(format!("no third-party invitation: {error}")))?;
        let Exchange {
            event_type,
            room_id: named,
            sender,
            state_key: target,
            content,
        } = exchange;
        if event_type != "m.room.member" || content.membership != "invite" || named != *room_id {
            return Err(Error::BadParameter(
                "this is no invitation into that room".to_owned(),
            ));
        }
        if !self.is_ours(&sender) {
            return Err(Error::BadParameter(format!(
                "{sender} is not a user of this server"
            )));
        }
        let origin = origin.to_owned();
        self.thoroughly(room_id, move |composer| composer.opens_to(&origin))
            .await?;
        let signed = content.third_party_invite.signed;
        let invite = json!({
            "display_name": content.third_party_invite.display_name,
            "signed": { "mxid": signed.mxid, "token": signed.token, "signatures": signed.signatures },
        });
        let mut said = Map::new();
        said.insert("third_party_invite".to_owned(), invite);
        let change = Change {
            room_id: room_id.to_owned(),
            sender,
            target,
            membership: Membership::Invite,
            only_from: &[],
            content: said,
            timestamp: None,
        };
        self.change_membership(change).await?;
        Ok(())
    }
}

#[derive(Deserialize)]
struct Exchange {
    #[serde(rename = "type")]
    event_type: String,
    room_id: ruma::OwnedRoomId,
    sender: ruma::OwnedUserId,
    state_key: ruma::OwnedUserId,
    content: ExchangeContent,
}

#[derive(Deserialize)]
struct ExchangeContent {
    membership: String,
    third_party_invite: ThirdParty,
}

#[derive(Deserialize)]
struct ThirdParty {
    display_name: String,
    signed: Signed,
}

#[derive(Deserialize)]
struct Signed {
    mxid: ruma::OwnedUserId,
    token: String,
    signatures: Map<String, Value>,
}

impl Composer {
    fn outgoing(&mut self, change: &Change) -> Result<Outgoing> {
        let draft = self.changed(change)?;
        let pdu = self.compose(draft)?;
        let room = self.desk.head.room;
        let room_id = self.desk.head.room_id.clone();
        let inviter = Some(change.sender.as_str());
        Ok(Outgoing {
            pdu,
            rules: self.rules(),
            room_state: preview::of(&self.tx, room, &room_id, inviter)?,
        })
    }
}

fn path(version: &str, pdu: &Pdu) -> String {
    peers::path(&[
        "_matrix",
        "federation",
        version,
        "invite",
        pdu.room_id().as_str(),
        pdu.event_id().as_str(),
    ])
}

fn list(events: &[Pdu]) -> String {
    let events: Vec<&str> = events.iter().map(Pdu::json).collect();
    format!("[{}]", events.join(","))
}

/// Whether a membership has to be shown to another server before it stands.
pub(crate) fn goes_abroad(rooms: &Rooms, target: &UserId, membership: Membership) -> bool {
    membership == Membership::Invite && !rooms.is_ours(target)
}
