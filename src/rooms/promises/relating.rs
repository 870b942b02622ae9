//! Relations: edits, threads, references, annotations, and what is told of them.

use std::collections::HashSet;

use ruma::{OwnedEventId, OwnedRoomId};
use serde_json::{Value, json};
use store::{Order, Snapshot};

use super::house::{House, user};
use crate::relations::{Bundle, Wanted};
use crate::visibility::Viewer;
use crate::*;

fn relation(rel_type: &str, to: &OwnedEventId) -> Value {
    json!({ "rel_type": rel_type, "event_id": to })
}

fn edit(to: &OwnedEventId, body: &str) -> Value {
    json!({ "body": format!("* {body}"), "m.new_content": { "body": body }, "m.relates_to": relation("m.replace", to) })
}

fn in_thread(root: &OwnedEventId, body: &str) -> Value {
    json!({ "body": body, "m.relates_to": relation("m.thread", root) })
}

fn bundle_for(
    house: &House,
    room: &OwnedRoomId,
    event: &OwnedEventId,
    who: &str,
    ignored: &[&str],
) -> Option<Bundle> {
    let s = house.s();
    let no = |name: &str| s.user_no(&user(name)).unwrap().unwrap();
    let ignored: HashSet<_> = ignored.iter().map(|name| no(name)).collect();
    let events = [house.event(room, event)];
    relations::bundles(&s, Some(no(who)), &events, &ignored)
        .unwrap()
        .pop()
        .unwrap()
}

fn viewer<'s>(house: &House, s: &'s Snapshot, room: &OwnedRoomId, who: &str) -> Viewer<'s> {
    Viewer::new(s, house.no(room), s.user_no(&user(who)).unwrap()).unwrap()
}

async fn stage(house: &House) -> OwnedRoomId {
    let room = house.room("12", "alice", "public").await;
    house.join(&room, "bob").await.unwrap();
    room
}

#[tokio::test]
async fn the_newest_valid_edit_is_told() {
    let house = House::new();
    let room = stage(&house).await;
    let said = house.say(&room, "alice", "teh").await.unwrap();
    assert!(bundle_for(&house, &room, &said, "bob", &[]).is_none());
    let edited = |house: &House| {
        bundle_for(house, &room, &said, "bob", &[])
            .and_then(|bundle| bundle.edit)
            .map(|edit| edit.event_id().to_owned())
    };
    house.clock.advance(std::time::Duration::from_secs(1));
    let one = house
        .send(&room, "alice", "m.room.message", edit(&said, "the"))
        .await
        .unwrap();
    assert_eq!(edited(&house).as_ref(), Some(&one.to_string()));
    // Somebody else's, one of another type, one without content, and an edit of an edit are none.
    house
        .send(&room, "bob", "m.room.message", edit(&said, "mine"))
        .await
        .unwrap();
    house
        .send(&room, "alice", "org.example", edit(&said, "other"))
        .await
        .unwrap();
    house
        .send(
            &room,
            "alice",
            "m.room.message",
            json!({ "body": "x", "m.relates_to": relation("m.replace", &said) }),
        )
        .await
        .unwrap();
    house
        .send(&room, "alice", "m.room.message", edit(&one, "again"))
        .await
        .unwrap();
    assert_eq!(edited(&house).as_ref(), Some(&one.to_string()));
    assert!(bundle_for(&house, &room, &one, "bob", &[]).is_none());
    house.clock.advance(std::time::Duration::from_secs(1));
    let two = house
        .send(&room, "alice", "m.room.message", edit(&said, "the!"))
        .await
        .unwrap();
    assert_eq!(edited(&house).as_ref(), Some(&two.to_string()));
    house.redact(&room, "alice", &two).await.unwrap();
    assert_eq!(
        edited(&house).as_ref(),
        Some(&one.to_string()),
        "the one before stands again"
    );
    house.redact(&room, "alice", &said).await.unwrap();
    assert_eq!(edited(&house), None);
}

