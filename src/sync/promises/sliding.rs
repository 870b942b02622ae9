//! What is in an answer of sliding sync: one promise, or one thing that clients rely on, per test.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rooms::Membership;
use rooms::receipts::Kind;
use ruma::OwnedRoomId;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use users::Identity;
use users::to_device::Messages;

use super::house::{House, list, user};
use crate::Error;

/// A client that asks from where it has come to.
struct Slider {
    who: Arc<Identity>,
    pos: Option<String>,
}

impl Slider {
    async fn of(house: &House, name: &str) -> Self {
        Self {
            who: house.identity(name, &format!("{name}-device")).await,
            pos: None,
        }
    }

    async fn ask(&mut self, house: &House, body: &Value) -> Value {
        let answer = self.peek(house, body).await.unwrap();
        self.pos = Some(answer["pos"].as_str().unwrap().to_owned());
        answer
    }

    /// Asks, and forgets the answer.
    async fn peek(&self, house: &House, body: &Value) -> crate::Result<Value> {
        house
            .slide(&self.who, self.pos.as_deref(), Duration::ZERO, body)
            .await
    }

    async fn wait(&mut self, house: &House, body: &Value) -> Value {
        let long = Duration::from_secs(30);
        let answer = house
            .slide(&self.who, self.pos.as_deref(), long, body)
            .await
            .unwrap();
        self.pos = Some(answer["pos"].as_str().unwrap().to_owned());
        answer
    }
}

fn ids(answer: &Value) -> Vec<&str> {
    let rooms = answer["rooms"].as_object().unwrap();
    rooms.keys().map(String::as_str).collect()
}

fn timeline(room: &Value) -> Vec<&str> {
    let events = list(&room["timeline"]);
    events
        .iter()
        .map(|event| event["event_id"].as_str().unwrap())
        .collect()
}

fn bodies(room: &Value) -> Vec<&str> {
    let events = list(&room["timeline"]);
    events
        .iter()
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}

/// Types and state keys of what is told beside the timeline, sorted.
fn state(room: &Value) -> Vec<(&str, &str)> {
    let events = list(&room["required_state"]);
    let names = events.iter();
    let mut names: Vec<_> = names
        .map(|event| {
            (
                event["type"].as_str().unwrap(),
                event["state_key"].as_str().unwrap(),
            )
        })
        .collect();
    names.sort_unstable();
    names
}

fn lists(range: (u64, u64), limit: u64, state: &[(&str, &str)]) -> Value {
    json!({ "lists": { "all": { "ranges": [range], "timeline_limit": limit, "required_state": state } } })
}

/// Alice in this many rooms with Bob, in which she spoke one after the other.
async fn with_rooms(count: usize) -> (House, Vec<OwnedRoomId>) {
    let house = House::of(&["alice", "bob", "carol"]).await;
    let mut rooms = Vec::new();
    for number in 0..count {
        let room = house.room("alice", "public", "shared").await;
        house.join(&room, "bob").await;
        house.say(&room, "alice", &number.to_string()).await;
        rooms.push(room);
    }
    (house, rooms)
}

#[tokio::test]
async fn a_window_holds_the_rooms_with_the_latest_activity() {
    let (house, rooms) = with_rooms(5).await;
    let mut bob = Slider::of(&house, "bob").await;
    let body = lists((0, 1), 1, &[]);
    let answer = bob.ask(&house, &body).await;
    assert_eq!(answer["lists"], json!({ "all": { "count": 5 } }));
    let mut expected = [rooms[3].as_str(), rooms[4].as_str()];
    expected.sort_unstable();
    assert_eq!(ids(&answer), expected);
    for room in &rooms[3..] {
        assert_eq!(answer["rooms"][room.as_str()]["initial"], true);
    }
    let stamp =
        |answer: &Value, room: &OwnedRoomId| answer["rooms"][room.as_str()]["bump_stamp"].as_u64();
    assert!(stamp(&answer, &rooms[3]) < stamp(&answer, &rooms[4]));
    // What is no activity does not move a room, and nobody is told of what is out of sight.
    let name = json!({ "name": "quiet" });
    house
        .set(&rooms[0], "alice", "m.room.name", name)
        .await
        .unwrap();
    assert!(ids(&bob.ask(&house, &body).await).is_empty());
    let said = house.say(&rooms[0], "alice", "look here").await;
    let answer = bob.ask(&house, &body).await;
    assert_eq!(ids(&answer), [rooms[0].as_str()]);
    let told = &answer["rooms"][rooms[0].as_str()];
    assert_eq!(told["initial"], true);
    assert_eq!(timeline(told), [said.as_str()]);
    assert_eq!(told["limited"], true);
    assert_eq!(told["name"], "quiet");
    assert_eq!(told["num_live"], 1);
}

