use proptest::prelude::*;
use serde_json::{Value as Json_, json};

use super::*;
use crate::testing::{
    any_content, any_rules, any_type, canonical, comparable, ruma_rules, wire_event,
};

/// Asserts what remains of a content, in some versions; none stands for all others.
#[track_caller]
fn check(event_type: &str, content: &Json_, kept: &[(&[&str], Json_)]) {
    for rules in Rules::all() {
        let event = json!({"type": event_type, "content": content}).to_string();
        let redacted: Json_ = serde_json::from_str(&redact(&event, rules).unwrap()).unwrap();
        let expected = kept
            .iter()
            .find(|(versions, _)| versions.contains(&rules.version))
            .or(kept.last());
        assert_eq!(
            redacted["content"],
            expected.unwrap().1,
            "version {}",
            rules.version
        );
    }
}

const OLD: &[&str] = &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"];

#[test]
fn messages_lose_everything() {
    check(
        "m.room.message",
        &json!({"body": "x", "membership": "join"}),
        &[(&[], json!({}))],
    );
}

#[test]
fn members_keep_their_membership_and_who_let_them_in() {
    let content = json!({
        "membership": "join", "displayname": "x", "join_authorised_via_users_server": "@a:b",
        "third_party_invite": {"display_name": "x", "signed": {"token": "t"}},
    });
    check(
        "m.room.member",
        &content,
        &[
            (
                &["1", "2", "3", "4", "5", "6", "7", "8"],
                json!({"membership": "join"}),
            ),
            (
                &["9", "10"],
                json!({"membership": "join", "join_authorised_via_users_server": "@a:b"}),
            ),
            (
                &[],
                json!({
                    "membership": "join", "join_authorised_via_users_server": "@a:b", "third_party_invite": {"signed": {"token": "t"}},
                }),
            ),
        ],
    );
}

#[test]
fn of_a_third_party_invite_only_signed_is_kept() {
    let with = |invite: Json_| json!({"displayname": "x", "third_party_invite": invite});
    check(
        "m.room.member",
        &with(json!({"a": 1})),
        &[(OLD, json!({})), (&[], json!({"third_party_invite": {}}))],
    );
    check(
        "m.room.member",
        &with(json!({"signed": 5})),
        &[
            (OLD, json!({})),
            (&[], json!({"third_party_invite": {"signed": 5}})),
        ],
    );
    // What is no object has no `signed`. (ruma keeps it whole.)
    for odd in [json!("x"), json!(null), json!([{"signed": 1}])] {
        check("m.room.member", &with(odd), &[(&[], json!({}))]);
    }
}

#[test]
fn create_events_came_to_keep_everything() {
    let content = json!({"creator": "@a:b", "room_version": "x", "m.federate": false});
    check(
        "m.room.create",
        &content,
        &[(OLD, json!({"creator": "@a:b"})), (&[], content.clone())],
    );
}

#[test]
fn join_rules_came_to_keep_allow() {
    let content = json!({"join_rule": "restricted", "allow": [1], "x": 1});
    check(
        "m.room.join_rules",
        &content,
        &[
            (
                &["1", "2", "3", "4", "5", "6", "7"],
                json!({"join_rule": "restricted"}),
            ),
            (&[], json!({"join_rule": "restricted", "allow": [1]})),
        ],
    );
}

#[test]
fn power_levels_came_to_keep_invite() {
    let kept = json!({
        "ban": 1, "events": {"x": 1}, "events_default": 2, "kick": 3, "redact": 4, "state_default": 5, "users": {}, "users_default": 6,
    });
    let mut with_invite = kept.clone();
    with_invite["invite"] = json!(7);
    let mut content = with_invite.clone();
    content["notifications"] = json!({"room": 8});
    check(
        "m.room.power_levels",
        &content,
        &[(OLD, kept), (&[], with_invite)],
    );
}

#[test]
fn the_other_contents_that_keep_something() {
    check(
        "m.room.history_visibility",
        &json!({"history_visibility": "joined", "x": 1}),
        &[(&[], json!({"history_visibility": "joined"}))],
    );
    check(
        "m.room.aliases",
        &json!({"aliases": ["#a:b"], "x": 1}),
        &[
            (&["1", "2", "3", "4", "5"], json!({"aliases": ["#a:b"]})),
            (&[], json!({})),
        ],
    );
    check(
        "m.room.redaction",
        &json!({"redacts": "$x", "reason": "r"}),
        &[(OLD, json!({})), (&[], json!({"redacts": "$x"}))],
    );
}

#[test]
fn of_the_event_itself_what_makes_it_stays() {
    let kept = json!({
        "event_id": "$e", "type": "x", "room_id": "!r", "sender": "@a:b", "state_key": "", "content": {}, "hashes": {}, "signatures": {},
        "depth": 1, "prev_events": [], "auth_events": [], "origin_server_ts": 1,
    });
    let mut old = kept.clone();
    for field in ["origin", "membership", "prev_state"] {
        old[field] = json!("x");
    }
    let mut event = old.clone();
    for field in ["unsigned", "redacts", "age", "replaces_state", "custom"] {
        event[field] = json!("x");
    }
    for rules in Rules::all() {
        let redacted: Json_ =
            serde_json::from_str(&redact(&event.to_string(), rules).unwrap()).unwrap();
        assert_eq!(
            &redacted,
            if OLD.contains(&rules.version) {
                &old
            } else {
                &kept
            }
        );
    }
}

#[test]
fn what_has_no_type_cannot_be_redacted() {
    for bad in ["{}", "[]", r#"{"type":5}"#, "x"] {
        assert!(redact(bad, Rules::newest()).is_err());
    }
}

proptest! {
    #![proptest_config(crate::testing::unrecorded())]

    #[test]
    fn redactions_are_those_of_ruma_and_change_nothing_twice(
        rules in any_rules(), event_type in any_type(), content in any_content(),
    ) {
        let event = wire_event(rules, event_type, comparable(content));
        let ours = redact(&event.to_string(), rules).unwrap();
        let theirs = ruma::canonical_json::redact(canonical(event), &ruma_rules(rules).redaction, None).unwrap();
        prop_assert_eq!(&ours, &serde_json::to_string(&theirs).unwrap());
        prop_assert_eq!(redact(&ours, rules).unwrap(), ours);
    }
}
