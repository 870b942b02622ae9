//! Finding rooms and things in them: spaces, directory, aliases, search, jumps; receipts and typing.

use std::time::Duration;

use ruma::OwnedRoomId;
use serde_json::json;
use store::{Order, Pos};

use super::house::{House, new_room, user};
use crate::hierarchy::Wanted;
use crate::*;

async fn child(house: &House, space: &OwnedRoomId, room: &str, content: serde_json::Value) {
    house
        .set(space, "alice", "m.space.child", room, content)
        .await
        .unwrap();
}

async fn space(house: &House) -> OwnedRoomId {
    let mut new = new_room("12", "alice", "public");
    new.create.insert("type".into(), json!("m.space"));
    house.rooms.create(new).await.unwrap().room_id
}

#[tokio::test]
async fn a_space_is_walked_in_its_order_and_in_pages() {
    let house = House::new();
    let (top, sub) = (space(&house).await, space(&house).await);
    let open = house.room("12", "alice", "public").await;
    let hidden = house.room("12", "alice", "invite").await;
    let deep = house.room("12", "alice", "knock").await;
    let via = json!(["here"]);
    child(
        &house,
        &top,
        sub.as_str(),
        json!({ "via": via, "order": "b" }),
    )
    .await;
    child(
        &house,
        &top,
        open.as_str(),
        json!({ "via": via, "order": "c", "suggested": true }),
    )
    .await;
    child(
        &house,
        &top,
        hidden.as_str(),
        json!({ "via": via, "order": "a" }),
    )
    .await;
    child(
        &house,
        &top,
        "!unknown:elsewhere",
        json!({ "via": ["elsewhere"] }),
    )
    .await;
    child(&house, &top, "!gone:here", json!({})).await;
    child(&house, &sub, deep.as_str(), json!({ "via": via })).await;
    child(&house, &sub, top.as_str(), json!({ "via": via })).await;

    let s = house.s();
    let walk = |who: &str, wanted: Wanted| {
        let page = hierarchy::walk(&s, house.no(&top), &user(who), &wanted).unwrap();
        (
            page.rooms
                .into_iter()
                .map(|node| node.room_id)
                .collect::<Vec<_>>(),
            page.more,
        )
    };
    let all = Wanted {
        suggested_only: false,
        max_depth: None,
        skip: 0,
        limit: 50,
    };
    assert_eq!(
        walk("bob", all.clone()),
        (
            vec![top.clone(), sub.clone(), deep.clone(), open.clone()],
            false
        )
    );
    assert_eq!(
        walk("alice", all.clone()).0,
        [&top, &hidden, &sub, &deep, &open].map(Clone::clone)
    );
    assert_eq!(
        walk(
            "bob",
            Wanted {
                limit: 2,
                ..all.clone()
            }
        ),
        (vec![top.clone(), sub.clone()], true)
    );
    assert_eq!(
        walk(
            "bob",
            Wanted {
                skip: 2,
                limit: 2,
                ..all.clone()
            }
        ),
        (vec![deep, open.clone()], false)
    );
    assert_eq!(
        walk(
            "bob",
            Wanted {
                max_depth: Some(1),
                ..all.clone()
            }
        )
        .0,
        [&top, &sub, &open].map(Clone::clone)
    );
    assert_eq!(
        walk(
            "bob",
            Wanted {
                suggested_only: true,
                ..all.clone()
            }
        )
        .0,
        [&top, &open].map(Clone::clone)
    );
    let page = hierarchy::walk(&s, house.no(&top), &user("bob"), &all).unwrap();
    assert_eq!(
        page.rooms[0].children.len(),
        4,
        "children are told even if they are not known here, but not those taken out"
    );
    assert!(matches!(
        hierarchy::walk(&s, house.no(&hidden), &user("bob"), &all),
        Err(Error::NoSuchRoom)
    ));
}

