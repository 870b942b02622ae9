//! Invitations of our users into rooms elsewhere (`PUT /invite`): what we sign is an invitation of one of ours by a user of the
//! server that asks, and nothing else.

use event::rules::RoomIds;
use event::{Checked, Pdu, Rules, UncheckedPdu, sign};
use ruma::{EventId, OwnedUserId, RoomId, RoomVersionId, ServerName, UserId};
use serde_json::value::RawValue;
use store::Snapshot;

use super::outside::{News, is_resident};
use super::preview::Stripped;
use super::resident::said;
use crate::error::{Error, Result};
use crate::{Membership, Rooms, acl, members};

/// Events that come along with an invitation.
const ROOM_STATE: usize = 64;
/// Invitations to rooms elsewhere that wait for one user. Whoever has so many is being flooded.
const WAITING: usize = 500;

/// An invitation as another server sends it.
#[derive(Debug, Clone, Copy)]
pub struct Invitation<'i> {
    /// The server that sends it.
    pub origin: &'i ServerName,
    /// The room it names in its request.
    pub room_id: &'i RoomId,
    /// The event ID it names in its request.
    pub event_id: &'i EventId,
    /// The version that it says the room has.
    pub version: &'i RoomVersionId,
    /// The invitation.
    pub event: &'i RawValue,
    /// What the invited user may know of the room.
    pub room_state: &'i [Box<RawValue>],
}

/// An invitation that is what it should be. Whether the invited user exists, and wants any, is for the caller to say.
#[derive(Debug, Clone)]
pub struct CheckedInvitation {
    room_id: ruma::OwnedRoomId,
    invitee: OwnedUserId,
    news: News,
}

impl CheckedInvitation {
    /// Who is invited.
    #[must_use]
    pub fn invitee(&self) -> &UserId {
        &self.invitee
    }

    /// By whom.
    #[must_use]
    pub fn inviter(&self) -> &UserId {
        self.news.pdu.sender()
    }
}

impl Rooms {
    /// Looks at an invitation of one of ours: shape, signatures, room.
    ///
    /// # Errors
    /// [`Error::IncompatibleVersion`] if we do not speak the room's version, [`Error::BadParameter`] if it is no invitation of
    /// one of ours by one of theirs, [`Error::Forbidden`] if the room shuts them out.
    pub async fn check_invitation(&self, invitation: Invitation<'_>) -> Result<CheckedInvitation> {
        let rules = Rules::of(invitation.version)
            .ok_or_else(|| Error::IncompatibleVersion(invitation.version.clone()))?;
        let event = UncheckedPdu::parse(invitation.event.get(), rules)
            .map_err(|error| Error::BadParameter(error.to_string()))?;
        let invitee = self.invitee_of(&event, &invitation)?;
        let (room_id, origin) = (invitation.room_id.to_owned(), invitation.origin.to_owned());
        let shut_out = self
            .store()
            .read(move |s| match members::room(s, &room_id) {
                Ok(room) => Ok(is_resident(s, &room_id)? && !acl::allows(s, room, &origin)?),
                Err(Error::NoSuchRoom) => Ok(false),
                Err(error) => Err(error),
            });
        if shut_out.await? {
            return Err(Error::Forbidden(format!(
                "{} is shut out of this room",
                invitation.origin
            )));
        }
        let pdu = self.check(event).await.map_err(no_parameter)?;
        let stripped = self.room_state(&invitation, rules, &pdu).await?;
        let own = self.own();
        let pdu = sign::co_sign(&pdu, rules, &own.server_name, &own.key)?;
        let mut servers = vec![invitation.origin.to_owned()];
        servers.extend(invitation.room_id.server_name().map(ToOwned::to_owned));
        servers.dedup();
        Ok(CheckedInvitation {
            room_id: invitation.room_id.to_owned(),
            invitee,
            news: News {
                pdu,
                rules,
                stripped: Some(stripped),
                servers,
            },
        })
    }

