//! From a template to an event of ours. Of what the other server proposes only the place in the graph is used, and who vouches for
//! a join; everything else is ours, and what we sign is what we wrote.

use event::draft::Reference;
use event::{Draft, Pdu, Rules};
use ruma::{OwnedUserId, RoomId, ServerName, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::asking::Proposed;
use super::voucher::AUTHORISED_VIA;
use crate::compose::raw;
use crate::error::{Error, Result};
use crate::{Membership, Rooms};

/// What one of ours wants to be in a room elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want<'w> {
    pub(super) room_id: &'w RoomId,
    pub(super) user: &'w UserId,
    pub(super) membership: Membership,
    /// What the event says beside the membership.
    pub(super) content: &'w Map<String, Value>,
}

/// An event of ours for a room elsewhere.
#[derive(Debug, Clone)]
pub(super) struct Filled {
    pub(super) pdu: Pdu,
    pub(super) rules: &'static Rules,
    /// Who lets us in; their server has to sign as well.
    pub(super) via: Option<OwnedUserId>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    event_type: String,
    room_id: String,
    sender: String,
    state_key: Option<String>,
    content: Content,
    prev_events: Box<RawValue>,
    auth_events: Box<RawValue>,
    depth: u64,
}

#[derive(Deserialize)]
struct Content {
    membership: Option<String>,
    join_authorised_via_users_server: Option<OwnedUserId>,
}

impl Rooms {
    /// Writes and signs the event for which `server` proposes a place.
    pub(super) fn fill(
        &self,
        server: &ServerName,
        want: Want<'_>,
        proposed: &Proposed,
    ) -> Result<Filled> {
        let misbehaved = |why: &str| Error::Misbehaved {
            server: server.to_owned(),
            why: why.to_owned(),
        };
        let rules = match &proposed.room_version {
            None => Rules::unnamed(),
            Some(version) => Rules::named(version)
                .ok_or_else(|| misbehaved("it is for a room version that was not asked for"))?,
        };
        let event: Event = serde_json::from_str(proposed.event.get())
            .map_err(|error| misbehaved(&format!("the template is no membership: {error}")))?;
        if event.event_type != "m.room.member" {
            return Err(misbehaved(
                "the template is for something else than a membership",
            ));
        }
        if event.room_id != want.room_id.as_str() {
            return Err(misbehaved("the template is for another room"));
        }
        if event.sender != want.user.as_str()
            || event.state_key.as_deref() != Some(want.user.as_str())
        {
            return Err(misbehaved("the template is for another user"));
        }
        if event.content.membership.as_deref() != Some(want.membership.as_str()) {
            return Err(misbehaved("the template is for another membership"));
        }
        let via = event
            .content
            .join_authorised_via_users_server
            .filter(|_| want.membership == Membership::Join && rules.auth.restricted_joins);
        let references =
            |list: &RawValue| Reference::list(list).map_err(|error| misbehaved(&error.to_string()));
        let mut content = want.content.clone();
        content.remove(AUTHORISED_VIA);
        content.insert(
            "membership".to_owned(),
            Value::from(want.membership.as_str()),
        );
        if let Some(via) = &via {
            content.insert(AUTHORISED_VIA.to_owned(), Value::from(via.as_str()));
        }
        let draft = Draft {
            room_id: Some(want.room_id.to_owned()),
            sender: want.user.to_owned(),
            event_type: "m.room.member".to_owned(),
            state_key: Some(want.user.to_string()),
            content: raw(&content)?,
            redacts: None,
            origin_server_ts: self.now(),
        };
        let own = self.own();
        let pdu = draft.seal(
            rules,
            references(&event.prev_events)?,
            references(&event.auth_events)?,
            event.depth,
            &own.key,
            &own.server_name,
        )?;
        Ok(Filled { pdu, rules, via })
    }
}