#[tokio::test]
async fn a_room_that_comes_back_into_sight_is_told_across_the_gap() {
    let (house, rooms) = with_rooms(3).await;
    let mut bob = Slider::of(&house, "bob").await;
    let body = lists((0, 0), 2, &[("m.room.name", ""), ("m.room.topic", "")]);
    bob.ask(&house, &body).await;
    house.say(&rooms[0], "alice", "on top").await;
    bob.ask(&house, &body).await;
    // Out of sight: three things that are not told.
    house
        .set(
            &rooms[2],
            "alice",
            "m.room.topic",
            json!({ "topic": "new" }),
        )
        .await
        .unwrap();
    assert!(ids(&bob.ask(&house, &body).await).is_empty());
    for word in ["a", "b"] {
        house.say(&rooms[2], "alice", word).await;
        house.say(&rooms[0], "alice", "on top").await;
        bob.ask(&house, &body).await;
    }
    let last = house.say(&rooms[2], "alice", "c").await;
    let answer = bob.ask(&house, &body).await;
    let told = &answer["rooms"][rooms[2].as_str()];
    assert!(told.get("initial").is_none(), "{told}");
    assert_eq!(timeline(told).last(), Some(&last.as_str()));
    assert_eq!(bodies(told), ["b", "c"]);
}

#[tokio::test]
async fn state_is_told_as_it_is_wanted() {
    let (house, rooms) = with_rooms(1).await;
    house.join(&rooms[0], "carol").await;
    house.say(&rooms[0], "carol", "hello").await;
    let room = rooms[0].as_str();
    let mut bob = Slider::of(&house, "bob").await;
    let want = [
        ("m.room.create", ""),
        ("m.room.member", "$LAZY"),
        ("m.room.member", "$ME"),
        ("m.room.pinned_events", ""),
    ];
    let body = lists((0, 9), 1, &want);
    let answer = bob.ask(&house, &body).await;
    let member = |name| ("m.room.member", name);
    let told = [
        ("m.room.create", ""),
        member("@bob:here"),
        member("@carol:here"),
    ];
    assert_eq!(state(&answer["rooms"][room]), told);
    // Those who have been told are not told again; those who are seen for the first time are.
    house.say(&rooms[0], "carol", "again").await;
    assert_eq!(state(&bob.ask(&house, &body).await["rooms"][room]), []);
    house.say(&rooms[0], "alice", "me, too").await;
    assert_eq!(
        state(&bob.ask(&house, &body).await["rooms"][room]),
        [member("@alice:here")]
    );
    // Nobody hears of state that they do not want.
    house
        .set(&rooms[0], "alice", "m.room.topic", json!({ "topic": "t" }))
        .await
        .unwrap();
    assert_eq!(state(&bob.ask(&house, &body).await["rooms"][room]), []);
    // Who wants more is told at once, of the state as it is.
    let mut more = body.clone();
    more["room_subscriptions"] = json!({ room: { "timeline_limit": 1, "required_state": [["m.room.topic", ""], ["m.room.create", ""]] } });
    let answer = bob.ask(&house, &more).await;
    assert_eq!(state(&answer["rooms"][room]), [("m.room.topic", "")]);
    assert!(ids(&bob.ask(&house, &more).await).is_empty());
    let all = lists((0, 9), 1, &[("*", "*")]);
    let answer = bob.ask(&house, &all).await;
    assert_eq!(state(&answer["rooms"][room]).len(), 8);
}

