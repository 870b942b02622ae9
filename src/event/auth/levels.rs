//! Power levels: who has how much, and what needs how much (server-server API, *Definitions*; `m.room.power_levels`).

use ruma::UserId;

use super::Reason;
use super::facts::{CreateFacts, Facts};
use crate::canonical::{Object, Value};
use crate::pdu::Pdu;
use crate::rules::Rules;

/// How much power somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// This much.
    Int(i64),
    /// More than any number: a creator's, where creators are supreme.
    Infinite,
}

impl Level {
    /// Whether it is enough where this much is needed.
    #[must_use]
    pub fn reaches(self, needed: i64) -> bool {
        self >= Self::Int(needed)
    }
}

/// The levels that actions need, as `m.room.power_levels` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The level of users who have no own.
    UsersDefault,
    /// What messages need.
    EventsDefault,
    /// What state events need.
    StateDefault,
    /// What banning needs.
    Ban,
    /// What redacting others' events needs.
    Redact,
    /// What kicking needs.
    Kick,
    /// What inviting needs.
    Invite,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::UsersDefault,
        Self::EventsDefault,
        Self::StateDefault,
        Self::Ban,
        Self::Redact,
        Self::Kick,
        Self::Invite,
    ];

    /// The property's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UsersDefault => "users_default",
            Self::EventsDefault => "events_default",
            Self::StateDefault => "state_default",
            Self::Ban => "ban",
            Self::Redact => "redact",
            Self::Kick => "kick",
            Self::Invite => "invite",
        }
    }

    /// The level where nothing is said.
    #[must_use]
    pub fn default_level(self) -> i64 {
        match self {
            Self::UsersDefault | Self::EventsDefault | Self::Invite => 0,
            Self::StateDefault | Self::Ban | Self::Redact | Self::Kick => 50,
        }
    }
}

/// The power levels of a room in a state.
#[derive(Debug, Clone, Copy)]
pub struct PowerLevels<'a> {
    levels: Option<&'a LevelFacts>,
    creators: Creators<'a>,
    rules: &'a Rules,
}

/// Who made the room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Creators<'a> {
    pub(crate) sender: &'a UserId,
    pub(crate) facts: Option<&'a CreateFacts>,
}

impl<'a> PowerLevels<'a> {
    /// The levels that these events set.
    #[must_use]
    pub fn of(power_levels: Option<&'a Pdu>, create: &'a Pdu, rules: &'a Rules) -> Self {
        let levels = power_levels.and_then(|pdu| match pdu.facts() {
            Facts::Levels(levels) => Some(&**levels),
            _ => None,
        });
        Self {
            levels,
            creators: Creators::of(create),
            rules,
        }
    }

    /// The level of a user.
    #[must_use]
    pub fn user(&self, user: &UserId) -> Level {
        self.try_user(user.as_str())
            .unwrap_or(Level::Int(Field::UsersDefault.default_level()))
    }

    /// The level needed to send an event of this type.
    #[must_use]
    pub fn event(&self, event_type: &str, is_state: bool) -> i64 {
        let default = if is_state {
            Field::StateDefault
        } else {
            Field::EventsDefault
        };
        self.try_event(event_type, is_state)
            .unwrap_or(default.default_level())
    }

    /// The level needed to send a message of this type.
    #[must_use]
    pub fn message(&self, event_type: &str) -> i64 {
        self.event(event_type, false)
    }

    /// The level needed to set state of this type.
    #[must_use]
    pub fn state(&self, event_type: &str) -> i64 {
        self.event(event_type, true)
    }

    /// The level needed to notify, by the kind of notification.
    #[must_use]
    pub fn notification(&self, kind: &str) -> i64 {
        let map = self
            .levels
            .and_then(|levels| levels.notifications.entries(self.rules).ok());
        map.and_then(|map| map.get(kind)).unwrap_or(50)
    }

    /// The level needed to invite.
    #[must_use]
    pub fn invite(&self) -> i64 {
        self.level(Field::Invite)
    }

