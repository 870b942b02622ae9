//! "If type is `m.room.member`": joining, inviting, leaving and being made to, banning, knocking.
//!
//! That the server of `join_authorised_via_users_server` has signed was checked with the other signatures.

use super::facts::{Facts, JoinRule, MemberFacts, ThirdParty};
use super::levels::{Creators, Field};
use super::{AuthState, Kind, Membership, Reason, Room, enough};
use crate::pdu::Pdu;
use crate::sign::PublicKey;

pub(super) fn check<S: AuthState + ?Sized>(event: &Pdu, room: &Room<'_, S>) -> Result<(), Reason> {
    // "If there is no state_key property, or no membership property in content, reject."
    let Facts::Member(facts) = event.facts() else {
        return Err(Reason::NoMembership);
    };
    let target = event
        .state_key()
        .filter(|_| facts.is_about_user)
        .ok_or(Reason::NoTarget)?;
    let change = Change {
        event,
        facts,
        target,
        room,
    };
    match facts.membership.ok_or(Reason::NoMembership)? {
        Membership::Join => change.join(),
        Membership::Invite => change.invite(),
        Membership::Leave => change.leave(),
        Membership::Ban => change.ban(),
        Membership::Knock if room.rules.auth.knocking => change.knock(),
        Membership::Knock | Membership::Other => Err(Reason::UnknownMembership),
    }
}

/// A change of membership: what the event says, about whom, in which room.
struct Change<'a, S: ?Sized> {
    event: &'a Pdu,
    facts: &'a MemberFacts,
    target: &'a str,
    room: &'a Room<'a, S>,
}

