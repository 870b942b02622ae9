//! What pushers are told: of what notifies, once, with the right number, and that something was read.

use rooms::receipts::Kind;
use ruma::push::RuleKind;
use serde_json::json;
use store::Pos;
use store::rows::users::Push;
use users::push_queue;
use users::pushers::NewPusher;

use super::house::{House, user};

async fn pusher(house: &House, name: &str, key: &str) {
    let json = json!({ "kind": "http", "data": { "url": "https://push.example/" } });
    let new = NewPusher {
        app_id: "app".to_owned(),
        pushkey: key.to_owned(),
        json: serde_json::value::to_raw_value(&json).unwrap(),
        append: true,
        enabled: true,
    };
    house
        .users
        .set_pusher(&user(name), "D".into(), new)
        .await
        .unwrap();
}

fn queued(house: &House, name: &str, key: &str) -> Vec<Push> {
    let s = house.store.snapshot();
    let no = s.user_no(&user(name)).unwrap().unwrap();
    let place = (no, key.to_owned(), "app".to_owned());
    let waiting = push_queue::waiting(&s, &place, 100).unwrap();
    waiting.into_iter().map(|(_, push)| push).collect()
}

/// Waits until so much is queued.
async fn until(house: &House, name: &str, key: &str, count: usize) -> Vec<Push> {
    let mut tail = house.store.tail(Pos::ZERO);
    loop {
        let found = queued(house, name, key);
        if found.len() >= count {
            return found;
        }
        tail.next(1_000).await.unwrap();
    }
}

#[tokio::test]
async fn each_pusher_is_told_what_notifies_and_what_was_read() {
    let house = House::of(&["alice", "bob"]).await;
    let room = house.room("alice", "public", "shared").await;
    house.join(&room, "bob").await;
    pusher(&house, "bob", "one").await;
    pusher(&house, "bob", "two").await;
    let first = house.say(&room, "alice", "hello bob").await;
    let told = until(&house, "bob", "one", 1).await;
    let event = house.store.snapshot().event_no(&first).unwrap();
    assert_eq!((told[0].event, told[0].unread), (event, 1));
    assert!(told[0].highlight || told[0].sound.is_some());
    assert_eq!(until(&house, "bob", "two", 1).await, told);

    house.say(&room, "bob", "my own words").await;
    let second = house.say(&room, "alice", "again").await;
    let told = until(&house, "bob", "one", 2).await;
    assert_eq!(
        told[1].event,
        house.store.snapshot().event_no(&second).unwrap()
    );

    house
        .rooms
        .receipt(&room, &user("bob"), Kind::Private, None, &second)
        .await
        .unwrap();
    let told = until(&house, "bob", "one", 3).await;
    assert_eq!(
        (told[2].event, told[2].unread),
        (None, 0),
        "the badge is cleared"
    );
    assert!(queued(&house, "alice", "one").is_empty());
}

#[tokio::test]
async fn who_wants_to_hear_nothing_of_a_room_is_not_told() {
    let house = House::of(&["alice", "bob", "carl"]).await;
    let room = house.room("alice", "public", "shared").await;
    for name in ["bob", "carl"] {
        house.join(&room, name).await;
        pusher(&house, name, "key").await;
    }
    house
        .users
        .enable_push_rule(&user("bob"), RuleKind::Override, ".m.rule.master", true)
        .await
        .unwrap();
    house.say(&room, "alice", "hello").await;
    until(&house, "carl", "key", 1).await;
    assert!(queued(&house, "bob", "key").is_empty());
}

#[tokio::test]
async fn what_happened_before_the_server_stopped_is_told_once() {
    let mut house = House::of(&["alice", "bob"]).await;
    let room = house.room("alice", "public", "shared").await;
    house.join(&room, "bob").await;
    pusher(&house, "bob", "key").await;
    house.say(&room, "alice", "one").await;
    until(&house, "bob", "key", 1).await;
    house.restart_sync().await;
    house.say(&room, "alice", "two").await;
    let told = until(&house, "bob", "key", 2).await;
    let unread: Vec<u64> = told.iter().map(|push| push.unread).collect();
    assert_eq!(unread, [1, 2]);
}
