//! Long polls: who is woken, and who is not.

use std::time::Duration;

use rooms::Membership;
use rooms::receipts::Kind;
use ruma::{OwnedRoomId, RoomId};
use serde_json::json;

use super::house::{Asks, Client, House, timeline, user};
use crate::Params;

async fn two_in_a_room() -> (House, OwnedRoomId, Client) {
    let house = House::of(&["alice", "bob"]).await;
    let room = house.room("alice", "public", "shared").await;
    house.join(&room, "bob").await;
    let mut bob = house.client("bob", "B", Asks::default()).await;
    bob.sync(&house).await;
    (house, room, bob)
}

fn told<'a>(answer: &'a serde_json::Value, room: &RoomId) -> &'a serde_json::Value {
    &answer["rooms"]["join"][room.as_str()]
}

#[tokio::test]
async fn a_message_wakes_those_in_the_room() {
    let (house, room, mut bob) = two_in_a_room().await;
    let (answer, said) = tokio::join!(bob.wait(&house), house.say(&room, "alice", "hello"));
    assert_eq!(timeline(told(&answer, &room)), [said.as_str()]);
    assert_eq!(
        told(&answer, &room)["unread_notifications"]["notification_count"],
        1
    );
    // The same bell, a second time.
    let (answer, said) = tokio::join!(bob.wait(&house), house.say(&room, "alice", "again"));
    assert_eq!(timeline(told(&answer, &room)), [said.as_str()]);
}

#[tokio::test]
async fn typing_receipts_and_account_data_wake() {
    let (house, room, mut bob) = two_in_a_room().await;
    let no = rooms::members::room(&house.store.snapshot(), &room).unwrap();
    let alice = house
        .store
        .snapshot()
        .user_no(&user("alice"))
        .unwrap()
        .unwrap();

    let types = async {
        house
            .rooms
            .typing()
            .set(no, alice, Some(Duration::from_secs(20)));
    };
    let (answer, ()) = tokio::join!(bob.wait(&house), types);
    let typing = json!([{ "content": { "user_ids": ["@alice:here"] }, "type": "m.typing" }]);
    assert_eq!(told(&answer, &room)["ephemeral"]["events"], typing);

    let stops = async { house.rooms.typing().set(no, alice, None) };
    let (answer, ()) = tokio::join!(bob.wait(&house), stops);
    let typing = json!([{ "content": { "user_ids": [] }, "type": "m.typing" }]);
    assert_eq!(told(&answer, &room)["ephemeral"]["events"], typing);

    let last = house.say(&room, "bob", "read this").await;
    bob.sync(&house).await;
    let reads = house.rooms.receipt(
        &room,
        "@alice:here".try_into().unwrap(),
        Kind::Public,
        None,
        &last,
    );
    let (answer, read) = tokio::join!(bob.wait(&house), reads);
    read.unwrap();
    let receipt = &told(&answer, &room)["ephemeral"]["events"][0];
    assert!(
        receipt["content"][last.as_str()]["m.read"]["@alice:here"]["ts"].is_u64(),
        "{answer}"
    );

    let content = serde_json::value::to_raw_value(&json!({ "theme": "dark" })).unwrap();
    let (bob_id, kind) = (user("bob"), "org.example.look");
    let sets = house.users.set_account_data(&bob_id, None, kind, &content);
    let (answer, set) = tokio::join!(bob.wait(&house), sets);
    set.unwrap();
    assert_eq!(
        answer["account_data"]["events"],
        json!([{ "content": { "theme": "dark" }, "type": kind }])
    );
}

#[tokio::test]
async fn others_private_receipts_and_other_rooms_do_not_wake() {
    let (house, room, mut bob) = two_in_a_room().await;
    let elsewhere = house.room("alice", "invite", "shared").await;
    let last = house.say(&room, "bob", "read this").await;
    bob.sync(&house).await;
    let quiet = async {
        house.say(&elsewhere, "alice", "to myself").await;
        house
            .rooms
            .receipt(&room, &user("alice"), Kind::Private, None, &last)
            .await
            .unwrap();
        tokio::task::yield_now().await;
    };
    let since = bob.since.clone();
    let params = Params {
        timeout: Duration::from_millis(300),
        ..bob.params()
    };
    let (answer, ()) = tokio::join!(house.ask(&bob.who, params), quiet);
    assert!(answer.get("rooms").is_none(), "{answer}");
    assert_ne!(
        answer["next_batch"].as_str(),
        since.as_deref(),
        "the token moves on all the same"
    );
}

