//! Who sees what: every visibility, every membership, every way to read.

use ruma::{OwnedEventId, OwnedRoomId};
use serde_json::json;
use store::{Order, Pos};

use super::house::{House, user};
use crate::visibility::Viewer;
use crate::*;

const VISIBILITIES: [&str; 4] = ["world_readable", "shared", "invited", "joined"];
/// What bob is to the room when he looks.
const MEMBERSHIPS: [&str; 7] = [
    "never",
    "invited",
    "joined-after",
    "joined-all-along",
    "left",
    "kicked",
    "banned",
];
/// When the event was sent, seen from bob's stay: before it, during his invitation, during it, after it.
const MOMENTS: [&str; 4] = ["before", "while invited", "inside", "after"];

/// A room with one message for each moment that exists for this membership.
async fn stage(
    house: &House,
    visibility: &str,
    membership: &str,
) -> (OwnedRoomId, Vec<(&'static str, OwnedEventId)>) {
    let room = house.room("12", "alice", "public").await;
    let content = json!({ "history_visibility": visibility });
    house
        .set(&room, "alice", "m.room.history_visibility", "", content)
        .await
        .unwrap();
    let mut said = Vec::new();
    let say = |moment: &'static str| {
        let room = room.clone();
        async move { (moment, house.say(&room, "alice", moment).await.unwrap()) }
    };
    if membership != "joined-all-along" {
        said.push(say("before").await);
    }
    if membership == "never" {
        return (room, said);
    }
    if membership != "joined-all-along" {
        house
            .change(&room, "alice", "bob", Membership::Invite)
            .await
            .unwrap();
        said.push(say("while invited").await);
    }
    if membership == "invited" {
        return (room, said);
    }
    house.join(&room, "bob").await.unwrap();
    said.push(say("inside").await);
    match membership {
        "left" => drop(house.leave(&room, "bob").await.unwrap()),
        "kicked" => drop(
            house
                .change(&room, "alice", "bob", Membership::Leave)
                .await
                .unwrap(),
        ),
        "banned" => drop(
            house
                .change(&room, "alice", "bob", Membership::Ban)
                .await
                .unwrap(),
        ),
        _ => return (room, said),
    }
    said.push(say("after").await);
    (room, said)
}

/// The table of the specification, in its own words.
fn expected(visibility: &str, membership: &str, moment: &str) -> bool {
    let was_in = !matches!(membership, "never" | "invited");
    match visibility {
        "world_readable" => true,
        "shared" => was_in && moment != "after",
        "invited" => moment == "inside" || moment == "while invited",
        _ => moment == "inside",
    }
}

