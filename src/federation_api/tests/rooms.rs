//! Rooms shared between servers: how people come into them and go, and what a server may read of them.

use http::StatusCode;
use peers::Ask;
use serde_json::{Value, json};

use super::town::{Person, Server, Told, town};

async fn room(creator: &Person<'_>, ask: Value) -> String {
    let told = creator.post("/v3/createRoom", ask).await.ok();
    told["room_id"].as_str().unwrap().to_owned()
}

async fn say(who: &Person<'_>, room: &str, txn: &str) -> String {
    let path = format!("/v3/rooms/{room}/send/m.room.message/{txn}");
    let told = who
        .put(&path, json!({ "msgtype": "m.text", "body": txn }))
        .await
        .ok();
    told["event_id"].as_str().unwrap().to_owned()
}

async fn members(who: &Person<'_>, room: &str) -> Vec<String> {
    let told = who
        .get(&format!("/v3/rooms/{room}/joined_members"))
        .await
        .ok();
    told["joined"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

async fn state(who: &Person<'_>, room: &str, kind: &str) -> Told {
    who.get(&format!("/v3/rooms/{room}/state/{kind}")).await
}

#[tokio::test]
async fn a_public_room_is_joined_by_its_alias_from_another_server() {
    let (_, [one, two]) = town(["one.example", "two.example"]);
    let (alice, bob) = (one.register("alice").await, two.register("bob").await);
    for version in ["6", "11", "12"] {
        let name = format!("square{version}");
        let ask = json!({ "preset": "public_chat", "name": name, "room_alias_name": name, "room_version": version });
        let room = room(&alice, ask).await;
        let told = bob
            .post(&format!("/v3/join/%23{name}:one.example"), json!({}))
            .await
            .ok();
        assert_eq!(told["room_id"], room.as_str());
        let both = [alice.id.clone(), bob.id.clone()];
        assert_eq!(members(&alice, &room).await, both, "version {version}");
        assert_eq!(members(&bob, &room).await, both, "version {version}");
        assert_eq!(
            state(&bob, &room, "m.room.name").await.ok()["name"],
            name.as_str()
        );
    }
}

#[tokio::test]
async fn an_invitation_reaches_another_server_and_is_followed() {
    let (_, [one, two]) = town(["one.example", "two.example"]);
    let (alice, bob) = (one.register("alice").await, two.register("bob").await);
    let room = room(
        &alice,
        json!({ "preset": "private_chat", "name": "Kitchen" }),
    )
    .await;
    bob.post(&format!("/v3/join/{room}?via=one.example"), json!({}))
        .await
        .refused(403, "M_FORBIDDEN");
    let invite = json!({ "user_id": bob.id });
    alice
        .post(&format!("/v3/rooms/{room}/invite"), invite)
        .await
        .ok();
    let sync = bob.get("/v3/sync").await.ok();
    let shown = &sync["rooms"]["invite"][&room]["invite_state"]["events"];
    assert!(
        shown
            .as_array()
            .unwrap()
            .iter()
            .any(|event| event["content"]["name"] == "Kitchen"),
        "{sync}"
    );
    bob.post(&format!("/v3/join/{room}"), json!({})).await.ok();
    assert_eq!(
        members(&alice, &room).await,
        [alice.id.clone(), bob.id.clone()]
    );
    bob.post(&format!("/v3/rooms/{room}/leave"), json!({}))
        .await
        .ok();
    let nobody = json!({ "user_id": "@nobody:two.example" });
    let told = alice
        .post(&format!("/v3/rooms/{room}/invite"), nobody)
        .await;
    assert_ne!(told.status, StatusCode::OK);
}

#[tokio::test]
async fn an_invitation_is_turned_down_across_servers() {
    let (_, [one, two]) = town(["one.example", "two.example"]);
    let (alice, bob) = (one.register("alice").await, two.register("bob").await);
    let room = room(
        &alice,
        json!({ "preset": "private_chat", "invite": [bob.id] }),
    )
    .await;
    bob.post(&format!("/v3/rooms/{room}/leave"), json!({}))
        .await
        .ok();
    let member = state(&alice, &room, &format!("m.room.member/{}", bob.id))
        .await
        .ok();
    assert_eq!(member["membership"], "leave");
    let sync = bob.get("/v3/sync").await.ok();
    assert!(sync["rooms"]["invite"][&room].is_null(), "{sync}");
}

async fn asked(from: &Server, to: &Server, path: &str) -> Told {
    from.ask_server(to, Ask::get(path)).await
}

#[tokio::test]
async fn only_servers_in_a_room_read_its_events() {
    let (_, [one, two, three]) = town(["one.example", "two.example", "three.example"]);
    let (alice, bob) = (one.register("alice").await, two.register("bob").await);
    let room = room(&alice, json!({ "preset": "public_chat", "name": "Hall" })).await;
    bob.post(&format!("/v3/join/{room}?via=one.example"), json!({}))
        .await
        .ok();
    say(&alice, &room, "first").await;
    let second = say(&alice, &room, "second").await;
    let paths = [
        format!("/_matrix/federation/v1/event/{second}"),
        format!("/_matrix/federation/v1/event_auth/{room}/{second}"),
        format!("/_matrix/federation/v1/state/{room}?event_id={second}"),
        format!("/_matrix/federation/v1/state_ids/{room}?event_id={second}"),
        format!("/_matrix/federation/v1/backfill/{room}?v={second}&limit=10"),
        format!("/_matrix/federation/v1/timestamp_to_event/{room}?ts=0&dir=f"),
    ];
    for path in &paths {
        asked(&two, &one, path).await.ok();
        asked(&three, &one, path).await.refused(403, "M_FORBIDDEN");
    }
    let told = asked(&two, &one, &paths[0]).await.ok();
    assert_eq!(told["pdus"][0]["content"]["body"], "second");
    assert_eq!(told["origin"], "one.example");
    let ids = asked(&two, &one, &paths[3]).await.ok();
    assert!(ids["pdu_ids"].as_array().unwrap().len() >= 6, "{ids}");
    let told = asked(&two, &one, &paths[4]).await.ok();
    let bodies: Vec<&Value> = told["pdus"]
        .as_array()
        .unwrap()
        .iter()
        .take(2)
        .map(|event| &event["content"]["body"])
        .collect();
    assert_eq!(bodies, ["second", "first"]);
    let ask = json!({ "earliest_events": [], "latest_events": [second], "limit": 5 });
    let path = format!("/_matrix/federation/v1/get_missing_events/{room}");
    let told = two
        .ask_server(&one, Ask::post(&path, ask.to_string()))
        .await
        .ok();
    let events = told["events"].as_array().unwrap();
    assert_eq!(events.last().unwrap()["content"]["body"], "first");
    three
        .ask_server(&one, Ask::post(&path, ask.to_string()))
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_server_speaks_for_its_own_users_only() {
    let (_, [one, two]) = town(["one.example", "two.example"]);
    let alice = one.register("alice").await;
    let room = room(&alice, json!({ "preset": "public_chat" })).await;
    for verb in ["make_join", "make_leave", "make_knock"] {
        let path = format!("/_matrix/federation/v1/{verb}/{room}/@carl:three.example?ver=12");
        asked(&two, &one, &path).await.refused(403, "M_FORBIDDEN");
    }
    let path = format!("/_matrix/federation/v1/make_join/{room}/@bob:two.example?ver=1");
    asked(&two, &one, &path)
        .await
        .refused(400, "M_INCOMPATIBLE_ROOM_VERSION");
    let told = asked(&two, &one, &format!("{}2", path)).await.ok();
    assert_eq!(told["event"]["content"]["membership"], "join");
    let path = format!("/_matrix/federation/v2/send_join/{room}/$nothing");
    for body in ["{}", "[]", "null", "{\"type\":\"m.room.member\"}"] {
        let told = two.ask_server(&one, Ask::put(&path, body)).await;
        assert!(
            told.status.is_client_error(),
            "{body}: {} {}",
            told.status,
            told.body
        );
    }
}

#[tokio::test]
async fn a_space_is_told_as_far_as_a_server_may_know_of_it() {
    let (_, [one, two]) = town(["one.example", "two.example"]);
    let alice = one.register("alice").await;
    let space = room(
        &alice,
        json!({ "preset": "public_chat", "creation_content": { "type": "m.space" } }),
    )
    .await;
    let open = room(&alice, json!({ "preset": "public_chat", "name": "Open" })).await;
    let shut = room(&alice, json!({ "preset": "private_chat", "name": "Shut" })).await;
    for child in [&open, &shut] {
        let path = format!("/v3/rooms/{space}/state/m.space.child/{child}");
        alice
            .put(&path, json!({ "via": ["one.example"] }))
            .await
            .ok();
    }
    let told = asked(
        &two,
        &one,
        &format!("/_matrix/federation/v1/hierarchy/{space}"),
    )
    .await
    .ok();
    assert_eq!(told["room"]["room_id"], space.as_str());
    assert_eq!(told["room"]["children_state"].as_array().unwrap().len(), 2);
    assert_eq!(told["children"][0]["room_id"], open.as_str());
    assert_eq!(told["children"].as_array().unwrap().len(), 1);
    assert_eq!(told["inaccessible_children"], json!([shut]));
    asked(
        &two,
        &one,
        &format!("/_matrix/federation/v1/hierarchy/{shut}"),
    )
    .await
    .refused(404, "M_NOT_FOUND");
}
