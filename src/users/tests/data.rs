//! Profiles, account data, tags, ignored users, filters, pushers.

use std::collections::BTreeSet;

use ruma::{RoomId, room_id, user_id};
use serde_json::{Value, json};
use store::{Pos, RoomNo, UserNo};

use super::{World, logged, raw};
use crate::account_data;
use crate::pushers::NewPusher;
use crate::{Error, What, pushers};

fn number(world: &World, user: &ruma::UserId) -> UserNo {
    world.store.snapshot().user_no(user).unwrap().unwrap()
}

#[tokio::test]
async fn a_profile_holds_what_its_owner_tells_and_no_more_than_64_kib() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let users = &world.users;
    assert!(users.profile(&alice).await.unwrap().is_empty());
    assert!(
        users
            .set_profile_field(&alice, "displayname", &raw(&json!("Alice")))
            .await
            .unwrap()
    );
    assert!(
        !users
            .set_profile_field(&alice, "displayname", &raw(&json!("Alice")))
            .await
            .unwrap()
    );
    assert_eq!(
        users.profile_basics(&alice).unwrap().displayname.as_deref(),
        Some("Alice")
    );
    users
        .set_profile_field(&alice, "displayname", &raw(&json!("Alicia")))
        .await
        .unwrap();
    assert_eq!(
        users.profile_basics(&alice).unwrap().displayname.as_deref(),
        Some("Alicia")
    );
    users
        .set_profile_field(&alice, "org.example.status", &raw(&json!({ "mood": 5 })))
        .await
        .unwrap();
    users
        .set_profile_field(&alice, "m.tz", &raw(&json!("Europe/Berlin")))
        .await
        .unwrap();
    assert_eq!(
        users
            .profile(&alice)
            .await
            .unwrap()
            .into_keys()
            .collect::<Vec<_>>(),
        ["displayname", "m.tz", "org.example.status"]
    );
    users
        .set_profile_field(&alice, "avatar_url", &raw(&json!("mxc://h/a")))
        .await
        .unwrap();
    users
        .set_profile_field(&alice, "avatar_url", &raw(&json!("")))
        .await
        .unwrap();
    assert!(matches!(
        users.profile_field(&alice, "avatar_url").await,
        Err(Error::NotFound(What::ProfileField))
    ));
    let big = raw(&json!("x".repeat(40_000)));
    users.set_profile_field(&alice, "one", &big).await.unwrap();
    assert!(matches!(
        users.set_profile_field(&alice, "two", &big).await,
        Err(Error::ProfileTooLarge)
    ));
    users.delete_profile_field(&alice, "one").await.unwrap();
    users.set_profile_field(&alice, "two", &big).await.unwrap();
    let long = "k".repeat(256);
    assert!(matches!(
        users
            .set_profile_field(&alice, &long, &raw(&json!(1)))
            .await,
        Err(Error::KeyTooLarge)
    ));
    assert!(matches!(
        users
            .set_profile_field(&alice, "displayname", &raw(&json!(5)))
            .await,
        Err(Error::InvalidParam(_))
    ));
    assert!(matches!(
        users.profile(user_id!("@nobody:h.example")).await,
        Err(Error::NotFound(What::User))
    ));
}

#[tokio::test]
async fn account_data_is_found_by_type_and_by_when_it_changed() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let (users, no, room) = (&world.users, number(&world, &alice), room_id!("!r:h"));
    let start = world.store.head();
    users
        .set_account_data(&alice, None, "m.one", &raw(&json!({ "a": 1 })))
        .await
        .unwrap();
    users
        .set_account_data(&alice, Some(room), "m.two", &raw(&json!({ "b": 1 })))
        .await
        .unwrap();
    let middle = world.store.head();
    users
        .set_account_data(&alice, None, "m.one", &raw(&json!({ "a": 2 })))
        .await
        .unwrap();
    assert_eq!(
        users
            .account_data(&alice, None, "m.one")
            .await
            .unwrap()
            .get(),
        r#"{"a":2}"#
    );
    assert!(matches!(
        users.account_data(&alice, None, "m.two").await,
        Err(Error::NotFound(What::AccountData))
    ));
    let s = world.store.snapshot();
    let room_no = s.room_no(room).unwrap();
    let kinds = |pieces: Vec<account_data::Piece>| {
        pieces
            .into_iter()
            .map(|piece| piece.kind)
            .collect::<Vec<_>>()
    };
    let since = |room: Option<RoomNo>, after: Pos| {
        kinds(account_data::since(&s, no, room, after, s.head()).unwrap())
    };
    assert_eq!(
        kinds(account_data::changed(&s, no, start, s.head()).unwrap()),
        ["m.two", "m.one"]
    );
    assert_eq!(since(None, start), ["m.one"]);
    assert_eq!(since(room_no, start), ["m.two"]);
    assert_eq!(since(room_no, middle), [""; 0]);
    assert!(
        kinds(account_data::changed(&s, no, start, middle).unwrap()).contains(&"m.two".to_owned())
    );
}

