//! Whatever the JSON, there is a verdict, and it does not depend on how maps are ordered.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::fixture::{ALL, event, room, rules, state_of};
use crate::auth::{check_auth_events, judge};
use crate::pdu::Pdu;

const TYPES: [&str; 9] = [
    ".create",
    ".member",
    ".power_levels",
    ".join_rules",
    ".third_party_invite",
    ".aliases",
    ".redaction",
    ".message",
    "x",
];
const KEYS: [&str; 6] = ["''", "-", "@bob:one", "@carol:two", "one", "token"];
const WORDS: [&str; 24] = [
    "membership",
    "join_rule",
    "users",
    "events",
    "notifications",
    "ban",
    "users_default",
    "invite",
    "creator",
    "room_version",
    "m.federate",
    "additional_creators",
    "third_party_invite",
    "signed",
    "mxid",
    "token",
    "signatures",
    "public_key",
    "public_keys",
    "join_authorised_via_users_server",
    "redacts",
    "@bob:one",
    "aliases",
    "state_default",
];
const VALUES: [&str; 12] = [
    "join",
    "invite",
    "leave",
    "ban",
    "knock",
    "public",
    "restricted",
    "@bob:one",
    "@carol:two",
    "12",
    "50",
    "token",
];

/// Any JSON, made of words that the rules know.
pub(super) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-100_i64..101).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(VALUES.to_vec()).prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            any_object(inner).prop_map(Value::from),
        ]
    })
}

fn any_object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let key = proptest::sample::select(WORDS.to_vec()).prop_map(str::to_owned);
    proptest::collection::vec((key, value), 0..6).prop_map(|members| members.into_iter().collect())
}

fn any_content() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => any_object(any_json()).prop_map(|object| Value::from(object).to_string()),
        1 => any_json().prop_map(|value| value.to_string()),
    ]
}

fn any_line() -> impl Strategy<Value = String> {
    let word = |words: &[&'static str]| proptest::sample::select(words.to_vec());
    (
        word(&["@alice:one", "@bob:one", "@carol:two"]),
        word(&TYPES),
        word(&KEYS),
        any_content(),
    )
        .prop_map(|(sender, event_type, key, content)| {
            format!("{sender} {event_type} {key} {content}")
        })
}

/// The same event with every object in it turned round.
fn turned(pdu: &Pdu) -> Pdu {
    fn write(value: &Value, out: &mut String) {
        match value {
            Value::Object(object) => {
                out.push('{');
                for (at, (key, value)) in object.iter().rev().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    out.push_str(&Value::from(key.as_str()).to_string());
                    out.push(':');
                    write(value, out);
                }
                out.push('}');
            }
            Value::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    write(item, out);
                }
                out.push(']');
            }
            other => out.push_str(&other.to_string()),
        }
    }
    let mut json = String::new();
    write(&serde_json::from_str(pdu.json()).unwrap(), &mut json);
    Pdu::from_stored(pdu.event_id().to_owned(), pdu.room_id().to_owned(), json).unwrap()
}

proptest! {
    #![proptest_config(crate::testing::unrecorded())]

    #[test]
    fn every_event_gets_a_verdict_whatever_order_its_maps_have(
        version in proptest::sample::select(ALL.to_vec()),
        lines in proptest::collection::vec(any_line(), 0..6),
        line in any_line(),
    ) {
        let rules = rules(version);
        let state = state_of(&format!("{}\n{}", room(""), lines.join("\n")), version);
        let event = event(&line, version);
        let verdict = judge(&event, &state, rules);
        let state: Vec<Pdu> = state.iter().map(turned).collect();
        prop_assert_eq!(judge(&turned(&event), &state, rules), verdict);
        let _ = check_auth_events(&event, rules, |_| None);
    }
}
