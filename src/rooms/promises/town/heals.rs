//! Servers that were apart, or heard things late, twice or in another order, come to the same room.

use serde_json::json;

use super::{Server, pair, user};
use crate::explain::Fate;
use crate::*;
use peers::loopback::Network;

#[tokio::test]
async fn two_servers_talk() {
    for version in ["1", "3", "6", "10", "12"] {
        let (a, b, room) = pair(version).await;
        assert_eq!(a.state(&room), b.state(&room));
        let hello = a.say(&room, "@alice:a", "hello").await;
        let answer = a.deliver(&b, &room, std::slice::from_ref(&hello)).await;
        assert_eq!(answer, [(hello.clone(), Ok(()))]);
        let hi = b.say(&room, "@bob:b", "hi").await;
        b.deliver(&a, &room, std::slice::from_ref(&hi)).await;
        for server in [&a, &b] {
            let timeline = server.timeline(&room);
            assert_eq!(
                timeline[timeline.len() - 2..],
                [hello.as_str(), hi.as_str()]
            );
            assert_eq!(server.tips(&room).len(), 1, "version {version}");
        }
        // A second time, nothing happens.
        let head = b.store.head();
        a.deliver(&b, &room, &[hello, hi]).await;
        assert_eq!(b.store.head(), head);
        assert_eq!(a.state(&room), b.state(&room));
    }
}

#[tokio::test]
async fn what_was_said_on_both_sides_of_a_cut_is_one_room_again() {
    for version in ["1", "2", "11", "12"] {
        let (a, b, room) = pair(version).await;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for n in 0..5 {
            ours.push(a.say(&room, "@alice:a", &format!("a{n}")).await);
            theirs.push(b.say(&room, "@bob:b", &format!("b{n}")).await);
            let topic = ("m.room.topic", "");
            ours.push(
                a.set(
                    &room,
                    "@alice:a",
                    topic,
                    json!({ "topic": format!("a{n}") }),
                )
                .await,
            );
            theirs.push(
                b.set(&room, "@bob:b", topic, json!({ "topic": format!("b{n}") }))
                    .await,
            );
        }
        a.deliver(&b, &room, &ours).await;
        b.deliver(&a, &room, &theirs).await;
        assert_eq!(a.state(&room), b.state(&room), "version {version}");
        let (mut left, mut right) = (a.timeline(&room), b.timeline(&room));
        left.retain(|id| right.contains(id));
        right.retain(|id| left.contains(id));
        left.sort();
        right.sort();
        assert_eq!(left, right);
        assert!(ours.iter().all(|event| b.has(&room, event)));
        assert!(theirs.iter().all(|event| a.has(&room, event)));
        let tie = a.say(&room, "@alice:a", "one again").await;
        a.deliver(&b, &room, &[tie]).await;
        assert_eq!((a.tips(&room).len(), b.tips(&room).len()), (1, 1));
        assert_eq!(a.state(&room), b.state(&room));
    }
}

#[tokio::test]
async fn the_order_of_arrival_does_not_matter() {
    let (a, b, room) = pair("12").await;
    let mut said = Vec::new();
    for n in 0..12 {
        said.push(a.say(&room, "@alice:a", &n.to_string()).await);
        let topic = json!({ "topic": n });
        said.push(a.set(&room, "@alice:a", ("m.room.topic", ""), topic).await);
    }
    // Nobody can be asked: what comes last has to wait for what comes first.
    a.not_answering("/federation/v1/");
    let mut backwards = said.clone();
    backwards.reverse();
    for event in &backwards {
        a.deliver(&b, &room, std::slice::from_ref(event)).await;
        a.deliver(&b, &room, std::slice::from_ref(event)).await;
    }
    // All of them are known now, though none could be judged but the first; each is sent again.
    for event in &said {
        a.deliver(&b, &room, std::slice::from_ref(event)).await;
    }
    let timeline = b.timeline(&room);
    let told: Vec<&str> = said.iter().map(|event| event.as_str()).collect();
    assert_eq!(timeline[timeline.len() - said.len()..], told);
    assert_eq!(a.state(&room), b.state(&room));
}