#[tokio::test]
async fn the_table_holds_for_every_way_to_read() {
    let house = House::new();
    let mut cases = 0;
    for visibility in VISIBILITIES {
        for membership in MEMBERSHIPS {
            let (room, said) = stage(&house, visibility, membership).await;
            for (moment, event) in &said {
                let wanted = expected(visibility, membership, moment);
                for (way, seen) in ways(&house, &room, event, moment) {
                    assert_eq!(
                        seen, wanted,
                        "{visibility}, {membership}, {moment}, by {way}"
                    );
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 300, "{cases} cases");
    assert_eq!(MOMENTS.len(), 4);
}

/// Whether bob sees an event, by each reader there is.
fn ways(
    house: &House,
    room: &OwnedRoomId,
    event: &OwnedEventId,
    body: &str,
) -> Vec<(&'static str, bool)> {
    let s = house.s();
    let (no, bob) = (house.no(room), s.user_no(&user("bob")).unwrap());
    let viewer = Viewer::new(&s, no, bob).unwrap();
    let stored = house.event(room, event);
    let is_it = |other: &Stored| other.event_id() == event.as_str();
    let page = timeline::page(&s, no, Pos::MAX, None, Order::Backward, 100).unwrap();
    let mut ways = vec![
        ("event", viewer.sees(&stored).unwrap()),
        (
            "timeline",
            viewer.filter(page.events).unwrap().iter().any(is_it),
        ),
        (
            "context",
            context::around(&s, &viewer, no, stored.clone(), 10).is_ok(),
        ),
    ];
    let nearest = context::nearest(&s, &viewer, no, 0, Order::Forward).unwrap();
    if !ways[0].1 {
        ways.push(("nearest", nearest.as_ref().is_some_and(is_it)));
    }
    if let Some(bob) = bob {
        let wanted = search::Wanted {
            term: body.to_owned(),
            bodies: true,
            names: false,
            topics: false,
            from: None,
            limit: 10,
        };
        let found = search::search(&s, bob, &[no], &wanted, |_| true).unwrap();
        ways.push(("search", found.events.iter().any(is_it)));
    }
    ways
}

#[tokio::test]
async fn the_present_visibility_does_not_rewrite_the_past() {
    let house = House::new();
    let room = house.room("12", "alice", "public").await;
    let set = |value: &'static str| {
        house.set(
            &room,
            "alice",
            "m.room.history_visibility",
            "",
            json!({ "history_visibility": value }),
        )
    };
    let shared = house.say(&room, "alice", "shared").await.unwrap();
    let closing = set("joined").await.unwrap();
    let joined = house.say(&room, "alice", "joined").await.unwrap();
    let opening = set("world_readable").await.unwrap();
    let open = house.say(&room, "alice", "open").await.unwrap();
    for (event, stranger) in [
        (&shared, false),
        (&closing, false),
        (&joined, false),
        (&opening, true),
        (&open, true),
    ] {
        assert_eq!(house.sees(&room, "stranger", event), stranger);
    }
    house.join(&room, "bob").await.unwrap();
    for (event, bob) in [
        (&shared, true),
        (&closing, true),
        (&joined, false),
        (&opening, true),
        (&open, true),
    ] {
        assert_eq!(house.sees(&room, "bob", event), bob);
    }
}

#[tokio::test]
async fn the_left_read_the_state_they_left() {
    let house = House::new();
    let room = house.room("12", "alice", "public").await;
    house.join(&room, "bob").await.unwrap();
    house
        .set(&room, "alice", "m.room.name", "", json!({ "name": "old" }))
        .await
        .unwrap();
    house.leave(&room, "bob").await.unwrap();
    house
        .set(&room, "alice", "m.room.name", "", json!({ "name": "new" }))
        .await
        .unwrap();
    house.join(&room, "carol").await.unwrap();
    let name = |who: &str| {
        let s = house.s();
        let viewer = Viewer::new(&s, house.no(&room), s.user_no(&user(who)).unwrap()).unwrap();
        let state = viewer.state().ok()?;
        let event = state.get(&s, "m.room.name", "").unwrap().unwrap();
        let member = state
            .get(&s, "m.room.member", &format!("@{who}:here"))
            .unwrap()
            .unwrap();
        let content: serde_json::Value = event.content().unwrap();
        Some((
            content["name"].as_str().unwrap().to_owned(),
            member.membership().unwrap(),
        ))
    };
    assert_eq!(name("bob"), Some(("old".to_owned(), Membership::Leave)));
    assert_eq!(name("carol"), Some(("new".to_owned(), Membership::Join)));
    assert_eq!(name("eve"), None);
}

#[tokio::test]
async fn events_of_other_rooms_do_not_exist_here() {
    let house = House::new();
    let (one, other) = (
        house.room("12", "alice", "public").await,
        house.room("12", "alice", "public").await,
    );
    let said = house.say(&one, "alice", "hello").await.unwrap();
    let s = house.s();
    assert!(Stored::find(&s, house.no(&other), &said).unwrap().is_none());
    let viewer = Viewer::new(&s, house.no(&other), s.user_no(&user("alice")).unwrap()).unwrap();
    assert!(!viewer.sees(&house.event(&one, &said)).unwrap());
}
