use ruma::server_name;
use serde_json::json;

use super::*;
use crate::rules::Rules;
use crate::testing::{canonical, ruma_key, spec_key};

#[test]
fn the_vectors_for_json() {
    for (object, signature) in [
        (
            json!({}),
            "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ",
        ),
        (
            json!({"one": 1, "two": "Two"}),
            "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
        ),
    ] {
        let mut expected = object.clone();
        expected["signatures"] = json!({"domain": {"ed25519:1": signature}});
        let mut object = canonical(object);
        sign_json(&mut object, "domain", &spec_key()).unwrap();
        assert_eq!(object, canonical(expected));
    }
}

#[test]
fn signatures_leave_unsigned_and_each_other_alone() {
    let object = json!({"a": 1, "unsigned": {"b": 2}, "signatures": {"other": {"ed25519:9": "x"}, "domain": {"ed25519:9": "y"}}});
    let (mut ours, mut theirs) = (canonical(object.clone()), canonical(object));
    sign_json(&mut ours, "domain", &spec_key()).unwrap();
    ruma_signatures::sign_json("domain", &ruma_key(), &mut theirs).unwrap();
    assert_eq!(ours, theirs);
    let json = canonical::to_string(&ours).unwrap();
    let key = spec_key().public();
    assert_eq!(verify_json(&json, "domain", "ed25519:1", key), Ok(true));
    assert_eq!(
        verify_json(&json.replace("{\"b\":2}", "5"), "domain", "ed25519:1", key),
        Ok(true)
    );
    assert_eq!(
        verify_json(
            &json.replace("\"a\":1", "\"a\":2"),
            "domain",
            "ed25519:1",
            key
        ),
        Ok(false)
    );
    assert_eq!(verify_json(&json, "domain", "ed25519:2", key), Ok(false));
    assert_eq!(verify_json(&json, "domain", "ed25519:9", key), Ok(false));
    assert_eq!(verify_json(&json, "nobody", "ed25519:1", key), Ok(false));
    assert!(verify_json("[]", "domain", "ed25519:1", key).is_err());
}

#[test]
fn what_cannot_hold_signatures_is_not_signed() {
    for odd in [
        json!({"signatures": 1}),
        json!({"signatures": {"domain": []}}),
    ] {
        assert!(sign_json(&mut canonical(odd), "domain", &spec_key()).is_err());
    }
}

#[test]
fn keys_are_kept_as_base64() {
    let key = spec_key();
    assert_eq!(
        key.to_base64(),
        "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA0"
    );
    assert_eq!((key.id(), key.version()), ("ed25519:1", "1"));
    assert_eq!(
        key.public().to_base64(),
        "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI"
    );
    assert_eq!(
        PublicKey::from_base64("XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI="),
        Ok(key.public())
    );
    assert!(!format!("{key:?}").contains("YJDB"));
}

#[test]
fn bad_keys_are_refused() {
    assert!(KeyPair::from_base64("YJDB", "1").is_err());
    assert!(KeyPair::from_base64("%", "1").is_err());
    for version in ["", "a b", "a:b", "é"] {
        assert!(KeyPair::from_seed(&[1; 32], version).is_err(), "{version}");
    }
    for key in ["", "%", "AAAA"] {
        assert!(PublicKey::from_base64(key).is_err(), "{key}");
    }
    // About half of all numbers are no point of the curve.
    let mut bytes = [0; 32];
    let refused = (0..=255).filter(|first| {
        bytes[0] = *first;
        PublicKey::from_bytes(&bytes).is_err()
    });
    assert!((100..156).contains(&refused.count()));
}

#[test]
fn a_weak_key_signs_nothing() {
    // The neutral element: with it, R = S = 0 "signs" every message.
    let mut weak = [0; 32];
    weak[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let key = PublicKey::from_bytes(&weak).unwrap();
    assert!(!key.verifies(b"anything", &STANDARD.encode(signature)));
}

#[test]
fn a_key_is_believed_for_a_week_at_most() {
    let (early, late) = (Rules::named("4").unwrap(), Rules::named("5").unwrap());
    let public = spec_key().public();
    let key = VerifyKey::current(public, 1000, 500);
    assert!(key.is_good_at(1000, late) && !key.is_good_at(1001, late));
    assert!(key.is_good_at(1001, early));
    assert!(key.is_current_at(1000) && !key.is_current_at(1001));
    let week = 7 * 24 * 3600 * 1000;
    let key = VerifyKey::current(public, u64::MAX, 500);
    assert!(key.is_good_at(500 + week, late) && !key.is_good_at(501 + week, late));
    let old = VerifyKey::old(public, 1000);
    for rules in [early, late] {
        assert!(old.is_good_at(1000, rules) && !old.is_good_at(1001, rules));
    }
    assert!(!old.is_current_at(0));
    assert_eq!(old.public(), public);
}

#[test]
fn an_event_is_signed_by_several() {
    let rules = Rules::named("11").unwrap();
    let event = crate::testing::signed_by_ruma(
        rules,
        crate::testing::wire_event(rules, "m.room.message", json!({"body": "x"})),
    );
    let event = canonical::to_string(&event).unwrap();
    let pdu = crate::UncheckedPdu::parse(&event, rules)
        .unwrap()
        .check(&crate::testing::everyones_key)
        .unwrap()
        .into_pdu();
    let both = co_sign(&pdu, rules, server_name!("other"), &spec_key()).unwrap();
    assert_eq!(both.event_id(), pdu.event_id());
    // Everyone signs the same bytes, so with one key the two signatures are the same.
    let json: serde_json::Value = serde_json::from_str(both.json()).unwrap();
    assert_eq!(json["signatures"]["other"], json["signatures"]["domain"]);
    let again = crate::UncheckedPdu::parse(both.json(), rules)
        .unwrap()
        .check(&crate::testing::everyones_key)
        .unwrap();
    assert_eq!(again, crate::Checked::Whole(both));
}

#[test]
fn a_policy_servers_signature_is_told_from_others() {
    let rules = Rules::named("12").unwrap();
    let event = crate::testing::wire_event(rules, "m.room.message", json!({"body": "x"}));
    let event = canonical::to_string(&crate::testing::signed_by_ruma(rules, event)).unwrap();
    let unchecked = crate::UncheckedPdu::parse(&event, rules).unwrap();
    let pdu = unchecked
        .check(&crate::testing::everyones_key)
        .unwrap()
        .into_pdu();
    let (policy, key) = (
        server_name!("policy"),
        KeyPair::from_seed(&[3; 32], "policy_server").unwrap(),
    );
    let is_signed = |pdu: &Pdu| is_signed_by(pdu, rules, policy, key.id(), key.public()).unwrap();
    assert!(!is_signed(&pdu));
    let signed = co_sign(&pdu, rules, policy, &key).unwrap();
    assert!(is_signed(&signed));
    assert!(!is_signed(
        &add_signature(&pdu, policy, key.id(), "wrong").unwrap()
    ));
    assert!(!is_signed_by(&signed, rules, policy, key.id(), spec_key().public()).unwrap());
}
