//! Servers that lie, and those that are shut out.

use event::Pdu;
use http::{Response, StatusCode};
use peers::loopback::refusal;
use ruma::OwnedEventId;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Server, pair};
use crate::explain::Fate;
use crate::*;

fn raw(pdu: &Pdu) -> Box<RawValue> {
    RawValue::from_string(pdu.json().to_owned()).unwrap()
}

fn message(server: &Server, room: &ruma::OwnedRoomId, body: &str) -> Pdu {
    let at = state::At::now(&server.s(), server.no(room)).unwrap();
    let content = json!({ "msgtype": "m.text", "body": body });
    server.forge(
        room,
        &server.tips(room),
        &at,
        "@bob:b",
        ("m.room.message", None),
        content,
    )
}

#[tokio::test]
async fn a_wrong_signature_and_a_wrong_room_come_to_nothing() {
    let (a, b, room) = pair("12").await;
    let other = a.room("12", "@alice:a").await;
    // In the name of somebody else.
    let at = state::At::now(&b.s(), b.no(&room)).unwrap();
    let content = json!({ "msgtype": "m.text", "body": "I am Alice" });
    let forged = b.forge(
        &room,
        &b.tips(&room),
        &at,
        "@alice:a",
        ("m.room.message", None),
        content,
    );
    let answer = a.rooms.receive(b.name(), vec![raw(&forged)]).await.unwrap();
    assert_eq!(answer.len(), 1);
    a.rooms.settled(&room).await.unwrap();
    let forged: OwnedEventId = forged.event_id().to_owned();
    assert!(
        matches!(a.fate(&forged), Some(Fate::Dropped { .. })),
        "{:?}",
        a.fate(&forged)
    );
    // An event of one room, said to be of another one.
    let moved = message(&b, &room, "hello")
        .json()
        .replace(room.as_str(), other.as_str());
    let moved = RawValue::from_string(moved).unwrap();
    let before = a.timeline(&other);
    a.rooms.receive(b.name(), vec![moved]).await.unwrap();
    a.rooms.settled(&other).await.unwrap();
    assert_eq!(a.timeline(&other), before);
    // No event at all, and one of a room that nobody knows.
    for nonsense in [
        "{}",
        "[]",
        "\"x\"",
        "{\"room_id\":7}",
        "{\"room_id\":\"!nowhere:b\"}",
    ] {
        let nonsense = RawValue::from_string(nonsense.to_owned()).unwrap();
        let answer = a.rooms.receive(b.name(), vec![nonsense]).await.unwrap();
        assert!(answer.is_empty());
    }
}

#[tokio::test]
async fn of_an_event_whose_hash_is_wrong_only_the_skeleton_is_kept() {
    let (a, b, room) = pair("12").await;
    let honest = message(&b, &room, "what was signed");
    let changed = honest.json().replace("what was signed", "what was not");
    let raw = RawValue::from_string(changed).unwrap();
    a.rooms.receive(b.name(), vec![raw]).await.unwrap();
    a.rooms.settled(&room).await.unwrap();
    let s = a.s();
    let kept = Stored::find(&s, a.no(&room), honest.event_id())
        .unwrap()
        .unwrap();
    assert_eq!(kept.content_str(), "{}");
    assert!(kept.pos().is_some());
}

#[tokio::test]
async fn both_of_two_stories_told_at_once_are_kept() {
    let (a, b, room) = pair("12").await;
    let (one, other) = (message(&b, &room, "yes"), message(&b, &room, "no"));
    a.rooms
        .receive(b.name(), vec![raw(&one), raw(&other)])
        .await
        .unwrap();
    a.rooms.settled(&room).await.unwrap();
    for event in [one, other] {
        assert!(a.has(&room, &event.event_id().to_owned()));
    }
    assert_eq!(a.tips(&room).len(), 2);
}

#[tokio::test]
async fn a_past_without_end_ends_somewhere() {
    let (a, b, room) = pair("12").await;
    // A chain of events that begins nowhere: each answer names one more that nobody has.
    let at = state::At::now(&b.s(), b.no(&room)).unwrap();
    let mut chain = vec![message(&b, &room, "0")];
    for n in 1..3_000 {
        let content = json!({ "msgtype": "m.text", "body": n.to_string() });
        let prev = [chain[n - 1].clone()];
        chain.push(b.forge(
            &room,
            &prev,
            &at,
            "@bob:b",
            ("m.room.message", None),
            content,
        ));
    }
    let last = chain.pop().unwrap();
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (events, count) = (chain.split_off(1), asked.clone());
    b.network.join_as(&b.peers, move |request| {
        let (events, count) = (events.clone(), count.clone());
        async move {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if !request.uri().path().contains("get_missing_events") {
                return refusal(StatusCode::NOT_FOUND, "not told");
            }
            let body: Value = serde_json::from_slice(request.body()).unwrap();
            let latest: Vec<OwnedEventId> =
                serde_json::from_value(body["latest_events"].clone()).unwrap();
            let place = events
                .iter()
                .position(|event| latest.iter().any(|id| id == event.event_id()));
            let end = place.unwrap_or(events.len());
            let part = &events[end.saturating_sub(10)..end];
            let list: Vec<&str> = part.iter().map(Pdu::json).collect();
            Response::new(format!("{{\"events\":[{}]}}", list.join(",")).into())
        }
    });
    a.rooms.receive(b.name(), vec![raw(&last)]).await.unwrap();
    a.rooms.settled(&room).await.unwrap();
    let asked = asked.load(std::sync::atomic::Ordering::Relaxed);
    assert!(asked <= 400, "{asked} questions");
    let fate = a.fate(&last.event_id().to_owned());
    assert!(matches!(fate, Some(Fate::Waiting { .. })), "{fate:?}");
    // The room itself goes on.
    let said = a.say(&room, "@alice:a", "still here").await;
    assert!(a.has(&room, &said));
}

