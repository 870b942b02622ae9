//! Cross-signing keys and signatures.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use ruma::{UserId, user_id};
use serde_json::{Value, json};
use store::Pos;

use super::{Person, World, device_keys, key, public, raw, sign, upload};
use crate::cross_signing::{SignatureFailures, SigningKeys, signed_after};
use crate::key_queries::Viewer;
use crate::{Error, Refusal};

fn signing_key(user: &UserId, usage: &str, own: &SigningKey, master: Option<&SigningKey>) -> Value {
    let public_key = public(own);
    let mut object = json!({ "user_id": user, "usage": [usage], "keys": { format!("ed25519:{public_key}"): public_key } });
    if let Some(master) = master {
        sign(
            &mut object,
            user,
            &format!("ed25519:{}", public(master)),
            master,
        );
    }
    object
}

/// Keys 10, 11, 12 plus `offset` are master, self-signing and user-signing key.
fn keys(user: &UserId, offset: u8) -> SigningKeys {
    let master = key(10 + offset);
    SigningKeys {
        master: Some(raw(&signing_key(user, "master", &master, None))),
        self_signing: Some(raw(&signing_key(
            user,
            "self_signing",
            &key(11 + offset),
            Some(&master),
        ))),
        user_signing: Some(raw(&signing_key(
            user,
            "user_signing",
            &key(12 + offset),
            Some(&master),
        ))),
    }
}

async fn signer(world: &World, name: &str, device: &str, offset: u8) -> Person {
    let person = world.person(name, device).await;
    let device_keys = device_keys(&person.id, device, &key(1 + offset));
    world
        .users
        .upload_keys(
            &person.id,
            &person.device(),
            upload(Some(device_keys), BTreeMap::new()),
        )
        .await
        .unwrap();
    world
        .users
        .upload_signing_keys(&person.id, keys(&person.id, offset))
        .await
        .unwrap();
    person
}

async fn upload_one(
    world: &World,
    by: &Person,
    target: &UserId,
    key_id: &str,
    object: &Value,
) -> SignatureFailures {
    let signed = BTreeMap::from([(
        target.to_owned(),
        BTreeMap::from([(key_id.to_owned(), raw(object))]),
    )]);
    world.users.upload_signatures(&by.id, signed).await.unwrap()
}

#[tokio::test]
async fn the_first_keys_are_free_others_are_not_and_the_same_ones_are() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let users = &world.users;
    let first = keys(&alice.id, 0);
    assert!(
        users
            .may_upload_signing_keys(&alice.id, &first)
            .await
            .unwrap()
    );
    users
        .upload_signing_keys(&alice.id, first.clone())
        .await
        .unwrap();
    assert!(
        users
            .may_upload_signing_keys(&alice.id, &first)
            .await
            .unwrap()
    );
    let before = world.store.head();
    users
        .upload_signing_keys(&alice.id, first.clone())
        .await
        .unwrap();
    assert!(
        super::logged(&world.store, before).is_empty(),
        "nothing has changed"
    );
    assert!(
        !users
            .may_upload_signing_keys(&alice.id, &keys(&alice.id, 50))
            .await
            .unwrap()
    );
    let mixed = SigningKeys {
        master: first.master.clone(),
        user_signing: keys(&alice.id, 50).user_signing,
        self_signing: None,
    };
    assert!(
        !users
            .may_upload_signing_keys(&alice.id, &mixed)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn keys_that_the_master_key_has_not_signed_are_refused() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let (users, good) = (&world.users, keys(&alice.id, 0));
    let without_master = SigningKeys {
        master: None,
        ..good.clone()
    };
    assert!(matches!(
        users.upload_signing_keys(&alice.id, without_master).await,
        Err(Error::MissingParam(_))
    ));
    let stranger = Some(raw(&signing_key(
        &alice.id,
        "self_signing",
        &key(11),
        Some(&key(99)),
    )));
    let badly_signed = SigningKeys {
        self_signing: stranger,
        ..good.clone()
    };
    assert!(matches!(
        users.upload_signing_keys(&alice.id, badly_signed).await,
        Err(Error::InvalidSignature(_))
    ));
    let others = keys(user_id!("@bob:h.example"), 0);
    assert!(matches!(
        users.upload_signing_keys(&alice.id, others).await,
        Err(Error::InvalidParam(_))
    ));
    let swapped = SigningKeys {
        self_signing: good.user_signing.clone(),
        ..good.clone()
    };
    assert!(matches!(
        users.upload_signing_keys(&alice.id, swapped).await,
        Err(Error::InvalidParam(_))
    ));
    let mut two = signing_key(&alice.id, "master", &key(10), None);
    two["keys"]["ed25519:second"] = "x".into();
    let two = SigningKeys {
        master: Some(raw(&two)),
        ..SigningKeys::default()
    };
    assert!(matches!(
        users.upload_signing_keys(&alice.id, two).await,
        Err(Error::InvalidParam(_))
    ));
    assert!(!users.has_cross_signing(&alice.id).await.unwrap());
    world.log_in(&alice.id, &public(&key(10)), false).await;
    assert!(matches!(
        users.upload_signing_keys(&alice.id, good).await,
        Err(Error::Forbidden(Refusal::KeyIsDevice))
    ));
}

