//! Residents that lie, or break off: nothing of what they say is left, and whoever asked is told why.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::world::World;
use crate::Membership::Join;
use crate::handshake::arrival::EVENTS;
use crate::*;

type Twist = fn(&str, &mut Value);

fn template(endpoint: &str, body: &mut Value, key: &str, value: Value) {
    if endpoint == "make_join" {
        body["event"][key] = value;
    }
}

fn state(endpoint: &str, body: &mut Value, change: impl Fn(&mut Vec<Value>)) {
    if endpoint == "send_join" {
        change(body["state"].as_array_mut().unwrap());
    }
}

const LIES: &[(&str, Twist)] = &[
    ("another room", |endpoint, body| {
        template(endpoint, body, "room_id", json!("!elsewhere:one.test"));
    }),
    ("another user", |endpoint, body| {
        template(endpoint, body, "sender", json!("@carol:other.test"));
    }),
    ("another user", |endpoint, body| {
        template(endpoint, body, "state_key", json!("@carol:other.test"));
    }),
    ("something else than a membership", |endpoint, body| {
        template(endpoint, body, "type", json!("m.room.power_levels"));
    }),
    ("another membership", |endpoint, body| {
        template(endpoint, body, "content", json!({ "membership": "ban" }));
    }),
    ("no membership", |endpoint, body| {
        template(endpoint, body, "prev_events", json!(7));
        template(endpoint, body, "depth", json!("deep"));
    }),
    ("a room version that was not asked for", |endpoint, body| {
        if endpoint == "make_join" {
            body["room_version"] = json!("org.example.future");
        }
    }),
    ("the state has no create event", |endpoint, body| {
        if endpoint == "make_join" {
            body["room_version"] = json!("10");
        }
    }),
    ("the state has no create event", |endpoint, body| {
        state(endpoint, body, |state| {
            state.retain(|event| event["type"] != "m.room.create");
        });
    }),
    ("the state has no create event", |endpoint, body| {
        state(endpoint, body, Vec::clear);
    }),
    ("an essential part of the state", |endpoint, body| {
        state(endpoint, body, |state| {
            let levels = state
                .iter_mut()
                .find(|event| event["type"] == "m.room.power_levels");
            levels.unwrap()["signatures"] = json!({});
        });
        if endpoint == "send_join" {
            let chain = body["auth_chain"].as_array_mut().unwrap();
            chain.retain(|event| event["type"] != "m.room.power_levels");
        }
    }),
    ("members are missing", |endpoint, body| {
        if endpoint == "send_join" {
            body["members_omitted"] = json!(true);
        }
    }),
    ("lists of events", |endpoint, body| {
        if endpoint == "send_join" {
            *body = json!([200, body.take()]);
        }
    }),
    ("lists of events is none", |endpoint, body| {
        if endpoint == "send_join" {
            body["state"] = json!({ "0": {} });
        }
    }),
    ("events", |endpoint, body| {
        state(endpoint, body, |state| *state = vec![json!({}); EVENTS + 1]);
    }),
];

#[tokio::test]
async fn a_resident_that_lies_is_found_out_and_leaves_nothing_behind() {
    for (what, twist) in LIES {
        let world = World::new();
        let one = world.twisted("one.test", twist);
        let other = world.server("other.test");
        let room = one.room("11", json!({ "join_rule": "public" })).await;
        let error = other.join(&room, "bob", &one).await.unwrap_err();
        assert!(
            matches!(error, Error::Misbehaved { .. }),
            "{what}: {error:?}"
        );
        assert!(error.to_string().contains(what), "{what}: {error}");
        assert!(!other.has(&room), "{what}");
        assert_eq!(other.events(), 0, "{what}");
        assert_eq!(other.membership(&room, &other.user("bob")), None);
    }
}

#[tokio::test]
async fn a_member_whose_event_is_not_signed_is_not_there() {
    let world = World::new();
    let one = world.twisted("one.test", |endpoint, body| {
        state(endpoint, body, |state| {
            let carol = state
                .iter_mut()
                .find(|event| event["state_key"] == "@carol:one.test");
            carol.unwrap()["signatures"] = json!({ "one.test": { "ed25519:test": "AAAA" } });
        });
    });
    let other = world.server("other.test");
    let room = one.room("11", json!({ "join_rule": "public" })).await;
    one.change(&room, "carol", &one.user("carol"), Join)
        .await
        .unwrap();
    other.join(&room, "bob", &one).await.unwrap();
    assert_eq!(other.membership(&room, &one.user("alice")), Some(Join));
    assert_eq!(other.membership(&room, &one.user("carol")), None);
}

