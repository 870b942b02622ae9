use proptest::prelude::*;
use ruma::{owned_server_name, server_name};
use serde_json::{Value as Json, json};

use super::*;
use crate::sign::{KeyPair, VerifyKey};
use crate::testing::{
    any_content, any_rules, any_type, comparable, everyones_key, ruma_keys, ruma_rules,
    signed_by_ruma, spec_key, wire_event,
};

fn rules(version: &str) -> &'static Rules {
    Rules::named(version).unwrap()
}

fn wire(rules: &Rules) -> Json {
    wire_event(
        rules,
        "m.room.message",
        json!({"body": "Here is the message content"}),
    )
}

/// The event, signed by the sender's server.
fn signed(rules: &Rules, event: Json) -> Json {
    serde_json::to_value(signed_by_ruma(rules, event)).unwrap()
}

fn parse(rules: &'static Rules, event: &Json) -> Result<UncheckedPdu, Error> {
    UncheckedPdu::parse(&event.to_string(), rules)
}

fn check(rules: &'static Rules, event: &Json) -> Result<Checked, Error> {
    parse(rules, event)?.check(&everyones_key)
}

#[test]
fn t03_the_vectors_for_events() {
    let minimal = json!({
        "room_id": "!x:domain", "sender": "@a:domain", "origin": "domain", "origin_server_ts": 1_000_000, "type": "X", "content": {},
        "prev_events": [], "auth_events": [], "depth": 3, "unsigned": {"age_ts": 1_000_000},
        "hashes": {"sha256": "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos"},
        "signatures": {"domain": {
            "ed25519:1": "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg"
        }},
    });
    for version in ["3", "4", "5", "6", "7", "8", "9", "10"] {
        assert!(
            matches!(check(rules(version), &minimal), Ok(Checked::Whole(_))),
            "{version}"
        );
    }
    // The signature covers `origin`, which later versions no longer keep.
    assert!(matches!(
        check(rules("11"), &minimal),
        Err(Error::BadSignature { .. })
    ));

    let redactable = json!({
        "content": {"body": "Here is the message content"}, "event_id": "$0:domain", "origin": "domain", "origin_server_ts": 1_000_000,
        "type": "m.room.message", "room_id": "!r:domain", "sender": "@u:domain",
    });
    let text = redactable.to_string();
    let mut event = canonical::parse_object(&text, crate::rules::Json::Strict).unwrap();
    let (json, places) = write_with_places(&event);
    let hash = content_hash(&json, &places);
    assert_eq!(
        sign::decode("onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g"),
        Some(hash.to_vec())
    );
    let hashes = canonical::parse(
        r#"{"sha256":"onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g"}"#,
        crate::rules::Json::Strict,
    )
    .unwrap();
    event.insert("hashes".into(), hashes);
    let mut redacted = String::new();
    redact::write_redacted(
        &event,
        rules("1"),
        |field| field != "signatures",
        &mut redacted,
    )
    .unwrap();
    assert_eq!(
        spec_key().sign(redacted.as_bytes()),
        "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA"
    );
}

#[test]
fn a_right_event_comes_through_whole() {
    for rules in Rules::all() {
        let event = signed(rules, wire(rules));
        let checked = check(rules, &event).unwrap();
        let pdu = checked.pdu();
        assert!(matches!(checked, Checked::Whole(_)));
        assert_eq!(
            (pdu.sender().as_str(), pdu.room_id().as_str(), pdu.depth()),
            ("@u:domain", "!r:domain", 3)
        );
        assert_eq!(
            pdu.content_str(),
            r#"{"body":"Here is the message content"}"#
        );
        assert!(!pdu.json().contains("unsigned"));
        let mut stored = event.clone();
        stored.as_object_mut().unwrap().remove("unsigned");
        assert_eq!(serde_json::from_str::<Json>(pdu.json()).unwrap(), stored);
    }
}

