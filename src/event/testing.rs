//! What several tests make their events of.

use proptest::prelude::*;
use ruma::{CanonicalJsonObject, OwnedServerName, RoomVersionId, ServerName};
use serde_json::{Map, Value, json};

use crate::rules::Rules;
use crate::sign::{KeyPair, VerifyKey};

/// The key that the specification's vectors are signed with.
pub(crate) fn spec_key() -> KeyPair {
    KeyPair::from_base64("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1", "1").unwrap()
}

/// The same key as ruma wants it.
pub(crate) fn ruma_key() -> ruma_signatures::Ed25519KeyPair {
    let seed: [u8; 32] = crate::sign::decode("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1")
        .unwrap()
        .try_into()
        .unwrap();
    // The fixed head of a PKCS#8 document that holds an ed25519 key.
    let mut document = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    document.extend(seed);
    ruma_signatures::Ed25519KeyPair::from_der(&document, "1".to_owned()).unwrap()
}

/// Knows the vectors' key, for every server.
pub(crate) fn everyones_key(_server: &ServerName, key_id: &str) -> Option<VerifyKey> {
    (key_id == "ed25519:1").then(|| VerifyKey::current(spec_key().public(), u64::MAX, u64::MAX))
}

/// The vectors' key as the key of these servers, as ruma wants it.
pub(crate) fn ruma_keys(servers: &[OwnedServerName]) -> ruma_signatures::PublicKeyMap {
    let key = ruma::serde::Base64::parse(spec_key().public().to_base64()).unwrap();
    let keys = std::collections::BTreeMap::from([("ed25519:1".to_owned(), key)]);
    servers
        .iter()
        .map(|server| (server.to_string(), keys.clone()))
        .collect()
}

pub(crate) fn ruma_rules(rules: &Rules) -> ruma::room_version_rules::RoomVersionRules {
    RoomVersionId::try_from(rules.version)
        .unwrap()
        .rules()
        .unwrap()
}

pub(crate) fn canonical(value: Value) -> CanonicalJsonObject {
    match ruma::canonical_json::to_canonical_value(value).unwrap() {
        ruma::CanonicalJsonValue::Object(object) => object,
        other => panic!("not an object: {other}"),
    }
}

/// Failing cases become tests of their own, not files.
pub(crate) fn unrecorded() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

pub(crate) fn any_rules() -> impl Strategy<Value = &'static Rules> {
    proptest::sample::select(Rules::all().iter().collect::<Vec<_>>())
}

/// Any JSON that canonical JSON can hold.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53) + 1..1 << 53).prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec(("\\PC{0,4}", inner), 0..5)
                .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// The types whose contents survive a redaction in part, and one whose does not.
const TYPES: [&str; 8] = [
    "m.room.member",
    "m.room.create",
    "m.room.join_rules",
    "m.room.power_levels",
    "m.room.history_visibility",
    "m.room.aliases",
    "m.room.redaction",
    "m.room.message",
];

/// Content keys that some redaction keeps, and one that none does.
const KEYS: [&str; 23] = [
    "membership",
    "join_authorised_via_users_server",
    "third_party_invite",
    "creator",
    "room_version",
    "join_rule",
    "allow",
    "ban",
    "events",
    "events_default",
    "kick",
    "redact",
    "state_default",
    "users",
    "users_default",
    "invite",
    "notifications",
    "history_visibility",
    "aliases",
    "redacts",
    "signed",
    "body",
    "m.federate",
];

pub(crate) fn any_type() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(TYPES.to_vec())
}

/// A content with keys that matter.
pub(crate) fn any_content() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        3 => any_json(),
        1 => proptest::collection::vec((proptest::sample::select(KEYS.to_vec()), any_json()), 0..3)
            .prop_map(|members| Value::from(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())),
    ];
    proptest::collection::vec((proptest::sample::select(KEYS.to_vec()), value), 0..8).prop_map(
        |members| {
            Value::from(
                members
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect::<Map<_, _>>(),
            )
        },
    )
}

/// The content without a `third_party_invite` that is no object: ruma keeps such a one in a redaction, and we do not.
pub(crate) fn comparable(mut content: Value) -> Value {
    if content
        .get("third_party_invite")
        .is_some_and(|invite| !invite.is_object())
    {
        content["third_party_invite"] = json!({});
    }
    content
}

/// An event in the format of a version, unsigned, of a sender on `domain`.
pub(crate) fn wire_event(rules: &Rules, event_type: &str, content: impl Into<Value>) -> Value {
    let content = content.into();
    let mut event = json!({
        "type": event_type,
        "sender": "@u:domain",
        "room_id": "!r:domain",
        "content": content,
        "origin_server_ts": 1_000_000,
        "depth": 3,
        "prev_events": [],
        "auth_events": [],
        "unsigned": {"age_ts": 1_000_000},
    });
    if rules.event_ids == crate::rules::EventIds::Chosen {
        event["event_id"] = json!("$0:domain");
    }
    event
}

/// The event as ruma signs it for `domain`.
pub(crate) fn signed_by_ruma(rules: &Rules, event: Value) -> CanonicalJsonObject {
    let mut event = canonical(event);
    let redaction = ruma_rules(rules).redaction;
    ruma_signatures::hash_and_sign_event("domain", &ruma_key(), &mut event, &redaction).unwrap();
    event
}
