//! Crashes and failing disks: after either, the same story is told.

use std::sync::Arc;

use ruma::OwnedRoomId;
use serde_json::{Value, json};
use store::memory::Memory;
use store::{Order, Pos, Store};

use super::house::{House, user};
use crate::*;

/// Some step of a story in a room. Retried with the same transaction ID until it has happened.
async fn step(house: &House, room: &OwnedRoomId, n: usize) {
    let txn = n.to_string();
    match n % 6 {
        0 => {
            let said = timeline::page(
                &house.s(),
                house.no(room),
                Pos::MAX,
                None,
                Order::Backward,
                1,
            )
            .unwrap();
            let last = said.events[0].event_id().to_owned();
            let content = json!({ "body": "t", "m.relates_to": { "rel_type": "m.reference", "event_id": last } });
            house
                .send_txn(room, "alice", "m.room.message", content, Some(&txn))
                .await
                .unwrap();
        }
        1 => drop(house.join(room, "bob").await.unwrap()),
        2 => drop(
            house
                .set(room, "alice", "m.room.topic", "", json!({ "topic": txn }))
                .await
                .unwrap(),
        ),
        3 => drop(
            house
                .send_txn(
                    room,
                    "bob",
                    "m.room.message",
                    json!({ "body": txn }),
                    Some(&txn),
                )
                .await
                .unwrap(),
        ),
        4 => drop(house.leave(room, "bob").await.unwrap()),
        _ => drop(
            house
                .send_txn(
                    room,
                    "alice",
                    "m.room.message",
                    json!({ "body": txn }),
                    Some(&txn),
                )
                .await
                .unwrap(),
        ),
    }
}

/// Everything that readers are told.
fn story(house: &House, room: &OwnedRoomId) -> Value {
    let s = house.s();
    let no = house.no(room);
    let page = timeline::page(&s, no, Pos::ZERO, None, Order::Forward, 1_000).unwrap();
    let alice = s.user_no(&user("alice")).unwrap();
    let bundles = relations::bundles(&s, alice, &page.events, &Default::default()).unwrap();
    let events: Vec<Value> = page
        .events
        .iter()
        .zip(bundles)
        .map(|(event, bundle)| {
            let mut state: Vec<_> = state::At::before(event)
                .all(&s)
                .unwrap()
                .into_iter()
                .map(|(_, event)| Stored::get(&s, event).unwrap().event_id().to_owned())
                .collect();
            state.sort();
            json!([
                event.pos().unwrap().get(),
                event.json(),
                state,
                bundle.map(|bundle| bundle.references)
            ])
        })
        .collect();
    let mut now: Vec<_> = state::now::all(&s, no)
        .unwrap()
        .into_iter()
        .map(|(_, event)| s.event_id(event).unwrap().to_string())
        .collect();
    let mut tree: Vec<_> = state::At::now(&s, no)
        .unwrap()
        .all(&s)
        .unwrap()
        .into_iter()
        .map(|(_, event)| s.event_id(event).unwrap().to_string())
        .collect();
    now.sort();
    tree.sort();
    assert_eq!(
        now, tree,
        "the present state is told in two ways, but alike"
    );
    let summary = summary::of(&s, no).unwrap();
    json!([
        events,
        now,
        summary.joined,
        summary.topic,
        house
            .standing(room, "bob")
            .map(|bob| bob.membership.as_str())
    ])
}

#[tokio::test]
async fn a_crash_between_any_two_commits_changes_nothing() {
    let undisturbed = House::new();
    let room = undisturbed.room("11", "alice", "public").await;
    for n in 0..24 {
        step(&undisturbed, &room, n).await;
    }
    let expected = story(&undisturbed, &room);

    let mut engine = Arc::new(Memory::new());
    let mut house = House::on(Store::open(engine.clone()).unwrap());
    assert_eq!(house.room("11", "alice", "public").await, room);
    for n in 0..24 {
        engine = Arc::new(engine.after_crash());
        house = House::on(Store::open(engine.clone()).unwrap());
        step(&house, &room, n).await;
        // The answer was lost; the client asks again, of a server that has just started.
        engine = Arc::new(engine.after_crash());
        house = House::on(Store::open(engine.clone()).unwrap());
        if !matches!(n % 6, 0 | 4) {
            step(&house, &room, n).await;
        }
    }
    assert_eq!(story(&house, &room), expected);
}

#[tokio::test]
async fn a_head_that_is_behind_finds_out() {
    // Two servers on one store, which never happens but as a head that outlived its truth.
    let store = Store::memory();
    let (one, other) = (House::on(store.clone()), House::on(store));
    let room = one.room("12", "alice", "public").await;
    for n in 0..10 {
        let house = if n % 2 == 0 { &one } else { &other };
        house.say(&room, "alice", &n.to_string()).await.unwrap();
        house
            .set(
                &room,
                "alice",
                "m.room.topic",
                "",
                json!({ "topic": n.to_string() }),
            )
            .await
            .unwrap();
    }
    let timeline = one.timeline(&room);
    assert_eq!(timeline.len(), 6 + 20);
    let s = one.s();
    let last = Stored::find(
        &s,
        one.no(&room),
        &ruma::OwnedEventId::try_from(timeline[25].1.clone()).unwrap(),
    )
    .unwrap()
    .unwrap();
    assert_eq!(last.depth(), 26, "one line");
}