#[tokio::test]
async fn what_names_something_rejected_as_its_authority_is_rejected() {
    let (a, b, room) = pair("11").await;
    let at = state::At::now(&b.s(), b.no(&room)).unwrap();
    let s = b.s();
    let usurp = b.forge(
        &room,
        &b.tips(&room),
        &at,
        "@bob:b",
        ("m.room.power_levels", Some("")),
        json!({ "users": { "@bob:b": 100 } }),
    );
    let get = |event_type, key| {
        at.get(&s, event_type, key)
            .unwrap()
            .unwrap()
            .pdu(&room)
            .unwrap()
    };
    let auth = [
        get("m.room.create", ""),
        get("m.room.member", "@bob:b"),
        usurp.clone(),
    ];
    let content = compose::raw(&json!({ "msgtype": "m.text", "body": "I rule" })).unwrap();
    let by_it = b.seal(
        &room,
        &b.tips(&room),
        &auth,
        "@bob:b",
        ("m.room.message", None),
        content,
    );
    // It is asked for, and judged on its own.
    let usurp_json = usurp.json().to_owned();
    b.network.join_as(&b.peers, move |request| {
        let usurp = usurp_json.clone();
        async move {
            if request.uri().path().contains("/event/") {
                return Response::new(format!("{{\"pdus\":[{usurp}]}}").into());
            }
            refusal(StatusCode::NOT_FOUND, "not told")
        }
    });
    a.rooms.receive(b.name(), vec![raw(&by_it)]).await.unwrap();
    a.rooms.settled(&room).await.unwrap();
    for event in [&usurp, &by_it] {
        let fate = a.fate(&event.event_id().to_owned());
        assert!(matches!(fate, Some(Fate::Rejected(_))), "{fate:?}");
    }
    assert_eq!(a.state(&room), b.state(&room));
    // Nor does it help to send it by itself.
    a.rooms.receive(b.name(), vec![raw(&usurp)]).await.unwrap();
    a.rooms.settled(&room).await.unwrap();
    assert_eq!(a.state(&room), b.state(&room));
}

#[tokio::test]
async fn a_server_that_is_shut_out_is_not_heard_and_not_told() {
    let (a, b, room) = pair("12").await;
    let before = b.say(&room, "@bob:b", "before").await;
    b.deliver(&a, &room, std::slice::from_ref(&before)).await;
    let acl = json!({ "allow": ["*"], "deny": ["b"] });
    a.set(&room, "@alice:a", ("m.room.server_acl", ""), acl)
        .await;
    let after = b.say(&room, "@bob:b", "after").await;
    let answer = b.deliver(&a, &room, std::slice::from_ref(&after)).await;
    assert!(answer[0].1.is_err());
    assert_eq!(a.fate(&after), None);
    let s = a.s();
    assert!(matches!(
        answers::event(&s, b.name(), &before),
        Err(Error::Forbidden(_))
    ));
    assert!(matches!(
        answers::state_ids(&s, b.name(), &room, &before),
        Err(Error::Forbidden(_))
    ));
    let (alice, bob) = (super::user("@alice:a"), super::user("@bob:b"));
    assert!(
        !a.rooms
            .edu_typing(b.name(), &room, &bob, true)
            .await
            .unwrap()
    );
    assert!(
        !a.rooms
            .edu_typing(b.name(), &room, &alice, true)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn nobody_can_fill_the_inbox() {
    let (a, b, room) = pair("12").await;
    let at = state::At::now(&b.s(), b.no(&room)).unwrap();
    let lost = message(&b, &room, "lost");
    b.not_answering("/federation/v1/");
    let (mut taken, mut refused) = (0, 0);
    for round in 0..25 {
        let mut raws = Vec::new();
        for n in 0..50 {
            let content = json!({ "body": format!("{round}.{n}") });
            let prev = [lost.clone()];
            let kind = ("m.room.message", None);
            raws.push(raw(&b.forge(&room, &prev, &at, "@bob:b", kind, content)));
        }
        for (_, answer) in a.rooms.receive(b.name(), raws).await.unwrap() {
            match answer {
                Ok(()) => taken += 1,
                Err(_) => refused += 1,
            }
        }
    }
    assert!(taken <= 1_050, "{taken} taken");
    assert!(refused >= 200, "{refused} refused");
    let too_many = vec![raw(&lost); 51];
    assert!(matches!(
        a.rooms.receive(b.name(), too_many).await,
        Err(Error::TooLarge(_))
    ));
}
