use proptest::prelude::*;
use ruma::{event_id, owned_event_id, owned_room_id, owned_user_id, server_name};
use serde_json::json;

use super::*;
use crate::testing::{
    any_content, any_rules, any_type, comparable, everyones_key, ruma_key, ruma_rules, spec_key,
};
use crate::unchecked::{Checked, UncheckedPdu};

fn draft(rules: &Rules, event_type: &str, content: &serde_json::Value) -> Draft {
    let makes_room = rules.room_ids == RoomIds::OfCreate && event_type == "m.room.create";
    Draft {
        room_id: (!makes_room).then(|| owned_room_id!("!r:domain")),
        sender: owned_user_id!("@u:domain"),
        event_type: event_type.to_owned(),
        state_key: None,
        content: RawValue::from_string(content.to_string()).unwrap(),
        redacts: None,
        origin_server_ts: 1_000_000,
    }
}

fn message(rules: &Rules) -> Draft {
    draft(
        rules,
        "m.room.message",
        &json!({"body": "hello", "a": [1, {}]}),
    )
}

fn seal(draft: Draft, rules: &'static Rules) -> Result<Pdu, Error> {
    draft.seal(
        rules,
        [] as [Reference; 0],
        [] as [Reference; 0],
        3,
        &spec_key(),
        server_name!("domain"),
    )
}

/// What comes back from outside when this event was sent there.
fn returned(pdu: &Pdu, rules: &'static Rules) -> Checked {
    UncheckedPdu::parse(pdu.json(), rules)
        .unwrap()
        .check(&everyones_key)
        .unwrap()
}