#[tokio::test]
async fn a_longer_timeline_is_told_when_it_is_wanted() {
    let (house, rooms) = with_rooms(1).await;
    for word in ["a", "b", "c", "d"] {
        house.say(&rooms[0], "alice", word).await;
    }
    let room = rooms[0].as_str();
    let mut bob = Slider::of(&house, "bob").await;
    let body = lists((0, 9), 1, &[]);
    let answer = bob.ask(&house, &body).await;
    assert_eq!(bodies(&answer["rooms"][room]), ["d"]);
    let mut more = body.clone();
    more["room_subscriptions"] = json!({ room: { "timeline_limit": 3 } });
    let answer = bob.ask(&house, &more).await;
    let told = &answer["rooms"][room];
    assert_eq!(bodies(told), ["b", "c", "d"]);
    assert_eq!(told["unstable_expanded_timeline"], true);
    assert_eq!(told["limited"], true);
    assert_eq!(told["num_live"], 0);
    assert!(told.get("initial").is_none());
    // Once it has them it keeps them, while nothing is missed.
    assert!(ids(&bob.ask(&house, &body).await).is_empty());
    assert!(ids(&bob.ask(&house, &more).await).is_empty());
    bob.ask(&house, &body).await;
    house.say(&rooms[0], "alice", "e").await;
    house.say(&rooms[0], "alice", "f").await;
    let answer = bob.ask(&house, &body).await;
    assert_eq!(answer["rooms"][room]["limited"], true);
    let answer = bob.ask(&house, &more).await;
    assert_eq!(bodies(&answer["rooms"][room]), ["d", "e", "f"]);
}

#[tokio::test]
async fn an_answer_that_gets_lost_is_given_again() {
    let (mut house, rooms) = with_rooms(3).await;
    let mut bob = Slider::of(&house, "bob").await;
    let body = lists((0, 1), 2, &[("m.room.name", "")]);
    bob.ask(&house, &body).await;
    house.say(&rooms[0], "alice", "x").await;
    house
        .set(&rooms[0], "alice", "m.room.name", json!({ "name": "y" }))
        .await
        .unwrap();
    let lost = bob.peek(&house, &body).await.unwrap();
    let told = &lost["rooms"][rooms[0].as_str()];
    assert_eq!(told["initial"], true);
    let again = bob.peek(&house, &body).await.unwrap();
    assert_eq!(again["rooms"], lost["rooms"]);
    house.restart_sync().await;
    let mut again = bob.peek(&house, &body).await.unwrap();
    again["rooms"][rooms[0].as_str()]["timeline"] = told["timeline"].clone();
    assert_eq!(again["rooms"][rooms[0].as_str()], *told);
    // Only the last answer to a position is good; the one before it was lost.
    let old = bob.pos.clone();
    bob.ask(&house, &body).await;
    assert!(ids(&bob.ask(&house, &body).await).is_empty());
    let new = house.room("bob", "public", "shared").await;
    assert_eq!(ids(&bob.ask(&house, &body).await), [new.as_str()]);
    bob.pos = old;
    assert!(matches!(
        bob.peek(&house, &body).await,
        Err(Error::UnknownPos)
    ));
}

#[tokio::test]
async fn positions_that_nobody_knows_are_refused_and_connections_are_apart() {
    let (mut house, rooms) = with_rooms(1).await;
    let mut bob = Slider::of(&house, "bob").await;
    let (one, two) = (
        lists((0, 9), 1, &[]),
        json!({ "conn_id": "two", "extensions": { "e2ee": { "enabled": true } } }),
    );
    bob.ask(&house, &one).await;
    let mut other = Slider {
        who: bob.who.clone(),
        pos: None,
    };
    other.ask(&house, &two).await;
    assert!(matches!(
        other.peek(&house, &one).await,
        Err(Error::UnknownPos)
    ));
    house.restart_sync().await;
    let said = house.say(&rooms[0], "alice", "after the restart").await;
    let answer = bob.ask(&house, &one).await;
    assert_eq!(
        timeline(&answer["rooms"][rooms[0].as_str()]),
        [said.as_str()]
    );
    assert!(answer["rooms"][rooms[0].as_str()].get("initial").is_none());
    other.ask(&house, &two).await;
    // Whoever begins anew ends what was there.
    let old = bob.pos.take();
    bob.ask(&house, &one).await;
    bob.pos = old;
    assert!(matches!(
        bob.peek(&house, &one).await,
        Err(Error::UnknownPos)
    ));
    for pos in [
        "",
        "1",
        "a.b.c",
        "1.1.s1",
        "s1",
        "1.99999999999999999999.s1",
    ] {
        bob.pos = Some(pos.to_owned());
        let answer = bob.peek(&house, &one).await;
        assert_eq!(pos.is_empty(), answer.is_ok(), "{pos}");
    }
    let carol = Slider {
        who: house.identity("carol", "C").await,
        pos: other.pos.clone(),
    };
    assert!(matches!(
        carol.peek(&house, &two).await,
        Err(Error::UnknownPos)
    ));
}

