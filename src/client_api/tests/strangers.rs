//! What everybody may ask, and what nobody gets without saying who they are.

use http::Method;
use serde_json::{Value, json};

use super::Server;
use crate::routes;

/// What can be asked without a token. Everything else refuses.
const OPEN: [&str; 34] = [
    "GET /.well-known/matrix/client",
    "GET /.well-known/matrix/server",
    "GET /.well-known/matrix/support",
    "GET /_matrix/client/versions",
    "GET auth_metadata",
    "GET login",
    "POST login",
    "GET /_matrix/static/client/login/",
    "POST register",
    "GET register/available",
    "GET register/m.login.registration_token/validity",
    "GET register/org.matrix.msc3231.login.registration_token/validity",
    "POST register/email/requestToken",
    "POST register/msisdn/requestToken",
    "POST account/password/email/requestToken",
    "POST account/password/msisdn/requestToken",
    "POST account/3pid/email/requestToken",
    "POST account/3pid/msisdn/requestToken",
    "POST refresh",
    "GET auth/{auth_type}/fallback/web",
    "POST auth/{auth_type}/fallback/web",
    "GET profile/{user_id}",
    "GET profile/{user_id}/{field}",
    "GET directory/room/{room_alias}",
    "GET directory/list/room/{room_id}",
    "GET publicRooms",
    "GET room_summary/{room_id_or_alias}",
    "GET rooms/{room_id_or_alias}/summary",
    "GET summary/{room_id_or_alias}",
    // The unauthenticated media endpoints of old, frozen as the specification asks.
    "GET download/{server_name}/{media_id}",
    "GET download/{server_name}/{media_id}/{file_name}",
    "GET thumbnail/{server_name}/{media_id}",
    // Whoever knows the ID of a delayed event may speak for it: the client that put it off may be gone.
    "POST /_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}",
    "POST /_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}/{action}",
];

fn is_open(method: &Method, path: &str) -> bool {
    let short = [
        "/_matrix/client/r0/",
        "/_matrix/client/v1/",
        "/_matrix/client/v3/",
        "/_matrix/media/r0/",
        "/_matrix/media/v3/",
        "/_matrix/media/v1/",
    ]
    .iter()
    .find_map(|prefix| path.strip_prefix(prefix))
    .or_else(|| {
        path.strip_prefix("/_matrix/client/unstable/")
            .and_then(|rest| rest.split_once('/'))
            .map(|(_, rest)| rest)
    })
    .unwrap_or(path);
    let (short, whole) = (format!("{method} {short}"), format!("{method} {path}"));
    OPEN.contains(&short.as_str()) || OPEN.contains(&whole.as_str())
}

#[tokio::test]
async fn nothing_else_answers_without_a_token() {
    let server = Server::open();
    let mut wrong = Vec::new();
    for (method, path) in routes().list() {
        if is_open(method, path) {
            continue;
        }
        let example = path
            .replace("{user_id}", "@alice:localhost")
            .replace("{room_id}", "!a:localhost")
            .replace("{event_id}", "$a");
        let example: String = example
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        let told = server.ask(method.clone(), &example, "", &Value::Null).await;
        if told.body["errcode"] != "M_MISSING_TOKEN" {
            wrong.push(format!("{method} {path}: {} {}", told.status, told.body));
        }
    }
    assert!(
        wrong.is_empty(),
        "answered without a token:\n  {}",
        wrong.join("\n  ")
    );
}

#[tokio::test]
async fn bad_input_is_never_our_fault() {
    let server = Server::open();
    let alice = server.register("alice").await;
    let bodies = [
        json!({}),
        json!([]),
        json!("text"),
        json!({ "user_id": 1, "rooms": 1, "messages": 1, "filter": 1, "device_keys": 1, "auth": 1 }),
    ];
    let mut wrong = Vec::new();
    for (method, path) in routes().list() {
        if path.contains("/sync")
            || path.contains("/logout")
            || path.contains("upload") && path.contains("/media/")
        {
            continue;
        }
        for argument in ["x", "@alice:localhost", "!a:localhost", "%00%22%3C"] {
            let example: String = path
                .split('/')
                .map(|part| {
                    if part.starts_with('{') {
                        argument
                    } else {
                        part
                    }
                })
                .collect::<Vec<_>>()
                .join("/");
            for body in &bodies {
                let told = server.ask(method.clone(), &example, &alice, body).await;
                // A file of a server that does not exist: 502 says that the fault is there.
                let is_elsewhere =
                    told.status == http::StatusCode::BAD_GATEWAY && example.contains("/media/");
                if told.status.is_server_error() && !is_elsewhere {
                    wrong.push(format!(
                        "{method} {example} {body}: {} {}",
                        told.status, told.body
                    ));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} faults:\n  {}",
        wrong.len(),
        wrong.join("\n  ")
    );
}

#[tokio::test]
async fn guests_may_do_little() {
    let server = Server::open();
    let guest = server
        .post("/v3/register?kind=guest", "", json!({}))
        .await
        .ok()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        server.get("/v3/account/whoami", &guest).await.ok()["is_guest"],
        true
    );
    server
        .post("/v3/createRoom", &guest, json!({}))
        .await
        .refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    let alice = server.register("alice").await;
    let closed = server
        .room(&alice, json!({ "preset": "public_chat" }))
        .await;
    server
        .post(&format!("/v3/rooms/{closed}/join"), &guest, json!({}))
        .await
        .refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    let state =
        json!([{ "type": "m.room.guest_access", "content": { "guest_access": "can_join" } }]);
    let open = server
        .room(
            &alice,
            json!({ "preset": "public_chat", "initial_state": state }),
        )
        .await;
    server
        .post(&format!("/v3/rooms/{open}/join"), &guest, json!({}))
        .await
        .ok();
    server.say(&guest, &open, "1", "hello from outside").await;
}

#[tokio::test]
async fn the_server_says_what_it_is() {
    let server = Server::open();
    let versions = server.get("/_matrix/client/versions", "").await.ok();
    assert!(
        versions["versions"]
            .as_array()
            .unwrap()
            .contains(&json!("v1.11"))
    );
    assert_eq!(
        versions["unstable_features"]["org.matrix.e2e_cross_signing"],
        true
    );
    let alice = server.register("alice").await;
    let can = server.get("/v3/capabilities", &alice).await.ok();
    assert_eq!(can["capabilities"]["m.room_versions"]["default"], "12");
    server
        .get("/v1/auth_metadata", "")
        .await
        .refused(404, "M_UNRECOGNIZED");
    server
        .get("/v3/nonsense", "")
        .await
        .refused(404, "M_UNRECOGNIZED");
    server
        .post("/v3/capabilities", &alice, json!({}))
        .await
        .refused(405, "M_UNRECOGNIZED");
}