#[tokio::test]
async fn a_new_master_key_takes_the_others_along() {
    let world = World::new();
    let alice = signer(&world, "alice", "A", 0).await;
    let only_master = SigningKeys {
        master: keys(&alice.id, 50).master,
        ..SigningKeys::default()
    };
    world
        .users
        .upload_signing_keys(&alice.id, only_master)
        .await
        .unwrap();
    let seen = world
        .users
        .keys_of(Viewer::User(alice.id.clone()), &alice.id)
        .await
        .unwrap();
    assert!(seen.master.is_some());
    assert!(seen.self_signing.is_none() && seen.user_signing.is_none());
}

#[tokio::test]
async fn only_oneself_sees_the_user_signing_key() {
    let world = World::new();
    let (alice, bob) = (
        signer(&world, "alice", "A", 0).await,
        signer(&world, "bob", "B", 100).await,
    );
    let own = world
        .users
        .keys_of(Viewer::User(alice.id.clone()), &alice.id)
        .await
        .unwrap();
    assert!(own.master.is_some() && own.self_signing.is_some() && own.user_signing.is_some());
    let other = world
        .users
        .keys_of(Viewer::User(bob.id), &alice.id)
        .await
        .unwrap();
    assert!(other.master.is_some() && other.self_signing.is_some() && other.user_signing.is_none());
}

#[tokio::test]
async fn one_vouches_for_own_devices_and_devices_for_the_master_key() {
    let world = World::new();
    let alice = signer(&world, "alice", "A", 0).await;
    let mut device = device_keys(&alice.id, "A", &key(1));
    sign(
        &mut device,
        &alice.id,
        &format!("ed25519:{}", public(&key(11))),
        &key(11),
    );
    assert!(
        upload_one(&world, &alice, &alice.id, "A", &device)
            .await
            .is_empty()
    );
    let mut master = signing_key(&alice.id, "master", &key(10), None);
    sign(&mut master, &alice.id, "ed25519:A", &key(1));
    assert!(
        upload_one(&world, &alice, &alice.id, &public(&key(10)), &master)
            .await
            .is_empty()
    );
    let seen = world
        .users
        .keys_of(Viewer::Server, &alice.id)
        .await
        .unwrap();
    let seen_device: Value = serde_json::from_str(seen.device_keys[&alice.device()].get()).unwrap();
    assert_eq!(seen_device, device);
    let seen_master: Value = serde_json::from_str(seen.master.unwrap().get()).unwrap();
    assert_eq!(seen_master, master);
    world
        .users
        .upload_signing_keys(&alice.id, keys(&alice.id, 0))
        .await
        .unwrap();
    let again = world
        .users
        .keys_of(Viewer::Server, &alice.id)
        .await
        .unwrap();
    let again: Value = serde_json::from_str(again.master.unwrap().get()).unwrap();
    assert_eq!(
        again, master,
        "the same key uploaded again keeps its signatures"
    );
}