    /// Accepts an invitation on behalf of the user, who finds it among their rooms. Gives back the event with our signature.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if too many wait for the user already.
    pub async fn accept_invitation(&self, checked: CheckedInvitation) -> Result<String> {
        let CheckedInvitation {
            room_id,
            invitee,
            news,
        } = checked;
        let user = invitee.clone();
        let waiting = self.store().read(move |s| waiting(s, &user)).await?;
        if waiting >= WAITING {
            return Err(Error::Forbidden(format!(
                "too many invitations wait for {invitee}"
            )));
        }
        let json = news.pdu.json().to_owned();
        self.note_outside(&room_id, &invitee, news).await?;
        Ok(json)
    }

    fn invitee_of(&self, event: &UncheckedPdu, invitation: &Invitation<'_>) -> Result<OwnedUserId> {
        let wrong = |what: &str| Err(Error::BadParameter(format!("the event {what}")));
        if event.event_id() != invitation.event_id {
            return wrong("has another ID than the request says");
        }
        if event.room_id() != invitation.room_id {
            return wrong("is of another room than the request says");
        }
        if event.event_type() != "m.room.member"
            || said(event.content_str()) != Some(Membership::Invite)
        {
            return wrong("is no invitation");
        }
        if event.sender().server_name() != invitation.origin {
            return wrong("is by a user of another server than the one that sends it");
        }
        let invitee = event
            .state_key()
            .and_then(|user| <&UserId>::try_from(user).ok());
        match invitee {
            Some(invitee) if self.is_ours(invitee) => Ok(invitee.to_owned()),
            _ => wrong("invites nobody of this server"),
        }
    }

    /// What comes along, stripped. In rooms whose ID is that of their create event it must be whole and signed, so that
    /// nobody can invite into a room by the look of another one.
    async fn room_state(
        &self,
        invitation: &Invitation<'_>,
        rules: &'static Rules,
        invite: &Pdu,
    ) -> Result<String> {
        if invitation.room_state.len() > ROOM_STATE {
            return Err(Error::BadParameter(
                "invite_room_state is too long".to_owned(),
            ));
        }
        let mut stripped = Stripped::default();
        if rules.room_ids == RoomIds::Chosen {
            for event in invitation.room_state {
                stripped.add(event)?;
            }
            stripped.add_pdu(invite);
            return Ok(stripped.into_json());
        }
        let mut events = Vec::with_capacity(invitation.room_state.len());
        for event in invitation.room_state {
            let event = UncheckedPdu::parse(event.get(), rules)
                .map_err(|error| Error::BadParameter(format!("invite_room_state: {error}")))?;
            if event.room_id() != invitation.room_id || event.state_key().is_none() {
                return Err(Error::BadParameter(
                    "invite_room_state has something else than state of the room".to_owned(),
                ));
            }
            events.push(event);
        }
        if !events
            .iter()
            .any(|event| event.event_type() == "m.room.create")
        {
            return Err(Error::BadParameter(
                "invite_room_state has no m.room.create".to_owned(),
            ));
        }
        let ring = self.ring(events.iter()).await;
        for event in events {
            let checked = event
                .check(&ring)
                .map_err(|error| Error::BadParameter(format!("invite_room_state: {error}")))?;
            match checked {
                Checked::Whole(pdu) | Checked::Redacted(pdu) => stripped.add_pdu(&pdu),
            }
        }
        stripped.add_pdu(invite);
        Ok(stripped.into_json())
    }
}

/// How many invitations to rooms elsewhere wait for a user.
fn waiting(s: &Snapshot, user: &UserId) -> Result<usize> {
    let Some(user) = s.user_no(user)? else {
        return Ok(0);
    };
    let mut waiting = 0;
    for entry in members::rooms(s, user) {
        let (_, standing) = entry?;
        waiting += usize::from(standing.is_outside && standing.membership == Membership::Invite);
    }
    Ok(waiting)
}

/// The specification wants one word for everything that is wrong with an invitation.
fn no_parameter(error: Error) -> Error {
    match error {
        Error::Forbidden(why) => Error::BadParameter(why),
        other => other,
    }
}