impl<S: AuthState + ?Sized> Change<'_, S> {
    /// "If membership is join".
    fn join(&self) -> Result<(), Reason> {
        if self.is_first_join() {
            return Ok(());
        }
        // "If the sender does not match state_key, reject."
        if !self.is_own() {
            return Err(Reason::ForAnother);
        }
        let current = self.room.membership(self.target)?;
        // "If the sender is banned, reject."
        if current == Membership::Ban {
            return Err(Reason::Banned);
        }
        let knows = &self.room.rules.auth;
        let is_welcome = matches!(current, Membership::Join | Membership::Invite);
        match self.room.join_rule() {
            JoinRule::Public => Ok(()),
            // "If the join_rule is invite or knock then allow if membership state is invite or join."
            JoinRule::Invite if is_welcome => Ok(()),
            JoinRule::Knock if knows.knocking && is_welcome => Ok(()),
            JoinRule::Restricted if knows.restricted_joins => self.join_restricted(is_welcome),
            JoinRule::KnockRestricted if knows.knock_restricted_joins => {
                self.join_restricted(is_welcome)
            }
            _ => Err(Reason::JoinRule),
        }
    }

    /// "If the only previous event is an m.room.create and the state_key is the creator, allow."
    fn is_first_join(&self) -> bool {
        let follows_create =
            matches!(self.event.prev_events(), [only] if only == self.room.create.event_id());
        follows_create && Creators::of(self.room.create).is_first(self.target, self.room.rules)
    }

    /// "If the join_rule is restricted or knock_restricted: If membership state is join or invite, allow. If the
    /// join_authorised_via_users_server key in content is not a user with sufficient permission to invite other users or is not a
    /// joined member of the room, reject. Otherwise, allow."
    fn join_restricted(&self, is_welcome: bool) -> Result<(), Reason> {
        if is_welcome {
            return Ok(());
        }
        // Who is no user is no member either.
        let via = self
            .facts
            .authorised_via
            .as_deref()
            .ok_or(Reason::JoinRule)?;
        if self.room.membership(via)? != Membership::Join {
            return Err(Reason::AuthoriserNotJoined);
        }
        let levels = self.room.levels();
        enough(
            "letting somebody in",
            levels.try_level(Field::Invite)?,
            levels.try_user(via)?,
        )
    }

    /// "If membership is invite".
    fn invite(&self) -> Result<(), Reason> {
        if let Some(invite) = &self.facts.third_party {
            return self.redeem(invite);
        }
        self.sender_is_joined()?;
        // "If target user's current membership state is join or ban, reject."
        if matches!(
            self.room.membership(self.target)?,
            Membership::Join | Membership::Ban
        ) {
            return Err(Reason::NotInvitable);
        }
        // "If the sender's power level is greater than or equal to the invite level, allow."
        let levels = self.room.levels();
        let sender = levels.try_user(self.event.sender().as_str())?;
        enough("inviting", levels.try_level(Field::Invite)?, sender)
    }

    /// "If content has a third_party_invite property".
    fn redeem(&self, invite: &ThirdParty) -> Result<(), Reason> {
        // "If target user is banned, reject."
        if self.room.membership(self.target)? == Membership::Ban {
            return Err(Reason::Banned);
        }
        // "If content.third_party_invite does not have a signed property, reject. If signed does not have mxid and token properties,
        // reject."
        let signed = invite.signed.as_ref().ok_or(Reason::InviteIncomplete)?;
        let (Some(mxid), Some(token)) = (&signed.mxid, &signed.token) else {
            return Err(Reason::InviteIncomplete);
        };
        // "If mxid does not match state_key, reject."
        if **mxid != *self.target {
            return Err(Reason::InviteForAnother);
        }
        // "If there is no m.room.third_party_invite event in the current room state with state_key matching token, reject."
        let made = self
            .room
            .state
            .of_kind(Kind::ThirdPartyInvite, token)
            .ok_or(Reason::InviteUnknown)?;
        // "If sender does not match sender of the m.room.third_party_invite, reject."
        if made.sender() != self.event.sender() {
            return Err(Reason::InviteOfAnother);
        }
        // "If any signature in signed matches any public key in the m.room.third_party_invite event, allow."
        let Facts::Invite(made) = made.facts() else {
            return Err(Reason::InviteUnknown);
        };
        let keys = made
            .keys
            .iter()
            .filter_map(|key| PublicKey::from_base64(key).ok());
        let mut matches = keys.flat_map(|key| {
            signed
                .signatures
                .iter()
                .map(move |signature| (key, signature))
        });
        if matches.any(|(key, signature)| key.verifies(signed.message.as_bytes(), signature)) {
            Ok(())
        } else {
            Err(Reason::InviteUnsigned)
        }
    }

    /// "If membership is leave".
    fn leave(&self) -> Result<(), Reason> {
        // "If the sender matches state_key, allow if and only if that user's current membership state is invite, join, or knock."
        if self.is_own() {
            return match self.room.membership(self.target)? {
                Membership::Invite | Membership::Join => Ok(()),
                Membership::Knock if self.room.rules.auth.knocking => Ok(()),
                _ => Err(Reason::NothingToLeave),
            };
        }
        self.sender_is_joined()?;
        let levels = self.room.levels();
        let current = self.room.membership(self.target)?;
        let sender = levels.try_user(self.event.sender().as_str())?;
        // "If the target user's current membership state is ban, and the sender's power level is less than the ban level, reject."
        let ban = levels.try_level(Field::Ban)?;
        if current == Membership::Ban {
            enough("lifting a ban", ban, sender)?;
        }
        // "If the sender's power level is greater than or equal to the kick level, and the target user's power level is less than the
        // sender's power level, allow."
        enough("kicking", levels.try_level(Field::Kick)?, sender)?;
        if levels.try_user(self.target)? < sender {
            Ok(())
        } else {
            Err(Reason::TargetTooStrong)
        }
    }

    /// "If membership is ban".
    fn ban(&self) -> Result<(), Reason> {
        self.sender_is_joined()?;
        // "If the sender's power level is greater than or equal to the ban level, and the target user's power level is less than the
        // sender's power level, allow."
        let levels = self.room.levels();
        let sender = levels.try_user(self.event.sender().as_str())?;
        enough("banning", levels.try_level(Field::Ban)?, sender)?;
        if levels.try_user(self.target)? < sender {
            Ok(())
        } else {
            Err(Reason::TargetTooStrong)
        }
    }

    /// "If membership is knock".
    fn knock(&self) -> Result<(), Reason> {
        // "If the join_rule is anything other than knock or knock_restricted, reject."
        match self.room.join_rule() {
            JoinRule::Knock => {}
            JoinRule::KnockRestricted if self.room.rules.auth.knock_restricted_joins => {}
            _ => return Err(Reason::JoinRule),
        }
        // "If sender does not match state_key, reject."
        if !self.is_own() {
            return Err(Reason::ForAnother);
        }
        // "If the sender's current membership is not ban, invite, or join, allow."
        match self.room.membership(self.target)? {
            Membership::Ban | Membership::Invite | Membership::Join => Err(Reason::CannotKnock),
            _ => Ok(()),
        }
    }

    /// "If the sender's current membership state is not join, reject."
    fn sender_is_joined(&self) -> Result<(), Reason> {
        match self.room.membership(self.event.sender().as_str())? {
            Membership::Join => Ok(()),
            _ => Err(Reason::NotJoined),
        }
    }

    fn is_own(&self) -> bool {
        self.event.sender() == self.target
    }
}
