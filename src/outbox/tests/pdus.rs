//! Events: in order, once, whatever happens on the way.

use std::time::Duration;

use rooms::{Change, Membership};
use serde_json::{Map, json};

use super::house::{House, Listener, counted, numbered, server, user, words};

/// A house with one room in which alice and bob of another server are.
async fn together() -> (House, Listener, ruma::OwnedRoomId) {
    let house = House::new();
    let listener = Listener::join(&house.network, "far");
    house.person("alice", "A").await;
    let room = house.room().await;
    house.joins(&room, "@bob:far").await;
    (house, listener, room)
}

#[tokio::test]
async fn events_arrive_in_order_once_and_no_more_than_fifty_at_a_time() {
    let (house, far, room) = together().await;
    house.start();
    house.network.hold(&server("here"), &server("far"));
    let said = numbered("m", 170);
    house.say_all(&room, &said).await;
    house
        .network
        .release(&server("here"), &server("far"), false);
    assert_eq!(far.until_words(170).await, said);
    let got = far.got();
    assert!(got.iter().all(|got| got.events().len() <= 50));
    assert!(got.len() < 10, "{}", got.len());
    for got in &got {
        assert_eq!(got.body["origin"], "here");
        assert!(got.body["origin_server_ts"].is_u64());
        let events = got.events();
        assert!(events.iter().all(|event| event["sender"] == "@alice:here"));
        assert!(
            events
                .iter()
                .all(|event| event["signatures"]["here"].is_object())
        );
    }
}

#[tokio::test]
async fn what_others_say_is_not_sent_on() {
    let (house, far, room) = together().await;
    let other = Listener::join(&house.network, "other");
    house.joins(&room, "@carl:other").await;
    house.start();
    let what = ("m.room.message", None);
    house
        .hear(&room, &user("@bob:far"), what, json!({ "body": "theirs" }))
        .await;
    house.say(&room, "ours").await;
    assert_eq!(far.until_words(1).await, ["ours"]);
    assert_eq!(other.until_words(1).await, ["ours"]);
}

#[tokio::test]
async fn a_transaction_that_is_not_answered_is_repeated_as_it_was() {
    let (house, far, room) = together().await;
    *far.answers.lock().unwrap() = vec![500, 502];
    house.start();
    house.say(&room, "one").await;
    for failures in 1..=2 {
        far.until(|got| got.len() >= failures).await;
        house
            .until("far", |status| {
                status
                    .failing
                    .as_ref()
                    .is_some_and(|failing| failing.attempts as usize == failures)
            })
            .await;
        house.say(&room, &format!("while failing {failures}")).await;
        house.clock.advance(Duration::from_secs(60));
        house.heard_from("far");
    }
    let said = far.until(|got| words(got).len() >= 5).await;
    assert_eq!(said[0].id, said[1].id);
    assert_eq!(said[0].id, said[2].id);
    assert_eq!(said[0].body, said[1].body);
    assert_ne!(said[2].id, said[3].id);
    let after = words(&said[2..]);
    assert_eq!(after, ["one", "while failing 1", "while failing 2"]);
    house.until("far", |status| status.failing.is_none()).await;
}

#[tokio::test]
async fn a_cut_server_hears_everything_as_soon_as_it_speaks() {
    let (house, far, room) = together().await;
    let (here, there) = (server("here"), server("far"));
    house.start();
    house.network.cut(&here, &there);
    house.say(&room, "m0").await;
    house.until("far", |status| status.failing.is_some()).await;
    let said = numbered("m", 30);
    house.say_all(&room, &said[1..]).await;
    house.network.heal(&here, &there);
    house.heard_from("far");
    assert_eq!(far.until_words(30).await, said);
    house.say(&room, "live").await;
    assert_eq!(far.until_words(31).await[30], "live");
}

#[tokio::test]
async fn a_crash_before_the_answer_repeats_the_same_transaction() {
    let (house, far, room) = together().await;
    *far.answers.lock().unwrap() = vec![0];
    house.start();
    house.say(&room, "one").await;
    house.say(&room, "two").await;
    let before = far.until(|got| !got.is_empty()).await;
    let house = house.crashed().await;
    house.start();
    let after = far
        .until(|got| words(got).iter().any(|word| word == "two") && got.len() > 1)
        .await;
    assert_eq!(before[0].id, after[1].id);
    assert_eq!(before[0].body, after[1].body);
    house.say(&room, "three").await;
    far.until(|got| words(got).iter().any(|word| word == "three"))
        .await;
    let heard = words(&far.got()[1..]);
    assert_eq!(
        heard,
        ["one", "two", "three"],
        "nothing lost, nothing twice"
    );
}