#[tokio::test]
async fn a_crash_loses_nothing_that_was_confirmed() {
    let (a, b, room) = pair("12").await;
    let name = b.peers.server_name().to_owned();
    let mut said = Vec::new();
    for n in 0..10 {
        said.push(a.say(&room, "@alice:a", &n.to_string()).await);
    }
    // The server dies after every delivery, before or after it has looked at it.
    let mut b = b;
    for (n, event) in said.iter().enumerate() {
        b = b.crashed().await;
        if n % 2 == 0 {
            b.start();
        }
        let raw = vec![a.raw(&room, event)];
        let answer = b.rooms.receive(a.name(), raw).await.unwrap();
        assert_eq!(answer, [(event.clone(), Ok(()))]);
    }
    let b = b.crashed().await;
    assert_eq!(b.peers.server_name(), name);
    b.start();
    b.rooms.settled(&room).await.unwrap();
    let timeline = b.timeline(&room);
    let told: Vec<&str> = said.iter().map(|event| event.as_str()).collect();
    assert_eq!(timeline[timeline.len() - said.len()..], told);
    let waiting = explain::room(&b.s(), &room).unwrap().waiting;
    assert!(waiting.is_empty(), "{waiting:?}");
}

#[tokio::test]
async fn what_is_allowed_at_its_place_but_not_now_is_kept_to_oneself() {
    let (a, b, room) = pair("12").await;
    let late = b.say(&room, "@bob:b", "I was still in").await;
    a.set(
        &room,
        "@alice:a",
        ("m.room.member", "@bob:b"),
        json!({ "membership": "ban" }),
    )
    .await;
    let head = a.store.head();
    b.deliver(&a, &room, std::slice::from_ref(&late)).await;
    assert_eq!(a.store.head(), head, "nobody is told");
    assert!(matches!(a.fate(&late), Some(Fate::SoftFailed(_))));
    assert!(!a.has(&room, &late));
}

#[tokio::test]
async fn a_redaction_may_come_before_what_it_redacts() {
    let (a, b, room) = pair("12").await;
    let c = Server::new("c", &b.network);
    a.let_in(&c, &room, "@carol:c").await;
    let secret = a.say(&room, "@alice:a", "a secret").await;
    let redact = Redact {
        room_id: room.clone(),
        sender: user("@alice:a"),
        event_id: secret.clone(),
        content: serde_json::Map::new(),
        timestamp: None,
    };
    // What is sent to the other one was written down before it was redacted.
    let raw = a.raw(&room, &secret);
    let redaction = a.rooms.redact(redact, None).await.unwrap().event_id;
    a.not_answering("get_missing_events");
    a.deliver(&b, &room, std::slice::from_ref(&redaction)).await;
    assert!(b.has(&room, &redaction), "{:?}", b.fate(&redaction));
    a.answering_again();
    b.rooms.receive(a.name(), vec![raw]).await.unwrap();
    b.rooms.settled(&room).await.unwrap();
    let (s, no) = (b.s(), b.no(&room));
    let stored = Stored::find_any(&s, no, &secret).unwrap();
    assert!(!stored.is_some_and(|event| event.json().contains("a secret")));
    drop(c);
}

#[tokio::test]
async fn many_loose_ends_are_tied_together() {
    let network = Network::new();
    let (a, b) = (Server::new("a", &network), Server::new("b", &network));
    let room = a.room("12", "@alice:a").await;
    a.let_in(&b, &room, "@bob:b").await;
    let (prev, at) = (b.tips(&room), state::At::now(&b.s(), b.no(&room)).unwrap());
    let mut raws = Vec::new();
    for n in 0..35 {
        let body = json!({ "msgtype": "m.text", "body": n.to_string() });
        let pdu = b.forge(&room, &prev, &at, "@bob:b", ("m.room.message", None), body);
        raws.push(serde_json::value::RawValue::from_string(pdu.json().to_owned()).unwrap());
    }
    a.rooms.receive(b.name(), raws).await.unwrap();
    a.rooms.settled(&room).await.unwrap();
    assert!(a.tips(&room).len() <= 10, "{}", a.tips(&room).len());
    let said = a.say(&room, "@alice:a", "calm").await;
    assert_eq!(a.tips(&room)[0].event_id(), said);
    assert_eq!(a.tips(&room).len(), 1);
    // Nobody gets to see what ties.
    let (s, no) = (a.s(), a.no(&room));
    let viewer = s.user_no(&user("@alice:a")).unwrap();
    let eyes = visibility::Viewer::new(&s, no, viewer).unwrap();
    let page = timeline::page(&s, no, Pos::ZERO, None, Order::Forward, 1_000).unwrap();
    let seen = eyes.filter(page.events).unwrap();
    assert!(
        seen.iter()
            .all(|event| event.event_type() != "org.matrix.dummy_event")
    );
}
