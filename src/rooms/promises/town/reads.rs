//! What other servers may read, and what they tell of their users.

use ruma::OwnedEventId;
use serde_json::{Value, json};

use super::{Server, pair, user};
use crate::*;

fn ids(events: &[String]) -> Vec<String> {
    let body = |event: &String| {
        let event: Value = serde_json::from_str(event).unwrap();
        event["content"]["body"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    events.iter().map(body).collect()
}

#[tokio::test]
async fn stretches_of_the_past_are_told_in_order_and_within_bounds() {
    let (a, b, room) = pair("12").await;
    let mut said = Vec::new();
    for n in 0..150 {
        said.push(a.say(&room, "@alice:a", &n.to_string()).await);
    }
    let s = a.s();
    let told = answers::backfill(&s, b.name(), &room, &said[149..], 3).unwrap();
    assert_eq!(ids(&told), ["149", "148", "147"]);
    let told = answers::backfill(&s, b.name(), &room, &said[149..], 1_000).unwrap();
    assert_eq!(told.len(), 100);
    let missing = |limit, min_depth| answers::Missing {
        latest: &said[10..11],
        earliest: &said[5..6],
        limit,
        min_depth,
    };
    let told = answers::missing_events(&s, b.name(), &room, &missing(10, 0)).unwrap();
    assert_eq!(ids(&told), ["6", "7", "8", "9"]);
    let told = answers::missing_events(&s, b.name(), &room, &missing(2, 0)).unwrap();
    assert_eq!(ids(&told), ["8", "9"]);
    let nowhere: OwnedEventId = "$nowhere".try_into().unwrap();
    assert!(matches!(
        answers::state(&s, b.name(), &room, &nowhere),
        Err(Error::NoSuchEvent)
    ));
    let stranger = "c".try_into().unwrap();
    assert!(matches!(
        answers::event(&s, stranger, &said[0]),
        Err(Error::Forbidden(_))
    ));
}

#[tokio::test]
async fn what_a_server_may_not_see_is_told_without_its_content() {
    let network = peers::loopback::Network::new();
    let (a, b) = (Server::new("a", &network), Server::new("b", &network));
    let room = a.room("12", "@alice:a").await;
    for history in ["joined", "invited", "shared", "world_readable"] {
        let content = json!({ "history_visibility": history });
        a.set(
            &room,
            "@alice:a",
            ("m.room.history_visibility", ""),
            content,
        )
        .await;
        a.say(&room, "@alice:a", history).await;
    }
    a.let_in(&b, &room, "@bob:b").await;
    let hidden = json!({ "history_visibility": "joined" });
    a.set(&room, "@alice:a", ("m.room.history_visibility", ""), hidden)
        .await;
    let now = a.say(&room, "@alice:a", "now").await;
    let told = answers::backfill(&a.s(), b.name(), &room, &[now], 100).unwrap();
    let told: Vec<String> = ids(&told)
        .into_iter()
        .filter(|body| !body.is_empty())
        .collect();
    assert_eq!(told, ["now", "world_readable", "shared"]);
}

#[tokio::test]
async fn state_is_told_with_all_that_stands_behind_it() {
    let (a, b, room) = pair("11").await;
    let at = a.say(&room, "@alice:a", "here").await;
    let s = a.s();
    let ids = answers::state_ids(&s, b.name(), &room, &at).unwrap();
    let state = answers::state(&s, b.name(), &room, &at).unwrap();
    assert_eq!(ids.pdu_ids.len(), state.pdus.len());
    assert_eq!(ids.auth_chain_ids.len(), state.auth_chain.len());
    let mut sorted: Vec<String> = ids.pdu_ids.iter().map(ToString::to_string).collect();
    sorted.sort();
    assert_eq!(sorted, a.state(&room).into_iter().collect::<Vec<_>>());
    // As it is stored, byte for byte.
    let raw = a.raw(&room, &ids.pdu_ids[0]);
    assert!(state.pdus.iter().any(|pdu| pdu == raw.get()));
    let chain = answers::event_auth(&s, b.name(), &room, &at).unwrap();
    assert!(!chain.is_empty());
}

#[tokio::test]
async fn receipts_and_typing_of_others_are_believed_of_their_own_members() {
    let (a, b, room) = pair("12").await;
    let (said, later) = (
        a.say(&room, "@alice:a", "1").await,
        a.say(&room, "@alice:a", "2").await,
    );
    let receipt = |who: &str, event: &OwnedEventId, ts| ReceiptEdu {
        room_id: room.clone(),
        user: user(who),
        event_ids: vec![event.clone()],
        thread: None,
        ts,
    };
    let now = a.rooms.now();
    assert!(
        a.rooms
            .edu_receipt(b.name(), receipt("@bob:b", &later, now))
            .await
            .unwrap()
    );
    // It does not move back, and nobody speaks for others.
    a.rooms
        .edu_receipt(b.name(), receipt("@bob:b", &said, now))
        .await
        .unwrap();
    assert!(
        !a.rooms
            .edu_receipt(b.name(), receipt("@alice:a", &said, now))
            .await
            .unwrap()
    );
    assert!(
        !a.rooms
            .edu_receipt(b.name(), receipt("@eve:b", &said, now))
            .await
            .unwrap()
    );
    let of = |s: &Snapshot| receipts::all(s, a.no(&room)).unwrap();
    let kept = of(&a.s());
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].event_id, later.as_str());
    // Of an event that is still on its way.
    let unseen = b.say(&room, "@bob:b", "mine").await;
    assert!(
        a.rooms
            .edu_receipt(b.name(), receipt("@bob:b", &unseen, now + 1))
            .await
            .unwrap()
    );
    assert_eq!(of(&a.s())[0].event_id, unseen.as_str());
    assert!(
        a.rooms
            .edu_typing(b.name(), &room, &user("@bob:b"), true)
            .await
            .unwrap()
    );
    assert_eq!(a.rooms.typing().users(a.no(&room)).len(), 1);
    assert!(
        a.rooms
            .edu_typing(b.name(), &room, &user("@bob:b"), false)
            .await
            .unwrap()
    );
    assert!(a.rooms.typing().users(a.no(&room)).is_empty());
}
