//! Registering, signing in and out, and what accounts keep.

use base::config::RegistrationConfig;
use http::Method;
use serde_json::{Value, json};

use super::Server;

#[tokio::test]
async fn registration_asks_for_proof_and_takes_it() {
    let server = Server::open();
    let asked = server.post("/v3/register", "", json!({})).await;
    assert_eq!(asked.status, 401);
    assert_eq!(
        asked.body["flows"],
        json!([{ "stages": ["m.login.dummy"] }])
    );
    let session = asked.body["session"].as_str().unwrap().to_owned();
    // The proof counts for the request it was begun with and for no other.
    let other = json!({ "username": "eve", "password": "correct horse", "auth": { "type": "m.login.dummy", "session": session } });
    server
        .post("/v3/register", "", other)
        .await
        .refused(403, "M_FORBIDDEN");
    let same = json!({ "auth": { "type": "m.login.dummy", "session": session } });
    assert!(server.post("/v3/register", "", same).await.ok()["access_token"].is_string());
}

#[tokio::test]
async fn names_are_checked_before_anybody_proves_anything() {
    let server = Server::open();
    server.register("alice").await;
    server
        .post("/v3/register", "", json!({ "username": "alice" }))
        .await
        .refused(400, "M_USER_IN_USE");
    server
        .post("/v3/register", "", json!({ "username": "ali/ce?" }))
        .await
        .refused(400, "M_INVALID_USERNAME");
    server
        .get("/v3/register/available?username=ALICE", "")
        .await
        .refused(400, "M_USER_IN_USE");
    assert_eq!(
        server
            .get("/v3/register/available?username=bob", "")
            .await
            .ok()["available"],
        true
    );
    server
        .get("/v3/register/available", "")
        .await
        .refused(400, "M_MISSING_PARAM");
}

#[tokio::test]
async fn a_closed_server_lets_nobody_in_and_a_token_opens_it() {
    let closed = Server::with(RegistrationConfig::default());
    let ask = json!({ "username": "alice", "password": "correct horse", "auth": { "type": "m.login.dummy" } });
    closed
        .post("/v3/register", "", ask.clone())
        .await
        .refused(403, "M_FORBIDDEN");
    closed
        .post("/v3/register?kind=guest", "", json!({}))
        .await
        .refused(403, "M_FORBIDDEN");

    let word = RegistrationConfig {
        enabled: true,
        token: Some("friends".to_owned().into()),
        ..RegistrationConfig::default()
    };
    let server = Server::with(word);
    let with = |token: &str| {
        let auth = json!({ "type": "m.login.registration_token", "token": token });
        json!({ "username": "alice", "password": "correct horse", "auth": auth })
    };
    let wrong = server.post("/v3/register", "", with("enemies")).await;
    assert_eq!(
        (wrong.status.as_u16(), &wrong.body["errcode"]),
        (401, &json!("M_FORBIDDEN"))
    );
    assert_eq!(server.post("/v3/register", "", ask).await.status, 401);
    assert_eq!(
        server.post("/v3/register", "", with("friends")).await.ok()["user_id"],
        "@alice:localhost"
    );
    let path = "/v1/register/m.login.registration_token/validity?token=";
    assert_eq!(
        server.get(&format!("{path}friends"), "").await.ok()["valid"],
        true
    );
    assert_eq!(
        server.get(&format!("{path}enemies"), "").await.ok()["valid"],
        false
    );
}

#[tokio::test]
async fn signing_in_by_every_name_and_out_again() {
    let server = Server::open();
    server.register("alice").await;
    for user in ["alice", "ALICE", "@alice:localhost", "@Alice:localhost"] {
        let ask = json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": user }, "password": "correct horse", "device_id": "PHONE" });
        let told = server.post("/v3/login", "", ask).await.ok();
        assert_eq!(
            (&told["user_id"], &told["device_id"]),
            (&json!("@alice:localhost"), &json!("PHONE"))
        );
        let token = told["access_token"].as_str().unwrap().to_owned();
        assert_eq!(
            server.get("/v3/account/whoami", &token).await.ok()["device_id"],
            "PHONE"
        );
        server.post("/v3/logout", &token, json!({})).await.ok();
        server
            .get("/v3/account/whoami", &token)
            .await
            .refused(401, "M_UNKNOWN_TOKEN");
    }
    let wrong = |user: &str| json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": user }, "password": "wrong" });
    server
        .post("/v3/login", "", wrong("alice"))
        .await
        .refused(403, "M_FORBIDDEN");
    server
        .post("/v3/login", "", wrong("nobody"))
        .await
        .refused(403, "M_FORBIDDEN");
    server
        .post("/v3/login", "", wrong("@alice:elsewhere"))
        .await
        .refused(403, "M_FORBIDDEN");
    server
        .post("/v3/login", "", json!({ "type": "m.login.magic" }))
        .await
        .refused(400, "M_UNKNOWN");
    let old = json!({ "type": "m.login.password", "user": "alice", "password": "correct horse" });
    server.post("/v3/login", "", old).await.ok();
}

