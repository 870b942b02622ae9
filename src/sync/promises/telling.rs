//! What is in an answer: one promise of the specification, or one thing that clients rely on, per test.

use std::collections::BTreeMap;
use std::time::Duration;

use rooms::Membership;
use rooms::receipts::Kind;
use ruma::OwnedRoomId;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use users::to_device::Messages;

use super::house::{Asks, Client, House, list, timeline, user};
use crate::{Dialect, Params};

async fn alice_and_bob(join_rule: &str) -> (House, OwnedRoomId) {
    let house = House::of(&["alice", "bob", "carol"]).await;
    let room = house.room("alice", join_rule, "shared").await;
    (house, room)
}

fn joined<'a>(answer: &'a Value, room: &OwnedRoomId) -> &'a Value {
    &answer["rooms"]["join"][room.as_str()]
}

fn types(events: &Value) -> Vec<&str> {
    list(events)
        .into_iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

async fn client(house: &House, name: &str, filter: Value) -> Client {
    house
        .client(
            name,
            &format!("{}-{}", name, filter.to_string().len()),
            Asks {
                filter,
                dialect: Dialect::State,
            },
        )
        .await
}

async fn ignore(house: &House, who: &str, whom: &str) {
    let content = json!({ "ignored_users": { user(whom).as_str(): {} } });
    let content = to_raw_value(&content).unwrap();
    house
        .users
        .set_account_data(&user(who), None, "m.ignored_user_list", &content)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_new_room_comes_in_one_piece() {
    let (house, room) = alice_and_bob("invite").await;
    let mut alice = client(&house, "alice", Value::Null).await;
    let answer = alice.sync(&house).await;
    let told = joined(&answer, &room);
    let all = [
        "m.room.create",
        "m.room.member",
        "m.room.power_levels",
        "m.room.join_rules",
        "m.room.history_visibility",
    ];
    assert_eq!(types(&told["timeline"]["events"]), all);
    assert_eq!(told["timeline"]["limited"], false);
    assert!(told.get("state").is_none(), "everything is in the timeline");
    assert_eq!(told["summary"]["m.joined_member_count"], 1);
    let second = house.room("alice", "invite", "shared").await;
    let answer = alice.sync(&house).await;
    assert_eq!(types(&joined(&answer, &second)["timeline"]["events"]), all);
    assert!(joined(&answer, &room).is_null());
}

#[tokio::test]
async fn invitations_knocks_and_their_ends() {
    let (house, room) = alice_and_bob("knock").await;
    let mut bob = client(&house, "bob", Value::Null).await;
    bob.sync(&house).await;
    house
        .change(&room, "bob", "bob", Membership::Knock)
        .await
        .unwrap();
    let answer = bob.sync(&house).await;
    let state = &answer["rooms"]["knock"][room.as_str()]["knock_state"]["events"];
    assert!(types(state).contains(&"m.room.create"), "{answer}");
    house
        .change(&room, "alice", "bob", Membership::Invite)
        .await
        .unwrap();
    let answer = bob.sync(&house).await;
    assert!(
        types(&answer["rooms"]["invite"][room.as_str()]["invite_state"]["events"])
            .contains(&"m.room.member")
    );
    assert!(answer["rooms"].get("knock").is_none());
    // Not told again while it lasts, but to those who come anew.
    assert!(bob.sync(&house).await.get("rooms").is_none());
    let fresh = client(&house, "bob", json!({})).await.sync(&house).await;
    assert!(fresh["rooms"]["invite"].get(room.as_str()).is_some());
    house
        .set(
            &room,
            "alice",
            "m.room.topic",
            json!({ "topic": "not for bob" }),
        )
        .await
        .unwrap();
    let refusal = house
        .change(&room, "bob", "bob", Membership::Leave)
        .await
        .unwrap();
    let answer = bob.sync(&house).await;
    let left = &answer["rooms"]["leave"][room.as_str()];
    assert_eq!(timeline(left), [refusal.event_id.as_str()]);
    assert!(!answer.to_string().contains("not for bob"));
    assert!(bob.sync(&house).await.get("rooms").is_none());
}

#[tokio::test]
async fn left_rooms_are_told_as_they_were() {
    let (house, room) = alice_and_bob("public").await;
    house.join(&room, "bob").await;
    house.say(&room, "alice", "while bob is here").await;
    house
        .change(&room, "bob", "bob", Membership::Leave)
        .await
        .unwrap();
    house
        .set(&room, "alice", "m.room.name", json!({ "name": "later" }))
        .await
        .unwrap();
    let without = client(&house, "bob", Value::Null).await.sync(&house).await;
    assert!(
        without.get("rooms").is_none(),
        "somebody who comes anew is not told of what they left"
    );
    let filter = json!({ "room": { "include_leave": true, "timeline": { "limit": 2 } } });
    let with = client(&house, "bob", filter.clone())
        .await
        .sync(&house)
        .await;
    let left = &with["rooms"]["leave"][room.as_str()];
    assert_eq!(
        types(&left["timeline"]["events"]),
        ["m.room.message", "m.room.member"]
    );
    assert_eq!(left["timeline"]["limited"], true);
    assert!(types(&left["state"]["events"]).contains(&"m.room.join_rules"));
    assert!(!with.to_string().contains("later"));
    house.rooms.forget(&room, &user("bob")).await.unwrap();
    let gone = client(&house, "bob", json!({ "room": { "include_leave": true } }))
        .await
        .sync(&house)
        .await;
    assert!(gone.get("rooms").is_none(), "forgotten rooms are gone");
}

#[tokio::test]
async fn leaving_and_forgetting_at_once_is_still_told_to_other_devices() {
    let (house, room) = alice_and_bob("public").await;
    house.join(&room, "bob").await;
    let mut bob = client(&house, "bob", Value::Null).await;
    bob.sync(&house).await;
    let leave = house
        .change(&room, "bob", "bob", Membership::Leave)
        .await
        .unwrap();
    house.rooms.forget(&room, &user("bob")).await.unwrap();
    let answer = bob.sync(&house).await;
    assert_eq!(
        timeline(&answer["rooms"]["leave"][room.as_str()])
            .last()
            .unwrap(),
        leave.event_id.as_str()
    );
}

#[tokio::test]
async fn a_gap_is_told_with_the_state_across_it() {
    let (house, room) = alice_and_bob("public").await;
    let limit = json!({ "room": { "timeline": { "limit": 2 } } });
    let mut before = client(&house, "alice", limit.clone()).await;
    let asks = Asks {
        filter: limit,
        dialect: Dialect::StateAfter,
    };
    let mut after = house.client("alice", "AFTER", asks).await;
    before.sync(&house).await;
    after.sync(&house).await;
    house
        .set(&room, "alice", "m.room.name", json!({ "name": "old" }))
        .await
        .unwrap();
    house.join(&room, "bob").await;
    for body in ["1", "2", "3"] {
        house.say(&room, "bob", body).await;
    }
    house
        .set(&room, "alice", "m.room.name", json!({ "name": "new" }))
        .await
        .unwrap();
    let told = before.sync(&house).await;
    let told = joined(&told, &room);
    assert_eq!(told["timeline"]["limited"], true);
    let names: Vec<&Value> = list(&told["state"]["events"])
        .into_iter()
        .filter(|e| e["type"] == "m.room.name")
        .collect();
    assert_eq!(
        names[0]["content"]["name"], "old",
        "before the timeline the name was the old one"
    );
    assert!(
        list(&told["state"]["events"])
            .iter()
            .any(|event| event["state_key"] == "@bob:here")
    );
    let told = after.sync(&house).await;
    let told = joined(&told, &room);
    let names: Vec<&Value> = list(&told["state_after"]["events"])
        .into_iter()
        .filter(|e| e["type"] == "m.room.name")
        .collect();
    assert_eq!(names[0]["content"]["name"], "new");
    let quiet = house.say(&room, "bob", "4").await;
    let told = after.sync(&house).await;
    assert_eq!(timeline(joined(&told, &room)), [quiet.as_str()]);
    assert_eq!(
        joined(&told, &room)["state_after"]["events"],
        json!([]),
        "there, though empty"
    );
}

#[tokio::test]
async fn full_state_is_told_at_once() {
    let (house, room) = alice_and_bob("public").await;
    let mut alice = client(&house, "alice", Value::Null).await;
    alice.sync(&house).await;
    let params = Params {
        full_state: true,
        timeout: Duration::from_secs(30),
        ..alice.params()
    };
    let answer = house.ask(&alice.who, params).await;
    let told = joined(&answer, &room);
    assert_eq!(list(&told["state"]["events"]).len(), 5);
    assert_eq!(list(&told["timeline"]["events"]).len(), 0);
}

#[tokio::test]
async fn unsigned_says_what_the_reader_may_know() {
    let (house, room) = alice_and_bob("public").await;
    house.join(&room, "bob").await;
    let content = json!({ "msgtype": "m.text", "body": "mine" });
    let mine = house.identity("alice", "MINE").await;
    house
        .send_txn(
            &room,
            "alice",
            "m.room.message",
            content,
            Some(("MINE", "t1")),
        )
        .await
        .unwrap();
    let spam = house.say(&room, "bob", "spam").await;
    house.redact(&room, "alice", &spam).await.unwrap();
    house
        .set(&room, "alice", "m.room.name", json!({ "name": "one" }))
        .await
        .unwrap();
    house
        .set(&room, "alice", "m.room.name", json!({ "name": "two" }))
        .await
        .unwrap();
    house.clock.advance(Duration::from_secs(9));
    let answer = house.ask(&mine, Params::default()).await;
    let events = list(&joined(&answer, &room)["timeline"]["events"]);
    let unsigned = |body: &str| {
        let found = events
            .iter()
            .find(|event| event["content"]["body"] == body || event["content"]["name"] == body);
        &found.unwrap()["unsigned"]
    };
    assert_eq!(unsigned("mine")["transaction_id"], "t1");
    assert_eq!(unsigned("mine")["age"], 9_000);
    assert_eq!(unsigned("mine")["membership"], "join");
    assert_eq!(unsigned("two")["prev_content"], json!({ "name": "one" }));
    assert!(
        unsigned("two")["replaces_state"]
            .as_str()
            .unwrap()
            .starts_with('$')
    );
    let redacted = events
        .iter()
        .find(|event| event["event_id"] == spam.as_str())
        .unwrap();
    assert_eq!(redacted["content"], json!({}));
    assert_eq!(
        redacted["unsigned"]["redacted_because"]["sender"],
        "@alice:here"
    );
    let other = house
        .client("alice", "OTHER", Asks::default())
        .await
        .sync(&house)
        .await;
    assert!(
        !other.to_string().contains("transaction_id"),
        "told to the device that sent it alone"
    );
    house.join(&room, "carol").await;
    let carol = client(&house, "carol", Value::Null)
        .await
        .sync(&house)
        .await;
    let events = list(&joined(&carol, &room)["timeline"]["events"]);
    let two = events
        .iter()
        .find(|event| event["content"]["name"] == "two")
        .unwrap();
    assert_eq!(
        two["unsigned"]["membership"], "leave",
        "carol was not there yet"
    );
    assert!(two["unsigned"].get("prev_content").is_none());
    assert!(two["unsigned"].get("replaces_state").is_some());
}

#[tokio::test]
async fn relations_come_along() {
    let (house, room) = alice_and_bob("public").await;
    house.join(&room, "bob").await;
    let root = house.say(&room, "alice", "root").await;
    let relates = |rel_type: &str, body: &str| {
        json!({ "msgtype": "m.text", "body": body, "m.new_content": { "msgtype": "m.text", "body": body },
            "m.relates_to": { "rel_type": rel_type, "event_id": root } })
    };
    house
        .send(
            &room,
            "alice",
            "m.room.message",
            relates("m.replace", "edited"),
        )
        .await
        .unwrap();
    let reply = house
        .send(
            &room,
            "bob",
            "m.room.message",
            relates("m.thread", "in thread"),
        )
        .await
        .unwrap();
    let reference = house
        .send(
            &room,
            "bob",
            "m.room.message",
            relates("m.reference", "see there"),
        )
        .await
        .unwrap();
    let answer = client(&house, "bob", Value::Null).await.sync(&house).await;
    let events = list(&joined(&answer, &room)["timeline"]["events"]);
    let told = &events
        .iter()
        .find(|event| event["event_id"] == root.as_str())
        .unwrap()["unsigned"]["m.relations"];
    assert_eq!(
        told["m.replace"]["content"]["m.new_content"]["body"],
        "edited"
    );
    assert_eq!(told["m.thread"]["count"], 1);
    assert_eq!(told["m.thread"]["current_user_participated"], true);
    assert_eq!(
        told["m.thread"]["latest_event"]["event_id"],
        reply.event_id.as_str()
    );
    assert_eq!(
        told["m.reference"]["chunk"],
        json!([{ "event_id": reference.event_id }])
    );
}

#[tokio::test]
async fn the_federation_format_is_the_event_itself() {
    let (house, room) = alice_and_bob("public").await;
    house.say(&room, "alice", "hello").await;
    let answer = client(&house, "alice", json!({ "event_format": "federation" }))
        .await
        .sync(&house)
        .await;
    let events = list(&joined(&answer, &room)["timeline"]["events"]);
    let last = events.last().unwrap();
    assert!(
        last["hashes"].is_object()
            && last["signatures"].is_object()
            && last["event_id"].is_string()
    );
    assert_eq!(last["room_id"], room.as_str());
}

#[tokio::test]
async fn filters_choose() {
    let (house, room) = alice_and_bob("public").await;
    let other = house.room("alice", "public", "shared").await;
    house.join(&room, "bob").await;
    house.say(&room, "alice", "from alice").await;
    let said = house.say(&room, "bob", "from bob").await;
    let filter = json!({
        "room": {
            "not_rooms": [other],
            "timeline": { "types": ["m.room.*"], "not_types": ["m.room.member"], "senders": ["@bob:here"] },
            "state": { "types": ["m.room.create"] }, "ephemeral": { "types": [] }, "account_data": { "types": [] }
        },
        "account_data": { "types": [] }, "presence": { "types": [] }
    });
    let answer = client(&house, "alice", filter).await.sync(&house).await;
    assert_eq!(answer["rooms"]["join"].as_object().unwrap().len(), 1);
    let told = joined(&answer, &room);
    assert_eq!(timeline(told), [said.as_str()]);
    assert_eq!(types(&told["state"]["events"]), ["m.room.create"]);
    assert!(
        told.get("ephemeral").is_none()
            && answer.get("account_data").is_none()
            && answer.get("presence").is_none()
    );
}

#[tokio::test]
async fn bad_questions_are_refused() {
    let (house, _) = alice_and_bob("public").await;
    let who = house.identity("alice", "A").await;
    let ask = |since: Option<&str>, filter: Option<&str>| {
        let params = Params {
            since: since.map(str::to_owned),
            filter: filter.map(str::to_owned),
            ..Params::default()
        };
        house.sync.classic(&who, params)
    };
    assert!(matches!(
        ask(Some("yesterday"), None).await,
        Err(crate::Error::BadToken)
    ));
    assert!(matches!(
        ask(None, Some("{")).await,
        Err(crate::Error::BadFilter(_))
    ));
    assert!(matches!(
        ask(None, Some("17")).await,
        Err(crate::Error::UnknownFilter)
    ));
    // A token from beyond the end of the log is from another life of this database: its owner begins anew.
    let anew: Value =
        serde_json::from_slice(&ask(Some("s99999_0_0"), None).await.unwrap()).unwrap();
    assert!(anew["rooms"]["join"].is_object());
}

#[tokio::test]
async fn stored_filters_are_found() {
    let (house, room) = alice_and_bob("public").await;
    let filter = to_raw_value(&json!({ "room": { "timeline": { "limit": 1 } } })).unwrap();
    let id = house
        .users
        .create_filter(&user("alice"), &filter)
        .await
        .unwrap();
    let who = house.identity("alice", "A").await;
    let answer = house
        .ask(
            &who,
            Params {
                filter: Some(id),
                ..Params::default()
            },
        )
        .await;
    assert_eq!(list(&joined(&answer, &room)["timeline"]["events"]).len(), 1);
}

#[tokio::test]
async fn ignored_users_are_not_heard() {
    let (house, room) = alice_and_bob("public").await;
    house.join(&room, "bob").await;
    house.join(&room, "carol").await;
    let mut alice = client(&house, "alice", Value::Null).await;
    alice.sync(&house).await;
    ignore(&house, "alice", "bob").await;
    house.say(&room, "bob", "listen!").await;
    let heard = house.say(&room, "carol", "hello").await;
    house
        .rooms
        .receipt(&room, &user("bob"), Kind::Public, None, &heard)
        .await
        .unwrap();
    let named = house
        .set(&room, "bob", "m.room.name", json!({ "name": "bob's" }))
        .await
        .unwrap();
    let theirs = house.room("bob", "invite", "shared").await;
    house
        .change(&theirs, "bob", "alice", Membership::Invite)
        .await
        .unwrap();
    let answer = alice.sync(&house).await;
    let told = joined(&answer, &room);
    assert_eq!(
        timeline(told),
        [heard.as_str(), named.event_id.as_str()],
        "state is told all the same"
    );
    assert!(told.get("ephemeral").is_none());
    assert_eq!(told["unread_notifications"]["notification_count"], 1);
    assert!(answer["rooms"].get("invite").is_none());
}

#[tokio::test]
async fn private_receipts_are_told_to_their_owner_alone() {
    let (house, room) = alice_and_bob("public").await;
    house.join(&room, "bob").await;
    let last = house.say(&room, "bob", "hello").await;
    let (mut alice, mut bob) = (
        client(&house, "alice", Value::Null).await,
        client(&house, "bob", Value::Null).await,
    );
    alice.sync(&house).await;
    bob.sync(&house).await;
    house
        .rooms
        .receipt(&room, &user("alice"), Kind::Private, None, &last)
        .await
        .unwrap();
    assert!(bob.sync(&house).await.get("rooms").is_none());
    let answer = alice.sync(&house).await;
    let told = joined(&answer, &room);
    assert!(
        told["ephemeral"]["events"][0]["content"][last.as_str()]["m.read.private"]["@alice:here"]
            .is_object()
    );
    assert_eq!(told["unread_notifications"]["notification_count"], 0);
    assert!(
        !client(&house, "bob", json!({}))
            .await
            .sync(&house)
            .await
            .to_string()
            .contains("private")
    );
}

#[tokio::test]
async fn a_receipt_in_each_thread_needs_an_event_of_its_own() {
    let (house, room) = alice_and_bob("public").await;
    let last = house.say(&room, "alice", "hello").await;
    for thread in [None, Some("main")] {
        house
            .rooms
            .receipt(&room, &user("alice"), Kind::Public, thread, &last)
            .await
            .unwrap();
    }
    let answer = client(&house, "alice", Value::Null)
        .await
        .sync(&house)
        .await;
    let events = list(&joined(&answer, &room)["ephemeral"]["events"]);
    let threads: Vec<&Value> = events
        .iter()
        .map(|event| &event["content"][last.as_str()]["m.read"]["@alice:here"]["thread_id"])
        .collect();
    assert_eq!(threads, [&Value::Null, &json!("main")]);
}

#[tokio::test]
async fn unread_is_told_by_thread_to_those_who_ask() {
    let (house, room) = alice_and_bob("public").await;
    house.join(&room, "bob").await;
    let root = house.say(&room, "alice", "root").await;
    let reply = json!({ "msgtype": "m.text", "body": "reply", "m.mentions": { "user_ids": ["@bob:here"] },
        "m.relates_to": { "rel_type": "m.thread", "event_id": root } });
    let reply = house
        .send(&room, "alice", "m.room.message", reply)
        .await
        .unwrap();
    let reaction = json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": reply.event_id, "key": "+" } });
    house
        .send(&room, "alice", "m.reaction", reaction)
        .await
        .unwrap();
    let filter = json!({ "room": { "timeline": { "unread_thread_notifications": true } } });
    let (mut threads, mut plain) = (
        client(&house, "bob", filter).await,
        client(&house, "bob", Value::Null).await,
    );
    let told = threads.sync(&house).await;
    let told = joined(&told, &room);
    assert_eq!(
        told["unread_notifications"],
        json!({ "highlight_count": 0, "notification_count": 1 })
    );
    let in_thread = json!({ root.as_str(): { "highlight_count": 1, "notification_count": 1 } });
    assert_eq!(told["unread_thread_notifications"], in_thread);
    let told = plain.sync(&house).await;
    assert_eq!(
        joined(&told, &room)["unread_notifications"]["notification_count"],
        2
    );
    assert_eq!(joined(&told, &room)["org.matrix.msc2654.unread_count"], 2);
    house
        .rooms
        .receipt(
            &room,
            &user("bob"),
            Kind::Public,
            Some(root.as_str()),
            &reply.event_id,
        )
        .await
        .unwrap();
    let told = threads.sync(&house).await;
    assert!(
        joined(&told, &room)
            .get("unread_thread_notifications")
            .is_none()
    );
    assert_eq!(
        joined(&told, &room)["unread_notifications"]["notification_count"],
        1
    );
}

#[tokio::test]
async fn counts_survive_a_restart_and_follow_the_rules() {
    let (mut house, room) = alice_and_bob("public").await;
    house.join(&room, "bob").await;
    for _ in 0..300 {
        house.say(&room, "alice", "one of many").await;
    }
    let mut bob = client(&house, "bob", Value::Null).await;
    bob.sync(&house).await;
    assert_eq!(bob.joined[room.as_str()].notifications, 300);
    // What was counted is written down beside; wait for that.
    let (s, no) = (house.store.snapshot(), |s: &store::Snapshot| {
        s.user_no(&user("bob")).unwrap().unwrap()
    });
    let key = (no(&s), rooms::members::room(&s, &room).unwrap());
    let mut heads = house.store.watch();
    while house
        .store
        .snapshot()
        .get(store::tables::UNREAD, &key)
        .unwrap()
        .is_none()
    {
        heads.mark_changed();
        tokio::task::yield_now().await;
    }
    house.restart_sync().await;
    house.say(&room, "alice", "and one more").await;
    bob.sync(&house).await;
    assert_eq!(bob.joined[room.as_str()].notifications, 301);
    let rule = ruma::push::NewSimplePushRule::new(room.clone(), Vec::new());
    let rule = ruma::push::NewPushRule::Room(rule);
    house
        .users
        .set_push_rule(&user("bob"), rule, None, None)
        .await
        .unwrap();
    house.say(&room, "alice", "to nobody in particular").await;
    bob.sync(&house).await;
    assert_eq!(
        bob.joined[room.as_str()].notifications,
        0,
        "a room that is muted has nothing to notify of"
    );
}

#[tokio::test]
async fn messages_to_a_device_are_told_until_they_are_acknowledged() {
    let (house, _) = alice_and_bob("public").await;
    let mut bob = client(&house, "bob", Value::Null).await;
    bob.sync(&house).await;
    let device = bob.who.device_id.to_string();
    for number in 0..250 {
        let content = to_raw_value(&json!({ "number": number })).unwrap();
        let contents = BTreeMap::from([(user("bob"), BTreeMap::from([(device.clone(), content)]))]);
        let messages = Messages {
            sender: user("alice"),
            event_type: "m.test".to_owned(),
            contents,
            once: None,
        };
        house.users.send_to_devices(messages).await.unwrap();
    }
    let numbers = |answer: &Value| -> Vec<u64> {
        list(&answer["to_device"]["events"])
            .iter()
            .map(|event| event["content"]["number"].as_u64().unwrap())
            .collect()
    };
    let first = house.ask(&bob.who, bob.params()).await;
    let lost = house.ask(&bob.who, bob.params()).await;
    assert_eq!(numbers(&first), (0..100).collect::<Vec<_>>());
    assert_eq!(
        numbers(&first),
        numbers(&lost),
        "an answer that got lost is given again"
    );
    bob.believe(&first);
    assert_eq!(
        numbers(&bob.wait(&house).await),
        (100..200).collect::<Vec<_>>()
    );
    assert_eq!(
        numbers(&bob.wait(&house).await),
        (200..250).collect::<Vec<_>>()
    );
    assert_eq!(numbers(&bob.sync(&house).await), Vec::<u64>::new());
}

#[tokio::test]
async fn device_lists_follow_those_one_shares_rooms_with() {
    let (house, room) = alice_and_bob("public").await;
    let mut alice = client(&house, "alice", Value::Null).await;
    alice.sync(&house).await;
    house.join(&room, "bob").await;
    let answer = alice.sync(&house).await;
    assert_eq!(
        answer["device_lists"],
        json!({ "changed": ["@bob:here"], "left": [] })
    );
    house.identity("carol", "C").await;
    assert!(
        alice.sync(&house).await.get("device_lists").is_none(),
        "carol is nobody to alice"
    );
    house
        .change(&room, "bob", "bob", Membership::Leave)
        .await
        .unwrap();
    let answer = alice.sync(&house).await;
    assert_eq!(
        answer["device_lists"],
        json!({ "changed": [], "left": ["@bob:here"] })
    );
    let theirs = house.room("carol", "public", "shared").await;
    house.join(&theirs, "bob").await;
    house.join(&theirs, "alice").await;
    let answer = alice.sync(&house).await;
    assert_eq!(
        answer["device_lists"]["changed"],
        json!(["@bob:here", "@carol:here"])
    );
    house
        .change(&theirs, "alice", "alice", Membership::Leave)
        .await
        .unwrap();
    let answer = alice.sync(&house).await;
    assert_eq!(
        answer["device_lists"]["left"],
        json!(["@bob:here", "@carol:here"])
    );
}

#[tokio::test]
async fn account_data_is_told_when_it_changes() {
    let (house, room) = alice_and_bob("public").await;
    let mut alice = client(&house, "alice", Value::Null).await;
    let first = alice.sync(&house).await;
    assert!(types(&first["account_data"]["events"]).contains(&"m.push_rules"));
    house
        .users
        .set_tag(
            &user("alice"),
            &room,
            "m.favourite",
            to_raw_value(&json!({})).unwrap(),
        )
        .await
        .unwrap();
    let answer = alice.sync(&house).await;
    assert_eq!(
        types(&joined(&answer, &room)["account_data"]["events"]),
        ["m.tag"]
    );
    assert!(answer.get("account_data").is_none());
    assert!(alice.sync(&house).await.get("rooms").is_none());
}

#[tokio::test]
async fn somebody_who_was_typing_at_a_restart_types_no_more() {
    let (mut house, room) = alice_and_bob("public").await;
    house.join(&room, "bob").await;
    let s = house.store.snapshot();
    let (no, alice) = (
        rooms::members::room(&s, &room).unwrap(),
        s.user_no(&user("alice")).unwrap().unwrap(),
    );
    let mut bob = client(&house, "bob", Value::Null).await;
    bob.sync(&house).await;
    house
        .rooms
        .typing()
        .set(no, alice, Some(Duration::from_secs(20)));
    assert!(bob.sync(&house).await.to_string().contains("m.typing"));
    house.rooms.typing().set(no, alice, None);
    house.restart_sync().await;
    let answer = bob.sync(&house).await;
    let typing = json!([{ "content": { "user_ids": [] }, "type": "m.typing" }]);
    assert_eq!(joined(&answer, &room)["ephemeral"]["events"], typing);
    assert!(bob.sync(&house).await.get("rooms").is_none(), "told once");
}

#[tokio::test]
async fn lazy_members_are_told_once_and_again_when_asked() {
    let (house, room) = alice_and_bob("public").await;
    house.join(&room, "bob").await;
    house.join(&room, "carol").await;
    house.say(&room, "alice", "one").await;
    let filter = |redundant: bool| {
        json!({ "room": {
            "timeline": { "limit": 1 },
            "state": { "lazy_load_members": true, "include_redundant_members": redundant }
        } })
    };
    let (mut once, mut always) = (
        client(&house, "bob", filter(false)).await,
        client(&house, "bob", filter(true)).await,
    );
    let members = |answer: &Value| -> Vec<String> {
        let events = list(&joined(answer, &room)["state"]["events"]);
        let members = events
            .into_iter()
            .filter(|event| event["type"] == "m.room.member");
        members
            .map(|event| event["state_key"].as_str().unwrap().to_owned())
            .collect()
    };
    // The sender, oneself, and those after whom a room without a name is called.
    assert_eq!(
        members(&once.sync(&house).await),
        ["@alice:here", "@bob:here", "@carol:here"]
    );
    always.sync(&house).await;
    house.say(&room, "carol", "two").await;
    assert_eq!(members(&once.sync(&house).await), Vec::<String>::new());
    assert_eq!(members(&always.sync(&house).await), ["@carol:here"]);
    // An answer that may have been lost counts as not told.
    let before = once.since.clone();
    house.say(&room, "carol", "three").await;
    once.sync(&house).await;
    once.since = before;
    assert_eq!(members(&once.sync(&house).await), ["@carol:here"]);
}

#[tokio::test]
async fn notifications_are_listed_newest_first() {
    let (house, room) = alice_and_bob("public").await;
    let other = house.room("alice", "public", "shared").await;
    house.join(&room, "bob").await;
    house.join(&other, "bob").await;
    let mut said = Vec::new();
    for number in 0..6 {
        let room = if number % 2 == 0 { &room } else { &other };
        said.push(
            house
                .say(room, "alice", &number.to_string())
                .await
                .to_string(),
        );
    }
    let mention =
        json!({ "msgtype": "m.text", "body": "bob!", "m.mentions": { "user_ids": ["@bob:here"] } });
    let mention = house
        .send(&room, "alice", "m.room.message", mention)
        .await
        .unwrap()
        .event_id
        .to_string();
    house
        .rooms
        .receipt(
            &other,
            &user("bob"),
            Kind::Public,
            None,
            said[5].as_str().try_into().unwrap(),
        )
        .await
        .unwrap();
    said.push(mention.clone());
    said.reverse();
    let ids = |page: &Value| -> Vec<String> {
        let page = list(&page["notifications"]);
        page.into_iter()
            .map(|it| it["event"]["event_id"].as_str().unwrap().to_owned())
            .collect()
    };
    let page = async |from: Option<String>, only_highlights: bool| -> Value {
        let params = crate::notifications::Params {
            from,
            limit: Some(4),
            only_highlights,
        };
        serde_json::from_slice(
            &house
                .sync
                .notifications(&user("bob"), params)
                .await
                .unwrap(),
        )
        .unwrap()
    };
    let first = page(None, false).await;
    assert_eq!(ids(&first), said[..4]);
    assert_eq!(first["notifications"][0]["read"], false);
    assert_eq!(first["notifications"][1]["read"], true);
    assert_eq!(first["notifications"][1]["room_id"], other.as_str());
    let second = page(first["next_token"].as_str().map(str::to_owned), false).await;
    assert_eq!(ids(&second), said[4..]);
    assert!(second.get("next_token").is_none());
    assert_eq!(ids(&page(None, true).await), [mention]);
}
