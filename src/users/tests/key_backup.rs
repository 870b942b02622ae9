//! Key backups.

use std::collections::BTreeMap;

use ruma::room_id;
use serde_json::json;

use super::{World, raw};
use crate::key_backup::{RoomKey, RoomKeys, Which};
use crate::{Error, What};

fn room_key(first: u64, forwarded: u64, verified: bool) -> RoomKey {
    RoomKey {
        first_message_index: first,
        forwarded_count: forwarded,
        is_verified: verified,
        session_data: raw(&json!({ "ciphertext": format!("{first}-{forwarded}-{verified}") })),
    }
}

fn one(session: &str, key: RoomKey) -> RoomKeys {
    BTreeMap::from([(
        room_id!("!r:h").to_owned(),
        BTreeMap::from([(session.to_owned(), key)]),
    )])
}

#[tokio::test]
async fn versions_follow_each_other_and_only_the_newest_is_written() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let users = &world.users;
    assert!(matches!(
        users.backup(&alice, None).await,
        Err(Error::NotFound(What::Backup))
    ));
    let first = users
        .create_backup(&alice, "m.x".to_owned(), raw(&json!({ "a": 1 })))
        .await
        .unwrap();
    let second = users
        .create_backup(&alice, "m.x".to_owned(), raw(&json!({ "a": 2 })))
        .await
        .unwrap();
    assert_ne!(first, second);
    let newest = users.backup(&alice, None).await.unwrap();
    assert_eq!(
        (newest.version.as_str(), newest.state.count),
        (second.as_str(), 0)
    );
    let wrong = users
        .put_backed_up_keys(&alice, &first, one("s", room_key(0, 0, true)))
        .await;
    assert!(matches!(wrong, Err(Error::WrongVersion { current }) if current == second));
    let bob = world.person("bob", "B").await.id;
    assert!(matches!(
        users.backup(&bob, Some(&second)).await,
        Err(Error::NotFound(_))
    ));
    users.delete_backup(&alice, &second).await.unwrap();
    assert!(matches!(
        users.backup(&alice, Some(&second)).await,
        Err(Error::NotFound(_))
    ));
    assert_eq!(users.backup(&alice, None).await.unwrap().version, first);
    let third = users
        .create_backup(&alice, "m.x".to_owned(), raw(&json!({})))
        .await
        .unwrap();
    assert_ne!(third, second, "a version is never given twice");
    assert!(matches!(
        users.backup(&alice, Some("nonsense")).await,
        Err(Error::NotFound(_))
    ));
    let other = users
        .update_backup(&alice, &third, "m.other", raw(&json!({})))
        .await;
    assert!(matches!(other, Err(Error::InvalidParam(_))));
    users
        .update_backup(&alice, &third, "m.x", raw(&json!({ "b": 1 })))
        .await
        .unwrap();
    assert_eq!(
        users.backup(&alice, None).await.unwrap().auth_data.get(),
        r#"{"b":1}"#
    );
}

#[tokio::test]
async fn of_two_keys_the_better_one_stays() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let users = &world.users;
    let version = users
        .create_backup(&alice, "m.x".to_owned(), raw(&json!({})))
        .await
        .unwrap();
    let cases = [
        (room_key(5, 5, false), true),
        (room_key(5, 5, false), false),
        (room_key(6, 0, false), false),
        (room_key(5, 4, false), true),
        (room_key(4, 9, false), true),
        (room_key(9, 9, true), true),
        (room_key(0, 0, false), false),
        (room_key(8, 9, true), true),
    ];
    let mut etag = String::new();
    for (key, replaces) in cases {
        let data = key.session_data.get().to_owned();
        let state = users
            .put_backed_up_keys(&alice, &version, one("s", key))
            .await
            .unwrap();
        assert_eq!(state.count, 1);
        assert_eq!(state.etag != etag, replaces, "{data}");
        etag = state.etag;
        let stored = users
            .backed_up_key(&alice, &version, room_id!("!r:h"), "s")
            .await
            .unwrap();
        assert_eq!(
            stored.session_data.get() == data,
            replaces || data == stored.session_data.get()
        );
    }
}

#[tokio::test]
async fn keys_are_read_and_deleted_by_session_room_and_all() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let users = &world.users;
    let version = users
        .create_backup(&alice, "m.x".to_owned(), raw(&json!({})))
        .await
        .unwrap();
    let (one, two) = (room_id!("!one:h"), room_id!("!two:h"));
    let sessions = |names: &[&str]| {
        names
            .iter()
            .map(|name| ((*name).to_owned(), room_key(0, 0, true)))
            .collect::<BTreeMap<_, _>>()
    };
    let keys = BTreeMap::from([
        (one.to_owned(), sessions(&["a", "b"])),
        (two.to_owned(), sessions(&["c"])),
    ]);
    assert_eq!(
        users
            .put_backed_up_keys(&alice, &version, keys)
            .await
            .unwrap()
            .count,
        3
    );
    let count = async |which| {
        users
            .backed_up_keys(&alice, &version, which)
            .await
            .unwrap()
            .values()
            .map(BTreeMap::len)
            .sum::<usize>()
    };
    assert_eq!(count(Which::All).await, 3);
    assert_eq!(count(Which::Room(one.to_owned())).await, 2);
    assert_eq!(
        count(Which::Session(two.to_owned(), "c".to_owned())).await,
        1
    );
    let missing = users.backed_up_key(&alice, &version, two, "a").await;
    assert!(matches!(missing, Err(Error::NotFound(What::BackedUpKey))));
    let state = users
        .delete_backed_up_keys(
            &alice,
            &version,
            Which::Session(one.to_owned(), "a".to_owned()),
        )
        .await
        .unwrap();
    assert_eq!(state.count, 2);
    assert_eq!(
        users
            .delete_backed_up_keys(&alice, &version, Which::Room(two.to_owned()))
            .await
            .unwrap()
            .count,
        1
    );
    assert_eq!(
        users
            .delete_backed_up_keys(&alice, &version, Which::All)
            .await
            .unwrap()
            .count,
        0
    );
    assert_eq!(count(Which::All).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn devices_that_write_at_once_lose_nothing() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let version = world
        .users
        .create_backup(&alice, "m.x".to_owned(), raw(&json!({})))
        .await
        .unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..60 {
        let (users, alice, version) = (world.users.clone(), alice.clone(), version.clone());
        let keys = one(&format!("s{number}"), room_key(0, 0, true));
        tasks.spawn(async move {
            users
                .put_backed_up_keys(&alice, &version, keys)
                .await
                .unwrap()
        });
    }
    tasks.join_all().await;
    let state = world.users.backup(&alice, None).await.unwrap().state;
    assert_eq!((state.count, state.etag.as_str()), (60, "60"));
}
