//! Device keys, one-time keys, key queries, device lists, remote devices.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use ruma::{UserId, user_id};
use serde_json::{Value, json};
use store::Pos;

use super::{Person, World, device_keys, key, logged, one_time_keys, raw, sign, upload};
use crate::device_keys::KeyUpload;
use crate::key_queries::Viewer;
use crate::one_time_keys::{ClaimedKeys, Wanted};
use crate::remote_devices::{Freshness, RemoteChange, RemoteDevice, RemoteList};
use crate::{Error, What, device_keys as device_keys_module, device_lists};

fn wanted(person: &Person) -> Vec<Wanted> {
    vec![Wanted {
        user: person.id.clone(),
        device: person.device(),
        algorithm: "signed_curve25519".to_owned(),
    }]
}

/// The id of the one key that was claimed.
fn only(claimed: &ClaimedKeys) -> String {
    let keys: Vec<&String> = claimed
        .values()
        .flat_map(BTreeMap::values)
        .flat_map(BTreeMap::keys)
        .collect();
    assert_eq!(keys.len(), 1);
    keys[0].clone()
}

fn fallback(id: &str) -> KeyUpload {
    let value = one_time_keys(77, 1).into_values().next().unwrap();
    KeyUpload {
        fallback_keys: BTreeMap::from([(id.to_owned(), value)]),
        ..KeyUpload::default()
    }
}

#[tokio::test]
async fn what_is_uploaded_is_what_others_see() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let users = &world.users;
    let keys = device_keys(&alice.id, "A", &key(1));
    users
        .upload_keys(
            &alice.id,
            &alice.device(),
            upload(Some(keys.clone()), BTreeMap::new()),
        )
        .await
        .unwrap();
    users
        .rename_device(&alice.id, &alice.device(), Some("Alice's \"phone\""))
        .await
        .unwrap();
    let seen = users
        .keys_of(
            Viewer::User(user_id!("@bob:h.example").to_owned()),
            &alice.id,
        )
        .await
        .unwrap();
    assert!(
        !seen.device_keys.is_empty(),
        "a viewer without an account sees as a server does"
    );
    let bob = world.person("bob", "B").await;
    let seen = users
        .keys_of(Viewer::User(bob.id), &alice.id)
        .await
        .unwrap();
    let seen: Value = serde_json::from_str(seen.device_keys[&alice.device()].get()).unwrap();
    let mut expected = keys.clone();
    expected["unsigned"]["device_display_name"] = "Alice's \"phone\"".into();
    assert_eq!(seen, expected);
    let abroad = users.keys_of(Viewer::Server, &alice.id).await.unwrap();
    let abroad: Value = serde_json::from_str(abroad.device_keys[&alice.device()].get()).unwrap();
    assert_eq!(
        abroad, keys,
        "other servers are not told what people call their devices"
    );
}

#[tokio::test]
async fn device_keys_that_are_wrong_are_refused() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let good = device_keys(&alice.id, "A", &key(1));
    let with = |change: &dyn Fn(&mut Value)| {
        let mut keys = good.clone();
        change(&mut keys);
        keys
    };
    let bad = [
        device_keys(&alice.id, "OTHER", &key(1)),
        device_keys(user_id!("@bob:h.example"), "A", &key(1)),
        with(&|keys| keys["keys"]["ed25519:A"] = super::public(&key(2)).into()),
        with(&|keys| keys["algorithms"] = json!(["a", 5])),
        with(&|keys| keys["keys"] = json!({})),
        with(&|keys| keys["keys"]["nonsense"] = "x".into()),
        with(&|keys| keys["keys"]["ed25519:B"] = "x".into()),
        with(&|keys| keys["signatures"] = json!({})),
        with(&|keys| keys["signatures"] = json!({ "@alice:h.example": { "ed25519:A": 5 } })),
        with(&|keys| keys["extra"] = json!(1.5)),
        with(&|keys| keys["extra"] = "x".repeat(20_000).into()),
    ];
    for keys in bad {
        let outcome = world
            .users
            .upload_keys(
                &alice.id,
                &alice.device(),
                upload(Some(keys.clone()), BTreeMap::new()),
            )
            .await;
        assert!(outcome.is_err(), "{keys}");
    }
    assert!(
        world
            .users
            .keys_of(Viewer::Server, &alice.id)
            .await
            .unwrap()
            .device_keys
            .is_empty()
    );
    let stranger = world.users.upload_keys(
        &alice.id,
        "GONE".into(),
        upload(
            Some(device_keys(&alice.id, "GONE", &key(1))),
            BTreeMap::new(),
        ),
    );
    assert!(matches!(stranger.await, Err(Error::NotFound(What::Device))));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9:@.]{0,12}".prop_map(Value::from),
        Just(Value::from("ed25519:A")),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let names = prop_oneof![
            "[a-z0-9:]{0,10}",
            Just("ed25519:A".to_owned()),
            Just("@alice:h.example".to_owned())
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever replaces a part of good device keys: either it is refused, or what is kept is still shaped as servers expect.
    #[test]
    fn no_junk_gets_through(field in "user_id|device_id|algorithms|keys|signatures|unsigned|other", junk in any_json()) {
        let alice = user_id!("@alice:h.example");
        let mut keys = device_keys(alice, "A", &key(1));
        keys[field] = junk;
        if let Ok(kept) = device_keys_module::check_shape(&keys.to_string(), alice, "A") {
            let kept: Value = serde_json::to_value(&kept).unwrap();
            prop_assert_eq!(&kept["user_id"], "@alice:h.example");
            prop_assert_eq!(&kept["device_id"], "A");
            prop_assert!(kept["algorithms"].as_array().unwrap().iter().all(Value::is_string));
            prop_assert!(kept["keys"].as_object().unwrap().values().all(Value::is_string));
            let by_user = kept["signatures"].as_object().cloned().unwrap_or_default();
            prop_assert!(by_user.values().all(|keys| keys.as_object().unwrap().values().all(Value::is_string)));
            prop_assert!(kept.get("unsigned").is_none());
        }
    }
}