#[test]
fn t02_a_tampered_content_is_redacted() {
    for rules in Rules::all() {
        let mut event = signed(rules, wire(rules));
        event["content"]["body"] = json!("Here is something else");
        let checked = check(rules, &event).unwrap();
        let Checked::Redacted(pdu) = &checked else {
            panic!("{checked:?}")
        };
        assert_eq!(pdu.content_str(), "{}");
        let theirs = signed_by_ruma(rules, wire(rules));
        let theirs =
            ruma::canonical_json::redact(theirs, &ruma_rules(rules).redaction, None).unwrap();
        assert_eq!(pdu.json(), serde_json::to_string(&theirs).unwrap());
        // Redacted copies are what some servers send in the first place; they have the same id.
        assert_eq!(
            check(rules, &serde_json::from_str(pdu.json()).unwrap()),
            Ok(Checked::Redacted(pdu.clone()))
        );
        assert_eq!(
            pdu.event_id(),
            parse(rules, &signed(rules, wire(rules)))
                .unwrap()
                .event_id()
        );
    }
}

#[test]
fn a_hash_that_is_no_hash_is_a_wrong_one() {
    let rules = rules("11");
    for hash in ["", "%%%", "AAAA"] {
        let mut event = wire(rules);
        event["hashes"] = json!({"sha256": hash});
        event["signatures"] = json!({});
        let text = event.to_string();
        let mut object = canonical::parse_object(&text, rules.json).unwrap();
        object.remove("unsigned");
        let mut redacted = String::new();
        redact::write_redacted(&object, rules, |field| field != "signatures", &mut redacted)
            .unwrap();
        event["signatures"] =
            json!({"domain": {"ed25519:1": spec_key().sign(redacted.as_bytes())}});
        assert!(
            matches!(check(rules, &event), Ok(Checked::Redacted(_))),
            "{hash}"
        );
    }
}

#[test]
fn what_is_signed_cannot_be_changed() {
    for rules in Rules::all() {
        let event = signed(rules, wire(rules));
        for (field, value) in [
            ("type", json!("m.room.name")),
            ("room_id", json!("!other:domain")),
            ("sender", json!("@other:domain")),
            ("state_key", json!("")),
            ("depth", json!(4)),
            ("origin_server_ts", json!(1_000_001)),
            (
                "hashes",
                json!({"sha256": "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos"}),
            ),
        ] {
            let mut event = event.clone();
            event[field] = value;
            assert!(
                matches!(check(rules, &event), Err(Error::BadSignature { .. })),
                "{field}"
            );
        }
        let mut event = event.clone();
        event["unsigned"] = json!({"age": 5});
        assert!(matches!(check(rules, &event), Ok(Checked::Whole(_))));
    }
}

#[test]
fn the_senders_server_must_have_signed() {
    for rules in Rules::all() {
        let server = || owned_server_name!("domain");
        let event = signed(rules, wire(rules));
        let with = |signatures: Json| {
            let mut event = event.clone();
            event["signatures"] = signatures;
            check(rules, &event).map(|_| ())
        };
        let right = event["signatures"]["domain"]["ed25519:1"].clone();
        assert_eq!(with(json!({})), Err(Error::Unsigned { server: server() }));
        assert_eq!(
            with(json!({"other": {"ed25519:1": right}})),
            Err(Error::Unsigned { server: server() })
        );
        assert_eq!(
            with(json!({"domain": {"rsa:1": right}})),
            Err(Error::Unsigned { server: server() })
        );
        assert_eq!(
            with(json!({"domain": []})),
            Err(Error::Unsigned { server: server() })
        );
        assert_eq!(
            with(json!({"domain": {"ed25519:2": right}})),
            Err(Error::NoKey { server: server() })
        );
        // Of several signatures those by unknown keys are passed over, but none by a known one may be wrong.
        assert_eq!(
            with(json!({"domain": {"ed25519:1": right, "ed25519:2": "wrong"}})),
            Ok(())
        );
        let wrong = Error::BadSignature {
            server: server(),
            key_id: "ed25519:1".to_owned(),
        };
        for bad in [
            json!("wrong"),
            json!(""),
            json!(null),
            json!(5),
            json!(right.as_str().unwrap().chars().rev().collect::<String>()),
        ] {
            assert_eq!(
                with(json!({"domain": {"ed25519:1": bad}})),
                Err(wrong.clone()),
                "{bad}"
            );
        }
    }
}