#[tokio::test]
async fn what_matters_needs_the_password_again() {
    let server = Server::open();
    let alice = server.register("alice").await;
    let ask = json!({ "new_password": "battery staple" });
    let asked = server
        .post("/v3/account/password", &alice, ask.clone())
        .await;
    assert_eq!(
        (asked.status.as_u16(), &asked.body["flows"]),
        (401, &json!([{ "stages": ["m.login.password"] }]))
    );
    let mut proven = ask;
    proven["auth"] =
        json!({ "type": "m.login.password", "user": "alice", "password": "correct horse" });
    server
        .post("/v3/account/password", &alice, proven.clone())
        .await
        .ok();
    // The old password is no proof any more.
    assert_eq!(
        server
            .post("/v3/account/password", &alice, proven)
            .await
            .status,
        401
    );
    let deactivate = json!({ "auth": { "type": "m.login.password", "identifier": { "type": "m.id.user", "user": "@alice:localhost" }, "password": "battery staple" } });
    server
        .post("/v3/account/deactivate", &alice, deactivate)
        .await
        .ok();
    server
        .get("/v3/account/whoami", &alice)
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn devices_are_named_and_removed() {
    let server = Server::open();
    let alice = server.register("alice").await;
    let ask = json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": "alice" }, "password": "correct horse", "device_id": "TABLET" });
    let tablet = server.post("/v3/login", "", ask).await.ok()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    server
        .put(
            "/v3/devices/TABLET",
            &alice,
            json!({ "display_name": "Kitchen" }),
        )
        .await
        .ok();
    assert_eq!(
        server.get("/v3/devices/TABLET", &alice).await.ok()["display_name"],
        "Kitchen"
    );
    server
        .get("/v3/devices/UNKNOWN", &alice)
        .await
        .refused(404, "M_NOT_FOUND");
    server
        .put(
            "/v3/devices/UNKNOWN",
            &alice,
            json!({ "display_name": "?" }),
        )
        .await
        .refused(404, "M_NOT_FOUND");
    assert_eq!(
        server
            .delete("/v3/devices/TABLET", &alice, json!({}))
            .await
            .status,
        401
    );
    server.register("bob").await;
    let other = json!({ "auth": { "type": "m.login.password", "identifier": { "type": "m.id.user", "user": "bob" }, "password": "correct horse" } });
    server
        .delete("/v3/devices/TABLET", &alice, other)
        .await
        .refused(403, "M_FORBIDDEN");
    let auth = json!({ "auth": { "type": "m.login.password", "identifier": { "type": "m.id.user", "user": "alice" }, "password": "correct horse" } });
    server.delete("/v3/devices/TABLET", &alice, auth).await.ok();
    server
        .get("/v3/account/whoami", &tablet)
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn what_is_kept_is_given_back_and_only_to_its_owner() {
    let server = Server::open();
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let path = "/v3/user/@alice:localhost/account_data/org.example.x";
    server.get(path, &alice).await.refused(404, "M_NOT_FOUND");
    server.put(path, &alice, json!({ "a": 1 })).await.ok();
    assert_eq!(server.get(path, &alice).await.ok(), json!({ "a": 1 }));
    server.get(path, &bob).await.refused(403, "M_FORBIDDEN");
    server
        .put(path, &bob, json!({}))
        .await
        .refused(403, "M_FORBIDDEN");
    server
        .put(path, &alice, json!("no object"))
        .await
        .refused(400, "M_BAD_JSON");
    server.put(path, &alice, json!({})).await.ok();
    server.get(path, &alice).await.refused(404, "M_NOT_FOUND");
    for path in [
        "user/@alice:localhost/account_data/org.example.x",
        "user/@alice:localhost/rooms/!r:localhost/account_data/org.example.x",
    ] {
        let (read, delete) = (
            format!("/v3/{path}"),
            format!("/unstable/org.matrix.msc3391/{path}"),
        );
        server.put(&read, &alice, json!({ "a": 1 })).await.ok();
        server
            .delete(&delete, &bob, Value::Null)
            .await
            .refused(403, "M_FORBIDDEN");
        server.delete(&delete, &alice, Value::Null).await.ok();
        server.get(&read, &alice).await.refused(404, "M_NOT_FOUND");
    }
    let rules = "/v3/user/@alice:localhost/account_data/m.push_rules";
    server
        .put(rules, &alice, json!({}))
        .await
        .refused(405, "M_BAD_JSON");

    let made = server
        .post(
            "/v3/user/@alice:localhost/filter",
            &alice,
            json!({ "room": { "timeline": { "limit": 3 } } }),
        )
        .await
        .ok();
    let path = format!(
        "/v3/user/@alice:localhost/filter/{}",
        made["filter_id"].as_str().unwrap()
    );
    assert_eq!(
        server.get(&path, &alice).await.ok()["room"]["timeline"]["limit"],
        3
    );
    server
        .get("/v3/user/@alice:localhost/filter/nonsense", &alice)
        .await
        .refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn profiles_take_any_field_and_null_removes_a_name() {
    let server = Server::open();
    let alice = server.register("alice").await;
    let path = |field: &str| format!("/v3/profile/@alice:localhost/{field}");
    server
        .put(
            &path("displayname"),
            &alice,
            json!({ "displayname": "Alice L." }),
        )
        .await
        .ok();
    server
        .put(&path("m.tz"), &alice, json!({ "m.tz": "Europe/Berlin" }))
        .await
        .ok();
    let whole = server.get("/v3/profile/@alice:localhost", "").await.ok();
    assert_eq!(
        (&whole["displayname"], &whole["m.tz"]),
        (&json!("Alice L."), &json!("Europe/Berlin"))
    );
    server
        .put(&path("displayname"), &alice, json!({}))
        .await
        .refused(400, "M_MISSING_PARAM");
    server.delete(&path("m.tz"), &alice, Value::Null).await.ok();
    server
        .get(&path("m.tz"), "")
        .await
        .refused(404, "M_NOT_FOUND");
    server
        .get("/v3/profile/@nobody:localhost", "")
        .await
        .refused(404, "M_NOT_FOUND");
    let bob = server.register("bob").await;
    server
        .put(
            &path("displayname"),
            &bob,
            json!({ "displayname": "Not Alice" }),
        )
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn push_rules_are_read_and_changed_under_both_spellings() {
    let server = Server::open();
    let alice = server.register("alice").await;
    for path in ["/v3/pushrules/", "/v3/pushrules"] {
        assert!(server.get(path, &alice).await.ok()["global"]["override"].is_array());
    }
    let path = "/v3/pushrules/global/room/!a:localhost";
    server
        .put(path, &alice, json!({ "actions": [] }))
        .await
        .ok();
    assert_eq!(server.get(path, &alice).await.ok()["enabled"], true);
    server
        .put(
            &format!("{path}/enabled"),
            &alice,
            json!({ "enabled": false }),
        )
        .await
        .ok();
    assert_eq!(
        server.get(&format!("{path}/enabled"), &alice).await.ok()["enabled"],
        false
    );
    server.delete(path, &alice, Value::Null).await.ok();
    server.get(path, &alice).await.refused(404, "M_NOT_FOUND");
    server
        .get("/v3/pushrules/global/nonsense/x", &alice)
        .await
        .refused(404, "M_NOT_FOUND");
    server
        .put(
            "/v3/pushrules/global/nonsense/x/enabled",
            &alice,
            json!({ "enabled": false }),
        )
        .await
        .refused(400, "M_INVALID_PARAM");
    server
        .ask(
            Method::PUT,
            "/v3/pushrules/global/override/.m.mine",
            &alice,
            &json!({ "actions": [] }),
        )
        .await
        .refused(400, "M_INVALID_PARAM");
}
