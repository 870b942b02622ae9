//! Events from elsewhere: forks and how they are settled, and what is not accepted.

use event::{Draft, KeyPair, Pdu, Rules, auth};
use ruma::{OwnedEventId, OwnedRoomId};
use serde_json::{Value, json};

use super::house::{House, user};
use crate::intake::Taken;
use crate::state::At;
use crate::*;

/// An event as a server that has seen only `prev` would write it. All servers of these tests have the same key.
#[expect(
    clippy::needless_pass_by_value,
    reason = "contents are written where they are used"
)]
fn elsewhere(
    house: &House,
    room: &OwnedRoomId,
    prev: &OwnedEventId,
    who: &str,
    (event_type, key): (&str, Option<&str>),
    content: Value,
) -> Pdu {
    let s = house.s();
    let no = house.no(room);
    let rules = summary::basics(&s, no).unwrap().rules;
    let prev = Stored::find_any(&s, no, prev).unwrap().unwrap();
    let content = serde_json::value::to_raw_value(&content).unwrap();
    let sender = user(who);
    let at = At::after(&prev);
    let types = auth::auth_types(rules, event_type, &sender, key, &content);
    let auth: Vec<Pdu> = types
        .iter()
        .filter_map(|(event_type, key)| at.get(&s, event_type, key).unwrap())
        .map(|event| event.pdu(room).unwrap())
        .collect();
    seal(
        rules,
        room,
        &[prev.pdu(room).unwrap()],
        &auth,
        prev.depth() + 1,
        (sender.as_str(), event_type, key),
        content,
    )
}

#[expect(clippy::too_many_arguments, reason = "an event has as many parts")]
fn seal(
    rules: &'static Rules,
    room: &OwnedRoomId,
    prev: &[Pdu],
    auth: &[Pdu],
    depth: u64,
    (sender, event_type, key): (&str, &str, Option<&str>),
    content: Box<serde_json::value::RawValue>,
) -> Pdu {
    let draft = Draft {
        room_id: Some(room.clone()),
        sender: sender.try_into().unwrap(),
        event_type: event_type.to_owned(),
        state_key: key.map(str::to_owned),
        content,
        redacts: None,
        origin_server_ts: 1_750_000_000_000 + depth,
    };
    let refs = |pdus: &[Pdu]| {
        pdus.iter()
            .map(|pdu| pdu.reference(rules).unwrap())
            .collect::<Vec<_>>()
    };
    let own = KeyPair::from_seed(&[7; 32], "a").unwrap();
    draft
        .seal(
            rules,
            refs(prev),
            refs(auth),
            depth,
            &own,
            "here".try_into().unwrap(),
        )
        .unwrap()
}

fn tips(house: &House, room: &OwnedRoomId) -> usize {
    house
        .s()
        .get(store::tables::ROOM_HEADS, &house.no(room))
        .unwrap()
        .unwrap()
        .tips
        .len()
}

/// The present state, as IDs; told in two ways, but alike, and the indexes agree with it.
fn state_now(house: &House, room: &OwnedRoomId) -> Vec<String> {
    let s = house.s();
    let no = house.no(room);
    let ids = |list: Vec<(StateKeyNo, EventNo)>| {
        let mut ids: Vec<String> = list
            .into_iter()
            .map(|(_, event)| s.event_id(event).unwrap().to_string())
            .collect();
        ids.sort();
        ids
    };
    let now = ids(state::now::all(&s, no).unwrap());
    assert_eq!(now, ids(At::now(&s, no).unwrap().all(&s).unwrap()));
    let joined = state::now::members(&s, no)
        .unwrap()
        .into_iter()
        .filter(|(_, event)| {
            Stored::get(&s, *event).unwrap().membership() == Some(Membership::Join)
        })
        .count();
    assert_eq!(members::list(&s, no, Membership::Join).count(), joined);
    assert_eq!(summary::of(&s, no).unwrap().joined, joined as u64);
    now
}

async fn stage(version: &str) -> (House, OwnedRoomId, OwnedEventId) {
    let house = House::new();
    let room = house.room(version, "alice", "public").await;
    for who in ["bob", "carol"] {
        house.join(&room, who).await.unwrap();
    }
    let levels = json!({ "users": if version == "12" { json!({ "@bob:here": 50 }) } else { json!({ "@alice:here": 100, "@bob:here": 50 }) } });
    house
        .set(&room, "alice", "m.room.power_levels", "", levels)
        .await
        .unwrap();
    let fork = house.say(&room, "alice", "here it forks").await.unwrap();
    (house, room, fork)
}