#[test]
fn a_sealed_event_has_all_its_fields() {
    for rules in Rules::all() {
        let mut draft = message(rules);
        draft.state_key = Some("k\"ey".to_owned());
        let ours = seal(message(rules), rules).unwrap();
        let prev = [Reference::to(&ours, rules).unwrap()];
        let auth = [
            ours.reference(rules).unwrap(),
            ours.reference(rules).unwrap(),
        ];
        let pdu = draft
            .seal(rules, prev, auth, 7, &spec_key(), server_name!("domain"))
            .unwrap();
        assert_eq!(
            (pdu.sender().as_str(), pdu.room_id().as_str()),
            ("@u:domain", "!r:domain")
        );
        assert_eq!(pdu.state_pair(), Some(("m.room.message", "k\"ey")));
        assert_eq!(
            (pdu.origin_server_ts(), pdu.timestamp(), pdu.depth()),
            (1_000_000, 1_000_000, 7)
        );
        assert_eq!(pdu.content().get(), r#"{"a":[1,{}],"body":"hello"}"#);
        assert_eq!(pdu.content_str(), pdu.content().get());
        assert_eq!(pdu.prev_events(), [ours.event_id()]);
        assert_eq!(pdu.auth_events(), [ours.event_id(), ours.event_id()]);
        assert_eq!(
            pdu.event_id().as_str().contains(':'),
            rules.event_ids == EventIds::Chosen
        );
        let stored = Pdu::from_stored(
            pdu.event_id().to_owned(),
            pdu.room_id().to_owned(),
            pdu.json(),
        )
        .unwrap();
        assert_eq!(stored, pdu);
        assert_eq!(
            (stored.prev_events(), stored.auth_events()),
            (pdu.prev_events(), pdu.auth_events())
        );
        assert_eq!(returned(&pdu, rules), Checked::Whole(pdu));
    }
}

#[test]
fn a_room_of_the_newest_kind_is_named_by_its_create_event() {
    let rules = Rules::named("12").unwrap();
    let content = json!({"room_version": "12"});
    let pdu = seal(draft(rules, "m.room.create", &content), rules).unwrap();
    assert_eq!(
        pdu.room_id().as_str().strip_prefix('!'),
        pdu.event_id().as_str().strip_prefix('$')
    );
    assert!(!pdu.json().contains("room_id"));
    assert!(crate::id::is_create_of(pdu.event_id(), pdu.room_id()));
    assert_eq!(
        crate::id::create_of_room(pdu.room_id()).as_deref(),
        Some(pdu.event_id())
    );
    assert_eq!(returned(&pdu, rules), Checked::Whole(pdu));
    let mut named = draft(rules, "m.room.create", &content);
    named.room_id = Some(owned_room_id!("!r:domain"));
    assert!(seal(named, rules).is_err());
    let mut nameless = message(rules);
    nameless.room_id = None;
    assert!(seal(nameless, rules).is_err());
}

#[test]
fn a_redaction_says_what_it_redacts_where_the_version_wants_it() {
    for rules in Rules::all() {
        let mut draft = draft(rules, "m.room.redaction", &json!({"reason": "r"}));
        draft.redacts = Some(owned_event_id!("$e:domain"));
        let pdu = seal(draft, rules).unwrap();
        assert_eq!(pdu.redacts(rules).as_deref(), Some(event_id!("$e:domain")));
        let json: serde_json::Value = serde_json::from_str(pdu.json()).unwrap();
        let (inside, outside) = (json["content"].get("redacts"), json.get("redacts"));
        assert_eq!(
            (inside.is_some(), outside.is_some()),
            if rules.redaction.redacts_in_content {
                (true, false)
            } else {
                (false, true)
            }
        );
        let again = returned(&pdu, rules).into_pdu();
        assert_eq!(again.redacts(rules), pdu.redacts(rules));
        assert_eq!(again, pdu);
    }
}

#[test]
fn the_other_place_of_redacts_counts_for_nothing() {
    for rules in Rules::all() {
        let mut content = json!({"redacts": "$inside:domain"});
        let mut wrong = draft(rules, "m.room.redaction", &content);
        if rules.redaction.redacts_in_content {
            content = json!({});
            wrong = draft(rules, "m.room.redaction", &content);
        }
        let pdu = seal(wrong, rules).unwrap();
        assert_eq!(pdu.redacts(rules), None);
        let mut message = message(rules);
        message.redacts = Some(owned_event_id!("$e:domain"));
        assert_eq!(seal(message, rules).unwrap().redacts(rules), None);
    }
}

#[test]
fn early_rooms_name_events_with_their_hash() {
    let rules = Rules::named("1").unwrap();
    let first = seal(message(rules), rules).unwrap();
    let none: [Reference; 0] = [];
    let by_id = message(rules).fill(rules, [first.event_id()], none.clone(), 1);
    assert_eq!(
        by_id.unwrap_err(),
        Error::NoReferenceHash(first.event_id().to_owned())
    );
    let reference = first.reference(rules).unwrap();
    let second = message(rules)
        .seal(
            rules,
            [reference.clone()],
            none,
            1,
            &spec_key(),
            server_name!("domain"),
        )
        .unwrap();
    let object = serde_json::from_str(first.json()).unwrap();
    let hash = ruma_signatures::reference_hash(&object, &ruma_rules(rules)).unwrap();
    assert!(second.json().contains(&format!(
        "\"prev_events\":[[\"{}\",{{\"sha256\":\"{hash}\"}}]]",
        first.event_id()
    )));
    // A template names them in the same way.
    let json: serde_json::Value = serde_json::from_str(second.json()).unwrap();
    let list = RawValue::from_string(json["prev_events"].to_string()).unwrap();
    assert_eq!(Reference::list(&list).unwrap(), [reference]);
    assert_eq!(
        Reference::list(&list).unwrap()[0].event_id(),
        first.event_id()
    );
}

#[test]
fn a_template_may_leave_hashes_out() {
    let rules = Rules::named("1").unwrap();
    let list = "[[\"$x:domain\",{}]]";
    let proposed = RawValue::from_string(list.to_owned()).unwrap();
    let proposed = Reference::list(&proposed).unwrap();
    let none: [Reference; 0] = [];
    let (key, server) = (spec_key(), server_name!("domain"));
    let pdu = message(rules).seal(rules, proposed, none, 1, &key, server);
    let pdu = pdu.unwrap();
    assert!(pdu.json().contains(&format!("\"prev_events\":{list}")));
    assert_eq!(pdu.prev_events(), ["$x:domain"]);
}

#[test]
fn templates_are_read_with_care() {
    for bad in ["{}", "[1]", "[[]]", "[[1]]", "[\"x\"]", "[null]", "5"] {
        assert!(
            Reference::list(&RawValue::from_string(bad.to_owned()).unwrap()).is_err(),
            "{bad}"
        );
    }
    let list = RawValue::from_string(r#"["$a", ["$b:c", {}]]"#.to_owned()).unwrap();
    let ids: Vec<_> = Reference::list(&list)
        .unwrap()
        .iter()
        .map(|it| it.event_id().to_string())
        .collect();
    assert_eq!(ids, ["$a", "$b:c"]);
}

#[test]
fn chosen_ids_differ_unless_all_is_alike() {
    let rules = Rules::named("2").unwrap();
    let (one, same) = (
        seal(message(rules), rules).unwrap(),
        seal(message(rules), rules).unwrap(),
    );
    assert_eq!(one.event_id(), same.event_id());
    let mut later = message(rules);
    later.origin_server_ts += 1;
    assert_ne!(seal(later, rules).unwrap().event_id(), one.event_id());
}

#[test]
fn limits_hold_at_the_byte() {
    for rules in Rules::all() {
        let with = |change: &dyn Fn(&mut Draft)| {
            let mut draft = message(rules);
            change(&mut draft);
            seal(draft, rules)
        };
        assert!(with(&|draft| draft.state_key = Some("k".repeat(255))).is_ok());
        assert!(with(&|draft| draft.state_key = Some("k".repeat(256))).is_err());
        assert!(with(&|draft| draft.state_key = Some("é".repeat(128))).is_err());
        assert!(with(&|draft| draft.event_type = "t".repeat(255)).is_ok());
        assert!(with(&|draft| draft.event_type = "t".repeat(256)).is_err());
        let empty = with(&|draft| draft.content = body(0)).unwrap().json().len();
        let full = with(&|draft| draft.content = body(limits::EVENT_BYTES - empty)).unwrap();
        assert_eq!(full.json().len(), 65_536);
        assert_eq!(returned(&full, rules), Checked::Whole(full));
        assert!(with(&|draft| draft.content = body(limits::EVENT_BYTES - empty + 1)).is_err());
        assert!(with(&|draft| draft.origin_server_ts = u64::MAX).is_err());
        let many = |count: usize| {
            (0..count)
                .map(|n| reference(&format!("$e{n}:domain")))
                .collect::<Vec<_>>()
        };
        assert!(message(rules).fill(rules, many(20), many(10), 1).is_ok());
        assert!(message(rules).fill(rules, many(21), many(10), 1).is_err());
        assert!(message(rules).fill(rules, many(20), many(11), 1).is_err());
    }
}

fn body(length: usize) -> Box<RawValue> {
    RawValue::from_string(json!({"body": "x".repeat(length)}).to_string()).unwrap()
}

fn reference(id: &str) -> Reference {
    Reference {
        event_id: EventId::parse(id).unwrap(),
        sha256: Some("hash".into()),
    }
}

#[test]
fn depth_stops_at_its_limit() {
    for rules in Rules::all() {
        let none: [Reference; 0] = [];
        let deep = message(rules)
            .seal(
                rules,
                none.clone(),
                none,
                u64::MAX,
                &spec_key(),
                server_name!("domain"),
            )
            .unwrap();
        let limit = if rules.json == Json::Strict {
            (1 << 53) - 1
        } else {
            (1 << 63) - 1
        };
        assert_eq!(deep.depth(), limit);
        assert_eq!(returned(&deep, rules), Checked::Whole(deep));
    }
}

#[test]
fn a_content_must_be_an_object_that_canonical_json_can_hold() {
    for rules in Rules::all() {
        let raw = |text: &str| {
            let mut draft = message(rules);
            draft.content = RawValue::from_string(text.to_owned()).unwrap();
            seal(draft, rules)
        };
        assert!(raw("[]").is_err());
        assert!(raw(r#"{"a":1,"a":2}"#).is_err());
        assert_eq!(raw(r#"{"a":1.5}"#).is_ok(), rules.json == Json::Lax);
        if let Ok(pdu) = raw(r#"{"a":1.50,"b":12345678901234567890123}"#) {
            assert_eq!(
                pdu.content_str(),
                r#"{"a":1.5,"b":12345678901234567890123}"#
            );
            assert_eq!(returned(&pdu, rules), Checked::Whole(pdu));
        }
    }
}

proptest! {
    #![proptest_config(crate::testing::unrecorded())]

    #[test]
    fn a_sealed_event_is_the_one_that_ruma_seals(
        rules in any_rules(), event_type in any_type(), mut content in any_content(), redacts in any::<bool>(), state in any::<Option<String>>(),
    ) {
        if let Some(user) = content.get_mut("join_authorised_via_users_server") {
            *user = json!("@x:domain");
        }
        let mut draft = draft(rules, event_type, &comparable(content));
        draft.state_key = state;
        draft.redacts = redacts.then(|| owned_event_id!("$e:domain"));
        let pdu = seal(draft, rules).unwrap();
        let mut theirs: ruma::CanonicalJsonObject = serde_json::from_str(pdu.json()).unwrap();
        theirs.remove("hashes");
        theirs.remove("signatures");
        let (rules_of_ruma, key) = (ruma_rules(rules), ruma_key());
        ruma_signatures::hash_and_sign_event("domain", &key, &mut theirs, &rules_of_ruma.redaction).unwrap();
        prop_assert_eq!(pdu.json(), serde_json::to_string(&theirs).unwrap());
        if rules.event_ids != EventIds::Chosen {
            let hash = ruma_signatures::reference_hash(&theirs, &rules_of_ruma).unwrap();
            prop_assert_eq!(pdu.event_id().as_str(), format!("${hash}"));
        }
        prop_assert_eq!(Checked::Whole(pdu.clone()), returned(&pdu, rules));
    }

    #[test]
    fn ids_are_read_as_they_are_written(opaque in "[A-Za-z0-9_-]{43}", chosen in "[A-Za-z0-9]{1,20}") {
        for text in [format!("${opaque}"), format!("${chosen}:example.org:80")] {
            let id = crate::id::parse_event_id(&text).unwrap();
            prop_assert_eq!(id.as_str(), &text);
        }
        let room = crate::id::room_of_create(&EventId::parse(format!("${opaque}")).unwrap()).unwrap();
        prop_assert_eq!(room.as_str(), format!("!{opaque}"));
    }
}