#[test]
fn t17_keys_count_at_the_time_of_the_event() {
    for rules in Rules::all() {
        let unchecked = parse(rules, &signed(rules, wire(rules))).unwrap();
        let with = |key: VerifyKey| {
            unchecked
                .clone()
                .check(&|_: &ServerName, _: &str| Some(key))
                .is_ok()
        };
        let public = spec_key().public();
        assert!(with(VerifyKey::current(public, 1_000_000, 0)));
        assert_eq!(
            with(VerifyKey::current(public, 999_999, 0)),
            !rules.keys_must_be_valid
        );
        assert!(with(VerifyKey::old(public, 1_000_000)));
        assert!(!with(VerifyKey::old(public, 999_999)));
    }
}

#[test]
fn an_early_event_is_signed_by_the_server_in_its_id_too() {
    for rules in Rules::all()
        .iter()
        .filter(|rules| rules.event_ids == EventIds::Chosen)
    {
        let mut event = wire(rules);
        event["event_id"] = json!("$0:other");
        let unchecked = parse(rules, &signed(rules, event)).unwrap();
        assert_eq!(unchecked.signers(), ["domain", "other"]);
        let wanted: Vec<_> = unchecked.wanted_keys().collect();
        assert_eq!(wanted, [(server_name!("domain"), "ed25519:1")]);
        assert_eq!(
            unchecked.check(&everyones_key),
            Err(Error::Unsigned {
                server: owned_server_name!("other")
            })
        );
        for id in ["0", "$0", "$0:", "0:domain"] {
            let mut event = wire(rules);
            event["event_id"] = json!(id);
            assert!(parse(rules, &signed(rules, event)).is_err(), "{id}");
        }
    }
}

#[test]
fn who_lets_somebody_in_signs_too() {
    for rules in Rules::all() {
        let content =
            json!({"membership": "join", "join_authorised_via_users_server": "@x:resident"});
        let mut event = wire_event(rules, "m.room.member", content);
        event["state_key"] = json!("@u:domain");
        let unchecked = parse(rules, &signed(rules, event.clone())).unwrap();
        let expected: &[&str] = if rules.auth.restricted_joins {
            &["domain", "resident"]
        } else {
            &["domain"]
        };
        assert_eq!(unchecked.signers(), expected);
        assert_eq!(
            unchecked.check(&everyones_key).is_ok(),
            !rules.auth.restricted_joins
        );
        for odd in [json!(null), json!(5), json!("x")] {
            event["content"]["join_authorised_via_users_server"] = odd;
            assert_eq!(
                parse(rules, &signed(rules, event.clone())).is_err(),
                rules.auth.restricted_joins
            );
        }
        // On other events the key means nothing.
        let other = wire_event(
            rules,
            "m.room.message",
            json!({"join_authorised_via_users_server": "@x:resident"}),
        );
        assert!(check(rules, &signed(rules, other)).is_ok());
    }
}

#[test]
fn an_invite_by_a_third_party_may_come_from_anyone() {
    for rules in Rules::all() {
        let content = json!({"membership": "invite", "third_party_invite": {"signed": {}}});
        let mut event = wire_event(rules, "m.room.member", content);
        event["state_key"] = json!("@v:other");
        let unchecked = parse(rules, &signed(rules, event)).unwrap();
        let expected: &[&str] = if rules.event_ids == EventIds::Chosen {
            &["domain"]
        } else {
            &[]
        };
        assert_eq!(unchecked.signers(), expected);
        // What is no such invite is refused by the rules, and nobody's name is lent to it before.
        for odd in [json!(null), json!({}), json!({"signed": 5})] {
            let content = json!({"membership": "invite", "third_party_invite": odd});
            let event = signed(rules, wire_event(rules, "m.room.member", content));
            assert_eq!(parse(rules, &event).unwrap().signers(), ["domain"]);
        }
    }
}