#[tokio::test]
async fn forks_settle_alike_in_whatever_order_they_come() {
    for version in ["1", "2", "6", "11", "12"] {
        let mut told = Vec::new();
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let (house, room, fork) = stage(version).await;
            let sides = [
                elsewhere(
                    &house,
                    &room,
                    &fork,
                    "bob",
                    ("m.room.topic", Some("")),
                    json!({ "topic": "bob's" }),
                ),
                elsewhere(
                    &house,
                    &room,
                    &fork,
                    "alice",
                    ("m.room.topic", Some("")),
                    json!({ "topic": "alice's" }),
                ),
                elsewhere(
                    &house,
                    &room,
                    &fork,
                    "alice",
                    ("m.room.member", Some("@carol:here")),
                    json!({ "membership": "ban" }),
                ),
            ];
            for (n, side) in order.into_iter().enumerate() {
                let (taken, pos) = house.rooms.take_in(sides[side].clone()).await.unwrap();
                assert!(
                    matches!(taken, Taken::Accepted(_)),
                    "version {version}: {taken:?}"
                );
                assert!(pos.is_some());
                assert_eq!(tips(&house, &room), n + 1);
                state_now(&house, &room);
                assert_eq!(
                    house.rooms.take_in(sides[side].clone()).await.unwrap(),
                    (Taken::Known, None)
                );
            }
            assert_eq!(
                house.standing(&room, "carol").unwrap().membership,
                Membership::Ban
            );
            let settled = state_now(&house, &room);
            let topic = summary::of(&house.s(), house.no(&room)).unwrap().topic;
            assert_eq!(
                house.state(&room, "m.room.topic", "").unwrap()["topic"],
                topic.clone().unwrap()
            );
            // The next message ties the ends together, on the settled state.
            let said = house.say(&room, "alice", "together again").await.unwrap();
            let said = house.event(&room, &said);
            assert_eq!(said.pdu(&room).unwrap().prev_events().len(), 3);
            assert_eq!(tips(&house, &room), 1);
            assert_eq!(
                At::before(&said)
                    .diff(&house.s(), &At::now(&house.s(), house.no(&room)).unwrap())
                    .unwrap(),
                []
            );
            assert_eq!(state_now(&house, &room), settled);
            told.push((settled, topic));
        }
        assert!(
            told.windows(2).all(|pair| pair[0] == pair[1]),
            "version {version}: {told:?}"
        );
    }
}

#[tokio::test]
async fn what_the_present_forbids_fails_softly() {
    for version in ["1", "11", "12"] {
        let (house, room, fork) = stage(version).await;
        house
            .change(&room, "alice", "bob", Membership::Ban)
            .await
            .unwrap();
        let late = elsewhere(
            &house,
            &room,
            &fork,
            "bob",
            ("m.room.message", None),
            json!({ "body": "I was still in" }),
        );
        let head = house.store.head();
        let (taken, _) = house.rooms.take_in(late.clone()).await.unwrap();
        assert!(
            matches!(taken, Taken::SoftFailed(_)),
            "version {version}: {taken:?}"
        );
        assert_eq!(house.store.head(), head, "nobody is told");
        assert_eq!(tips(&house, &room), 1);
        assert!(
            Stored::find(&house.s(), house.no(&room), late.event_id())
                .unwrap()
                .is_none()
        );
        let kept = Stored::find_any(&house.s(), house.no(&room), late.event_id())
            .unwrap()
            .unwrap();
        assert!(kept.refusal().unwrap().0);
        house.say(&room, "alice", "calm").await.unwrap();
    }
}

#[tokio::test]
async fn the_rejected_never_count() {
    let (house, room, fork) = stage("12").await;
    let usurp = elsewhere(
        &house,
        &room,
        &fork,
        "carol",
        ("m.room.power_levels", Some("")),
        json!({ "users": { "@carol:here": 100 } }),
    );
    let before = state_now(&house, &room);
    let (taken, _) = house.rooms.take_in(usurp.clone()).await.unwrap();
    assert!(matches!(taken, Taken::Rejected(_)));
    // An event that names it as its authority is rejected too; one that only follows it is judged by the state before it.
    let s = house.s();
    let rules = summary::basics(&s, house.no(&room)).unwrap().rules;
    let member = state::now::get(&s, house.no(&room), "m.room.member", "@carol:here")
        .unwrap()
        .unwrap()
        .pdu(&room)
        .unwrap();
    let topic = serde_json::value::to_raw_value(&json!({ "topic": "carol's" })).unwrap();
    let by_it = seal(
        rules,
        &room,
        std::slice::from_ref(&usurp),
        &[usurp.clone(), member],
        usurp.depth() + 1,
        ("@carol:here", "m.room.topic", Some("")),
        topic,
    );
    let (taken, _) = house.rooms.take_in(by_it).await.unwrap();
    assert!(matches!(taken, Taken::Rejected(_)));
    let after_it = elsewhere(
        &house,
        &room,
        &usurp.event_id().to_owned(),
        "carol",
        ("m.room.message", None),
        json!({ "body": "hm" }),
    );
    let (taken, _) = house.rooms.take_in(after_it).await.unwrap();
    assert!(matches!(taken, Taken::Accepted(_)), "{taken:?}");
    assert_eq!(state_now(&house, &room), before);
}

#[tokio::test]
async fn what_builds_on_the_unknown_waits() {
    let (house, room, fork) = stage("12").await;
    let one = elsewhere(
        &house,
        &room,
        &fork,
        "bob",
        ("m.room.message", None),
        json!({ "body": "1" }),
    );
    let s = house.s();
    let rules = summary::basics(&s, house.no(&room)).unwrap().rules;
    let auth: Vec<Pdu> = one
        .auth_events()
        .iter()
        .map(|id| {
            Stored::find(&s, house.no(&room), id)
                .unwrap()
                .unwrap()
                .pdu(&room)
                .unwrap()
        })
        .collect();
    let body = serde_json::value::to_raw_value(&json!({ "body": "2" })).unwrap();
    let two = seal(
        rules,
        &room,
        std::slice::from_ref(&one),
        &auth,
        one.depth() + 1,
        ("@bob:here", "m.room.message", None),
        body,
    );
    match house.rooms.take_in(two.clone()).await {
        Err(Error::Missing(missing)) => assert_eq!(missing, [one.event_id()]),
        other => panic!("{other:?}"),
    }
    for event in [one, two] {
        assert!(matches!(
            house.rooms.take_in(event).await.unwrap().0,
            Taken::Accepted(_)
        ));
    }
    assert_eq!(tips(&house, &room), 1);
}
