//! What other servers send of their users' coming and going (`PUT /send_join`, `/send_leave`, `/send_knock`). Whatever a template said,
//! everything is looked at again: who sends it for whom, its room, its ID, its signatures, and whether it is allowed now.

use event::{Pdu, Rules, UncheckedPdu, sign};
use ruma::{EventId, RoomId, ServerName, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use store::Snapshot;

use super::answer::SendJoinAnswer;
use super::preview;
use crate::error::{Error, Result};
use crate::intake::Taken;
use crate::stored::Stored;
use crate::{Membership, Rooms, acl, members, summary};

/// An event that another server wants in a room of ours.
#[derive(Debug, Clone, Copy)]
pub struct Offered<'o> {
    /// The server that sends it.
    pub origin: &'o ServerName,
    /// The room it names in its request.
    pub room_id: &'o RoomId,
    /// The event ID it names in its request.
    pub event_id: &'o EventId,
    /// The event.
    pub event: &'o RawValue,
}

/// An event that has become part of its room.
#[derive(Debug, Clone)]
pub struct Received {
    /// What outsiders may know of the room: PDUs, as canonical JSON.
    pub room_state: Vec<String>,
}

impl Rooms {
    /// Takes in the join of a user of another server, and tells that server what the room is. With `omit_members` most
    /// memberships are left out.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the join is not allowed (any more), [`Error::BadParameter`] if it is not what was asked for.
    pub async fn send_join(
        &self,
        offered: Offered<'_>,
        omit_members: bool,
    ) -> Result<SendJoinAnswer> {
        self.take_offered(offered, Membership::Join).await?;
        let (store, origin) = (self.store().clone(), self.server_name().to_owned());
        let (room_id, event_id) = (offered.room_id.to_owned(), offered.event_id.to_owned());
        self.store()
            .read(move |s| {
                let event = accepted(s, &room_id, &event_id)?;
                SendJoinAnswer::of(&store, s, &origin, &room_id, &event, omit_members)
            })
            .await
    }

    /// Takes in the departure of a user of another server.
    pub async fn send_leave(&self, offered: Offered<'_>) -> Result<()> {
        self.take_offered(offered, Membership::Leave).await
    }

    /// Takes in the knock of a user of another server, and tells that server what outsiders may know of the room.
    pub async fn send_knock(&self, offered: Offered<'_>) -> Result<Received> {
        self.take_offered(offered, Membership::Knock).await?;
        let (room_id, event_id) = (offered.room_id.to_owned(), offered.event_id.to_owned());
        self.store()
            .read(move |s| {
                let event = accepted(s, &room_id, &event_id)?;
                let events = preview::of(s, event.room(), &room_id, None)?;
                let room_state = events.iter().map(|pdu| pdu.json().to_owned()).collect();
                Ok(Received { room_state })
            })
            .await
    }

    async fn take_offered(&self, offered: Offered<'_>, membership: Membership) -> Result<()> {
        let (room_id, origin) = (offered.room_id.to_owned(), offered.origin.to_owned());
        let rules = self
            .store()
            .read(move |s| resident_rules(s, &room_id, &origin))
            .await?;
        let event = parse(offered.event.get(), rules)?;
        is_as_announced(&event, &offered, membership)?;
        let event = self.with_our_signature(event, rules, &offered)?;
        let pdu = self.check(event).await?;
        if membership == Membership::Join {
            self.may_still_enter(&pdu).await?;
        }
        let taken = self.take_in_for_others(pdu).await?;
        match taken {
            Taken::Accepted(_) => Ok(()),
            Taken::SoftFailed(reason) | Taken::Rejected(reason) => Err(Error::Forbidden(reason)),
            // A repeated request; what became of it the first time is looked up.
            Taken::Known => self.is_accepted(&offered).await,
        }
    }

    async fn is_accepted(&self, offered: &Offered<'_>) -> Result<()> {
        let (room_id, event_id) = (offered.room_id.to_owned(), offered.event_id.to_owned());
        let found = self
            .store()
            .read(move |s| accepted(s, &room_id, &event_id).map(drop));
        match found.await {
            Err(Error::NoSuchEvent) => {
                Err(Error::Forbidden("this event was refused before".to_owned()))
            }
            other => other,
        }
    }