#[test]
fn signatures_are_lent_to_the_same_event_only() {
    let rules = rules("11");
    let ours = check(rules, &signed(rules, wire(rules)))
        .unwrap()
        .into_pdu();
    let resident = server_name!("resident");
    let theirs = sign::co_sign(&ours, rules, resident, &spec_key()).unwrap();
    let copy = UncheckedPdu::parse(theirs.json(), rules).unwrap();
    assert_eq!(
        copy.lend_signature(&ours, resident, &everyones_key),
        Ok(theirs.clone())
    );
    let nobody = server_name!("nobody");
    assert!(matches!(
        copy.lend_signature(&ours, nobody, &everyones_key),
        Err(Error::Unsigned { .. })
    ));
    let strangers = |_: &ServerName, _: &str| {
        Some(VerifyKey::current(
            KeyPair::from_seed(&[9; 32], "1").unwrap().public(),
            u64::MAX,
            u64::MAX,
        ))
    };
    assert!(matches!(
        copy.lend_signature(&ours, resident, &strangers),
        Err(Error::BadSignature { .. })
    ));
    let mut other = wire(rules);
    other["depth"] = json!(5);
    let other = check(rules, &signed(rules, other)).unwrap().into_pdu();
    assert!(matches!(
        copy.lend_signature(&other, resident, &everyones_key),
        Err(Error::OtherEvent(_))
    ));
}

#[test]
fn the_format_is_that_of_the_version() {
    for rules in Rules::all() {
        let event = signed(rules, wire(rules));
        assert!(parse(rules, &event).is_ok());
        for field in [
            "type",
            "sender",
            "room_id",
            "content",
            "origin_server_ts",
            "depth",
            "prev_events",
            "auth_events",
            "hashes",
            "signatures",
        ] {
            let mut event = event.clone();
            event.as_object_mut().unwrap().remove(field);
            assert!(parse(rules, &event).is_err(), "{field} is missing");
            for odd in [
                json!(null),
                json!(true),
                json!([{}]),
                json!("x"),
                json!({"sha256": 5}),
            ] {
                if (field == "type" && odd == "x")
                    || (matches!(field, "content" | "signatures") && odd.is_object())
                {
                    continue;
                }
                event[field] = odd.clone();
                assert!(parse(rules, &event).is_err(), "{field} is {odd}");
            }
        }
        for odd in [json!(null), json!(5), json!(["k"])] {
            let mut event = event.clone();
            event["state_key"] = odd;
            assert!(parse(rules, &event).is_err());
        }
        assert!(UncheckedPdu::parse("[]", rules).is_err());
        assert!(UncheckedPdu::parse("", rules).is_err());
    }
}

#[test]
fn an_id_stands_in_an_event_in_early_rooms_only() {
    for rules in Rules::all() {
        let mut event = wire(rules);
        event["event_id"] = json!("$0:domain");
        assert_eq!(
            parse(rules, &signed(rules, event)).is_ok(),
            rules.event_ids == EventIds::Chosen
        );
    }
}

#[test]
fn references_have_the_form_of_the_version() {
    for rules in Rules::all() {
        let with = |references: Json| {
            let mut event = wire(rules);
            event["prev_events"] = references;
            parse(rules, &signed(rules, event)).is_ok()
        };
        let early = rules.references == References::WithHashes;
        assert_eq!(with(json!([["$a:b", {"sha256": "x"}]])), early);
        assert_eq!(with(json!([["$a:b", {}]])), early);
        assert_eq!(with(json!(["$a"])), !early);
        for bad in [
            json!([["$a:b"]]),
            json!([[{}, "$a:b"]]),
            json!([5]),
            json!([["a:b", {}]]),
            json!(["a"]),
            json!({}),
        ] {
            assert!(!with(bad));
        }
    }
}

