//! Keys, backups and messages to devices.

use serde_json::{Value, json};

use super::Server;

#[tokio::test]
async fn messages_to_devices_arrive_once() {
    let server = Server::open();
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let message = json!({ "messages": { "@bob:localhost": { "*": { "secret": 1 } } } });
    for _ in 0..2 {
        server
            .put(
                "/v3/sendToDevice/m.room.encrypted/1",
                &alice,
                message.clone(),
            )
            .await
            .ok();
    }
    let told = server.get("/v3/sync", &bob).await.ok();
    let events = told["to_device"]["events"].as_array().unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&events[0]["sender"], &events[0]["content"]),
        (&json!("@alice:localhost"), &json!({ "secret": 1 }))
    );
}

#[tokio::test]
async fn a_backup_is_kept_by_version() {
    let server = Server::open();
    let alice = server.register("alice").await;
    server
        .get("/v3/room_keys/version", &alice)
        .await
        .refused(404, "M_NOT_FOUND");
    let method = json!({ "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": { "public_key": "abc", "signatures": {} } });
    let version = server
        .post("/v3/room_keys/version", &alice, method)
        .await
        .ok()["version"]
        .as_str()
        .unwrap()
        .to_owned();
    let key = json!({ "first_message_index": 1, "forwarded_count": 0, "is_verified": true, "session_data": { "ciphertext": "x" } });
    let path = format!("/v3/room_keys/keys/!a:localhost/s1?version={version}");
    server.get(&path, &alice).await.refused(404, "M_NOT_FOUND");
    assert_eq!(
        server.put(&path, &alice, key.clone()).await.ok()["count"],
        1
    );
    assert_eq!(server.get(&path, &alice).await.ok(), key);
    let all = server
        .get(&format!("/v3/room_keys/keys?version={version}"), &alice)
        .await
        .ok();
    assert_eq!(all["rooms"]["!a:localhost"]["sessions"]["s1"], key);
    let empty = server
        .get(
            &format!("/v3/room_keys/keys/!b:localhost?version={version}"),
            &alice,
        )
        .await
        .ok();
    assert_eq!(empty, json!({ "sessions": {} }));
    server
        .put("/v3/room_keys/keys/!a:localhost/s1?version=99", &alice, key)
        .await
        .refused(403, "M_WRONG_ROOM_KEYS_VERSION");
    server
        .put(&path, &alice, json!({ "first_message_index": "one" }))
        .await
        .refused(400, "M_BAD_JSON");
    assert_eq!(
        server.delete(&path, &alice, Value::Null).await.ok()["count"],
        0
    );
}

#[tokio::test]
async fn keys_that_are_not_keys_are_refused() {
    let server = Server::open();
    let alice = server.register("alice").await;
    let keys = json!({ "device_keys": { "user_id": "@bob:localhost", "device_id": "X", "algorithms": [], "keys": {}, "signatures": {} } });
    let told = server.post("/v3/keys/upload", &alice, keys).await;
    assert_eq!(told.status, 400, "{}", told.body);
    assert_eq!(
        server.post("/v3/keys/upload", &alice, json!({})).await.ok(),
        json!({ "one_time_key_counts": {} })
    );
    let queried = server
        .post(
            "/v3/keys/query",
            &alice,
            json!({ "device_keys": { "@alice:localhost": [], "@carol:elsewhere": [] } }),
        )
        .await
        .ok();
    assert_eq!(queried["device_keys"]["@alice:localhost"], json!({}));
    assert!(queried["failures"]["elsewhere"].is_object());
    let token = server.get("/v3/sync", &alice).await.ok()["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();
    let changes = server
        .get(&format!("/v3/keys/changes?from={token}&to={token}"), &alice)
        .await
        .ok();
    assert_eq!(changes, json!({ "changed": [], "left": [] }));
    server
        .get("/v3/keys/changes?from=nonsense&to=x", &alice)
        .await
        .refused(400, "M_INVALID_PARAM");
}
