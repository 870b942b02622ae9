//! The authorisation rules (room versions, *Authorisation rules*): whether an event is allowed in a state.
//!
//! [`judge`] asks for a state, and is asked several times: with the event's own `auth_events`, with the state before it, with the
//! state now. [`check_auth_events`] looks at the list of `auth_events` itself, once. That the signatures are right has been found
//! out before. There is a verdict for every event, however odd its content.

use std::marker::PhantomData;

use crate::id;
use crate::pdu::Pdu;
use crate::rules::{RoomIds, Rules};

mod aliases;
mod create;
pub(crate) mod facts;
mod kind;
pub mod levels;
mod list;
mod member;
mod power_levels;
mod reason;
mod redaction;
mod select;
mod third_party_invite;

pub use kind::Kind;
pub use levels::{Level, PowerLevels};
pub use list::{Known, check_auth_events};
pub use reason::Reason;
pub(crate) use select::auth_kinds_of;
pub use select::{AuthTypes, auth_types, auth_types_of};

use facts::{Facts, JoinRule};

/// A state of a room, as far as the rules ask.
pub trait AuthState {
    /// The event with this type and state key.
    fn get(&self, event_type: &str, state_key: &str) -> Option<&Pdu>;

    /// The event of this kind with this state key: [`AuthState::get`], for states that need no text to find the type.
    fn of_kind(&self, kind: Kind, state_key: &str) -> Option<&Pdu> {
        self.get(kind.name(), state_key)
    }
}

/// A state that a closure looks up.
pub struct StateFn<'a, F> {
    find: F,
    events: PhantomData<&'a Pdu>,
}

/// Makes a state of a closure.
pub fn state_fn<'a, F: Fn(&str, &str) -> Option<&'a Pdu>>(find: F) -> StateFn<'a, F> {
    StateFn {
        find,
        events: PhantomData,
    }
}

impl<'a, F: Fn(&str, &str) -> Option<&'a Pdu>> AuthState for StateFn<'a, F> {
    fn get(&self, event_type: &str, state_key: &str) -> Option<&Pdu> {
        (self.find)(event_type, state_key)
    }
}

/// A handful of state events, such as those an event names as its `auth_events`.
impl AuthState for [Pdu] {
    fn get(&self, event_type: &str, state_key: &str) -> Option<&Pdu> {
        self.iter()
            .find(|pdu| pdu.state_pair() == Some((event_type, state_key)))
    }

    fn of_kind(&self, kind: Kind, state_key: &str) -> Option<&Pdu> {
        self.iter()
            .find(|pdu| pdu.kind() == Some(kind) && has_state_key(pdu, state_key))
    }
}

/// Most state keys that are asked for are empty, which is told without comparing text.
fn has_state_key(pdu: &Pdu, state_key: &str) -> bool {
    pdu.state_key()
        .is_some_and(|own| own.len() == state_key.len() && (own.is_empty() || own == state_key))
}

impl AuthState for Vec<Pdu> {
    fn get(&self, event_type: &str, state_key: &str) -> Option<&Pdu> {
        AuthState::get(self.as_slice(), event_type, state_key)
    }

    fn of_kind(&self, kind: Kind, state_key: &str) -> Option<&Pdu> {
        self.as_slice().of_kind(kind, state_key)
    }
}

/// Whether an event is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Allowed,
    /// It is not, and why.
    Denied(Reason),
}

impl Verdict {
    /// Whether it is allowed.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed)
    }

    /// Why it is not.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Allowed => None,
            Self::Denied(reason) => Some(reason),
        }
    }

    fn of(result: Result<(), Reason>) -> Self {
        result.map_or_else(Self::Denied, |()| Self::Allowed)
    }
}

/// A membership of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Membership {
    /// In the room.
    Join,
    /// Asked in.
    Invite,
    /// Not in the room.
    Leave,
    /// Shut out.
    Ban,
    /// Asking to be let in.
    Knock,
    /// A word that no room version knows.
    Other,
}

impl Membership {
    /// The membership with this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "join" => Self::Join,
            "invite" => Self::Invite,
            "leave" => Self::Leave,
            "ban" => Self::Ban,
            "knock" => Self::Knock,
            _ => Self::Other,
        }
    }
}

/// Whether the rules allow an event in a state.
pub fn judge(event: &Pdu, state: &(impl AuthState + ?Sized), rules: &Rules) -> Verdict {
    Verdict::of(check(event, state, rules))
}