#[tokio::test]
async fn one_time_keys_are_counted_and_given_oldest_first() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let users = &world.users;
    let no = world.store.snapshot().user_no(&alice.id).unwrap().unwrap();
    let counts = users
        .upload_keys(
            &alice.id,
            &alice.device(),
            upload(None, one_time_keys(50, 2)),
        )
        .await
        .unwrap();
    assert_eq!(
        counts,
        BTreeMap::from([("signed_curve25519".to_owned(), 2)])
    );
    let counts = users
        .upload_keys(
            &alice.id,
            &alice.device(),
            upload(None, one_time_keys(0, 3)),
        )
        .await
        .unwrap();
    assert_eq!(counts["signed_curve25519"], 5);
    assert_eq!(
        users.key_counts(no, &alice.device()).unwrap().one_time["signed_curve25519"],
        5
    );
    let same = users
        .upload_keys(
            &alice.id,
            &alice.device(),
            upload(None, one_time_keys(0, 3)),
        )
        .await
        .unwrap();
    assert_eq!(
        same["signed_curve25519"], 5,
        "the same keys again are the same keys"
    );
    let mut given = Vec::new();
    for _ in 0..5 {
        given.push(only(&users.claim_keys(wanted(&alice)).await.unwrap()));
    }
    let number = |id: &String| id.rsplit('K').next().unwrap().parse::<usize>().unwrap();
    assert!(given[..2].iter().all(|id| number(id) >= 50), "{given:?}");
    assert!(given[2..].iter().all(|id| number(id) < 3), "{given:?}");
    assert!(
        users
            .key_counts(no, &alice.device())
            .unwrap()
            .one_time
            .is_empty()
    );
    assert!(users.claim_keys(wanted(&alice)).await.unwrap().is_empty());
}

#[tokio::test]
async fn another_key_of_the_same_name_is_refused() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let users = &world.users;
    users
        .upload_keys(
            &alice.id,
            &alice.device(),
            upload(None, one_time_keys(0, 1)),
        )
        .await
        .unwrap();
    let other = one_time_keys(9, 1).into_values().next().unwrap();
    let clash = BTreeMap::from([("signed_curve25519:K00000".to_owned(), other)]);
    assert!(matches!(
        users
            .upload_keys(&alice.id, &alice.device(), upload(None, clash))
            .await,
        Err(Error::KeyExists(_))
    ));
    for (id, value) in [
        ("noalgorithm", json!({ "key": "x" })),
        ("signed_curve25519:", json!({ "key": "x" })),
        ("signed_curve25519:A", json!({ "key": "short" })),
        ("signed_curve25519:A", json!("text")),
        ("curve25519:A", json!({ "key": "x" })),
        ("signed_curve25519:A", json!({ "key": 5 })),
    ] {
        let bad = BTreeMap::from([(id.to_owned(), raw(&value))]);
        assert!(
            users
                .upload_keys(&alice.id, &alice.device(), upload(None, bad))
                .await
                .is_err(),
            "{id} {value}"
        );
    }
}

