//! Saying things: order, repeats, limits, and what redactions leave.

use serde_json::json;

use super::house::{House, user};
use crate::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_senders_make_one_line() {
    let house = std::sync::Arc::new(House::new());
    let room = house.room("12", "alice", "public").await;
    for n in 0..64 {
        house.join(&room, &format!("u{n}")).await.unwrap();
    }
    let mut senders = Vec::new();
    for n in 0..64 {
        let (house, room) = (house.clone(), room.clone());
        let talk = async move {
            let mut said = Vec::new();
            for m in 0..20 {
                // Every third is a request that the client repeats at once, without having heard an answer.
                let (name, txn) = (format!("u{n}"), format!("m{m}"));
                let content = json!({ "body": format!("{n}/{m}") });
                let send =
                    || house.send_txn(&room, &name, "m.room.message", content.clone(), Some(&txn));
                let event_id = if m % 3 == 0 {
                    let (one, other) = tokio::join!(send(), send());
                    let (one, other) = (one.unwrap(), other.unwrap());
                    assert_eq!(one.event_id, other.event_id);
                    assert!(one.repeated != other.repeated);
                    one.event_id
                } else {
                    send().await.unwrap().event_id
                };
                said.push(event_id);
            }
            said
        };
        senders.push(talk);
    }
    let said: Vec<_> = futures_util::future::join_all(senders).await.concat();
    let timeline = house.timeline(&room);
    assert_eq!(timeline.len(), 6 + 64 + 64 * 20);
    for event_id in &said {
        let times = timeline
            .iter()
            .filter(|(_, id)| id == event_id.as_str())
            .count();
        assert_eq!(times, 1);
    }
    // Each event follows exactly the one before it.
    let s = house.s();
    let mut before: Option<Stored> = None;
    for (pos, id) in timeline {
        let event = Stored::find(
            &s,
            house.no(&room),
            &ruma::OwnedEventId::try_from(id).unwrap(),
        )
        .unwrap()
        .unwrap();
        assert_eq!(event.pos(), Some(pos));
        let pdu = event.pdu(&room).unwrap();
        let expected: Vec<_> = before
            .iter()
            .map(|before| before.owned_event_id().unwrap())
            .collect();
        assert_eq!(pdu.prev_events(), expected);
        assert_eq!(pdu.depth(), before.map_or(1, |before| before.depth() + 1));
        before = Some(event);
    }
}

#[tokio::test]
async fn a_transaction_belongs_to_what_was_asked() {
    let house = House::new();
    let room = house.room("12", "alice", "public").await;
    let other = house.room("12", "bob", "public").await;
    house.join(&other, "alice").await.unwrap();
    let text = json!({ "body": "x" });
    let first = house
        .send_txn(&room, "alice", "m.room.message", text.clone(), Some("1"))
        .await
        .unwrap();
    let again = house
        .send_txn(&room, "alice", "m.room.message", text.clone(), Some("1"))
        .await
        .unwrap();
    assert_eq!(
        (&again.event_id, again.pos, again.repeated),
        (&first.event_id, first.pos, true)
    );
    let elsewhere = house
        .send_txn(&other, "alice", "m.room.message", text.clone(), Some("1"))
        .await
        .unwrap();
    assert_ne!(elsewhere.event_id, first.event_id);
    let other_type = house
        .send_txn(&room, "alice", "org.example", text, Some("1"))
        .await
        .unwrap();
    assert_ne!(other_type.event_id, first.event_id);
    let s = house.s();
    let event = house.event(&room, &first.event_id);
    let (alice, bob) = (
        s.user_no(&user("alice")).unwrap().unwrap(),
        s.user_no(&user("bob")).unwrap().unwrap(),
    );
    assert_eq!(event.transaction_id(alice, "DEVICE"), Some("1"));
    assert_eq!(event.transaction_id(alice, "PHONE"), None);
    assert_eq!(event.transaction_id(bob, "DEVICE"), None);
}