    /// The level needed to kick.
    #[must_use]
    pub fn kick(&self) -> i64 {
        self.level(Field::Kick)
    }

    /// The level needed to ban.
    #[must_use]
    pub fn ban(&self) -> i64 {
        self.level(Field::Ban)
    }

    /// The level needed to redact what others sent.
    #[must_use]
    pub fn redact(&self) -> i64 {
        self.level(Field::Redact)
    }

    /// One of the named levels.
    #[must_use]
    pub fn level(&self, field: Field) -> i64 {
        self.try_level(field).unwrap_or(field.default_level())
    }

    /// The users who have a level of their own, with it.
    pub fn users(&self) -> impl Iterator<Item = (&'a str, i64)> {
        let map = self
            .levels
            .and_then(|levels| levels.users.entries(self.rules).ok());
        map.into_iter().flat_map(Entries::iter)
    }

    /// Whether the user made the room. Where creators are supreme this includes the additional ones.
    #[must_use]
    pub fn is_creator(&self, user: &UserId) -> bool {
        self.creators.include(user.as_str(), self.rules)
    }

    /// The level of a user, or the property that makes it unknowable.
    pub(super) fn try_user(&self, user: &str) -> Result<Level, Reason> {
        let creator = self.creators.include(user, self.rules);
        if creator && self.rules.auth.supreme_creators {
            return Ok(Level::Infinite);
        }
        let Some(levels) = self.levels else {
            return Ok(Level::Int(if creator { 100 } else { 0 }));
        };
        if let Some(level) = levels.users.entries(self.rules)?.get(user) {
            return Ok(Level::Int(level));
        }
        self.try_level(Field::UsersDefault).map(Level::Int)
    }

    pub(super) fn try_event(&self, event_type: &str, is_state: bool) -> Result<i64, Reason> {
        if let Some(levels) = self.levels
            && let Some(level) = levels.events.entries(self.rules)?.get(event_type)
        {
            return Ok(level);
        }
        self.try_level(if is_state {
            Field::StateDefault
        } else {
            Field::EventsDefault
        })
    }

    pub(super) fn try_level(&self, field: Field) -> Result<i64, Reason> {
        let level = self
            .levels
            .map_or(Ok(None), |levels| levels.level(field, self.rules))?;
        Ok(level.unwrap_or(field.default_level()))
    }

    /// What the state's event says, if there is one.
    pub(super) fn facts(&self) -> Option<&'a LevelFacts> {
        self.levels
    }
}

impl<'a> Creators<'a> {
    pub(crate) fn of(create: &'a Pdu) -> Self {
        let facts = match create.facts() {
            Facts::Create(facts) => Some(&**facts),
            _ => None,
        };
        Self {
            sender: create.sender(),
            facts,
        }
    }

    /// The one user who made the room: the sender of the create event, or in older rooms its `creator`.
    pub(crate) fn is_first(&self, user: &str, rules: &Rules) -> bool {
        if rules.auth.creator_is_sender {
            return self.sender.as_str() == user;
        }
        self.facts.and_then(|facts| facts.creator.as_deref()) == Some(user)
    }

    fn include(&self, user: &str, rules: &Rules) -> bool {
        self.is_first(user, rules)
            || rules.auth.supreme_creators
                && self.additional().iter().any(|creator| creator == user)
    }

    /// Everyone whom `users` must not name, where creators are supreme.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'a UserId> {
        let additional = self.additional().iter().map(|user| &**user);
        std::iter::once(self.sender).chain(additional)
    }

    fn additional(&self) -> &'a [ruma::OwnedUserId] {
        self.facts
            .and_then(|facts| facts.additional_creators.as_deref())
            .unwrap_or_default()
    }
}

/// What matters in the content of `m.room.power_levels`.
#[derive(Debug)]
pub(crate) struct LevelFacts {
    fields: [Option<Number>; 7],
    pub(crate) events: Map,
    pub(crate) notifications: Map,
    pub(crate) users: Map,
}

