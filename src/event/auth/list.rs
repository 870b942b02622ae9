//! "Considering the event's `auth_events`": whether the list itself is right. Whether those events allow this one, [`super::judge`] says.

use ruma::EventId;

use super::{Kind, Reason, Verdict, auth_types_of};
use crate::id;
use crate::pdu::Pdu;
use crate::rules::{RoomIds, Rules};

/// An event that is known here.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The event.
    pub pdu: &'a Pdu,
    /// Whether it was rejected when it came.
    pub rejected: bool,
}

/// Whether an event names the right events as its `auth_events`, and in newer rooms whether its room was ever created. `find` looks
/// events up among all that are known.
pub fn check_auth_events<'a>(
    event: &Pdu,
    rules: &Rules,
    find: impl Fn(&EventId) -> Option<Known<'a>>,
) -> Verdict {
    Verdict::of(check(event, rules, find))
}

fn check<'a>(
    event: &Pdu,
    rules: &Rules,
    find: impl Fn(&EventId) -> Option<Known<'a>>,
) -> Result<(), Reason> {
    if event.kind() == Some(Kind::Create) {
        return Ok(());
    }
    if rules.room_ids == RoomIds::OfCreate {
        check_room(event, &find)?;
    }
    let mut wanted = auth_types_of(rules, event);
    let mut has_create = false;
    let mut seen: Vec<(&str, &str)> = Vec::with_capacity(wanted.len());
    for event_id in event.auth_events() {
        let Known { pdu, rejected } =
            find(event_id).ok_or_else(|| Reason::AuthUnknown(event_id.clone()))?;
        let pair = pdu
            .state_pair()
            .ok_or_else(|| Reason::AuthUnexpected(event_id.clone()))?;
        // "If there are duplicate entries for a given type and state_key pair, reject."
        if seen.contains(&pair) {
            return Err(Reason::AuthDuplicate(event_id.clone()));
        }
        // "If there are entries whose type and state_key don't match those specified by the auth events selection algorithm, reject."
        let place = wanted
            .iter()
            .position(|(event_type, state_key)| (*event_type, &**state_key) == pair);
        let place = place.ok_or_else(|| Reason::AuthUnexpected(event_id.clone()))?;
        wanted.remove(place);
        // "If there are entries which were themselves rejected, reject."
        if rejected {
            return Err(Reason::AuthRejected(event_id.clone()));
        }
        // "If any event in auth_events has a room_id which does not match that of the event being authorised, reject."
        if pdu.room_id() != event.room_id() {
            return Err(Reason::AuthForeign(event_id.clone()));
        }
        has_create |= pair == ("m.room.create", "");
        seen.push(pair);
    }
    // "If there is no m.room.create event among the entries, reject."
    if rules.room_ids == RoomIds::Chosen && !has_create {
        return Err(Reason::AuthWithoutCreate);
    }
    Ok(())
}

/// "If the event's room_id is not an event ID for an accepted (not rejected) m.room.create event, with the sigil ! instead of $,
/// reject."
fn check_room<'a>(event: &Pdu, find: impl Fn(&EventId) -> Option<Known<'a>>) -> Result<(), Reason> {
    let create = id::create_of_room(event.room_id()).ok_or(Reason::NoCreate)?;
    match find(&create) {
        None => Err(Reason::NoCreate),
        Some(Known { pdu, .. }) if pdu.kind() != Some(Kind::Create) => Err(Reason::NoCreate),
        Some(Known { rejected: true, .. }) => Err(Reason::AuthRejected(create)),
        Some(_) => Ok(()),
    }
}