#[tokio::test]
async fn who_may_not_speak_is_told_why() {
    let house = House::new();
    let room = house.room("12", "alice", "public").await;
    assert!(matches!(
        house.say(&room, "eve", "hi").await,
        Err(Error::NotJoined)
    ));
    house.join(&room, "eve").await.unwrap();
    house.say(&room, "eve", "hi").await.unwrap();
    house.leave(&room, "eve").await.unwrap();
    assert!(matches!(
        house.say(&room, "eve", "hi").await,
        Err(Error::Forbidden(_))
    ));
    let nowhere = ruma::OwnedRoomId::try_from("!nowhere:here").unwrap();
    assert!(matches!(
        house.say(&nowhere, "eve", "hi").await,
        Err(Error::NoSuchRoom)
    ));
    let name = json!({ "name": "Eve's" });
    house.join(&room, "eve").await.unwrap();
    assert!(matches!(
        house.set(&room, "eve", "m.room.name", "", name).await,
        Err(Error::Forbidden(_))
    ));
    let before = house.timeline(&room).len();
    assert!(matches!(
        house.say(&room, "eve", &"x".repeat(70_000)).await,
        Err(Error::TooLarge(_))
    ));
    let long = house.send(&room, "eve", &"t".repeat(256), json!({})).await;
    assert!(matches!(long, Err(Error::TooLarge(_))));
    assert_eq!(house.timeline(&room).len(), before);
    house.say(&room, "eve", "still here").await.unwrap();
}

#[tokio::test]
async fn new_power_counts_at_once() {
    let house = House::new();
    let room = house.room("11", "alice", "public").await;
    house.join(&room, "bob").await.unwrap();
    house.say(&room, "bob", "one").await.unwrap();
    let levels = json!({ "users": { "@alice:here": 100 }, "events_default": 10 });
    house
        .set(&room, "alice", "m.room.power_levels", "", levels)
        .await
        .unwrap();
    assert!(matches!(
        house.say(&room, "bob", "two").await,
        Err(Error::Forbidden(_))
    ));
    house.say(&room, "alice", "three").await.unwrap();
}

#[tokio::test]
async fn state_that_changes_nothing_is_not_sent() {
    let house = House::new();
    let room = house.room("12", "alice", "public").await;
    let one = house
        .set(&room, "alice", "m.room.topic", "", json!({ "topic": "a" }))
        .await
        .unwrap();
    let same = house
        .set(&room, "alice", "m.room.topic", "", json!({ "topic": "a" }))
        .await
        .unwrap();
    assert_eq!(one, same);
    let other = house
        .set(&room, "alice", "m.room.topic", "", json!({ "topic": "b" }))
        .await
        .unwrap();
    assert_ne!(one, other);
    let event = house.event(&room, &other);
    assert_eq!(event.replaces(), Some(house.event(&room, &one).no()));
    assert_eq!(
        summary::of(&house.s(), house.no(&room))
            .unwrap()
            .topic
            .as_deref(),
        Some("b")
    );
}