/// The rules in their order. Whatever they do not stop is allowed.
fn check<S: AuthState + ?Sized>(event: &Pdu, state: &S, rules: &Rules) -> Result<(), Reason> {
    let kind = event.kind();
    if kind == Some(Kind::Create) {
        return create::check(event, rules);
    }
    let room = Room::new(event, state, rules)?;
    room.check_federation(event)?;
    if kind == Some(Kind::Aliases) && rules.auth.aliases_by_server {
        return aliases::check(event);
    }
    if kind == Some(Kind::Member) {
        return member::check(event, &room);
    }
    // "If the sender's current membership state is not join, reject."
    if room.membership(event.sender().as_str())? != Membership::Join {
        return Err(Reason::NotJoined);
    }
    let sender = room.levels().try_user(event.sender().as_str())?;
    if kind == Some(Kind::ThirdPartyInvite) {
        return third_party_invite::check(&room, sender);
    }
    // "If the event type's required power level is greater than the sender's power level, reject."
    let needed = room
        .levels()
        .try_event(event.event_type(), event.is_state())?;
    enough("sending this event", needed, sender)?;
    // "If the event has a state_key that starts with an @ and does not match the sender, reject."
    if event
        .state_key()
        .is_some_and(|key| key.starts_with('@') && key != event.sender().as_str())
    {
        return Err(Reason::StateOfAnother);
    }
    match kind {
        Some(Kind::PowerLevels) => power_levels::check(event, &room, sender),
        Some(Kind::Redaction) if rules.auth.redactions_need_level => {
            redaction::check(event, &room, sender)
        }
        _ => Ok(()),
    }
}

/// Refuses an action that needs more power than there is.
fn enough(action: &'static str, needed: i64, has: Level) -> Result<(), Reason> {
    if has.reaches(needed) {
        Ok(())
    } else {
        Err(Reason::TooWeak {
            action,
            needed,
            has,
        })
    }
}

/// A state, with what every rule asks of it.
struct Room<'a, S: ?Sized> {
    state: &'a S,
    create: &'a Pdu,
    rules: &'a Rules,
}

impl<'a, S: AuthState + ?Sized> Room<'a, S> {
    fn new(event: &Pdu, state: &'a S, rules: &'a Rules) -> Result<Self, Reason> {
        let create = state.of_kind(Kind::Create, "").ok_or(Reason::NoCreate)?;
        // "If the event's room_id is not an event ID for an accepted m.room.create event, reject." An event with malformed creators
        // was never accepted.
        if rules.room_ids == RoomIds::OfCreate
            && !id::is_create_of(create.event_id(), event.room_id())
        {
            return Err(Reason::OtherRoom);
        }
        if rules.auth.supreme_creators
            && !matches!(create.facts(), Facts::Create(facts) if facts.additional_creators.is_some())
        {
            return Err(Reason::CreateCreators);
        }
        Ok(Self {
            state,
            create,
            rules,
        })
    }

    /// "If the content of the m.room.create event has the property m.federate set to false, and the sender domain of the event does
    /// not match the sender domain of the create event, reject."
    fn check_federation(&self, event: &Pdu) -> Result<(), Reason> {
        let federates = matches!(self.create.facts(), Facts::Create(facts) if facts.federates);
        if federates || event.sender().server_name() == self.create.sender().server_name() {
            Ok(())
        } else {
            Err(Reason::NotFederated)
        }
    }

    fn levels(&self) -> PowerLevels<'a> {
        PowerLevels::of(
            self.state.of_kind(Kind::PowerLevels, ""),
            self.create,
            self.rules,
        )
    }

    /// A user's membership; without an event for it, `leave`.
    fn membership(&self, user: &str) -> Result<Membership, Reason> {
        match self.state.of_kind(Kind::Member, user) {
            None => Ok(Membership::Leave),
            Some(event) => event.membership().ok_or(Reason::NoMembership),
        }
    }

    /// The join rule; without an event for it, `invite`.
    fn join_rule(&self) -> JoinRule {
        match self.state.of_kind(Kind::JoinRules, "").map(Pdu::facts) {
            None => JoinRule::Invite,
            Some(Facts::JoinRule(rule)) => *rule,
            Some(_) => JoinRule::Other,
        }
    }
}

#[cfg(test)]
mod tests;
