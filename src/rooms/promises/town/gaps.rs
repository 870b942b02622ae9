//! Events that are missing are found, or bridged by a state and found when somebody reads back so far.

use peers::loopback::Network;
use serde_json::json;

use super::{Server, pair};
use crate::explain::Fate;
use crate::*;

#[tokio::test]
async fn what_was_missed_is_found() {
    for missed in [1, 15, 500] {
        let (a, b, room) = pair("12").await;
        let mut said = Vec::new();
        for n in 0..=missed {
            said.push(a.say(&room, "@alice:a", &n.to_string()).await);
        }
        a.deliver(&b, &room, &said[missed..]).await;
        let timeline = b.timeline(&room);
        let told: Vec<&str> = said.iter().map(|event| event.as_str()).collect();
        assert_eq!(
            timeline[timeline.len() - said.len()..],
            told,
            "{missed} missed"
        );
        assert_eq!(
            explain::room(&b.s(), &room).unwrap().holes,
            1,
            "before the join"
        );
        assert_eq!(a.state(&room), b.state(&room));
    }
}

#[tokio::test]
async fn a_gap_that_nobody_fills_is_bridged_and_filled_later() {
    for version in ["1", "10", "12"] {
        let (a, b, room) = pair(version).await;
        a.not_answering("get_missing_events");
        let mut said = Vec::new();
        for n in 0..30 {
            said.push(a.say(&room, "@alice:a", &n.to_string()).await);
            let topic = json!({ "topic": n.to_string() });
            said.push(a.set(&room, "@alice:a", ("m.room.topic", ""), topic).await);
        }
        let last = a.say(&room, "@alice:a", "last").await;
        a.deliver(&b, &room, std::slice::from_ref(&last)).await;
        assert!(
            b.has(&room, &last),
            "version {version}: {:?}",
            b.fate(&last)
        );
        assert_eq!(a.state(&room), b.state(&room));
        assert!(!b.has(&room, &said[10]));
        // Somebody reads back.
        let mut rounds = 0;
        while b.rooms.backfill(&room, Pos::MAX, 1_000).await.unwrap() {
            rounds += 1;
            assert!(rounds < 20);
        }
        assert_eq!(b.timeline(&room), a.timeline(&room), "version {version}");
        assert_eq!(explain::room(&b.s(), &room).unwrap().holes, 0);
        assert_eq!(a.state(&room), b.state(&room));
    }
}

#[tokio::test]
async fn history_before_the_join_is_got_with_the_state_of_its_time() {
    let network = Network::new();
    let (a, b) = (Server::new("a", &network), Server::new("b", &network));
    let room = a.room("12", "@alice:a").await;
    let shared = a.say(&room, "@alice:a", "for all who come").await;
    let hidden = ("m.room.history_visibility", "");
    a.set(
        &room,
        "@alice:a",
        hidden,
        json!({ "history_visibility": "joined" }),
    )
    .await;
    let secret = a.say(&room, "@alice:a", "for those here").await;
    a.let_in(&b, &room, "@bob:b").await;
    while b.rooms.backfill(&room, Pos::MAX, 1_000).await.unwrap() {}
    assert_eq!(b.timeline(&room), a.timeline(&room));
    let (s, no) = (b.s(), b.no(&room));
    let bob = s.user_no(&super::user("@bob:b")).unwrap();
    let eyes = visibility::Viewer::new(&s, no, bob).unwrap();
    let sees = |event| {
        let event = Stored::find(&s, no, event).unwrap().unwrap();
        eyes.sees(&event).unwrap()
    };
    assert!(sees(&shared));
    assert!(!sees(&secret));
    // The other server was told only that there was something.
    let told = Stored::find(&s, no, &secret).unwrap().unwrap();
    assert!(!told.json().contains("for those here"));
}