#[tokio::test]
async fn the_fallback_key_stays_and_is_marked() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let (users, no) = (
        &world.users,
        world.store.snapshot().user_no(&alice.id).unwrap().unwrap(),
    );
    let unused = || {
        users
            .key_counts(no, &alice.device())
            .unwrap()
            .unused_fallback
            .clone()
    };
    users
        .upload_keys(&alice.id, &alice.device(), fallback("signed_curve25519:F1"))
        .await
        .unwrap();
    assert_eq!(unused(), ["signed_curve25519"]);
    for _ in 0..3 {
        assert_eq!(
            only(&users.claim_keys(wanted(&alice)).await.unwrap()),
            "signed_curve25519:F1"
        );
    }
    assert!(unused().is_empty());
    users
        .upload_keys(&alice.id, &alice.device(), fallback("signed_curve25519:F1"))
        .await
        .unwrap();
    assert!(
        unused().is_empty(),
        "the same key again has still been given away"
    );
    users
        .upload_keys(&alice.id, &alice.device(), fallback("signed_curve25519:F2"))
        .await
        .unwrap();
    assert_eq!(unused(), ["signed_curve25519"]);
    let two = KeyUpload {
        fallback_keys: BTreeMap::from_iter(one_time_keys(0, 2)),
        ..KeyUpload::default()
    };
    assert!(matches!(
        users.upload_keys(&alice.id, &alice.device(), two).await,
        Err(Error::InvalidParam(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_claims_of_fifty_keys_give_fifty_and_then_the_fallback() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let keys = KeyUpload {
        one_time_keys: one_time_keys(0, 50),
        ..fallback("signed_curve25519:F")
    };
    world
        .users
        .upload_keys(&alice.id, &alice.device(), keys)
        .await
        .unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (users, wanted) = (world.users.clone(), wanted(&alice));
        tasks.spawn(async move { only(&users.claim_keys(wanted).await.unwrap()) });
    }
    let given = tasks.join_all().await;
    let (fallbacks, once): (Vec<_>, Vec<_>) = given.iter().partition(|id| id.ends_with(":F"));
    assert_eq!((fallbacks.len(), once.len()), (50, 50));
    assert_eq!(once.iter().collect::<BTreeSet<_>>().len(), 50, "none twice");
}

#[tokio::test]
async fn a_key_given_before_a_crash_is_not_given_after_it() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    world
        .users
        .upload_keys(
            &alice.id,
            &alice.device(),
            upload(None, one_time_keys(0, 20)),
        )
        .await
        .unwrap();
    let mut given = BTreeSet::new();
    let mut now = world;
    for _ in 0..4 {
        for _ in 0..5 {
            assert!(given.insert(only(&now.users.claim_keys(wanted(&alice)).await.unwrap())));
        }
        now = now.after_crash();
    }
    assert!(
        now.users
            .claim_keys(wanted(&alice))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn nobody_claims_from_strangers() {
    let world = World::new();
    let ask = |user: &UserId| {
        vec![Wanted {
            user: user.to_owned(),
            device: "A".into(),
            algorithm: "x".to_owned(),
        }]
    };
    assert!(
        world
            .users
            .claim_keys(ask(user_id!("@a:elsewhere")))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        world
            .users
            .claim_keys(ask(user_id!("@nobody:h.example")))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn device_lists_change_when_others_have_to_know_and_only_then() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let (users, device) = (&world.users, alice.device());
    let changes = async |what: &str, expected: usize, before: Pos| {
        let lists = logged(&world.store, before)
            .iter()
            .filter(|change| change.starts_with("DeviceList"))
            .count();
        assert_eq!(lists, expected, "{what}");
    };
    let start = world.store.head();
    world.log_in(&alice.id, "B", false).await;
    users
        .rename_device(&alice.id, "B".into(), Some("b"))
        .await
        .unwrap();
    users.close_session(&alice.id, "B".into()).await.unwrap();
    changes("a device without keys comes and goes", 0, start).await;
    let keys = device_keys(&alice.id, "A", &key(1));
    users
        .upload_keys(
            &alice.id,
            &device,
            upload(Some(keys.clone()), BTreeMap::new()),
        )
        .await
        .unwrap();
    changes("keys appear", 1, start).await;
    users
        .upload_keys(&alice.id, &device, upload(Some(keys), one_time_keys(0, 5)))
        .await
        .unwrap();
    changes("the same keys again", 1, start).await;
    users
        .rename_device(&alice.id, &device, Some("name"))
        .await
        .unwrap();
    users
        .rename_device(&alice.id, &device, Some("name"))
        .await
        .unwrap();
    changes("a name that goes out with the keys", 2, start).await;
    let s = world.store.snapshot();
    let no = s.user_no(&alice.id).unwrap().unwrap();
    let changed: Vec<_> = device_lists::changed_after(&s, start)
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(changed, [no], "one row per user");
    let last = device_lists::last_changed(&s, no).unwrap().unwrap();
    assert_eq!(device_lists::changed_after(&s, last).count(), 0);
    assert_eq!(device_lists::changed_of(&s, &[no], start).unwrap(), [no]);
    assert!(
        device_lists::changed_of(&s, &[no], last)
            .unwrap()
            .is_empty()
    );
    users.delete_devices(&alice.id, vec![device]).await.unwrap();
    changes("the device goes", 3, start).await;
}

fn remote(device: &str, keys: &Value) -> RemoteDevice {
    RemoteDevice {
        device_id: device.into(),
        keys: Some(raw(keys)),
        display_name: Some("remote".to_owned()),
    }
}

#[tokio::test]
async fn other_servers_device_lists_are_kept_and_gaps_are_noticed() {
    let world = World::new();
    let (users, bob) = (&world.users, user_id!("@bob:elsewhere"));
    let change = |stream_id, previous: &[u64], device: &str| RemoteChange {
        stream_id,
        previous: previous.to_vec(),
        device: remote(device, &device_keys(bob, device, &key(3))),
    };
    assert_eq!(
        users
            .apply_remote_change(bob, change(4, &[], "X"))
            .await
            .unwrap(),
        Freshness::Unknown
    );
    let mut foreign = device_keys(bob, "EVIL", &key(3));
    foreign["device_id"] = "OTHER".into();
    let list = RemoteList {
        stream_id: 5,
        devices: vec![
            remote("X", &device_keys(bob, "X", &key(3))),
            remote("EVIL", &foreign),
        ],
        ..RemoteList::default()
    };
    users.store_remote_devices(bob, list.clone()).await.unwrap();
    let seen = async || {
        users
            .keys_of(Viewer::Server, bob)
            .await
            .unwrap()
            .device_keys
            .into_keys()
            .collect::<Vec<_>>()
    };
    assert_eq!(seen().await, ["X"], "what is not well-formed is left out");
    assert_eq!(
        users
            .apply_remote_change(bob, change(6, &[5], "Y"))
            .await
            .unwrap(),
        Freshness::Fresh
    );
    assert_eq!(
        users
            .apply_remote_change(bob, change(6, &[5], "Y"))
            .await
            .unwrap(),
        Freshness::Fresh
    );
    assert_eq!(seen().await, ["X", "Y"]);
    assert_eq!(
        users
            .apply_remote_change(bob, change(9, &[8], "Z"))
            .await
            .unwrap(),
        Freshness::Stale
    );
    assert_eq!(seen().await, ["X", "Y"], "nothing is built on a gap");
    assert_eq!(
        users.device_list_freshness([bob]).await.unwrap()[bob],
        Freshness::Stale
    );
    users
        .store_remote_devices(
            bob,
            RemoteList {
                stream_id: 9,
                ..list
            },
        )
        .await
        .unwrap();
    assert_eq!(seen().await, ["X"]);
    assert_eq!(
        users.device_list_freshness([bob]).await.unwrap()[bob],
        Freshness::Fresh
    );
    let alice = world.person("alice", "A").await;
    assert!(
        users
            .apply_remote_change(&alice.id, change(1, &[], "X"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn the_same_keys_keep_their_signatures_and_other_keys_lose_them() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let users = &world.users;
    let mut keys = device_keys(&alice.id, "A", &key(1));
    users
        .upload_keys(
            &alice.id,
            &alice.device(),
            upload(Some(keys.clone()), BTreeMap::new()),
        )
        .await
        .unwrap();
    let plain = keys.clone();
    sign(&mut keys, &alice.id, "ed25519:other", &key(9));
    users
        .upload_keys(
            &alice.id,
            &alice.device(),
            upload(Some(keys.clone()), BTreeMap::new()),
        )
        .await
        .unwrap();
    users
        .upload_keys(
            &alice.id,
            &alice.device(),
            upload(Some(plain), BTreeMap::new()),
        )
        .await
        .unwrap();
    let seen = users.keys_of(Viewer::Server, &alice.id).await.unwrap();
    let seen: Value = serde_json::from_str(seen.device_keys[&alice.device()].get()).unwrap();
    assert_eq!(seen, keys);
    let other = device_keys(&alice.id, "A", &key(2));
    users
        .upload_keys(
            &alice.id,
            &alice.device(),
            upload(Some(other.clone()), BTreeMap::new()),
        )
        .await
        .unwrap();
    let seen = users.keys_of(Viewer::Server, &alice.id).await.unwrap();
    let seen: Value = serde_json::from_str(seen.device_keys[&alice.device()].get()).unwrap();
    assert_eq!(seen, other);
}