#[tokio::test]
async fn one_vouches_for_others_and_only_oneself_sees_it() {
    let world = World::new();
    let (alice, bob) = (
        signer(&world, "alice", "A", 0).await,
        signer(&world, "bob", "B", 100).await,
    );
    let mut master = signing_key(&bob.id, "master", &key(110), None);
    sign(
        &mut master,
        &alice.id,
        &format!("ed25519:{}", public(&key(12))),
        &key(12),
    );
    let before = world.store.head();
    assert!(
        upload_one(&world, &alice, &bob.id, &public(&key(110)), &master)
            .await
            .is_empty()
    );
    let by_alice = world
        .users
        .keys_of(Viewer::User(alice.id.clone()), &bob.id)
        .await
        .unwrap();
    let by_alice: Value = serde_json::from_str(by_alice.master.unwrap().get()).unwrap();
    assert_eq!(
        by_alice["signatures"][alice.id.as_str()],
        master["signatures"][alice.id.as_str()]
    );
    let by_bob = world
        .users
        .keys_of(Viewer::User(bob.id.clone()), &bob.id)
        .await
        .unwrap();
    let by_bob: Value = serde_json::from_str(by_bob.master.unwrap().get()).unwrap();
    assert!(by_bob["signatures"].get(alice.id.as_str()).is_none());
    let s = world.store.snapshot();
    let no = |user: &UserId| s.user_no(user).unwrap().unwrap();
    assert_eq!(
        signed_after(&s, no(&alice.id), before).unwrap(),
        [no(&bob.id)]
    );
    assert!(signed_after(&s, no(&bob.id), Pos::ZERO).unwrap().is_empty());
}

#[tokio::test]
async fn what_is_wrong_with_a_signature_is_said_of_that_one_only() {
    let world = World::new();
    let (alice, bob) = (
        signer(&world, "alice", "A", 0).await,
        signer(&world, "bob", "B", 100).await,
    );
    let ssk = format!("ed25519:{}", public(&key(11)));
    let mut good = device_keys(&alice.id, "A", &key(1));
    sign(&mut good, &alice.id, &ssk, &key(11));
    let mut forged = device_keys(&alice.id, "A", &key(1));
    sign(&mut forged, &alice.id, &ssk, &key(66));
    let mut changed = device_keys(&alice.id, "A", &key(1));
    changed["algorithms"] = json!(["m.other"]);
    sign(&mut changed, &alice.id, &ssk, &key(11));
    for bad in [&forged, &changed] {
        let failures = upload_one(&world, &alice, &alice.id, "A", bad).await;
        assert!(matches!(
            failures[&alice.id]["A"],
            Error::InvalidSignature(_)
        ));
    }
    let signed = BTreeMap::from([
        (
            alice.id.clone(),
            BTreeMap::from([
                ("A".to_owned(), raw(&good)),
                ("GONE".to_owned(), raw(&good)),
            ]),
        ),
        (
            bob.id.clone(),
            BTreeMap::from([("B".to_owned(), raw(&good))]),
        ),
        (
            user_id!("@nobody:h.example").to_owned(),
            BTreeMap::from([("X".to_owned(), raw(&good))]),
        ),
    ]);
    let failures = world
        .users
        .upload_signatures(&alice.id, signed)
        .await
        .unwrap();
    let failed: Vec<_> = failures
        .values()
        .flat_map(BTreeMap::iter)
        .map(|(id, error)| (id.as_str(), matches!(error, Error::NotFound(_))))
        .collect();
    assert_eq!(failed, [("GONE", true), ("B", true), ("X", true)]);
    let seen = world
        .users
        .keys_of(Viewer::Server, &alice.id)
        .await
        .unwrap();
    let seen: Value = serde_json::from_str(seen.device_keys[&alice.device()].get()).unwrap();
    assert_eq!(seen, good);
}
