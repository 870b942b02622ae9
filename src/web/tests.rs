//! How requests are read and refused, over a router without a network.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use base::config::{LimitsConfig, ListenConfig};
use base::{ManualClock, SeededRandom, Supervisor};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use peers::Peers;
use peers::loopback::Network;
use ruma::api::client::alias::get_alias;
use ruma::api::client::filter::create_filter;
use ruma::api::client::session::login;
use ruma::api::client::state::get_state_event_for_key;
use ruma::server_name;
use serde_json::{Value, json};
use store::Store;
use tower::ServiceExt;
use users::accounts::Mark;
use users::registration::Registration;
use users::sessions::NewSession;
use users::{Settings, Users};

use crate::{Asked, Authed, Class, Error, JsonBytes, Matrix, Needs, Reply, Routes, Upload, Web};

/// A server's users: alice, a guest, and somebody who is locked out; with their tokens.
struct House {
    router: Router,
    alice: String,
    guest: String,
    locked: String,
}

async fn web(limits: LimitsConfig) -> (Web, [String; 3]) {
    let clock = ManualClock::plausible().shared();
    let users = Users::new(
        Settings::default(),
        server_name!("example.org"),
        Store::memory(),
        Arc::clone(&clock),
        SeededRandom::new(1).shared(),
    );
    let mut tokens = Vec::new();
    for (name, guest) in [("alice", false), ("guest", true), ("locked", false)] {
        let wanted = Registration {
            username: Some(name.to_owned()),
            guest,
            session: Some(NewSession::default()),
            ..Registration::default()
        };
        let registered = users.register(wanted).await.unwrap();
        if name == "locked" {
            users
                .mark(&registered.user_id, Mark::Locked(true))
                .await
                .unwrap();
        }
        tokens.push(registered.tokens.unwrap().access_token.expose().clone());
    }
    let web = Web::new(Needs {
        limits,
        listen: ListenConfig::default(),
        users,
        peers: Peers::for_tests(server_name!("example.org"), &Network::new()),
        supervisor: Supervisor::new(Arc::clone(&clock)),
        clock,
        ready: Box::new(|| Ok(())),
    });
    (web, tokens.try_into().unwrap())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "reads better where it is called"
)]
fn told(value: Value) -> Reply<JsonBytes> {
    Ok(JsonBytes::from(value.to_string()))
}

async fn alias(Matrix(ask): Matrix<get_alias::v3::Request>) -> Reply<JsonBytes> {
    told(json!({ "alias": ask.room_alias }))
}

async fn state(
    who: Authed,
    Matrix(ask): Matrix<get_state_event_for_key::v3::Request>,
) -> Reply<JsonBytes> {
    told(json!({ "by": who.user_id, "type": ask.event_type, "key": ask.state_key }))
}

async fn filter(
    who: Authed,
    Matrix(ask): Matrix<create_filter::v3::Request>,
) -> Reply<create_filter::v3::Response> {
    if who.user_id != ask.user_id {
        return Err(Error::forbidden("not yours"));
    }
    Ok(create_filter::v3::Response::new("1".to_owned()))
}

async fn login(Matrix(_): Matrix<login::v3::Request>) -> Reply<JsonBytes> {
    panic!("a secret detail")
}

async fn house(limits: LimitsConfig) -> House {
    let (web, [alice, guest, locked]) = web(limits).await;
    let router = Routes::new()
        .mount(alias)
        .mount(state)
        .also(
            &[
                "/_matrix/client/v3/rooms/{room_id}/state/{event_type}",
                "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/",
            ],
            state,
        )
        .mount(filter)
        .mount_limited(Class::SignIn, login)
        .route(
            Method::GET,
            "/echo/{what}",
            async |asked: Asked| -> Reply<JsonBytes> {
                told(json!({ "args": asked.args, "query": asked.query() }))
            },
        )
        .route(
            Method::POST,
            "/upload",
            async |upload: Upload| -> Reply<JsonBytes> {
                let mut upload = upload.limited(10);
                let mut size = 0;
                while let Some(piece) = futures_util::StreamExt::next(&mut upload).await {
                    size += piece?.len();
                }
                told(json!({ "size": size }))
            },
        )
        .into_router(web);
    House {
        router,
        alice,
        guest,
        locked,
    }
}

struct Told {
    status: u16,
    code: String,
    body: Value,
    response: http::response::Parts,
}

