//! "If type is `m.room.create`": the only rule that asks no state.

use super::Reason;
use super::facts::Facts;
use crate::pdu::Pdu;
use crate::rules::{RoomIds, Rules};

pub(super) fn check(event: &Pdu, rules: &Rules) -> Result<(), Reason> {
    let Facts::Create(facts) = event.facts() else {
        return Err(Reason::NoCreate);
    };
    // "If it has any prev_events, reject."
    if !event.prev_events().is_empty() {
        return Err(Reason::CreateHasParents);
    }
    match rules.room_ids {
        // "If the event has a room_id, reject."
        RoomIds::OfCreate if event.names_room() => return Err(Reason::CreateNamesRoom),
        RoomIds::OfCreate => {}
        // "If the domain of the room_id does not match the domain of the sender, reject."
        RoomIds::Chosen if event.room_id().server_name() != Some(event.sender().server_name()) => {
            return Err(Reason::CreateForeign);
        }
        RoomIds::Chosen => {}
    }
    // "If content.room_version is present and is not a recognised version, reject." Nor can it be another one than ours.
    let version = match &facts.version {
        None => Some(Rules::unnamed()),
        Some(name) => name.as_deref().and_then(Rules::named),
    };
    if version.is_none_or(|version| version.version != rules.version) {
        return Err(Reason::CreateVersion);
    }
    // "If content has no creator property, reject."
    if !rules.auth.creator_is_sender && !facts.has_creator {
        return Err(Reason::CreateWithoutCreator);
    }
    // "If additional_creators is present in content and is not an array of strings where each string passes the same user ID
    // validation applied to sender, reject."
    if rules.auth.supreme_creators && facts.additional_creators.is_none() {
        return Err(Reason::CreateCreators);
    }
    Ok(())
}