    /// A join into a restricted room for which one of ours vouches needs our signature beside theirs. The event is checked
    /// afterwards like every other one, so a signature under something that is refused goes nowhere.
    fn with_our_signature(
        &self,
        event: UncheckedPdu,
        rules: &'static Rules,
        offered: &Offered<'_>,
    ) -> Result<UncheckedPdu> {
        let vouched = event
            .signers()
            .iter()
            .any(|server| server == self.server_name());
        if !vouched {
            return Ok(event);
        }
        let own = self.own();
        let pdu = Pdu::from_stored(
            event.event_id().to_owned(),
            offered.room_id.to_owned(),
            event.json(),
        )?;
        let signed = sign::co_sign(&pdu, rules, &own.server_name, &own.key)?;
        parse(signed.json(), rules)
    }

    /// Whoever had a right to come in when the template was made may have lost it since.
    async fn may_still_enter(&self, pdu: &Pdu) -> Result<()> {
        #[derive(Deserialize)]
        struct Content {
            join_authorised_via_users_server: Option<String>,
        }
        let content: Content = serde_json::from_str(pdu.content_str())
            .map_err(|_| Error::BadEvent("the content is not that of a membership".to_owned()))?;
        let Some(via) = content.join_authorised_via_users_server else {
            return Ok(());
        };
        let via = <&UserId>::try_from(via.as_str())
            .map_err(|_| Error::BadEvent(format!("{via} is no user")))?;
        if !self.is_ours(via) {
            return Err(Error::BadParameter(format!(
                "{via} is not a user of this server, which cannot vouch for them"
            )));
        }
        let user = pdu.sender().to_owned();
        self.thoroughly(pdu.room_id(), move |composer| {
            if composer.needs_voucher(&user)? {
                composer.may_enter(&user)?;
            }
            Ok(())
        })
        .await?;
        Ok(())
    }
}

/// The rules of a room in which we are, if it lets a server in.
fn resident_rules(s: &Snapshot, room_id: &RoomId, origin: &ServerName) -> Result<&'static Rules> {
    let room = members::room(s, room_id)?;
    if summary::of(s, room)?.joined_here == 0 {
        return Err(Error::NoSuchRoom);
    }
    if !acl::allows(s, room, origin)? {
        return Err(Error::Forbidden(format!(
            "{origin} is shut out of this room"
        )));
    }
    Ok(summary::basics(s, room)?.rules)
}

fn accepted(s: &Snapshot, room_id: &RoomId, event_id: &EventId) -> Result<Stored> {
    let room = members::room(s, room_id)?;
    Stored::find(s, room, event_id)?.ok_or(Error::NoSuchEvent)
}

/// Reads an event from outside.
pub(super) fn parse(json: &str, rules: &'static Rules) -> Result<UncheckedPdu> {
    Ok(UncheckedPdu::parse(json, rules)?)
}

/// Whether an event is what its request says it is: about a user of the server that sends it, by that user.
fn is_as_announced(
    event: &UncheckedPdu,
    offered: &Offered<'_>,
    membership: Membership,
) -> Result<()> {
    let wrong = |what: &str| Err(Error::BadParameter(format!("the event {what}")));
    if event.event_id() != offered.event_id {
        return wrong("has another ID than the request says");
    }
    if event.room_id() != offered.room_id {
        return wrong("is of another room than the request says");
    }
    if event.event_type() != "m.room.member" {
        return wrong("is not a membership");
    }
    if said(event.content_str()) != Some(membership) {
        return wrong("does not say what the request is for");
    }
    if event.state_key() != Some(event.sender().as_str()) {
        return wrong("is about somebody else than its sender");
    }
    if event.sender().server_name() != offered.origin {
        return Err(Error::Forbidden(format!(
            "{} is not a user of {}",
            event.sender(),
            offered.origin
        )));
    }
    Ok(())
}

/// The membership that a content sets.
pub(super) fn said(content: &str) -> Option<Membership> {
    #[derive(Deserialize)]
    struct Content {
        membership: String,
    }
    let content: Content = serde_json::from_str(content).ok()?;
    Membership::named(&content.membership)
}