#[tokio::test]
async fn what_is_signed_is_ours_whatever_the_template_holds() {
    let world = World::new();
    let one = world.twisted("one.test", |endpoint, body| {
        if endpoint == "make_join" {
            body["event"]["content"]["displayname"] = json!("Mallory");
            body["event"]["redacts"] = json!("$something");
            body["event"]["unheard_of"] = json!("of");
            body["event"]["origin_server_ts"] = json!(1);
        }
    });
    let other = world.server("other.test");
    let room = one.room("11", json!({ "join_rule": "public" })).await;
    other.join(&room, "bob", &one).await.unwrap();
    let s = one.rooms.store().snapshot();
    let no = members::room(&s, &room).unwrap();
    let join = state::now::get(&s, no, "m.room.member", "@bob:other.test")
        .unwrap()
        .unwrap();
    let join: Value = serde_json::from_str(join.json()).unwrap();
    assert_eq!(
        join["content"],
        json!({ "displayname": "bob", "membership": "join" })
    );
    assert_eq!(join.get("redacts"), None);
    assert_eq!(join.get("unheard_of"), None);
    assert_ne!(join["origin_server_ts"], 1);
}

#[tokio::test]
async fn a_join_whose_answer_was_lost_is_made_good_by_joining_again() {
    let world = World::new();
    let (network, is_lost) = (world.network.clone(), Arc::new(AtomicBool::new(true)));
    let lost = is_lost.clone();
    let one = world.twisted("one.test", move |endpoint, _| {
        if endpoint == "send_join" && lost.load(Ordering::SeqCst) {
            let name = |name| <&ruma::ServerName>::try_from(name).unwrap();
            network.cut(name("one.test"), name("other.test"));
        }
    });
    let other = world.server("other.test");
    let bob = other.user("bob");
    let room = one.room("12", json!({ "join_rule": "public" })).await;
    let error = other.join(&room, "bob", &one).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
    assert_eq!(one.membership(&room, &bob), Some(Join), "it arrived");
    assert!(!other.has(&room));
    assert_eq!(other.events(), 0);

    is_lost.store(false, Ordering::SeqCst);
    world.network.heal(&one.name(), &other.name());
    other.clock.advance(std::time::Duration::from_secs(7_200));
    other.join(&room, "bob", &one).await.unwrap();
    assert_eq!(other.membership(&room, &bob), Some(Join));
    assert_eq!(one.state(&room), other.state(&room));
}

#[tokio::test]
async fn a_handed_in_event_must_be_what_the_request_says() {
    let world = World::new();
    let (one, other) = (world.server("one.test"), world.server("other.test"));
    let room = one.room("11", json!({ "join_rule": "public" })).await;
    other.join(&room, "bob", &one).await.unwrap();
    let s = one.rooms.store().snapshot();
    let no = members::room(&s, &room).unwrap();
    let member = |user: &str| {
        state::now::get(&s, no, "m.room.member", user)
            .unwrap()
            .unwrap()
    };
    let (bobs, alices) = (member("@bob:other.test"), member("@alice:one.test"));
    let raw = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
    let mut forged: Value = serde_json::from_str(bobs.json()).unwrap();
    forged["content"]["displayname"] = json!("Somebody else");
    let name = other.name();
    let table = [
        (
            "another ID",
            raw(bobs.json()),
            alices.owned_event_id().unwrap(),
        ),
        (
            "not a user of",
            raw(alices.json()),
            alices.owned_event_id().unwrap(),
        ),
        (
            "hash",
            raw(&forged.to_string()),
            bobs.owned_event_id().unwrap(),
        ),
        (
            "is missing",
            raw("{\"type\":\"m.room.member\"}"),
            bobs.owned_event_id().unwrap(),
        ),
    ];
    for (what, event, event_id) in table {
        let offered = handshake::Offered {
            origin: &name,
            room_id: &room,
            event_id: &event_id,
            event: &event,
        };
        let error = one
            .rooms
            .send_join(offered, false)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(what), "{what}: {error}");
        let error = one.rooms.send_leave(offered).await.unwrap_err().to_string();
        assert!(!error.is_empty());
    }
    let versions = vec![ruma::RoomVersionId::V10];
    let made = one
        .rooms
        .make_join(&name, &room, &other.user("carol"), versions)
        .await;
    assert!(
        matches!(made, Err(Error::IncompatibleVersion(_))),
        "{made:?}"
    );
    let made = one
        .rooms
        .make_join(&name, &room, &one.user("carol"), Vec::new())
        .await;
    assert!(matches!(made, Err(Error::Forbidden(_))), "{made:?}");
    let unknown = ruma::room_id!("!nowhere:one.test");
    let made = one
        .rooms
        .make_leave(&name, unknown, &other.user("bob"))
        .await;
    assert!(matches!(made, Err(Error::NoSuchRoom)), "{made:?}");
}