#[tokio::test]
async fn a_room_is_told_of_to_those_it_concerns() {
    let house = House::new();
    let club = house.room("12", "alice", "public").await;
    house.join(&club, "member").await.unwrap();
    for (rule, visibility, bob, member, anybody) in [
        ("public", "shared", true, true, true),
        ("knock", "shared", true, true, true),
        ("invite", "shared", false, false, false),
        ("invite", "world_readable", true, true, true),
        ("restricted", "shared", false, true, false),
        ("knock_restricted", "joined", true, true, true),
    ] {
        let room = house.room("12", "alice", "invite").await;
        let allow = json!([{ "type": "m.room_membership", "room_id": club }]);
        house
            .set(
                &room,
                "alice",
                "m.room.join_rules",
                "",
                json!({ "join_rule": rule, "allow": allow }),
            )
            .await
            .unwrap();
        house
            .set(
                &room,
                "alice",
                "m.room.history_visibility",
                "",
                json!({ "history_visibility": visibility }),
            )
            .await
            .unwrap();
        house
            .change(&room, "alice", "invited", Membership::Invite)
            .await
            .unwrap();
        let knows = |who: Option<&str>| {
            let s = house.s();
            hierarchy::may_know(&s, house.no(&room), who.map(user).as_deref()).unwrap()
        };
        assert_eq!(
            (knows(Some("bob")), knows(Some("member")), knows(None)),
            (bob, member, anybody),
            "{rule}, {visibility}"
        );
        assert!(knows(Some("alice")) && knows(Some("invited")));
    }
}

#[tokio::test]
async fn the_directory_lists_the_full_rooms_first() {
    let house = House::new();
    let mut rooms = Vec::new();
    for (n, name) in ["Garden", "Kitchen", "Garden shed"].into_iter().enumerate() {
        let mut new = new_room("12", "alice", "public");
        new.state
            .push(super::house::first("m.room.name", json!({ "name": name })));
        new.listed = n != 1;
        let room = house.rooms.create(new).await.unwrap();
        for guest in 0..n {
            house
                .join(&room.room_id, &format!("g{guest}"))
                .await
                .unwrap();
        }
        rooms.push(room);
    }
    let list = |term: Option<&str>, skip, limit| {
        let wanted = directory::Wanted {
            term: term.map(str::to_owned),
            room_types: None,
            skip,
            limit,
        };
        let page = directory::list(&house.s(), &wanted).unwrap();
        let names: Vec<_> = page
            .rooms
            .into_iter()
            .map(|(_, summary)| summary.name.unwrap())
            .collect();
        (names, page.more)
    };
    assert_eq!(
        list(None, 0, 10),
        (vec!["Garden shed".to_owned(), "Garden".to_owned()], 0)
    );
    assert_eq!(list(None, 0, 1).1, 1);
    assert_eq!(list(None, 1, 1), (vec!["Garden".to_owned()], 0));
    assert_eq!(list(Some("SHED"), 0, 10).0, ["Garden shed"]);
    let publish = |who: &str, listed, admin| {
        let (room, who) = (rooms[1].room_id.clone(), user(who));
        let house = &house;
        async move { house.rooms.publish(&room, &who, listed, admin).await }
    };
    assert!(matches!(
        publish("g0", true, false).await,
        Err(Error::Forbidden(_))
    ));
    publish("alice", true, false).await.unwrap();
    assert_eq!(list(None, 0, 10).0.len(), 3);
    publish("g0", false, true).await.unwrap();
    assert_eq!(list(None, 0, 10).0.len(), 2);
}