#[tokio::test]
async fn a_device_has_so_many_connections() {
    let (house, _) = with_rooms(1).await;
    let bob = Slider::of(&house, "bob").await;
    let conn = |number: usize| json!({ "conn_id": number.to_string(), "lists": lists((0, 9), 1, &[])["lists"] });
    let mut first = Slider {
        who: bob.who.clone(),
        pos: None,
    };
    first.ask(&house, &conn(0)).await;
    for number in 1..16 {
        house.clock.advance(Duration::from_secs(1));
        bob.peek(&house, &conn(number)).await.unwrap();
    }
    assert!(first.peek(&house, &conn(0)).await.is_ok());
    house.clock.advance(Duration::from_secs(1));
    bob.peek(&house, &conn(16)).await.unwrap();
    let refused = first.peek(&house, &conn(0)).await;
    assert!(
        matches!(refused, Err(Error::UnknownPos)),
        "the longest unused one went"
    );
}

#[tokio::test]
async fn invitations_are_told_until_they_are_answered() {
    let (house, _) = with_rooms(0).await;
    let room = house.room("alice", "invite", "shared").await;
    house
        .set(&room, "alice", "m.room.name", json!({ "name": "ours" }))
        .await
        .unwrap();
    let mut bob = Slider::of(&house, "bob").await;
    let body = lists((0, 9), 5, &[("m.room.member", "$ME")]);
    assert_eq!(bob.ask(&house, &body).await["lists"]["all"]["count"], 0);
    let invites = house.change(&room, "alice", "bob", Membership::Invite);
    let (answer, invited) = tokio::join!(bob.wait(&house, &body), invites);
    invited.unwrap();
    let told = &answer["rooms"][room.as_str()];
    assert_eq!(told["name"], "ours");
    assert!(
        list(&told["invite_state"])
            .iter()
            .any(|event| event["type"] == "m.room.create")
    );
    assert!(told.get("timeline").is_none());
    house.say(&room, "alice", "not for bob yet").await;
    assert!(ids(&bob.ask(&house, &body).await).is_empty());
    house.join(&room, "bob").await;
    let answer = bob.ask(&house, &body).await;
    let told = &answer["rooms"][room.as_str()];
    assert_eq!(told["initial"], true);
    assert!(told.get("invite_state").is_none());
    assert_eq!(state(told), [("m.room.member", "@bob:here")]);
    let leave = house
        .change(&room, "bob", "bob", Membership::Leave)
        .await
        .unwrap();
    house.say(&room, "alice", "after").await;
    let answer = bob.ask(&house, &body).await;
    let told = &answer["rooms"][room.as_str()];
    assert_eq!(told["required_state"][0]["content"]["membership"], "leave");
    assert_eq!(timeline(told), [leave.event_id.as_str()]);
    assert_eq!(answer["lists"]["all"]["count"], 0);
    assert!(ids(&bob.ask(&house, &body).await).is_empty());
}