#[tokio::test]
async fn a_redaction_leaves_nothing_in_any_version() {
    let house = House::new();
    for version in ["1", "2", "3", "6", "9", "10", "11", "12"] {
        let room = house.room(version, "alice", "public").await;
        house.join(&room, "bob").await.unwrap();
        let said = house.say(&room, "bob", "SECRET").await.unwrap();
        let reaction = json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": said, "key": "SECRET" } });
        let reaction = house
            .send(&room, "bob", "m.reaction", reaction)
            .await
            .unwrap();
        let topic = house
            .set(
                &room,
                "alice",
                "m.room.topic",
                "",
                json!({ "topic": "SECRET" }),
            )
            .await
            .unwrap();
        assert!(
            matches!(
                house.redact(&room, "bob", &topic).await,
                Err(Error::Forbidden(_))
            ),
            "version {version}"
        );
        for (who, event) in [("bob", &said), ("alice", &reaction), ("alice", &topic)] {
            house.redact(&room, who, event).await.unwrap();
        }
        let redaction = house.event(&room, &said).redacted_by().unwrap();
        let redaction = Stored::get(&house.s(), redaction).unwrap();
        assert_eq!(redaction.redacts().as_ref(), Some(&said));
        let mut client = String::new();
        redaction.write_client(Some(&room), "", &mut client);
        let client: serde_json::Value = serde_json::from_str(&client).unwrap();
        assert_eq!(client["redacts"], said.as_str(), "version {version}");
        assert_eq!(
            client["content"]["redacts"],
            said.as_str(),
            "version {version}"
        );
        assert_eq!(client["content"]["reason"], "spam");
        assert_eq!(house.client(&room, &said)["content"], json!({}));
        assert_eq!(
            summary::of(&house.s(), house.no(&room)).unwrap().topic,
            None
        );
        let s = house.s();
        for (_, id) in house.timeline(&room) {
            let event = Stored::find(
                &s,
                house.no(&room),
                &ruma::OwnedEventId::try_from(id).unwrap(),
            )
            .unwrap()
            .unwrap();
            assert!(!event.json().contains("SECRET"), "version {version}");
            event.pdu(&room).unwrap();
        }
        let viewer =
            visibility::Viewer::new(&s, house.no(&room), s.user_no(&user("alice")).unwrap())
                .unwrap();
        let wanted = relations::Wanted {
            rel_type: None,
            event_type: None,
            order: store::Order::Forward,
            from: None,
            to: None,
            limit: 10,
            recurse: false,
        };
        let related = relations::list(&s, &viewer, &house.event(&room, &said), &wanted).unwrap();
        assert!(related.events.is_empty());
        house.say(&room, "bob", "goes on").await.unwrap();
    }
}

#[tokio::test]
async fn nobody_redacts_across_rooms_or_without_power() {
    let house = House::new();
    let (room, other) = (
        house.room("12", "alice", "public").await,
        house.room("12", "bob", "public").await,
    );
    house.join(&room, "bob").await.unwrap();
    let said = house.say(&room, "alice", "mine").await.unwrap();
    assert!(matches!(
        house.redact(&other, "bob", &said).await,
        Err(Error::NoSuchEvent)
    ));
    assert!(matches!(
        house.redact(&room, "bob", &said).await,
        Err(Error::Forbidden(_))
    ));
    let by_send = house
        .send(&room, "bob", "m.room.redaction", json!({ "redacts": said }))
        .await;
    assert!(matches!(by_send, Err(Error::Forbidden(_))));
    assert_eq!(house.client(&room, &said)["content"]["body"], "mine");
    let by_send = house
        .send(
            &room,
            "alice",
            "m.room.redaction",
            json!({ "redacts": said }),
        )
        .await
        .unwrap();
    assert_eq!(
        house.client(&room, &by_send)["content"]["redacts"],
        said.as_str()
    );
    assert_eq!(house.client(&room, &said)["content"], json!({}));
}

#[tokio::test]
async fn a_redacted_membership_loses_its_name_everywhere() {
    let house = House::new();
    let room = house.room("12", "alice", "public").await;
    let joined = house.join(&room, "bob").await.unwrap();
    assert_eq!(
        house
            .standing(&room, "bob")
            .unwrap()
            .display_name
            .as_deref(),
        Some("bob")
    );
    house.redact(&room, "alice", &joined).await.unwrap();
    let bob = house.standing(&room, "bob").unwrap();
    assert_eq!((bob.membership, bob.display_name), (Membership::Join, None));
    let s = house.s();
    let members: Vec<_> = members::list(&s, house.no(&room), Membership::Join)
        .map(|member| member.unwrap().display_name)
        .collect();
    assert_eq!(members, [Some("alice".to_owned()), None]);
}
