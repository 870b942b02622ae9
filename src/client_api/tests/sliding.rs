//! Sliding sync as Element X asks it, and its answers as the types of clients read them.

use ruma::api::client::sync::sync_events::v5::response::{Extensions, List, Room};
use serde_json::{Value, json};

use super::Server;

const PATH: &str = "/unstable/org.matrix.simplified_msc3575/sync";

fn room_list() -> Value {
    let on = json!({ "enabled": true });
    json!({
        "conn_id": "room-list",
        "txn_id": "1",
        "lists": { "all_rooms": {
            "ranges": [[0, 19]],
            "timeline_limit": 1,
            "required_state": [
                ["m.room.name", ""], ["m.room.encryption", ""], ["m.room.member", "$LAZY"], ["m.room.member", "$ME"],
                ["m.room.create", ""], ["m.space.child", "*"]
            ],
            "filters": {}
        } },
        "extensions": {
            "account_data": on, "typing": on, "e2ee": on, "to_device": on,
            "receipts": { "enabled": true, "rooms": ["*"] }
        }
    })
}

#[tokio::test]
async fn a_room_list_is_told_in_the_form_that_clients_read() {
    let server = Server::open();
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let ask = json!({ "preset": "public_chat", "name": "Tea" });
    let room = server.room(&alice, ask).await;
    server
        .post(&format!("/v3/join/{room}"), &bob, json!({}))
        .await
        .ok();
    server.say(&alice, &room, "1", "hello").await;
    let answer = server.post(PATH, &bob, room_list()).await.ok();
    assert_eq!(answer["txn_id"], "1");
    let list: List = serde_json::from_value(answer["lists"]["all_rooms"].clone()).unwrap();
    assert_eq!(u64::from(list.count), 1);
    let told: Room = serde_json::from_value(answer["rooms"][&room].clone()).unwrap();
    assert_eq!(told.name.as_deref(), Some("Tea"));
    assert_eq!((told.initial, told.limited), (Some(true), true));
    assert_eq!((told.timeline.len(), told.required_state.len()), (1, 4));
    assert_eq!(told.joined_count, Some(2_u32.into()));
    assert!(told.bump_stamp.is_some() && told.prev_batch.is_some());
    let extensions: Extensions = serde_json::from_value(answer["extensions"].clone()).unwrap();
    assert!(!extensions.account_data.global.is_empty());
    assert!(extensions.to_device.is_some() && !extensions.e2ee.is_empty());

    let pos = answer["pos"].as_str().unwrap();
    server.say(&alice, &room, "2", "again").await;
    let path = format!("{PATH}?pos={pos}&timeout=30000");
    let answer = server.post(&path, &bob, room_list()).await.ok();
    assert_eq!(
        answer["rooms"][&room]["timeline"][0]["content"]["body"],
        "again"
    );
    let before = answer["rooms"][&room]["prev_batch"].as_str().unwrap();
    let path = format!("/v3/rooms/{room}/messages?dir=b&limit=1&from={before}");
    let page = server.get(&path, &bob).await.ok();
    assert_eq!(page["chunk"][0]["content"]["body"], "hello");
}

#[tokio::test]
async fn bad_questions_are_told_apart_from_positions_that_are_over() {
    let server = Server::open();
    let alice = server.register("alice").await;
    let unknown = server
        .post(&format!("{PATH}?pos=1.2.s3"), &alice, room_list())
        .await;
    unknown.refused(400, "M_UNKNOWN_POS");
    let mut body = room_list();
    body["lists"]["all_rooms"]["ranges"] = json!("all");
    server
        .post(PATH, &alice, body)
        .await
        .refused(400, "M_BAD_JSON");
    let mut body = room_list();
    body["conn_id"] = json!("c".repeat(500));
    server
        .post(PATH, &alice, body)
        .await
        .refused(400, "M_INVALID_PARAM");
    let flags = server.get("/versions", "").await.ok();
    assert_eq!(
        flags["unstable_features"]["org.matrix.simplified_msc3575"],
        true
    );
}