#[tokio::test]
async fn a_thread_is_told_in_short() {
    let house = House::new();
    let room = stage(&house).await;
    house.join(&room, "carol").await.unwrap();
    let root = house.say(&room, "alice", "root").await.unwrap();
    let mut last = root.clone();
    for n in 0..3 {
        last = house
            .send(
                &room,
                "bob",
                "m.room.message",
                in_thread(&root, &n.to_string()),
            )
            .await
            .unwrap();
    }
    let thread =
        |who: &str, ignored: &[&str]| bundle_for(&house, &room, &root, who, ignored)?.thread;
    let told = thread("bob", &[]).unwrap();
    assert_eq!(
        (told.count, told.latest.event_id(), told.participated),
        (3, last.as_str(), true)
    );
    assert!(
        thread("alice", &[]).unwrap().participated,
        "the root counts"
    );
    assert!(!thread("carol", &[]).unwrap().participated);
    assert!(thread("carol", &["bob"]).is_none());
    let by_carol = house
        .send(&room, "carol", "m.room.message", in_thread(&root, "c"))
        .await
        .unwrap();
    let told = thread("alice", &["bob"]).unwrap();
    assert_eq!((told.count, told.latest.event_id()), (1, by_carol.as_str()));
    house.redact(&room, "carol", &by_carol).await.unwrap();
    let told = thread("carol", &[]).unwrap();
    assert_eq!(
        (told.count, told.latest.event_id(), told.participated),
        (3, last.as_str(), false)
    );
    let nested = house
        .send(&room, "bob", "m.room.message", in_thread(&last, "nested"))
        .await;
    assert!(matches!(nested, Err(Error::BadRelation(_))));
}

#[tokio::test]
async fn threads_are_listed_by_their_newest_event() {
    let house = House::new();
    let room = stage(&house).await;
    let mut roots = Vec::new();
    for n in 0..4 {
        let root = house.say(&room, "alice", &n.to_string()).await.unwrap();
        house
            .send(
                &room,
                if n == 1 { "bob" } else { "alice" },
                "m.room.message",
                in_thread(&root, "a"),
            )
            .await
            .unwrap();
        roots.push(root);
    }
    house
        .send(&room, "alice", "m.room.message", in_thread(&roots[0], "b"))
        .await
        .unwrap();
    let s = house.s();
    let list = |who: &str, include, from, limit| {
        let page = threads::list(
            &s,
            &viewer(&house, &s, &room, who),
            house.no(&room),
            include,
            from,
            limit,
        )
        .unwrap();
        let numbers: Vec<usize> = page
            .roots
            .iter()
            .map(|root| roots.iter().position(|id| id == root.event_id()).unwrap())
            .collect();
        (numbers, page.next)
    };
    let (first, next) = list("bob", threads::Include::All, None, 3);
    assert_eq!(first, [0, 3, 2]);
    assert_eq!(list("bob", threads::Include::All, next, 3), (vec![1], None));
    assert_eq!(list("bob", threads::Include::Participated, None, 3).0, [1]);
    assert_eq!(
        list("alice", threads::Include::Participated, None, 9).0,
        [0, 3, 2, 1]
    );
    assert!(list("eve", threads::Include::All, None, 9).0.is_empty());
}

