//! Events and states out of lines of text.

use ruma::{EventId, OwnedEventId, RoomId};
use serde_json::{Value, json};

use crate::auth::judge;
use crate::pdu::Pdu;
use crate::rules::Rules;

pub(super) const ALL: [&str; 12] = [
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12",
];

pub(super) fn rules(version: &str) -> &'static Rules {
    Rules::named(version).expect("a known version")
}

/// The versions from this one on.
pub(super) fn since(version: &str) -> impl Iterator<Item = &'static str> {
    let first = ALL
        .iter()
        .position(|other| *other == version)
        .expect("a known version");
    ALL.into_iter().skip(first)
}

/// The versions before this one.
pub(super) fn before(version: &str) -> impl Iterator<Item = &'static str> {
    let first = ALL
        .iter()
        .position(|other| *other == version)
        .expect("a known version");
    ALL.into_iter().take(first)
}

/// Asserts the verdict on an event in a state, in some versions: `allowed`, or the reason's words.
#[track_caller]
pub(super) fn check(
    versions: impl IntoIterator<Item = &'static str>,
    state: &str,
    line: &str,
    verdict: &str,
) {
    for version in versions {
        let rules = rules(version);
        let state = state_of(state, version);
        let found = match judge(&event(line, version), &state, rules).reason() {
            None => "allowed".to_owned(),
            Some(reason) => reason.to_string(),
        };
        assert_eq!(found, verdict, "version {version}: {line}");
    }
}

/// A room of alice, one joined member bob on her server and one joined member carol on another; then the lines given. A later line
/// replaces an earlier one.
pub(super) fn room(lines: &str) -> String {
    format!(
        "@alice:one .create '' {{\"creator\":\"@alice:one\",\"room_version\":\"VERSION\"}} id=$create:one
        @alice:one .member @alice:one {{\"membership\":\"join\"}}
        @bob:one .member @bob:one {{\"membership\":\"join\"}}
        @carol:two .member @carol:two {{\"membership\":\"join\"}}
        {lines}"
    )
}

pub(super) fn state_of(lines: &str, version: &str) -> Vec<Pdu> {
    let mut state: Vec<Pdu> = Vec::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let pdu = event(line, version);
        state.retain(|other| other.state_pair() != pdu.state_pair());
        state.push(pdu);
    }
    state
}

pub(super) fn event(line: &str, version: &str) -> Pdu {
    let (mut words, mut rest) = (Vec::new(), line.trim());
    for _ in 0..3 {
        let (word, tail) = rest
            .split_once(' ')
            .expect("sender, type, state key, content");
        words.push(word);
        rest = tail.trim_start();
    }
    let text = rest.replace("VERSION", version);
    let mut stream = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let content = stream.next().expect("a content").expect("JSON");
    let options = text[stream.byte_offset()..].to_owned();
    let option = |name: &str| {
        options
            .split_whitespace()
            .find_map(|option| option.strip_prefix(name))
    };
    let event_type = match words[1].strip_prefix('.') {
        Some(short) => format!("m.room.{short}"),
        None => words[1].to_owned(),
    };
    let mut json = json!({
        "type": event_type,
        "sender": words[0],
        "content": content,
        "origin_server_ts": 1,
        "depth": 2,
        "auth_events": [],
        "prev_events": option("prev=").map_or_else(Vec::new, |ids| ids.split(',').collect()),
        "hashes": {},
        "signatures": {},
    });
    match words[2] {
        "-" => {}
        "''" => json["state_key"] = json!(""),
        key => json["state_key"] = json!(key),
    }
    if let Some(redacts) = option("redacts=") {
        json["redacts"] = json!(redacts);
    }
    let room = option("room=").unwrap_or("!create:one");
    if event_type != "m.room.create" || version != "12" || option("room=").is_some() {
        json["room_id"] = json!(room);
    }
    let id = option("id=").map_or_else(
        || id_for(line),
        |id| EventId::parse(id).expect("an event id"),
    );
    Pdu::from_stored(
        id,
        RoomId::parse(room).expect("a room id"),
        json.to_string(),
    )
    .expect("an event")
}

fn id_for(line: &str) -> OwnedEventId {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    EventId::parse(format!("${:x}:one", hasher.finish())).expect("an event id")
}