#[tokio::test]
async fn nothing_is_shown_after_a_ban_during_a_long_poll() {
    let (house, rooms) = with_rooms(1).await;
    let room = &rooms[0];
    let mut bob = Slider::of(&house, "bob").await;
    let body = lists((0, 9), 9, &[("*", "*")]);
    bob.ask(&house, &body).await;
    for round in 0..20 {
        let bans = async {
            house.say(room, "alice", "before").await;
            let ban = house
                .change(room, "alice", "bob", Membership::Ban)
                .await
                .unwrap();
            house.say(room, "alice", "after").await;
            let name = json!({ "name": format!("secret {round}") });
            house.set(room, "alice", "m.room.name", name).await.unwrap();
            ban.event_id
        };
        let (mut answer, ban) = tokio::join!(bob.wait(&house, &body), bans);
        if timeline(&answer["rooms"][room.as_str()]).last() != Some(&ban.as_str()) {
            answer = bob.ask(&house, &body).await;
        }
        let told = &answer["rooms"][room.as_str()];
        assert_eq!(timeline(told).last(), Some(&ban.as_str()), "{answer}");
        assert!(!answer.to_string().contains("secret") && !answer.to_string().contains("after"));
        assert!(ids(&bob.ask(&house, &body).await).is_empty());
        house
            .change(room, "alice", "bob", Membership::Leave)
            .await
            .unwrap();
        house
            .set(room, "alice", "m.room.name", json!({ "name": "open" }))
            .await
            .unwrap();
        house.join(room, "bob").await;
        let answer = bob.ask(&house, &body).await;
        assert_eq!(answer["rooms"][room.as_str()]["initial"], true);
        // Who is back may see what was said meanwhile; the next round is about what is not.
        house
            .change(room, "bob", "bob", Membership::Leave)
            .await
            .unwrap();
        house.join(room, "bob").await;
        bob.ask(&house, &body).await;
    }
}

#[tokio::test]
async fn counts_come_with_the_room_and_go_when_it_is_read_elsewhere() {
    let (house, rooms) = with_rooms(1).await;
    let mut bob = Slider::of(&house, "bob").await;
    let body = lists((0, 9), 1, &[]);
    bob.ask(&house, &body).await;
    let mention =
        json!({ "msgtype": "m.text", "body": "bob!", "m.mentions": { "user_ids": ["@bob:here"] } });
    let said = house
        .send(&rooms[0], "alice", "m.room.message", mention)
        .await
        .unwrap();
    let told = bob.ask(&house, &body).await["rooms"][rooms[0].as_str()].clone();
    assert_eq!(
        (&told["notification_count"], &told["highlight_count"]),
        (&json!(2), &json!(1))
    );
    let reads = house.rooms.receipt(
        &rooms[0],
        "@bob:here".try_into().unwrap(),
        Kind::Private,
        None,
        &said.event_id,
    );
    let (answer, read) = tokio::join!(bob.wait(&house, &body), reads);
    read.unwrap();
    let told = &answer["rooms"][rooms[0].as_str()];
    assert_eq!(
        (&told["notification_count"], &told["highlight_count"]),
        (&json!(0), &json!(0))
    );
    assert!(timeline(told).is_empty());
}

