//! Power levels: who has how much, and what needs how much.

use ruma::UserId;

use crate::pdu::Pdu;
use crate::rules::Rules;

/// How much power somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// This much.
    Int(i64),
    /// More than any number.
    Infinite,
}

/// The power levels of a room in a state.
#[derive(Debug, Clone, Copy)]
pub struct PowerLevels<'a> {
    power_levels: Option<&'a Pdu>,
    create: &'a Pdu,
    rules: &'a Rules,
}

impl<'a> PowerLevels<'a> {
    /// The levels that these events set.
    #[must_use]
    pub fn of(power_levels: Option<&'a Pdu>, create: &'a Pdu, rules: &'a Rules) -> Self {
        Self {
            power_levels,
            create,
            rules,
        }
    }

    /// The level of a user.
    #[must_use]
    pub fn user(&self, _user: &UserId) -> Level {
        let _ = (self.power_levels, self.create, self.rules);
        Level::Int(0)
    }
    /// The level needed to send an event of this type.
    #[must_use]
    pub fn event(&self, _event_type: &str, _is_state: bool) -> i64 {
        50
    }
    /// The level needed to invite.
    #[must_use]
    pub fn invite(&self) -> i64 {
        0
    }
    /// The level needed to kick.
    #[must_use]
    pub fn kick(&self) -> i64 {
        50
    }
    /// The level needed to ban.
    #[must_use]
    pub fn ban(&self) -> i64 {
        50
    }
    /// The level needed to redact what others sent.
    #[must_use]
    pub fn redact(&self) -> i64 {
        50
    }
    /// The level needed to notify, by the kind of notification.
    #[must_use]
    pub fn notification(&self, _kind: &str) -> i64 {
        50
    }
}
