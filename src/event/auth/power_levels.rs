//! "If type is `m.room.power_levels`": nobody raises or lowers what is above them.

use super::facts::Facts;
use super::levels::{Creators, Entries, Field, LevelFacts};
use super::{AuthState, Level, Reason, Room};
use crate::pdu::Pdu;
use crate::rules::Rules;

pub(super) fn check<S: AuthState + ?Sized>(
    event: &Pdu,
    room: &Room<'_, S>,
    sender: Level,
) -> Result<(), Reason> {
    let Facts::Levels(new) = event.facts() else {
        return Err(Reason::BadLevels("content"));
    };
    let rules = room.rules;
    check_form(new, room)?;
    // "If there is no previous m.room.power_levels event in the room, allow."
    let Some(current) = room.levels().facts() else {
        return Ok(());
    };
    check_fields(current, new, rules, sender)?;
    // "For each entry being changed in, or removed from, the events or notifications properties: If the current value is greater than
    // the sender's current power level, reject."
    check_entries(
        current.events.entries(rules)?,
        new.events.entries(rules)?,
        sender,
        |_, level| Level::Int(level) > sender,
    )?;
    if rules.auth.notification_levels {
        check_entries(
            current.notifications.entries(rules)?,
            new.notifications.entries(rules)?,
            sender,
            |_, level| Level::Int(level) > sender,
        )?;
    }
    // "For each entry being changed in, or removed from, the users property, other than the sender's own entry: If the current value
    // is greater than or equal to the sender's current power level, reject."
    check_entries(
        current.users.entries(rules)?,
        new.users.entries(rules)?,
        sender,
        |user, level| user != event.sender().as_str() && Level::Int(level) >= sender,
    )
}

/// "If any of the properties … are present and not an integer, reject." Where levels may be written as strings only `users` is named
/// there; what counts as no level at all is refused under every property alike.
fn check_form<S: AuthState + ?Sized>(new: &LevelFacts, room: &Room<'_, S>) -> Result<(), Reason> {
    for field in Field::ALL {
        new.level(field, room.rules)?;
    }
    new.events.entries(room.rules)?;
    new.notifications.entries(room.rules)?;
    let users = new.users.entries(room.rules)?;
    // "If the users property in content contains the sender of the m.room.create event or any of the additional_creators array,
    // reject."
    if room.rules.auth.supreme_creators {
        let named = |creator: &ruma::UserId| users.get(creator.as_str()).is_some();
        if Creators::of(room.create).all().any(named) {
            return Err(Reason::CreatorLevel);
        }
    }
    Ok(())
}

/// "For the properties users_default, events_default, state_default, ban, redact, kick, invite check if they were added, changed or
/// removed. For each found alteration: If the current value is higher than the sender's current power level, reject. If the new
/// value is higher than the sender's current power level, reject." The value of an absent property is its default.
fn check_fields(
    current: &LevelFacts,
    new: &LevelFacts,
    rules: &Rules,
    sender: Level,
) -> Result<(), Reason> {
    for field in Field::ALL {
        let (current, new) = (current.level(field, rules)?, new.level(field, rules)?);
        if current == new {
            continue;
        }
        let higher =
            |level: Option<i64>| Level::Int(level.unwrap_or(field.default_level())) > sender;
        if higher(current) || higher(new) {
            return Err(Reason::LevelTooHigh(field.name().to_owned()));
        }
    }
    Ok(())
}

/// Checks the entries that differ between two maps: the current value by what is given, and "for each entry being added to, or changed
/// in, the property: If the new value is higher than the sender's current power level, reject".
fn check_entries(
    current: &Entries,
    new: &Entries,
    sender: Level,
    too_high: impl Fn(&str, i64) -> bool,
) -> Result<(), Reason> {
    for (key, level) in current.iter() {
        if new.get(key) != Some(level) && too_high(key, level) {
            return Err(Reason::LevelTooHigh(key.to_owned()));
        }
    }
    for (key, level) in new.iter() {
        if current.get(key) != Some(level) && Level::Int(level) > sender {
            return Err(Reason::LevelTooHigh(key.to_owned()));
        }
    }
    Ok(())
}