#[tokio::test]
async fn a_crash_after_the_answer_loses_nothing() {
    let (house, far, room) = together().await;
    house.start();
    let said = numbered("m", 20);
    house.say_all(&room, &said).await;
    far.until_words(20).await;
    let house = house.crashed().await;
    house.start();
    house.say(&room, "after").await;
    far.until(|got| words(got).iter().any(|word| word == "after"))
        .await;
    let heard = far.words();
    let counts = counted(&heard);
    assert!(said.iter().all(|word| counts.contains_key(word.as_str())));
    let ids: Vec<String> = far.got().iter().map(|got| got.id.clone()).collect();
    for got in far.got() {
        let again = far.got().into_iter().filter(|other| other.id == got.id);
        assert!(
            again.into_iter().all(|other| other.body == got.body),
            "{ids:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_missed_much_is_sent_the_newest_of_each_room() {
    let (house, far, busy) = together().await;
    let quiet = house.room().await;
    house.joins(&quiet, "@bob:far").await;
    let (here, there) = (server("here"), server("far"));
    house.network.cut(&here, &there);
    house.start();
    house.say(&busy, "first").await;
    house.until("far", |status| status.failing.is_some()).await;
    house.say_all(&quiet, &numbered("quiet", 3)).await;
    house.say_all(&busy, &numbered("busy", 300)).await;
    house.until("far", |status| status.rooms_owed == 2).await;
    house.network.heal(&here, &there);
    house.heard_from("far");
    far.until(|got| {
        let heard = words(got);
        heard.iter().any(|word| word == "busy299") && heard.iter().any(|word| word == "quiet2")
    })
    .await;
    house
        .until("far", |status| {
            status.rooms_owed == 0 && status.transaction.is_none()
        })
        .await;
    let heard = far.words();
    assert!(counted(&heard).values().all(|count| *count == 1));
    assert!(heard.len() < 100, "{}", heard.len());
    let quiet_ones: Vec<_> = heard
        .iter()
        .filter(|word| word.starts_with("quiet"))
        .collect();
    assert_eq!(quiet_ones, ["quiet0", "quiet1", "quiet2"]);
    house.say(&busy, "live").await;
    assert_eq!(
        far.until_words(heard.len() + 1).await.last().unwrap(),
        "live"
    );
}

#[tokio::test]
async fn whoever_is_put_out_hears_of_it_and_of_nothing_after() {
    let (house, far, room) = together().await;
    house.start();
    house.say(&room, "before").await;
    let kick = Change {
        room_id: room.clone(),
        sender: user("@alice:here"),
        target: user("@bob:far"),
        membership: Membership::Leave,
        only_from: &[],
        content: Map::new(),
        timestamp: None,
    };
    house.rooms.change_membership(kick).await.unwrap();
    house.say(&room, "among us").await;
    let other = house.room().await;
    house.joins(&other, "@bob:far").await;
    house.say(&other, "elsewhere").await;
    let got = far
        .until(|got| words(got).iter().any(|word| word == "elsewhere"))
        .await;
    assert_eq!(words(&got), ["before", "elsewhere"]);
    let kicks = got.iter().flat_map(super::house::Got::events);
    let kicks = kicks.filter(|event| event["content"]["membership"] == "leave");
    assert_eq!(kicks.count(), 1);
}

#[tokio::test]
async fn a_server_shut_out_by_a_list_is_still_told_while_it_is_in_the_room() {
    let (house, far, room) = together().await;
    house.start();
    let acl = rooms::SetState::new(
        room.clone(),
        user("@alice:here"),
        "m.room.server_acl",
        "",
        &json!({ "allow": ["*"], "deny": ["far"] }),
    );
    house.rooms.set_state(acl.unwrap()).await.unwrap();
    house.say(&room, "still here").await;
    assert_eq!(far.until_words(1).await, ["still here"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_does_not_stop_what_comes_after_it() {
    let (house, far, room) = together().await;
    // The whole three times, then the first of its parts.
    *far.answers.lock().unwrap() = vec![400; 4];
    let said = numbered("m", 5);
    house.say_all(&room, &said).await;
    house.start();
    let got = far
        .until(|got| words(got).iter().filter(|word| *word == "m4").count() >= 4)
        .await;
    assert_eq!(words(&got[3..]), said);
    assert!(got[3..].iter().all(|got| got.events().len() == 1));
    house.say(&room, "after").await;
    assert_eq!(
        far.until(|got| words(got).contains(&"after".to_owned()))
            .await
            .len(),
        9
    );
}

#[tokio::test]
async fn whoever_joins_is_not_told_what_was_said_before() {
    let house = House::new();
    let far = Listener::join(&house.network, "far");
    house.person("alice", "A").await;
    let room = house.room().await;
    house.say(&room, "before").await;
    house.joins(&room, "@bob:far").await;
    house.say(&room, "after").await;
    house.start();
    assert_eq!(far.until_words(1).await, ["after"]);
    assert_eq!(far.got()[0].events().len(), 1);
}