#[tokio::test]
async fn filters_choose_rooms() {
    let (house, rooms) = with_rooms(4).await;
    let bob = user("bob");
    let set = async |room: Option<&OwnedRoomId>, kind: &str, content: Value| {
        let content = to_raw_value(&content).unwrap();
        let room = room.map(|room| &**room);
        house
            .users
            .set_account_data(&bob, room, kind, &content)
            .await
            .unwrap();
    };
    set(None, "m.direct", json!({ "@alice:here": [rooms[0]] })).await;
    set(
        Some(&rooms[1]),
        "m.tag",
        json!({ "tags": { "m.favourite": {} } }),
    )
    .await;
    let encryption = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    house
        .set(&rooms[2], "alice", "m.room.encryption", encryption)
        .await
        .unwrap();
    house
        .set(
            &rooms[3],
            "alice",
            "m.room.name",
            json!({ "name": "The Garden" }),
        )
        .await
        .unwrap();
    let invited = house.room("alice", "invite", "shared").await;
    house
        .change(&invited, "alice", "bob", Membership::Invite)
        .await
        .unwrap();
    let child = rooms::SetState::new(
        rooms[3].clone(),
        user("alice"),
        "m.space.child",
        rooms[0].as_str(),
        &json!({ "via": ["here"] }),
    );
    house.rooms.set_state(child.unwrap()).await.unwrap();
    let mut client = Slider::of(&house, "bob").await;
    let mut found = async |filters: Value| -> Vec<OwnedRoomId> {
        client.pos = None;
        let body = json!({ "lists": { "l": { "ranges": [[0, 99]], "timeline_limit": 1, "filters": filters } } });
        let answer = client.ask(&house, &body).await;
        let mut found: Vec<OwnedRoomId> = ids(&answer)
            .iter()
            .map(|id| (*id).try_into().unwrap())
            .collect();
        assert_eq!(answer["lists"]["l"]["count"], found.len());
        found.sort_by_key(|id| rooms.iter().position(|room| room == id));
        found
    };
    assert_eq!(found(json!({ "is_dm": true })).await, [rooms[0].clone()]);
    assert_eq!(
        found(json!({ "tags": ["m.favourite"] })).await,
        [rooms[1].clone()]
    );
    assert_eq!(
        found(json!({ "is_encrypted": true })).await,
        [rooms[2].clone()]
    );
    assert_eq!(
        found(json!({ "room_name_like": "garden" })).await,
        [rooms[3].clone()]
    );
    assert_eq!(
        found(json!({ "is_invite": true })).await,
        std::slice::from_ref(&invited)
    );
    assert_eq!(
        found(json!({ "spaces": [rooms[3]] })).await,
        [rooms[0].clone()]
    );
    assert_eq!(found(json!({ "is_dm": false, "is_encrypted": false, "is_invite": false, "not_tags": ["m.favourite"] })).await, [rooms[3].clone()]);
    assert_eq!(found(json!({ "room_types": ["m.space"] })).await.len(), 0);
    assert_eq!(found(json!({ "room_types": [null] })).await.len(), 5);
    assert_eq!(found(json!({ "not_room_types": [null] })).await.len(), 0);
    assert_eq!(found(json!({ "unknown": 1 })).await.len(), 5);
}

#[tokio::test]
async fn a_room_may_be_subscribed_to_by_those_who_have_to_do_with_it() {
    let (house, rooms) = with_rooms(2).await;
    let private = house.room("alice", "invite", "shared").await;
    house.say(&private, "alice", "private").await;
    let mut bob = Slider::of(&house, "bob").await;
    let body = json!({ "txn_id": "t", "room_subscriptions": {
        rooms[0].as_str(): { "timeline_limit": 1 }, private.as_str(): { "timeline_limit": 1 }, "!nowhere:here": { "timeline_limit": 1 },
    } });
    let answer = bob.ask(&house, &body).await;
    assert_eq!(ids(&answer), [rooms[0].as_str()]);
    assert_eq!(answer["txn_id"], "t");
    house.say(&rooms[1], "alice", "elsewhere").await;
    let said = house.say(&rooms[0], "alice", "here").await;
    let answer = bob.ask(&house, &body).await;
    assert_eq!(
        timeline(&answer["rooms"][rooms[0].as_str()]),
        [said.as_str()]
    );
    assert_eq!(ids(&answer).len(), 1);
}