async fn ask(method: Method, path: &str, token: &str, body: impl Into<Body>) -> Told {
    let house = house(LimitsConfig::default()).await;
    let token = match token {
        "alice" => &house.alice,
        "guest" => &house.guest,
        "locked" => &house.locked,
        other => other,
    };
    let path = path.replace("=alice", &format!("={}", house.alice));
    ask_with(&house.router, method, &path, token, body).await
}

async fn ask_with(
    router: &Router,
    method: Method,
    path: &str,
    token: &str,
    body: impl Into<Body>,
) -> Told {
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(body.into()).unwrap();
    let response: Response = router.clone().oneshot(request).await.unwrap();
    let (response, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let code = body["errcode"].as_str().unwrap_or_default().to_owned();
    assert_eq!(response.headers["access-control-allow-origin"], "*");
    Told {
        status: response.status.as_u16(),
        code,
        body,
        response,
    }
}

const STATE: &str = "/_matrix/client/v3/rooms/!r:example.org/state";
const FILTER: &str = "/_matrix/client/v3/user/@alice:example.org/filter";

async fn refused(method: Method, path: &str, token: &str, body: &str, status: u16, code: &str) {
    let told = ask(method, path, token, body.to_owned()).await;
    assert_eq!(
        (told.status, &*told.code),
        (status, code),
        "{path} {body}: {}",
        told.body
    );
}

#[tokio::test]
async fn tokens_are_asked_for_where_the_endpoint_needs_them() {
    let path = format!("{STATE}/m.room.topic/x");
    refused(Method::GET, &path, "", "", 401, "M_MISSING_TOKEN").await;
    refused(Method::GET, &path, "nonsense", "", 401, "M_UNKNOWN_TOKEN").await;
    refused(
        Method::GET,
        &path,
        "guest",
        "",
        403,
        "M_GUEST_ACCESS_FORBIDDEN",
    )
    .await;
    refused(Method::GET, &path, "locked", "", 401, "M_USER_LOCKED").await;
    refused(Method::GET, &path, "alice", "", 200, "").await;
    refused(
        Method::GET,
        &format!("{path}?access_token=alice"),
        "",
        "",
        200,
        "",
    )
    .await;
    assert_eq!(
        ask(Method::GET, &path, "nonsense", "").await.body["soft_logout"],
        false
    );
    refused(
        Method::GET,
        "/_matrix/client/v3/directory/room/%23a:b.c",
        "nonsense",
        "",
        200,
        "",
    )
    .await;
}

#[tokio::test]
async fn every_path_an_endpoint_ever_had_is_served() {
    for path in ["/_matrix/client/r0", "/_matrix/client/v3"] {
        let told = ask(
            Method::GET,
            &format!("{path}/directory/room/%23caf%C3%A9:b.c"),
            "",
            "",
        )
        .await;
        assert_eq!(told.body["alias"], "#café:b.c");
    }
    for (path, key) in [
        ("/m.room.topic/a%2Fb", "a/b"),
        ("/m.room.topic/", ""),
        ("/m.room.topic", ""),
    ] {
        let told = ask(Method::GET, &format!("{STATE}{path}"), "alice", "").await;
        assert_eq!(
            (told.status, &told.body["key"]),
            (200, &json!(key)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_told_apart() {
    let deep = "[".repeat(100_000);
    let wide = format!("{{\"room\":{{\"x\":\"{}\"}}}}", "x".repeat(5 << 20));
    for (body, status, code) in [
        ("{}", 200, ""),
        ("", 400, "M_NOT_JSON"),
        ("{", 400, "M_NOT_JSON"),
        ("{\"room\":nonsense}", 400, "M_NOT_JSON"),
        ("{} trailing", 400, "M_NOT_JSON"),
        ("[]", 400, "M_BAD_JSON"),
        ("{\"room\":7}", 400, "M_BAD_JSON"),
        (&deep, 400, "M_BAD_JSON"),
        (&wide, 413, "M_TOO_LARGE"),
    ] {
        let expected = if body.is_empty() {
            (200, "")
        } else {
            (status, code)
        };
        refused(Method::POST, FILTER, "alice", body, expected.0, expected.1).await;
    }
    let told = ask(
        Method::POST,
        FILTER,
        "alice",
        b"{\"room\":\"\xff\"}".to_vec(),
    )
    .await;
    assert_eq!(told.code, "M_NOT_JSON");
    refused(
        Method::POST,
        "/_matrix/client/v3/login",
        "",
        "{\"a\":1}",
        400,
        "M_BAD_JSON",
    )
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_path_is_told() {
    for (path, status, code) in [
        (
            "/_matrix/client/v3/directory/room/nonsense",
            400,
            "M_INVALID_PARAM",
        ),
        (
            "/_matrix/client/v3/directory/room/%ff",
            400,
            "M_INVALID_PARAM",
        ),
        ("/_matrix/client/v3/directory/room/", 404, "M_UNRECOGNIZED"),
        (
            "/_matrix/client/v3/directory/../directory/room/%23a:b.c",
            404,
            "M_UNRECOGNIZED",
        ),
        (
            "//_matrix/client/v3/directory/room/%23a:b.c",
            404,
            "M_UNRECOGNIZED",
        ),
        ("/", 404, "M_UNRECOGNIZED"),
    ] {
        refused(Method::GET, path, "", "", status, code).await;
    }
    refused(Method::PATCH, FILTER, "", "", 405, "M_UNRECOGNIZED").await;
    refused(Method::GET, FILTER, "", "", 405, "M_UNRECOGNIZED").await;
}

#[tokio::test]
async fn browsers_may_ask_anything_and_head_goes_where_get_goes() {
    for path in [FILTER, "/nowhere"] {
        let told = ask(Method::OPTIONS, path, "", "").await;
        assert_eq!(told.status, 204);
        let allowed = told.response.headers["access-control-allow-headers"]
            .to_str()
            .unwrap();
        assert!(allowed.contains("Authorization"));
    }
    let told = ask(
        Method::HEAD,
        "/_matrix/client/v3/directory/room/%23a:b.c",
        "",
        "",
    )
    .await;
    assert_eq!((told.status, told.body), (200, Value::Null));
}

#[tokio::test]
async fn a_panic_costs_its_own_request_and_tells_nothing() {
    let router = house(LimitsConfig::default()).await.router;
    let body = "{\"type\":\"m.login.dummy\"}";
    let told = ask_with(&router, Method::POST, "/_matrix/client/v3/login", "", body).await;
    assert_eq!((told.status, &*told.code), (500, "M_UNKNOWN"));
    assert!(
        !told.body.to_string().contains("secret detail"),
        "{}",
        told.body
    );
    assert_eq!(
        ask_with(&router, Method::GET, "/echo/x", "", "")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn too_many_attempts_are_told_to_wait() {
    let limits = LimitsConfig {
        sign_in: "1/m burst 1".parse().unwrap(),
        ..LimitsConfig::default()
    };
    let router = house(limits).await.router;
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let mut request = Request::post("/_matrix/client/v3/login")
            .body(Body::from("{}"))
            .unwrap();
        request
            .extensions_mut()
            .insert(crate::limits::Peer::Address([192, 0, 2, 1].into()));
        let response = router.clone().oneshot(request).await.unwrap();
        statuses.push(response.status());
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(response.headers()["retry-after"], "60");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["errcode"], "M_LIMIT_EXCEEDED");
            assert_eq!(body["retry_after_ms"], 60_000);
        }
    }
    assert_eq!(
        statuses,
        [StatusCode::BAD_REQUEST, StatusCode::TOO_MANY_REQUESTS]
    );
}

#[tokio::test]
async fn endpoints_without_a_type_get_the_request_as_it_came() {
    let told = ask(Method::GET, "/echo/a%2Fb?c=d", "", "").await;
    assert_eq!(told.body, json!({ "args": ["a/b"], "query": "c=d" }));
    assert_eq!(
        ask(Method::POST, "/upload", "", "0123456789").await.body["size"],
        10
    );
    refused(
        Method::POST,
        "/upload",
        "",
        "01234567890",
        413,
        "M_TOO_LARGE",
    )
    .await;
}

#[tokio::test]
async fn the_list_of_routes_is_known() {
    let routes = Routes::<Web>::new().mount(alias).mount(filter);
    assert!(
        routes
            .list()
            .contains(&(Method::POST, "/_matrix/client/r0/user/{user_id}/filter"))
    );
}

#[tokio::test]
async fn health_is_told() {
    assert_eq!(
        ask(Method::GET, "/_myelin/health", "", "").await.body["status"],
        "alive"
    );
    assert_eq!(
        ask(Method::GET, "/_myelin/ready", "", "").await.body["status"],
        "ready"
    );
}
