use ruma::{owned_event_id, owned_room_id};
use serde_json::json;

use super::*;

fn stored(json: &serde_json::Value) -> Result<Pdu, Error> {
    Pdu::from_stored(
        owned_event_id!("$e"),
        owned_room_id!("!r"),
        json.to_string(),
    )
}

fn event() -> serde_json::Value {
    json!({
        "type": "m.room.member", "sender": "@a:b", "state_key": "@a:b", "content": {"membership": "join"}, "origin_server_ts": -5, "depth": 1,
        "prev_events": ["$p"], "auth_events": [["$q:r", {"sha256": "x"}]], "hashes": {}, "signatures": {}, "room_id": "!r",
    })
}

#[test]
fn a_stored_event_is_read_back() {
    let pdu = stored(&event()).unwrap();
    assert_eq!(
        (pdu.event_id().as_str(), pdu.room_id().as_str()),
        ("$e", "!r")
    );
    assert_eq!(pdu.content_str(), r#"{"membership":"join"}"#);
    assert_eq!(pdu.content().get(), pdu.content_str());
    assert_eq!(
        (pdu.prev_events()[0].as_str(), pdu.auth_events()[0].as_str()),
        ("$p", "$q:r")
    );
    assert_eq!(pdu.membership(), Some(Membership::Join));
    assert!(pdu.is_state());
    assert_eq!(pdu.clone(), pdu);
    assert!(format!("{pdu:?}").contains("$e"));
}

#[test]
fn a_time_before_1970_is_kept_and_shown_as_1970() {
    let pdu = stored(&event()).unwrap();
    assert_eq!((pdu.timestamp(), pdu.origin_server_ts()), (-5, 0));
}

#[test]
fn what_was_never_stored_by_us_is_refused() {
    for field in [
        "type",
        "sender",
        "content",
        "origin_server_ts",
        "depth",
        "prev_events",
        "auth_events",
    ] {
        let mut event = event();
        event.as_object_mut().unwrap().remove(field);
        assert!(stored(&event).is_err(), "{field}");
    }
    let mut event = event();
    event["sender"] = json!("a");
    assert!(stored(&event).is_err());
}

#[test]
fn a_redacted_event_is_the_same_event() {
    let mut event = event();
    event["content"]["displayname"] = json!("A");
    let pdu = stored(&event).unwrap();
    let redacted = pdu.redact(Rules::newest()).unwrap();
    assert_eq!(redacted.event_id(), pdu.event_id());
    assert_eq!(redacted.content_str(), r#"{"membership":"join"}"#);
    assert_eq!(redacted.membership(), Some(Membership::Join));
}