/// A level as it was written.
#[derive(Debug, Clone, Copy)]
struct Number {
    level: i64,
    form: Form,
}

/// How a level was written, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// An integer.
    Integer,
    /// A string that holds an integer, or a float: integers where levels need not be integers.
    Loose,
    /// Anything else.
    Bad,
}

/// One of the maps from something to levels.
#[derive(Debug)]
pub(crate) struct Map {
    name: &'static str,
    entries: Entries,
    /// The worst form among the entries; bad also if this is no object, or if it holds users and a key is no user id.
    worst: Form,
}

/// The entries of a map, sorted by key.
#[derive(Debug, Default)]
pub(crate) struct Entries(Box<[(Box<str>, i64)]>);

impl LevelFacts {
    pub(super) fn of(content: &Object<'_>) -> Self {
        Self {
            fields: Field::ALL.map(|field| content.get(field.name()).map(Number::of)),
            events: Map::of(content, "events", |_| true),
            notifications: Map::of(content, "notifications", |_| true),
            users: Map::of(content, "users", |key| <&UserId>::try_from(key).is_ok()),
        }
    }

    /// A named level, if it is present.
    pub(super) fn level(&self, field: Field, rules: &Rules) -> Result<Option<i64>, Reason> {
        let Some(Some(number)) = self.fields.get(field as usize) else {
            return Ok(None);
        };
        if number.form > worst_allowed(rules) {
            return Err(Reason::BadLevels(field.name()));
        }
        Ok(Some(number.level))
    }
}

impl Map {
    fn of(content: &Object<'_>, name: &'static str, valid: impl Fn(&str) -> bool) -> Self {
        let mut worst = Form::Integer;
        let entries = match content.get(name) {
            None => Entries::default(),
            Some(Value::Object(object)) => {
                let entries = object.iter().map(|(key, value)| {
                    let number = Number::of(value);
                    worst = worst.max(if valid(key) { number.form } else { Form::Bad });
                    (key.into(), number.level)
                });
                Entries(entries.collect())
            }
            Some(_) => {
                worst = Form::Bad;
                Entries::default()
            }
        };
        Self {
            name,
            entries,
            worst,
        }
    }

    /// The entries, if all of them are well formed.
    pub(super) fn entries(&self, rules: &Rules) -> Result<&Entries, Reason> {
        if self.worst > worst_allowed(rules) {
            Err(Reason::BadLevels(self.name))
        } else {
            Ok(&self.entries)
        }
    }
}

impl Entries {
    pub(super) fn get(&self, key: &str) -> Option<i64> {
        let at = self
            .0
            .binary_search_by(|(other, _)| (**other).cmp(key))
            .ok()?;
        self.0.get(at).map(|(_, level)| *level)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(key, level)| (&**key, *level))
    }
}

fn worst_allowed(rules: &Rules) -> Form {
    if rules.auth.integer_levels {
        Form::Integer
    } else {
        Form::Loose
    }
}

impl Number {
    fn of(value: &Value<'_>) -> Self {
        let loose = match value {
            Value::Integer(level) => {
                return Self {
                    level: *level,
                    form: Form::Integer,
                };
            }
            Value::Number(number) => from_number(number),
            Value::String(string) => from_string(string),
            _ => None,
        };
        loose.map_or(
            Self {
                level: 0,
                form: Form::Bad,
            },
            |level| Self {
                level,
                form: Form::Loose,
            },
        )
    }
}

/// A float counts without its fraction; what is beyond our integers counts as the largest of them.
fn from_number(number: &str) -> Option<i64> {
    let float: f64 = number.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "cutting off the fraction is the rule, and the cast saturates"
    )]
    float.is_finite().then_some(float as i64)
}

/// White space, one sign, digits: the strings that count as integers.
fn from_string(string: &str) -> Option<i64> {
    let trimmed = string.trim();
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let beyond = if trimmed.starts_with('-') {
        i64::MIN
    } else {
        i64::MAX
    };
    Some(trimmed.parse().unwrap_or(beyond))
}
