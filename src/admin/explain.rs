//! `myelin explain …`: why an event is, or is not, part of its room, and what is odd about a room, in sentences. The facts come from
//! `rooms::explain`.

use std::fmt::Write;

use actions::House;
use rooms::explain::{Explained, Fate, RoomExplained, event, room};
use ruma::{OwnedEventId, OwnedRoomId};

/// What became of an event.
pub(crate) async fn explain_event(house: &House, id: &str) -> Result<String, actions::Error> {
    let id = OwnedEventId::try_from(id)
        .map_err(|_| actions::Error::NotAllowed(format!("{id} is not an event ID")))?;
    let read = house.rooms.store().read(move |s| event(s, &id));
    Ok(describe_event(&read.await?))
}

/// What is known of a room.
pub(crate) async fn explain_room(house: &House, id: &str) -> Result<String, actions::Error> {
    let id = OwnedRoomId::try_from(id)
        .map_err(|_| actions::Error::NotAllowed(format!("{id} is not a room ID")))?;
    let read = house.rooms.store().read(move |s| room(s, &id));
    Ok(describe_room(&read.await?))
}

fn describe_event(explained: &Explained) -> String {
    let mut text = format!(
        "{} in {}: {}\n",
        explained.event_id,
        explained.room_id,
        describe_fate(&explained.fate)
    );
    for id in &explained.missing {
        let _ = writeln!(text, "It names {id}, which is not here.");
    }
    if let Some(json) = &explained.json {
        text.push_str(json);
        text.push('\n');
    }
    text
}

fn describe_fate(fate: &Fate) -> String {
    match fate {
        Fate::Accepted => "accepted".to_owned(),
        Fate::Outlier => {
            "known because other events name it; what came before it is not known".to_owned()
        }
        Fate::SoftFailed(reason) => {
            format!("failed softly, allowed at its place but not when it came: {reason}")
        }
        Fate::Rejected(reason) => format!("rejected: {reason}"),
        Fate::Waiting {
            origin,
            attempts,
            not_before,
        } => format!(
            "came from {origin} and waits for what it builds on, asked for {attempts} times in vain, the next time at {not_before} ms"
        ),
        Fate::Dropped { origin, reason, at } => {
            format!("came from {origin} and was given up at {at} ms: {reason}")
        }
    }
}

fn describe_room(room: &RoomExplained) -> String {
    let (joined, ours) = room.joined;
    let mut text = format!(
        "{}: version {}, {joined} joined ({ours} here), {} servers, depth {}\n",
        room.room_id,
        room.version,
        room.servers.len(),
        room.depth
    );
    if !room.servers.is_empty() {
        let _ = writeln!(text, "Servers: {}", room.servers.join(", "));
    }
    for tip in &room.tips {
        let _ = writeln!(text, "Ends with {tip}");
    }
    if room.holes > 0 {
        let _ = writeln!(
            text,
            "In front of {} events something is missing; it is asked for when somebody reads back so far.",
            room.holes
        );
    }
    for (id, fate) in room.waiting.iter().chain(&room.dropped) {
        let _ = writeln!(text, "{id}: {}", describe_fate(fate));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_event_is_told_with_its_reason() {
        let explained = Explained {
            event_id: "$a".try_into().unwrap(),
            room_id: "!r:x".try_into().unwrap(),
            fate: Fate::Rejected("not in the room".to_owned()),
            json: Some("{}".to_owned()),
            missing: vec!["$b".try_into().unwrap()],
        };
        assert_eq!(
            describe_event(&explained),
            "$a in !r:x: rejected: not in the room\nIt names $b, which is not here.\n{}\n"
        );
    }
}