#[test]
fn t20_numbers_at_their_ends() {
    for rules in Rules::all() {
        let strict = rules.json == crate::rules::Json::Strict;
        let with = |field: &str, number: &str| {
            let text = wire(rules).to_string().replace(
                "\"depth\":3",
                &format!("\"depth\":{}", if field == "depth" { number } else { "3" }),
            );
            let text = match field {
                "ts" => text.replace(
                    "\"origin_server_ts\":1000000",
                    &format!("\"origin_server_ts\":{number}"),
                ),
                _ => text,
            };
            let text = text.replacen('{', r#"{"hashes":{"sha256":"x"},"signatures":{},"#, 1);
            UncheckedPdu::parse(&text, rules)
        };
        for field in ["depth", "ts"] {
            assert!(with(field, "0").is_ok());
            assert!(with(field, "9007199254740991").is_ok());
            assert_eq!(with(field, "9223372036854775807").is_ok(), !strict);
            assert!(with(field, "9223372036854775808").is_err());
            assert!(with(field, "1.5").is_err());
            assert!(with(field, "\"1\"").is_err());
        }
        assert!(with("depth", "-1").is_err());
        // A time before 1970 is strange, but a number.
        assert!(with("ts", "-1").is_ok());
    }
}

#[test]
fn sizes_at_their_limits() {
    for rules in Rules::all() {
        let with = |change: &dyn Fn(&mut Json)| {
            let mut event = wire(rules);
            change(&mut event);
            event["hashes"] = json!({"sha256": "x"});
            event["signatures"] = json!({});
            parse(rules, &event).map(|unchecked| unchecked.json().len())
        };
        for (field, head) in [
            ("type", ""),
            ("state_key", ""),
            ("sender", "@:domain"),
            ("room_id", "!:domain"),
        ] {
            let long = |length: usize| match head.split_once(':') {
                Some((sigil, server)) => {
                    format!("{sigil}{}:{server}", "x".repeat(length - head.len()))
                }
                None => "x".repeat(length),
            };
            assert!(
                with(&|event| event[field] = json!(long(255))).is_ok(),
                "{field}"
            );
            assert!(
                with(&|event| event[field] = json!(long(256))).is_err(),
                "{field}"
            );
            assert!(
                with(&|event| event[field] = json!(long(255_000))).is_err(),
                "{field}"
            );
        }
        assert!(with(&|event| event["state_key"] = json!("é".repeat(127))).is_ok());
        assert!(with(&|event| event["state_key"] = json!("é".repeat(128))).is_err());
        let references = |count: usize| match rules.references {
            References::WithHashes => json!(
                (0..count)
                    .map(|n| json!([format!("$e{n}:domain"), {}]))
                    .collect::<Vec<_>>()
            ),
            References::Plain => json!((0..count).map(|n| format!("$e{n}")).collect::<Vec<_>>()),
        };
        for (field, limit) in [("prev_events", 20), ("auth_events", 10)] {
            assert!(with(&|event| event[field] = references(limit)).is_ok());
            assert!(with(&|event| event[field] = references(limit + 1)).is_err());
            assert!(with(&|event| event[field] = references(limit * 1000)).is_err());
        }
        let empty = with(&|event| event["content"] = json!({"b": ""})).unwrap();
        let body = |length: usize| json!({"b": "x".repeat(length)});
        assert_eq!(
            with(&|event| event["content"] = body(65_536 - empty)),
            Ok(65_536)
        );
        assert!(with(&|event| event["content"] = body(65_537 - empty)).is_err());
        assert!(with(&|event| event["content"] = body(65_536_000)).is_err());
        // What we drop does not count, up to a point.
        assert!(with(&|event| event["unsigned"] = body(65_536)).is_ok());
        assert!(with(&|event| event["unsigned"] = body(limits::RAW_EVENT_BYTES)).is_err());
    }
}

#[test]
fn a_create_event_may_name_a_room_that_the_rules_then_refuse() {
    let rules = rules("12");
    let create = |named: bool| {
        let mut event = wire_event(rules, "m.room.create", json!({"room_version": "12"}));
        event["state_key"] = json!("");
        if !named {
            event.as_object_mut().unwrap().remove("room_id");
        }
        check(rules, &signed(rules, event)).unwrap().into_pdu()
    };
    let nothing: Vec<Pdu> = Vec::new();
    let pdu = create(false);
    assert!(id::is_create_of(pdu.event_id(), pdu.room_id()));
    assert!(crate::judge(&pdu, &nothing, rules).is_allowed());
    assert!(!crate::judge(&create(true), &nothing, rules).is_allowed());
}

#[test]
fn t04_strict_rooms_refuse_what_lax_rooms_hash() {
    for rules in Rules::all() {
        let strict = rules.json == crate::rules::Json::Strict;
        let text = wire(rules).to_string().replacen(
            '{',
            r#"{"hashes":{"sha256":"x"},"signatures":{},"#,
            1,
        );
        let with = |value: &str| {
            UncheckedPdu::parse(
                &text.replace("\"Here is the message content\"", value),
                rules,
            )
        };
        for value in ["1.5", "1e5", "9007199254740992", "-0"] {
            assert_eq!(with(value).is_err(), strict, "{value}");
        }
        assert!(with("1,\"body\":2").is_err(), "a key twice");
        assert!(with("NaN").is_err());
        assert!(with("\"\\ud800\"").is_err());
        assert!(with(&format!("{}{}", "[".repeat(127), "]".repeat(127))).is_err());
    }
}

proptest! {
    #![proptest_config(crate::testing::unrecorded())]

    #[test]
    fn events_that_ruma_signs_and_others_tamper_with_are_checked_as_ruma_does(
        rules in any_rules(), event_type in any_type(), mut content in any_content(), tampered in any::<bool>(), lost in any::<bool>(),
    ) {
        if let Some(user) = content.get_mut("join_authorised_via_users_server") {
            *user = json!("@x:resident");
        }
        if event_type == "m.room.member" {
            // ruma wants a membership, and looks at the key above on every kind of event; so do we only on this one.
            content["membership"] = json!("join");
        } else if let Some(content) = content.as_object_mut() {
            content.remove("join_authorised_via_users_server");
        }
        let mut event = signed(rules, wire_event(rules, event_type, comparable(content)));
        if tampered {
            event["content"]["body"] = json!("other");
        }
        if lost {
            event["signatures"] = json!({"domain": {}});
        }
        let theirs = crate::testing::canonical(event.clone());
        let keys = ruma_keys(&[owned_server_name!("domain"), owned_server_name!("resident")]);
        let theirs = ruma_signatures::verify_event(&keys, &theirs, &ruma_rules(rules));
        match check(rules, &event) {
            Ok(Checked::Whole(_)) => prop_assert_eq!(theirs.unwrap(), ruma_signatures::Verified::All),
            Ok(Checked::Redacted(_)) => prop_assert_eq!(theirs.unwrap(), ruma_signatures::Verified::Signatures),
            Err(_) => prop_assert!(theirs.is_err()),
        }
    }

    #[test]
    fn an_id_does_not_depend_on_signatures_or_unsigned_or_on_being_redacted(
        rules in any_rules(), event_type in any_type(), mut content in any_content(), noise in crate::testing::any_json(),
    ) {
        if let Some(content) = content.as_object_mut() {
            content.remove("join_authorised_via_users_server");
        }
        let event = signed(rules, wire_event(rules, event_type, comparable(content)));
        let id = parse(rules, &event).unwrap().event_id().to_owned();
        let mut noisy = event.clone();
        noisy["unsigned"] = noise.clone();
        noisy["signatures"] = json!({"domain": {"ed25519:1": "x"}, "y": noise});
        let noisy = parse(rules, &noisy).unwrap();
        prop_assert_eq!(noisy.event_id(), &id);
        let redacted = redact::redact(noisy.json(), rules).unwrap();
        let redacted_pdu = UncheckedPdu::parse(&redacted, rules).unwrap();
        prop_assert_eq!(redacted_pdu.event_id(), &id);
        prop_assert_eq!(&redacted_pdu.signed, &noisy.signed);
    }

    #[test]
    fn any_json_is_an_event_or_refused(rules in any_rules(), value in crate::testing::any_json(), text in ".{0,64}") {
        let _ = UncheckedPdu::parse(&text, rules);
        let _ = UncheckedPdu::parse(&value.to_string(), rules);
        let mut event = wire(rules);
        for field in ["type", "content", "hashes", "signatures", "prev_events", "state_key", "redacts"] {
            let mut event = event.clone();
            event[field] = value.clone();
            let _ = check(rules, &event);
        }
        event["hashes"] = json!({"sha256": value});
        let _ = check(rules, &event);
    }
}