#[tokio::test]
async fn an_invitation_wakes() {
    let (house, _, mut bob) = two_in_a_room().await;
    let room = house.room("alice", "invite", "shared").await;
    let invites = house.change(&room, "alice", "bob", Membership::Invite);
    let (answer, invited) = tokio::join!(bob.wait(&house), invites);
    invited.unwrap();
    let state = answer["rooms"]["invite"][room.as_str()]["invite_state"]["events"]
        .as_array()
        .unwrap();
    assert!(
        state.iter().any(|event| event["type"] == "m.room.create"),
        "{answer}"
    );
}

#[tokio::test]
async fn nothing_is_seen_after_a_ban_during_a_long_poll() {
    let (house, room, mut bob) = two_in_a_room().await;
    for round in 0..20 {
        let bans = async {
            house.say(&room, "alice", "before").await;
            let ban = house
                .change(&room, "alice", "bob", Membership::Ban)
                .await
                .unwrap()
                .event_id;
            house.say(&room, "alice", "after").await;
            house
                .set(
                    &room,
                    "alice",
                    "m.room.name",
                    json!({ "name": format!("secret {round}") }),
                )
                .await
                .unwrap();
            ban
        };
        let (mut answer, ban) = tokio::join!(bob.wait(&house), bans);
        if answer["rooms"].get("leave").is_none() {
            assert_eq!(
                timeline(told(&answer, &room)).len(),
                1,
                "woken by what came before the ban"
            );
            answer = bob.sync(&house).await;
        }
        let left = &answer["rooms"]["leave"][room.as_str()];
        assert_eq!(
            timeline(left).last().map(String::as_str),
            Some(ban.as_str())
        );
        assert!(
            !answer.to_string().contains("secret") && !answer.to_string().contains("after"),
            "{answer}"
        );
        let quiet = bob.sync(&house).await;
        assert!(quiet.get("rooms").is_none(), "{quiet}");
        house
            .change(&room, "alice", "bob", Membership::Leave)
            .await
            .unwrap();
        house.join(&room, "bob").await;
        bob.sync(&house).await;
    }
}

#[tokio::test]
async fn closing_answers_those_who_wait() {
    let (house, _, mut bob) = two_in_a_room().await;
    let closes = house.supervisor.shutdown(Duration::from_secs(5));
    let (answer, closed) = tokio::join!(bob.wait(&house), closes);
    assert!(closed);
    assert!(answer.get("rooms").is_none());
}

#[tokio::test]
async fn waiting_costs_little_memory() {
    let (house, _, bob) = two_in_a_room().await;
    let waiting = house.sync.classic(
        &bob.who,
        Params {
            timeout: Duration::from_secs(30),
            ..bob.params()
        },
    );
    let size = std::mem::size_of_val(&waiting);
    assert!(size <= 4_096, "{size} bytes");
}

#[tokio::test]
async fn time_runs_out() {
    let (house, _, mut bob) = two_in_a_room().await;
    let params = Params {
        timeout: Duration::from_millis(20),
        ..bob.params()
    };
    let answer = house.ask(&bob.who, params).await;
    assert!(answer.get("rooms").is_none());
    bob.believe(&answer);
    assert!(answer["device_one_time_keys_count"].is_object());
    assert!(answer["device_unused_fallback_key_types"].is_array());
}

#[tokio::test]
async fn the_answer_to_sending_comes_before_the_echo() {
    let house = House::of(&["alice", "bob"]).await;
    let room = house.room("alice", "public", "shared").await;
    let mut own = house.client("alice", "A", Asks::default()).await;
    own.sync(&house).await;
    let mut other = house.client("alice", "OTHER", Asks::default()).await;
    other.sync(&house).await;
    let order = std::cell::RefCell::new(Vec::new());
    let hear = async {
        let answer = own.wait(&house).await;
        order.borrow_mut().push("echo");
        answer
    };
    let say = async {
        let content = json!({ "msgtype": "m.text", "body": "hello" });
        let txn = Some(("A", "t1"));
        let sent = house.send_txn(&room, "alice", "m.room.message", content, txn);
        let sent = sent.await.unwrap();
        order.borrow_mut().push("sent");
        sent.event_id
    };
    let (answer, seen, said) = tokio::join!(hear, other.wait(&house), say);
    assert_eq!(timeline(told(&answer, &room)), [said.as_str()]);
    assert_eq!(timeline(told(&seen, &room)), [said.as_str()]);
    assert_eq!(order.into_inner(), ["sent", "echo"]);
}
