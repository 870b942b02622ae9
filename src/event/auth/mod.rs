//! The authorisation rules (room versions, *Authorisation rules*): whether an event is allowed in a state.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use ruma::UserId;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::pdu::Pdu;
use crate::rules::Rules;

pub(crate) mod facts;
pub mod levels;

/// A state of a room, as far as the rules ask.
pub trait AuthState {
    /// The event with this type and state key.
    fn get(&self, event_type: &str, state_key: &str) -> Option<&Pdu>;
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
}

impl AuthState for Vec<Pdu> {
    fn get(&self, event_type: &str, state_key: &str) -> Option<&Pdu> {
        AuthState::get(self.as_slice(), event_type, state_key)
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

/// Why an event is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(Cow<'static, str>);

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A membership of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// The types and state keys of the events that authorise an event (server-server API, *Auth events selection*).
pub type AuthTypes<'a> = SmallVec<[(&'static str, Cow<'a, str>); 6]>;

/// Which state events authorise an event of this kind.
#[must_use]
pub fn auth_types<'a>(
    _rules: &Rules,
    _event_type: &str,
    sender: &'a UserId,
    _state_key: Option<&'a str>,
    _content: &'a RawValue,
) -> AuthTypes<'a> {
    let mut types = AuthTypes::new();
    types.push(("m.room.member", Cow::Borrowed(sender.as_str())));
    types
}

/// Whether the rules allow an event in a state.
pub fn judge(_event: &Pdu, _state: &(impl AuthState + ?Sized), _rules: &Rules) -> Verdict {
    Verdict::Denied(Reason(Cow::Borrowed("not judged yet")))
}