#[tokio::test]
async fn an_alias_is_removed_by_those_it_concerns() {
    let house = House::new();
    let room = house.room("12", "alice", "public").await;
    house.join(&room, "bob").await.unwrap();
    house.join(&room, "carol").await.unwrap();
    let alias: ruma::OwnedRoomAliasId = "#a:here".try_into().unwrap();
    house
        .rooms
        .create_alias(&alias, &room, &user("bob"))
        .await
        .unwrap();
    assert!(matches!(
        house
            .rooms
            .create_alias(&alias, &room, &user("carol"))
            .await,
        Err(Error::AliasInUse(_))
    ));
    assert!(matches!(
        house
            .rooms
            .delete_alias(&alias, &user("carol"), false)
            .await,
        Err(Error::Forbidden(_))
    ));
    let canonical = json!({ "alias": alias, "alt_aliases": ["#b:here"] });
    assert!(matches!(
        house
            .set(&room, "alice", "m.room.canonical_alias", "", canonical)
            .await,
        Err(Error::BadAlias(_))
    ));
    house
        .set(
            &room,
            "alice",
            "m.room.canonical_alias",
            "",
            json!({ "alias": alias }),
        )
        .await
        .unwrap();
    assert_eq!(
        aliases::of_room(&house.s(), house.no(&room)).unwrap(),
        ["#a:here"]
    );
    for who in ["alice", "bob"] {
        assert_eq!(
            house
                .rooms
                .delete_alias(&alias, &user(who), false)
                .await
                .unwrap(),
            room
        );
        assert!(matches!(
            house.rooms.delete_alias(&alias, &user(who), false).await,
            Err(Error::NoSuchAlias)
        ));
        house
            .rooms
            .create_alias(&alias, &room, &user("bob"))
            .await
            .unwrap();
    }
    house
        .rooms
        .delete_alias(&alias, &user("admin"), true)
        .await
        .unwrap();
    assert!(
        aliases::of_room(&house.s(), house.no(&room))
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn search_finds_what_was_said_and_only_that() {
    let house = House::new();
    let (one, two) = (
        house.room("12", "alice", "public").await,
        house.room("12", "alice", "public").await,
    );
    house.join(&one, "bob").await.unwrap();
    for n in 0..5 {
        house
            .say(&one, "alice", &format!("Apple pie {n}"))
            .await
            .unwrap();
        house
            .say(&two, "alice", &format!("apple juice {n}"))
            .await
            .unwrap();
    }
    let s = house.s();
    let rooms = [house.no(&one), house.no(&two)];
    let find = |who: &str, term: &str, from, limit| {
        let wanted = search::Wanted {
            term: term.to_owned(),
            bodies: true,
            names: true,
            topics: true,
            from,
            limit,
        };
        let user = s.user_no(&user(who)).unwrap().unwrap();
        let page = search::search(&s, user, &rooms, &wanted, |_| true).unwrap();
        let bodies: Vec<_> = page
            .events
            .iter()
            .map(|event| {
                event.content::<serde_json::Value>().unwrap()["body"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        (bodies, page.next)
    };
    assert_eq!(
        find("bob", "pie APPLE", None, 2).0,
        ["Apple pie 4", "Apple pie 3"]
    );
    let (first, next) = find("alice", "apple", None, 3);
    assert_eq!(first, ["apple juice 4", "Apple pie 4", "apple juice 3"]);
    let (second, _) = find("alice", "apple", next, 2);
    assert_eq!(second, ["Apple pie 3", "apple juice 2"]);
    assert_eq!(find("alice", "apple", None, 100).0.len(), 10);
    assert_eq!(find("bob", "juice", None, 100), (vec![], None));
    assert_eq!(find("bob", "...", None, 100), (vec![], None));
}

#[tokio::test]
async fn an_event_is_found_by_its_time_and_shown_in_its_place() {
    let house = House::new();
    let room = house.room("12", "alice", "public").await;
    let start = house.rooms.now();
    let mut said = Vec::new();
    for n in 0..10 {
        house.clock.advance(Duration::from_secs(60));
        said.push(house.say(&room, "alice", &n.to_string()).await.unwrap());
    }
    let s = house.s();
    let viewer =
        visibility::Viewer::new(&s, house.no(&room), s.user_no(&user("alice")).unwrap()).unwrap();
    let nearest = |ts, order| {
        context::nearest(&s, &viewer, house.no(&room), ts, order)
            .unwrap()
            .map(|event| event.event_id().to_owned())
    };
    assert_eq!(
        nearest(start + 150_000, Order::Forward).as_deref(),
        Some(said[2].as_str())
    );
    assert_eq!(
        nearest(start + 150_000, Order::Backward).as_deref(),
        Some(said[1].as_str())
    );
    assert_eq!(nearest(start + 10_000_000, Order::Forward), None);

    let context = context::around(
        &s,
        &viewer,
        house.no(&room),
        house.event(&room, &said[5]),
        4,
    )
    .unwrap();
    let ids = |events: &[Stored]| {
        events
            .iter()
            .map(|event| event.event_id().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&context.before), [said[4].as_str(), said[3].as_str()]);
    assert_eq!(ids(&context.after), [said[6].as_str(), said[7].as_str()]);
    let earlier =
        timeline::page(&s, house.no(&room), context.start, None, Order::Backward, 1).unwrap();
    assert_eq!(ids(&earlier.events), [said[2].as_str()]);
    let later = timeline::page(&s, house.no(&room), context.end, None, Order::Forward, 1).unwrap();
    assert_eq!(ids(&later.events), [said[8].as_str()]);
}

#[tokio::test]
async fn pages_meet_without_gap_or_overlap() {
    let house = House::new();
    let (room, other) = (
        house.room("12", "alice", "public").await,
        house.room("12", "alice", "public").await,
    );
    for n in 0..23 {
        house.say(&room, "alice", &n.to_string()).await.unwrap();
        house.say(&other, "alice", "noise").await.unwrap();
    }
    let s = house.s();
    let all: Vec<String> = house
        .timeline(&room)
        .into_iter()
        .map(|(_, id)| id)
        .collect();
    for size in [1, 2, 5, 29, 100] {
        for (order, start) in [(Order::Forward, Pos::ZERO), (Order::Backward, Pos::MAX)] {
            let (mut found, mut from) = (Vec::new(), Some(start));
            while let Some(place) = from {
                let page = timeline::page(&s, house.no(&room), place, None, order, size).unwrap();
                found.extend(page.events.iter().map(|event| event.event_id().to_owned()));
                from = page.next;
            }
            if order == Order::Backward {
                found.reverse();
            }
            assert_eq!(found, all);
        }
    }
}

#[tokio::test]
async fn receipts_move_forward_and_are_told_once() {
    let house = House::new();
    let room = house.room("12", "alice", "public").await;
    house.join(&room, "bob").await.unwrap();
    let (one, two) = (
        house.say(&room, "alice", "1").await.unwrap(),
        house.say(&room, "alice", "2").await.unwrap(),
    );
    let read = |who: &str, kind, thread: Option<&'static str>, event: &ruma::OwnedEventId| {
        let (who, event, room, rooms) =
            (user(who), event.clone(), room.clone(), house.rooms.clone());
        async move { rooms.receipt(&room, &who, kind, thread, &event).await }
    };
    let before = house.store.head();
    read("bob", receipts::Kind::Public, None, &two)
        .await
        .unwrap();
    let after_one = house.store.head();
    read("bob", receipts::Kind::Public, None, &one)
        .await
        .unwrap();
    assert_eq!(house.store.head(), after_one, "it does not move back");
    read("bob", receipts::Kind::Private, Some("main"), &one)
        .await
        .unwrap();
    read("alice", receipts::Kind::Public, None, &one)
        .await
        .unwrap();
    assert!(matches!(
        read("eve", receipts::Kind::Public, None, &one).await,
        Err(Error::NotJoined)
    ));
    let unknown = ruma::OwnedEventId::try_from("$unknown").unwrap();
    assert!(matches!(
        read("bob", receipts::Kind::Public, None, &unknown).await,
        Err(Error::NoSuchEvent)
    ));

    let s = house.s();
    let no = |name: &str| s.user_no(&user(name)).unwrap().unwrap();
    let moved = receipts::moved(&s, house.no(&room), before, s.head()).unwrap();
    let told: Vec<_> = moved
        .iter()
        .map(|receipt| (receipt.user, receipt.kind, receipt.event_id.clone()))
        .collect();
    let expected = [
        (no("bob"), receipts::Kind::Public, two.to_string()),
        (no("bob"), receipts::Kind::Private, one.to_string()),
        (no("alice"), receipts::Kind::Public, one.to_string()),
    ];
    assert_eq!(told, expected);
    assert!(
        receipts::moved(&s, house.no(&room), s.head(), Pos::MAX)
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        moved
            .iter()
            .filter(|receipt| receipt.is_for(no("alice")))
            .count(),
        2
    );
    read("alice", receipts::Kind::Public, None, &two)
        .await
        .unwrap();
    assert_eq!(receipts::all(&house.s(), house.no(&room)).unwrap().len(), 3);
    assert_eq!(
        receipts::moved(&house.s(), house.no(&room), before, Pos::MAX)
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn typing_ends_by_itself_and_with_the_stay() {
    let house = House::new();
    let room = house.room("12", "alice", "public").await;
    house.join(&room, "bob").await.unwrap();
    let s = house.s();
    let (no, bob) = (house.no(&room), s.user_no(&user("bob")).unwrap().unwrap());
    let typing = house.rooms.typing();
    let bell = typing.watch();
    typing.set(no, bob, Some(Duration::from_secs(30)));
    assert_eq!(typing.users(no), [bob]);
    assert!(bell.has_changed().unwrap());
    let version = typing.version();
    typing.set(no, bob, Some(Duration::from_secs(30)));
    assert_eq!(typing.version(), version, "to go on is no news");
    assert_eq!(typing.users_if_changed(no, version), None);
    house.clock.advance(Duration::from_secs(31));
    typing.tick();
    assert_eq!(typing.users_if_changed(no, version), Some(vec![]));
    assert_eq!(typing.changed_rooms(version), [no]);
    typing.set(no, bob, Some(Duration::from_secs(30)));
    house.leave(&room, "bob").await.unwrap();
    assert!(typing.users(no).is_empty());
}