#[tokio::test]
async fn extensions_tell_what_changes() {
    let (house, rooms) = with_rooms(2).await;
    let (room, bob_id) = (rooms[0].as_str(), user("bob"));
    let mut bob = Slider::of(&house, "bob").await;
    let on = json!({ "enabled": true });
    let mut body = lists((0, 9), 1, &[]);
    body["extensions"] =
        json!({ "to_device": on, "e2ee": on, "account_data": on, "receipts": on, "typing": on });
    let answer = bob.ask(&house, &body).await;
    let first = &answer["extensions"];
    assert!(
        list(&first["account_data"]["global"])
            .iter()
            .any(|event| event["type"] == "m.push_rules")
    );
    assert_eq!(first["receipts"]["rooms"], json!({}));
    assert!(first["e2ee"]["device_one_time_keys_count"].is_object());
    assert!(first["to_device"]["next_batch"].is_string());
    // Nothing new: nothing said twice.
    let answer = bob.ask(&house, &body).await;
    assert_eq!(
        answer["extensions"]["account_data"],
        json!({ "global": [], "rooms": {} })
    );

    let content = to_raw_value(&json!({ "theme": "dark" })).unwrap();
    let sets = house
        .users
        .set_account_data(&bob_id, Some(&rooms[0]), "org.example.look", &content);
    let (answer, set) = tokio::join!(bob.wait(&house, &body), sets);
    set.unwrap();
    assert_eq!(
        answer["extensions"]["account_data"]["rooms"][room][0]["content"]["theme"],
        "dark"
    );
    assert!(ids(&answer).is_empty());

    let s = house.store.snapshot();
    let (no, alice) = (
        rooms::members::room(&s, &rooms[0]).unwrap(),
        s.user_no(&user("alice")).unwrap().unwrap(),
    );
    let types = async {
        house
            .rooms
            .typing()
            .set(no, alice, Some(Duration::from_secs(20)));
    };
    let (answer, ()) = tokio::join!(bob.wait(&house, &body), types);
    assert_eq!(
        answer["extensions"]["typing"]["rooms"][room]["content"]["user_ids"],
        json!(["@alice:here"])
    );
    let stops = async { house.rooms.typing().set(no, alice, None) };
    let (answer, ()) = tokio::join!(bob.wait(&house, &body), stops);
    assert_eq!(
        answer["extensions"]["typing"]["rooms"][room]["content"]["user_ids"],
        json!([])
    );

    let last = house.say(&rooms[0], "bob", "read this").await;
    bob.ask(&house, &body).await;
    let alice = user("alice");
    let reads = house
        .rooms
        .receipt(&rooms[0], &alice, Kind::Public, None, &last);
    let (answer, read) = tokio::join!(bob.wait(&house, &body), reads);
    read.unwrap();
    let receipt = &answer["extensions"]["receipts"]["rooms"][room];
    assert!(
        receipt["content"][last.as_str()]["m.read"]["@alice:here"]["ts"].is_u64(),
        "{answer}"
    );
    assert!(ids(&answer).is_empty());

    house.join(&rooms[0], "carol").await;
    let answer = bob.ask(&house, &body).await;
    assert_eq!(
        answer["extensions"]["e2ee"]["device_lists"]["changed"],
        json!(["@carol:here"])
    );
    house
        .change(&rooms[0], "alice", "alice", Membership::Leave)
        .await
        .unwrap();
    house
        .change(&rooms[1], "alice", "alice", Membership::Leave)
        .await
        .unwrap();
    let answer = bob.ask(&house, &body).await;
    assert_eq!(
        answer["extensions"]["e2ee"]["device_lists"]["left"],
        json!(["@alice:here"])
    );
}

#[tokio::test]
async fn receipts_are_made_up_for_when_a_room_comes_into_sight() {
    let (house, rooms) = with_rooms(2).await;
    let mut bob = Slider::of(&house, "bob").await;
    let mut body = lists((0, 0), 1, &[]);
    body["extensions"] =
        json!({ "receipts": { "enabled": true }, "account_data": { "enabled": true } });
    let last = house.say(&rooms[1], "bob", "last").await;
    bob.ask(&house, &body).await;
    house.say(&rooms[0], "bob", "on top").await;
    bob.ask(&house, &body).await;
    // Out of sight, alice reads and bob makes a note.
    house
        .rooms
        .receipt(&rooms[1], &user("alice"), Kind::Public, None, &last)
        .await
        .unwrap();
    let content = to_raw_value(&json!({ "note": 1 })).unwrap();
    house
        .users
        .set_account_data(&user("bob"), Some(&rooms[1]), "org.example.note", &content)
        .await
        .unwrap();
    let answer = bob.ask(&house, &body).await;
    assert_eq!(answer["extensions"]["receipts"]["rooms"], json!({}));
    assert_eq!(answer["extensions"]["account_data"]["rooms"], json!({}));
    house.say(&rooms[1], "bob", "on top again").await;
    let answer = bob.ask(&house, &body).await;
    let room = rooms[1].as_str();
    let content = &answer["extensions"]["receipts"]["rooms"][room]["content"];
    assert!(
        content[last.as_str()]["m.read"]["@alice:here"].is_object(),
        "{answer}"
    );
    assert_eq!(
        answer["extensions"]["account_data"]["rooms"][room][0]["type"],
        "org.example.note"
    );
}

