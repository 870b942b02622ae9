//! Writing, hashing and signing an event, and checking one: beside ed25519 alone, and beside ruma-signatures.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop")]

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ed25519_dalek::{Signer as _, SigningKey};
use event::sign::VerifyKey;
use event::{Draft, KeyPair, Pdu, Rules, UncheckedPdu, canonical};
use ruma::{
    CanonicalJsonObject, ServerName, owned_event_id, owned_room_id, owned_user_id, server_name,
};
use serde_json::json;
use serde_json::value::RawValue;

const SEED: [u8; 32] = [7; 32];

fn draft() -> Draft {
    let content = json!({
        "msgtype": "m.text", "body": "A message of the usual length, which is about as long as this sentence.",
        "m.mentions": {}, "m.relates_to": {"m.in_reply_to": {"event_id": "$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg"}},
    });
    Draft {
        room_id: Some(owned_room_id!("!UcYsUzyxTGDxLBEvLy:example.org")),
        sender: owned_user_id!("@alice:example.org"),
        event_type: "m.room.message".to_owned(),
        state_key: None,
        content: RawValue::from_string(content.to_string()).unwrap(),
        redacts: None,
        origin_server_ts: 1_732_735_824_653,
    }
}

fn seal(draft: Draft, rules: &'static Rules, key: &KeyPair) -> Pdu {
    let prev = [owned_event_id!(
        "$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg"
    )];
    let auth = [
        owned_event_id!("$1qnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg"),
        owned_event_id!("$2qnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg"),
        owned_event_id!("$3qnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg"),
    ];
    draft
        .seal(rules, prev, auth, 1234, key, server_name!("example.org"))
        .unwrap()
}

fn ruma_key() -> ruma_signatures::Ed25519KeyPair {
    let mut document = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    document.extend(SEED);
    ruma_signatures::Ed25519KeyPair::from_der(&document, "1".to_owned()).unwrap()
}

fn sealing(criterion: &mut Criterion) {
    let (rules, key) = (
        Rules::named("11").unwrap(),
        KeyPair::from_seed(&SEED, "1").unwrap(),
    );
    let pdu = seal(draft(), rules, &key);
    let mut group = criterion.benchmark_group("seal");
    group.bench_function("ours", |bench| {
        bench.iter_batched(
            draft,
            |draft| seal(draft, rules, &key),
            criterion::BatchSize::SmallInput,
        );
    });
    let (bare, message) = (SigningKey::from_bytes(&SEED), pdu.json().as_bytes());
    group.bench_function("ed25519 alone", |bench| {
        bench.iter(|| bare.sign(black_box(message)));
    });
    let mut unsigned: CanonicalJsonObject = serde_json::from_str(pdu.json()).unwrap();
    unsigned.remove("hashes");
    unsigned.remove("signatures");
    let (theirs, redaction) = (ruma_key(), rules.room_version().rules().unwrap().redaction);
    group.bench_function("ruma", |bench| {
        bench.iter_batched(
            || unsigned.clone(),
            |mut event| {
                ruma_signatures::hash_and_sign_event(
                    "example.org",
                    &theirs,
                    &mut event,
                    &redaction,
                )
                .unwrap();
                (serde_json::to_string(&event).unwrap(), event)
            },
            criterion::BatchSize::SmallInput,
        );
    });
}

fn checking(criterion: &mut Criterion) {
    let (rules, key) = (
        Rules::named("11").unwrap(),
        KeyPair::from_seed(&SEED, "1").unwrap(),
    );
    let pdu = seal(draft(), rules, &key);
    let known = VerifyKey::current(key.public(), u64::MAX, u64::MAX);
    let keys = |_: &ServerName, _: &str| Some(known);
    let mut group = criterion.benchmark_group("check");
    group.bench_function("parse", |bench| {
        bench.iter(|| UncheckedPdu::parse(black_box(pdu.json()), rules).unwrap());
    });
    group.bench_function("ours", |bench| {
        bench.iter(|| {
            UncheckedPdu::parse(black_box(pdu.json()), rules)
                .unwrap()
                .check(&keys)
                .unwrap()
        });
    });
    let bare = SigningKey::from_bytes(&SEED);
    let (message, signature) = (pdu.json().as_bytes(), bare.sign(pdu.json().as_bytes()));
    let public = bare.verifying_key();
    group.bench_function("ed25519 alone", |bench| {
        bench.iter(|| {
            public
                .verify_strict(black_box(message), &signature)
                .unwrap();
        });
    });
    let public = ruma::serde::Base64::parse(key.public().to_base64()).unwrap();
    let theirs = BTreeMap::from([(
        "example.org".to_owned(),
        BTreeMap::from([("ed25519:1".to_owned(), public)]),
    )]);
    let version = rules.room_version().rules().unwrap();
    group.bench_function("ruma", |bench| {
        bench.iter(|| {
            let event: CanonicalJsonObject = serde_json::from_str(black_box(pdu.json())).unwrap();
            ruma_signatures::verify_event(&theirs, &event, &version).unwrap();
            ruma_signatures::reference_hash(&event, &version).unwrap()
        });
    });
}

fn reading(criterion: &mut Criterion) {
    let (rules, key) = (
        Rules::named("11").unwrap(),
        KeyPair::from_seed(&SEED, "1").unwrap(),
    );
    let pdu = seal(draft(), rules, &key);
    let mut group = criterion.benchmark_group("read");
    group.bench_function("from_stored", |bench| {
        bench.iter_batched(
            || {
                (
                    pdu.event_id().to_owned(),
                    pdu.room_id().to_owned(),
                    Box::<str>::from(pdu.json()),
                )
            },
            |(event_id, room_id, json)| Pdu::from_stored(event_id, room_id, json).unwrap(),
            criterion::BatchSize::SmallInput,
        );
    });
    group.bench_function("canonicalise", |bench| {
        bench.iter(|| canonical::canonicalise(black_box(pdu.json()), rules.json).unwrap());
    });
    group.bench_function("serde_json value", |bench| {
        bench.iter(|| {
            serde_json::from_str::<serde_json::Value>(black_box(pdu.json()))
                .unwrap()
                .to_string()
        });
    });
}

criterion_group!(benches, sealing, checking, reading);
criterion_main!(benches);