#[tokio::test]
async fn deleted_account_data_is_gone_but_heard_of() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let (users, no) = (&world.users, number(&world, &alice));
    users
        .set_account_data(&alice, None, "m.one", &raw(&json!({ "a": 1 })))
        .await
        .unwrap();
    let before = world.store.head();
    users
        .delete_account_data(&alice, None, "m.one")
        .await
        .unwrap();
    assert!(matches!(
        users.account_data(&alice, None, "m.one").await,
        Err(Error::NotFound(_))
    ));
    let s = world.store.snapshot();
    let changed = account_data::changed(&s, no, before, s.head()).unwrap();
    assert_eq!(
        (changed[0].content.as_str(), changed[0].deleted),
        ("{}", true)
    );
    assert!(
        account_data::all(&s, no, None)
            .unwrap()
            .iter()
            .all(|piece| piece.kind != "m.one")
    );
}

#[tokio::test]
async fn what_the_server_manages_clients_do_not_write() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let (users, room) = (&world.users, room_id!("!r:h"));
    for kind in ["m.fully_read", "m.push_rules"] {
        let outcome = users
            .set_account_data(&alice, Some(room), kind, &raw(&json!({})))
            .await;
        assert!(matches!(outcome, Err(Error::ServerManaged(_))));
        assert!(matches!(
            users.delete_account_data(&alice, None, kind).await,
            Err(Error::ServerManaged(_))
        ));
    }
    users
        .set_fully_read(&alice, room, &raw(&json!({ "event_id": "$e" })))
        .await
        .unwrap();
    assert_eq!(
        users
            .account_data(&alice, Some(room), "m.fully_read")
            .await
            .unwrap()
            .get(),
        r#"{"event_id":"$e"}"#
    );
    assert!(matches!(
        users
            .set_account_data(&alice, None, "m.x", &raw(&json!([])))
            .await,
        Err(Error::BadJson(_))
    ));
    let rules = users
        .account_data(&alice, None, "m.push_rules")
        .await
        .unwrap();
    let rules: Value = serde_json::from_str(rules.get()).unwrap();
    assert!(
        rules["global"]["override"].is_array(),
        "they can be read before anybody has changed them"
    );
}

#[tokio::test]
async fn tags_are_set_and_removed_one_by_one() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let (users, room): (_, &RoomId) = (&world.users, room_id!("!r:h"));
    assert!(users.tags(&alice, room).await.unwrap().is_empty());
    users
        .set_tag(&alice, room, "m.favourite", raw(&json!({ "order": 0.5 })))
        .await
        .unwrap();
    users
        .set_tag(&alice, room, "u.work", raw(&json!({})))
        .await
        .unwrap();
    users.delete_tag(&alice, room, "m.favourite").await.unwrap();
    users.delete_tag(&alice, room, "m.favourite").await.unwrap();
    assert_eq!(
        users
            .tags(&alice, room)
            .await
            .unwrap()
            .into_keys()
            .collect::<Vec<_>>(),
        ["u.work"]
    );
    assert_eq!(
        users
            .account_data(&alice, Some(room), "m.tag")
            .await
            .unwrap()
            .get(),
        r#"{"tags":{"u.work":{}}}"#
    );
}