#[tokio::test]
async fn messages_to_a_device_are_told_until_the_client_says_it_has_them() {
    let (house, _) = with_rooms(0).await;
    let mut bob = Slider::of(&house, "bob").await;
    let mut body = json!({ "conn_id": "encryption", "extensions": { "to_device": { "enabled": true, "limit": 2 } } });
    bob.ask(&house, &body).await;
    for number in 0..5 {
        let content = to_raw_value(&json!({ "number": number })).unwrap();
        let device = bob.who.device_id.to_string();
        let messages = Messages {
            sender: user("alice"),
            event_type: "m.test".to_owned(),
            contents: BTreeMap::from([(user("bob"), BTreeMap::from([(device, content)]))]),
            once: None,
        };
        house.users.send_to_devices(messages).await.unwrap();
    }
    let mut numbers = async || -> Vec<u64> {
        let answer = bob.ask(&house, &body).await;
        let told = &answer["extensions"]["to_device"];
        body["extensions"]["to_device"]["since"] = told["next_batch"].clone();
        list(&told["events"])
            .iter()
            .map(|event| event["content"]["number"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(numbers().await, [0, 1]);
    assert_eq!(numbers().await, [2, 3]);
    assert_eq!(numbers().await, [4]);
    assert_eq!(numbers().await, [0; 0]);
    body["extensions"]["to_device"]["since"] = json!("x");
    assert!(matches!(
        bob.peek(&house, &body).await,
        Err(Error::BadToken)
    ));
}

#[tokio::test]
async fn nothing_new_costs_no_reads_and_a_message_costs_its_room() {
    for (count, range) in [(3, (0, 9)), (100, (0, 9)), (100, (0, 999))] {
        let (house, rooms) = with_rooms(count).await;
        let mut bob = Slider::of(&house, "bob").await;
        let mut body = lists(
            range,
            1,
            &[
                ("m.room.name", ""),
                ("m.room.member", "$LAZY"),
                ("m.space.child", "*"),
            ],
        );
        let on = json!({ "enabled": true });
        body["extensions"] =
            json!({ "account_data": on, "receipts": on, "typing": on, "e2ee": on });
        for _ in 0..3 {
            house.say(&rooms[0], "alice", "warm").await;
            bob.ask(&house, &body).await;
        }
        bob.ask(&house, &body).await;
        let before = house.store.calls();
        bob.ask(&house, &body).await;
        assert_eq!(house.store.calls() - before, 0, "{count} rooms");
        house.say(&rooms[0], "alice", "one").await;
        let before = house.store.calls();
        let answer = bob.ask(&house, &body).await;
        assert_eq!(ids(&answer), [rooms[0].as_str()]);
        let calls = house.store.calls() - before;
        assert!(calls <= 20, "{calls} reads in {count} rooms");
    }
}

#[tokio::test]
async fn a_list_that_has_been_told_is_waited_for() {
    let (house, _) = with_rooms(2).await;
    let mut bob = Slider::of(&house, "bob").await;
    let some = lists((0, 0), 1, &[]);
    bob.ask(&house, &some).await;
    // An answer that gets lost, and another question from the same position.
    bob.peek(&house, &lists((0, 9), 1, &[])).await.unwrap();
    let mut other = some.clone();
    other["lists"]["invited"] =
        json!({ "ranges": [[0, 9]], "timeline_limit": 1, "filters": { "is_invite": true } });
    assert_eq!(
        bob.wait(&house, &other).await["lists"]["invited"]["count"],
        0
    );
    let short = Duration::from_millis(50);
    let waited = house.slide(&bob.who, bob.pos.as_deref(), short, &other);
    let waits = tokio::time::timeout(Duration::from_millis(10), waited).await;
    assert!(
        waits.is_err(),
        "nothing is new, and yet it was answered at once"
    );
}

#[tokio::test]
async fn waiting_costs_little_memory() {
    let (house, _) = with_rooms(1).await;
    let bob = Slider::of(&house, "bob").await;
    let params = crate::SlidingParams::default();
    let size = std::mem::size_of_val(&house.sync.sliding(&bob.who, params));
    assert!(size <= 4_096, "{size} bytes");
}