#[tokio::test]
async fn related_events_are_listed_in_pages() {
    let house = House::new();
    let room = stage(&house).await;
    let said = house.say(&room, "alice", "x").await.unwrap();
    let mut sent = Vec::new();
    for n in 0..3 {
        let annotation = json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": said, "key": n.to_string() } });
        sent.push(
            house
                .send(&room, "bob", "m.reaction", annotation)
                .await
                .unwrap(),
        );
        let reference = json!({ "m.relates_to": relation("m.reference", &said) });
        sent.push(
            house
                .send(&room, "bob", "org.example.ref", reference)
                .await
                .unwrap(),
        );
    }
    let deep = json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": sent[1], "key": "deep" } });
    let deep = house
        .send(&room, "alice", "m.reaction", deep)
        .await
        .unwrap();
    let again =
        json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": said, "key": "1" } });
    assert!(matches!(
        house.send(&room, "bob", "m.reaction", again.clone()).await,
        Err(Error::DuplicateAnnotation)
    ));
    let by_alice = house
        .send(&room, "alice", "m.reaction", again)
        .await
        .unwrap();
    sent.extend([deep, by_alice]);

    let s = house.s();
    let list = |wanted: &Wanted, who: &str| {
        let page = relations::list(
            &s,
            &viewer(&house, &s, &room, who),
            &house.event(&room, &said),
            wanted,
        )
        .unwrap();
        let numbers: Vec<usize> = page
            .events
            .iter()
            .map(|event| sent.iter().position(|id| id == event.event_id()).unwrap())
            .collect();
        (numbers, page.next)
    };
    let all = Wanted {
        rel_type: None,
        event_type: None,
        order: Order::Backward,
        from: None,
        to: None,
        limit: 3,
        recurse: false,
    };
    let (first, next) = list(&all, "alice");
    assert_eq!(first, [7, 5, 4]);
    let (rest, end) = list(
        &Wanted {
            from: next,
            limit: 10,
            ..all.clone()
        },
        "alice",
    );
    assert_eq!((rest, end), (vec![3, 2, 1, 0], None));
    let forward = Wanted {
        order: Order::Forward,
        limit: 10,
        ..all.clone()
    };
    assert_eq!(
        list(
            &Wanted {
                rel_type: Some("m.reference".into()),
                ..forward.clone()
            },
            "alice"
        )
        .0,
        [1, 3, 5]
    );
    assert_eq!(
        list(
            &Wanted {
                event_type: Some("m.reaction".into()),
                ..forward.clone()
            },
            "alice"
        )
        .0,
        [0, 2, 4, 7]
    );
    assert_eq!(
        list(
            &Wanted {
                recurse: true,
                ..forward.clone()
            },
            "alice"
        )
        .0,
        [0, 1, 2, 3, 4, 5, 6, 7]
    );
    assert!(list(&forward, "eve").0.is_empty());
    let told = bundle_for(&house, &room, &said, "alice", &[]).unwrap();
    assert_eq!(
        told.references,
        [&sent[1], &sent[3], &sent[5]].map(ToString::to_string)
    );
}

#[tokio::test]
async fn reactions_belong_to_the_thread_of_what_they_are_about() {
    let house = House::new();
    let room = stage(&house).await;
    let root = house.say(&room, "alice", "root").await.unwrap();
    let reply = house
        .send(&room, "bob", "m.room.message", in_thread(&root, "r"))
        .await
        .unwrap();
    let react = |to: &OwnedEventId| json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": to, "key": "k" } });
    let inside = house
        .send(&room, "alice", "m.reaction", react(&reply))
        .await
        .unwrap();
    let outside = house
        .send(&room, "alice", "m.reaction", react(&root))
        .await
        .unwrap();
    let s = house.s();
    let thread =
        |event: &OwnedEventId| relations::thread_of(&s, &house.event(&room, event)).unwrap();
    let number = Some(house.event(&room, &root).no());
    assert_eq!(
        [
            thread(&root),
            thread(&reply),
            thread(&inside),
            thread(&outside)
        ],
        [None, number, number, None]
    );
}

#[tokio::test]
async fn ill_formed_relations_are_just_content() {
    let house = House::new();
    let room = stage(&house).await;
    let said = house.say(&room, "alice", "x").await.unwrap();
    for bad in [
        json!({ "m.relates_to": 5 }),
        json!({ "m.relates_to": { "rel_type": 1, "event_id": said } }),
        json!({ "m.relates_to": { "rel_type": "m.thread", "event_id": "junk" } }),
        json!({ "m.relates_to": { "rel_type": "m.thread", "event_id": "$unknown" } }),
        json!({ "m.relates_to": { "m.in_reply_to": { "event_id": said } } }),
    ] {
        house
            .send(&room, "bob", "m.room.message", bad)
            .await
            .unwrap();
    }
    assert!(bundle_for(&house, &room, &said, "bob", &[]).is_none());
}