#[tokio::test]
async fn what_lacks_its_past_is_judged_when_that_is_known() {
    let (a, b, room) = pair("12").await;
    a.not_answering("/federation/v1/");
    let first = a.say(&room, "@alice:a", "A").await;
    let second = a.say(&room, "@alice:a", "B").await;
    a.deliver(&b, &room, std::slice::from_ref(&second)).await;
    assert!(!b.has(&room, &second));
    assert!(matches!(
        b.fate(&second),
        Some(Fate::Waiting { attempts: 1, .. })
    ));
    a.deliver(&b, &room, std::slice::from_ref(&first)).await;
    assert!(b.has(&room, &first));
    a.deliver(&b, &room, std::slice::from_ref(&second)).await;
    assert!(b.has(&room, &second));
}

#[tokio::test]
async fn what_cannot_be_had_for_long_is_given_up_with_the_reason() {
    let (a, b, room) = pair("12").await;
    a.not_answering("/federation/v1/");
    a.say(&room, "@alice:a", "A").await;
    let second = a.say(&room, "@alice:a", "B").await;
    a.deliver(&b, &room, std::slice::from_ref(&second)).await;
    for _ in 0..6 {
        b.clock.advance(std::time::Duration::from_secs(7_200));
        assert_ne!(
            b.rooms.work(b.no(&room)).await.unwrap(),
            crate::intake::inbox::Left::More
        );
    }
    match b.fate(&second) {
        Some(Fate::Dropped { origin, reason, .. }) => {
            assert_eq!(origin, "a");
            assert!(reason.contains("state at"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    // Should it come again, it is not held against it.
    a.answering_again();
    a.deliver(&b, &room, std::slice::from_ref(&second)).await;
    assert!(b.has(&room, &second), "{:?}", b.fate(&second));
}

#[tokio::test]
async fn missing_authority_is_got() {
    for deaf in ["event_auth", "/event/", "nothing"] {
        let (a, b, room) = pair("11").await;
        let c = Server::new("c", &a.network);
        a.let_in(&c, &room, "@carol:c").await;
        // The other one has heard neither of Carol nor of what she needs.
        let said = c.say(&room, "@carol:c", "hello").await;
        a.not_answering(deaf);
        c.deliver(&b, &room, std::slice::from_ref(&said)).await;
        c.deliver(&a, &room, std::slice::from_ref(&said)).await;
        assert!(b.has(&room, &said), "without {deaf}: {:?}", b.fate(&said));
        assert_eq!(a.state(&room), b.state(&room));
        assert_eq!(a.state(&room), c.state(&room));
    }
}

#[tokio::test]
async fn numbers_are_ranks_in_whatever_order_events_are_got() {
    let (a, b, room) = pair("11").await;
    for n in 0..20 {
        let levels = json!({ "users": { "@alice:a": 100, "@bob:b": n } });
        a.set(&room, "@alice:a", ("m.room.power_levels", ""), levels)
            .await;
    }
    let s = a.s();
    let at = state::At::now(&s, a.no(&room)).unwrap();
    let newest = at.get(&s, "m.room.power_levels", "").unwrap().unwrap();
    let mut pdus = vec![newest.pdu(&room).unwrap()];
    while let Some(id) = pdus
        .last()
        .unwrap()
        .auth_events()
        .iter()
        .find(|id| a.fate(id).is_some() && a.raw(&room, id).get().contains("power_levels\""))
    {
        let stored = Stored::find(&s, a.no(&room), id).unwrap().unwrap();
        pdus.push(stored.pdu(&room).unwrap());
    }
    assert!(pdus.len() > 20);
    // The newest first, in three handfuls.
    let shelf = intake::outliers::Shelf {
        room_id: room.clone(),
        rules: event::Rules::named("11").unwrap(),
        create: at
            .get(&s, "m.room.create", "")
            .unwrap()
            .unwrap()
            .pdu(&room)
            .unwrap(),
    };
    let mut left = Vec::new();
    for handful in pdus.chunks(8) {
        left.extend(handful.to_vec());
        left = b.rooms.shelve(&shelf, left).await.unwrap().left;
    }
    assert!(left.is_empty());
    let s = b.s();
    for pdu in &pdus {
        let own = s.event_no(pdu.event_id()).unwrap().unwrap();
        for id in pdu.auth_events() {
            assert!(s.event_no(id).unwrap().unwrap() < own);
        }
    }
}
