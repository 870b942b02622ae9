//! To-device messages.

use std::collections::BTreeMap;

use ruma::user_id;
use serde_json::{Value, json};
use store::Pos;

use super::{Person, World, raw};
use crate::to_device::{self, Messages, Once};
use crate::to_device_out;

fn message(
    from: &Person,
    to: &ruma::UserId,
    device: &str,
    content: &Value,
    once: Option<Once>,
) -> Messages {
    let contents = BTreeMap::from([(
        to.to_owned(),
        BTreeMap::from([(device.to_owned(), raw(content))]),
    )]);
    Messages {
        sender: from.id.clone(),
        event_type: "m.test".to_owned(),
        contents,
        once,
    }
}

fn waiting(
    world: &World,
    user: &ruma::UserId,
    device: &str,
    after: Pos,
    limit: usize,
) -> Vec<(Pos, Value)> {
    let s = world.store.snapshot();
    let Some(no) = s.user_no(user).unwrap() else {
        return Vec::new();
    };
    let pending = to_device::pending(&s, no, device, after, s.head(), limit).unwrap();
    pending
        .into_iter()
        .map(|(pos, event)| (pos, event.parse().unwrap()))
        .collect()
}

#[tokio::test]
async fn messages_wait_in_order_until_they_have_been_fetched() {
    let world = World::new();
    let (alice, bob) = (
        world.person("alice", "A").await,
        world.person("bob", "B").await,
    );
    let users = &world.users;
    for number in 0..5 {
        users
            .send_to_devices(message(&alice, &bob.id, "B", &json!({ "n": number }), None))
            .await
            .unwrap();
    }
    let first = waiting(&world, &bob.id, "B", Pos::ZERO, 3);
    assert_eq!(
        first[0].1,
        json!({ "content": { "n": 0 }, "sender": "@alice:h.example", "type": "m.test" })
    );
    assert_eq!(first.len(), 3);
    let no = world.store.snapshot().user_no(&bob.id).unwrap().unwrap();
    let fetched = first[2].0;
    let again = world.after_crash();
    assert_eq!(
        waiting(&again, &bob.id, "B", Pos::ZERO, 100).len(),
        5,
        "what was not acknowledged is still there"
    );
    users
        .acknowledge_to_device(no, "B".into(), fetched)
        .await
        .unwrap();
    let rest = waiting(&world, &bob.id, "B", Pos::ZERO, 100);
    assert_eq!(
        rest.iter()
            .map(|(_, event)| event["content"]["n"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [3, 4]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_repeated_request_sends_nothing() {
    let world = World::new();
    let (alice, bob) = (
        world.person("alice", "A").await,
        world.person("bob", "B").await,
    );
    let once = Once::by_client(&alice.id, &alice.device(), "txn");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (users, message) = (
            world.users.clone(),
            message(&alice, &bob.id, "B", &json!({}), Some(once)),
        );
        tasks.spawn(async move { users.send_to_devices(message).await.unwrap() });
    }
    let new = tasks
        .join_all()
        .await
        .into_iter()
        .filter(|new| *new)
        .count();
    assert_eq!(new, 1);
    assert_eq!(waiting(&world, &bob.id, "B", Pos::ZERO, 100).len(), 1);
    let other = Once::by_client(&alice.id, "OTHER".into(), "txn");
    assert!(
        world
            .users
            .send_to_devices(message(&alice, &bob.id, "B", &json!({}), Some(other)))
            .await
            .unwrap()
    );
    world
        .clock
        .advance(std::time::Duration::from_secs(25 * 3600));
    assert_eq!(
        world.users.sweep_expired().await.unwrap(),
        2,
        "it is not remembered for ever"
    );
}

#[tokio::test]
async fn a_star_means_every_device_and_unknown_ones_are_passed_over() {
    let world = World::new();
    let (alice, bob) = (
        world.person("alice", "A").await,
        world.person("bob", "B1").await,
    );
    world.log_in(&bob.id, "B2", false).await;
    let users = &world.users;
    users
        .send_to_devices(message(&alice, &bob.id, "*", &json!({}), None))
        .await
        .unwrap();
    users
        .send_to_devices(message(&alice, &bob.id, "NONE", &json!({}), None))
        .await
        .unwrap();
    users
        .send_to_devices(message(
            &alice,
            user_id!("@nobody:h.example"),
            "*",
            &json!({}),
            None,
        ))
        .await
        .unwrap();
    for (device, expected) in [("B1", 1), ("B2", 1), ("NONE", 0), ("*", 0)] {
        assert_eq!(
            waiting(&world, &bob.id, device, Pos::ZERO, 100).len(),
            expected,
            "{device}"
        );
    }
    users.close_session(&bob.id, "B2".into()).await.unwrap();
    assert!(
        waiting(&world, &bob.id, "B2", Pos::ZERO, 100).is_empty(),
        "messages go with the device"
    );
}

#[tokio::test]
async fn messages_to_other_servers_wait_until_they_were_sent() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let once = Once::by_client(&alice.id, "A".into(), "t1");
    let big = "x".repeat(20_000);
    let contents = [
        ("@bob:elsewhere", "*"),
        ("@carl:elsewhere", "C"),
        ("@dan:far.example", "D"),
    ];
    let contents = contents.map(|(user, device)| {
        let content = raw(&json!({ "big": big }));
        let user: ruma::OwnedUserId = user.try_into().unwrap();
        (user, BTreeMap::from([(device.to_owned(), content)]))
    });
    let messages = Messages {
        sender: alice.id.clone(),
        event_type: "m.test".to_owned(),
        contents: contents.into(),
        once: Some(once),
    };
    for new in [true, false] {
        assert_eq!(
            world.users.send_to_devices(messages.clone()).await.unwrap(),
            new
        );
    }
    world
        .users
        .send_to_devices(message(
            &alice,
            user_id!("@bob:elsewhere"),
            "B",
            &json!({}),
            None,
        ))
        .await
        .unwrap();
    let elsewhere = ruma::server_name!("elsewhere");
    let waiting = |after| {
        let s = world.store.snapshot();
        to_device_out::waiting(&s, elsewhere, after, 10).unwrap()
    };
    let first = waiting(Pos::ZERO);
    let edus: Vec<Value> = first.iter().map(|(_, edu)| edu.parse().unwrap()).collect();
    assert_eq!(edus.len(), 2);
    assert_eq!(edus[0]["sender"], alice.id.as_str());
    assert_eq!(edus[0]["type"], "m.test");
    assert_eq!(edus[0]["messages"]["@bob:elsewhere"]["*"]["big"], big);
    assert_eq!(edus[0]["messages"]["@carl:elsewhere"]["C"]["big"], big);
    assert_ne!(edus[0]["message_id"], edus[1]["message_id"]);
    let servers = to_device_out::servers(&world.store.snapshot()).unwrap();
    assert_eq!(servers, ["elsewhere", "far.example"]);
    world
        .users
        .sent_to_server(elsewhere, first[0].0)
        .await
        .unwrap();
    assert_eq!(waiting(Pos::ZERO).len(), 1, "what was sent is forgotten");
    world
        .users
        .sent_to_server(elsewhere, first[1].0)
        .await
        .unwrap();
    let servers = to_device_out::servers(&world.store.snapshot()).unwrap();
    assert_eq!(servers, ["far.example"]);
}

#[tokio::test]
async fn a_full_inbox_loses_its_oldest_messages() {
    let world = World::new();
    let (alice, bob) = (
        world.person("alice", "A").await,
        world.person("bob", "B").await,
    );
    for number in 0..120 {
        world
            .users
            .send_to_devices(message(&alice, &bob.id, "B", &json!({ "n": number }), None))
            .await
            .unwrap();
    }
    let left = waiting(&world, &bob.id, "B", Pos::ZERO, 1000);
    assert!((40..=50).contains(&left.len()), "{}", left.len());
    assert_eq!(left.last().unwrap().1["content"]["n"], 119);
}