#[tokio::test]
async fn whom_one_ignores_is_known_at_once() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let (users, no) = (&world.users, number(&world, &alice));
    assert!(users.ignored_by(no).unwrap().is_empty());
    let before = world.store.head();
    let list = json!({ "ignored_users": { "@bob:h.example": {}, "nonsense": {} } });
    users
        .set_account_data(&alice, None, "m.ignored_user_list", &raw(&list))
        .await
        .unwrap();
    assert_eq!(
        users
            .ignored_by(no)
            .unwrap()
            .iter()
            .map(|user| user.as_str())
            .collect::<Vec<_>>(),
        ["@bob:h.example"]
    );
    assert!(
        logged(&world.store, before)
            .iter()
            .any(|change| change.starts_with("Filter"))
    );
    users
        .set_account_data(
            &alice,
            None,
            "m.ignored_user_list",
            &raw(&json!({ "ignored_users": 5 })),
        )
        .await
        .unwrap();
    assert!(users.ignored_by(no).unwrap().is_empty());
}

#[tokio::test]
async fn settings_of_a_device_go_with_it() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let kind = "org.matrix.msc3890.local_notification_settings.A";
    world
        .users
        .set_account_data(&alice.id, None, kind, &raw(&json!({ "is_silenced": true })))
        .await
        .unwrap();
    world
        .users
        .close_session(&alice.id, &alice.device())
        .await
        .unwrap();
    assert!(matches!(
        world.users.account_data(&alice.id, None, kind).await,
        Err(Error::NotFound(_))
    ));
}

#[tokio::test]
async fn a_filter_keeps_its_name() {
    let world = World::new();
    let (alice, bob) = (
        world.person("alice", "A").await.id,
        world.person("bob", "B").await.id,
    );
    let users = &world.users;
    let id = users
        .create_filter(
            &alice,
            &raw(&json!({ "room": { "timeline": { "limit": 5 } } })),
        )
        .await
        .unwrap();
    let same = users
        .create_filter(
            &alice,
            &raw(&json!({ "room": { "timeline": { "limit": 5 } } })),
        )
        .await
        .unwrap();
    assert_eq!(id, same);
    assert!(!id.starts_with('{'));
    assert_eq!(
        users.filter(&alice, &id).await.unwrap().get(),
        r#"{"room":{"timeline":{"limit":5}}}"#
    );
    assert!(matches!(
        users.filter(&bob, &id).await,
        Err(Error::NotFound(What::Filter))
    ));
    let other = users.create_filter(&alice, &raw(&json!({}))).await.unwrap();
    assert_ne!(id, other);
}

fn pusher(pushkey: &str, append: bool) -> NewPusher {
    NewPusher {
        app_id: "app".to_owned(),
        pushkey: pushkey.to_owned(),
        json: raw(&json!({ "kind": "http", "pushkey": pushkey })),
        append,
        enabled: true,
    }
}

#[tokio::test]
async fn pushers_belong_to_one_user_unless_they_are_appended_and_to_the_device_that_set_them() {
    let world = World::new();
    let (alice, bob) = (
        world.person("alice", "A").await,
        world.person("bob", "B").await,
    );
    let users = &world.users;
    let keys = async |user: &ruma::UserId| {
        users
            .pushers(user)
            .await
            .unwrap()
            .into_iter()
            .map(|pusher: pushers::Pusher| pusher.pushkey)
            .collect::<BTreeSet<_>>()
    };
    users
        .set_pusher(&alice.id, &alice.device(), pusher("k1", false))
        .await
        .unwrap();
    users
        .set_pusher(&alice.id, &alice.device(), pusher("k2", false))
        .await
        .unwrap();
    users
        .set_pusher(&bob.id, &bob.device(), pusher("k1", true))
        .await
        .unwrap();
    assert_eq!(keys(&alice.id).await.len(), 2);
    users
        .set_pusher(&bob.id, &bob.device(), pusher("k1", false))
        .await
        .unwrap();
    assert_eq!(keys(&alice.id).await, BTreeSet::from(["k2".to_owned()]));
    users.delete_pusher(&bob.id, "k1", "app").await.unwrap();
    assert!(keys(&bob.id).await.is_empty());
    users
        .close_session(&alice.id, &alice.device())
        .await
        .unwrap();
    assert!(keys(&alice.id).await.is_empty());
    assert!(matches!(
        users
            .set_pusher(&bob.id, &bob.device(), pusher(&"x".repeat(513), false))
            .await,
        Err(Error::TooLarge(_))
    ));
}
